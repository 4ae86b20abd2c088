//! Connections that carry something other than HTTP: CONNECT, and Upgrade.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use testkit::origin::{Answer, Origin};
use testkit::program::Program;

use crate::lab::{Client, Lab, PATIENCE, Reply, proxy};

/// A server of one connection, which the test speaks for.
struct Far(TcpListener);

impl Far {
    fn bind() -> Far {
        Far(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    fn accept(&self) -> TcpStream {
        let (stream, _) = self.0.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}

fn start(more: &[&str]) -> (Program, SocketAddr) {
    let flags = ["--allow-target", "127.0.0.1", "--connect-port", "1-65535"];
    proxy("127.0.0.1:9", &[&flags[..], more].concat())
}

/// A client with these bytes behind its CONNECT, and the other end.
fn tunnel(proxy: SocketAddr, far: &Far, behind: &str) -> (TcpStream, TcpStream) {
    let mut client = TcpStream::connect(proxy).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let to = far.address();
    let head = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n{behind}");
    client.write_all(head.as_bytes()).unwrap();
    let server = far.accept();
    let head = read_head(&mut client);
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    // RFC 9110 §9.3.6: nothing that would be of a body.
    for wrong in ["content-length", "transfer-encoding", "connection"] {
        assert!(!head.to_ascii_lowercase().contains(wrong), "{head}");
    }
    (client, server)
}

fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    String::from_utf8(head).unwrap()
}

fn read(stream: &mut TcpStream, count: usize) -> String {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn a_tunnel_carries_bytes_both_ways_and_one_end_may_say_its_last_before_the_other() {
    let (mut program, address) = start(&["--admin", "127.0.0.1:0"]);
    let admin = program.listening("admin").unwrap();
    let far = Far::bind();
    let (mut client, mut server) = tunnel(address, &far, "early");
    assert_eq!(read(&mut server, 5), "early");
    server.write_all(b"hello").unwrap();
    assert_eq!(read(&mut client, 5), "hello");
    client.write_all(b"question").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_to_end(&mut server), b"question");
    let answer = vec![b'x'; 3_000_000];
    let sent = answer.clone();
    let writer = std::thread::spawn(move || server.write_all(&sent).unwrap());
    assert_eq!(read_to_end(&mut client), answer);
    writer.join().unwrap();

    let line = log_line(&program);
    assert!(
        line.contains(&format!("CONNECT {} 200 3000005 B", far.address())),
        "{line}"
    );
    assert!(line.ends_with("TUNNEL 13 B up"), "{line}");
    let page = Client::connect(admin).get_admin("/metrics").text();
    for figure in [
        "proxyd_tunnels_opened_total 1",
        "proxyd_tunnels_open 0",
        "proxyd_tunnel_up_bytes_total 13",
        "proxyd_tunnel_down_bytes_total 3000005",
    ] {
        assert!(
            page.lines().any(|line| line == figure),
            "{figure} not in\n{page}"
        );
    }
}

/// The first line of the access log.
fn log_line(program: &Program) -> String {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(line) = program.stdout().lines().next() {
            return line.to_owned();
        }
        assert!(Instant::now() < end, "no line in the access log");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_one_end_does_not_read_does_not_pile_up() {
    let (program, address) = start(&[]);
    let far = Far::bind();
    let (mut client, _server) = tunnel(address, &far, "");
    client
        .set_write_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    let piece = vec![0; 1 << 20];
    let mut written = 0;
    while written < 256 << 20 {
        match client.write(&piece) {
            Ok(count) => written += count,
            Err(error) => {
                assert!(matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut
                ));
                break;
            }
        }
    }
    assert!(written < 64 << 20, "{written} bytes that nobody reads");
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.id())).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes: u64 = resident
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    assert!(kilobytes < 64 * 1024, "{kilobytes} kB resident");
}

#[test]
fn an_idle_tunnel_is_ended_and_one_in_use_is_not() {
    let (_program, address) = start(&["--tunnel-idle", "2s"]);
    let far = Far::bind();
    let (mut client, mut server) = tunnel(address, &far, "");
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(4) {
        client.write_all(b"x").unwrap();
        assert_eq!(read(&mut server, 1), "x");
        std::thread::sleep(Duration::from_millis(200));
    }
    let idle = Instant::now();
    assert_eq!(read_to_end(&mut client), b"");
    assert_eq!(read_to_end(&mut server), b"");
    assert!(
        idle.elapsed() > Duration::from_secs(1),
        "{:?}",
        idle.elapsed()
    );
}

#[test]
fn an_idle_tunnel_does_not_hold_up_a_stop_and_one_in_use_has_until_the_deadline() {
    let far = Far::bind();
    let (mut program, address) = start(&["--drain-timeout", "30s"]);
    let _ends = tunnel(address, &far, "");
    program.signal(Signal::TERM).unwrap();
    assert_eq!(program.wait(PATIENCE).unwrap().code(), Some(0));

    let (mut program, address) = start(&["--drain-timeout", "3s"]);
    let (mut client, mut server) = tunnel(address, &far, "");
    program.signal(Signal::TERM).unwrap();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(2) {
        server.write_all(b"x").unwrap();
        assert_eq!(read(&mut client, 1), "x");
        std::thread::sleep(Duration::from_millis(50));
    }
    drop((client, server));
    assert_eq!(program.wait(PATIENCE).unwrap().code(), Some(0));
}

