//! The same run by this ping and by the installed iputils ping gives the same lines (times
//! masked) and the same exit code. Takes root and a namespaced network.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use testkit::netns::{Chain, left_out};

const OURS: &str = env!("CARGO_BIN_EXE_ping");
const THEIRS: &str = "ping";
/// What the tests run besides ping.
const TOOLS: &[&str] = &[THEIRS, "nft"];

/// A line with every time in it replaced.
fn masked(line: &str) -> String {
    // iputils puts a space between the name and the address of an IPv6 target since 20240117.
    let line = match line.strip_prefix("PING ") {
        Some(rest) if !rest.contains(" (") => format!("PING {}", rest.replacen('(', " (", 1)),
        _ => line.to_owned(),
    };
    if line.starts_with("rtt ") {
        let names = line.split(" = ").next().unwrap_or_default();
        return format!("{names} = T");
    }
    let mut words: Vec<String> = Vec::new();
    for word in line.split(' ') {
        words.push(match (word.strip_prefix("time="), words.last()) {
            (Some(_), _) => "time=T".to_owned(),
            (None, Some(before)) if before == "time" => "T".to_owned(),
            _ if word.starts_with('[') => "[T]".to_owned(),
            _ => word.to_owned(),
        });
    }
    words.join(" ")
}

fn lines(output: &Output) -> Vec<String> {
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(masked)
        .collect()
}

/// Runs both with these arguments from the client of `chain`.
fn compare(chain: &Chain, args: &str) {
    let args: Vec<&str> = args.split(' ').collect();
    let run = |program| chain.command(0, program, &args).output().unwrap();
    let (ours, theirs) = (run(OURS), run(THEIRS));
    assert_eq!(lines(&ours), lines(&theirs), "ping {args:?}");
    assert_eq!(ours.status.code(), theirs.status.code(), "ping {args:?}");
}

#[test]
fn ordinary_runs_read_as_those_of_iputils() {
    if left_out("ordinary_runs_read_as_those_of_iputils", TOOLS) {
        return;
    }
    let chain = Chain::new(2).unwrap();
    let (v4, v6) = (chain.server_v4(), chain.server_v6());
    for args in [
        format!("-c 2 -i 0.2 {v4}"),
        format!("-c 2 -i 0.2 {v6}"),
        format!("-c 2 -i 0.2 -n -s 1000 {v4}"),
        format!("-c 3 -i 0.2 -q {v4}"),
        format!("-c 2 -i 0.2 -D {v4}"),
        format!("-c 2 -i 0.2 -D -n {v6}"),
        format!("-c 3 -i 0.2 -q {v6}"),
        format!("-c 20 -f {v6}"),
        format!("-w 1 -c 2 -i 0.2 {v6}"),
        format!("-t 1 -c 2 -i 0.2 {v6}"),
        format!("-c 2 -l 2 {v4}"),
        format!("-c 5 -A -q {v4}"),
        format!("-c 1 -p ff00 {v4}"),
        format!("-c 1 -I right {v4}"),
        format!("-c 1 -I 10.0.0.1 {v4}"),
        format!("-c 20 -f {v4}"),
        format!("-w 1 -c 2 -i 0.2 {v4}"),
        format!("-t 1 -c 2 -i 0.2 {v4}"),
        format!("-t 2 -c 1 {v6}"),
        format!("-t 1 -c 2 -i 0.2 -q {v4}"),
        format!("-c 1 -Q 0x10 {v4}"),
        format!("-c 1 -Q 184 {v6}"),
        format!("-c 1 -M do -s 1472 {v4}"),
        format!("-c 2 -i 0.2 -M do -s 1600 {v4}"),
        format!("-c 1 -M dont -s 1600 {v4}"),
        format!("-c 1 -M want -s 1600 {v6}"),
        format!("-c 1 -a {v4}"),
        format!("-c 1 -U {v4}"),
        format!("-c 1 -B {v4}"),
        format!("-c 1 -L -m 5 -e 7 {v4}"),
        "-c 1 no.such.name.invalid".to_owned(),
        "-c 1 0".to_owned(),
        "-c 1 127.1".to_owned(),
        "-c 1 0x7f000001".to_owned(),
    ] {
        compare(&chain, &args);
    }
}

#[test]
fn a_host_that_does_not_answer_reads_as_in_iputils() {
    if left_out("a_host_that_does_not_answer_reads_as_in_iputils", TOOLS) {
        return;
    }
    let chain = Chain::new(1).unwrap();
    chain
        .drop_packets(chain.server(), "input", "icmp type echo-request")
        .unwrap();
    let v4 = chain.server_v4();
    for args in [
        format!("-c 2 -i 0.2 -W 0.5 {v4}"),
        format!("-c 3 -i 0.2 -W 0.5 -O {v4}"),
        format!("-w 1 -i 0.3 {v4}"),
        // Nobody has this address: the router says so.
        "-c 1 10.0.1.77".to_owned(),
        "-c 1 fd00:0:0:1::77".to_owned(),
    ] {
        compare(&chain, &args);
    }
}

