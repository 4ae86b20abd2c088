use std::time::Duration;

use super::*;
use crate::probe::Told;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn router(hop: u8) -> IpAddr {
    IpAddr::from([10, 0, hop, 1])
}

fn plan(max_ttl: u8, window: usize) -> Plan {
    Plan {
        first_ttl: 1,
        max_ttl,
        queries: 3,
        window,
        waits: Waits {
            max: ms(5000),
            here: 3.0,
            near: 10.0,
        },
        spacing: Duration::ZERO,
        packet_len: 60,
        discover_mtu: false,
        least_len: 60,
        gap: None,
    }
}

fn heard(number: u16, at: Instant, hop: u8, mark: Mark) -> Heard {
    Heard {
        number,
        from: router(hop),
        mark,
        at,
        told: Told::default(),
    }
}

/// Plays a trace in virtual time over hops whose probes return after so many milliseconds
/// (none: silent), the last of them the target. When it ended, and the times told by hop.
fn traced(plan: Plan, hops: &[Option<u64>]) -> (Duration, Vec<Vec<Option<Duration>>>) {
    let start = Instant::now();
    let mut now = start;
    let mut session = Session::new(plan);
    let mut on_their_way: Vec<(Instant, Probe)> = Vec::new();
    let mut told: Vec<Vec<Option<Duration>>> = Vec::new();
    while !session.is_over() {
        while let Some(probe) = session.poll_send(now) {
            session.on_sent(now);
            let hop = usize::from(probe.ttl - 1).min(hops.len() - 1);
            on_their_way.extend(hops[hop].map(|after| (now + ms(after), probe)));
        }
        while let Some(fate) = session.poll_event(now) {
            if fate.first_of_hop {
                told.push(Vec::new());
            }
            let times = told.last_mut().unwrap();
            times.push(fate.answer.map(|answer| answer.rtt));
        }
        let arrival = on_their_way.iter().map(|probe| probe.0).min();
        let Some(next) = [arrival, session.next_wake(now)]
            .into_iter()
            .flatten()
            .min()
        else {
            break;
        };
        now = now.max(next);
        on_their_way.retain(|&(at, probe)| {
            if at > now {
                return true;
            }
            let ttl = probe.ttl;
            let mark = if usize::from(ttl) >= hops.len() {
                Mark::Arrived
            } else {
                Mark::Passing
            };
            session.on_answer(heard(probe.number, at, ttl, mark));
            false
        });
    }
    (now - start, told)
}

#[test]
fn a_trace_takes_as_long_as_its_hops_make_it() {
    /// The last TTL, the hops, how long it takes and how many hops are told.
    type Case = (&'static str, u8, &'static [Option<u64>], Duration, usize);
    let cases: &[Case] = &[
        (
            "ten healthy hops: one round trip",
            30,
            &[Some(100); 10],
            ms(100),
            10,
        ),
        // 10 × the 100 ms of the next hop that answered.
        (
            "silence before an answer",
            30,
            &[Some(100), None, Some(100)],
            ms(1000),
            3,
        ),
        // Ten times nothing would be nothing.
        (
            "silence before an answer at once",
            30,
            &[Some(0), None, Some(0)],
            ms(20),
            3,
        ),
        ("a dead target", 8, &[Some(100), None], ms(5000), 8),
    ];
    for (name, max_ttl, hops, took, told) in cases {
        let (elapsed, times) = traced(plan(*max_ttl, 32), hops);
        assert_eq!(times.len(), *told, "{name}");
        assert_eq!(elapsed, *took, "{name}");
    }
}

#[test]
fn a_silent_tail_costs_one_wait_not_one_for_each_window() {
    let (elapsed, told) = traced(plan(30, 32), &[Some(10), None]);
    assert_eq!(told.len(), 30);
    // 87 silent probes: three windows of 300 ms at most, then the wait of 5 s.
    assert!(elapsed <= ms(5000 + 900), "{elapsed:?}");
}

#[test]
fn nothing_beyond_the_target_is_told() {
    let (_, told) = traced(plan(30, 90), &[Some(1), Some(2), Some(3)]);
    let expected = [1, 2, 3].map(|after| vec![Some(ms(after)); 3]);
    assert_eq!(told, expected);
}