const UPGRADE: &str =
    "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n";

#[test]
fn a_101_that_was_asked_for_makes_a_tunnel_of_the_connection() {
    let far = Far::bind();
    let (program, address) = proxy(&far.address().to_string(), &[]);
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    // With a body before it, and bytes behind it that came too early.
    let request =
        format!("POST /chat HTTP/1.1\r\nHost: lab\r\n{UPGRADE}Content-Length: 4\r\n\r\nbodyearly");
    client.write_all(request.as_bytes()).unwrap();
    let mut server = far.accept();
    let head = read_head(&mut server);
    for line in [
        "POST /chat HTTP/1.1\r\n",
        "\r\nConnection: upgrade\r\n",
        "\r\nUpgrade: websocket\r\n",
        "\r\nSec-WebSocket-Key: k\r\n",
    ] {
        assert!(head.contains(line), "{head}");
    }
    assert_eq!(read(&mut server, 4), "body");
    server
        .write_all(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n\
              Sec-WebSocket-Accept: a\r\n\r\nfirst",
        )
        .unwrap();
    let head = read_head(&mut client);
    assert!(
        head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"),
        "{head}"
    );
    for line in [
        "\r\nConnection: upgrade\r\n",
        "\r\nUpgrade: WebSocket\r\n",
        "\r\nSec-WebSocket-Accept: a\r\n",
    ] {
        assert!(head.contains(line), "{head}");
    }
    assert_eq!(read(&mut client, 5), "first");
    assert_eq!(read(&mut server, 5), "early");
    drop(client);
    assert_eq!(read_to_end(&mut server), b"");
    drop(server);
    let line = log_line(&program);
    assert!(line.contains("POST /chat 101 5 B"), "{line}");
    assert!(line.ends_with("TUNNEL 5 B up"), "{line}");
}

#[test]
fn an_upgrade_that_is_refused_is_an_exchange_like_any_other_but_is_not_stored() {
    let lab = Lab::start(|_| Answer::ok("Cache-Control: max-age=60\r\n", "no"));
    for count in 1..=2 {
        let mut client = Client::connect(lab.address);
        client.write(format!("GET / HTTP/1.1\r\nHost: lab\r\n{UPGRADE}\r\n"));
        let reply = client.read();
        assert_eq!((reply.status, &*reply.text()), (200, "no"));
        assert_eq!(reply.cache(), "fwd=bypass; detail=needs-origin");
        assert_eq!(lab.origin.count("/"), count);
        // What follows is the next request.
        assert_eq!(client.get("/next").text(), "no");
    }
}

#[test]
fn nothing_is_switched_to_that_was_not_asked_for_or_that_is_http() {
    let switch = |to: &str| {
        format!("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {to}\r\n\r\n")
    };
    // What the client asks for, what reaches the origin of it, what that switches to.
    let cases = [
        ("", None, "websocket"),
        ("Upgrade: websocket\r\n", None, "websocket"),
        ("Connection: Upgrade\r\nUpgrade: h2c\r\n", None, "h2c"),
        (
            "Connection: Upgrade\r\nUpgrade: HTTP/2.0, TLS/1.0\r\n",
            None,
            "HTTP/2.0",
        ),
        (
            "Connection: Upgrade\r\nUpgrade: websocket\r\n",
            Some("websocket"),
            "other",
        ),
        (
            "Connection: Upgrade\r\nUpgrade: h2c, a, b\r\n",
            Some("a, b"),
            "h2c",
        ),
    ];
    for (fields, passed_on, to) in cases {
        let answer = switch(to);
        let lab = Lab::before(Origin::start(move |_| Answer::raw(answer.clone())));
        let reply = lab.ask(
            "GET",
            "/",
            &fields.replace("Connection: ", "Connection: x-y, "),
        );
        assert_eq!(reply.status, 502, "{fields}");
        let error = "proxyd; error=http_upgrade_failed; ";
        assert!(reply.field("proxy-status").unwrap().starts_with(error));
        let seen = &lab.origin.seen()[0];
        assert_eq!(seen.field("upgrade").as_deref(), passed_on, "{fields}");
        assert_eq!(seen.field("connection").is_some(), passed_on.is_some());
    }
    // An HTTP/1.0 client cannot upgrade (RFC 9110 §7.8).
    let lab = Lab::start(|_| Answer::ok("", "x"));
    let reply = lab.send(format!("GET / HTTP/1.0\r\nHost: lab\r\n{UPGRADE}\r\n"));
    assert_eq!(Reply::of(&reply.received).status, 200);
    assert_eq!(lab.origin.seen()[0].field("upgrade"), None);
}
