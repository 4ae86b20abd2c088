//! Many requests on a connection, many connections, hostile ones, and the end of all of them.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use testkit::peer::exchange;
use testkit::vectors::{self, SeenBy, Vector};

use crate::site::{PATIENCE, Site};

#[test]
fn pipelined_requests_are_answered_in_order_however_they_are_cut() {
    let site = Site::start();
    let requests = "GET /ten.txt HTTP/1.1\r\nHost: a\r\n\r\n\
                    GET /absent HTTP/1.1\r\nHost: a\r\n\r\n\
                    POST /ten.txt HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\
                    GET /big.bin HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1\r\n\r\n\
                    GET /ten.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let statuses = |text: &str| -> Vec<String> {
        text.split("HTTP/1.1 ")
            .skip(1)
            .map(|part| part[..3].to_owned())
            .collect()
    };
    let expected = ["200", "404", "405", "206", "200"];
    let whole = site.send(requests);
    assert!(whole.closed);
    assert_eq!(statuses(&whole.text()), expected);

    let mut stream = TcpStream::connect(site.address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    for byte in requests.as_bytes() {
        stream.write_all(&[*byte]).unwrap();
    }
    let bytewise = testkit::peer::read_to_end(&mut stream).unwrap();
    assert_eq!(statuses(&bytewise.text()), expected);
}

#[test]
fn persistence_follows_version_and_connection() {
    let site = Site::start();
    let short = Duration::from_millis(300);
    for (request, closes) in [
        ("GET /ten.txt HTTP/1.1\r\nHost: a\r\n\r\n", false),
        (
            "GET /ten.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            true,
        ),
        ("GET /ten.txt HTTP/1.0\r\n\r\n", true),
        (
            "GET /ten.txt HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            false,
        ),
    ] {
        let exchange = exchange(site.address, request.as_bytes(), short).unwrap();
        assert_eq!(exchange.status(), Some(200), "{request}");
        assert_eq!(exchange.closed, closes, "{request}");
    }
}

#[test]
fn a_client_that_expects_to_be_told_to_continue_gets_its_answer_at_once() {
    let site = Site::start();
    let request =
        "POST /ten.txt HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n";
    let started = Instant::now();
    let exchange = site.send(request);
    assert_eq!(exchange.status(), Some(405));
    assert!(exchange.closed, "nobody can tell if the body comes");
    assert!(started.elapsed() < PATIENCE);
}

#[test]
fn under_load_no_request_is_lost_when_the_server_is_told_to_stop() {
    let mut site = Site::start();
    let address = site.address;
    let clients: Vec<_> = (0..16)
        .map(|_| {
            std::thread::spawn(move || {
                let mut answered = 0;
                // Connections are opened until the listener is gone.
                while let Ok(stream) = TcpStream::connect(address) {
                    answered += talk(stream);
                }
                answered
            })
        })
        .collect();
    std::thread::sleep(Duration::from_millis(300));
    site.program.signal(Signal::TERM).unwrap();
    let status = site.program.wait(Duration::from_secs(10)).unwrap();
    assert_eq!(status.code(), Some(0), "{}", site.program.stderr());
    let answered: usize = clients
        .into_iter()
        .map(|client| client.join().unwrap())
        .sum();
    assert!(answered > 100, "{answered}");
}

/// Asks on one connection until the server says that it ends it. Every request must be answered.
fn talk(mut stream: TcpStream) -> usize {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answered = 0;
    loop {
        if stream
            .write_all(b"GET /ten.txt HTTP/1.1\r\nHost: a\r\n\r\n")
            .is_err()
        {
            assert_eq!(answered, 0, "an open connection broke without a word");
            return answered;
        }
        let mut answer = Vec::new();
        let mut byte = [0];
        while !answer.ends_with(b"0123456789") {
            match stream.read(&mut byte) {
                Ok(1) => answer.push(byte[0]),
                // A connection that the kernel took as the listener closed was never accepted.
                _ if answered == 0 && answer.is_empty() => return 0,
                other => panic!(
                    "{other:?} after {answered} answers: {:?}",
                    String::from_utf8_lossy(&answer)
                ),
            }
        }
        answered += 1;
        if String::from_utf8_lossy(&answer).contains("Connection: close") {
            return answered;
        }
    }
}

#[test]
fn requests_that_wait_unaccepted_when_the_stop_comes_are_answered() {
    let mut site = Site::start();
    site.program.signal(Signal::STOP).unwrap();
    let mut clients: Vec<TcpStream> = (0..20)
        .map(|_| {
            let mut stream = TcpStream::connect(site.address).unwrap();
            stream
                .write_all(b"GET /ten.txt HTTP/1.1\r\nHost: a\r\n\r\n")
                .unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream
        })
        .collect();
    // A client may believe itself connected before the kernel has queued it for the server.
    let end = Instant::now() + PATIENCE;
    while unaccepted(site.address.port()) < clients.len() {
        assert!(Instant::now() < end, "the connections are not queued");
        std::thread::sleep(Duration::from_millis(5));
    }
    site.program.signal(Signal::TERM).unwrap();
    site.program.signal(Signal::CONT).unwrap();
    for stream in &mut clients {
        let answer = testkit::peer::read_to_end(stream).unwrap();
        assert!(answer.text().ends_with("0123456789"), "{:?}", answer.text());
    }
    drop(clients);
    assert_eq!(site.program.wait(PATIENCE).unwrap().code(), Some(0));
}

/// How many connections wait at a port to be accepted: of a listening socket, /proc/net/tcp tells
/// that as the length of its receive queue.
fn unaccepted(port: u16) -> usize {
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let (address, listening) = (format!("0100007F:{port:04X}"), "0A");
    let queues = table.lines().filter_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (local, _remote, state) = (words.next()?, words.next()?, words.next()?);
        let (_sent, received) = words.next()?.split_once(':')?;
        (local == address && state == listening).then(|| usize::from_str_radix(received, 16))
    });
    queues.map(Result::unwrap).sum()
}

#[test]
fn a_thousand_slow_clients_do_not_slow_another() {
    let site = Site::start();
    let _slow: Vec<TcpStream> = (0..1000)
        .map(|_| {
            let mut stream = TcpStream::connect(site.address).unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nHost: ").unwrap();
            stream
        })
        .collect();
    let started = Instant::now();
    for _ in 0..100 {
        assert_eq!(site.get("/ten.txt").status, 200);
    }
    let each = started.elapsed() / 100;
    assert!(each < Duration::from_millis(50), "{each:?} a request");
}

#[test]
fn every_hostile_request_gets_its_status_and_ends_its_connection() {
    let site = Site::start();
    // At once: some are answered only at a deadline.
    std::thread::scope(|scope| {
        for vector in vectors::requests() {
            let address = site.address;
            scope.spawn(move || refuses(address, &vector));
        }
    });
}

fn refuses(address: SocketAddr, vector: &Vector) {
    let ends = matches!(vector.seen_by, SeenBy::Head | SeenBy::Body | SeenBy::File);
    let mut bytes = vector.bytes.clone();
    if vector.status.is_some() && ends {
        bytes.extend_from_slice(b"GET /ten.txt HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    // Longer than the deadline of a head.
    let exchange = exchange(address, &bytes, Duration::from_secs(12)).unwrap();
    let what = format!("{}: {}", vector.why, exchange.text());
    match vector.status {
        Some(status) => {
            assert_eq!(exchange.status(), Some(status), "{what}");
            assert!(!exchange.text().contains("0123456789"), "{what}");
            assert!(exchange.closed || !ends, "{what}");
        }
        None => assert!(exchange.status() != Some(400), "{what}"),
    }
}
