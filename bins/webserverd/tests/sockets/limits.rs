//! What clients are held to, by the flags that both daemons have.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use testkit::peer::{Exchange, exchange, read_to_end};
use testkit::program::Program;

const PATIENCE: Duration = Duration::from_secs(5);
const GET: &str = "GET /file HTTP/1.1\r\nHost: lab\r\n\r\n";
const LAST_GET: &str = "GET /file HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n";

/// A server with one worker, and what it was told of its clients.
struct Site {
    _root: TempDir,
    address: SocketAddr,
    admin: SocketAddr,
    _program: Program,
}

impl Site {
    fn start(flags: &[&str]) -> Site {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("file"), "content").unwrap();
        fs::write(root.path().join("large"), vec![b'x'; 32 << 20]).unwrap();
        let mut args = vec!["--root", root.path().to_str().unwrap()];
        if !flags.contains(&"--workers") {
            args.extend(["--workers", "1"]);
        }
        args.extend(["--port", "0", "--udp-port", "0", "--admin", "127.0.0.1:0"]);
        args.extend(flags);
        let mut program = Program::start(env!("CARGO_BIN_EXE_webserverd"), args).unwrap();
        Site {
            address: program.listening("tcp").unwrap(),
            admin: program.listening("admin").unwrap(),
            _root: root,
            _program: program,
        }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// What comes back before the server closes.
    fn send(&self, bytes: &str) -> Exchange {
        exchange(self.address, bytes.as_bytes(), PATIENCE).unwrap()
    }

    fn assert_metric(&self, line: &str) {
        let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let page = exchange(self.admin, request, PATIENCE).unwrap().text();
        assert!(
            page.lines().any(|found| found == line),
            "{line} not in {page}"
        );
    }
}

/// One answer with a short body, on a connection that is kept.
fn answer(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    let mut read = Vec::new();
    let mut byte = [0];
    while !read.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        read.push(byte[0]);
    }
    let head = String::from_utf8(read).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: "))
        .unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    head
}

#[test]
fn a_client_that_asks_too_fast_is_told_when_to_come_back_and_then_answered() {
    // One in two seconds cannot be written; one a second, of which two come at once, can.
    let site = Site::start(&["--request-rate", "1:2"]);
    let mut stream = site.connect();
    for _ in 0..2 {
        assert!(answer(&mut stream, GET).starts_with("HTTP/1.1 200"));
    }
    let refused = answer(&mut stream, GET);
    assert!(refused.starts_with("HTTP/1.1 429 "), "{refused}");
    assert!(refused.contains("\r\nRetry-After: 1\r\n"), "{refused}");
    // Another connection of the same client is no way round.
    assert_eq!(site.send(LAST_GET).status(), Some(429));
    // Behind a body that nobody reads no other request can be told.
    let put = "PUT /file HTTP/1.1\r\nHost: lab\r\nContent-Length: 9\r\n\r\nGET / HTT";
    let answer_to_put = site.send(put);
    assert_eq!(answer_to_put.status(), Some(429));
    assert!(answer_to_put.closed);
    site.assert_metric("webserverd_http_requests_rate_limited_total 3");
    std::thread::sleep(Duration::from_millis(1_100));
    assert!(answer(&mut stream, GET).starts_with("HTTP/1.1 200"));
}

