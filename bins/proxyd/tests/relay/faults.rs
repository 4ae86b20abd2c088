//! What datagrams meet between real sockets is what was ordered: the very datagrams that the schedule
//! names are lost, doubled and damaged, and each arrives when it should. That what the schedule names
//! has the right statistics is tested beside it.

use std::collections::HashMap;
use std::net::UdpSocket;
use std::sync::Arc;
use std::time::{Duration, Instant};

use netio::udp;
use netproto::probe::{self, Node, Probe};
use proxyd::impair::http::HttpFaults;
use proxyd::impair::live::Live;
use proxyd::impair::schedule::{Fate, Passage, Schedule};
use proxyd::impair::{Direction, Impairment};
use proxyd::relay::RelayConfig;

use crate::lab::{FAMILIES, PATIENCE, Relay, answer_one, assert_silence, bind, receive, target_of};

const SEED: u64 = 7;
const MS: Duration = Duration::from_millis(1);
/// How late half of the datagrams may be on a machine that does much else. On an idle one they are
/// late by less than a tenth of it; `examples/impaired_relay.rs` measures that.
const LATE: Duration = Duration::from_millis(5);

fn impairment(text: &str) -> Impairment {
    text.parse().unwrap()
}

fn ordered(config: RelayConfig, text: &str) -> RelayConfig {
    RelayConfig {
        live: Arc::new(Live::new(impairment(text), HttpFaults::default(), SEED)),
        ..config
    }
}

/// The fates of the first datagrams of a session, as ordered.
fn fates(text: &str, session: u64, direction: Direction, count: usize) -> Vec<Fate> {
    let impairment = impairment(text);
    let mut schedule = Schedule::new(SEED, session, direction);
    (0..count)
        .map(|_| schedule.next(impairment.of(direction)))
        .collect()
}

fn passages(fates: &[Fate]) -> impl Iterator<Item = (usize, Passage)> {
    fates
        .iter()
        .enumerate()
        .filter_map(|(number, fate)| match fate {
            Fate::Passed(passage) => Some((number, *passage)),
            Fate::Lost => None,
        })
}

/// A datagram that tells its number.
fn numbered(number: usize) -> [u8; 64] {
    let mut payload = [0x55; 64];
    payload[..4].copy_from_slice(&(number as u32).to_be_bytes());
    payload
}

/// Everything that arrives until nothing has for a while: its bytes, and when it came.
fn arrivals(socket: &UdpSocket) -> Vec<(Vec<u8>, Instant)> {
    socket.set_read_timeout(Some(400 * MS)).unwrap();
    let mut arrived = Vec::new();
    while let Some((payload, _)) = receive(socket) {
        arrived.push((payload, Instant::now()));
    }
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    arrived
}

/// Sends so many numbered datagrams, some at a time; returns when each was sent.
fn send_numbered(count: usize, send: impl Fn(&[u8])) -> Vec<Instant> {
    (0..count)
        .map(|number| {
            if number % 4 == 3 {
                std::thread::sleep(MS);
            }
            let sent = Instant::now();
            send(&numbered(number));
            sent
        })
        .collect()
}

/// Holds what arrived against what was ordered of what was sent.
fn assert_as_ordered(fates: &[Fate], sent: &[Instant], arrived: &[(Vec<u8>, Instant)]) {
    // What should arrive: the bytes, and each time when that is due.
    let mut due: HashMap<Vec<u8>, Vec<Instant>> = HashMap::new();
    for (number, passage) in passages(fates) {
        let mut payload = numbered(number);
        if let Some(bit) = passage.corrupted_bit {
            let bit = bit as usize % (payload.len() * 8);
            payload[bit / 8] ^= 1 << (bit % 8);
        }
        let of_number = due.entry(payload.to_vec()).or_default();
        of_number.push(sent[number] + passage.delay);
        of_number.extend(passage.copy.map(|delay| sent[number] + delay));
        of_number.sort();
    }
    let mut late = Vec::new();
    for (payload, at) in arrived {
        let of_payload = due.get_mut(payload).filter(|due| !due.is_empty());
        let due = of_payload.expect("arrived, but should not").remove(0);
        let lateness = at.checked_duration_since(due);
        late.push(lateness.expect("arrived before it was due"));
    }
    let missing: Vec<_> = due.values().filter(|due| !due.is_empty()).collect();
    assert!(missing.is_empty(), "{} did not arrive", missing.len());
    late.sort();
    let median = late[late.len() / 2];
    assert!(median < LATE, "half are late by {median:?} and more");
}

