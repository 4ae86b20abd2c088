//! The admin endpoint of a running proxy: what it shows, what it lets be changed, and that it is as
//! its description says.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says why and fails"
)]

mod cache;
mod description;
mod lab;
mod toxics;

use std::net::UdpSocket;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use lab::Lab;

#[test]
fn what_the_flag_orders_is_shown_and_happens() {
    let target = target();
    let address = target.local_addr().unwrap().to_string();
    let order = "to-target: delay=30ms to-client: loss=100%";
    let lab = Lab::start(&["--udp-target", &address, "--impair", order, "--seed", "9"]);
    assert_eq!(
        lab.get("/impair").json(),
        json!({"seed": 9, "udp": {"to_target": {"delay": "30ms"}, "to_client": {"loss": "100%"}}, "http": {}})
    );
    let sent = Instant::now();
    let client = lab.udp_client();
    client.send(b"?").unwrap();
    let (len, upstream) = target.recv_from(&mut [0; 9]).unwrap();
    assert_eq!(len, 1);
    assert!(sent.elapsed() >= Duration::from_millis(30));
    target.send_to(b"lost", upstream).unwrap();
    lab.eventually("proxyd_relay_faults_to_client_total{fate=\"lost\"} 1");
    lab.eventually("proxyd_relay_faults_to_target_total{fate=\"held\"} 1");
    lab.eventually(
        "proxyd_impairment_info{to_target=\"delay=30ms\",to_client=\"loss=100%\",http=\"\",seed=\"9\"} 1",
    );
    let status = lab.get("/status.json").json();
    assert_eq!(status["relay"]["lost_to_client"], 1);
    assert_eq!(status["relay"]["to_target"], 1);
    assert_eq!(status["relay"]["sessions_open"], 1);
    assert_eq!(status["impairment"], lab.get("/impair").json());
}

#[test]
fn faults_are_changed_while_it_runs() {
    let target = target();
    let address = target.local_addr().unwrap().to_string();
    let lab = Lab::start(&["--udp-target", &address, "--seed", "5"]);
    let nothing = json!({"seed": 5, "udp": {"to_target": {}, "to_client": {}}, "http": {}});
    assert_eq!(lab.get("/impair").json(), nothing);
    let wanted = json!({
        "udp": {
            "both": {"delay": "20ms", "gemodel": "1%,25%"},
            "to_client": {"rate": "2mbit", "queue": "32KiB", "queue-datagrams": 9, "loss": "0.5%"},
        },
        "seed": 6,
    });
    let ordered = json!({
        "seed": 6,
        "udp": {
            "to_target": {"delay": "20ms", "gemodel": "1%,25%,100%,0%"},
            "to_client": {
                "delay": "20ms", "loss": "0.5%",
                "rate": "2mbit", "queue": "32768B", "queue-datagrams": 9,
            },
        },
        "http": {},
    });
    let put = lab.put("/impair", &wanted.to_string());
    assert_eq!((put.status, put.json()), (200, ordered.clone()));
    // What is shown can be ordered again.
    let again = lab.put("/impair", &ordered.to_string());
    assert_eq!((again.status, again.json()), (200, ordered));

    assert_eq!(
        lab.put("/impair", r#"{"udp":{"to_target":{"loss":"100%"}}}"#)
            .status,
        200
    );
    let client = lab.udp_client();
    client.send(b"lost").unwrap();
    lab.eventually("proxyd_relay_faults_to_target_total{fate=\"lost\"} 1");
    let off = lab.put("/impair", "{}");
    assert_eq!(
        off.json(),
        json!({"seed": 6, "udp": {"to_target": {}, "to_client": {}}, "http": {}})
    );
    client.send(b"passed").unwrap();
    let mut buffer = [0; 9];
    let (len, _) = target.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..len], b"passed");
}

#[test]
fn an_order_that_cannot_be_is_refused_and_changes_nothing() {
    let lab = Lab::start(&["--impair", "delay=40ms"]);
    let before = lab.get("/impair").json();
    for (body, told) in [
        ("", "EOF while parsing"),
        ("{", "EOF while parsing"),
        ("[]", "invalid type"),
        (
            r#"{"tcp":{}}"#,
            "there is no 'tcp'; there are seed, udp and http",
        ),
        (r#"{"seed":-1}"#, "seed: -1: expected a number from 0"),
        (r#"{"udp":[]}"#, "udp is no object"),
        (r#"{"udp":{"both":[]}}"#, "udp: both is no object"),
        (
            r#"{"udp":{"to_server":{}}}"#,
            "there is no 'to_server'; there are both",
        ),
        (
            r#"{"udp":{"both":{"delay":40}}}"#,
            "delay=40: expected a time",
        ),
        (
            r#"{"udp":{"both":{"delay":true}}}"#,
            "delay: true: expected a value",
        ),
        (
            r#"{"udp":{"both":{"los":"1%"}}}"#,
            "there is no fault 'los'",
        ),
        (
            r#"{"udp":{"both":{"loss":"1%","gemodel":"1%,2%"}}}"#,
            "exclude each other",
        ),
    ] {
        let refused = lab.put("/impair", body);
        assert_eq!(refused.status, 400, "{body}");
        let line = refused.text();
        assert!(line.contains(told), "{body}: {line}");
        assert_eq!(line.lines().count(), 1, "{line}");
    }
    assert_eq!(lab.get("/impair").json(), before);
}

#[test]
fn a_flag_that_cannot_be_is_one_line_and_exit_status_2() {
    for (order, told) in [
        (
            "loss=1",
            "loss=1: expected a percentage from 0% to 100%, such as 1%",
        ),
        (
            "jitter=5ms",
            "jitter needs delay, as it varies the delay; add delay=…",
        ),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_proxyd"))
            .args(["--impair", order])
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(stderr.contains(told), "{stderr}");
    }
}

fn target() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(lab::PATIENCE)).unwrap();
    socket
}
