//! Origins that come and go, in a time of their own.

use super::*;

const NOW: u64 = 1000;

fn standing(busy: usize, out_until: u64, fails_checks: bool) -> Standing {
    Standing {
        busy,
        out_until,
        fails_checks,
    }
}

#[test]
fn the_next_is_one_that_does_well_and_if_none_does_the_one_that_may_be_back_first() {
    use Balance::{LeastConnections, RoundRobin};
    let well = |busy| standing(busy, 0, false);
    let out = |until| standing(0, until, false);
    let unhealthy = standing(0, 0, true);
    // How they stand, in the order of their turns; which is asked.
    let cases = [
        (RoundRobin, vec![well(9), well(0)], Some(0)),
        (LeastConnections, vec![well(9), well(0)], Some(1)),
        (LeastConnections, vec![well(3), well(3), well(4)], Some(0)),
        (RoundRobin, vec![out(NOW + 1), well(0)], Some(1)),
        (RoundRobin, vec![out(NOW), well(0)], Some(0)),
        (LeastConnections, vec![out(NOW + 1), well(5)], Some(1)),
        (RoundRobin, vec![unhealthy, well(0)], Some(1)),
        (RoundRobin, vec![out(NOW + 9), out(NOW + 5)], Some(1)),
        (RoundRobin, vec![unhealthy, out(NOW + 5)], Some(1)),
        (RoundRobin, vec![unhealthy], Some(0)),
        (RoundRobin, vec![], None),
    ];
    for (balance, all, expected) in cases {
        let picked = pick(0..all.len(), |number| all[number], balance, NOW);
        assert_eq!(picked, expected, "{balance:?} {all:?}");
    }
}

fn two() -> (Arc<Origins>, Instant) {
    let names = ["a:80", "b:80"].map(str::to_owned);
    let origins = Arc::new(Origins::new(names, Balance::RoundRobin));
    let start = origins.since;
    (origins, start)
}

#[test]
fn each_has_its_turn_and_who_was_tried_is_not_tried_again() {
    let (origins, start) = two();
    let turns: Vec<_> = (0..4)
        .map(|_| origins.choose(&[], start).unwrap().number())
        .collect();
    assert_eq!(turns, [0, 1, 0, 1]);
    for _ in 0..2 {
        assert_eq!(origins.choose(&[0], start).unwrap().number(), 1);
    }
    assert!(origins.choose(&[0, 1], start).is_none());
}

#[test]
fn who_fails_is_left_out_for_longer_each_time_until_it_does_well() {
    let (origins, start) = two();
    let mut now = start;
    for seconds in [1, 2, 4, 8, 16, 30, 30] {
        let busy = origins.choose(&[1], now).unwrap();
        busy.failed(now, now);
        let almost = now + Duration::from_millis(seconds * 1000 - 1);
        for _ in 0..2 {
            assert_eq!(origins.choose(&[], almost).unwrap().number(), 1);
        }
        assert_eq!(origins.states(almost)[0].state, "out");
        now += Duration::from_secs(seconds);
        assert_eq!(origins.states(now)[0].state, "in");
    }
    origins.choose(&[1], now).unwrap().succeeded();
    origins.choose(&[1], now).unwrap().failed(now, now);
    assert_eq!(
        origins.states(now + OUT_FOR)[0].state,
        "in",
        "from the beginning"
    );
}

#[test]
fn all_that_was_under_way_when_it_failed_is_one_failure() {
    let (origins, start) = two();
    let later = start + Duration::from_millis(5);
    let under_way: Vec<_> = (0..100)
        .map(|_| origins.choose(&[1], start).unwrap())
        .collect();
    for busy in under_way {
        busy.failed(start, later);
    }
    assert_eq!(origins.states(later + OUT_FOR)[0].state, "in");
    assert_eq!(origins.states(later)[0].failures, 100);
}

#[test]
fn one_request_tries_it_when_its_time_is_over_while_others_keep_away() {
    let (origins, start) = two();
    origins.choose(&[1], start).unwrap().failed(start, start);
    let back = start + OUT_FOR;
    let numbers: Vec<_> = (0..4)
        .map(|_| origins.choose(&[], back).unwrap().number())
        .collect();
    assert_eq!(numbers.iter().filter(|number| **number == 0).count(), 1);
}

#[test]
fn a_check_that_fails_keeps_it_out_and_one_that_passes_brings_it_back_at_once() {
    let (origins, start) = two();
    assert!(origins.checked(0, false), "that is news");
    assert!(!origins.checked(0, false));
    assert_eq!(origins.count_in(start), 1);
    for _ in 0..3 {
        assert_eq!(origins.choose(&[], start).unwrap().number(), 1);
    }
    origins.choose(&[1], start).unwrap().failed(start, start);
    assert!(origins.checked(0, true));
    assert_eq!(origins.count_in(start), 2);
}
