//! Many targets in one run. Takes root and a namespaced network.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use testkit::netns::{Chain, left_out};

const PING: &str = env!("CARGO_BIN_EXE_ping");
/// What the tests run besides ping.
const TOOLS: &[&str] = &["nft"];

fn run(chain: &Chain, args: &str) -> (Option<i32>, String) {
    let args: Vec<&str> = args.split(' ').collect();
    told(&chain.command(0, PING, &args).output().unwrap())
}

fn told(output: &Output) -> (Option<i32>, String) {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), text)
}

#[test]
fn a_line_a_target_and_who_is_silent() {
    if left_out("a_line_a_target_and_who_is_silent", TOOLS) {
        return;
    }
    let chain = Chain::new(1).unwrap();
    chain
        .drop_packets(1, "input", "ip daddr 10.0.1.1 icmp type echo-request")
        .unwrap();
    let (v4, v6) = (chain.server_v4(), chain.server_v6());
    // The server by both versions; the router's far address, which is silent; a TTL that only
    // reaches the router.
    let hosts = format!("{v4} 10.0.1.1 {v6} 10.0.0.2");
    let (code, text) = run(&chain, &format!("-c 2 -i 0.05 -W 0.3 {hosts}"));
    assert_eq!(code, Some(1), "{text}");
    let starts: Vec<&str> = text
        .lines()
        .map(|line| line.split(", rtt").next().unwrap())
        .collect();
    assert_eq!(
        starts,
        [
            &format!("{v4}: 2/2 received"),
            "10.0.1.1: 0/2 received",
            &format!("{v6}: 2/2 received"),
            "10.0.0.2: 2/2 received",
            "",
            "--- 4 targets: 3 alive, 1 unreachable; 8 packets transmitted, 6 received ---",
        ]
    );
    let (code, text) = run(&chain, &format!("--unreachable -W 0.3 {hosts}"));
    assert_eq!((code, &*text), (Some(1), "10.0.1.1\n"));
    let (_, text) = run(&chain, &format!("--alive -W 0.3 {hosts}"));
    assert_eq!(text.lines().count(), 3, "{text}");
    let (code, text) = run(&chain, &format!("-t 1 -W 0.3 {v4} 10.0.0.2"));
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains(&format!("{v4}: 0/1 received, +1 errors\n")),
        "{text}"
    );
    assert!(text.contains("10.0.0.2: 1/1 received, rtt"), "{text}");
}

