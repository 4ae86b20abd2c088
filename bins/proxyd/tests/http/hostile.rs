//! The vectors of `crates/netproto/vectors`, sent through the proxy in both directions: nothing
//! ambiguous passes, and nothing malformed is stored.

use std::time::Duration;

use testkit::origin::{Answer, Origin};
use testkit::peer::exchange;
use testkit::vectors::{self, SeenBy, Vector};

use crate::lab::{Lab, Reply, proxy};

/// How long a proxy may take to refuse. Beginnings of messages never get an answer.
const REFUSAL: Duration = Duration::from_secs(3);

/// How a request comes: for the origin, or for a server that its target names.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mode {
    Reverse,
    Forward,
}

/// A proxy for one of the two, with the bound on bodies that the vectors count on.
fn lab(mode: Mode, answer: Answer) -> Lab {
    let origin = Origin::start(move |_| answer.clone());
    let flags = ["--max-upload", "16MiB", "--allow-target", "127.0.0.1"];
    match mode {
        Mode::Reverse => Lab::with(origin, &flags),
        // The origin of the command line is nobody: whatever arrives was forwarded.
        Mode::Forward => {
            let (program, address) = proxy("127.0.0.1:9", &flags);
            Lab {
                origin,
                program,
                address,
            }
        }
    }
}

/// A vector as it comes in that mode: with the server in its target, if it has one of the usual form.
fn bytes(mode: Mode, lab: &Lab, vector: &Vector) -> Option<Vec<u8>> {
    let bytes = &vector.bytes;
    if mode == Mode::Reverse {
        return Some(bytes.clone());
    }
    let space = bytes.iter().position(|byte| *byte == b' ')?;
    let (method, rest) = bytes.split_at(space + 1);
    if !rest.starts_with(b"/") {
        return None;
    }
    let server = format!("http://{}", lab.origin.address());
    Some([method, server.as_bytes(), rest].concat())
}

#[test]
fn no_hostile_request_reaches_a_server_as_anything_but_one_request_or_none() {
    for mode in [Mode::Reverse, Mode::Forward] {
        let lab = lab(mode, Answer::ok("Cache-Control: no-store\r\n", "x"));
        let mut sent = 0;
        let mut refuse = |seen_by| {
            for vector in vectors::requests() {
                let Some(status) = vector.status.filter(|_| vector.seen_by == seen_by) else {
                    continue;
                };
                let Some(bytes) = bytes(mode, &lab, &vector) else {
                    continue;
                };
                sent += 1;
                let reply = exchange(lab.address, &bytes, REFUSAL).unwrap();
                assert!(reply.closed, "{mode:?} {}: it goes on", vector.why);
                assert_eq!(reply.status(), Some(status), "{mode:?} {}", vector.why);
            }
        };
        refuse(SeenBy::Head);
        let seen = lab.origin.seen();
        assert!(seen.is_empty(), "{seen:?}");
        // The heads of these are good: a server may have seen them, but never the end of a body.
        refuse(SeenBy::Body);
        assert!(sent > 100, "{mode:?}: {sent} vectors");
        let last = Vector {
            bytes: b"GET /last HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n".to_vec(),
            ..vectors::requests().remove(0)
        };
        let last = lab.send(bytes(mode, &lab, &last).unwrap());
        assert_eq!(last.status(), Some(200), "{}", last.text());
        let (whole, parts): (Vec<_>, Vec<_>) = lab
            .origin
            .seen()
            .into_iter()
            .partition(|request| request.is_whole);
        assert_eq!(whole.len(), 1, "{whole:?}");
        assert!(
            parts
                .iter()
                .all(|part| part.connection != whole[0].connection)
        );
    }
}

#[test]
fn what_breaks_no_rule_is_passed_on_as_exactly_one_request() {
    for mode in [Mode::Reverse, Mode::Forward] {
        let answer = Answer::ok("Cache-Control: no-store\r\n", "x").and_close();
        let lab = lab(mode, answer);
        let mut passed_on = 0;
        for vector in vectors::requests() {
            let Some(bytes) = bytes(mode, &lab, &vector).filter(|_| vector.status.is_none()) else {
                continue;
            };
            let before = lab.origin.seen().len();
            let reply = exchange(lab.address, &bytes, Duration::from_millis(300)).unwrap();
            let seen = lab.origin.seen().split_off(before);
            let answers = reply.text().matches("HTTP/1.1 ").count();
            assert!(
                seen.len() <= answers,
                "{}: {seen:?} for {reply:?}",
                vector.why
            );
            for request in &seen {
                assert!(request.is_whole, "{}", vector.why);
                assert_unambiguous(&request.head(), &vector.why);
            }
            passed_on += seen.len();
        }
        assert!(passed_on > 5, "{mode:?}: {passed_on}");
    }
}

