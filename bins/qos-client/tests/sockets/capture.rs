//! Captures held against what made them, and against tshark: our own, and those of dumpcap on
//! loopback and on a veth pair with losses.

use std::fs::{File, Permissions};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use jsonschema::JSONSchema;
use netproto::probe::Probe;
use qos_client::capture::packets::{self, Transport};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value;
use testkit::netns::{Chain, left_out};

use crate::client;
use crate::client::text;
use crate::echo::{Echo, after_ms};

fn events(output: &Output) -> Vec<Value> {
    let events = serde_json::Deserializer::from_slice(&output.stdout).into_iter();
    events.map(Result::unwrap).collect()
}

fn flows(folder: &Path, file: &str) -> Vec<Value> {
    let output = client::run(folder, &format!("analyze --json {file}"));
    assert!(output.status.success(), "{output:?}");
    let mut events = events(&output);
    events.retain(|event| event["event"] == "flow");
    events
}

/// What tshark prints of these fields, a line for each packet that the filter takes.
fn tshark(file: &Path, filter: &str, fields: &[&str]) -> Vec<String> {
    let mut command = Command::new("tshark");
    command.arg("-n").arg("-r").arg(file);
    command.args(["-Y", filter, "-T", "fields", "-E", "occurrence=f"]);
    for field in fields {
        command.args(["-e", field]);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    text(&output.stdout).lines().map(str::to_owned).collect()
}

fn sum(cells: &[String]) -> u64 {
    cells
        .iter()
        .map(|cell| cell.trim().parse::<u64>().unwrap())
        .sum()
}

/// dumpcap, from when it captures until it is stopped.
struct Dumpcap {
    child: Child,
}

impl Dumpcap {
    fn start(mut command: Command, file: &Path) -> Dumpcap {
        let mut child = command
            .arg("-w")
            .arg(file)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It says "File: …" once it captures.
        let mut said = String::new();
        let stderr = child.stderr.as_mut().unwrap();
        let mut byte = [0];
        while !(said.contains("File:") && said.ends_with('\n')) {
            assert_eq!(stderr.read(&mut byte).unwrap(), 1, "dumpcap: {said}");
            said.push(char::from(byte[0]));
        }
        Dumpcap { child }
    }

    fn stop(mut self) {
        // What it has not read from the kernel's ring yet would be missing.
        std::thread::sleep(Duration::from_millis(500));
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn a_test_and_its_capture_agree_and_tshark_with_both() {
    // 5 of 60 lost, 4 doubled, 6 overtaken.
    let echo = Echo::start(|sequence| match sequence % 12 {
        3 => vec![],
        7 => after_ms(25),
        9 if sequence < 48 => [after_ms(0), after_ms(1)].concat(),
        _ => after_ms(0),
    });
    let folder = tempfile::tempdir().unwrap();
    let port = echo.address.port();
    let order = "--packets 60 --interval 10ms --loss-deadline 300ms --capture run.pcapng";
    let output = client::run(folder.path(), &format!("verify --udp-port {port} {order}"));
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(!said.contains("DIFFERENT"), "{said}");
    for (figure, value) in [("packets sent", 60), ("lost", 5), ("duplicates", 4)] {
        let line = said.lines().find(|line| line.contains(figure)).unwrap();
        let cells: Vec<&str> = line[figure.len() + 2..].split_whitespace().collect();
        let value = value.to_string();
        assert_eq!(cells[..2], [&value, &value], "{line}");
        let with_tshark = said.contains("tshark is not installed") || figure == "duplicates";
        assert!(with_tshark || cells[2] == value, "{line}");
    }
    let flows = flows(folder.path(), "run.pcapng");
    assert_eq!(flows.len(), 1);
    let figures = &flows[0]["probes"][0]["figures"];
    assert_eq!(
        (&figures["packets_lost"], &figures["duplicates"]),
        (&5.into(), &4.into())
    );
    assert_eq!(flows[0]["rtp"].as_array().unwrap().len(), 2);
}

#[test]
fn a_test_with_losses_that_was_ended_early_or_had_stamps_agrees_with_its_capture() {
    let echo = Echo::start(|sequence| match sequence {
        2 => after_ms(600),
        _ if sequence % 4 == 1 => vec![],
        _ => after_ms(0),
    });
    let folder = tempfile::tempdir().unwrap();
    let port = echo.address.port();
    // When the first is ended, some losses are decided and some are in flight. In the second an answer
    // is late, which tshark cannot know.
    for (order, ended_after) in [
        (
            "--packets 1000 --interval 20 --loss-deadline 400",
            Some(1200),
        ),
        ("--packets 60 --interval 20 --loss-deadline 300", None),
        (
            "--packets 20 --interval 5 --loss-deadline 300 --hops --capture hops.pcapng",
            None,
        ),
    ] {
        let line = format!("verify --udp-port {port} {order}");
        let child = client::command(folder.path(), &line)
            .env("TMPDIR", folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        if let Some(ms) = ended_after {
            std::thread::sleep(Duration::from_millis(ms));
            kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        }
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
        // The capture that nobody asked for is gone.
        let mut left = std::fs::read_dir(folder.path()).unwrap().flatten();
        assert!(!left.any(|entry| entry.file_name().to_string_lossy().contains("verify")));
    }
    // The packets are those that were sent, in the order of their times.
    let mut times = Vec::new();
    packets::read(&folder.path().join("hops.pcapng"), &mut |packet| {
        times.push(packet.at);
        if let Transport::Udp { payload, .. } = packet.transport {
            assert!(Probe::parse(payload).unwrap().stamps);
        }
    })
    .unwrap();
    assert!(times.len() > 20 && times.is_sorted(), "{times:?}");
}

#[test]
fn a_tshark_that_differs_fails_the_test_one_that_breaks_is_told_and_none_is_left_out() {
    let echo = Echo::start(|_| after_ms(0));
    let folder = tempfile::tempdir().unwrap();
    let port = echo.address.port();
    // One that saw a single answer; one that cannot read the file; none.
    for (script, status, said, verdict) in [
        (Some("echo 1,100,0"), 1, "DIFFERENT", Some("fail")),
        (
            Some("echo what is this >&2; exit 1"),
            4,
            "cannot ask tshark: tshark failed: what is this",
            None,
        ),
        (None, 0, "tshark is not installed here", Some("pass")),
    ] {
        let tools = tempfile::tempdir().unwrap();
        if let Some(script) = script {
            let tshark = tools.path().join("tshark");
            std::fs::write(&tshark, format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(&tshark, Permissions::from_mode(0o755)).unwrap();
        }
        let line = format!("verify --udp-port {port} --packets 4 --interval 1 --csv a.csv");
        let output = client::command(folder.path(), &line)
            .env("PATH", tools.path())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(status), "{output:?}");
        let shown = text(&output.stdout) + &text(&output.stderr);
        assert!(shown.contains(said), "{shown}");
        if let Some(verdict) = verdict {
            let rows = std::fs::read_to_string(folder.path().join("a.csv")).unwrap();
            let row = rows.lines().last().unwrap();
            assert!(row.contains(&format!(",{verdict},qos-client ")), "{row}");
        }
    }
}

#[test]
fn a_test_of_more_probes_than_rtp_has_numbers_agrees_with_its_capture() {
    // 16 bits of RTP's sequence number begin anew at 65,536 (RFC 3550 §5.1).
    const PROBES: u64 = 65_536 + 300;
    let echo = Echo::start(|sequence| {
        if sequence % 1000 == 7 {
            vec![]
        } else {
            after_ms(0)
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let port = echo.address.port();
    let order = format!(
        "verify --udp-port {port} --json --packets {PROBES} --interval 0.05 --payload 40 \
         --loss-deadline 1s"
    );
    let output = client::run(folder.path(), &order);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let events = events(&output);
    let compared = |figure: &str| {
        let of = |event: &&Value| event["event"] == "compared" && event["figure"] == figure;
        events.iter().find(of).unwrap()
    };
    for event in events.iter().filter(|event| event["event"] == "compared") {
        assert_eq!(event["agree"], true, "{event}");
    }
    assert_eq!(compared("packets_sent")["capture"], PROBES);
    // A busy machine loses more of them than the echo does: 66 of 65,836.
    assert!(compared("packets_lost")["capture"].as_u64().unwrap() >= 66);
    assert_eq!(compared("packets_lost")["tshark"], Value::Null);
    assert!(compared("rtp_jitter_mean_ns")["capture"].is_u64());
    let end = events.last().unwrap();
    assert_eq!(end["results"][0]["figures"]["verdict"], "pass");
    let schema: Value =
        serde_json::from_str(include_str!("../../schema/events-v1.schema.json")).unwrap();
    let schema = JSONSchema::compile(&schema).unwrap();
    let samples = events.iter().filter(|event| event["event"] == "sample");
    assert_eq!(samples.clone().count() as u64, PROBES);
    let rest = events.iter().filter(|event| event["event"] != "sample");
    for event in rest.chain(samples.take(1)) {
        assert!(schema.is_valid(event), "{event}");
    }
}

#[test]
fn what_no_figure_has_is_told_on_the_screen_and_in_the_events() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/capture");
    let early = "answer-earlier-than-its-probe.pcapng";
    let cut = "cut-in-a-block.pcapng";
    for (file, said, left_out) in [
        (early, "left out: 1 probe with the answer before it", None),
        (cut, "the rest of the file cannot be read", None),
        (
            "icmp-and-arp.pcap",
            "left out: 2 packets, neither UDP nor TCP",
            Some("other_protocol"),
        ),
        (
            "fragments.pcap",
            "left out: 1 packet, further fragments",
            Some("fragments"),
        ),
        (
            "unknown-link.pcap",
            "left out: 2 packets, on a kind of link",
            Some("unknown_link"),
        ),
        (
            "other-blocks.pcapng",
            "left out: 1 packet, cut off or damaged",
            Some("malformed"),
        ),
        (
            "lo-cut-at-30.pcap",
            "left out: 32 packets, cut off or damaged",
            Some("malformed"),
        ),
    ] {
        let path = corpus.join(file);
        let output = client::run(&corpus, &format!("analyze {}", path.display()));
        let screen = text(&output.stdout);
        assert!(screen.contains(said), "{file}: {screen}");
        let output = client::run(&corpus, &format!("analyze --json {}", path.display()));
        let events = events(&output);
        assert_eq!(events[0]["event"], "capture");
        let count = said.split(' ').nth(2).and_then(|n| n.parse::<u64>().ok());
        if let Some(reason) = left_out {
            assert_eq!(events[0]["left_out"][reason], count.unwrap(), "{file}");
        }
        assert_eq!(events[0]["damaged"].is_string(), file == cut, "{file}");
        if file == early {
            let series = &events[1]["probes"][0];
            assert_eq!(series["mistimed"], 1);
            // Neither a round trip nor a loss.
            assert_eq!(series["figures"]["packets_sent"], 0);
        }
    }
}

#[test]
fn a_row_of_a_capture_has_the_time_of_the_capture() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/capture");
    let folder = tempfile::tempdir().unwrap();
    let path = corpus.join("raw-big-endian.pcap");
    let line = format!("analyze {} --csv a.csv", path.display());
    assert!(client::run(folder.path(), &line).status.success());
    let rows = std::fs::read_to_string(folder.path().join("a.csv")).unwrap();
    // 1,772,368,200 s since the epoch.
    let row = rows.lines().last().unwrap();
    assert!(
        row.starts_with("2026-03-01T12:30:00.000Z,1,0.0000,"),
        "{row}"
    );
}

#[test]
fn a_capture_is_read_from_a_pipe() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/capture");
    for file in ["lo.pcapng", "tcp.pcap"] {
        let bytes = std::fs::read(corpus.join(file)).unwrap();
        let mut command = client::command(&corpus, "analyze --json /dev/stdin");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(&bytes).unwrap();
        let piped = events(&child.wait_with_output().unwrap());
        let read = events(&client::run(&corpus, &format!("analyze --json {file}")));
        assert_eq!(piped[1..], read[1..], "{file}");
        assert!(read.len() > 2);
    }
}

#[test]
fn a_file_that_is_no_capture_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("text"), "name,mark\n").unwrap();
    for (file, said) in [
        (
            "text",
            "qos-client: text is no capture: it begins neither as pcapng nor as pcap\n",
        ),
        (
            "none",
            "qos-client: cannot read none: No such file or directory (os error 2)\n",
        ),
    ] {
        let output = client::run(folder.path(), &format!("analyze {file}"));
        assert_eq!(
            (output.status.code(), text(&output.stderr)),
            (Some(2), said.to_owned())
        );
    }
}

#[test]
fn what_dumpcap_sees_on_loopback_is_what_the_test_measured() {
    if left_out(
        "what_dumpcap_sees_on_loopback_is_what_the_test_measured",
        &["dumpcap", "tshark"],
    ) {
        return;
    }
    let echo = Echo::start(|sequence| {
        if sequence % 10 == 4 {
            vec![]
        } else {
            after_ms(2)
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lo.pcapng");
    let port = echo.address.port();
    let mut command = Command::new("dumpcap");
    command.args(["-i", "lo", "-f", &format!("udp port {port}")]);
    let dumpcap = Dumpcap::start(command, &file);
    let order =
        format!("udp --json --udp-port {port} --packets 100 --interval 4ms --loss-deadline 300ms");
    let output = client::run(folder.path(), &order);
    dumpcap.stop();
    let end: Value = serde_json::from_str(text(&output.stdout).lines().last().unwrap()).unwrap();
    let measured = &end["results"][0]["figures"];

    let flows = flows(folder.path(), "lo.pcapng");
    let seen = &flows[0]["probes"][0]["figures"];
    for figure in [
        "packets_sent",
        "packets_answered",
        "packets_lost",
        "loss_pct",
        "ipdv_n",
    ] {
        assert_eq!(seen[figure], measured[figure], "{figure}");
    }
    // dumpcap takes the time of sending in the kernel, the client before the call.
    let mean = |figures: &Value| figures["rtt_mean_ns"].as_f64().unwrap();
    let apart = (mean(seen) - mean(measured)).abs();
    assert!(apart < 1e6, "{} {}", mean(seen), mean(measured));

    let there = tshark(&file, &format!("udp.dstport=={port}"), &["udp.length"]);
    let back = tshark(&file, &format!("udp.srcport=={port}"), &["udp.length"]);
    for (way, seen) in [("there", there), ("back", back)] {
        let (packets, bytes) = (seen.len() as u64, sum(&seen) - 8 * seen.len() as u64);
        assert_eq!(flows[0][way]["packets"], packets);
        assert_eq!(flows[0][way]["payload_bytes"], bytes);
    }
}

/// Runs `work` in a thread that is in this namespace.
fn within<T: Send + 'static>(
    namespace: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> std::thread::JoinHandle<T> {
    let namespace = File::open(format!("/var/run/netns/{namespace}")).unwrap();
    std::thread::spawn(move || {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        work()
    })
}

#[test]
fn of_a_transfer_with_losses_on_a_veth_pair_tshark_says_the_same() {
    const BYTES: usize = 400_000;
    if left_out(
        "of_a_transfer_with_losses_on_a_veth_pair_tshark_says_the_same",
        &["dumpcap", "tshark", "nft"],
    ) {
        return;
    }
    let chain = Chain::new(0).unwrap();
    // Segments of an Ethernet's size, so that some are lost and most are not.
    let one_at_a_time = ["link", "set", "right", "gso_max_segs", "1"];
    chain.run(0, "ip", &one_at_a_time).unwrap();
    chain
        .drop_packets(
            1,
            "input",
            "tcp dport 7000 meta length > 1000 numgen random mod 100 < 6",
        )
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("veth.pcapng");
    let capture = chain.command(0, "dumpcap", &["-i", "right", "-f", "tcp port 7000"]);
    let dumpcap = Dumpcap::start(capture, &file);
    let address: SocketAddr = format!("{}:7000", chain.server_v4()).parse().unwrap();
    let listener = within(chain.namespace(1), move || {
        TcpListener::bind(address).unwrap()
    });
    let listener = listener.join().unwrap();
    let receiving = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        std::io::copy(&mut stream, &mut std::io::sink()).unwrap()
    });
    let sending = within(chain.namespace(0), move || {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(&vec![7; BYTES]).unwrap();
    });
    sending.join().unwrap();
    assert_eq!(receiving.join().unwrap(), BYTES as u64);
    dumpcap.stop();

    let flows = flows(folder.path(), "veth.pcapng");
    assert_eq!(flows.len(), 1);
    let (there, back) = (&flows[0]["there"], &flows[0]["back"]);
    let payload = tshark(&file, "tcp.dstport==7000", &["tcp.len"]);
    assert_eq!(there["packets"], payload.len() as u64);
    assert_eq!(there["payload_bytes"], sum(&payload));
    assert_eq!(
        back["packets"],
        tshark(&file, "tcp.srcport==7000", &["tcp.len"]).len() as u64
    );
    // Whether a segment was sent again or overtaken, tshark guesses by its timing.
    let again = "tcp.analysis.retransmission || tcp.analysis.out_of_order";
    let again = tshark(
        &file,
        &format!("tcp.dstport==7000 && tcp.len > 0 && ({again})"),
        &["tcp.len"],
    );
    let ours = there["retransmitted"].as_u64().unwrap() + there["out_of_order"].as_u64().unwrap();
    assert_eq!(ours, again.len() as u64);
    assert!(ours > 0, "nothing was lost");
    let initial = tshark(
        &file,
        "tcp.analysis.initial_rtt",
        &["tcp.analysis.initial_rtt"],
    );
    let initial: f64 = initial[0].trim().parse().unwrap();
    let handshake = flows[0]["handshake_ns"].as_f64().unwrap() / 1e9;
    assert!((handshake - initial).abs() < 1e-8, "{handshake} {initial}");
}

#[test]
fn reading_a_large_capture_takes_little_time() {
    // 20,000 packets of a test that was never run would do; those of one that was are at hand.
    let echo = Echo::start(|_| after_ms(0));
    let folder = tempfile::tempdir().unwrap();
    let port = echo.address.port();
    let order = format!("udp --udp-port {port} --packets 5000 --interval 0.1 --capture big.pcapng");
    assert!(client::run(folder.path(), &order).status.success());
    let begun = Instant::now();
    assert_eq!(flows(folder.path(), "big.pcapng").len(), 1);
    assert!(begun.elapsed() < Duration::from_secs(10));
}