#[test]
fn what_is_ordered_happens_to_the_very_datagrams_that_the_seed_chooses() {
    const COUNT: usize = 1600;
    let text = "delay=20ms jitter=10ms loss=10% duplicate=5% corrupt=5% \
                to-client: delay=10ms gemodel=5%,25% jitter=5ms distribution=pareto";
    for family in FAMILIES {
        let (target, config) = target_of(family);
        let mut relay = Relay::start(ordered(config, text));
        let client = relay.client();

        let sending = client.try_clone().unwrap();
        let sender = std::thread::spawn(move || {
            send_numbered(COUNT, |payload| {
                sending.send(payload).unwrap();
            })
        });
        let (first, upstream) = receive(&target).unwrap();
        let first = (first, Instant::now());
        let arrived: Vec<_> = std::iter::once(first).chain(arrivals(&target)).collect();
        let to_target = fates(text, 0, Direction::ToTarget, COUNT);
        assert_as_ordered(&to_target, &sender.join().unwrap(), &arrived);

        let sender = std::thread::spawn(move || {
            send_numbered(COUNT, |payload| {
                target.send_to(payload, upstream).unwrap();
            })
        });
        let arrived = arrivals(&client);
        let to_client = fates(text, 0, Direction::ToClient, COUNT);
        assert_as_ordered(&to_client, &sender.join().unwrap(), &arrived);

        relay.stop();
        let counters = &relay.counters;
        assert_eq!(counters.dropped().map(|(_, count)| count).sum::<u64>(), 0);
        for (direction, fates) in [
            (Direction::ToTarget, &to_target),
            (Direction::ToClient, &to_client),
        ] {
            let passed = || passages(fates).map(|(_, passage)| passage);
            let copies = passed().filter(|passage| passage.copy.is_some()).count() as u64;
            let counted = counters.faults(direction);
            assert_eq!(counted.lost.value(), (COUNT - passed().count()) as u64);
            assert_eq!(counted.duplicated.value(), copies);
            let corrupted = passed().filter(|passage| passage.corrupted_bit.is_some());
            assert_eq!(counted.corrupted.value(), corrupted.count() as u64);
            assert_eq!(counted.held.value(), passed().count() as u64 + copies);
        }
    }
}

#[test]
fn what_overtakes_arrives_before_what_was_sent_before() {
    let (target, config) = target_of(FAMILIES[0]);
    let relay = Relay::start(ordered(config, "delay=100ms reorder=100% gap=3"));
    let client = relay.client();
    for number in 0..6 {
        client.send(&numbered(number)).unwrap();
    }
    let order: Vec<_> = (0..6).map(|_| receive(&target).unwrap().0[3]).collect();
    assert_eq!(order, [2, 5, 0, 1, 3, 4]);
    drop(relay);
}

#[test]
fn several_workers_draw_the_fates_of_one() {
    const CLIENTS: usize = 6;
    const EACH: usize = 40;
    let text = "loss=50%";
    let (target, config) = target_of(FAMILIES[0]);
    let config = ordered(config, text);
    let workers: Vec<_> = (0..2).map(|_| Relay::start(config.clone())).collect();
    for session in 0..CLIENTS {
        // Whichever worker a client comes to, it is the next session.
        let client = workers[session * session % 2].client();
        for number in 0..EACH {
            client.send(&numbered(number)).unwrap();
        }
        let fates = fates(text, session as u64, Direction::ToTarget, EACH);
        for (number, _) in passages(&fates) {
            let (payload, _) = receive(&target).unwrap();
            assert_eq!(payload, numbered(number), "session {session}");
        }
    }
    assert_silence(&target);
}

#[test]
fn a_link_sends_at_its_rate_and_drops_what_its_queue_has_no_room_for() {
    const COUNT: usize = 400;
    // 972 bytes of payload are an IPv4 packet of 1,000: 1 ms at 8 Mbit/s.
    let order = "to-target: rate=8mbit queue=1MiB queue-datagrams=100";
    let (target, config) = target_of(FAMILIES[0]);
    // All at once when the relay begins, so that the queue has room for 100 and for those more that
    // leave meanwhile.
    let socket = udp::bind(FAMILIES[0].parse().unwrap()).unwrap();
    let clients: Vec<_> = (0..2).map(|_| bind(config.target)).collect();
    for number in 0..COUNT {
        let mut payload = [0; 972];
        payload[..4].copy_from_slice(&(number as u32).to_be_bytes());
        // Whatever the session, it is one link.
        clients[number % 2]
            .send_to(&payload, socket.local_addr())
            .unwrap();
    }
    let start = Instant::now();
    let mut relay = Relay::on(socket, ordered(config, order));
    let arrived = arrivals(&target);
    relay.stop();
    let dropped = relay.counters.faults_to_target.queue_full.value();
    assert_eq!(arrived.len() as u64 + dropped, COUNT as u64);
    assert!(
        (100..200).contains(&arrived.len()),
        "{} passed",
        arrived.len()
    );
    let mut late = Vec::new();
    for (place, (_, at)) in (1..).zip(&arrived) {
        let lateness = at.checked_duration_since(start + place * MS);
        late.push(lateness.expect("faster than the link"));
    }
    late.sort();
    let median = late[late.len() / 2];
    assert!(median < 10 * LATE, "half are late by {median:?} and more");
}

