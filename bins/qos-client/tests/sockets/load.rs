//! Latency under load, held against queues of a known rate and size.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value;
use testkit::netns::{Chain, left_out};

use crate::lab;
use crate::lab::{Link, Responder, Web, qos_client};

/// A load takes all that there is: these tests run one after the other.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// The figures of one phase of the `end` event.
fn phase<'e>(events: &'e [Value], phase: &str) -> &'e Value {
    let results = events.last().unwrap()["results"].as_array().unwrap();
    let found = results
        .iter()
        .find(|result| result["figures"]["phase"] == phase);
    &found.unwrap_or_else(|| panic!("no {phase}: {events:?}"))["figures"]
}

fn ms(figure: &Value) -> f64 {
    figure
        .as_f64()
        .unwrap_or_else(|| panic!("no time: {figure}"))
        / 1e6
}

#[test]
fn a_stream_of_datagrams_shows_the_whole_of_a_queue_that_it_fills() {
    let _alone = alone();
    // 40,000 bytes at 4 Mbit/s are 80 ms; a load of three times that keeps it full, on a busy machine
    // too. What does not fit is dropped, so that a wait is short of that by less than one datagram
    // of 1200 bytes, 2.4 ms.
    let link = Link {
        bits_per_second: 4e6,
        queue_bytes: 40_000.0,
    };
    let echo = Responder::start(LOOPBACK, Some(link));
    let events = lab::events(&qos_client(&format!(
        "load --json --udp-port {} --duration 1s --datagrams 12mbit",
        echo.address.port()
    )));
    let loaded = phase(&events, "datagrams");
    let at_rest = phase(&events, "idle");
    let idle = ms(&at_rest["rtt_p50_ns"]);
    let waited = ms(&loaded["rtt_p50_ns"]);
    assert!((75.0..=105.0).contains(&waited), "{waited} ms");
    // A busy machine answers an idle path late too; while the queue is full, it does not show.
    assert!(idle < 25.0, "{idle} ms");
    let increase = ms(&loaded["rtt_increase_ns"]);
    assert!((increase - (waited - idle)).abs() < 1e-6, "{increase} ms");
    let grade = if increase < 60.0 { "B" } else { "C" };
    assert_eq!(loaded["bufferbloat_grade"], grade);
    // Of the link's 4 Mbit/s the probes of 128 bytes, 50 a second, have 51 kbit/s.
    let down = loaded["load_download_bps"].as_f64().unwrap();
    assert!((3.6e6..=4.0e6).contains(&down), "{down}");
    assert!(at_rest.get("rtt_increase_ns").is_none(), "{at_rest}");
}

#[test]
fn downloads_and_uploads_fill_each_its_own_queue() {
    let _alone = alone();
    if left_out("downloads_and_uploads_fill_each_its_own_queue", &["tc"]) {
        return;
    }
    // Before the client 100,000 bytes at 20 Mbit/s: 40 ms. Before the server 100,000 at 8: 100 ms.
    let chain = Chain::new(1).unwrap();
    for (device, rate) in [("left", "20mbit"), ("right", "8mbit")] {
        let queue = ["qdisc", "add", "dev", device, "root", "tbf", "rate", rate];
        let sized = [&queue[..], &["burst", "5000", "limit", "100000"]].concat();
        chain.run(1, "tc", &sized).unwrap();
    }
    let namespace = chain.namespace(chain.server()).to_owned();
    let address: SocketAddr = format!("{}:0", chain.server_v4()).parse().unwrap();
    let (web, echo) = std::thread::spawn(move || {
        let namespace = std::fs::File::open(format!("/var/run/netns/{namespace}")).unwrap();
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        (Web::start(address), Responder::start(address, None))
    })
    .join()
    .unwrap();
    let arguments = format!(
        "load --json --csv off --host {} --port {} --udp-port {} --duration 2s",
        address.ip(),
        web.address.port(),
        echo.address.port()
    );
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    let mut command = chain.command(0, env!("CARGO_BIN_EXE_qos-client"), &arguments);
    let events = lab::events(&command.output().unwrap());
    for (name, queue_ms, way, rate) in [
        ("download", 40.0, "load_download_bps", 20e6),
        ("upload", 100.0, "load_upload_bps", 8e6),
    ] {
        let figures = phase(&events, name);
        // TCP saws at a full queue: its median is between the half and the whole of it.
        let increase = ms(&figures["rtt_increase_ns"]);
        let slack = 25.0;
        assert!(
            (queue_ms / 2.0..=queue_ms + slack).contains(&increase),
            "{name}: {increase} ms of {queue_ms}: {figures}"
        );
        // 1448 of 1514 bytes are payload, and the other way's acknowledgements are small. What came
        // behind a hole counts when the hole is filled: a queue full of it may have come before the
        // two seconds that are counted.
        let most = rate * 1448.0 / 1514.0 + 100_000.0 * 8.0 / 2.0;
        let carried = figures[way].as_f64().unwrap();
        assert!((rate * 0.75..=most).contains(&carried), "{name}: {carried}");
        // A new connection waits in the same queue: once to connect, once for its answer.
        assert!(ms(&figures["rpm_connect_ns"]) > queue_ms / 3.0, "{figures}");
        let own = ms(&figures["rpm_loaded_rtt_ns"]);
        assert!(
            (queue_ms / 3.0..=queue_ms + slack).contains(&own),
            "{name}: {own} ms"
        );
        // By hand: (60 s / mean(connect, request) + 60 s / own) / 2.
        let (connect, request) = (&figures["rpm_connect_ns"], &figures["rpm_request_ns"]);
        let foreign = f64::midpoint(ms(connect), ms(request));
        let rpm = f64::midpoint(60_000.0 / foreign, 60_000.0 / own);
        assert!(
            (figures["rpm"].as_f64().unwrap() / rpm - 1.0).abs() < 1e-3,
            "{figures}"
        );
    }
    let both = phase(&events, "both");
    assert!(ms(&both["rtt_increase_ns"]) > 70.0, "{both}");
}

