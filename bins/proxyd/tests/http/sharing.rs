//! Many who ask for the same at once: the origin is asked once, and whatever becomes of one of them
//! changes nothing for the others.

use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use testkit::origin::{Answer, Origin};

use crate::lab::{Client, Lab, PATIENCE, Reply};

const HEAD: &str = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n";
const GET: &str = "GET / HTTP/1.1\r\nHost: lab\r\n\r\n";

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// What `count` clients are answered who ask at once, each with fields of its own.
fn at_once(lab: &Lab, count: usize, fields: impl Fn(usize) -> String + Sync) -> Vec<Reply> {
    scope(|scope| {
        let ask = |number| {
            let fields = fields(number);
            scope.spawn(move || lab.ask("GET", "/", &fields))
        };
        let clients: Vec<_> = (0..count).map(ask).collect();
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .collect()
    })
}

#[test]
fn a_thousand_misses_on_all_workers_are_one_request_and_are_answered_while_it_streams() {
    const LENGTH: usize = 20_005;
    let origin = Origin::start(|_| {
        Answer::raw(format!("{HEAD}Content-Length: {LENGTH}\r\n\r\nfirst"))
            .and(millis(4000), "x".repeat(LENGTH - 5))
    });
    let lab = Lab::with(origin, &["--workers", "4"]);
    let mut clients: Vec<Client> = (0..1000).map(|_| Client::connect(lab.address)).collect();
    for client in &mut clients {
        client.write(GET);
    }
    let mut collapsed = 0;
    for client in &mut clients {
        let head = client.read_head();
        assert_eq!(head.field("content-length"), Some("20005"));
        collapsed += usize::from(head.cache() == "fwd=uri-miss; collapsed");
        assert_eq!(client.read_exact(5), b"first");
    }
    assert_eq!(collapsed, 999);
    // Nobody can have the rest yet: all were answered while it was on its way.
    assert!(
        lab.get("/").cache().ends_with("collapsed"),
        "it streams still"
    );
    for client in &mut clients {
        assert!(
            client
                .read_exact(LENGTH - 5)
                .iter()
                .all(|&byte| byte == b'x')
        );
    }
    assert!(lab.get("/").cache().starts_with("hit"));
    assert_eq!(lab.origin.count("/"), 1);
}

#[test]
fn the_first_client_going_away_changes_nothing() {
    // Before the answer begins, and within it.
    for (before, within) in [(400, 0), (0, 400)] {
        let lab = Lab::start(move |_| {
            Answer::default()
                .and(
                    millis(before),
                    format!("{HEAD}Content-Length: 10\r\n\r\nhello"),
                )
                .and(millis(within), "world")
        });
        let mut first = Client::connect(lab.address);
        first.write(GET);
        sleep(millis(100));
        let mut second = Client::connect(lab.address);
        second.write(GET);
        sleep(millis(100));
        drop(first);
        assert_eq!(second.read().text(), "helloworld");
        assert!(lab.get("/").cache().starts_with("hit"));
        assert_eq!(lab.origin.count("/"), 1);
    }
}

#[test]
fn what_nobody_waits_for_any_more_is_stored() {
    let lab = Lab::start(|_| {
        Answer::raw(format!(
            "{HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
        ))
        .and(millis(300), "0\r\n\r\n")
    });
    let mut only = Client::connect(lab.address);
    only.write(GET);
    only.read_head();
    drop(only);
    sleep(millis(600));
    let hit = lab.get("/");
    assert!(hit.cache().starts_with("hit"), "{}", hit.cache());
    assert_eq!(hit.text(), "hello");
}

#[test]
fn an_origin_that_dies_within_the_body_leaves_nothing_and_all_see_the_cut() {
    let lab = Lab::start(|_| {
        Answer::raw(format!("{HEAD}Content-Length: 10\r\n\r\nhello"))
            .and(millis(400), "wor")
            .and_close()
    });
    let replies = at_once(&lab, 10, |_| String::new());
    for reply in replies {
        assert_eq!(reply.field("content-length"), Some("10"));
        assert_eq!(reply.text(), "hellowor", "cut");
    }
    assert_eq!(lab.origin.count("/"), 1);
    assert_eq!(
        lab.get("/").cache(),
        "fwd=uri-miss; stored",
        "nothing was stored"
    );
    assert_eq!(lab.origin.count("/"), 2);
}

