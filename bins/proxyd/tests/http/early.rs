//! Origins that speak before the request has come to its end: interim answers, 100 (Continue), and
//! final answers that come early.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use testkit::origin::{Answer, Origin};

use crate::lab::{Client, Lab, PATIENCE, Reply, proxy};

const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\
                     Connection: X-Hop\r\nX-Hop: 1\r\n\r\n";

/// An origin of one connection, which the test speaks for once a head has come.
fn head_at(listener: &TcpListener) -> (TcpStream, String) {
    let (mut stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = head_of(&mut stream);
    (stream, head)
}

fn head_of(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    String::from_utf8(head).unwrap()
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

/// An origin that sends back each piece of a body as soon as it has read it, in one write each, on
/// as many connections as come. Ends with how many bytes of bodies it read on each.
fn echo(listener: TcpListener, answer: &'static str, connections: usize) -> JoinHandle<Vec<u64>> {
    std::thread::spawn(move || {
        let serve = |_| {
            let (mut stream, head) = head_at(&listener);
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("Content-Length: "))
                .map_or(0, |length| length.parse().unwrap());
            stream.write_all(answer.as_bytes()).unwrap();
            let (mut read, mut piece) = (0, vec![0; 64 * 1024]);
            while read < length {
                let count = stream.read(&mut piece).unwrap_or(0);
                if count == 0 {
                    break;
                }
                read += count as u64;
                stream.write_all(&piece[..count]).unwrap();
            }
            read
        };
        (0..connections).map(serve).collect()
    })
}

#[test]
fn an_answer_that_comes_early_reaches_a_client_that_has_not_sent_all() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (_program, address) = proxy(&listener.local_addr().unwrap().to_string(), &[]);
    let origin = std::thread::spawn(move || {
        let (mut stream, _) = head_at(&listener);
        let mut body = [0; 12];
        stream.read_exact(&mut body[..3]).unwrap();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nearly\r\n")
            .unwrap();
        stream.read_exact(&mut body[3..]).unwrap();
        stream.write_all(b"4\r\nlate\r\n0\r\n\r\n").unwrap();
        let next = head_of(&mut stream);
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext")
            .unwrap();
        (body, next)
    });
    let mut client = Client::connect(address);
    client.write("PUT / HTTP/1.1\r\nHost: lab\r\nContent-Length: 12\r\n\r\nabc");
    assert_eq!(client.read_head().status, 200);
    assert_eq!(client.read_exact(10), b"5\r\nearly\r\n");
    client.write("defghijkl");
    assert_eq!(client.read_exact(14), b"4\r\nlate\r\n0\r\n\r\n");
    // All is in order: the next request goes the same way on both sides.
    assert_eq!(client.get("/next").text(), "next");
    let (body, next) = origin.join().unwrap();
    assert_eq!(&body, b"abcdefghijkl");
    assert!(next.starts_with("GET /next HTTP/1.1\r\n"));
}

#[test]
fn an_upload_goes_on_when_its_answer_is_complete() {
    // With a body and without one.
    for early in [
        "HTTP/1.1 201 Created\r\nContent-Length: 4\r\n\r\nmade",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ] {
        for is_chunked in [false, true] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let (_program, address) = proxy(&listener.local_addr().unwrap().to_string(), &[]);
            let (framing, first, rest, sent) = if is_chunked {
                let framing = "Transfer-Encoding: chunked";
                (framing, "3\r\nabc\r\n", "3\r\ndef\r\n0\r\n\r\n", 21)
            } else {
                ("Content-Length: 6", "abc", "def", 6)
            };
            let mut client = Client::connect(address);
            client.write(format!(
                "PUT / HTTP/1.1\r\nHost: lab\r\n{framing}\r\n\r\n{first}"
            ));
            let (mut origin, _) = head_at(&listener);
            let mut body = vec![0; sent];
            origin.read_exact(&mut body[..first.len()]).unwrap();
            origin.write_all(early.as_bytes()).unwrap();
            let reply = client.read();
            assert_eq!(reply.status, early[9..12].parse::<u16>().unwrap());
            client.write(rest);
            origin.read_exact(&mut body[first.len()..]).unwrap();
            assert_eq!(body, format!("{first}{rest}").as_bytes(), "{early}");
        }
    }
}

#[test]
fn an_origin_that_sends_back_what_it_reads_does_not_stall() {
    // More than all buffers between the two can hold.
    const BYTES: usize = 64 << 20;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = listener.local_addr().unwrap().to_string();
    let origin = echo(
        listener,
        "HTTP/1.1 200 OK\r\nContent-Length: 67108864\r\n\r\n",
        1,
    );
    let (_program, address) = proxy(&to, &["--max-upload", "64MiB"]);
    let mut writer = TcpStream::connect(address).unwrap();
    let mut reader = writer.try_clone().unwrap();
    reader.set_read_timeout(Some(PATIENCE)).unwrap();
    let sending = std::thread::spawn(move || {
        let head = format!("PUT / HTTP/1.1\r\nHost: lab\r\nContent-Length: {BYTES}\r\n\r\n");
        writer.write_all(head.as_bytes()).unwrap();
        let piece: Vec<u8> = (0..1 << 20).map(|at| (at % 251) as u8).collect();
        for _ in 0..BYTES / piece.len() {
            writer.write_all(&piece).unwrap();
        }
    });
    head_of(&mut reader);
    let mut piece = vec![0; 1 << 20];
    for _ in 0..BYTES / piece.len() {
        reader.read_exact(&mut piece).unwrap();
        assert!(
            piece
                .iter()
                .enumerate()
                .all(|(at, byte)| *byte == (at % 251) as u8)
        );
    }
    sending.join().unwrap();
    assert_eq!(origin.join().unwrap(), [BYTES as u64]);
}

#[test]
fn a_client_that_breaks_off_an_answered_upload_breaks_it_off_at_the_origin() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = listener.local_addr().unwrap().to_string();
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let origin = echo(listener, answer, 1);
    let (_program, address) = proxy(&to, &[]);
    let mut client = Client::connect(address);
    client.write("PUT / HTTP/1.1\r\nHost: lab\r\nContent-Length: 9\r\n\r\nabc");
    assert_eq!(client.read_head().status, 200);
    drop(client);
    assert_eq!(origin.join().unwrap(), [3]);
}

#[test]
fn a_client_that_leaves_a_silent_origin_is_noticed_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (_program, address) = proxy(&listener.local_addr().unwrap().to_string(), &[]);
    let mut client = Client::connect(address);
    client.write("GET / HTTP/1.1\r\nHost: lab\r\n\r\n");
    let (mut origin, _) = head_at(&listener);
    origin
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
        .unwrap();
    client.read_head();
    assert_eq!(client.read_exact(3), b"abc");
    let left = Instant::now();
    drop(client);
    // The origin has 30 s for its next byte; it sees that nobody wants it long before.
    assert_eq!(origin.read(&mut [0]).unwrap(), 0);
    assert!(left.elapsed() < PATIENCE / 2, "{:?}", left.elapsed());
}
