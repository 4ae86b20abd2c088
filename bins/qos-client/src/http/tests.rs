use super::answer::{PREVIEW_BYTES, PREVIEW_CHARS, preview};
use super::*;
use crate::target::Service;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

/// A server for one connection: reads until the request's empty line, then writes each piece.
fn server(pieces: Vec<Vec<u8>>) -> (Endpoint, thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        let mut chunk = [0; 1024];
        while !request.ends_with(b"\r\n\r\n") {
            let length = stream.read(&mut chunk).unwrap();
            assert_ne!(length, 0, "the request was cut short");
            request.extend_from_slice(&chunk[..length]);
        }
        for piece in pieces {
            stream.write_all(&piece).unwrap();
            thread::sleep(Duration::from_millis(20));
        }
        String::from_utf8(request).unwrap()
    });
    (endpoint(port), serving)
}

fn endpoint(port: u16) -> Endpoint {
    Endpoint {
        service: Service::Tcp,
        host: "127.0.0.1".to_owned(),
        port,
    }
}

fn fetch_from(pieces: &[&[u8]], timeout: Duration) -> Result<Exchange, Unreachable> {
    let (endpoint, serving) = server(pieces.iter().map(|piece| piece.to_vec()).collect());
    let plan = Plan {
        timeout,
        ..Plan::default()
    };
    let result = fetch(&endpoint, &plan, &Interrupt::manual());
    serving.join().unwrap();
    result
}

const PATIENCE: Duration = Duration::from_secs(5);

#[test]
fn every_framing_gives_the_body_and_its_length() {
    for pieces in [
        &[&b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"[..]][..],
        &[b"HTTP/1.1 200 OK\r\nContent-", b"Length: 5\r\n\r\nhe", b"llo"],
        &[b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n", b"3\r\nllo\r\n0\r\n\r\n"],
        &[b"HTTP/1.1 200 OK\r\n\r\nhel", b"lo"],
        &[b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, and more"],
    ] {
        let exchange = fetch_from(pieces, PATIENCE).unwrap();
        assert_eq!(exchange.status, 200);
        assert_eq!(exchange.body_bytes, 5);
        assert_eq!(exchange.preview.as_deref(), Some("hello"));
    }
}

#[test]
fn the_request_is_a_plain_get_that_names_its_host() {
    let (endpoint, serving) = server(vec![b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()]);
    let plan = Plan::default().with_path("/a?b=c").unwrap();
    fetch(&endpoint, &plan, &Interrupt::manual()).unwrap();
    let host = format!("Host: 127.0.0.1:{}", endpoint.port);
    let request = serving.join().unwrap();
    let lines: Vec<_> = request.lines().collect();
    assert_eq!(lines[0], "GET /a?b=c HTTP/1.1");
    assert!(lines.contains(&host.as_str()), "{request}");
    assert!(lines.contains(&"Connection: close"), "{request}");
}

#[test]
fn the_times_are_apart_and_the_rate_leaves_out_the_first_piece() {
    // The body comes in three pieces, 20 ms apart: 2,000 bytes after the first.
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n";
    let first: Vec<u8> = [&head[..], &[b'x'; 1000]].concat();
    let exchange = fetch_from(&[&first, &[b'x'; 1000], &[b'x'; 1000]], PATIENCE).unwrap();
    // A busy machine may see the first piece late, but none of them early.
    assert!(exchange.first_byte + exchange.transfer >= Duration::from_millis(40));
    assert!(exchange.transfer > Duration::ZERO);
    assert!(exchange.total >= exchange.connect + exchange.first_byte + exchange.transfer);
    let expected = 2000.0 * 8.0 / exchange.transfer.as_secs_f64();
    let measured = exchange.throughput_bps.unwrap();
    assert!(
        (measured - expected).abs() < 1e-3 * expected,
        "{measured} {expected}"
    );
}

#[test]
fn what_is_no_answer_is_named_with_the_target() {
    for (answer, cause) in [
        (&b""[..], "it closed the connection without an answer"),
        (
            b"HTTP/1.1 200",
            "it closed the connection in the middle of the head",
        ),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "a malformed status line"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
            "the body was cut short",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999999\r\n\r\n",
            "its body is larger than 1099511627776 bytes",
        ),
    ] {
        let error = fetch_from(&[answer], PATIENCE).unwrap_err().to_string();
        assert!(error.starts_with("tcp 127.0.0.1:"), "{error}");
        assert!(error.ends_with(cause), "{error}");
    }
}

#[test]
fn a_server_that_says_nothing_is_given_up_at_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = endpoint(listener.local_addr().unwrap().port());
    let plan = Plan {
        timeout: Duration::from_millis(150),
        ..Plan::default()
    };
    let begun = clock::now();
    let error = fetch(&endpoint, &plan, &Interrupt::manual()).unwrap_err();
    assert!(matches!(error, Unreachable::TimedOut { .. }), "{error}");
    assert!(clock::now().saturating_sub(begun) < Duration::from_secs(2));
}

#[test]
fn nobody_there_is_refused_by_name() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let error = fetch(&endpoint(port), &Plan::default(), &Interrupt::manual()).unwrap_err();
    let expected = format!("nothing listens on tcp 127.0.0.1:{port}; is a server running there?");
    assert_eq!(error.to_string(), expected);
}

#[test]
fn what_is_shown_of_a_body_is_short_and_cannot_steer_the_terminal() {
    let mut text = "é".repeat(400);
    text.push_str("\x1b[31mred\x07");
    text.push_str(&"€".repeat(4000));
    let shown = preview(&text.as_bytes()[..PREVIEW_BYTES]);
    assert_eq!(shown.chars().count(), PREVIEW_CHARS);
    assert!(!shown.contains(['\x1b', '\x07']));
    assert!(shown.contains("[31mred"));
}

#[test]
fn a_body_that_is_not_text_is_counted_and_not_shown() {
    let answer = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 4\r\n\r\n\x89PNG";
    let exchange = fetch_from(&[answer], PATIENCE).unwrap();
    assert_eq!((exchange.preview, exchange.body_bytes), (None, 4));
}
