//! The batches over real sockets.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use netproto::probe::{self, Node, Probe};
use tokio::io::unix::AsyncFd;
use tokio::time::timeout;

use super::*;

const PATIENCE: Duration = Duration::from_secs(5);

fn on_loopback(ipv6: bool) -> SocketAddr {
    let address = if ipv6 { "[::1]:0" } else { "127.0.0.1:0" };
    address.parse().unwrap()
}

/// What `socket` receives until it has `count` datagrams, with their senders.
async fn receive(socket: &AsyncFd<Socket>, count: usize) -> Vec<(SocketAddr, Vec<u8>)> {
    let mut batch = ReceiveBatch::new();
    let mut received = Vec::new();
    while received.len() < count {
        let mut ready = timeout(PATIENCE, socket.readable()).await.unwrap().unwrap();
        batch.clear();
        match batch.receive(socket.get_ref()) {
            Ok(places) => {
                for train in batch.trains(places) {
                    let peer = train.peer.unwrap();
                    received.extend(train.datagrams().map(|datagram| (peer, datagram.to_vec())));
                }
            }
            Err(_) => ready.clear_ready(),
        }
    }
    received
}

fn pair(ipv6: bool) -> (AsyncFd<Socket>, AsyncFd<Socket>) {
    let server = bind(on_loopback(ipv6)).unwrap();
    let client = connect(server.local_addr()).unwrap();
    (server.register().unwrap(), client.register().unwrap())
}

#[tokio::test]
async fn datagrams_of_every_size_arrive_as_they_were_sent() {
    for ipv6 in [false, true] {
        let (server, client) = pair(ipv6);
        let mut out = SendBatch::new();
        for size in [0, 1, 127, 128, 1472, 1473, 9000, MAX_PAYLOAD_V4] {
            let payload: Vec<u8> = (0..size).map(|i| (i * 31 + size) as u8).collect();
            let train = Train::one(None, &payload);
            let sent = out.send(&client, std::iter::once(train)).await.unwrap();
            assert_eq!((sent.datagrams, sent.bytes), (1, size as u64));
            let received = receive(&server, 1).await;
            assert_eq!(received, [(client.get_ref().local_addr(), payload)]);
        }
    }
}

#[tokio::test]
async fn each_datagram_of_a_train_of_probes_is_stamped_and_other_trains_are_left_alone() {
    for asking in [true, false] {
        let (server, client) = pair(false);
        let mut sent = Vec::new();
        for sequence in 0..5 {
            let mut datagram = [0; 200];
            let probe = Probe {
                run: 1,
                nonce: 2,
                sequence,
                stamps: asking,
            };
            probe.encode(&mut datagram).unwrap();
            sent.extend(datagram);
        }
        let train = Train {
            segment_size: 200,
            ..Train::one(None, &sent)
        };
        let mut out = SendBatch::new();
        out.send(&client, std::iter::once(train)).await.unwrap();
        let mut batch = ReceiveBatch::new();
        let mut received = Vec::new();
        while received.len() < 5 {
            let mut ready = timeout(PATIENCE, server.readable()).await.unwrap().unwrap();
            batch.clear();
            let Ok(places) = batch.receive(server.get_ref()) else {
                ready.clear_ready();
                continue;
            };
            stamping::stamp_probes(&mut batch, places.clone(), Node::Echo, Instant::now());
            for train in batch.trains(places) {
                received.extend(train.datagrams().map(<[u8]>::to_vec));
            }
        }
        let stamps = received
            .iter()
            .map(|datagram| probe::stamps(datagram).count());
        assert_eq!(stamps.collect::<Vec<_>>(), [usize::from(asking); 5]);
        if !asking {
            assert_eq!(received.concat(), sent);
        }
    }
}