#[test]
fn targets_come_from_networks_and_files() {
    if left_out("targets_come_from_networks_and_files", TOOLS) {
        return;
    }
    let chain = Chain::new(0).unwrap();
    let (code, text) = run(&chain, "--alive --cidr 127.1.2.0/29");
    assert_eq!(code, Some(0), "{text}");
    let expected: Vec<String> = (1..=6).map(|host| format!("127.1.2.{host}")).collect();
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    let mut child = chain
        .command(0, PING, &["--alive", "--targets-file", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"127.0.0.9 # one\n\n::1\n").unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert_eq!(told(&output), (Some(0), "127.0.0.9\n::1\n".to_owned()));
}

#[test]
fn sixty_five_thousand_targets_are_swept_and_none_is_falsely_dead() {
    if left_out(
        "sixty_five_thousand_targets_are_swept_and_none_is_falsely_dead",
        TOOLS,
    ) {
        return;
    }
    let chain = Chain::new(0).unwrap();
    let (code, text) = run(&chain, "-q --spacing 0 --cidr 127.0.0.0/16");
    assert_eq!(code, Some(0), "{text}");
    let expected = "65534 targets: 65534 alive, 0 unreachable; 65534 packets transmitted, \
                    65534 received";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn a_row_of_csv_for_every_probe_and_the_figures_of_stats_for_every_target() {
    if left_out(
        "a_row_of_csv_for_every_probe_and_the_figures_of_stats_for_every_target",
        TOOLS,
    ) {
        return;
    }
    let chain = Chain::new(1).unwrap();
    chain
        .drop_packets(1, "input", "ip daddr 10.0.1.1 icmp type echo-request")
        .unwrap();
    let server = chain.server_v4();
    let (code, text) = run(
        &chain,
        &format!("--csv -c 2 -i 0.05 -W 0.3 {server} 10.0.1.1"),
    );
    assert_eq!(code, Some(1), "{text}");
    let rows: Vec<String> = text
        .lines()
        .map(|row| row.split(',').take(4).collect::<Vec<_>>().join(","))
        .collect();
    let expected = [
        "target,address,probe,state".to_owned(),
        format!("{server},{server},1,answered"),
        format!("{server},{server},2,answered"),
        "10.0.1.1,10.0.1.1,1,lost".to_owned(),
        "10.0.1.1,10.0.1.1,2,lost".to_owned(),
    ];
    assert_eq!(rows, expected, "{text}");
    let (_, text) = run(
        &chain,
        &format!("--stats -c 2 -i 0.05 -W 0.3 {server} 10.0.1.1"),
    );
    // Wilson for 2 of 2 and none of 2, by the formula with z = 1.96.
    for figure in [
        "loss 0/2, 95% interval 0.00% to 65.76%",
        "loss 2/2, 95% interval 34.24% to 100.00%",
        "outages 1, the longest of 2 probes",
    ] {
        assert!(text.contains(figure), "{figure}: {text}");
    }
}

#[test]
fn a_sweep_without_an_end_goes_on_until_it_is_stopped() {
    if left_out("a_sweep_without_an_end_goes_on_until_it_is_stopped", TOOLS) {
        return;
    }
    let chain = Chain::new(0).unwrap();
    let server = chain.server_v4();
    let (_, text) = run(&chain, &format!("--loop -i 0.1 -w 1 {server} 127.0.0.1"));
    let lines = text.matches("127.0.0.1: time=").count();
    assert!((2..=11).contains(&lines), "{text}");
    assert!(
        text.contains("--- 2 targets: 2 alive, 0 unreachable;"),
        "{text}"
    );
}

#[test]
fn a_pace_for_several_cores_tells_of_each_target_in_its_order() {
    if left_out(
        "a_pace_for_several_cores_tells_of_each_target_in_its_order",
        TOOLS,
    ) {
        return;
    }
    let chain = Chain::new(0).unwrap();
    let drop = "ip daddr 127.0.2.2 icmp type echo-request";
    chain.drop_packets(0, "input", drop).unwrap();
    let (code, text) = run(&chain, "--spacing 0 -c 2 -i 0.01 --cidr 127.0.0.0/21");
    assert_eq!(code, Some(1), "{text}");
    let mut lines = text.lines();
    for host in 1..2047_u32 {
        let [_, _, third, fourth] = host.to_be_bytes();
        let address = format!("127.0.{third}.{fourth}");
        let received = if address == "127.0.2.2" { 0 } else { 2 };
        let line = lines.next().unwrap();
        let start = format!("{address}: {received}/2 received");
        assert!(line.starts_with(&start), "{line}, not {start}");
    }
    let expected = "2046 targets: 2045 alive, 1 unreachable; 4092 packets transmitted, \
                    4090 received";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn a_signal_ends_a_sweep_of_several_cores_at_once() {
    if left_out("a_signal_ends_a_sweep_of_several_cores_at_once", TOOLS) {
        return;
    }
    let chain = Chain::new(0).unwrap();
    let args = [
        "--loop",
        "--spacing",
        "0",
        "-i",
        "60",
        "--cidr",
        "127.0.0.0/22",
    ];
    let mut command = chain.command(0, PING, &args);
    let mut ping = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(ping.stdout.take().unwrap()).lines();
    // The first round is over: every lane sleeps until the next, a minute from now.
    for _ in 0..1022 {
        assert!(lines.next().unwrap().unwrap().contains(": time="));
    }
    let started = Instant::now();
    kill_process(Pid::from_child(&ping), Signal::INT).unwrap();
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert_eq!(ping.wait().unwrap().code(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(20), "{rest:?}");
    assert_eq!(
        rest.last().unwrap(),
        "--- 1022 targets: 1022 alive, 0 unreachable; 1022 packets transmitted, 1022 received ---"
    );
}
