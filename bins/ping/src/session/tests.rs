//! The session in virtual time: a script of sends and arrivals, and how it must stand at the end.

use super::*;

/// What happens, each at a number of milliseconds after the start.
#[derive(Clone, Copy)]
enum Step {
    /// The session is asked for a probe, which must be due.
    Send(u64),
    /// The kernel says that probe 1, 2, … left.
    Left(u64, u64),
    /// A reply with this sequence number.
    Reply(u64, u16),
    /// An ICMP error with this sequence number.
    Error(u16),
    /// A reply with a wrong checksum.
    Corrupt,
}

use Step::{Corrupt, Error, Left, Reply, Send};

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn plan() -> Plan {
    Plan {
        count: None,
        interval: ms(1000),
        pace: Pace::Fixed,
        preload: 1,
        patience: ms(10_000),
        deadline: None,
    }
}

fn played(plan: Plan, steps: &[Step]) -> (Session, Instant) {
    let start = Instant::now();
    let at = |after: u64| start + ms(after);
    let mut session = Session::new(plan, start);
    for step in steps {
        match *step {
            Send(after) => {
                assert!(session.poll_send(at(after)).is_some(), "due at {after} ms");
                session.on_sent(at(after));
            }
            Left(after, number) => session.on_left(number, at(after)),
            Reply(after, sequence) => {
                session.on_reply(sequence, at(after));
            }
            Error(sequence) => {
                session.on_error(sequence);
            }
            Corrupt => session.on_corrupt_reply(),
        }
    }
    (session, start)
}

const fn tally(
    received: u64,
    duplicates: u64,
    corrupted: u64,
    errors: u64,
    reordered: u64,
    late: u64,
) -> Tally {
    Tally {
        received,
        duplicates,
        corrupted,
        damaged: 0,
        errors,
        reordered,
        late,
    }
}

/// What happened, when it ended (ms), what is counted, and how many are in flight.
type Fate = (&'static str, &'static [Step], u64, Tally, u64);

const FATES: &[Fate] = &[
    ("nothing was sent", &[], 0, tally(0, 0, 0, 0, 0, 0), 0),
    (
        "answered",
        &[Send(0), Reply(20, 1), Send(1000), Reply(1030, 2)],
        2000,
        tally(2, 0, 0, 0, 0, 0),
        0,
    ),
    (
        "the last is in flight at the end",
        &[Send(0), Reply(20, 1), Send(1000)],
        1010,
        tally(1, 0, 0, 0, 0, 0),
        1,
    ),
    (
        "the last is lost at the end",
        &[Send(0), Reply(20, 1), Send(1000)],
        1041,
        tally(1, 0, 0, 0, 0, 0),
        0,
    ),
    (
        "a silent host's probes are lost after a second",
        &[Send(0), Send(1000), Send(2000)],
        2500,
        tally(0, 0, 0, 0, 0, 0),
        1,
    ),
    (
        "a duplicate counts once as an answer",
        &[Send(0), Reply(20, 1), Reply(21, 1), Reply(22, 1)],
        500,
        tally(1, 2, 0, 0, 0, 0),
        0,
    ),
    (
        "the second answer overtook the first",
        &[
            Send(0),
            Reply(900, 1),
            Send(1000),
            Send(2000),
            Reply(2010, 3),
            Reply(2020, 2),
        ],
        3000,
        tally(3, 0, 0, 0, 1, 0),
        0,
    ),
    (
        "a late answer is no loss",
        &[
            Send(0),
            Reply(20, 1),
            Send(1000),
            Send(2000),
            Reply(2020, 3),
            Reply(2500, 2),
        ],
        3000,
        tally(3, 0, 0, 0, 1, 1),
        0,
    ),
    (
        "an error ends the wait for its probe",
        &[Send(0), Error(1)],
        6,
        tally(0, 0, 0, 1, 0, 0),
        0,
    ),
    (
        "a corrupt reply answers nothing",
        &[Send(0), Corrupt],
        10,
        tally(0, 0, 1, 0, 0, 0),
        1,
    ),
    (
        "a number that was never sent answers nothing",
        &[Send(0), Reply(20, 1), Reply(21, 2), Reply(22, 0), Error(9)],
        500,
        tally(1, 0, 0, 0, 0, 0),
        0,
    ),
];

#[test]
fn every_probe_is_counted_as_what_became_of_it() {
    for (name, steps, end, expected, in_flight) in FATES {
        let (session, start) = played(plan(), steps);
        let summary = session.summary(start + ms(*end));
        assert_eq!(summary.tally, *expected, "{name}");
        assert_eq!(summary.in_flight, *in_flight, "{name}");
    }
}

#[test]
fn the_round_trip_begins_when_the_probe_leaves_not_when_it_is_handed_over() {
    // A neighbour look-up of a second before the first probe leaves.
    let (session, start) = played(plan(), &[Send(0), Left(1000, 1), Reply(1004, 1)]);
    let rtt = session.summary(start + ms(1100)).rtt.unwrap();
    assert_eq!(rtt.max, ms(4));
    // A departure from before the send is none.
    let (session, start) = played(
        plan(),
        &[Send(0), Reply(1, 1), Send(1000), Left(0, 2), Reply(1007, 2)],
    );
    assert_eq!(session.summary(start + ms(1100)).rtt.unwrap().max, ms(7));
}

