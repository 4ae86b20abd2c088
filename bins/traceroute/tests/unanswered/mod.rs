//! Hops and targets that do not answer: what is printed for them, and that they do not hold the
//! trace up.

use std::time::{Duration, Instant};

use testkit::netns::Chain;

use crate::peer::{OURS, left_out};
use crate::{METHODS, compare, traced};

/// All but what neighbours need to find each other; no packet has the protocol 255.
const ALL: &str =
    "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept\nmeta l4proto != 255";
/// The one answer that a router on the way owes.
const OWN_ERRORS: &str = "icmp type time-exceeded drop\nicmpv6 type time-exceeded";

/// Who answers at a hop.
type Router = fn(usize) -> String;

/// Traces to the server by every method over both versions, all at once, for waiting is most of it.
fn by_every_method(chain: &Chain, trace: impl Fn(&str, &str, Router) + Sync) {
    let v4 = |hop: usize| format!("10.0.{}.2", hop - 1);
    let v6 = |hop: usize| match hop - 1 {
        0 => "fd00::2".to_owned(),
        link => format!("fd00:0:0:{link}::2"),
    };
    let targets = [(chain.server_v4(), v4 as Router), (chain.server_v6(), v6)];
    std::thread::scope(|scope| {
        for (host, router) in &targets {
            for method in METHODS {
                scope.spawn(|| trace(method, host, *router));
            }
        }
    });
}

/// The line of a hop: who answers three times, or nobody.
fn line(hop: usize, from: Option<String>) -> String {
    match from {
        Some(from) => format!("\n{hop:2}  {from}  T ms  T ms  T ms"),
        None => format!("\n{hop:2}  * * *"),
    }
}

/// The second of four routers is mute, or sends no errors, and then answers when it is the target
/// itself.
#[test]
fn a_silent_router_is_stars_by_every_method_and_the_way_goes_on() {
    if left_out("a_silent_router_is_stars_by_every_method_and_the_way_goes_on") {
        return;
    }
    for (rule, answers_itself) in [(ALL, false), (OWN_ERRORS, true)] {
        let chain = Chain::new(4).unwrap();
        chain.drop_packets(2, "output", rule).unwrap();
        by_every_method(&chain, |method, host, router| {
            let told = compare(&chain, &format!("-n -w 1 {method} {host}"));
            for hop in 1..=5 {
                let from = (hop != 2).then(|| router(hop));
                assert!(told.contains(&line(hop, from)), "{method}: {told}");
            }
            let told = compare(&chain, &format!("-n -w 1 -m 3 {method} {}", router(2)));
            let from = answers_itself.then(|| router(2));
            assert!(told.contains(&line(2, from)), "{method}: {told}");
        });
    }
}

/// It would be five seconds, if it were waited for.
#[test]
fn a_silent_router_is_not_waited_for_once_later_ones_answered() {
    if left_out("a_silent_router_is_not_waited_for_once_later_ones_answered") {
        return;
    }
    let chain = Chain::new(3).unwrap();
    chain.drop_packets(2, "output", OWN_ERRORS).unwrap();
    by_every_method(&chain, |method, host, router| {
        let begun = Instant::now();
        let told = traced(&chain, OURS, &["-n", method, host]);
        let took = begun.elapsed();
        let expected = [line(2, None), line(3, Some(router(3)))].concat();
        assert!(told.contains(&expected), "{told}");
        assert!(took < Duration::from_secs(3), "{method}: {took:?}");
    });
}

/// Nobody has the address: the last router asks its link in vain, which takes it three seconds.
/// Then it refuses all that waited at once, of which its kernel sends no more than about 170.
#[test]
fn a_target_that_is_not_there_reads_as_in_the_linux_traceroute_by_every_method() {
    if left_out("a_target_that_is_not_there_reads_as_in_the_linux_traceroute_by_every_method") {
        return;
    }
    let chain = Chain::new(2).unwrap();
    by_every_method(&chain, |method, host, router| {
        // The router asks once for all who wait for an address: one for each trace.
        let nobody = match method {
            "-I" => "91",
            "-T" => "92",
            _ => "93",
        };
        let host = format!("{}{nobody}", host.strip_suffix('2').unwrap());
        let told = compare(&chain, &format!("-n -m 6 {method} {host}"));
        let router = router(2);
        let expected = format!("\n 3  {router}  T ms !H  T ms !H  T ms !H");
        assert!(told.contains(&expected), "{method}: {told}");
    });
}

/// The wall is a router on the way, or the target's own.
#[test]
fn a_target_behind_a_wall_reads_as_in_the_linux_traceroute_by_every_method() {
    if left_out("a_target_behind_a_wall_reads_as_in_the_linux_traceroute_by_every_method") {
        return;
    }
    for (node, hook) in [(3, "forward"), (4, "input")] {
        let chain = Chain::new(3).unwrap();
        chain.drop_packets(node, hook, ALL).unwrap();
        by_every_method(&chain, |method, host, router| {
            let told = compare(&chain, &format!("-n -w 1 -m 9 {method} {host}"));
            for hop in 1..=9 {
                let from = (hop <= 3).then(|| router(hop));
                assert!(told.contains(&line(hop, from)), "{method}: {told}");
            }
            assert_eq!(told.lines().count(), 1 + 9, "{method}: {told}");
        });
    }
}

/// The 81 probes to 27 silent hops go out 32 at once, and each makes room after 300 ms; then the
/// last is waited for: 3.6 s. One wait for each window would be 9 s, one for each hop 81 s.
#[test]
fn a_wall_costs_one_wait_by_every_method() {
    const IN_TIME: Duration = Duration::from_secs(7);
    if left_out("a_wall_costs_one_wait_by_every_method") {
        return;
    }
    let chain = Chain::new(3).unwrap();
    chain.drop_packets(3, "forward", ALL).unwrap();
    by_every_method(&chain, |method, host, _| {
        for (gap, last) in [("30", 30), ("3", 6)] {
            let begun = Instant::now();
            let args = ["-n", "--gap", gap, "-w", "3", method, host];
            let told = traced(&chain, OURS, &args);
            let took = begun.elapsed();
            assert!(told.ends_with(&(line(last, None) + "\n")), "{told}");
            assert!(took < IN_TIME, "{method}: {took:?}");
        }
    });
}
