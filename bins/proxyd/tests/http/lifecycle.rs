//! How the program starts and ends.

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use testkit::origin::Answer;
use testkit::program::Program;

use crate::lab::{Client, Lab, PATIENCE, proxy};

fn start(args: &[&str]) -> Program {
    Program::start(env!("CARGO_BIN_EXE_proxyd"), args).unwrap()
}

#[test]
fn a_wrong_command_line_is_one_line_with_the_cure_and_status_2() {
    let cases: &[(&[&str], &str)] = &[
        (&["--origin", "127.0.0.1:8000"], "http://127.0.0.1:8000"),
        (&["--origin", "https://a"], "plain HTTP"),
        (&["--udp-target", "9000"], "127.0.0.1:9000"),
        (&["--port", "70000"], "0..=65535"),
        (&["--cache-size", "lots"], "64MiB"),
        (&["--cache-size", "1KiB"], "at least"),
        (&["--workers", "0"], "1..=1024"),
        (&["--admin", "here"], "off"),
        (&["--log-format", "xml"], "json"),
        (&["--drain-timeout", "soon"], "drain-timeout"),
        (&["--no-such-flag"], "--help"),
        (
            &["--port", "8000", "--origin", "http://127.0.0.1:8000"],
            "this proxy itself",
        ),
        (&["--check", "--admin", "off"], "--admin"),
    ];
    for (args, cure) in cases {
        let mut program = start(args);
        let status = program.wait(PATIENCE).unwrap();
        let said = program.stderr();
        assert_eq!(status.code(), Some(2), "{args:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{args:?}: {said}");
        assert!(
            said.starts_with("proxyd: ") && said.contains(cure),
            "{args:?}: {said}"
        );
    }
}

#[test]
fn a_port_that_is_taken_is_named_and_the_status_is_1() {
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port().to_string();
    let mut program = start(&["--port", &port, "--udp-port", "0", "--admin", "off"]);
    assert_eq!(program.wait(PATIENCE).unwrap().code(), Some(1));
    let said = program.stderr();
    assert!(
        said.contains(&port) && said.contains("choose another port"),
        "{said}"
    );
}

#[test]
fn a_running_proxy_is_found_well_and_shows_its_figures() {
    let lab = Lab::start(|_| Answer::ok("Cache-Control: max-age=60\r\n", "x"));
    let origin = lab.origin.address().to_string();
    let (mut program, address) = proxy(&origin, &["--admin", "127.0.0.1:0"]);
    let admin = program.listening("admin").unwrap();
    let mut client = Client::connect(address);
    client.get("/");
    client.get("/");
    let mut check = start(&["--check", "--admin", &admin.to_string()]);
    assert_eq!(check.wait(PATIENCE).unwrap().code(), Some(0));
    let page = Client::connect(admin).get_admin("/metrics").text();
    for line in [
        "proxyd_cache_requests_total{outcome=\"hit\"} 1",
        "proxyd_cache_requests_total{outcome=\"miss\"} 1",
        "proxyd_cache_entries 1",
        "proxyd_http_answers_total{class=\"2xx\"} 2",
        "proxyd_relay_received_total 0",
    ] {
        assert!(
            page.lines().any(|found| found == line),
            "{line} not in\n{page}"
        );
    }
    program.signal(Signal::TERM).unwrap();
    assert_eq!(program.wait(PATIENCE).unwrap().code(), Some(0));
    let mut check = start(&["--check", "--admin", &admin.to_string()]);
    assert_eq!(check.wait(PATIENCE).unwrap().code(), Some(1));
}

#[test]
fn a_stop_signal_loses_no_request_under_way() {
    let asked = AtomicUsize::new(0);
    let mut lab = Lab::start(move |_| {
        asked.fetch_add(1, Ordering::SeqCst);
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n";
        Answer::raw("")
            .and(Duration::from_millis(300), format!("{head}hello"))
            .and(Duration::from_millis(300), "world")
    });
    let address = lab.address;
    let clients: Vec<_> = (0..20)
        .map(|number| {
            std::thread::spawn(move || Client::connect(address).get(&format!("/{number}")).text())
        })
        .collect();
    let end = Instant::now() + PATIENCE;
    while lab.origin.seen().len() < 20 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(5));
    }
    lab.program.signal(Signal::TERM).unwrap();
    for client in clients {
        assert_eq!(client.join().unwrap(), "helloworld");
    }
    assert_eq!(lab.program.wait(PATIENCE).unwrap().code(), Some(0));
}

#[test]
fn an_idle_proxy_with_idle_connections_ends_at_once() {
    let mut lab = Lab::start(|_| Answer::ok("Cache-Control: no-store\r\n", "x"));
    let mut client = Client::connect(lab.address);
    client.get("/");
    let start = Instant::now();
    lab.program.signal(Signal::INT).unwrap();
    assert_eq!(lab.program.wait(PATIENCE).unwrap().code(), Some(0));
    assert!(
        start.elapsed() < Duration::from_secs(4),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn what_does_not_end_is_cut_at_the_deadline() {
    let origin = testkit::origin::Origin::start(|_| Answer::raw("").and(PATIENCE, "late"));
    let (mut program, address) = proxy(&origin.address().to_string(), &["--drain-timeout", "1s"]);
    let mut client = Client::connect(address);
    client.write("GET / HTTP/1.1\r\nHost: lab\r\n\r\n");
    std::thread::sleep(Duration::from_millis(200));
    let start = Instant::now();
    program.signal(Signal::TERM).unwrap();
    assert_eq!(program.wait(PATIENCE).unwrap().code(), Some(1));
    assert!(
        start.elapsed() >= Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
    assert!(
        program.stderr().contains("drain deadline"),
        "{}",
        program.stderr()
    );
}

#[test]
fn what_is_only_for_the_store_does_not_hold_up_a_stop() {
    const HEAD: &str = "HTTP/1.1 200 OK\r\nCache-Control: max-age=1, stale-while-revalidate=60\r\n";
    // A body that its client has left, and an answer that is asked for beside what is stale.
    let mut lab = Lab::start(|seen| match &*seen.target() {
        "/body" => {
            Answer::raw(format!("{HEAD}Content-Length: 10\r\n\r\nhello")).and(PATIENCE, "world")
        }
        "/stale" if seen.field("if-none-match").is_none() => {
            Answer::raw(format!("{HEAD}ETag: \"a\"\r\nContent-Length: 1\r\n\r\nx"))
        }
        _ => Answer::raw("").and(PATIENCE, ""),
    });
    lab.get("/stale");
    let mut body = Client::connect(lab.address);
    body.write("GET /body HTTP/1.1\r\nHost: lab\r\n\r\n");
    body.read_head();
    std::thread::sleep(Duration::from_millis(1100));
    assert!(lab.get("/stale").cache().starts_with("hit; ttl=0"));
    let end = Instant::now() + PATIENCE;
    while lab.origin.seen().len() < 3 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(body);
    let start = Instant::now();
    lab.program.signal(Signal::TERM).unwrap();
    assert_eq!(lab.program.wait(PATIENCE).unwrap().code(), Some(0));
    assert!(start.elapsed() < PATIENCE / 2, "{:?}", start.elapsed());
}
