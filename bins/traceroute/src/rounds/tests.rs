use std::net::IpAddr;

use netproto::icmp::{Reason, Unreachable};

use super::change::What;
use super::*;
use crate::probe::Told;

const TARGET: u8 = 99;

fn router(number: u8) -> IpAddr {
    IpAddr::from([10, 0, number, 1])
}

/// Who answers at each hop (0: nobody; from 100 a router of that number less 100 that refuses),
/// the last of them also at those behind.
type Path = &'static [u8];

fn ten_cycles() -> Plan {
    Plan {
        first_ttl: 1,
        max_ttl: 30,
        cycles: Some(10),
        interval: Duration::from_secs(1),
        waits: Waits::default(),
        packet_len: 60,
        gap: 3,
    }
}

/// Plays ten cycles of a second in virtual time over the path of each cycle, each hop after a
/// millisecond more than the one before.
fn played(path: impl Fn(u32) -> Path) -> (Rounds, Vec<Change>, Duration) {
    played_with(path, |_, _| {})
}

/// The same, with somebody who may meddle each time that the clock moves.
fn played_with(
    path: impl Fn(u32) -> Path,
    meddle: impl Fn(&mut Rounds, Duration),
) -> (Rounds, Vec<Change>, Duration) {
    let begun = Instant::now();
    let mut now = begun;
    let mut rounds = Rounds::new(ten_cycles());
    let mut changes = Vec::new();
    let mut on_their_way: Vec<Heard> = Vec::new();
    while !rounds.is_over() {
        meddle(&mut rounds, now - begun);
        while let Some(probe) = rounds.poll_send(now) {
            let path = path(rounds.cycle);
            rounds.on_sent(now);
            let hop = usize::from(probe.ttl - 1);
            let who = path.get(hop).copied().unwrap_or(*path.last().unwrap());
            let mark = match who {
                TARGET => Mark::Arrived,
                100.. => Mark::Refused(Reason::Unreachable(Unreachable::Host)),
                _ => Mark::Passing,
            };
            if who != 0 {
                on_their_way.push(Heard {
                    number: probe.number,
                    from: router(if who < 100 { who } else { who - 100 }),
                    mark,
                    at: now + Duration::from_millis(u64::from(probe.ttl)),
                    told: Told::default(),
                });
            }
        }
        changes.extend(std::iter::from_fn(|| rounds.poll_event(now)));
        let arrival = on_their_way.iter().map(|heard| heard.at).min();
        let wake = rounds.next_wake(now);
        now = match [arrival, wake].into_iter().flatten().min() {
            Some(next) => next.max(now),
            // Paused, it has nothing to wake for.
            None if rounds.is_paused() => now + Duration::from_millis(100),
            None => continue,
        };
        let (come, rest): (Vec<_>, Vec<_>) =
            on_their_way.into_iter().partition(|heard| heard.at <= now);
        on_their_way = rest;
        for heard in come {
            rounds.on_answer(heard);
        }
    }
    (rounds, changes, now - begun)
}

/// By hop: who answered last, how many probes, how many answers.
fn told(rounds: &Rounds) -> Vec<(Option<IpAddr>, u64, u64)> {
    let hops = rounds.hops().map(|(_, hop)| {
        let figures = &hop.figures;
        (hop.address(), figures.sent(), figures.answers())
    });
    hops.collect()
}

#[test]
fn each_hop_is_probed_once_a_cycle_and_none_beyond_the_target() {
    let (rounds, changes, took) = played(|_| &[1, 0, 3, TARGET]);
    assert_eq!(
        told(&rounds),
        [
            (Some(router(1)), 10, 10),
            (None, 10, 0),
            (Some(router(3)), 10, 10),
            (Some(router(TARGET)), 10, 10),
        ]
    );
    assert_eq!(changes, []);
    assert_eq!(rounds.target().map(|(ttl, _)| ttl), Some(4));
    // The first cycle found the target within four tenths of a second; nine seconds more.
    let expected = Duration::from_secs(9)..Duration::from_millis(10_500);
    assert!(expected.contains(&took), "{took:?}");
}

