//! What the answers tell about a path, located at the right hop in networks of namespaces, and the
//! JSON of every ending against the committed schema. Takes root.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod peer;

use std::process::{Command, Stdio};
use std::time::Duration;

use jsonschema::JSONSchema;
use peer::{OURS, left_out, written};
use serde_json::Value;
use testkit::netns::Chain;

/// By UDP, which is what three probes a hop are by default, by ICMP and by TCP.
const METHODS: [&str; 3] = ["-q3", "-I", "-T"];

/// The findings of a trace, without the hops.
fn findings(chain: &Chain, args: &[&str]) -> Vec<String> {
    let args = [&["-n", "--diagnose"], args].concat();
    written(chain.command(0, OURS, &args))
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("hop "))
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_rewritten_traffic_class_is_located_at_its_hop() {
    if left_out("a_rewritten_traffic_class_is_located_at_its_hop") {
        return;
    }
    let chain = Chain::new(4).unwrap();
    for host in [chain.server_v4(), chain.server_v6()] {
        assert_eq!(findings(&chain, &["-t", "184", &host]), [""; 0]);
    }
    chain
        .filter(2, "forward", "ip dscp set cs0\nip6 dscp set cs0")
        .unwrap();
    for host in [chain.server_v4(), chain.server_v6()] {
        // DSCP 46 with ECN 10; ECN stays.
        for method in METHODS {
            assert_eq!(
                findings(&chain, &["-t", "0xba", method, &host]),
                ["hop 3: DSCP/ECN rewritten before it: sent as 0xba, arrives there as 0x02"],
                "{method} {host}"
            );
        }
    }
}

/// Addresses that no node has.
const PUBLIC: [&str; 2] = ["203.0.113.77", "2001:db8:77::77"];

/// Four routers, and a way to the public addresses that leads to the second of them from both
/// sides.
fn with_public_addresses() -> Chain {
    let chain = Chain::new(4).unwrap();
    for (node, link, end) in [(0, 0, 2), (1, 1, 2), (3, 2, 1), (4, 3, 1), (5, 4, 1)] {
        let v4 = format!("10.0.{link}.{end}");
        let v6 = match link {
            0 => format!("fd00::{end}"),
            _ => format!("fd00:0:0:{link}::{end}"),
        };
        for (address, via) in PUBLIC.into_iter().zip([v4, v6]) {
            let route = ["route", "add", address, "via", &via];
            chain.run(node, "ip", &route).unwrap();
        }
    }
    chain
}

/// Has the second router put one address for another in what goes to the server, and back in what
/// comes from there, without a state and without a look at quotes, as a translator of prefixes
/// does (RFC 6296). A destination must be exchanged before the way is chosen.
fn exchange(chain: &Chain, [there, back]: [(&str, &str); 2], from: [&str; 2], to: [&str; 2]) {
    let rule = |(hook, field): (&str, &str), side: &str, from: [&str; 2], to: [&str; 2]| {
        format!(
            "chain {hook} {{\ntype filter hook {hook} priority -300\n\
             iifname {side} ip {field} {} ip {field} set {}\n\
             iifname {side} ip6 {field} {} ip6 {field} set {}\n}}\n",
            from[0], to[0], from[1], to[1]
        )
    };
    let rules = [rule(there, "left", from, to), rule(back, "right", to, from)].concat();
    let table = format!("table inet stateless {{\n{rules}}}\n");
    chain.run(2, "nft", &[&table]).unwrap();
}

/// Traces to both targets by every method find one thing, which begins so.
fn find_by_every_method(chain: &Chain, targets: [&str; 2], expected: [&str; 2]) {
    for (target, expected) in targets.into_iter().zip(expected) {
        for method in METHODS {
            let found = findings(chain, &[method, target]);
            assert_eq!(found.len(), 1, "{method} {target}: {found:?}");
            assert!(found[0].starts_with(expected), "{method}: {found:?}");
        }
    }
}

