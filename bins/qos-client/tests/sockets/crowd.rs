//! Hundreds of clients at once over HTTP and UDP, and targets that die in the middle of a test: every
//! command still gives a result, and the result says so.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use jsonschema::JSONSchema;
use serde_json::Value;

use crate::client::{command, run, text};
use crate::echo::{Echo, after_ms};

const BODY: &[u8] = &[b'x'; 10_000];

/// Answers so many requests with [`BODY`], then closes its port.
fn web_server(answers: u32) -> SocketAddr {
    const THREADS: usize = 4;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let listener = Arc::new(listener);
    let served = Arc::new(AtomicU32::new(0));
    for _ in 0..if answers == u32::MAX { THREADS } else { 1 } {
        let (listener, served) = (Arc::clone(&listener), Arc::clone(&served));
        thread::spawn(move || {
            while served.fetch_add(1, Ordering::Relaxed) < answers {
                let Ok((mut stream, _)) = listener.accept() else {
                    return;
                };
                let _ = stream.read(&mut [0; 4096]);
                let head = format!(
                    "HTTP/1.1 200 OK\r\nCache-Status: a; hit\r\nContent-Length: {}\r\n\r\n",
                    BODY.len()
                );
                let _ = stream.write_all(head.as_bytes());
                let _ = stream.write_all(BODY);
            }
        });
    }
    address
}

#[test]
fn hundreds_of_clients_have_a_row_each_for_http_and_udp() {
    const CLIENTS: usize = 300;
    let web = web_server(u32::MAX);
    let echo = Echo::start(|_| after_ms(0));
    let folder = tempfile::tempdir().unwrap();
    let order = format!(
        "clients --port {} --udp-port {} --count {CLIENTS} --requests 3 --packets 5 --interval 50ms \
         --json --csv rows.csv",
        web.port(),
        echo.address.port()
    );
    let output = run(folder.path(), &order);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let schema = include_str!("../../schema/events-v1.schema.json");
    let schema = JSONSchema::compile(&serde_json::from_str(schema).unwrap()).unwrap();
    let lines = serde_json::Deserializer::from_slice(&output.stdout).into_iter();
    let end: Value = lines.map(Result::unwrap).last().unwrap();
    assert!(schema.is_valid(&end));
    let results = end["results"].as_array().unwrap();
    assert_eq!(results.len(), CLIENTS);
    for (number, result) in (1..).zip(results) {
        let figures = &result["figures"];
        assert_eq!(figures["client"], number);
        // Three bodies of 10,000 bytes.
        for (name, value) in [
            ("http_requests", 3),
            ("http_answered", 3),
            ("http_hits", 3),
            ("http_body_bytes", 30_000),
            ("packets_sent", 5),
        ] {
            assert_eq!(figures[name], value, "{name}: {result}");
        }
        assert!(figures["http_throughput_bps"].as_f64().unwrap() > 0.0);
        assert_eq!(result["errors"].as_array().unwrap().len(), 0, "{result}");
    }
    for index in ["fairness_jain", "http_fairness_jain"] {
        let index = end[index].as_f64().unwrap();
        assert!(index > 1.0 / CLIENTS as f64 && index <= 1.0, "{index}");
    }
    let file = std::fs::read(folder.path().join("rows.csv")).unwrap();
    let rows = csv::Reader::from_reader(&*file).records().count();
    assert_eq!(rows, CLIENTS);
}

#[test]
fn clients_that_ask_at_a_rate_are_told_by_row_with_both_indices_of_fairness() {
    let (web, echo) = (web_server(u32::MAX), Echo::start(|_| after_ms(0)));
    let folder = tempfile::tempdir().unwrap();
    let order = format!(
        "clients --port {} --udp-port {} --count 2 --requests 10 --rate 50 --packets 5",
        web.port(),
        echo.address.port()
    );
    let output = run(folder.path(), &order);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = text(&output.stdout);
    assert!(said.contains("each 10 times GET"), "{said}");
    assert!(said.contains("50 a second (open loop)"), "{said}");
    let rows = said
        .lines()
        .filter(|line| line.contains(" 10/10 ") && line.contains(" 5/5 "));
    assert_eq!(rows.count(), 2, "{said}");
    assert!(said.contains("HTTP throughput (Jain): "), "{said}");
}

#[test]
fn a_target_that_dies_in_the_middle_is_said_so_by_every_command() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, said_of_it) in [
        (
            "udp --packets 200 --interval 10ms --loss-deadline 300ms",
            &["its port was closed: it ended during the test"][..],
        ),
        (
            "udp --flood --bitrate 2mbit --duration 2s",
            &["its port was closed: it ended during the flood"],
        ),
        (
            "http / --requests 40 --rate 100",
            &["failed; the first: nothing listens on tcp|failed; the first: Connection reset"],
        ),
        (
            "clients --count 3 --requests 20 --packets 200 --interval 10ms --loss-deadline 300ms",
            &["nothing listens on tcp|Connection reset", "client"],
        ),
    ] {
        let web = web_server(10);
        let echo = Echo::start(|_| after_ms(0));
        let ports = format!("--port {} --udp-port {}", web.port(), echo.address.port());
        let child = command(folder.path(), &format!("{ports} --csv off {arguments}"))
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_millis(800));
        drop(echo);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments}: {output:?}");
        let said = text(&output.stdout);
        for part in said_of_it {
            // A connection that was made, and not yet accepted when the listener went, is reset.
            let is_said = part.split('|').any(|words| said.contains(words));
            assert!(is_said, "{arguments}: no {part:?} in {said}");
        }
    }
}

#[test]
fn a_target_that_goes_silent_without_closing_its_port_is_said_so_too() {
    let echo = Echo::start(|sequence| if sequence < 30 { after_ms(0) } else { vec![] });
    let folder = tempfile::tempdir().unwrap();
    let order = format!(
        "udp --udp-port {} --packets 50 --interval 5ms --loss-deadline 200ms --csv off",
        echo.address.port()
    );
    let said = text(&run(folder.path(), &order).stdout);
    // Twenty probes have nineteen intervals of 5 ms between them.
    assert!(
        said.contains("note: the last 20 packets, of 0.1 s, all went unanswered"),
        "{said}"
    );
}