#[test]
fn a_dead_target_is_looked_for_no_farther_than_the_gap() {
    let (rounds, _, _) = played(|_| &[1, 2, 0]);
    let hops = told(&rounds);
    assert_eq!(hops.len(), 3, "{hops:?}");
    assert_eq!(hops[2], (None, 10, 0));
    assert!(rounds.target().is_none());
    assert_eq!(rounds.hops[4].figures.sent(), 10);
    assert_eq!(rounds.hops[5].figures.sent(), 0);
}

#[test]
fn a_path_that_changes_is_told_and_followed() {
    // The path before and after, what is told, the hops at the end.
    let cases: [(Path, Path, &[&str], usize); 7] = [
        // Another router.
        (
            &[1, 2, TARGET],
            &[1, 5, TARGET],
            &["hop 2 changed from 10.0.2.1 to 10.0.5.1"],
            3,
        ),
        // A longer way.
        (
            &[1, 2, TARGET],
            &[1, 5, 6, TARGET],
            &[
                "hop 2 changed from 10.0.2.1 to 10.0.5.1",
                "hop 3 changed from 10.0.99.1 to 10.0.6.1",
                "the way ends with the target at hop 4, before with the target at hop 3",
            ],
            4,
        ),
        // A shorter one.
        (
            &[1, 2, 3, TARGET],
            &[1, 5, TARGET],
            &[
                "hop 2 changed from 10.0.2.1 to 10.0.5.1",
                "hop 3 changed from 10.0.3.1 to 10.0.99.1",
                "the way ends with the target at hop 3, before with the target at hop 4",
            ],
            3,
        ),
        // A silent router more, and one less: no router shows it.
        (
            &[1, 2, TARGET],
            &[1, 2, 0, TARGET],
            &["the way ends with the target at hop 4, before with the target at hop 3"],
            4,
        ),
        (
            &[1, 2, 0, TARGET],
            &[1, 2, TARGET],
            &["the way ends with the target at hop 3, before with the target at hop 4"],
            3,
        ),
        // A router that no longer has a route, and one that has it again.
        (
            &[1, 2, TARGET],
            &[1, 2, 102],
            &[
                "hop 3 changed from 10.0.99.1 to 10.0.2.1",
                "the way ends with !H from 10.0.2.1 at hop 3, before with the target at hop 3",
            ],
            3,
        ),
        (
            &[1, 2, 102],
            &[1, 2, TARGET],
            &[
                "hop 3 changed from 10.0.2.1 to 10.0.99.1",
                "the way ends with the target at hop 3, before with !H from 10.0.2.1 at hop 3",
            ],
            3,
        ),
    ];
    for (before, after, expected, hops) in cases {
        let (rounds, changes, _) = played(|cycle| if cycle < 3 { before } else { after });
        let told: Vec<String> = changes.iter().map(|it| it.what.to_string()).collect();
        assert_eq!(told, expected, "{before:?} {after:?}");
        // It is told when it was first seen; a router that is silent must be missed three times.
        for change in &changes {
            let router = matches!(change.what, What::Router { .. });
            let cycles = if router { 4..=4 } else { 4..=8 };
            assert!(cycles.contains(&change.cycle), "{change:?}");
        }
        let end = rounds.hops().last();
        assert_eq!(end.map(|(ttl, _)| usize::from(ttl)), Some(hops));
        if *after.last().unwrap() == TARGET {
            assert_eq!(rounds.target().map(|(ttl, _)| usize::from(ttl)), Some(hops));
        }
    }
}

#[test]
fn a_target_that_loses_some_probes_has_not_moved() {
    // Three in a row are lost, so it is looked for farther away, where it answers too: as itself.
    let (_, changes, _) = played(|cycle| match cycle {
        2..=4 => &[1, 2, 0, 0],
        5 => &[1, 2, 0, TARGET],
        _ => &[1, 2, TARGET],
    });
    assert_eq!(changes, []);
}