/// A head that no reader can take for another: one line a field, each with a name that is a token,
/// one Host, and one field at most that says where the body ends.
fn assert_unambiguous(head: &str, why: &str) {
    let head = head.strip_suffix("\r\n\r\n").unwrap();
    assert!(!head.contains('\0'), "{why}: {head:?}");
    let mut lines = head.split("\r\n");
    let line = lines.next().unwrap();
    let parts: Vec<_> = line.split(' ').collect();
    assert!(
        parts.len() == 3 && parts[2] == "HTTP/1.1",
        "{why}: {line:?}"
    );
    assert!(
        parts[1].starts_with('/') || parts[1] == "*",
        "{why}: {line:?}"
    );
    let mut names = Vec::new();
    for line in lines {
        assert!(!line.contains(['\r', '\n']), "{why}: {line:?}");
        let (name, value) = line.split_once(": ").unwrap();
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
        assert!(
            !name.is_empty() && name.chars().all(is_token),
            "{why}: {line:?}"
        );
        assert_eq!(value.trim(), value, "{why}: {line:?}");
        names.push(name.to_ascii_lowercase());
    }
    let count = |wanted: &str| names.iter().filter(|name| *name == wanted).count();
    assert_eq!(count("host"), 1, "{why}: {head:?}");
    let framings = count("content-length") + count("transfer-encoding");
    assert!(framings <= 1, "{why}: {head:?}");
}

#[test]
fn a_smuggled_request_is_never_a_request_of_its_own() {
    let lab = Lab::start(|_| Answer::ok("", "x"));
    let inner = "GET /smuggled HTTP/1.1\r\nHost: lab\r\n\r\n";
    let heads = [
        format!(
            "Content-Length: {}\r\nTransfer-Encoding: chunked\r\n",
            inner.len() + 5
        ),
        "Content-Length: 5\r\nContent-Length: 0\r\n".to_owned(),
        "Transfer-Encoding : chunked\r\n".to_owned(),
        "Transfer-Encoding: xchunked\r\n".to_owned(),
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n".to_owned(),
        "Content-Length: 5\n\r\n".to_owned(),
        "X: y\rTransfer-Encoding: chunked\r\n".to_owned(),
    ];
    for head in heads {
        let request = format!("POST / HTTP/1.1\r\nHost: lab\r\n{head}\r\n0\r\n\r\n{inner}");
        let reply = lab.send(&request);
        assert!(reply.closed);
        assert_eq!(reply.text().matches("HTTP/1.1 ").count(), 1, "{head}");
        assert!(
            lab.origin.seen().is_empty(),
            "{head}: {:?}",
            lab.origin.seen()
        );
    }
    // A body that looks like a request stays a body.
    let length = inner.len();
    lab.send(format!(
        "POST / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{inner}"
    ));
    let seen = lab.origin.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].body(), inner.as_bytes());
}

#[test]
fn a_malformed_answer_is_a_502_or_a_cut_and_is_never_stored() {
    let vectors = vectors::responses();
    let bytes: Vec<_> = vectors.iter().map(|vector| vector.bytes.clone()).collect();
    let lab = Lab::start(move |seen| {
        let number: usize = seen.target()[1..].parse().unwrap();
        Answer::raw(bytes[number].clone()).and_close()
    });
    for (number, vector) in vectors.iter().enumerate() {
        let Some(status) = vector.status else {
            continue;
        };
        let target = format!("/{number}");
        let mut connections = Vec::new();
        for _ in 0..2 {
            let request =
                format!("GET {target} HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n");
            let reply = lab.send(request);
            assert!(reply.closed, "{}", vector.why);
            let reply = Reply::of(&reply.received);
            if vector.seen_by == SeenBy::Head {
                assert_eq!(reply.status, status, "{}", vector.why);
            } else {
                // The head was passed on before the body broke: the cut is all that can be told.
                let is_whole = match reply.field("content-length") {
                    Some(length) => reply.body.len() == length.parse::<usize>().unwrap(),
                    None => reply.body.ends_with(b"0\r\n\r\n"),
                };
                assert!(!is_whole, "{}: {reply:?}", vector.why);
            }
            connections.push(lab.origin.seen().last().unwrap().connection);
        }
        assert_eq!(lab.origin.count(&target), 2, "{}: stored", vector.why);
        assert_ne!(connections[0], connections[1], "{}: reused", vector.why);
    }
}