#[test]
fn a_link_that_is_too_narrow_reads_as_in_iputils() {
    if left_out("a_link_that_is_too_narrow_reads_as_in_iputils", TOOLS) {
        return;
    }
    let chain = Chain::new(1).unwrap();
    for (node, device) in [(1, "right"), (2, "left")] {
        let narrow = ["link", "set", device, "mtu", "1400"];
        chain.run(node, "ip", &narrow).unwrap();
    }
    for (host, version) in [(chain.server_v4(), "-4"), (chain.server_v6(), "-6")] {
        // The first probe is told by the router; the second is not even sent, and both say so on
        // stderr.
        let args = ["-c", "2", "-i", "0.2", "-M", "do", "-s", "1400", &host];
        let [ours, theirs] = [OURS, THEIRS].map(|program| {
            let output = chain.command(0, program, &args).output().unwrap();
            // The host has learnt the MTU; the next is to learn it again.
            chain
                .run(0, "ip", &[version, "route", "flush", "cache"])
                .unwrap();
            output
        });
        let text = lines(&ours);
        assert!(text[1].contains("1400"), "{text:?}");
        assert_eq!(text, lines(&theirs), "{args:?}");
        assert_eq!(ours.stderr, theirs.stderr, "{args:?}");
        assert_eq!(ours.status.code(), theirs.status.code(), "{args:?}");
    }
}

#[test]
fn the_dots_of_a_flood_are_those_of_iputils() {
    if left_out("the_dots_of_a_flood_are_those_of_iputils", TOOLS) {
        return;
    }
    let chain = Chain::new(1).unwrap();
    // Every second is lost, so that each program loses the same of its own.
    for family in ["icmp", "icmpv6"] {
        let rule = format!("{family} type echo-request numgen inc mod 2 == 1 drop");
        chain.filter(1, "forward", &rule).unwrap();
        chain.run(1, "nft", &["flush ruleset"]).unwrap();
        chain.filter(1, "forward", &rule).unwrap();
        let host = match family {
            "icmp" => chain.server_v4(),
            _ => chain.server_v6(),
        };
        compare(&chain, &format!("-f -c 6 -W 0.2 {host}"));
        chain.run(1, "nft", &["flush ruleset"]).unwrap();
    }
}

#[test]
fn broadcast_multicast_and_link_local_addresses_read_as_in_iputils() {
    if left_out(
        "broadcast_multicast_and_link_local_addresses_read_as_in_iputils",
        TOOLS,
    ) {
        return;
    }
    let chain = Chain::new(0).unwrap();
    let answer = "echo 0 >/proc/sys/net/ipv4/icmp_echo_ignore_broadcasts";
    chain.run(1, "sh", &["-c", answer]).unwrap();
    let words = [
        "-6", "-o", "address", "show", "dev", "left", "scope", "link",
    ];
    let shown = chain.run(1, "ip", &words).unwrap();
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    let link_local = shown
        .split_whitespace()
        .find_map(|word| word.strip_suffix("/64"))
        .unwrap();
    for args in [
        "-c 2 -i 0.2 -b 10.0.0.255".to_owned(),
        "-c 1 10.0.0.255".to_owned(),
        "-c 2 -i 0.2 ff02::1%right".to_owned(),
        format!("-c 2 -i 0.2 {link_local}%right"),
    ] {
        compare(&chain, &args);
    }
    // Which of its interfaces is meant, only the user can say.
    let output = chain.command(0, OURS, &[link_local]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("say on which interface"), "{text}");
}

#[test]
fn filters_and_refusals_are_told_in_words() {
    if left_out("filters_and_refusals_are_told_in_words", TOOLS) {
        return;
    }
    for (rule, v6) in [
        ("reject with icmp type admin-prohibited", false),
        ("reject with icmp type host-prohibited", false),
        ("reject with icmp type net-unreachable", false),
        ("reject with icmpv6 type admin-prohibited", true),
        ("reject with icmpv6 type no-route", true),
    ] {
        let chain = Chain::new(1).unwrap();
        let family = if v6 { "ipv6" } else { "ipv4" };
        let rule = format!("meta nfproto {family} {rule}");
        chain.filter(1, "forward", &rule).unwrap();
        let host = if v6 {
            chain.server_v6()
        } else {
            chain.server_v4()
        };
        compare(&chain, &format!("-c 2 -i 0.2 {host}"));
    }
}