#[test]
fn a_target_whose_last_probes_were_lost_has_no_hop_behind_it() {
    let (rounds, changes, _) = played(|cycle| match cycle {
        0..5 => &[1, 2, TARGET],
        _ => &[1, 2, 0, 0],
    });
    let hops = told(&rounds);
    assert_eq!(hops.len(), 3, "{hops:?}");
    assert_eq!(hops[2], (Some(router(TARGET)), 10, 5));
    assert_eq!(changes, []);
}

#[test]
fn a_target_that_has_moved_behind_a_silent_router_is_found_again() {
    let (rounds, _, _) = played(|cycle| {
        if cycle < 3 {
            &[1, 2, TARGET]
        } else {
            &[1, 2, 0, TARGET]
        }
    });
    let hops = told(&rounds);
    assert_eq!(hops.len(), 4, "{hops:?}");
    assert_eq!(hops[2], (Some(router(TARGET)), 10, 3));
    assert_eq!(rounds.target().map(|(ttl, _)| ttl), Some(4));
}

#[test]
fn all_that_answer_for_a_hop_are_counted_and_its_probes_remembered_in_order() {
    let (rounds, ..) = played(|cycle| match cycle {
        0..4 => &[1, 2, TARGET],
        4 | 5 => &[1, 0, TARGET],
        _ => &[1, 5, TARGET],
    });
    let (_, hop) = rounds.hops().nth(1).unwrap();
    let seen: Vec<_> = hop
        .addresses()
        .iter()
        .map(|it| (it.address, it.answers))
        .collect();
    assert_eq!(seen, [(router(2), 4), (router(5), 4)]);
    let answered = Fate::Answered(Duration::from_millis(2));
    let mut expected = [answered; 10];
    expected[4..6].fill(Fate::Lost);
    assert_eq!(hop.recent().collect::<Vec<_>>(), expected);
}

#[test]
fn a_hop_that_a_forger_answers_for_takes_no_more_room() {
    let mut hop = Hop::default();
    for number in 0..1_000 {
        hop.sent(number);
        let [high, low] = (number as u16).to_be_bytes();
        let rtt = Duration::from_millis(1);
        hop.answered(number, [10, 0, high, low].into(), Instant::now(), rtt);
    }
    assert_eq!(hop.addresses().len(), 16);
    assert_eq!(hop.figures.answers(), 1_000);
    assert_eq!(hop.recent().len(), 512);
}

#[test]
fn a_pause_costs_no_probe_and_nothing_is_caught_up() {
    let [paused, goes_on] = [3_050, 20_000].map(Duration::from_millis);
    let (rounds, changes, took) = played_with(
        |_| &[1, 2, TARGET],
        |rounds, elapsed| {
            if (paused..goes_on).contains(&elapsed) {
                rounds.pause();
            } else if rounds.is_paused() {
                rounds.go_on(Instant::now() + goes_on);
            }
        },
    );
    assert_eq!(told(&rounds)[1], (Some(router(2)), 10, 10));
    assert_eq!(changes, []);
    // Ten cycles take nine seconds and a little, and the pause was of 17.
    let expected = Duration::from_secs(25)..Duration::from_millis(27_500);
    assert!(expected.contains(&took), "{took:?}");
}

#[test]
fn a_reset_counts_from_nothing_and_still_knows_the_path() {
    let at = Duration::from_millis(5_900);
    let was = std::cell::Cell::new(false);
    let (rounds, changes, _) = played_with(
        |cycle| {
            if cycle < 6 {
                &[1, 2, TARGET]
            } else {
                &[1, 5, TARGET]
            }
        },
        |rounds, elapsed| {
            if elapsed >= at && !was.replace(true) {
                rounds.reset();
                assert_eq!(rounds.hops().count(), 3);
                assert!(rounds.hops().all(|(_, hop)| hop.figures.sent() == 0));
            }
        },
    );
    let hops = told(&rounds);
    assert!(
        hops.iter()
            .all(|(_, sent, answered)| sent == answered && (3..5).contains(sent))
    );
    let told: Vec<String> = changes.iter().map(|it| it.what.to_string()).collect();
    assert_eq!(told, ["hop 2 changed from 10.0.2.1 to 10.0.5.1"]);
}