#[test]
fn the_pace_is_kept_by_absolute_deadlines() {
    // Each send is 30 ms late; the next is due a whole number of seconds after the start.
    let (session, start) = played(plan(), &[Send(30), Send(1030), Send(2030)]);
    assert_eq!(session.next_wake(), Some(start + ms(3000)));
    // Held up for five seconds: one probe, not five.
    let (session, start) = played(plan(), &[Send(0), Send(5500)]);
    assert_eq!(session.poll_send(start + ms(5600)), None);
    assert_eq!(session.next_wake(), Some(start + ms(6500)));
}

#[test]
fn a_preload_is_sent_at_once_and_the_interval_follows() {
    let plan = Plan {
        preload: 3,
        ..plan()
    };
    let (session, start) = played(plan, &[Send(0), Send(0), Send(0)]);
    assert_eq!(session.poll_send(start + ms(999)), None);
    assert_eq!(session.poll_send(start + ms(1000)), Some(4));
}

#[test]
fn a_flood_waits_for_an_answer_or_ten_milliseconds() {
    let plan = Plan {
        pace: Pace::Flood,
        ..plan()
    };
    let (session, start) = played(plan.clone(), &[Send(0)]);
    assert_eq!(session.poll_send(start + ms(9)), None);
    assert_eq!(session.poll_send(start + ms(10)), Some(2));
    let (session, start) = played(plan, &[Send(0), Reply(1, 1)]);
    assert_eq!(session.poll_send(start + ms(1)), Some(2));
}

#[test]
fn an_adaptive_pace_follows_the_round_trip_time() {
    let plan = Plan {
        pace: Pace::Adaptive,
        ..plan()
    };
    let (session, start) = played(plan, &[Send(0), Reply(40, 1), Send(1000), Reply(1040, 2)]);
    assert_eq!(session.poll_send(start + ms(1039)), None);
    assert_eq!(session.poll_send(start + ms(1041)), Some(3));
}

#[test]
fn a_session_ends_when_iputils_would() {
    let counted = Plan {
        count: Some(2),
        ..plan()
    };
    let timed = Plan {
        deadline: Some(ms(3000)),
        ..counted.clone()
    };
    let impatient = Plan {
        patience: ms(500),
        ..counted.clone()
    };
    let cases: &[(&str, &Plan, &[Step], u64)] = &[
        (
            "all answered",
            &counted,
            &[Send(0), Reply(9, 1), Send(1000), Reply(1009, 2)],
            0,
        ),
        (
            "no answer: patience",
            &counted,
            &[Send(0), Send(1000)],
            11_000,
        ),
        (
            "no answer: less patience",
            &impatient,
            &[Send(0), Send(1000)],
            1500,
        ),
        (
            "some answers: an interval",
            &counted,
            &[Send(0), Reply(9, 1), Send(1000)],
            2000,
        ),
        (
            "long round trips: two of them",
            &counted,
            &[Send(0), Reply(900, 1), Send(1000)],
            2800,
        ),
        (
            "errors are answers too",
            &counted,
            &[Send(0), Error(1), Send(1000), Error(2)],
            0,
        ),
        (
            "a deadline",
            &timed,
            &[Send(0), Send(1000), Send(2000)],
            3000,
        ),
        (
            "an error before the deadline",
            &timed,
            &[Send(0), Error(1)],
            0,
        ),
    ];
    for (name, plan, steps, end) in cases {
        let (session, start) = played((*plan).clone(), steps);
        assert!(session.is_over(start + ms(*end)), "{name}");
        assert!(
            *end == 0 || !session.is_over(start + ms(end - 1)),
            "{name}: too soon"
        );
    }
}

#[test]
fn with_a_deadline_success_means_as_many_answers_as_asked_for() {
    let steps = [Send(0), Reply(9, 1)];
    for (count, deadline, success) in [
        (None, None, true),
        (Some(2), None, true),
        (Some(2), Some(ms(5000)), false),
        (Some(1), Some(ms(5000)), true),
    ] {
        let plan = Plan {
            count,
            deadline,
            ..plan()
        };
        let (session, start) = played(plan, &steps);
        let summary = session.summary(start + ms(500));
        assert_eq!(summary.success, success, "{count:?} {deadline:?}");
    }
}

#[test]
fn sequence_numbers_wrap_without_confusion() {
    let start = Instant::now();
    let mut session = Session::new(plan(), start);
    for number in 1..=70_000_u64 {
        session.on_sent(start + ms(number));
    }
    // 70,000 is 4,464 in 16 bits; 40,000 is older than what is remembered.
    let verdict = session.on_reply(4464, start + ms(70_001));
    let Verdict::Answered { trip, .. } = verdict else {
        panic!("{verdict:?}");
    };
    assert_eq!(trip.rtt, ms(1));
    assert_eq!(session.on_reply(4465, start + ms(70_001)), Verdict::Unknown);
    let oldest = (70_000_u64 - 32_767) as u16;
    let verdict = session.on_reply(oldest, start + ms(70_001));
    let Verdict::Answered { trip, .. } = verdict else {
        panic!("{verdict:?}");
    };
    assert_eq!(trip.rtt, ms(32_768));
}