#[test]
fn a_nat_of_sources_is_located_at_the_hop_that_quotes_it_by_every_method() {
    if left_out("a_nat_of_sources_is_located_at_the_hop_that_quotes_it_by_every_method") {
        return;
    }
    let chain = with_public_addresses();
    let sources = [("forward", "saddr"), ("prerouting", "daddr")];
    exchange(&chain, sources, ["10.0.0.1", "fd00::1"], PUBLIC);
    find_by_every_method(
        &chain,
        [&chain.server_v4(), &chain.server_v6()],
        [
            "hop 3: a NAT before it: probes arrive there with source 203.0.113.77",
            "hop 3: a NAT before it: probes arrive there with source 2001:db8:77::77",
        ],
    );
}

/// The router that exchanges them does so before it looks at the TTL.
#[test]
fn a_nat_of_destinations_is_located_at_the_hop_that_quotes_it_by_every_method() {
    if left_out("a_nat_of_destinations_is_located_at_the_hop_that_quotes_it_by_every_method") {
        return;
    }
    let chain = with_public_addresses();
    let destinations = [("prerouting", "daddr"), ("forward", "saddr")];
    let (v4, v6) = (chain.server_v4(), chain.server_v6());
    exchange(&chain, destinations, PUBLIC, [&v4, &v6]);
    find_by_every_method(
        &chain,
        PUBLIC,
        [
            "hop 2: a NAT before it: probes arrive there with destination 10.0.4.2",
            "hop 2: a NAT before it: probes arrive there with destination fd00:0:0:4::2",
        ],
    );
}

/// The kernel's own restores what is quoted. With it, a NAT of sources leaves nothing to see; one of
/// destinations has all behind it speak in the target's name.
#[test]
fn a_nat_that_restores_quotes_is_seen_where_routers_speak_in_the_targets_name() {
    if left_out("a_nat_that_restores_quotes_is_seen_where_routers_speak_in_the_targets_name") {
        return;
    }
    let chain = with_public_addresses();
    let (v4, v6) = (chain.server_v4(), chain.server_v6());
    let rules = format!(
        "table inet stateful {{\nchain in {{\ntype nat hook prerouting priority -100\n\
         ip daddr {} dnat ip to {v4}\nip6 daddr {} dnat ip6 to {v6}\n}}\n\
         chain out {{\ntype nat hook postrouting priority 100\noifname right masquerade\n}}\n}}\n",
        PUBLIC[0], PUBLIC[1]
    );
    chain.run(2, "nft", &[&rules]).unwrap();
    for method in METHODS {
        for host in [&v4, &v6] {
            assert_eq!(findings(&chain, &[method, host]), [""; 0], "{method}");
        }
    }
    let expected = "hop 2: a NAT there or before it";
    find_by_every_method(&chain, PUBLIC, [expected; 2]);
}

/// The finding about a link of 1,400 octets before the fourth hop.
const TOLD: &str = "hop 4: the way to it takes packets of 1400 octets, as its router says";
const UNTOLD: &str =
    "hop 4: packets larger than 1400 octets vanish on the way to it, and no router says so";

/// With its packet-too-big and without. (A SYN is too small to meet it.)
#[test]
fn a_small_link_is_located_by_both_methods_that_have_a_size() {
    if left_out("a_small_link_is_located_by_both_methods_that_have_a_size") {
        return;
    }
    for (drop, expected) in [(false, TOLD), (true, UNTOLD)] {
        let chain = Chain::new(4).unwrap();
        for (node, device) in [(3, "right"), (4, "left")] {
            let link = ["link", "set", device, "mtu", "1400"];
            chain.run(node, "ip", &link).unwrap();
        }
        if drop {
            let rule = "icmp type destination-unreachable icmp code frag-needed drop\n\
                        icmpv6 type packet-too-big";
            chain.drop_packets(3, "output", rule).unwrap();
        }
        std::thread::scope(|scope| {
            for host in [chain.server_v4(), chain.server_v6()] {
                for method in ["-q3", "-I"] {
                    let (chain, host) = (&chain, host.clone());
                    scope.spawn(move || {
                        let found = findings(chain, &["--mtu", "-w", "2", method, &host]);
                        let first =
                            "hop 1: the way to it takes packets of 1500 octets, as its router says";
                        assert_eq!(found, [first, expected], "{method} {host}");
                    });
                }
            }
        });
    }
}

