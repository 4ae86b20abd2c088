//! One path probed again and again, beside mtr and while it changes. Takes root.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod diamond;
mod kept;
mod live;
mod peer;

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Duration;

use diamond::{Diamond, TARGET, ip};
use jsonschema::JSONSchema;
use peer::{OURS, left_out, written};
use serde_json::Value;
use testkit::netns::{self, Chain};

/// Address (`*` for nobody), loss and probes of each hop in a table of ours or mtr's.
fn figures(command: Command) -> Vec<[String; 3]> {
    let text = written(command);
    let rows = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        words.next()?.trim_end_matches(".|--").parse::<u8>().ok()?;
        let address = words.next()?.replace("???", "*");
        let loss = words.next()?.trim_end_matches('%').to_owned();
        Some([address, loss, words.next()?.to_owned()])
    });
    rows.collect()
}

#[test]
fn the_table_is_that_of_mtr() {
    if netns::left_out("the_table_is_that_of_mtr", &["mtr", "nft"]) {
        return;
    }
    let chain = Chain::new(4).unwrap();
    let silent = "icmp type time-exceeded";
    chain.drop_packets(2, "output", silent).unwrap();
    let host = chain.server_v4();
    for (ours, theirs) in [("-I", "-4"), ("-4", "-u"), ("-T", "-T")] {
        let ours = [
            "-n",
            "--report",
            "-c",
            "4",
            "--interval",
            "0.5",
            ours,
            &host,
        ];
        let ours = figures(chain.command(0, OURS, &ours));
        // Its own wait for stragglers is long; a grace of a second is enough here.
        let theirs = ["-n", "--report", "-c", "4", "-G", "1", theirs, &host];
        assert_eq!(ours, figures(chain.command(0, "mtr", &theirs)));
        assert_eq!(ours.len(), 5);
        assert_eq!(ours[1], ["*", "100.0", "4"]);
        assert_eq!(ours[4], [host.as_str(), "0.0", "4"]);
    }
    let host = chain.server_v6();
    let ours = figures(chain.command(0, OURS, &["-n", "--report", "-c", "2", &host]));
    assert_eq!(ours[4], [host.as_str(), "0.0", "2"]);
}

#[test]
fn a_bound_that_is_not_kept_is_named_and_the_exit_code_tells() {
    if left_out("a_bound_that_is_not_kept_is_named_and_the_exit_code_tells") {
        return;
    }
    let chain = Chain::new(1).unwrap();
    let host = chain.server_v4();
    for (bounds, format, code, said) in [
        ("loss<1%,hops<=2,rtt<5s", "-n", 0, ""),
        ("loss<1%,hops<2", "--json", 1, "hops<2 (it is 2)"),
        ("p42<1ms", "-n", 2, "no figure 'p42'"),
    ] {
        let args = [
            "-n",
            "--report",
            "-c2",
            "--interval=0.2",
            "--assert",
            bounds,
            format,
            &host,
        ];
        let output = chain.command(0, OURS, &args).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{bounds}: {output:?}");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(stderr.contains(said), "{stderr}");
    }
}

/// The lines, each as the committed schema has it.
fn validated(text: &str) -> Vec<Value> {
    let schema: Value =
        serde_json::from_str(include_str!("../../../docs/traceroute.schema.json")).unwrap();
    let schema = JSONSchema::compile(&schema).unwrap();
    let parsed = |line: &str| {
        let value: Value = serde_json::from_str(line).unwrap();
        assert!(schema.is_valid(&value), "{line}");
        value
    };
    text.lines().map(parsed).collect()
}

/// Sends everything by one branch from now on.
fn take_branch(diamond: &Diamond, branch: usize) {
    let split = diamond.name("split");
    for (network, via) in [
        ("10.3.0.0/24", format!("10.1.{branch}.2")),
        ("fd00:10:3:0::/64", format!("fd00:10:1:{branch}::2")),
    ] {
        ip(&["-n", &split, "route", "replace", network, "via", &via]);
    }
}

#[test]
fn a_path_that_changes_in_mid_run_is_told_with_its_time() {
    if left_out("a_path_that_changes_in_mid_run_is_told_with_its_time") {
        return;
    }
    let diamond = Diamond::new(2);
    take_branch(&diamond, 1);
    let args = [
        "--json",
        "-n",
        "--report",
        "-c",
        "8",
        "--interval",
        "1",
        TARGET,
    ];
    let mut running = diamond
        .command(&args)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_secs(3));
    take_branch(&diamond, 2);
    let mut text = String::new();
    let mut stdout = running.stdout.take().unwrap();
    stdout.read_to_string(&mut text).unwrap();
    assert_eq!(running.wait().unwrap().code(), Some(0));
    let lines = validated(&text);
    let of = |kind: &str| -> Vec<&Value> { lines.iter().filter(|it| it["type"] == kind).collect() };
    let changes = of("change");
    assert_eq!(changes.len(), 1, "{text}");
    assert_eq!(changes[0]["ttl"], 2);
    assert_eq!(changes[0]["from"], "10.1.1.2");
    assert_eq!(changes[0]["to"], "10.1.2.2");
    // The program begins some time after it was spawned, and a cycle may pass until the
    // change is seen.
    let after = changes[0]["after_s"].as_f64().unwrap();
    assert!((1.0..7.0).contains(&after), "{text}");
    let hops = of("hop_report");
    assert_eq!(hops.len(), 4, "{text}");
    assert_eq!(hops[1]["address"], "10.1.2.2");
    assert!(hops.iter().all(|hop| hop["sent"] == 8), "{text}");
    assert_eq!(lines.last().unwrap()["ending"], "complete");
    assert_eq!(lines.last().unwrap()["probes"], 32);
}

#[test]
fn a_signal_ends_the_cycles_and_the_table_stands() {
    if left_out("a_signal_ends_the_cycles_and_the_table_stands") {
        return;
    }
    let chain = Chain::new(1).unwrap();
    let host = chain.server_v4();
    let args = ["-n", "--report", "-c", "1000", "--interval", "0.2", &host];
    let mut running = chain
        .command(0, OURS, &args)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_secs(2));
    let pid = rustix::process::Pid::from_child(&running);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let mut text = String::new();
    let mut stdout = running.stdout.take().unwrap();
    stdout.read_to_string(&mut text).unwrap();
    assert_eq!(running.wait().unwrap().code(), Some(0));
    assert!(text.lines().last().unwrap().contains(&host), "{text}");
}
