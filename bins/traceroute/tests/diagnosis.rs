//! What the answers tell about a path, located at the right hop in networks of namespaces, and the
//! JSON of every ending against the committed schema. Takes root.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod peer;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use jsonschema::JSONSchema;
use peer::{OURS, left_out, written};
use serde_json::Value;
use testkit::netns::Chain;

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
        for method in ["-q3", "-I", "-T"] {
            assert_eq!(
                findings(&chain, &["-t", "0xba", method, &host]),
                ["hop 3: DSCP/ECN rewritten before it: sent as 0xba, arrives there as 0x02"],
                "{method} {host}"
            );
        }
    }
}

/// A NAT that keeps no state and leaves quotes as they are. (One that restores them, as the
/// kernel's own does, leaves nothing to see.)
#[test]
fn a_nat_is_located_at_the_hop_that_quotes_it() {
    if left_out("a_nat_is_located_at_the_hop_that_quotes_it") {
        return;
    }
    let chain = Chain::new(4).unwrap();
    let public = ["address", "add", "10.0.2.77/32", "dev", "right"];
    chain.run(2, "ip", &public).unwrap();
    let rules = "table ip stateless {\n\
                 chain out {\ntype filter hook forward priority 0\n\
                 ip saddr 10.0.0.1 ip saddr set 10.0.2.77\n}\n\
                 chain in {\ntype filter hook prerouting priority -300\n\
                 ip daddr 10.0.2.77 ip daddr set 10.0.0.1\n}\n}\n";
    chain.run(2, "nft", &[rules]).unwrap();
    for method in ["-q3", "-T"] {
        let found = findings(&chain, &[method, &chain.server_v4()]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0]
                .starts_with("hop 3: a NAT before it: probes arrive there with source 10.0.2.77"),
            "{found:?}"
        );
    }
}

#[test]
fn small_links_and_another_way_back_are_located() {
    if left_out("small_links_and_another_way_back_are_located") {
        return;
    }
    let chain = Chain::new(4).unwrap();
    for (node, device) in [(3, "right"), (4, "left")] {
        chain
            .run(node, "ip", &["link", "set", device, "mtu", "1400"])
            .unwrap();
    }
    let host = chain.server_v4();
    assert_eq!(
        findings(&chain, &["--mtu", &host]),
        [
            "hop 1: the way to it takes packets of 1500 octets, as its router says",
            "hop 4: the way to it takes packets of 1400 octets, as its router says",
        ]
    );
    chain
        .drop_packets(
            3,
            "output",
            "icmp type destination-unreachable icmp code frag-needed",
        )
        .unwrap();
    chain.filter(2, "output", "ip ttl set 50").unwrap();
    assert_eq!(
        findings(&chain, &["--mtu", &host])[1..],
        [
            "hop 2: its answers come 16 hops back, as far as their TTL tells",
            "hop 4: packets larger than 1400 octets vanish on the way to it, and no router says so",
        ]
    );
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

#[test]
fn a_dead_resolver_costs_a_fraction_of_a_second() {
    if left_out("a_dead_resolver_costs_a_fraction_of_a_second") {
        return;
    }
    let chain = Chain::new(4).unwrap();
    // What `ip netns exec` lays over /etc: a resolver behind a wall.
    let etc = format!("/etc/netns/{}", chain.namespace(0));
    std::fs::create_dir_all(&etc).unwrap();
    std::fs::write(format!("{etc}/resolv.conf"), "nameserver 10.0.1.99\n").unwrap();
    chain.drop_packets(0, "output", "udp dport 53").unwrap();
    let host = chain.server_v4();
    let timed = |args: &[&str]| {
        let begun = Instant::now();
        written(chain.command(0, OURS, args));
        begun.elapsed()
    };
    let with_names = timed(&["-A", &host]);
    let without = timed(&["-n", &host]);
    std::fs::remove_dir_all(&etc).unwrap();
    // 0.1 s each for names and systems; the resolver's own patience is 5 s and more a name.
    let extra = with_names.saturating_sub(without);
    assert!(
        extra < Duration::from_secs(2),
        "{with_names:?} beside {without:?}"
    );
}