#[test]
fn sigquit_tells_how_it_stands_and_sigint_ends_with_the_summary() {
    if left_out(
        "sigquit_tells_how_it_stands_and_sigint_ends_with_the_summary",
        TOOLS,
    ) {
        return;
    }
    let chain = Chain::new(0).unwrap();
    for host in [chain.server_v4(), chain.server_v6()] {
        check_signals(&chain, &host);
    }
}

fn check_signals(chain: &Chain, host: &str) {
    let run = |program| {
        let child = chain
            .command(0, program, &["-i", "0.3", host])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let pid = Pid::from_child(&child);
        // Three probes, and the middle of the pause after each.
        std::thread::sleep(Duration::from_millis(450));
        kill_process(pid, Signal::QUIT).unwrap();
        std::thread::sleep(Duration::from_millis(300));
        kill_process(pid, Signal::INT).unwrap();
        child.wait_with_output().unwrap()
    };
    let (ours, theirs) = (run(OURS), run(THEIRS));
    assert_eq!(lines(&ours), lines(&theirs));
    assert_eq!(ours.status.code(), theirs.status.code());
    let status = |output: &Output| {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        text.split(" = ").next().unwrap_or_default().to_owned()
    };
    assert_eq!(status(&ours), status(&theirs));
    assert!(status(&ours).contains("2/2 packets, 0% loss"), "{ours:?}");
}

#[test]
fn capabilities_are_dropped_once_the_socket_is_open() {
    if left_out("capabilities_are_dropped_once_the_socket_is_open", TOOLS) {
        return;
    }
    let chain = Chain::new(0).unwrap();
    let host = chain.server_v4();
    for args in [
        &["-i", "0.2", &host][..],
        &["-c", "9", "-i", "0.2", &host, "::1"],
    ] {
        let mut child = chain
            .command(0, OURS, args)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let status = format!("/proc/{}/status", child.id());
        let dropped = || {
            let status = std::fs::read_to_string(&status).unwrap();
            let none = |set: &&str| status.contains(&format!("{set}:\t0000000000000000\n"));
            ["CapPrm", "CapEff", "CapInh"].iter().all(none)
        };
        let end = Instant::now() + Duration::from_secs(5);
        while !dropped() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
        let became_none = dropped();
        // It goes on: the first probes are answered.
        std::thread::sleep(Duration::from_millis(500));
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        assert!(child.wait().unwrap().success(), "it goes on without them");
        assert!(became_none, "{args:?}");
    }
}

#[test]
fn random_loss_is_counted_and_nothing_else() {
    if left_out("random_loss_is_counted_and_nothing_else", TOOLS) {
        return;
    }
    let chain = Chain::new(1).unwrap();
    chain
        .drop_packets(1, "forward", "numgen random mod 100 < 30")
        .unwrap();
    let host = chain.server_v4();
    let args = ["-q", "-c", "400", "-i", "0.002", "-W", "0.5", &host];
    let output = chain.command(0, OURS, &args).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("400 packets transmitted, "), "{text}");
    let loss: f64 = text
        .split("% packet loss")
        .next()
        .and_then(|before| before.rsplit(' ').next())
        .and_then(|percent| percent.parse().ok())
        .unwrap();
    // Requests and replies each pass the router: 1 - 0.7² = 51 %. Six standard deviations of 400
    // probes are 15 %.
    assert!((36.0..66.0).contains(&loss), "{text}");
    assert!(
        !text.contains("errors") && !text.contains("duplicates"),
        "{text}"
    );
}

#[test]
fn without_permission_one_line_says_which_command_grants_it() {
    if left_out(
        "without_permission_one_line_says_which_command_grants_it",
        TOOLS,
    ) {
        return;
    }
    let chain = Chain::new(0).unwrap();
    let host = chain.server_v4();
    // The binary may lie where only root can reach it; the capability is what matters.
    let unprivileged = |range: &str| {
        let script = format!("echo {range} > /proc/sys/net/ipv4/ping_group_range");
        chain.run(0, "sh", &["-c", &script]).unwrap();
        let args = [
            "--bounding-set=-net_raw",
            "--inh-caps=-net_raw",
            OURS,
            "-c",
            "1",
            &host,
        ];
        chain.command(0, "setpriv", &args).output().unwrap()
    };
    let closed = unprivileged("1 0");
    assert_eq!(closed.status.code(), Some(2), "{closed:?}");
    let text = String::from_utf8_lossy(&closed.stderr).into_owned();
    assert_eq!(text.lines().count(), 1, "{text}");
    for cure in ["net.ipv4.ping_group_range", "setcap cap_net_raw+ep"] {
        assert!(text.contains(cure), "{text}");
    }
    let open = unprivileged("'0 2147483647'");
    assert_eq!(open.status.code(), Some(0), "{open:?}");
}
