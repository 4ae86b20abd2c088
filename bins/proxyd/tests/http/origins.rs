//! Several origins: how requests are spread, and what a client notices when one of them dies.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use testkit::origin::{Answer, Origin};
use testkit::program::Program;

use crate::lab::{Client, PATIENCE, Reply, proxy};

fn named(name: &'static str) -> Origin {
    Origin::start(move |_| Answer::ok("Cache-Control: no-store\r\n", name))
}

/// A proxy before several.
fn before(origins: &[SocketAddr], more: &[&str]) -> (Program, SocketAddr) {
    let urls: Vec<_> = origins[1..]
        .iter()
        .map(|origin| format!("http://{origin}"))
        .collect();
    let mut flags: Vec<&str> = urls.iter().flat_map(|url| ["--origin", url]).collect();
    flags.extend(more);
    proxy(&origins[0].to_string(), &flags)
}

fn closed() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

#[test]
fn each_origin_has_its_turn() {
    let (a, b) = (named("a"), named("b"));
    let (_program, address) = before(&[a.address(), b.address()], &[]);
    let mut client = Client::connect(address);
    let answers: String = (0..6).map(|_| client.get("/").text()).collect();
    assert_eq!(answers, "ababab");
}

#[test]
fn the_origin_with_the_fewest_requests_under_way_is_asked() {
    let busy = Origin::start(|_| Answer::raw("").and(PATIENCE, "late"));
    let free = named("free");
    let (_program, address) = before(
        &[busy.address(), free.address()],
        &["--balance", "least-connections"],
    );
    let mut waits = Client::connect(address);
    waits.write("GET /wait HTTP/1.1\r\nHost: lab\r\n\r\n");
    let end = Instant::now() + PATIENCE;
    while busy.seen().is_empty() {
        assert!(Instant::now() < end);
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut client = Client::connect(address);
    for _ in 0..5 {
        assert_eq!(client.get("/").text(), "free");
    }
    assert_eq!(busy.seen().len(), 1);
}

#[test]
fn an_origin_has_a_request_under_way_until_its_answer_has_come_however_that_ends() {
    let upgrade = "Connection: Upgrade\r\nUpgrade: echo\r\n";
    let switched = format!("101 Switching Protocols\r\n{upgrade}\r\n");
    let cases = [
        ("", "200 OK\r\nContent-Length: 9\r\n\r\nbegin"),
        (
            "",
            "200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nbegin\r\n",
        ),
        // With the connection.
        ("", "200 OK\r\n\r\nbegin"),
        // With the tunnel.
        (upgrade, &switched),
    ];
    for (fields, answer) in cases {
        let head = format!("HTTP/1.1 {answer}");
        let slow = Origin::start(move |_| Answer::raw(head.clone()).and(PATIENCE, "late"));
        let free = named("free");
        let (_program, address) = before(
            &[slow.address(), free.address()],
            &["--balance", "least-connections"],
        );
        let mut reads = Client::connect(address);
        reads.write(format!("GET /slow HTTP/1.1\r\nHost: lab\r\n{fields}\r\n"));
        let status = reads.read_head().status.to_string();
        assert!(answer.starts_with(&status), "{status} for {answer:?}");
        let mut client = Client::connect(address);
        for _ in 0..5 {
            assert_eq!(client.get("/").text(), "free", "{answer:?}");
        }
    }
}

#[test]
fn what_may_be_sent_twice_is_asked_of_another_origin_and_what_may_not_is_not() {
    // It reads each request and closes: nobody can tell whether it acted on it.
    let dying = || Origin::start(|_| Answer::default().and_close());
    let cases = [
        ("GET", "", 200),
        ("PUT", "", 200),
        ("POST", "", 502),
        ("PUT", "x", 502),
    ];
    for (method, body, status) in cases {
        let (dying, well) = (dying(), named("well"));
        let (_program, address) = before(&[dying.address(), well.address()], &[]);
        let length = body.len();
        let request = format!(
            "{method} / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        let exchange = testkit::peer::exchange(address, request.as_bytes(), PATIENCE).unwrap();
        assert_eq!(exchange.status(), Some(status), "{method} {body:?}");
        assert_eq!(dying.seen().len(), 1, "{method} {body:?}");
        assert_eq!(
            well.seen().len(),
            usize::from(status == 200),
            "{method} {body:?}"
        );
    }
    // Where nothing was sent, anything may be.
    let well = named("well");
    let (_program, address) = before(&[closed(), well.address()], &[]);
    for _ in 0..4 {
        let request =
            "POST / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody";
        let exchange = testkit::peer::exchange(address, request.as_bytes(), PATIENCE).unwrap();
        assert_eq!(Reply::of(&exchange.received).text(), "well");
    }
    assert!(well.seen().iter().all(|seen| seen.body() == b"body"));
}

#[test]
fn when_all_are_gone_it_is_said_and_the_first_that_is_back_is_asked() {
    let (first, second) = (closed(), closed());
    let (_program, address) = before(&[first, second], &[]);
    let mut client = Client::connect(address);
    for _ in 0..3 {
        assert_eq!(client.get("/").status, 502);
    }
    let _back = Origin::at(second, |_| Answer::ok("", "back"));
    let end = Instant::now() + PATIENCE;
    while client.get("/").status != 200 {
        assert!(Instant::now() < end);
    }
}

#[test]
fn an_origin_that_fails_its_check_is_not_asked_until_it_passes() {
    let is_well = Arc::new(AtomicBool::new(false));
    let state = Arc::clone(&is_well);
    let sick = Origin::start(
        move |seen| match (&*seen.target(), state.load(Ordering::SeqCst)) {
            ("/healthz", false) => Answer::raw("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"),
            _ => Answer::ok("Cache-Control: no-store\r\n", "sick"),
        },
    );
    let well = named("well");
    let flags = ["--health-check", "/healthz", "--admin", "127.0.0.1:0"];
    let (mut program, address) = before(&[sick.address(), well.address()], &flags);
    let admin = program.listening("admin").unwrap();
    let metric = |line: &str| {
        let end = Instant::now() + PATIENCE;
        loop {
            let page = Client::connect(admin).get_admin("/metrics").text();
            if page.lines().any(|found| found == line) {
                return;
            }
            assert!(Instant::now() < end, "{line} not in\n{page}");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    metric("proxyd_origins_in 1");
    let mut client = Client::connect(address);
    for _ in 0..4 {
        assert_eq!(client.get("/").text(), "well");
    }
    let status = Client::connect(admin).get_admin("/status.json").text();
    assert!(status.contains("\"state\": \"unhealthy\""), "{status}");
    is_well.store(true, Ordering::SeqCst);
    metric("proxyd_origins_in 2");
    let answers: String = (0..4).map(|_| client.get("/").text()).collect();
    assert!(answers.contains("sick"), "{answers}");
    let stderr = program.stderr();
    assert!(
        stderr.contains("is unwell and not asked: it answered 503"),
        "{stderr}"
    );
    assert!(stderr.contains("is well again"), "{stderr}");
}

#[test]
fn no_request_fails_when_one_of_two_origins_dies_under_load() {
    const CLIENTS: usize = 16;
    // Programs of their own, so that one can be killed as origins are, with all that it was doing.
    let behind = Origin::start(|_| Answer::ok("Cache-Control: no-store\r\n", &"x".repeat(1024)));
    let behind = behind.address().to_string();
    let mut origins: Vec<_> = (0..2).map(|_| proxy(&behind, &[])).collect();
    let addresses: Vec<_> = origins.iter().map(|(_, address)| *address).collect();
    let (_program, address) = before(&addresses, &[]);
    let stop = Arc::new(AtomicBool::new(false));
    let (good, bad) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (stop, good, bad) = (Arc::clone(&stop), Arc::clone(&good), Arc::clone(&bad));
            std::thread::spawn(move || {
                let mut client = Client::connect(address);
                while !stop.load(Ordering::SeqCst) {
                    let reply = client.get("/");
                    let is_good = reply.status == 200 && reply.body.len() == 1024;
                    if is_good { &good } else { &bad }.fetch_add(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    let answered = |count: usize| {
        let end = Instant::now() + 3 * PATIENCE;
        while good.load(Ordering::SeqCst) + bad.load(Ordering::SeqCst) < count {
            assert!(Instant::now() < end, "{good:?} good, {bad:?} bad");
            std::thread::sleep(Duration::from_millis(2));
        }
    };
    answered(1000);
    drop(origins.remove(0));
    let before = good.load(Ordering::SeqCst);
    answered(before + 2000);
    stop.store(true, Ordering::SeqCst);
    for client in clients {
        client.join().unwrap();
    }
    assert_eq!(bad.load(Ordering::SeqCst), 0, "of {good:?}");
}