#[test]
fn a_load_is_told_by_stages_and_each_has_a_row_and_a_verdict() {
    let _alone = alone();
    let (web, echo) = (Web::start(LOOPBACK), Responder::start(LOOPBACK, None));
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("load.csv");
    let arguments = format!(
        "load --json --port {} --udp-port {} --duration 1s --connections 1 --csv {} \
         --assert rpm>0,load_upload_bps>1000,packets_sent>=50",
        web.address.port(),
        echo.address.port(),
        csv.display()
    );
    let output = qos_client(&arguments);
    let events = lab::events(&output);
    let checked = &events.last().unwrap()["assertions"];
    assert_eq!(output.status.code(), Some(0), "{checked}");
    assert_eq!(events[0]["load"]["connections"], 1);
    assert_eq!(events[0]["load"]["download"], "/large");
    let phases: Vec<&Value> = events.last().unwrap()["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| &result["figures"]["phase"])
        .collect();
    assert_eq!(phases, ["idle", "download", "upload", "both"]);
    let samples = events.iter().filter(|event| event["event"] == "sample");
    assert_eq!(samples.count(), 4 * (50 + 50));
    let file = std::fs::read_to_string(csv).unwrap();
    assert_eq!(file.lines().count(), 1 + 4);
    for row in file.lines().skip(1) {
        assert!(row.contains(",pass,qos-client "), "{row}");
    }
}

#[test]
fn a_server_that_offers_nothing_is_told_with_the_cure_unless_something_is_named() {
    let _alone = alone();
    let (web, echo) = (Web::bare(LOOPBACK), Responder::start(LOOPBACK, None));
    let ports = format!(
        "--port {} --udp-port {}",
        web.address.port(),
        echo.address.port()
    );
    let refused = qos_client(&format!("load {ports} --duration 1s"));
    assert_eq!(refused.status.code(), Some(3));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("webserverd --responsiveness"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    let named = qos_client(&format!(
        "load {ports} --duration 1s --json --download /large --upload /none"
    ));
    let events = lab::events(&named);
    assert!(phase(&events, "download")["load_download_bps"].is_number());
    let results = events.last().unwrap()["results"].as_array().unwrap();
    let error = results[2]["errors"][0].as_str().unwrap();
    assert!(error.contains("answers POST /none with 404"), "{error}");
    assert!(results[2]["figures"]["rtt_increase_ns"].is_null());
}

#[test]
fn a_path_that_dies_under_its_load_is_said_to_have_died() {
    let _alone = alone();
    let web = Web::start(LOOPBACK);
    // Two seconds: the idle stage and its ramp.
    let echo = Responder::that_ends(LOOPBACK, Duration::from_millis(2100));
    let output = qos_client(&format!(
        "load --json --port {} --udp-port {} --duration 1s --connections 1",
        web.address.port(),
        echo.address.port()
    ));
    let events = lab::events(&output);
    assert_eq!(phase(&events, "idle")["loss_pct"], 0.0);
    let results = events.last().unwrap()["results"].as_array().unwrap();
    let error = results.last().unwrap()["errors"][0].as_str().unwrap();
    assert!(error.contains("nothing came back from udp"), "{error}");
}

#[test]
fn a_recorded_load_is_a_page_with_a_row_for_each_stage() {
    let _alone = alone();
    let (web, echo) = (Web::start(LOOPBACK), Responder::start(LOOPBACK, None));
    let folder = tempfile::tempdir().unwrap();
    let recorded = qos_client(&format!(
        "load --json --port {} --udp-port {} --duration 1s --connections 1",
        web.address.port(),
        echo.address.port()
    ));
    let (events, page) = (
        folder.path().join("load.ndjson"),
        folder.path().join("load.html"),
    );
    std::fs::write(&events, &recorded.stdout).unwrap();
    let made = qos_client(&format!(
        "report {} --output {}",
        events.display(),
        page.display()
    ));
    assert_eq!(made.status.code(), Some(0), "{made:?}");
    let page = std::fs::read_to_string(page).unwrap();
    for stage in ["idle", "download", "upload", "both"] {
        assert!(page.contains(&format!("<tr><td class=\"n\">{stage}</td>")));
    }
    assert!(page.contains("200 answers"), "200 probes in four stages");
    assert!(page.contains("Increase of the median round-trip time"));
    assert!(page.contains("under load</span>"));
}
