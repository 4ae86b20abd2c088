//! The relay over real sockets.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on says why and fails"
)]

mod faults;
mod lab;

use std::collections::HashSet;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use netio::shutdown;
use netio::udp::admission::Refusal;
use netio::udp::{self, Socket};
use netproto::probe::{self, Probe};
use proxyd::impair::http::HttpFaults;
use proxyd::relay::{self, RelayConfig, RelayError};

use lab::{
    FAMILIES, PATIENCE, Relay, answer_one, assert_silence, bind, eventually, receive, runtime,
    target_of,
};

#[test]
fn workers_have_the_sessions_of_one_relay_together() {
    let config = RelayConfig::new("127.0.0.1:9000".parse().unwrap());
    // 10,000 / 3 = 3,333 and 1 is left over; each has one at least.
    for (workers, sessions) in [(1, 10_000), (2, 5_000), (3, 3_333), (20_000, 1)] {
        let share = config.clone().divided_among(workers);
        assert_eq!(share.sessions, sessions, "{workers} workers");
    }
}

#[test]
fn datagrams_of_every_size_pass_both_ways_unchanged() {
    for family in FAMILIES {
        let (target, config) = target_of(family);
        let mut relay = Relay::start(config);
        let client = relay.client();
        let sizes = [0, 1, 2, 128, 1472, 1473, 9_000, 65_507];
        for size in sizes {
            let payload: Vec<u8> = (0..size).map(|i| (i * 7 + size) as u8).collect();
            client.send(&payload).unwrap();
            let (asked, upstream) = receive(&target).unwrap();
            assert!(asked == payload, "{size} bytes to the target, {family}");
            let answer: Vec<u8> = payload.iter().map(|byte| !byte).collect();
            target.send_to(&answer, upstream).unwrap();
            let (answered, sender) = receive(&client).unwrap();
            assert!(answered == answer, "{size} bytes to the client, {family}");
            assert_eq!(sender, relay.address);
        }
        relay.stop();
        let count = sizes.len() as u64;
        let bytes: usize = sizes.iter().sum();
        let counters = &relay.counters;
        for counter in [
            &counters.received,
            &counters.to_target,
            &counters.answers,
            &counters.to_clients,
        ] {
            assert_eq!(counter.value(), count);
        }
        assert_eq!(counters.received_bytes.value(), bytes as u64);
        assert_eq!(counters.answer_bytes.value(), bytes as u64);
        assert_eq!(counters.sessions_opened.value(), 1);
        assert_eq!(counters.dropped().map(|(_, count)| count).sum::<u64>(), 0);
    }
}

#[test]
fn a_probe_that_asks_for_it_is_stamped_each_way_and_another_is_not() {
    let delay = Duration::from_millis(20);
    for (order, held) in [("", Duration::ZERO), ("delay=20ms", delay)] {
        let (target, config) = target_of(FAMILIES[0]);
        let live = Arc::clone(&config.live);
        let relay = Relay::start(config);
        if !order.is_empty() {
            live.replace(order.parse().unwrap(), HttpFaults::default(), 1);
        }
        let client = relay.client();
        for stamps in [false, true] {
            let mut datagram = vec![0; 128];
            let probe = Probe {
                run: 1,
                nonce: 2,
                sequence: 3,
                stamps,
            };
            probe.encode(&mut datagram).unwrap();
            client.send(&datagram).unwrap();
            answer_one(&target);
            let answer = receive(&client).unwrap().0;
            if stamps {
                let found: Vec<_> = probe::stamps(&answer).collect();
                assert_eq!(found.len(), 2);
                for stamp in &found {
                    assert_eq!(stamp.node, probe::Node::Relay);
                    assert!(stamp.arrived + held <= stamp.departed, "{stamp:?}");
                }
                assert!(found[0].departed <= found[1].arrived, "{found:?}");
            } else {
                assert_eq!(answer, datagram);
            }
        }
    }
}