#[test]
fn another_way_back_is_located_by_every_method() {
    if left_out("another_way_back_is_located_by_every_method") {
        return;
    }
    let chain = Chain::new(4).unwrap();
    let rule = "ip ttl set 50\nip6 hoplimit set 50";
    chain.filter(2, "output", rule).unwrap();
    let expected = "hop 2: its answers come 16 hops back, as far as their TTL tells";
    let (v4, v6) = (chain.server_v4(), chain.server_v6());
    find_by_every_method(&chain, [&v4, &v6], [expected; 2]);
}

/// Each line is valid; the lines' types.
fn validated(output: &[u8]) -> Vec<String> {
    let schema: Value =
        serde_json::from_str(include_str!("../../../docs/traceroute.schema.json")).unwrap();
    let schema = JSONSchema::compile(&schema).unwrap();
    let text = String::from_utf8_lossy(output);
    let mut types = Vec::new();
    for line in text.lines() {
        let value: Value = serde_json::from_str(line).unwrap();
        assert!(schema.is_valid(&value), "{line}");
        types.push(value["type"].as_str().unwrap().to_owned());
    }
    assert_eq!(types.first().map(String::as_str), Some("start"), "{text}");
    assert_eq!(types.last().map(String::as_str), Some("summary"), "{text}");
    types
}

#[test]
fn json_is_as_its_schema_says_in_every_ending() {
    if left_out("json_is_as_its_schema_says_in_every_ending") {
        return;
    }
    let chain = Chain::new(2).unwrap();
    let json = |args: &[&str]| -> Command {
        chain.command(0, OURS, &[&["--json", "-n", "-w", "1"], args].concat())
    };
    let host = chain.server_v4();
    let whole = json(&["-t", "2", &host]).output().unwrap();
    assert_eq!(
        validated(&whole.stdout),
        ["start", "hop", "hop", "hop", "summary"]
    );
    let text = String::from_utf8_lossy(&whole.stdout).into_owned();
    assert!(text.contains(r#""seen_traffic_class":2"#), "{text}");
    assert!(
        text.contains(r#""ending":"complete","reached":true,"last_ttl":3,"probes":9,"answered":9"#)
    );
    // Nothing answers behind the wall.
    chain.drop_packets(2, "forward", "ip ttl > 0").unwrap();
    let lost = json(&["-m", "3", &host]).output().unwrap();
    validated(&lost.stdout);
    let text = String::from_utf8_lossy(&lost.stdout).into_owned();
    assert!(
        text.contains(r#""reached":false,"last_ttl":3,"probes":9,"answered":6"#),
        "{text}"
    );
    // Stopped while it waits.
    let mut waiting = json(&["-w", "60", &host])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_secs(2));
    let pid = rustix::process::Pid::from_child(&waiting);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let mut output = Vec::new();
    std::io::Read::read_to_end(&mut waiting.stdout.take().unwrap(), &mut output).unwrap();
    assert_eq!(waiting.wait().unwrap().code(), Some(0));
    validated(&output);
    assert!(String::from_utf8_lossy(&output).contains(r#""ending":"interrupted""#));
    // This host has no way there.
    chain
        .run(0, "ip", &["route", "add", "prohibit", "203.0.113.0/24"])
        .unwrap();
    let failed = json(&["203.0.113.1"]).output().unwrap();
    assert_eq!(failed.status.code(), Some(2), "{failed:?}");
}
