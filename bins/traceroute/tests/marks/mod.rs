//! Why a way ends, as routers say it: every mark that a kernel can be made to cause, by UDP, ICMP
//! and TCP over IPv4 and IPv6. Those that it cannot are in `crafted.rs`.
//!
//! Each row has an address of its own behind the second router, whose last number is the row's.

use testkit::netns::Chain;

use crate::peer::{OURS, THEIRS, left_out};
use crate::{METHODS, compare, traced};

/// nft's names for what a filter may answer, and the mark. To traceroute a refused port is the
/// target itself.
const REJECTED_V4: [(&str, &str); 7] = [
    ("net-unreachable", " !N"),
    ("host-unreachable", " !H"),
    ("prot-unreachable", " !P"),
    ("port-unreachable", ""),
    ("net-prohibited", " !X"),
    ("host-prohibited", " !X"),
    ("admin-prohibited", " !X"),
];
/// IPv6 has no code for a protocol (it is a parameter problem there), and two that IPv4 has not.
const REJECTED_V6: [(&str, &str); 6] = [
    ("no-route", " !N"),
    ("admin-prohibited", " !X"),
    ("addr-unreachable", " !H"),
    ("port-unreachable", ""),
    ("policy-fail", " !<5>"),
    ("reject-route", " !<6>"),
];
/// Routes that lead nowhere, and the mark of each by IPv4 and by IPv6. A `blackhole` says nothing.
const ROUTED: [(&str, [Option<&str>; 2]); 4] = [
    ("unreachable", [Some(" !H"), Some(" !N")]),
    ("prohibit", [Some(" !X"), Some(" !X")]),
    ("throw", [Some(" !N"), Some(" !N")]),
    ("blackhole", [None, None]),
];
/// The first row of each kind.
const FIRST_REJECTED: usize = 1;
const FIRST_ROUTED: usize = 20;
/// The row of what a filter answers with a reset.
const RESET: usize = 40;

fn address(v6: bool, row: usize) -> String {
    if v6 {
        format!("2001:db8::{row}")
    } else {
        format!("203.0.113.{row}")
    }
}

/// Two routers; the second refuses.
fn refusing() -> Chain {
    let chain = Chain::new(2).unwrap();
    let mut rules = Vec::new();
    for (row, (kind, _)) in REJECTED_V4.iter().enumerate() {
        let to = address(false, FIRST_REJECTED + row);
        rules.push(format!("ip daddr {to} reject with icmp type {kind}"));
    }
    for (row, (kind, _)) in REJECTED_V6.iter().enumerate() {
        let to = address(true, FIRST_REJECTED + row);
        rules.push(format!("ip6 daddr {to} reject with icmpv6 type {kind}"));
    }
    for (v6, protocol) in [(false, "ip"), (true, "ip6")] {
        let to = address(v6, RESET);
        rules.push(format!(
            "{protocol} daddr {to} meta l4proto tcp reject with tcp reset"
        ));
        let network = [address(v6, 0), if v6 { "/64" } else { "/24" }.into()].concat();
        for node in 0..=2 {
            let via = if v6 {
                format!("fd00:0:0:{node}::2")
            } else {
                format!("10.0.{node}.2")
            };
            let route = ["route", "add", &network, "via", &via];
            chain.run(node, "ip", &route).unwrap();
        }
        for (row, (kind, _)) in ROUTED.iter().enumerate() {
            let to = address(v6, FIRST_ROUTED + row);
            let route = ["route", "add", kind, &to];
            chain.run(2, "ip", &route).unwrap();
        }
    }
    chain.filter(2, "forward", &rules.join("\n")).unwrap();
    chain
}

/// The last hop's line where all three probes came to this.
fn last_line(ttl: u8, from: &str, mark: &str) -> String {
    let time = format!("  T ms{mark}");
    format!("{ttl:2}  {from}{time}{time}{time}")
}

fn last_of(told: &str) -> &str {
    told.lines().last().unwrap()
}

