use super::*;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn address(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

fn plan(count: u32) -> Plan {
    Plan {
        count: Some(count),
        interval: ms(1000),
        spacing: ms(10),
        patience: ms(500),
        deadline: None,
    }
}

fn sweep(count: u32, targets: u8) -> (Session, Instant) {
    let start = Instant::now();
    let session = Session::new(plan(count), (1..=targets).map(address), start);
    (session, start)
}

#[test]
fn probes_go_round_with_their_spacing_and_each_target_has_its_interval() {
    let (mut session, start) = sweep(2, 3);
    for (at, target) in [(0, 0), (10, 1), (20, 2), (1000, 0), (1010, 1), (1020, 2)] {
        let now = start + ms(at);
        assert_eq!(session.next_wake(), now, "{at}");
        let before = start + ms(u64::saturating_sub(at, 1));
        assert_eq!(session.poll_send(before).is_some(), at == 0);
        assert_eq!(session.poll_send(now).map(|due| due.target), Some(target));
        session.on_sent(now);
    }
    assert_eq!(session.poll_send(start + ms(1100)), None);
    assert!(!session.is_over(start + ms(1519)));
    assert!(session.is_over(start + ms(1520)));
}

#[test]
fn an_answer_counts_only_for_the_target_that_sent_it() {
    let (mut session, start) = sweep(1, 2);
    session.on_sent(start);
    session.on_sent(start + ms(10));
    assert_eq!(session.on_reply(0, address(2), start + ms(20)), None);
    assert_eq!(session.on_reply(7, address(2), start + ms(20)), None);
    assert_eq!(session.on_reply(1, address(2), start + ms(20)), Some(1));
    assert_eq!(session.on_reply(1, address(2), start + ms(21)), None);
    session.on_error(0, address(2));
    let [silent, alive] = [0, 1].map(|at| session.summary(at, start + ms(600)).unwrap());
    assert_eq!((silent.tally, silent.loss().lost), (Tally::default(), 1));
    assert_eq!((alive.tally.received, alive.tally.duplicates), (1, 1));
    assert_eq!(alive.rtt.unwrap().min, ms(10));
}

#[test]
fn it_ends_at_once_when_all_are_answered_or_failed() {
    let (mut session, start) = sweep(1, 3);
    session.on_sent(start);
    session.on_sent(start);
    session.on_send_failed(start);
    assert!(!session.is_over(start + ms(1)));
    session.on_reply(0, address(1), start + ms(1));
    session.on_error(1, address(2));
    assert!(session.is_over(start + ms(1)));
}

#[test]
fn a_number_is_not_used_again_while_its_probe_may_be_answered() {
    let start = Instant::now();
    let plan = Plan {
        interval: Duration::ZERO,
        spacing: Duration::ZERO,
        ..plan(70_000)
    };
    let mut session = Session::new(plan, [address(1)], start);
    for _ in 0..NUMBERS {
        assert!(session.poll_send(start).is_some());
        session.on_sent(start);
    }
    assert_eq!(session.poll_send(start), None);
    assert_eq!(session.next_wake(), start + ms(500));
    session.on_reply(0, address(1), start + ms(1));
    let again = session.poll_send(start + ms(1)).map(|due| due.sequence);
    assert_eq!(again, Some(0));
}

#[test]
fn time_missed_is_not_made_up_for_in_a_burst() {
    let (mut session, start) = sweep(1, 100);
    session.on_sent(start);
    session.on_sent(start + ms(300));
    assert!(session.poll_send(start + ms(300)).is_some());
    session.on_sent(start + ms(300));
    assert_eq!(session.poll_send(start + ms(309)), None);
}

#[test]
fn a_sweep_without_an_end_remembers_as_many_probes_as_there_are_numbers() {
    let start = Instant::now();
    let plan = Plan {
        count: None,
        interval: Duration::ZERO,
        spacing: Duration::ZERO,
        ..plan(1)
    };
    let mut session = Session::new(plan, [address(1), address(2)], start);
    // Of 100,000 probes, those to the first are answered after a millisecond.
    for number in 0..100_000_u64 {
        let now = start + ms(number);
        let due = session.poll_send(now).unwrap();
        session.on_sent(now);
        if due.target == 0 {
            session.on_reply(due.sequence, address(1), now + ms(1));
        }
    }
    let end = start + ms(200_000);
    assert!(!session.is_over(end));
    let remembered: usize = (0..2)
        .map(|target| session.probes(target, end).count())
        .sum();
    assert_eq!(remembered, NUMBERS);
    for (target, received) in [(0, 50_000), (1, 0)] {
        let summary = session.summary(target, end).unwrap();
        assert_eq!(summary.transmitted, 50_000);
        assert_eq!(summary.tally.received, received);
        assert_eq!(summary.loss().lost, 50_000 - received);
        assert_eq!(summary.quality.outage_count, u64::from(target == 1));
    }
}
