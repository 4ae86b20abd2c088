//! A flood held against what an echo was told to do, and what is left of it in the files.

use std::net::UdpSocket;
use std::process::Output;
use std::time::{Duration, Instant};

use jsonschema::JSONSchema;
use serde_json::Value;

use crate::client::{run, text};
use crate::echo::{Echo, after_ms};

/// The events on standard output, each of which the schema allows.
fn events(output: &Output) -> Vec<Value> {
    let schema = include_str!("../../schema/events-v1.schema.json");
    let schema = serde_json::from_str(schema).unwrap();
    let schema = JSONSchema::compile(&schema).unwrap();
    let lines = serde_json::Deserializer::from_slice(&output.stdout).into_iter();
    let events: Vec<Value> = lines.map(Result::unwrap).collect();
    for event in &events {
        assert!(schema.is_valid(event), "{event}");
    }
    events
}

#[test]
fn a_flood_at_a_rate_has_the_losses_of_the_echo_and_no_times_of_packets() {
    let echo = Echo::start(|sequence| match sequence % 10 {
        3 => vec![],
        5 => [after_ms(0), after_ms(0)].concat(),
        _ => after_ms(0),
    });
    let folder = tempfile::tempdir().unwrap();
    let port = echo.address.port();
    // 1000 bytes are 8000 bits: 4 Mbit/s are 500 datagrams a second, for two seconds.
    let output = run(
        folder.path(),
        &format!(
            "udp --flood --udp-port {port} --payload 1000 --duration 2s --bitrate 4mbit --json"
        ),
    );
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let events = events(&output);
    let (start, end) = (&events[0], events.last().unwrap());
    assert_eq!(start["flood"]["bitrate_bps"], 4_000_000);
    assert!(events.iter().any(|event| event["event"] == "interval"));
    let figures = &end["results"][0]["figures"];
    let count = |name: &str| figures[name].as_u64().unwrap();
    let sent = count("packets_sent");
    assert!((900..=1001).contains(&sent), "{figures}");
    let of_each_ten =
        |place: u64| (0..sent).filter(|sequence| sequence % 10 == place).count() as u64;
    assert_eq!(count("packets_lost"), of_each_ten(3));
    assert_eq!(count("duplicates"), of_each_ten(5));
    assert_eq!(count("packets_answered"), sent - of_each_ten(3));
    assert_eq!(count("local_drops") + count("receive_drops"), 0);
    let bps = |name: &str| figures[name].as_f64().unwrap();
    assert!((3.6e6..4.4e6).contains(&bps("offered_bps")), "{figures}");
    // Every copy; the first ones; and each packet with 28 bytes of IP and UDP, 46 in a frame.
    assert!(
        (bps("achieved_bps") / bps("offered_bps") - 1.0).abs() < 0.05,
        "{figures}"
    );
    assert!(
        (bps("goodput_bps") / bps("achieved_bps") - 0.9).abs() < 0.01,
        "{figures}"
    );
    assert!((bps("achieved_ip_bps") / bps("achieved_bps") - 1.028).abs() < 1e-6);
    assert!((bps("achieved_frame_bps") / bps("achieved_bps") - 1.046).abs() < 1e-6);
    let of_packets = |name: &str| {
        ["rtt", "jitter", "ipdv", "pdv", "mos"]
            .iter()
            .any(|part| name.contains(part))
    };
    let names = figures.as_object().unwrap().keys();
    assert_eq!(names.filter(|name| of_packets(name)).count(), 0);

    // The same in the file: what a flood does not know is empty, and not zero.
    let file = std::fs::read(folder.path().join("qos_result.csv")).unwrap();
    let mut reader = csv::Reader::from_reader(&*file);
    let header = reader.headers().unwrap().clone();
    let row = reader.records().next().unwrap().unwrap();
    for (name, cell) in header.iter().zip(&row) {
        match name {
            "pattern" => assert_eq!(cell, "flood"),
            "packets_sent" => assert_eq!(cell, sent.to_string()),
            name if of_packets(name) => assert_eq!(cell, "", "{name}"),
            _ => {}
        }
    }
}

#[test]
fn a_flood_without_a_rate_ends_in_time_and_everything_sent_is_answered_or_lost() {
    let echo = Echo::start(|_| after_ms(0));
    let folder = tempfile::tempdir().unwrap();
    let port = echo.address.port();
    let begun = Instant::now();
    for payload in [28, 1400, 9000, 65_507] {
        let order = format!(
            "udp --flood --udp-port {port} --payload {payload} --duration 300ms --csv off --json"
        );
        let output = run(folder.path(), &order);
        assert_eq!(output.status.code(), Some(0), "{payload}: {output:?}");
        let events = events(&output);
        let figures = &events.last().unwrap()["results"][0]["figures"];
        let count = |name: &str| figures[name].as_u64().unwrap();
        assert!(count("packets_answered") > 0, "{figures}");
        assert_eq!(
            count("packets_sent"),
            count("packets_answered") + count("packets_lost")
        );
        // Larger than an Ethernet frame holds: cut up, in pieces whose headers are not known.
        assert_eq!(figures["achieved_ip_bps"].is_null(), payload > 1472);
    }
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[test]
fn what_a_person_sees_names_the_layers() {
    let echo = Echo::start(|_| after_ms(0));
    let folder = tempfile::tempdir().unwrap();
    let port = echo.address.port();
    let order = format!(
        "udp --flood --udp-port {port} --duration 200ms --bitrate 1mbit --assert loss_pct<1"
    );
    let output = run(folder.path(), &order);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = text(&output.stdout);
    for part in [
        "UDP payload",
        "IP packets",
        "Ethernet frames",
        "offered",
        "goodput",
        "pass: loss_pct<1",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    for part in ["RTT", "jitter", "p99"] {
        assert!(!said.contains(part), "{part}: {said}");
    }
}

#[test]
fn a_target_that_is_not_there_or_says_nothing_is_named_and_leaves_no_row() {
    let folder = tempfile::tempdir().unwrap();
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap();
    let closed_port = closed.local_addr().unwrap().port();
    drop(closed);
    for (port, message) in [
        (
            silent.local_addr().unwrap().port(),
            "nothing came back from",
        ),
        (closed_port, "nothing listens on"),
    ] {
        let order = format!("udp --flood --udp-port {port} --duration 200ms --bitrate 1mbit");
        let output = run(folder.path(), &order);
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        assert!(text(&output.stderr).contains(message), "{output:?}");
    }
    assert!(!folder.path().join("qos_result.csv").exists());
}