#[test]
fn a_second_answer_to_a_probe_changes_nothing() {
    let start = Instant::now();
    let mut session = Session::new(plan(1, 1));
    session.on_sent(start);
    session.on_answer(heard(0, start + ms(5), 1, Mark::Passing));
    session.on_answer(heard(0, start + ms(9), 2, Mark::Arrived));
    let answer = session.poll_event(start + ms(9)).unwrap().answer.unwrap();
    assert_eq!((answer.from, answer.rtt), (router(1), ms(5)));
}

#[test]
fn the_round_trip_begins_when_the_probe_leaves() {
    let start = Instant::now();
    let mut session = Session::new(plan(1, 1));
    session.on_sent(start);
    session.on_left(0, start + ms(900));
    session.on_answer(heard(0, start + ms(904), 1, Mark::Arrived));
    let answer = session.poll_event(start + ms(904)).unwrap().answer.unwrap();
    assert_eq!(answer.rtt, ms(4));
}

#[test]
fn spacing_is_kept_and_a_window_of_one_waits_for_each_fate() {
    let spaced = Plan {
        spacing: ms(50),
        ..plan(2, 32)
    };
    // Six probes, 50 ms apart, the last answered after 100 ms.
    let (took, _) = traced(spaced, &[Some(1), Some(100)]);
    assert_eq!(took, ms(5 * 50 + 100));
    // Two silent probes cost 5 s each before the third hop is asked, for none is near yet.
    let one_by_one = Plan {
        queries: 1,
        ..plan(3, 1)
    };
    let (took, _) = traced(one_by_one, &[None, None, Some(100)]);
    assert_eq!(took, ms(5000 + 5000 + 100));
}

#[test]
fn a_gap_of_silent_hops_ends_the_trace_only_where_nothing_answers_behind_it() {
    let gap = Plan {
        gap: Some(4),
        ..plan(30, 90)
    };
    let (_, told) = traced(gap, &[Some(10), None]);
    assert_eq!(told.len(), 5);
    let (_, told) = traced(gap, &[Some(10), None, None, None, None, None, Some(10)]);
    assert_eq!(told.len(), 7);
}

/// Plays a trace with path MTU discovery, one probe after the other, over hops that take so many
/// octets each; a hop's router tells the MTU or says nothing. The notes by hop, and whether the
/// first probe of each hop was answered.
fn discovered(links: &[(u16, bool)]) -> Vec<(Option<MtuNote>, bool)> {
    let plan = Plan {
        discover_mtu: true,
        packet_len: 1500,
        window: 1,
        ..plan(links.len() as u8, 1)
    };
    let mut now = Instant::now();
    let mut session = Session::new(plan);
    let mut told = Vec::new();
    while !session.is_over() {
        if let Some(probe) = session.poll_send(now) {
            session.on_sent(now);
            now += ms(1);
            let way = &links[..usize::from(probe.ttl)];
            match way.iter().position(|(mtu, _)| *mtu < probe.packet_len) {
                None => session.on_answer(heard(probe.number, now, probe.ttl, Mark::Passing)),
                // The router before the link tells.
                Some(at) if links[at].1 => {
                    let mtu = u32::from(links[at].0);
                    let mark = Mark::Refused(Reason::PacketTooBig { mtu });
                    session.on_answer(heard(probe.number, now, at as u8, mark));
                }
                Some(_) => {}
            }
        }
        while let Some(fate) = session.poll_event(now) {
            if fate.first_of_hop {
                told.push((fate.note, fate.answer.is_some()));
            }
        }
        now = session.next_wake(now).unwrap_or(now).max(now);
    }
    told
}

#[test]
fn the_path_mtu_is_told_or_found_where_it_falls() {
    let told = |mtu, hop| {
        Some(MtuNote::Told {
            mtu,
            by: Some(router(hop)),
        })
    };
    let found = |mtu| Some(MtuNote::Found { mtu });
    assert_eq!(
        discovered(&[(1500, true), (1400, true), (1400, true), (1300, true)]),
        [
            (None, true),
            (told(1400, 1), true),
            (None, true),
            (told(1300, 3), true)
        ]
    );
    assert_eq!(
        discovered(&[(1500, false), (1400, false), (1400, false), (1280, true)]),
        [
            (None, true),
            (found(1400), true),
            (None, true),
            (told(1280, 3), true)
        ]
    );
    // A hop that answers to nothing is no black hole.
    assert_eq!(
        discovered(&[(1500, false), (0, false)]),
        [(None, true), (None, false)]
    );
}
