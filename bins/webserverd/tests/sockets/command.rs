//! What the program says beside its answers: the log, mistakes on the command line, the admin
//! endpoint.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use testkit::peer::exchange;
use testkit::program::Program;

use crate::site::{Answer, PATIENCE, Site};

#[test]
fn a_log_line_has_client_request_status_bytes_and_duration() {
    let site = Site::start();
    site.get("/ten.txt?x");
    let end = Instant::now() + PATIENCE;
    while !site.program.stdout().contains("ms") && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(5));
    }
    let log = site.program.stdout();
    assert!(log.contains(" 127.0.0.1 GET /ten.txt?x 200 10 B "), "{log}");
}

#[test]
fn mistakes_are_told_in_one_line_with_exit_status_two() {
    for (args, part) in [
        (vec!["--prot", "80"], "--port"),
        (vec!["--port", "70000"], "70000"),
        (vec!["--bind", "here"], "here"),
        (vec!["--workers", "0"], "0"),
        (vec!["--root", "/does/not/exist"], "--root"),
        (vec!["--log-format", "xml"], "common"),
        (vec!["--admin", "8001"], "127.0.0.1:8001"),
        (vec!["--drain-timeout", "soon"], "soon"),
        (vec!["--root", "..", "--basic-auth", "absent"], "absent"),
        (vec!["--root", "..", "--basic-auth", "Cargo.toml"], "line 1"),
        (vec!["--root", "..", "--spa", "absent.html"], "absent.html"),
        (
            vec!["--root", "..", "--cache-control", "*.css"],
            "GLOB=VALUE",
        ),
        (vec!["--root", "..", "--header", "X-Lab"], "Name: value"),
        (
            vec!["--root", "..", "--header", "A: b\nC: d"],
            "control byte",
        ),
        (
            vec!["--root", "..", "--cors", "app.example"],
            "https://app.example",
        ),
    ] {
        let mut program = Program::start(env!("CARGO_BIN_EXE_webserverd"), &args).unwrap();
        assert_eq!(program.wait(PATIENCE).unwrap().code(), Some(2), "{args:?}");
        let told = program.stderr();
        assert_eq!(told.lines().count(), 1, "{told}");
        assert!(
            told.starts_with("webserverd: ") && told.contains(part),
            "{told}"
        );
    }
}

#[test]
fn a_port_that_is_taken_is_named_with_exit_status_one() {
    let site = Site::start();
    let port = site.address.port().to_string();
    let root = site.folder.path().join("root");
    let args = [
        "--root",
        root.to_str().unwrap(),
        "--port",
        &port,
        "--udp-port",
        "0",
        "--admin",
        "off",
    ];
    let mut second = Program::start(env!("CARGO_BIN_EXE_webserverd"), args).unwrap();
    assert_eq!(second.wait(PATIENCE).unwrap().code(), Some(1));
    let told = second.stderr();
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(told.contains(&port), "{told}");
}

#[test]
fn the_admin_endpoint_tells_health_and_counts_and_check_asks_it() {
    let mut site = Site::start_with(&[]);
    drop(site.program);
    let root = site.folder.path().join("root");
    let args = [
        "--root",
        root.to_str().unwrap(),
        "--port",
        "0",
        "--udp-port",
        "0",
        "--admin",
        "127.0.0.1:0",
    ];
    site.program = Program::start(env!("CARGO_BIN_EXE_webserverd"), args).unwrap();
    site.address = site.program.listening("tcp").unwrap();
    let admin = site.program.listening("admin").unwrap();
    assert_eq!(site.get("/ten.txt").status, 200);
    let page = |target: &str| {
        let request =
            format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        Answer::of(&exchange(admin, request.as_bytes(), PATIENCE).unwrap())
    };
    assert_eq!(page("/healthz").text(), "ok\n");
    let metrics = page("/metrics").text();
    assert!(
        metrics.contains("webserverd_http_answers_total{class=\"2xx\"} 1"),
        "{metrics}"
    );
    assert!(
        metrics.contains("webserverd_echo_received_total 0"),
        "{metrics}"
    );

    let status = page("/status.json").text();
    for member in [
        "\"program\": \"webserverd\"",
        "\"answers_2xx\": 1",
        "\"received\": 0",
    ] {
        assert!(status.contains(member), "{status}");
    }

    let check = |address: &str| {
        let args = ["--check", "--admin", address];
        let mut check = Program::start(env!("CARGO_BIN_EXE_webserverd"), args).unwrap();
        check.wait(PATIENCE).unwrap().code()
    };
    assert_eq!(check(&admin.to_string()), Some(0));
    site.program.signal(Signal::TERM).unwrap();
    site.program.wait(PATIENCE).unwrap();
    assert_eq!(check(&admin.to_string()), Some(1));
}