#[test]
fn what_a_filter_answers_has_the_mark_of_the_linux_traceroute_by_every_method() {
    if left_out("what_a_filter_answers_has_the_mark_of_the_linux_traceroute_by_every_method") {
        return;
    }
    let chain = refusing();
    for method in METHODS {
        for (v6, rows, router) in [
            (false, &REJECTED_V4[..], "10.0.1.2"),
            (true, &REJECTED_V6[..], "fd00:0:0:1::2"),
        ] {
            for (row, (kind, mark)) in rows.iter().enumerate() {
                let target = address(v6, FIRST_REJECTED + row);
                let told = compare(&chain, &format!("-n {method} {target}"));
                // A filter looks at what the router forwards, whose TTL has not run out there.
                let expected = last_line(3, router, mark);
                assert_eq!(last_of(&told), expected, "{method} {kind}");
            }
        }
    }
    // In the target's name, as far as anybody can see.
    for v6 in [false, true] {
        let target = address(v6, RESET);
        let told = compare(&chain, &format!("-n -T {target}"));
        assert_eq!(last_of(&told), last_line(3, &target, ""));
    }
}

/// The kernel's own errors about routes: `ip_error` gives an IPv4 source five at once and one a
/// second, which a namespace cannot change, so that every run has a source of its own.
#[test]
fn routes_that_lead_nowhere_have_the_mark_of_the_linux_traceroute_by_every_method() {
    if left_out("routes_that_lead_nowhere_have_the_mark_of_the_linux_traceroute_by_every_method") {
        return;
    }
    let chain = refusing();
    let trace = |program: &str, source: &str, method: &str, target: &str| {
        let address = format!("{source}/24");
        let device = ["address", "add", &address, "dev", "right"];
        chain.run(0, "ip", &device).unwrap();
        let args = ["-n", "-s", source, "-w", "1", "-m", "4", method, target];
        traced(&chain, program, &args)
    };
    let mut sources = (100..).map(|host| format!("10.0.0.{host}"));
    for method in METHODS {
        for (row, (kind, marks)) in ROUTED.iter().enumerate() {
            let target = address(false, FIRST_ROUTED + row);
            let [ours, theirs] = [OURS, THEIRS]
                .map(|program| trace(program, &sources.next().unwrap(), method, &target));
            assert_eq!(ours, theirs, "{method} {kind} by IPv4");
            let target = address(true, FIRST_ROUTED + row);
            let v6 = compare(&chain, &format!("-n -w 1 -m 4 {method} {target}"));
            for (told, mark, router) in [
                (ours, marks[0], "10.0.1.2"),
                (v6, marks[1], "fd00:0:0:1::2"),
            ] {
                let expected = match mark {
                    Some(mark) => last_line(2, router, mark),
                    None => " 4  * * *".to_owned(),
                };
                assert_eq!(last_of(&told), expected, "{method} {kind}: {told}");
            }
        }
    }
}

/// What is too large for the second link. A SYN has the length that it has.
#[test]
fn what_is_too_large_for_a_link_has_the_mark_of_the_linux_traceroute() {
    if left_out("what_is_too_large_for_a_link_has_the_mark_of_the_linux_traceroute") {
        return;
    }
    let chain = Chain::new(2).unwrap();
    for (node, device) in [(1, "right"), (2, "left")] {
        let link = ["link", "set", device, "mtu", "1400"];
        chain.run(node, "ip", &link).unwrap();
    }
    for (host, router) in [
        (chain.server_v4(), "10.0.0.2"),
        (chain.server_v6(), "fd00::2"),
    ] {
        for method in ["-q3", "-I", "-UL", "-P253"] {
            let told = compare(&chain, &format!("-n {method} -F {host} 1450"));
            assert_eq!(last_of(&told), last_line(2, router, " !F-1400"), "{method}");
        }
        compare(&chain, &format!("-n -T -F {host} 1450"));
    }
}
