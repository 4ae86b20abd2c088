//! A stored response that the origin confirms: what its 304 changes, and what it does not.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use testkit::origin::Answer;

use crate::lab::Lab;

#[test]
fn a_stale_response_is_confirmed_with_its_validators() {
    let asked = AtomicUsize::new(0);
    let lab = Lab::start(move |seen| {
        let fields = "Cache-Control: max-age=1\r\nETag: \"v1\"\r\n\
                      Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
        if asked.fetch_add(1, Ordering::SeqCst) == 0 {
            return Answer::ok(&format!("{fields}X-Kept: 1\r\nX-Changed: 1\r\n"), "body");
        }
        assert_eq!(seen.field("if-none-match").as_deref(), Some("\"v1\""));
        let since = seen.field("if-modified-since");
        assert_eq!(since.as_deref(), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
        Answer::raw(
            "HTTP/1.1 304 Not Modified\r\nETag: \"v1\"\r\nX-Changed: 2\r\n\
             Content-Length: 999\r\nCache-Control: max-age=60\r\n\r\n",
        )
    });
    lab.get("/");
    std::thread::sleep(Duration::from_millis(1300));
    let confirmed = lab.get("/");
    assert_eq!((confirmed.status, confirmed.text().as_str()), (200, "body"));
    assert_eq!(confirmed.cache(), "fwd=stale; fwd-status=304; stored");
    assert_eq!(confirmed.field("x-changed"), Some("2"));
    assert_eq!(confirmed.field("x-kept"), Some("1"));
    assert_eq!(confirmed.field("content-length"), Some("4"));
    let hit = lab.get("/");
    assert!(hit.cache().starts_with("hit; ttl="), "{}", hit.cache());
    assert_eq!(hit.field("x-changed"), Some("2"));
    assert_eq!(lab.origin.count("/"), 2);
    assert_eq!(lab.labels(3), ["MISS", "REVALIDATED", "HIT"]);
}

#[test]
fn a_304_for_another_entity_tag_is_not_taken_for_a_confirmation() {
    let lab = Lab::start(|seen| {
        if seen.field("if-none-match").is_some() {
            Answer::raw("HTTP/1.1 304 Not Modified\r\nETag: \"v2\"\r\n\r\n")
        } else {
            Answer::ok("ETag: \"v1\"\r\n", "body")
        }
    });
    lab.get("/");
    let reply = lab.get("/");
    assert_eq!((reply.status, reply.text().as_str()), (200, "body"));
    assert_eq!(lab.origin.seen().len(), 3);
}

#[test]
fn a_cookie_of_a_304_is_for_the_client_that_asked() {
    let lab = Lab::start(|seen| {
        if seen.field("if-none-match").is_some() {
            Answer::raw(
                "HTTP/1.1 304 Not Modified\r\nETag: \"v1\"\r\nSet-Cookie: session=secret\r\n\
                 Cache-Control: max-age=60\r\n\r\n",
            )
        } else {
            Answer::ok("ETag: \"v1\"\r\n", "body")
        }
    });
    lab.get("/");
    let asked = lab.get("/");
    assert_eq!(asked.cache(), "fwd=stale; fwd-status=304; stored");
    assert_eq!(asked.field("set-cookie"), Some("session=secret"));
    let another = lab.get("/");
    assert!(another.cache().starts_with("hit"), "{}", another.cache());
    assert_eq!(another.field("set-cookie"), None);
}

#[test]
fn a_304_that_selects_by_other_fields_confirms_nothing() {
    let lab = Lab::start(|seen| {
        let language = seen.field("accept-language").unwrap_or_default();
        let fields = "Cache-Control: max-age=60\r\nVary: Accept-Language\r\n";
        match seen.field("if-none-match") {
            Some(_) => Answer::raw(format!(
                "HTTP/1.1 304 Not Modified\r\nETag: \"v1\"\r\n{fields}\r\n"
            )),
            None if language == "de" => Answer::ok("ETag: \"v1\"\r\n", "plain"),
            None => Answer::ok(&format!("ETag: \"v2\"\r\n{fields}"), &language),
        }
    });
    let ask = |language: &str| {
        let fields = format!("Accept-Language: {language}\r\n");
        lab.ask("GET", "/", &fields).text()
    };
    assert_eq!(ask("de"), "plain");
    assert_eq!(ask("en"), "en", "not what was stored before Vary was told");
    assert_eq!(ask("fr"), "fr");
    assert_eq!(ask("en"), "en");
    assert_eq!(lab.origin.seen().len(), 5);
}

#[test]
fn a_304_without_a_date_makes_what_is_stored_as_young_as_itself() {
    let lab = Lab::start(|seen| match seen.field("if-none-match") {
        None => Answer::ok("Cache-Control: max-age=2\r\nETag: \"v1\"\r\n", "body"),
        Some(_) => Answer::raw("HTTP/1.1 304 Not Modified\r\nETag: \"v1\"\r\n\r\n"),
    });
    let first = lab.get("/");
    std::thread::sleep(Duration::from_millis(2300));
    let confirmed = lab.get("/");
    assert_eq!(confirmed.cache(), "fwd=stale; fwd-status=304; stored");
    assert_ne!(confirmed.field("date"), first.field("date"));
    assert_eq!(confirmed.field("age"), Some("0"));
    let hit = lab.get("/");
    assert!(hit.cache().starts_with("hit; ttl="), "{}", hit.cache());
    assert_eq!(hit.field("date"), confirmed.field("date"));
}

#[test]
fn an_answer_that_is_confirmed_and_not_stored_has_the_age_of_the_304() {
    let lab = Lab::start(|seen| match seen.field("if-none-match") {
        None => Answer::ok(
            "Cache-Control: max-age=60\r\nAge: 40\r\nETag: \"v1\"\r\n",
            "body",
        ),
        Some(_) => Answer::raw("HTTP/1.1 304 Not Modified\r\nETag: \"v1\"\r\n\r\n"),
    });
    lab.get("/");
    let cases = [
        ("Cache-Control: no-cache, no-store\r\n", "request-no-store"),
        (
            "Cache-Control: no-cache\r\nAuthorization: Basic YQ==\r\n",
            "authorization",
        ),
    ];
    for (fields, why) in cases {
        let reply = lab.ask("GET", "/", fields);
        let expected = format!("fwd=request; fwd-status=304; detail={why}");
        assert_eq!(reply.cache(), expected);
        assert_eq!(reply.field("age"), Some("0"));
    }
    let age: u64 = lab.get("/").field("age").unwrap().parse().unwrap();
    assert!(age >= 40, "what is stored is as it was");
}
