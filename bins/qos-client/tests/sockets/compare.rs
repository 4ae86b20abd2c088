//! Two ways side by side, held against what each was told to take.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use crate::echo::{Echo, after_ms};
use crate::lab::{events, qos_client};

/// A server; or a proxy that answers what it was asked before after `hit`, what not after `miss`.
fn web(hit: Duration, miss: Option<Duration>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut known = std::collections::HashSet::new();
        for mut stream in listener.incoming().flatten() {
            let mut input = BufReader::new(stream.try_clone().unwrap());
            let mut first = String::new();
            let _ = input.read_line(&mut first);
            let mut line = String::new();
            while input.read_line(&mut line).is_ok() && !line.trim().is_empty() {
                line.clear();
            }
            let is_new = known.insert(first.clone());
            let (wait, field) = match miss {
                Some(miss) if is_new => (miss, "Cache-Status: p; fwd=uri-miss\r\n"),
                Some(_) => (hit, "Cache-Status: p; hit\r\n"),
                None => (hit, ""),
            };
            std::thread::sleep(wait);
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\n{field}Content-Length: 2\r\nConnection: close\r\n\r\nhi"
            );
        }
    });
    address
}

fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}

#[test]
fn what_the_proxied_way_takes_longer_lies_in_the_interval_that_is_told() {
    // Ordered: probes 2 ms and 22 ms; requests 20 ms directly, at once by a hit, 50 ms by a miss.
    let (direct_echo, proxied_echo) = (Echo::start(|_| after_ms(2)), Echo::start(|_| after_ms(22)));
    let (direct, proxied) = (web(ms(20), None), web(ms(0), Some(ms(50))));
    let ports = format!(
        "compare --port {} --udp-port {} --direct-port {} --direct-udp-port {}",
        proxied.port(),
        proxied_echo.address.port(),
        direct.port(),
        direct_echo.address.port()
    );
    let output = qos_client(&format!(
        "{ports} --json --packets 60 --interval 10ms --requests 12 --assert added_rtt_ms>10"
    ));
    let events = events(&output);
    let end = events.last().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", end["assertions"]);
    let results = end["results"].as_array().unwrap();
    let phases: Vec<_> = results.iter().map(|r| &r["figures"]["phase"]).collect();
    assert_eq!(phases, ["direct", "proxied"]);
    let added = &results[1]["figures"];
    // A machine that is busy shifts both ways; so much of it may hit one alone.
    let slack = 10.0;
    for (name, ordered) in [("rtt", 20.0), ("hit", -20.0), ("miss", 30.0)] {
        let [low, median, high] = ["_low", "", "_high"]
            .map(|end| added[format!("added_{name}{end}_ns")].as_f64().unwrap() / 1e6);
        assert!(
            low <= median && median <= high,
            "{name}: {low} {median} {high}"
        );
        assert!(
            (median - ordered).abs() < slack,
            "{name}: {median} of {ordered}"
        );
    }
    assert_eq!(added["added_hit_n"], 12);
    let shown = qos_client(&format!("{ports} --packets 20 --interval 5ms --requests 6"));
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("request, from the cache"), "{shown}");
}

#[test]
fn two_ways_that_are_the_same_do_not_differ_significantly() {
    // Each way has an echo of its own: one would wake for both, at different times after each.
    let [past, through] = [(), ()].map(|()| Echo::start(|_| after_ms(0)));
    let [past, through] = [&past, &through].map(|echo| echo.address.port());
    let tcp = web(ms(5), None).port();
    let output = qos_client(&format!(
        "compare --port {tcp} --udp-port {through} --direct-port {tcp} --direct-udp-port {past} \
         --packets 40 --interval 10ms --requests 6"
    ));
    let shown = String::from_utf8(output.stdout).unwrap();
    // One way in twenty is unlucky: then its difference is at least a small one.
    let line = shown
        .lines()
        .find(|line| line.contains("UDP round trip"))
        .unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    let difference: f64 = words[7].parse().unwrap();
    assert!(
        line.contains("not significant") || difference.abs() < 1.0,
        "{line}"
    );
    // Nothing said that it was a cache.
    assert!(
        shown.contains("12 proxied answers were not the hit"),
        "{shown}"
    );
}

#[test]
fn a_server_that_is_not_there_directly_is_named() {
    let echo = Echo::start(|_| after_ms(0));
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let output = qos_client(&format!(
        "compare --udp-port {} --direct-udp-port {} --direct-port {} --packets 6 --interval 5ms",
        echo.address.port(),
        echo.address.port(),
        free.port()
    ));
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains(&format!("nothing listens on tcp {free}")),
        "{said}"
    );
}