/// What a client is left with.
enum Left {
    /// This status and this error in Proxy-Status.
    Told(u16, &'static str),
    /// A 200 that is visibly not whole.
    Cut,
}

#[test]
fn an_answer_that_is_late_cut_or_too_large_is_said_to_be_and_never_stored() {
    use Left::{Cut, Told};
    let late = Duration::from_secs(5);
    let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 10\r\n\r\n";
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(101));
    let large = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(9000));
    let sections = format!("X: {}\r\n", "y".repeat(8000)).repeat(9);
    let sections = format!("HTTP/1.1 200 OK\r\n{sections}\r\n");
    let chunked = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    let cases = [
        (
            Answer::raw("").and(late, head),
            Told(504, "http_response_timeout"),
        ),
        (
            Answer::raw(&head[..20]).and(late, &head[20..]),
            Told(504, "http_response_timeout"),
        ),
        (
            Answer::raw(&head[..20]).and_close(),
            Told(502, "http_response_incomplete"),
        ),
        (
            Answer::default().and_close(),
            Told(502, "connection_terminated"),
        ),
        (
            Answer::raw("nonsense\r\n\r\n").and_close(),
            Told(502, "http_protocol_error"),
        ),
        (
            Answer::raw(many),
            Told(502, "http_response_header_section_size"),
        ),
        (Answer::raw(large), Told(502, "http_response_header_size")),
        (
            Answer::raw(sections),
            Told(502, "http_response_header_section_size"),
        ),
        (Answer::raw(format!("{head}hello")).and_close(), Cut),
        (Answer::raw(format!("{head}hello")).and(late, "world"), Cut),
        (Answer::raw(chunked).and_close(), Cut),
        (Answer::raw(chunked).and(late, "0\r\n\r\n"), Cut),
    ];
    for (number, (answer, left)) in cases.into_iter().enumerate() {
        let origin = Origin::start(move |_| answer.clone());
        let lab = Lab::with(origin, &["--answer-timeout", "1s"]);
        for _ in 0..2 {
            let exchange = lab.send("GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n");
            let reply = Reply::of(&exchange.received);
            assert!(exchange.closed, "{number}");
            match left {
                Told(status, error) => {
                    assert_eq!(reply.status, status, "{number}: {}", reply.text());
                    let field = reply.field("proxy-status").unwrap();
                    let next_hop = lab.origin.address();
                    let expected = format!("proxyd; error={error}; next-hop=\"{next_hop}\"");
                    assert_eq!(field, expected, "{number}");
                    assert!(reply.text().starts_with(&status.to_string()), "{number}");
                }
                Cut => {
                    assert_eq!(reply.status, 200, "{number}");
                    assert!(reply.text().contains("hello"), "{number}");
                    assert!(!reply.text().ends_with("0\r\n\r\n"), "{number}");
                    assert!(reply.body.len() <= "5\r\nhello\r\n".len(), "{number}");
                }
            }
        }
        // Each was asked for on a connection of its own, as often as it was wanted.
        let seen = lab.origin.seen();
        let mut connections: Vec<_> = seen.iter().map(|seen| seen.connection).collect();
        connections.dedup();
        assert_eq!((seen.len(), connections.len()), (2, 2), "{number}");
    }
}

#[test]
fn bytes_behind_an_answer_are_not_the_next_answer() {
    let poison = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 6\r\n\r\npoison";
    let lab = Lab::start(move |seen| match seen.target().as_str() {
        "/first" => Answer::raw(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok{poison}"
        )),
        _ => Answer::ok("", "mine"),
    });
    assert_eq!(lab.get("/first").text(), "ok");
    assert_eq!(lab.get("/second").text(), "mine");
    let connections: Vec<_> = lab
        .origin
        .seen()
        .iter()
        .map(|seen| seen.connection)
        .collect();
    assert_eq!(connections, [0, 1]);
}