#[test]
fn a_thousand_clients_hear_only_their_own_answers() {
    const CLIENTS: usize = 1_000;
    const EACH: usize = 3;
    /// So many are under way at once that no queue on the way overflows.
    const WINDOW: usize = 50;
    netio::listen::raise_file_limit();
    for family in FAMILIES {
        let (target, config) = target_of(family);
        let mut relay = Relay::start(config);
        let clients: Vec<_> = (0..CLIENTS).map(|_| relay.client()).collect();
        let text = |client: usize, number: usize| format!("{client}:{number}");
        let (tell, answered) = std::sync::mpsc::channel();
        let answering = std::thread::spawn(move || {
            let answer = |_| {
                let upstream = answer_one(&target);
                tell.send(()).unwrap();
                upstream
            };
            let upstream: HashSet<_> = (0..CLIENTS * EACH).map(answer).collect();
            (upstream.len(), target)
        });
        for number in 0..EACH {
            for (index, client) in clients.iter().enumerate() {
                client.send(text(index, number).as_bytes()).unwrap();
                if number * CLIENTS + index >= WINDOW {
                    answered.recv().expect("the target answers every datagram");
                }
            }
        }
        let (upstream, _target) = answering.join().unwrap();
        assert_eq!(upstream, CLIENTS, "each client has a socket of its own");
        for (index, client) in clients.iter().enumerate() {
            for number in 0..EACH {
                let (answer, _) = receive(client).unwrap();
                assert_eq!(String::from_utf8(answer).unwrap(), text(index, number));
            }
            client.set_nonblocking(true).unwrap();
            assert_eq!(receive(client), None);
        }
        relay.stop();
        assert_eq!(relay.counters.sessions_opened.value(), CLIENTS as u64);
        assert_eq!(relay.counters.to_clients.value(), (CLIENTS * EACH) as u64);
    }
}

#[test]
fn what_another_than_the_target_sends_is_not_passed_on() {
    for family in FAMILIES {
        let (target, config) = target_of(family);
        let relay = Relay::start(config);
        let client = relay.client();
        client.send(b"?").unwrap();
        let upstream = answer_one(&target);
        assert_eq!(receive(&client).unwrap().0, b"?");
        let stranger = bind(upstream);
        stranger.send_to(b"stranger", upstream).unwrap();
        assert_silence(&client);
        target.send_to(b"target", upstream).unwrap();
        assert_eq!(receive(&client).unwrap().0, b"target");
    }
}

#[test]
fn an_idle_session_ends_and_a_used_one_stays() {
    let (target, config) = target_of(FAMILIES[0]);
    let idle = Duration::from_millis(400);
    let mut relay = Relay::start(RelayConfig { idle, ..config });
    let (talking, silent) = (relay.client(), relay.client());
    talking.send(b"1").unwrap();
    let of_talking = answer_one(&target);
    silent.send(b"1").unwrap();
    let of_silent = answer_one(&target);
    assert_eq!(relay.counters.sessions_open.value(), 2);
    // The answers alone keep a session, as a target may have more to say than was asked.
    eventually("the silent session ends", || {
        target.send_to(b"still here", of_talking).unwrap();
        relay.counters.sessions_open.value() == 1
    });
    assert_eq!(relay.counters.sessions_expired.value(), 1);
    silent.send(b"2").unwrap();
    assert_ne!(answer_one(&target), of_silent, "a new session");
    talking.send(b"2").unwrap();
    assert_eq!(answer_one(&target), of_talking, "the session it had");
    eventually("all sessions end", || {
        relay.counters.sessions_open.value() == 0
    });
    relay.stop();
    assert_eq!(relay.counters.sessions_expired.value(), 3);
}

#[test]
fn a_new_client_displaces_only_one_that_has_been_idle_for_a_while() {
    let (target, config) = target_of(FAMILIES[0]);
    let mut relay = Relay::start(RelayConfig {
        sessions: 2,
        idle: Duration::from_secs(3),
        ..config
    });
    let clients: Vec<_> = (0..3).map(|_| relay.client()).collect();
    for client in &clients[..2] {
        client.send(b"?").unwrap();
        answer_one(&target);
    }
    clients[2].send(b"too many").unwrap();
    eventually("the third is refused", || {
        relay.counters.sessions_full.value() == 1
    });
    // A sixth of the idle time later, the first has talked and the second has not.
    std::thread::sleep(Duration::from_millis(600));
    clients[0].send(b"?").unwrap();
    let of_first = answer_one(&target);
    clients[2].send(b"!").unwrap();
    answer_one(&target);
    assert_eq!(receive(&clients[2]).unwrap().0, b"!");
    clients[0].send(b"?").unwrap();
    assert_eq!(answer_one(&target), of_first);
    relay.stop();
    assert_eq!(relay.counters.sessions_displaced.value(), 1);
    assert_eq!(relay.counters.sessions_open.value(), 2);
}