#[test]
fn an_answer_after_its_deadline_is_lost_and_counted_as_late() {
    let begun = Instant::now();
    let ms = |ms: u64| begun + Duration::from_millis(ms);
    let mut rounds = Rounds::new(Plan {
        max_ttl: 1,
        ..ten_cycles()
    });
    let heard = |number: u16, at: Instant| Heard {
        number,
        from: router(1),
        mark: Mark::Passing,
        at,
        told: Told::default(),
    };
    for cycle in 0..3 {
        let probe = rounds.poll_send(ms(1_000 * cycle)).unwrap();
        rounds.on_sent(ms(1_000 * cycle));
        if cycle == 0 {
            rounds.on_answer(heard(probe.number, ms(1)));
        }
    }
    // After a second, as the answers are fast, the second probe is given up; the third is not.
    assert_eq!(rounds.poll_event(ms(2_100)), None);
    rounds.on_answer(heard(1, ms(2_500)));
    // A second answer to it, one to the first, and one to a probe that was never sent.
    for number in [1, 0, 7] {
        rounds.on_answer(heard(number, ms(2_600)));
    }
    let figures = &rounds.hops[0].figures;
    assert_eq!((figures.sent(), figures.answers()), (2, 1));
    assert_eq!(figures.late_answers(), 1);
    assert_eq!(figures.latest(), Some(Duration::from_millis(1_500)));
    let fates: Vec<Fate> = rounds.hops[0].recent().collect();
    let late = Fate::Late(Duration::from_millis(1_500));
    let answered = Fate::Answered(Duration::from_millis(1));
    assert_eq!(fates, [answered, late, Fate::InFlight]);
    // Three times as long as the late one took are given to the third, sent at 2 s.
    assert_eq!(rounds.poll_event(ms(6_400)), None);
    assert_eq!(rounds.hops[0].figures.sent(), 2);
    assert_eq!(rounds.poll_event(ms(6_600)), None);
    assert_eq!(rounds.hops[0].figures.sent(), 3);
    rounds.reset();
    assert_eq!(rounds.hops[0].figures.late_answers(), 0);
}

#[test]
fn bounds_are_of_the_target_and_one_that_is_not_kept_is_named() {
    // Four hops, 4 ms each time; the dead one is silent.
    let (alive, ..) = played(|_| &[1, 2, 3, TARGET]);
    let (dead, ..) = played(|_| &[1, 0]);
    let cases: [(&str, &Rounds, &[&str]); 4] = [
        ("loss<1%,hops<5,rtt<=4.001ms,jitter<1us", &alive, &[]),
        (
            "hops<4,best>5ms,worst<1s",
            &alive,
            &["hops<4 (it is 4)", "best>5ms (it is 4.000 ms)"],
        ),
        (
            "loss<1%,rtt<20ms",
            &dead,
            &[
                "loss<1% (it is 100.000%)",
                "rtt<20ms (too few answers to say)",
            ],
        ),
        ("loss<=100%", &dead, &[]),
    ];
    for (bounds, rounds, expected) in cases {
        let broken: Vec<String> = crate::assertion::parse(bounds)
            .unwrap()
            .iter()
            .filter_map(|one| one.check(rounds).err())
            .map(|broken| broken.to_string())
            .collect();
        let expected: Vec<String> = expected
            .iter()
            .map(|one| format!("assertion failed: {one}"))
            .collect();
        assert_eq!(broken, expected, "{bounds}");
    }
}
