//! What answers over HTTP meet on real connections is what was ordered, whether they come from the
//! origin or from the store.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;
use testkit::origin::{Answer, Origin};
use testkit::tls::Identity;

use crate::lab::{Lab, PATIENCE};

const MS: Duration = Duration::from_millis(1);
const BODY: usize = 30_000;

fn lab(origin: &Origin, more: &[&str]) -> Lab {
    let url = format!("http://{}", origin.address());
    Lab::start(&[&["--origin", &url], more].concat())
}

fn origin() -> Origin {
    Origin::start(|_| Answer::ok("Cache-Control: max-age=600\r\n", &"x".repeat(BODY)))
}

/// What came of one request on a connection of its own.
struct Got {
    bytes: Vec<u8>,
    /// When the first byte came, and when the connection ended.
    first: Option<Duration>,
    end: Duration,
    is_reset: bool,
    /// Over TLS: whether it ended without saying so.
    is_cut: bool,
}

impl Got {
    fn is_whole(&self) -> bool {
        self.bytes.starts_with(b"HTTP/1.1 200") && self.bytes.ends_with("x".repeat(BODY).as_bytes())
    }

    fn status(&self) -> &str {
        str::from_utf8(&self.bytes[9..12]).unwrap()
    }
}

fn get(lab: &Lab) -> Got {
    let stream = TcpStream::connect(lab.address("tcp")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    get_over(stream)
}

fn get_over(mut stream: impl Read + Write) -> Got {
    let began = Instant::now();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n")
        .unwrap();
    let (mut bytes, mut first) = (Vec::new(), None);
    let (mut is_reset, mut is_cut) = (false, false);
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => {
                first.get_or_insert_with(|| began.elapsed());
                bytes.extend(&buffer[..count]);
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                is_reset = true;
                break;
            }
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                is_cut = true;
                break;
            }
            Err(error) => panic!("{error}"),
        }
    }
    Got {
        bytes,
        first,
        end: began.elapsed(),
        is_reset,
        is_cut,
    }
}

/// What must hold of an answer.
type Holds = fn(&Got) -> bool;

#[test]
fn bytes_meet_what_is_ordered_of_them_and_over_tls_a_cut_is_seen_to_be_one() {
    let origin = origin();
    let identity = Identity::new().unwrap();
    let (cert, key) = (identity.certificates(), identity.key());
    let (cert, key) = (cert.to_str().unwrap(), key.to_str().unwrap());
    let tls = ["--tls-cert", cert, "--tls-key", key];
    let cases: [(&str, Holds); 8] = [
        ("fail=503:0%", |got| got.is_whole() && !got.is_reset),
        ("latency=200ms", |got| {
            got.is_whole() && got.first.unwrap() >= 200 * MS
        }),
        ("latency=200ms jitter=50ms", |got| {
            got.is_whole() && got.first.unwrap() >= 150 * MS
        }),
        // 30,000 bytes are 240,000 bits: 240 ms, less the last 10 that nothing follows.
        ("bandwidth=1mbit", |got| {
            got.is_whole() && got.end >= 230 * MS
        }),
        // At least 30 slices, 10 ms between two.
        ("slicer=1KB slicer_delay=10ms", |got| {
            got.is_whole() && got.end >= 290 * MS
        }),
        ("slow_close=800ms", |got| {
            let whole_before_its_end = got.first.unwrap() + 200 * MS < got.end;
            got.is_whole() && whole_before_its_end && got.end >= 800 * MS
        }),
        ("limit_data=1000B", |got| {
            got.bytes.len() == 1000 && !got.is_reset
        }),
        ("timeout=300ms", |got| {
            got.bytes.is_empty() && got.end >= 300 * MS && !got.is_reset
        }),
    ];
    for (order, holds) in cases {
        let plain = lab(&origin, &["--impair-http", order]);
        let encrypted = lab(&origin, &[&["--impair-http", order], &tls[..]].concat());
        let is_to_be_cut = order.starts_with("limit_data") || order.starts_with("timeout");
        for of in ["a miss", "a hit"] {
            let over_tls = identity
                .connect(encrypted.address("tcp"), PATIENCE)
                .unwrap();
            for (over, got) in [("TCP", get(&plain)), ("TLS", get_over(over_tls))] {
                let (first, end, length) = (got.first, got.end, got.bytes.len());
                assert!(
                    holds(&got),
                    "{order}, {of} over {over}: {length} bytes, {first:?} to {end:?}"
                );
                assert!(end < PATIENCE, "{order}, {of} over {over}: {end:?}");
                let is_to_be_cut = is_to_be_cut && over == "TLS";
                assert_eq!(got.is_cut, is_to_be_cut, "{order}, {of} over {over}");
            }
        }
    }
    let encrypted = lab(
        &origin,
        &[&["--impair-http", "reset_peer=100ms"], &tls[..]].concat(),
    );
    let stream = identity.connect(encrypted.address("tcp"), PATIENCE);
    let got = get_over(stream.unwrap());
    assert!(got.is_reset && got.bytes.is_empty());
    assert!(got.end >= 100 * MS, "{:?}", got.end);
}