#[test]
fn a_target_that_is_gone_is_counted_and_served_again_when_it_is_back() {
    let (target, config) = target_of(FAMILIES[0]);
    let address = config.target;
    let mut relay = Relay::start(config);
    let client = relay.client();
    client.send(b"1").unwrap();
    let upstream = answer_one(&target);
    assert_eq!(receive(&client).unwrap().0, b"1");
    drop(target);
    for _ in 0..3 {
        client.send(b"lost").unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    let target = UdpSocket::bind(address).unwrap();
    target.set_read_timeout(Some(PATIENCE)).unwrap();
    client.send(b"2").unwrap();
    assert_eq!(answer_one(&target), upstream);
    assert_eq!(receive(&client).unwrap().0, b"2");
    relay.stop();
    assert_eq!(relay.counters.target_unreachable.value(), 3);
}

#[test]
fn what_was_sent_before_the_stop_is_passed_on_and_its_answer_too() {
    let (target, config) = target_of(FAMILIES[0]);
    let socket = udp::bind(FAMILIES[0].parse().unwrap()).unwrap();
    let client = bind(target.local_addr().unwrap());
    client.connect(socket.local_addr()).unwrap();
    for number in 0..100_u8 {
        client.send(&[number]).unwrap();
    }
    let mut relay = Relay::on(socket, config);
    relay.stopper.take();
    std::thread::sleep(Duration::from_millis(30));
    for _ in 0..100 {
        answer_one(&target);
    }
    relay.stop();
    assert_eq!(relay.counters.to_clients.value(), 100);
    for number in 0..100_u8 {
        assert_eq!(receive(&client).unwrap().0, [number]);
    }
}

#[test]
fn sources_that_may_not_be_answered_get_no_session() {
    let (target, config) = target_of(FAMILIES[0]);
    let blocked = bind(config.target);
    let port = blocked.local_addr().unwrap().port();
    let mut relay = Relay::start(RelayConfig {
        blocked_ports: vec![port],
        ..config
    });
    blocked.send_to(b"?", relay.address).unwrap();
    // The target's own address, as a forger would write it: its answer would come back for ever.
    target.send_to(b"?", relay.address).unwrap();
    let root = rustix::process::geteuid().is_root();
    if root {
        let service = (1..1024)
            .rev()
            .find_map(|port| UdpSocket::bind(("127.0.0.1", port)).ok())
            .unwrap();
        service.send_to(b"?", relay.address).unwrap();
    } else {
        println!(
            "left out, needs root: the service port of {}",
            module_path!()
        );
    }
    assert_silence(&target);
    relay.stop();
    let refused = |refusal| relay.counters.refused.refused(refusal);
    assert_eq!(refused(Refusal::BlockedPort), 2);
    assert_eq!(refused(Refusal::ServicePort), u64::from(root));
    assert_eq!(relay.counters.sessions_opened.value(), 0);
}

#[test]
fn a_target_that_cannot_be_is_refused_with_the_cure() {
    let (_stopper, stop) = shutdown::channel();
    let run = |socket: Socket, target: SocketAddr| {
        let config = RelayConfig::new(target);
        let relay = relay::run(socket, config, Arc::default(), stop.clone());
        runtime().block_on(relay).unwrap_err()
    };
    let socket = udp::bind(FAMILIES[0].parse().unwrap()).unwrap();
    let itself = socket.local_addr();
    let error = run(socket, itself);
    assert!(matches!(error, RelayError::TargetIsRelay(_)), "{error}");
    let socket = udp::bind("0.0.0.0:0".parse().unwrap()).unwrap();
    let itself = SocketAddr::new(itself.ip(), socket.local_addr().port());
    let error = run(socket, itself);
    assert!(matches!(error, RelayError::TargetIsRelay(_)), "{error}");
    let socket = udp::bind(FAMILIES[0].parse().unwrap()).unwrap();
    let error = run(socket, "[::1]:9".parse().unwrap());
    assert!(error.to_string().contains("both as IPv4"), "{error}");
}