#[tokio::test]
async fn a_datagram_longer_than_udp_has_room_for_is_counted_as_failed() {
    let (server, client) = pair(false);
    let mut out = SendBatch::new();
    let (long, short) = (vec![0; MAX_PAYLOAD_V4 + 1], [7]);
    let trains = [Train::one(None, &long), Train::one(None, &short)];
    let sent = out.send(&client, trains.into_iter()).await.unwrap();
    assert_eq!((sent.datagrams, sent.failed), (1, 1));
    assert_eq!(receive(&server, 1).await[0].1, short);
}

/// Neighbours of equal length travel as one message. That must not show in what arrives: neither
/// in the lengths, nor in the order, nor in who gets what.
#[tokio::test]
async fn joined_datagrams_arrive_one_by_one_in_order_at_the_right_peer() {
    for ipv6 in [false, true] {
        let (server, first) = pair(ipv6);
        let second = connect(server.get_ref().local_addr()).unwrap();
        let second = second.register().unwrap();
        let peers = [&first, &second].map(|socket| socket.get_ref().local_addr());
        // Peer and length: runs, a short end of a run, a longer one after it, empty ones between,
        // too long to be joined, and more of one kind than a message or a batch takes.
        let mut plan = vec![(0, 100); 3];
        plan.extend([
            (0, 40),
            (0, 100),
            (0, 0),
            (0, 0),
            (0, 100),
            (1, 100),
            (1, 200),
        ]);
        plan.extend([
            (0, 200),
            (1, 3000),
            (1, 3000),
            (0, 1472),
            (0, 1472),
            (0, 1473),
        ]);
        plan.extend(vec![(1, 1200); 200]);
        let payloads: Vec<Vec<u8>> = plan
            .iter()
            .enumerate()
            .map(|(i, &(_, len))| (0..len).map(|j| (i + j) as u8).collect())
            .collect();
        let trains = plan
            .iter()
            .zip(&payloads)
            .map(|(&(peer, _), payload)| Train::one(Some(peers[peer]), payload));
        let sent = SendBatch::new().send(&server, trains).await.unwrap();
        assert_eq!(sent.datagrams, plan.len() as u64);
        for (peer, socket) in [&first, &second].into_iter().enumerate() {
            let expected: Vec<_> = plan
                .iter()
                .zip(&payloads)
                .filter(|((to, _), _)| *to == peer)
                .map(|(_, payload)| (server.get_ref().local_addr(), payload.clone()))
                .collect();
            assert_eq!(receive(socket, expected.len()).await, expected);
        }
    }
}

#[tokio::test]
async fn a_train_received_can_be_sent_on_as_it_is() {
    let (server, client) = pair(false);
    let payloads: Vec<[u8; 64]> = (0..64).map(|i| [i; 64]).collect();
    let trains = payloads.iter().map(|payload| Train::one(None, payload));
    SendBatch::new().send(&client, trains).await.unwrap();
    let (mut batch, mut out) = (ReceiveBatch::new(), SendBatch::new());
    let mut answered = 0;
    let mut messages = 0;
    while answered < 64 {
        let mut ready = timeout(PATIENCE, server.readable()).await.unwrap().unwrap();
        batch.clear();
        match batch.receive(server.get_ref()) {
            Ok(places) => {
                messages += places.len();
                let sent = out.send(&server, batch.trains(places)).await.unwrap();
                answered += sent.datagrams;
            }
            Err(_) => ready.clear_ready(),
        }
    }
    // The kernel hands one message over as one where it has UDP_GRO: all of these since Linux 5.0.
    assert_eq!(messages, 1);
    let returned = receive(&client, 64).await;
    assert!(returned.iter().zip(&payloads).all(|(r, p)| r.1 == p));
}

#[tokio::test]
async fn nobody_listening_is_counted_and_costs_no_datagram_once_somebody_does() {
    let address = bind(on_loopback(false)).unwrap().local_addr();
    let client = connect(address).unwrap().register().unwrap();
    let mut out = SendBatch::new();
    let send = std::iter::once(Train::one(None, b"lost"));
    assert_eq!(out.send(&client, send).await.unwrap().refused, 0);
    let server = bind(address).unwrap().register().unwrap();
    let send = std::iter::once(Train::one(None, b"heard"));
    let sent = out.send(&client, send).await.unwrap();
    assert_eq!((sent.datagrams, sent.refused), (1, 1));
    assert_eq!(receive(&server, 1).await[0].1, b"heard");
}