#[test]
fn an_origin_that_does_not_answer_is_asked_once_for_all() {
    let lab = Lab::start(|_| Answer::default().and(millis(500), "").and_close());
    let replies = at_once(&lab, 10, |_| String::new());
    assert!(replies.iter().all(|reply| reply.status == 502));
    assert_eq!(lab.origin.count("/"), 1);
}

#[test]
fn those_who_cannot_share_an_answer_do_not_wait_for_each_other() {
    let lab = Lab::start(|seen| {
        let user = seen.field("x-user").unwrap_or_default();
        let head = "HTTP/1.1 200 OK\r\nCache-Control: private\r\n";
        Answer::default().and(
            millis(500),
            format!("{head}Content-Length: {}\r\n\r\n{user}", user.len()),
        )
    });
    for (round, patience) in [("first", 4), ("second", 3)] {
        let began = Instant::now();
        let replies = at_once(&lab, 20, |number| format!("X-User: {round}{number}\r\n"));
        for (number, reply) in replies.iter().enumerate() {
            assert_eq!(reply.text(), format!("{round}{number}"));
        }
        let took = began.elapsed();
        assert!(
            took < patience * millis(500),
            "{round}: {took:?}, one by one they take 10 s"
        );
    }
    assert_eq!(lab.origin.count("/"), 40);
}

#[test]
fn of_each_variant_the_origin_is_asked_once() {
    let lab = Lab::start(|seen| {
        let language = seen.field("accept-language").unwrap_or_default();
        let head = format!("{HEAD}Vary: Accept-Language\r\nContent-Length: 2\r\n\r\n");
        Answer::default().and(millis(400), format!("{head}{language}"))
    });
    let language = |number: usize| ["de", "en", "fr"][number % 3];
    let replies = at_once(&lab, 30, |number| {
        format!("Accept-Language: {}\r\n", language(number))
    });
    for (number, reply) in replies.iter().enumerate() {
        assert_eq!(reply.text(), language(number));
    }
    assert_eq!(lab.origin.count("/"), 3);
}

#[test]
fn a_confirmation_is_asked_for_once() {
    let lab = Lab::start(|seen| match seen.field("if-none-match") {
        None => Answer::ok("Cache-Control: max-age=1\r\nETag: \"a\"\r\n", "body"),
        Some(_) => Answer::default().and(
            millis(500),
            "HTTP/1.1 304 Not Modified\r\nCache-Control: max-age=60\r\nETag: \"a\"\r\n\r\n",
        ),
    });
    lab.get("/");
    sleep(millis(1200));
    let replies = at_once(&lab, 20, |_| String::new());
    assert!(replies.iter().all(|reply| reply.text() == "body"));
    assert_eq!(lab.origin.count("/"), 2);
}

#[test]
fn what_was_asked_for_before_a_change_is_not_for_who_asks_after_it() {
    let lab = Lab::start(|seen| {
        let is_change = seen.head().starts_with("PUT");
        let pause = if is_change { 0 } else { 500 };
        Answer::default().and(millis(pause), format!("{HEAD}Content-Length: 1\r\n\r\nx"))
    });
    let mut early = Client::connect(lab.address);
    early.write(GET);
    sleep(millis(100));
    lab.ask("PUT", "/", "Content-Length: 0\r\n");
    assert_eq!(lab.get("/").cache(), "fwd=uri-miss; stored", "on its own");
    assert_eq!(early.read().text(), "x");
    assert_eq!(lab.origin.count("/"), 3);
}

#[test]
fn a_body_that_takes_long_is_stored() {
    let lab = Lab::start(|_| {
        let head = format!("{HEAD}Content-Length: 24000\r\n\r\n");
        (0..12).fold(Answer::raw(head), |answer, _| {
            answer.and(millis(1000), "x".repeat(2000))
        })
    });
    let mut client = Client::connect(lab.address);
    client.write(GET);
    client.read_head();
    let began = Instant::now();
    // No longer than a client waits for a byte.
    for _ in 0..12 {
        client.read_exact(2000);
    }
    assert!(began.elapsed() > PATIENCE);
    assert!(lab.get("/").cache().starts_with("hit"));
}
