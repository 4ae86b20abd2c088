//! What is sent stale: while it is asked for anew, and when the origin gives no answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use testkit::origin::{Answer, Origin};

use crate::lab::{Lab, PATIENCE};

/// Until what has a lifetime of a second is stale.
const STALE: Duration = Duration::from_millis(1200);

#[test]
fn what_may_be_stale_for_a_while_is_sent_at_once_and_asked_for_once() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let lab = Lab::start(move |seen| {
        if count.fetch_add(1, Ordering::SeqCst) == 0 {
            let fields = "Cache-Control: max-age=1, stale-while-revalidate=60\r\nETag: \"a\"\r\n";
            return Answer::ok(fields, "old");
        }
        assert_eq!(seen.field("if-none-match").as_deref(), Some("\"a\""));
        let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 3\r\n\r\n";
        Answer::default().and(Duration::from_secs(1), format!("{head}new"))
    });
    lab.get("/");
    sleep(STALE);
    let began = Instant::now();
    for _ in 0..5 {
        let stale = lab.get("/");
        assert_eq!(stale.text(), "old");
        assert!(stale.cache().starts_with("hit; ttl=-") || stale.cache() == "hit; ttl=0");
    }
    assert!(
        began.elapsed() < Duration::from_millis(900),
        "nobody waits for the origin"
    );
    let end = Instant::now() + PATIENCE;
    while lab.get("/").text() != "new" {
        assert!(Instant::now() < end, "it was asked for");
        sleep(Duration::from_millis(50));
    }
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    assert_eq!(lab.labels(2)[..2], ["MISS", "STALE"]);
}

#[test]
fn an_origin_that_is_gone_is_stood_in_for_as_long_as_the_rules_allow_and_no_longer() {
    let answer = |seen: &testkit::origin::Seen| {
        let directive = match seen.target().as_str() {
            "/plain" => "max-age=1",
            "/must" => "max-age=1, must-revalidate",
            "/shared" => "s-maxage=1",
            other => panic!("{other}"),
        };
        Answer::ok(&format!("Cache-Control: {directive}\r\n"), "old").and_close()
    };
    let origin = Origin::start(answer);
    let origin_address = origin.address();
    let mut lab = Lab::before(origin);
    for target in ["/plain", "/must", "/shared"] {
        assert_eq!(lab.get(target).cache(), "fwd=uri-miss; stored");
    }
    // Gone, the port closed.
    lab.origin = Origin::start(|_| Answer::default());
    sleep(STALE);

    let stale = lab.get("/plain");
    assert_eq!((stale.status, stale.text().as_str()), (200, "old"));
    assert!(
        stale.cache().starts_with("fwd=stale; ttl=")
            && stale.cache().ends_with("detail=unreachable"),
        "{}",
        stale.cache()
    );
    for target in ["/must", "/shared", "/nothing"] {
        assert_eq!(lab.get(target).status, 502, "{target}");
    }
    let insists = lab.ask("GET", "/plain", "Cache-Control: no-cache\r\n");
    assert_eq!(insists.status, 502);
    let reload = lab.ask("GET", "/plain", "Cache-Control: max-age=0\r\n");
    assert_eq!((reload.status, reload.text().as_str()), (200, "old"));
    assert_eq!(lab.ask("HEAD", "/plain", "").status, 200);

    lab.origin = Origin::at(origin_address, |_| {
        Answer::ok("Cache-Control: max-age=60\r\n", "new").and_close()
    });
    for target in ["/plain", "/must", "/shared"] {
        let back = lab.get(target);
        assert_eq!(
            (back.status, back.text().as_str()),
            (200, "new"),
            "{target}"
        );
    }
}

#[test]
fn an_error_is_stood_in_for_only_if_that_is_said() {
    let is_ill = Arc::new(AtomicUsize::new(0));
    let ill = Arc::clone(&is_ill);
    let lab = Lab::start(move |seen| {
        let status =
            ["200 OK", "503 Service Unavailable", "404 Not Found"][ill.load(Ordering::SeqCst)];
        let directive = match seen.target().as_str() {
            "/told" => "max-age=1, stale-if-error=60",
            _ => "max-age=1",
        };
        Answer::raw(format!(
            "HTTP/1.1 {status}\r\nCache-Control: {directive}\r\nContent-Length: 1\r\n\r\n{}",
            &status[..1]
        ))
    });
    lab.get("/told");
    lab.get("/other");
    sleep(STALE);
    is_ill.store(1, Ordering::SeqCst);
    let told = lab.get("/told");
    assert_eq!((told.status, told.text().as_str()), (200, "2"));
    assert!(
        told.cache().starts_with("fwd=stale; fwd-status=503; ttl="),
        "{}",
        told.cache()
    );
    let asked_for = lab.ask("GET", "/other", "Cache-Control: stale-if-error=60\r\n");
    assert_eq!(asked_for.status, 200);
    assert_eq!(lab.get("/other").status, 503);
    // RFC 5861 §4 is about errors of the server.
    is_ill.store(2, Ordering::SeqCst);
    assert_eq!(lab.get("/told").status, 404);
}

#[test]
fn head_freshens_what_is_stored_and_makes_what_has_changed_invalid() {
    let lab = Lab::start(|seen| {
        let is_head = seen.head().starts_with("HEAD");
        let target = seen.target();
        let (etag, age) = match (target.as_str(), is_head) {
            ("/changed", true) => ("b", 60),
            (_, true) => ("a", 60),
            _ => ("a", 1),
        };
        let head = format!(
            "HTTP/1.1 200 OK\r\nCache-Control: max-age={age}\r\nETag: \"{etag}\"\r\nX-From: {is_head}\r\n\
             Content-Length: 4\r\n\r\n"
        );
        Answer::raw(if is_head { head } else { format!("{head}body") })
    });
    for target in ["/same", "/changed"] {
        lab.get(target);
    }
    sleep(STALE);
    for target in ["/same", "/changed"] {
        assert_eq!(lab.ask("HEAD", target, "").cache(), "fwd=stale");
    }
    let same = lab.get("/same");
    assert!(same.cache().starts_with("hit"), "{}", same.cache());
    assert_eq!(
        (same.text().as_str(), same.field("x-from")),
        ("body", Some("true"))
    );
    assert_eq!(lab.get("/changed").cache(), "fwd=uri-miss; stored");
}

#[test]
fn an_answer_to_post_stands_for_get_only_if_it_says_so() {
    let lab = Lab::start(|seen| {
        let location = match seen.target().as_str() {
            "/itself" | "/other" => "Content-Location: /itself\r\n",
            _ => "",
        };
        Answer::ok(
            &format!("Cache-Control: max-age=60\r\n{location}"),
            &seen.head()[..4],
        )
    });
    for (target, is_hit) in [("/itself", true), ("/none", false), ("/other", false)] {
        let posted = lab.ask("POST", target, "Content-Length: 0\r\n");
        assert_eq!(posted.cache().contains("stored"), is_hit, "{target}");
        let then = lab.get(target);
        assert_eq!(then.cache().starts_with("hit"), is_hit, "{target}");
        assert_eq!(then.text() == "POST", is_hit, "{target}");
    }
}
