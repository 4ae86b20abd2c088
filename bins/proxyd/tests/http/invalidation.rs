//! What an answer to an unsafe method removes from the store (RFC 9111 §4.4), and what it keeps out.

use std::time::{Duration, Instant};

use testkit::origin::Answer;

use crate::lab::{Client, Lab, PATIENCE};

const FRESH: &str = "Cache-Control: max-age=60\r\n";
/// How long the origin takes in the middle of an answer.
const PAUSE: Duration = Duration::from_millis(500);

#[test]
fn an_answer_to_an_unsafe_method_invalidates_what_it_names() {
    let lab = Lab::start(|seen| {
        let head = seen.head();
        match head.split(' ').next().unwrap() {
            "GET" => Answer::ok(FRESH, "x"),
            "DELETE" => Answer::raw("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"),
            _ => Answer::ok(
                "Location: /made\r\nContent-Location: http://LAB/here\r\n",
                "",
            ),
        }
    });
    let is_hit = |target| lab.get(target).cache().starts_with("hit");
    for target in ["/a", "/made", "/here", "/else"] {
        assert!(!is_hit(target));
        assert!(is_hit(target));
    }
    lab.ask("DELETE", "/a", "");
    assert!(is_hit("/a"), "an error changes nothing");
    assert_eq!(
        lab.ask("POST", "/a", "Content-Length: 0\r\n").cache(),
        "fwd=method"
    );
    assert!(!is_hit("/a"));
    assert!(!is_hit("/made"));
    assert!(!is_hit("/here"));
    assert!(is_hit("/else"));
}

#[test]
fn a_body_under_way_when_its_url_is_written_is_not_stored() {
    let lab = Lab::start(|seen| match seen.head().as_bytes()[0] {
        b'G' => Answer::raw(format!(
            "HTTP/1.1 200 OK\r\n{FRESH}Content-Length: 3\r\n\r\no"
        ))
        .and(PAUSE, "ld"),
        _ => Answer::ok("", ""),
    });
    let mut client = Client::connect(lab.address);
    client.write("GET / HTTP/1.1\r\nHost: lab\r\n\r\n");
    assert_eq!(client.read_head().status, 200);
    assert_eq!(lab.ask("PUT", "/", "Content-Length: 0\r\n").status, 200);
    assert_eq!(client.read_exact(3), b"old");
    assert_eq!(lab.get("/").cache(), "fwd=uri-miss; stored");
    assert!(lab.get("/").cache().starts_with("hit"));
}

#[test]
fn a_confirmation_under_way_when_its_url_is_written_is_not_stored() {
    let lab = Lab::start(|seen| {
        if seen.head().starts_with("PUT") {
            return Answer::ok("", "");
        }
        let fields = "ETag: \"v1\"\r\n";
        match seen.field("if-none-match") {
            None => Answer::ok(fields, "old"),
            Some(_) => Answer::default().and(
                PAUSE,
                format!("HTTP/1.1 304 Not Modified\r\n{fields}{FRESH}\r\n"),
            ),
        }
    });
    lab.get("/");
    let mut client = Client::connect(lab.address);
    client.write("GET / HTTP/1.1\r\nHost: lab\r\n\r\n");
    let end = Instant::now() + PATIENCE;
    while lab.origin.count("/") < 2 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(lab.ask("PUT", "/", "Content-Length: 0\r\n").status, 200);
    let confirmed = client.read();
    assert_eq!(confirmed.text(), "old");
    assert_eq!(
        confirmed.cache(),
        "fwd=stale; fwd-status=304; detail=invalidated"
    );
    assert_eq!(lab.get("/").cache(), "fwd=uri-miss; stored");
}

#[test]
fn purge_removes_what_is_stored_for_those_who_may_and_is_not_passed_on() {
    let lab = Lab::start(|_| Answer::ok("Cache-Control: max-age=60\r\n", "x"));
    lab.get("/a");
    lab.get("/b");
    assert_eq!(lab.ask("PURGE", "/a", "").status, 200);
    assert_eq!(lab.ask("PURGE", "/a", "").status, 404);
    assert_eq!(lab.get("/a").cache(), "fwd=uri-miss; stored");
    assert!(lab.get("/b").cache().starts_with("hit"));
    assert_eq!(lab.origin.seen().len(), 3, "the origin hears nothing of it");
}

#[test]
fn purge_is_for_nobody_where_others_may_stand_before_the_proxy() {
    let origin =
        testkit::origin::Origin::start(|_| Answer::ok("Cache-Control: max-age=60\r\n", "x"));
    let lab = Lab::with(origin, &["--reverse-only"]);
    lab.get("/");
    assert_eq!(lab.ask("PURGE", "/", "").status, 403);
    assert!(lab.get("/").cache().starts_with("hit"));
}
