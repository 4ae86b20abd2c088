//! Routers that limit their errors, told apart from loss, in networks of namespaces. Takes root.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod diamond;
mod peer;

use std::process::Command;

use diamond::{Diamond, TARGET};
use peer::{OURS, left_out, written};
use serde_json::Value;
use testkit::netns::Chain;

/// Has a node limit its errors to one each so many milliseconds, as Linux does by default.
fn limit(chain: &Chain, node: usize, ms: u32) {
    let settings = format!(
        "cd /proc/sys/net && echo {ms} >ipv4/icmp_ratelimit && echo 6168 >ipv4/icmp_ratemask && \
         echo {ms} >ipv6/icmp/ratelimit"
    );
    chain.run(node, "sh", &["-c", &settings]).unwrap();
}

/// Has a node lose 30 % of what passes it towards the server.
fn lose(chain: &Chain, node: usize) {
    let rule = "oifname right numgen random mod 100 < 30";
    chain.drop_packets(node, "forward", rule).unwrap();
}

/// The lines of a run as JSON.
fn lines(mut command: Command) -> Vec<Value> {
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let schema = include_str!("../../../docs/traceroute.schema.json");
    let schema = serde_json::from_str(schema).unwrap();
    let schema = jsonschema::JSONSchema::compile(&schema).unwrap();
    let parsed = |line: &str| {
        let value: Value = serde_json::from_str(line).unwrap();
        assert!(schema.is_valid(&value), "{line}");
        value
    };
    text.lines().map(parsed).collect()
}

/// What is found, and at which hop.
fn findings(lines: &[Value]) -> Vec<(u64, &str)> {
    let found = lines.iter().filter(|line| line["type"] == "finding");
    found
        .map(|line| {
            (
                line["ttl"].as_u64().unwrap(),
                line["kind"].as_str().unwrap(),
            )
        })
        .collect()
}

/// What the second of four routers is made to do.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    /// It limits its errors to each host.
    Limits,
    /// It does, and the third loses 30 % of what passes it.
    LimitsBeforeLoss,
    /// It limits all its errors together; the kernel does that in a disorder of its own
    /// (`icmp_global_allow`).
    LimitsAll,
    /// It loses 30 % of what passes it.
    Loses,
    /// It keeps half of its errors to itself, by chance.
    AnswersHalf,
}

impl Fault {
    fn chain(self) -> Chain {
        let chain = Chain::new(4).unwrap();
        match self {
            Fault::Limits => limit(&chain, 2, 500),
            Fault::LimitsBeforeLoss => {
                limit(&chain, 2, 500);
                lose(&chain, 3);
            }
            Fault::LimitsAll => {
                let settings = "cd /proc/sys/net/ipv4 && echo 1 >icmp_ratelimit && \
                                echo 2 >icmp_msgs_per_sec && echo 4 >icmp_msgs_burst";
                chain.run(2, "sh", &["-c", settings]).unwrap();
                chain
                    .run(
                        2,
                        "sh",
                        &["-c", "echo 1 >/proc/sys/net/ipv6/icmp/ratelimit"],
                    )
                    .unwrap();
            }
            Fault::Loses => lose(&chain, 2),
            Fault::AnswersHalf => {
                let half = "icmp type time-exceeded numgen random mod 2 < 1 drop\n\
                            icmpv6 type time-exceeded numgen random mod 2 < 1";
                chain.drop_packets(2, "output", half).unwrap();
            }
        }
        chain
    }
}

/// No more than once in a thousand runs may a finding come by chance; in these few none does.
#[test]
fn a_limited_router_and_loss_are_told_apart_again_and_again() {
    const RUNS: usize = 4;
    if left_out("a_limited_router_and_loss_are_told_apart_again_and_again") {
        return;
    }
    let faults = [
        Fault::Limits,
        Fault::LimitsBeforeLoss,
        Fault::LimitsAll,
        Fault::Loses,
        Fault::AnswersHalf,
    ];
    let repeat = |fault: Fault| {
        let chain = fault.chain();
        for run in 0..RUNS {
            let host = [chain.server_v4(), chain.server_v6()][run % 2].clone();
            let args = ["--json", "-n", "--report", "-c", "50", "--interval", "0.1"];
            let args = [&args, &[host.as_str()][..]].concat();
            let told = lines(chain.command(0, OURS, &args));
            let found = findings(&told);
            match fault {
                Fault::Limits | Fault::LimitsBeforeLoss => {
                    assert_eq!(found, [(2, "rate_limit")], "{fault:?}: {told:?}");
                    let finding = told.iter().find(|it| it["type"] == "finding").unwrap();
                    let interval = finding["figures"]["interval_ms"].as_f64().unwrap();
                    // The kernel counts in ticks, and an answer waits for the next probe.
                    assert!((450.0..600.0).contains(&interval), "{finding}");
                }
                Fault::LimitsAll => {
                    assert_eq!(found.len(), 1, "{told:?}");
                    assert_eq!(found[0].0, 2, "{told:?}");
                }
                Fault::Loses => assert_eq!(found, [], "{told:?}"),
                Fault::AnswersHalf => assert_eq!(found, [(2, "own_silence")], "{told:?}"),
            }
        }
    };
    std::thread::scope(|scope| {
        for fault in faults {
            scope.spawn(move || repeat(fault));
        }
    });
}