#[tokio::test]
async fn a_connected_socket_hears_nobody_but_its_target() {
    let (server, client) = pair(false);
    let stranger = bind(on_loopback(false)).unwrap().register().unwrap();
    let peer = Some(client.get_ref().local_addr());
    let mut out = SendBatch::new();
    for (socket, text) in [(&stranger, &b"stranger"[..]), (&server, b"target")] {
        let train = std::iter::once(Train::one(peer, text));
        assert_eq!(out.send(socket, train).await.unwrap().datagrams, 1);
    }
    assert_eq!(receive(&client, 1).await[0].1, b"target");
}

#[tokio::test]
async fn a_full_queue_is_told_by_the_kernel() {
    let (server, client) = pair(false);
    let mut out = SendBatch::new();
    let payload = vec![0; 60_000];
    let trains = (0..200).map(|_| Train::one(None, &payload));
    let sent = out.send(&client, trains).await.unwrap();
    let mut batch = ReceiveBatch::new();
    let mut received = 0;
    while let Ok(places) = batch.receive(server.get_ref()) {
        received += batch.trains(places).map(|t| t.count() as u64).sum::<u64>();
        batch.clear();
    }
    assert!(received < sent.datagrams, "200 × 60 kB fit the queue");
    // The count comes with datagrams that were queued after the loss.
    let train = std::iter::once(Train::one(None, b"after"));
    out.send(&client, train).await.unwrap();
    receive(&server, 1).await;
    let drops = server.get_ref().new_kernel_drops();
    assert_eq!(u64::from(drops), sent.datagrams - received);
    assert_eq!(server.get_ref().new_kernel_drops(), 0);
}

