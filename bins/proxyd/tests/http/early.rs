//! Origins that speak before the request has come to its end: interim answers, 100 (Continue), and
//! final answers that come early.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use testkit::origin::{Answer, Origin};

use crate::lab::{Client, Lab, PATIENCE, Reply, proxy};

const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\
                     Connection: X-Hop\r\nX-Hop: 1\r\n\r\n";

/// An origin of one connection, which the test speaks for once a head has come.
fn head_at(listener: &TcpListener) -> (TcpStream, String) {
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    (stream, String::from_utf8(head).unwrap())
}

#[test]
fn interim_answers_are_passed_on_before_the_final_one_and_never_stored() {
    let lab = Lab::start(|_| {
        Answer::raw(HINTS).and(
            Duration::from_millis(20),
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nCache-Control: max-age=60\r\n\r\nx",
        )
    });
    let mut client = Client::connect(lab.address);
    client.write("GET / HTTP/1.1\r\nHost: lab\r\n\r\n");
    let hints = client.read_head();
    assert_eq!(
        hints.head,
        "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n"
    );
    assert_eq!(client.read().text(), "x");
    let hit = client.get("/");
    assert!(hit.cache().starts_with("hit"), "{}", hit.head);
    assert_eq!(hit.field("link"), None);
    // A client of HTTP/1.0 would take it for the answer.
    let old = lab.send("GET /old HTTP/1.0\r\nHost: lab\r\n\r\n");
    assert_eq!(Reply::of(&old.received).status, 200);
}

#[test]
fn an_origin_that_only_ever_hints_is_given_up() {
    let lab = Lab::start(|_| Answer::raw(HINTS.repeat(20)));
    let reply = lab.send("GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n");
    let text = reply.text();
    assert_eq!(text.matches("HTTP/1.1 103 ").count(), 8, "{text}");
    assert_eq!(text.matches("HTTP/1.1 502 ").count(), 1, "{text}");
}

#[test]
fn whether_a_body_is_wanted_is_for_the_origin_to_say() {
    let request =
        "POST / HTTP/1.1\r\nHost: lab\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (_program, address) = proxy(&listener.local_addr().unwrap().to_string(), &[]);

    let mut client = Client::connect(address);
    client.write(request);
    let (mut origin, head) = head_at(&listener);
    assert!(head.contains("\r\nExpect: 100-continue\r\n"), "{head}");
    origin
        .write_all(b"HTTP/1.1 100 Go On\r\nX-Said: by the origin\r\n\r\n")
        .unwrap();
    let go_on = client.read_head();
    assert_eq!(
        (go_on.status, go_on.field("x-said")),
        (100, Some("by the origin"))
    );
    client.write("hello");
    let mut body = [0; 5];
    origin.read_exact(&mut body).unwrap();
    assert_eq!(&body, b"hello");
    origin
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        .unwrap();
    let done = client.read();
    assert_eq!(
        (done.status, &*done.text()),
        (200, "ok"),
        "100 is said once"
    );

    // One that does not want it.
    for status in ["401 Unauthorized", "200 OK"] {
        let mut client = Client::connect(address);
        client.write(request);
        let (mut origin, _) = head_at(&listener);
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nno");
        origin.write_all(answer.as_bytes()).unwrap();
        let reply = client.read();
        assert_eq!(
            reply.head.lines().next(),
            Some(&*format!("HTTP/1.1 {status}"))
        );
        assert_eq!(reply.text(), "no");
        assert_eq!(reply.field("connection"), Some("close"));
        let mut rest = Vec::new();
        origin.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"", "{status}");
    }
}

#[test]
fn a_client_is_told_to_continue_when_the_origin_says_nothing() {
    // It reads the body first, and knows nothing of Expect.
    let lab = Lab::start(|_| Answer::ok("", "got it"));
    let mut client = Client::connect(lab.address);
    client
        .write("POST / HTTP/1.1\r\nHost: lab\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(client.read().status, 100);
    client.write("hello");
    assert_eq!(client.read().text(), "got it");
}

#[test]
fn an_upload_streams_through_and_is_bounded() {
    const PIECE: usize = 1 << 20;
    const PIECES: usize = 192;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = listener.local_addr().unwrap().to_string();
    let (program, address) = proxy(&origin, &["--max-upload", "192MiB"]);
    let sent = std::thread::spawn(move || {
        let (mut origin, _) = head_at(&listener);
        let body = std::io::copy(
            &mut (&origin).take((PIECES * PIECE) as u64),
            &mut std::io::sink(),
        );
        origin
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            .unwrap();
        body.unwrap()
    });
    let mut client = Client::connect(address);
    let length = PIECE * PIECES;
    client.write(format!(
        "PUT / HTTP/1.1\r\nHost: lab\r\nContent-Length: {length}\r\n\r\n"
    ));
    let piece = vec![b'x'; PIECE];
    for _ in 0..PIECES {
        client.write(&piece);
    }
    assert_eq!(client.read().text(), "ok");
    assert_eq!(sent.join().unwrap(), length as u64);
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes: u64 = peak
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    assert!(kilobytes < 64 * 1024, "{kilobytes} kB at the peak");

    // By its length at once, and in chunks when it comes to that.
    let origin = Origin::start(|_| Answer::ok("", "x"));
    let lab = Lab::with(origin, &["--max-upload", "4B"]);
    for body in [
        "Content-Length: 5\r\n\r\nhello",
        "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
    ] {
        let request = format!("PUT / HTTP/1.1\r\nHost: lab\r\n{body}");
        assert_eq!(lab.send(request).status(), Some(413), "{body}");
    }
    assert!(lab.origin.seen().iter().all(|seen| !seen.is_whole));
}