#[test]
fn connections_beyond_what_a_client_may_have_are_closed_at_once() {
    let site = Site::start(&["--max-connections-per-client", "2"]);
    let mut held: Vec<TcpStream> = (0..2).map(|_| site.connect()).collect();
    for stream in &mut held {
        assert!(answer(stream, GET).starts_with("HTTP/1.1 200"));
    }
    let refused = site.send(GET);
    assert!(refused.closed && refused.received.is_empty());
    site.assert_metric(
        "webserverd_http_connections_turned_away_total{reason=\"client_connections\"} 1",
    );
    held.pop();
    let end = Instant::now() + PATIENCE;
    while site.send(LAST_GET).status() != Some(200) {
        assert!(
            Instant::now() < end,
            "the place of a closed connection is not free"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn connections_that_come_too_fast_are_closed_at_once() {
    let site = Site::start(&["--connection-rate", "1:3"]);
    let statuses: Vec<_> = (0..6).map(|_| site.send(LAST_GET).status()).collect();
    assert_eq!(statuses[..3], [Some(200); 3]);
    assert!(statuses[3..].contains(&None), "{statuses:?}");
}

#[test]
fn all_connections_together_are_bounded_over_all_workers() {
    let site = Site::start(&["--max-connections", "3", "--workers", "2"]);
    // Each worker may take one more than it should; what is beyond that waits.
    let mut streams: Vec<TcpStream> = (0..8).map(|_| site.connect()).collect();
    for stream in &mut streams {
        stream.write_all(GET.as_bytes()).unwrap();
    }
    std::thread::sleep(Duration::from_millis(500));
    let mut answered = 0;
    for stream in &mut streams {
        stream.set_nonblocking(true).unwrap();
        answered += u32::from(matches!(stream.read(&mut [0; 16]), Ok(1..)));
    }
    assert!((3..=5).contains(&answered), "{answered} of 8 answered");
}

#[test]
fn a_connection_ends_with_the_last_request_that_it_may_carry() {
    let site = Site::start(&["--max-requests", "2"]);
    let answers = site.send(&GET.repeat(3));
    assert!(answers.closed);
    assert_eq!(answers.text().matches("HTTP/1.1 200").count(), 2);
    assert_eq!(answers.text().matches("Connection: close").count(), 1);
}

#[test]
fn each_deadline_is_the_one_that_was_told() {
    let site = Site::start(&[
        "--head-timeout",
        "300ms",
        "--body-timeout",
        "300ms",
        "--write-timeout",
        "300ms",
        "--idle-timeout",
        "300ms",
    ]);
    let large = "GET /large HTTP/1.1\r\nHost: lab\r\n\r\n";
    for (sent, status) in [
        ("GET /file HTTP/1.1\r\nHo", Some(408)),
        (GET, Some(200)),
        (
            "PUT /file HTTP/1.1\r\nHost: lab\r\nContent-Length: 9\r\n\r\n",
            Some(405),
        ),
    ] {
        let started = Instant::now();
        let answer = site.send(sent);
        assert_eq!(answer.status(), status, "{sent}");
        assert!(answer.closed, "{sent}");
        assert!(started.elapsed() < Duration::from_secs(4), "{sent}");
    }
    // Of this one nothing is read until the server must have given it up.
    let mut stream = site.connect();
    stream.write_all(large.as_bytes()).unwrap();
    std::thread::sleep(Duration::from_secs(1));
    let answer = read_to_end(&mut stream).unwrap();
    assert!(answer.closed && answer.received.len() < 32 << 20);
}

#[test]
fn clients_that_read_or_write_a_byte_at_a_time_do_not_hold_the_worker() {
    let site = Site::start(&[]);
    let slow: Vec<_> = (0..20)
        .map(|_| {
            let mut stream = site.connect();
            stream
                .write_all(b"GET /large HTTP/1.1\r\nHost: lab\r\n\r\nG")
                .unwrap();
            stream
        })
        .collect();
    let reader = std::thread::spawn(move || {
        for mut stream in slow {
            stream.read_exact(&mut [0]).unwrap();
            stream.write_all(b"E").unwrap();
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    let started = Instant::now();
    let mut stream = site.connect();
    for _ in 0..100 {
        assert!(answer(&mut stream, GET).starts_with("HTTP/1.1 200"));
    }
    // A worker that was held would need a second for each of the slow.
    assert!(
        started.elapsed() < Duration::from_secs(3),
        "{:?}",
        started.elapsed()
    );
    reader.join().unwrap();
}

#[test]
fn only_clients_of_the_networks_that_are_named_are_answered() {
    for (flags, status) in [
        (&["--allow", "127.0.0.0/8"][..], 200),
        (&["--allow", "10.0.0.0/8", "--allow", "127.0.0.1"], 200),
        (&["--allow", "10.0.0.0/8"], 403),
    ] {
        let site = Site::start(flags);
        let answer = site.send(&format!("{GET}GET / HTTP/1.0\r\n\r\n"));
        assert_eq!(answer.status(), Some(status), "{flags:?}");
        assert!(answer.closed);
        if status == 403 {
            site.assert_metric("webserverd_http_requests_forbidden_total 1");
        }
    }
}

#[test]
fn limits_that_cannot_be_are_told_with_their_cure() {
    for (flag, value, cure) in [
        ("--request-rate", "0", "50:200"),
        ("--connection-rate", "5:", "50:200"),
        ("--allow", "10.0.0.0/33", "10.0.0.0/8"),
        ("--head-timeout", "0s", "more than no time"),
        ("--max-connections", "0", "0"),
    ] {
        let mut program = Program::start(env!("CARGO_BIN_EXE_webserverd"), [flag, value]).unwrap();
        assert_eq!(program.wait(PATIENCE).unwrap().code(), Some(2), "{flag}");
        let told = program.stderr();
        assert_eq!(told.lines().count(), 1, "{told}");
        assert!(told.contains(flag) && told.contains(cure), "{told}");
    }
}
