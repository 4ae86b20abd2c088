//! The same trace by this traceroute and by the installed one gives the same lines, times masked.
//! Takes root and a namespaced network.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::{Duration, Instant};

use testkit::netns::{Chain, unavailable};

const OURS: &str = env!("CARGO_BIN_EXE_traceroute");
const THEIRS: &str = "traceroute";

/// Why the test is left out, said by name; nothing when it can run.
fn left_out(test: &str) -> bool {
    let why = unavailable(&[THEIRS, "nft"]);
    if let Some(why) = &why {
        eprintln!("left out: {test}: {why}");
    }
    why.is_some()
}

/// The text with every time in it replaced: the word before "ms".
fn masked(text: &str) -> String {
    let mut words: Vec<&str> = Vec::new();
    for word in text.split(' ') {
        if word.trim_end() == "ms"
            && let Some(last) = words.last_mut()
        {
            *last = "T";
        }
        words.push(word);
    }
    words.join(" ")
}

fn traced(chain: &Chain, program: &str, args: &[&str]) -> String {
    let output = chain.command(0, program, args).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    // "5.1 ms\n 2 " would hide the "ms" from the mask.
    masked(&String::from_utf8_lossy(&output.stdout).replace('\n', " \n "))
}

fn compare(chain: &Chain, args: &str) {
    let args: Vec<&str> = args.split(' ').collect();
    let ours = traced(chain, OURS, &args);
    let theirs = traced(chain, THEIRS, &args);
    assert_eq!(ours, theirs, "traceroute {args:?}");
    assert!(ours.contains(" T ms"), "{ours}");
}

#[test]
fn a_chain_of_routers_reads_as_in_the_linux_traceroute() {
    if left_out("a_chain_of_routers_reads_as_in_the_linux_traceroute") {
        return;
    }
    let chain = Chain::new(4).unwrap();
    for host in [chain.server_v4(), chain.server_v6()] {
        for options in ["-n", "", "-I -n", "-n -f 3 -m 4", "-n -q 1", "-n -m 2"] {
            compare(&chain, format!("{options} {host}").trim());
        }
    }
    compare(&chain, &format!("-n {} 100", chain.server_v4()));
    compare(&chain, &format!("-n -s 10.0.0.1 {}", chain.server_v4()));
}

#[test]
fn refusals_have_the_marks_of_the_linux_traceroute() {
    if left_out("refusals_have_the_marks_of_the_linux_traceroute") {
        return;
    }
    for (rule, mark) in [
        ("ip ttl > 0 reject with icmp type net-unreachable", " !N"),
        ("ip ttl > 0 reject with icmp type host-unreachable", " !H"),
        ("ip ttl > 0 reject with icmp type prot-unreachable", " !P"),
        ("ip ttl > 0 reject with icmp type admin-prohibited", " !X"),
        ("ip6 hoplimit > 0 reject with icmpv6 type no-route", " !N"),
        (
            "ip6 hoplimit > 0 reject with icmpv6 type addr-unreachable",
            " !H",
        ),
        (
            "ip6 hoplimit > 0 reject with icmpv6 type admin-prohibited",
            " !X",
        ),
    ] {
        let chain = Chain::new(2).unwrap();
        chain.filter(2, "forward", rule).unwrap();
        let host = if rule.starts_with("ip6") {
            chain.server_v6()
        } else {
            chain.server_v4()
        };
        compare(&chain, &format!("-n {host}"));
        assert!(
            traced(&chain, OURS, &["-n", &host]).contains(mark),
            "{rule}"
        );
    }
}

#[test]
fn a_silent_router_is_stars_and_is_not_waited_for_once_later_ones_answered() {
    if left_out("a_silent_router_is_stars_and_is_not_waited_for_once_later_ones_answered") {
        return;
    }
    let chain = Chain::new(3).unwrap();
    chain
        .drop_packets(2, "output", "icmp type time-exceeded")
        .unwrap();
    let host = chain.server_v4();
    let begun = Instant::now();
    let ours = traced(&chain, OURS, &["-n", &host]);
    let took = begun.elapsed();
    assert!(ours.contains("\n  2  * * * \n  3  10.0.2.2"), "{ours}");
    assert_eq!(ours, traced(&chain, THEIRS, &["-n", &host]));
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[test]
fn without_root_udp_goes_by_the_error_queue() {
    if left_out("without_root_udp_goes_by_the_error_queue") {
        return;
    }
    let chain = Chain::new(3).unwrap();
    for host in [chain.server_v4(), chain.server_v6()] {
        let as_root = traced(&chain, OURS, &["-n", &host]);
        let args = [
            "--bounding-set=-net_raw",
            "--inh-caps=-net_raw",
            OURS,
            "-n",
            &host,
        ];
        assert_eq!(traced(&chain, "setpriv", &args), as_root);
    }
}