#[test]
fn sockets_of_a_group_share_a_port_that_nobody_else_gets() {
    for ipv6 in [false, true] {
        let group = bind_group(on_loopback(ipv6), 3).unwrap();
        let address = group[0].local_addr();
        assert_ne!(address.port(), 0);
        assert!(group.iter().all(|socket| socket.local_addr() == address));
        for count in [1, 2] {
            let error = bind_group(address, count).unwrap_err().to_string();
            assert!(error.contains(&address.to_string()), "{error}");
            assert!(error.contains("end the program that holds it"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_group_receives_each_datagram_once_and_each_source_at_one_socket() {
    let group = bind_group(on_loopback(false), 2).unwrap();
    let address = group[0].local_addr();
    let clients: Vec<_> = (0..40)
        .map(|_| connect(address).unwrap().register().unwrap())
        .collect();
    let mut out = SendBatch::new();
    for text in [&b"one"[..], b"two"] {
        for client in &clients {
            let train = std::iter::once(Train::one(None, text));
            out.send(client, train).await.unwrap();
        }
    }
    let mut seen = std::collections::HashMap::new();
    let mut per_socket = [0; 2];
    let mut batch = ReceiveBatch::new();
    for (index, socket) in group.iter().enumerate() {
        while let Ok(places) = batch.receive(socket) {
            for train in batch.trains(places) {
                per_socket[index] += train.count();
                let at = seen.entry(train.peer.unwrap()).or_insert(index);
                assert_eq!(*at, index);
            }
            batch.clear();
        }
    }
    assert_eq!(per_socket.iter().sum::<usize>(), 80);
    assert!(per_socket.iter().all(|&count| count > 0), "{per_socket:?}");
}

#[tokio::test]
async fn an_answer_leaves_from_the_address_that_was_asked() {
    for (bound, asked) in [("0.0.0.0:0", "127.0.0.77"), ("[::]:0", "::1")] {
        let server = bind(bound.parse().unwrap()).unwrap().register().unwrap();
        server.get_ref().report_hop_limit().unwrap();
        let port = server.get_ref().local_addr().port();
        let asked = SocketAddr::new(asked.parse().unwrap(), port);
        // Connected, it would not hear an answer from another address.
        let client = connect(asked).unwrap().register().unwrap();
        let mut out = SendBatch::new();
        let train = std::iter::once(Train {
            hop_limit: Some(9),
            ..Train::one(None, b"ask")
        });
        assert_eq!(out.send(&client, train).await.unwrap().datagrams, 1);
        let _ = timeout(PATIENCE, server.readable()).await.unwrap().unwrap();
        let mut batch = ReceiveBatch::new();
        let places = batch.receive(server.get_ref()).unwrap();
        let train = batch.trains(places.clone()).next().unwrap();
        assert_eq!(train.hop_limit, Some(9));
        let local = train.local.unwrap();
        assert_eq!((local.address, local.shared), (asked.ip(), false));
        out.send(&server, batch.trains(places)).await.unwrap();
        assert_eq!(receive(&client, 1).await, [(asked, b"ask".to_vec())]);
    }
}

#[tokio::test]
async fn a_set_tells_which_of_its_sockets_have_datagrams() {
    let server = bind(on_loopback(false)).unwrap().register().unwrap();
    let sockets: Vec<_> = (0..200)
        .map(|_| connect(server.get_ref().local_addr()).unwrap())
        .collect();
    let mut set = SocketSet::new().unwrap();
    for (key, socket) in sockets.iter().enumerate() {
        set.add(socket, key as u64).unwrap();
    }
    assert!(set.ready().unwrap().is_empty());
    // More than are told at once.
    let expected: Vec<u64> = (0..200).filter(|key| key % 2 == 0).collect();
    let trains = expected
        .iter()
        .map(|&key| Train::one(Some(sockets[key as usize].local_addr()), b"!"));
    SendBatch::new().send(&server, trains).await.unwrap();
    let mut batch = ReceiveBatch::new();
    let mut told = Vec::new();
    while told.len() < expected.len() {
        timeout(PATIENCE, set.wait()).await.unwrap().unwrap();
        loop {
            let keys = set.ready().unwrap().to_vec();
            if keys.is_empty() {
                break;
            }
            for key in keys {
                batch.clear();
                assert_eq!(batch.receive(&sockets[key as usize]).unwrap().len(), 1);
                told.push(key);
            }
        }
    }
    told.sort_unstable();
    assert_eq!(told, expected);
}

#[test]
fn a_sender_that_waits_gets_everything_out_and_nothing_is_dropped() {
    let server = bind(on_loopback(false)).unwrap();
    let client = connect(server.local_addr()).unwrap();
    let twin = client.try_clone().unwrap();
    let payload = vec![7; 64 * 1000];
    let mut out = SendBatch::new();
    let train = || Train {
        segment_size: 1000,
        ..Train::one(None, &payload)
    };
    let sent = out.send_waiting(&client, (0..10).map(|_| train()), PATIENCE);
    let sent = sent.unwrap();
    assert_eq!((sent.datagrams, sent.bytes), (640, 640_000));
    // Both send from one port, so the peer sees one sender.
    let sent = out.send_waiting(&twin, std::iter::once(train()), PATIENCE);
    assert_eq!(sent.unwrap().datagrams, 64);
    let (mut batch, mut received) = (ReceiveBatch::new(), 0);
    let mut senders = std::collections::BTreeSet::new();
    let end = Instant::now() + PATIENCE;
    while received < 704 && Instant::now() < end {
        batch.clear();
        let Ok(places) = batch.receive(&server) else {
            std::thread::sleep(Duration::from_millis(1));
            continue;
        };
        for train in batch.trains(places) {
            senders.insert(train.peer);
            received += train.count();
        }
    }
    assert_eq!((received, senders.len()), (704, 1));
}