#[test]
fn new_orders_hold_at_once_and_begin_the_count_anew() {
    const EACH: usize = 100;
    let (target, config) = target_of(FAMILIES[0]);
    let live = Arc::clone(&config.live);
    let relay = Relay::start(config);
    let client = relay.client();
    client.send(b"no faults").unwrap();
    answer_one(&target);
    assert_eq!(receive(&client).unwrap().0, b"no faults");
    // The second client is the first session under these orders, and again under the next.
    let text = "to-target: loss=50%";
    for other in [relay.client(), client] {
        live.replace(impairment(text), HttpFaults::default(), SEED);
        for number in 0..EACH {
            other.send(&numbered(number)).unwrap();
        }
        let fates = fates(text, 0, Direction::ToTarget, EACH);
        for (number, _) in passages(&fates) {
            assert_eq!(receive(&target).unwrap().0, numbered(number));
        }
        assert_silence(&target);
        live.replace(Impairment::default(), HttpFaults::default(), SEED);
        other.send(b"no faults").unwrap();
        answer_one(&target);
        assert_eq!(receive(&other).unwrap().0, b"no faults");
    }
}

#[test]
fn what_is_held_for_a_session_that_has_ended_goes_nowhere() {
    let (target, config) = target_of(FAMILIES[0]);
    let mut relay = Relay::start(RelayConfig {
        idle: 100 * MS,
        ..ordered(config, "to-target: delay=400ms")
    });
    let client = relay.client();
    client.send(b"late").unwrap();
    target.set_read_timeout(Some(600 * MS)).unwrap();
    assert_eq!(receive(&target), None);
    relay.stop();
    assert_eq!(relay.counters.session_ended.value(), 1);
}

#[test]
fn what_is_held_at_the_stop_still_arrives_in_time() {
    let (target, config) = target_of(FAMILIES[0]);
    let mut relay = Relay::start(ordered(config, "to-target: delay=300ms"));
    let client = relay.client();
    let sent = Instant::now();
    client.send(b"held").unwrap();
    crate::lab::eventually("it is held", || {
        relay.counters.faults_to_target.held.value() == 1
    });
    relay.stopper.take();
    assert_eq!(receive(&target).unwrap().0, b"held");
    assert!(sent.elapsed() >= 300 * MS);
    relay.stop();
}

#[test]
fn a_probe_that_asks_is_told_how_long_it_was_held_in_each_direction() {
    const TO_TARGET: Duration = Duration::from_millis(30);
    const TO_CLIENT: Duration = Duration::from_millis(10);
    let (target, config) = target_of(FAMILIES[0]);
    let text = "to-target: delay=30ms to-client: delay=10ms";
    let relay = Relay::start(ordered(config, text));
    let client = relay.client();
    let probe = |stamps| {
        let mut datagram = vec![0; 128];
        let probe = Probe {
            run: 1,
            nonce: 2,
            sequence: 3,
            stamps,
        };
        probe.encode(&mut datagram).unwrap();
        datagram
    };
    client.send(&probe(false)).unwrap();
    answer_one(&target);
    assert_eq!(receive(&client).unwrap().0, probe(false));
    let begun = Instant::now();
    client.send(&probe(true)).unwrap();
    answer_one(&target);
    let answer = receive(&client).unwrap().0;
    let stamps: Vec<_> = probe::stamps(&answer).collect();
    assert_eq!(stamps.len(), 2, "{stamps:?}");
    for (stamp, held) in stamps.iter().zip([TO_TARGET, TO_CLIENT]) {
        assert_eq!(stamp.node, Node::Relay);
        let residence = stamp.departed.checked_sub(stamp.arrived).unwrap();
        assert!(
            residence >= held && residence < begun.elapsed(),
            "{stamps:?}"
        );
    }
    // Both by the relay's own clock.
    assert!(stamps[0].departed <= stamps[1].arrived, "{stamps:?}");
}