#[test]
fn a_connection_is_reset_when_that_is_ordered() {
    let origin = origin();
    let lab = lab(&origin, &["--impair-http", "reset_peer=100ms"]);
    let got = get(&lab);
    assert!(got.is_reset && got.bytes.is_empty());
    assert!(got.end >= 100 * MS, "{:?}", got.end);
}

#[test]
fn as_many_requests_fail_as_ordered_and_the_same_for_the_same_seed() {
    const REQUESTS: usize = 200;
    let origin = origin();
    let lab = lab(&origin, &[]);
    let order = json!({"seed": 3, "http": {"fail": "503:25%"}}).to_string();
    let runs: Vec<Vec<String>> = (0..2)
        .map(|_| {
            assert_eq!(lab.put("/impair", &order).status, 200);
            let statuses = (0..REQUESTS).map(|_| get(&lab).status().to_owned());
            statuses.collect()
        })
        .collect();
    assert_eq!(runs[0], runs[1]);
    let failed = runs[0].iter().filter(|status| *status == "503").count();
    // Binomial, 25 % of 200, at 99.9 %: 50 ± 3.29 × sqrt(37.5).
    assert!((30..=70).contains(&failed), "{failed} of {REQUESTS}");
    lab.eventually(&format!("proxyd_failed_as_ordered_total {}", 2 * failed));
    assert!(
        runs[0]
            .iter()
            .all(|status| ["200", "503"].contains(&&**status))
    );

    // With a body it is asked about once, too.
    let all = json!({"http": {"fail": "418:100%"}}).to_string();
    assert_eq!(lab.put("/impair", &all).status, 200);
    let answer = testkit::peer::exchange(
        lab.address("tcp"),
        b"POST / HTTP/1.1\r\nHost: lab\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi",
        PATIENCE,
    );
    assert_eq!(answer.unwrap().status(), Some(418));
    lab.eventually(&format!(
        "proxyd_failed_as_ordered_total {}",
        2 * failed + 1
    ));
}

#[test]
fn new_connections_meet_new_orders_and_a_mistake_changes_nothing() {
    let origin = origin();
    let lab = lab(&origin, &["--impair-http", "timeout=1s"]);
    let wanted = json!({"http": {"latency": "50ms", "slicer": "2KiB"}});
    let put = lab.put("/impair", &wanted.to_string());
    assert_eq!(
        put.json()["http"],
        json!({"latency": "50ms", "slicer": "2048B"})
    );
    for (body, told) in [
        (r#"{"http":[]}"#, "http is no object"),
        (
            r#"{"http":{"delay":"1ms"}}"#,
            "there is no fault 'delay' of HTTP",
        ),
        (
            r#"{"http":{"fail":"503"}}"#,
            "fail=503: expected STATUS:PCT",
        ),
    ] {
        let refused = lab.put("/impair", body);
        assert_eq!(refused.status, 400, "{body}");
        assert!(refused.text().contains(told), "{body}: {}", refused.text());
    }
    assert_eq!(lab.get("/impair").json()["http"], put.json()["http"]);
    assert!(get(&lab).is_whole());
    lab.put("/impair", "{}");
    assert!(get(&lab).is_whole());
}