#[test]
fn a_limited_router_is_marked_in_the_table_and_behind_a_trace() {
    if left_out("a_limited_router_is_marked_in_the_table_and_behind_a_trace") {
        return;
    }
    let chain = Fault::Limits.chain();
    let host = chain.server_v4();
    let args = ["-n", "--report", "-c", "50", "--interval", "0.1", &host];
    let table = written(chain.command(0, OURS, &args));
    assert!(table.contains("2  10.0.1.2 [rate limit]"), "{table}");
    let expected = "hop 2: limits its answers: 1";
    assert!(table.contains(expected), "{table}");
    // A bucket of the kernel holds six tokens: of ten probes at once, six are answered.
    let chain = Chain::new(10).unwrap();
    limit(&chain, 2, 10_000);
    let host = chain.server_v4();
    let told = written(chain.command(0, OURS, &["-n", "--diagnose", "-q", "10", &host]));
    let expected = "hop 2: limits its answers: 6 of 10 answered, 6 at once; no loss on the way";
    assert!(told.contains(expected), "{told}");
}

/// The explanation that survives at a hop, and all that is told.
fn survivor(command: Command, ttl: u64) -> (Value, Vec<Value>) {
    let told = lines(command);
    let of = |line: &&Value| line["type"] == "confirmation" && line["ttl"] == ttl;
    let confirmation = told.iter().find(of).unwrap_or_else(|| panic!("{told:?}"));
    (confirmation["survivor"].clone(), told)
}

#[test]
fn experiments_name_the_explanation_that_survives() {
    if left_out("experiments_name_the_explanation_that_survives") {
        return;
    }
    let cases = [
        (Fault::Limits, 2, "rate_limit"),
        (Fault::LimitsBeforeLoss, 2, "rate_limit"),
        (Fault::AnswersHalf, 2, "own_silence"),
        (Fault::Loses, 3, "loss"),
    ];
    let confirm = |fault: Fault, chain: &Chain, host: &str, ttl: u64, expected: &str| {
        let file = tempfile::NamedTempFile::new().unwrap();
        let saved = file.path().to_str().unwrap();
        let args = [
            "--json",
            "-n",
            "--confirm",
            "-q",
            "10",
            "--save",
            saved,
            host,
        ];
        let (survivor, told) = survivor(chain.command(0, OURS, &args), ttl);
        let saved = std::fs::read_to_string(saved).unwrap();
        let saved = saved
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        assert_eq!(
            saved.collect::<Vec<Value>>(),
            told,
            "the file is what was told"
        );
        // Of paths that lose 30 % some are left undecided: `hypotheses` says how many.
        let undecided = fault == Fault::Loses && survivor.is_null();
        assert!(undecided || survivor == expected, "{fault:?}: {told:?}");
    };
    std::thread::scope(|scope| {
        for (fault, ttl, expected) in cases {
            scope.spawn(move || {
                let chain = fault.chain();
                let (v4, v6) = (chain.server_v4(), chain.server_v6());
                std::thread::scope(|scope| {
                    scope.spawn(|| confirm(fault, &chain, &v4, ttl, expected));
                    scope.spawn(|| confirm(fault, &chain, &v6, ttl, expected));
                });
            });
        }
    });
}

/// One of two branches loses half of its packets, and the trace's flow takes that one.
#[test]
fn loss_on_one_of_two_branches_is_that_of_the_flow() {
    if left_out("loss_on_one_of_two_branches_is_that_of_the_flow") {
        return;
    }
    let diamond = Diamond::new(2);
    // By which branch a flow goes is the kernel's secret: another destination port is another flow.
    let branch = |port: &str, flow: u16| {
        let flow = (33_434 + flow).to_string();
        let args = ["-n", "-q", "1", "--sport", port, "-p", &flow, TARGET];
        let told = written(diamond.command(&args));
        if told.contains("10.1.1.2") {
            "m1"
        } else {
            "m2"
        }
    };
    let differs = |port: &&str| (1..=4).any(|flow| branch(port, flow) != branch(port, 0));
    let ports = [
        "5551", "5552", "5553", "5554", "5555", "5556", "5557", "5558",
    ];
    let port = ports.iter().copied().find(|port| differs(port)).unwrap();
    let lossy = diamond.name(branch(port, 0));
    let rules = "table ip lossy {\nchain forward {\ntype filter hook forward priority 0\n\
                 ip daddr 10.3.0.0/24 numgen random mod 2 < 1 drop\n}\n}\n";
    diamond::ip(&["netns", "exec", &lossy, "nft", rules]);
    let args = [
        "--json",
        "-n",
        "--confirm",
        "-q",
        "10",
        "--sport",
        port,
        TARGET,
    ];
    let (survivor, told) = survivor(diamond.command(&args), 3);
    assert_eq!(survivor, "loss_of_flow", "{told:?}");
}

#[test]
fn without_doubt_there_is_nothing_to_confirm() {
    if left_out("without_doubt_there_is_nothing_to_confirm") {
        return;
    }
    let chain = Chain::new(2).unwrap();
    // A router that never answers is no riddle.
    chain
        .drop_packets(1, "output", "icmp type time-exceeded")
        .unwrap();
    let host = chain.server_v4();
    let told = written(chain.command(0, OURS, &["-n", "--confirm", &host]));
    assert!(told.contains("nothing to confirm"), "{told}");
    let raw = ["--confirm", "-P", "253", &host];
    let refused = chain.command(0, OURS, &raw).output().unwrap();
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
}
