use super::*;
use crate::probe::Told;

const TARGET: u8 = 99;

fn router(number: u8) -> IpAddr {
    IpAddr::from([10, 0, number, 1])
}

/// Plays ten cycles of a second in virtual time over the path of each cycle: who answers at each
/// hop (0: nobody), each hop after a millisecond more than the one before.
fn played(path: impl Fn(u32) -> &'static [u8]) -> (Rounds, Vec<Change>, Duration) {
    let begun = Instant::now();
    let mut now = begun;
    let mut rounds = Rounds::new(Plan {
        first_ttl: 1,
        max_ttl: 30,
        cycles: 10,
        interval: Duration::from_secs(1),
        waits: Waits::default(),
        packet_len: 60,
        gap: 3,
    });
    let mut changes = Vec::new();
    let mut on_their_way: Vec<Heard> = Vec::new();
    while !rounds.is_over() {
        while let Some(probe) = rounds.poll_send(now) {
            let path = path(rounds.cycle);
            rounds.on_sent(now);
            let hop = usize::from(probe.ttl - 1);
            let who = path.get(hop).copied().unwrap_or(*path.last().unwrap());
            let mark = if who == TARGET {
                Mark::Arrived
            } else {
                Mark::Passing
            };
            if who != 0 {
                on_their_way.push(Heard {
                    number: probe.number,
                    from: router(who),
                    mark,
                    at: now + Duration::from_millis(u64::from(probe.ttl)),
                    told: Told::default(),
                });
            }
        }
        changes.extend(std::iter::from_fn(|| rounds.poll_event(now)));
        let arrival = on_their_way.iter().map(|heard| heard.at).min();
        let wake = rounds.next_wake(now);
        let Some(next) = [arrival, wake].into_iter().flatten().min() else {
            continue;
        };
        now = next.max(now);
        let (come, rest): (Vec<_>, Vec<_>) =
            on_their_way.into_iter().partition(|heard| heard.at <= now);
        on_their_way = rest;
        for heard in come {
            rounds.on_answer(heard);
        }
    }
    (rounds, changes, now - begun)
}

/// The path before and after it changes, the changes that are told, the hops at the end.
type Case = (&'static [u8], &'static [u8], &'static [(u8, u8, u8)], usize);

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
    // Another router; a longer way; a shorter one.
    let cases: [Case; 3] = [
        (&[1, 2, TARGET], &[1, 5, TARGET], &[(2, 2, 5)], 3),
        (
            &[1, 2, TARGET],
            &[1, 5, 6, TARGET],
            &[(2, 2, 5), (3, TARGET, 6)],
            4,
        ),
        (
            &[1, 2, 3, TARGET],
            &[1, 5, TARGET],
            &[(2, 2, 5), (3, 3, TARGET)],
            3,
        ),
    ];
    for (before, after, expected, hops) in cases {
        let (rounds, changes, _) = played(|cycle| if cycle < 4 { before } else { after });
        let seen: Vec<_> = changes.iter().map(|it| (it.ttl, it.from, it.to)).collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|&(ttl, from, to)| (ttl, router(from), router(to)))
            .collect();
        assert_eq!(seen, expected);
        assert!(changes.iter().all(|it| it.cycle == 5), "{changes:?}");
        assert_eq!(rounds.target().map(|(ttl, _)| usize::from(ttl)), Some(hops));
        assert_eq!(rounds.hops().count(), hops);
    }
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
