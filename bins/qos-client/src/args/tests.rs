use std::time::Duration;

use clap::CommandFactory as _;

use super::*;
use crate::clients::Asking;
use crate::http::series::Series;
use crate::udp::{Pattern, flood};
use crate::{clients, compare, http, load, page, udp};

fn parse(line: &str) -> Result<Config, Refusal> {
    read(line.split_whitespace().map(Into::into))
}

#[test]
fn the_definition_of_the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn no_argument_is_the_menu_with_the_lab_as_its_target() {
    let config = parse("qos-client").unwrap();
    assert_eq!(config.action, Action::Menu);
    assert_eq!(config.target, Target::default());
    assert_eq!(config.output, Output::default());
}

#[test]
fn what_a_menu_action_prints_as_its_command_is_read_back_as_that_action() {
    let target = Target {
        host: "::1".to_owned(),
        tcp_port: 8000,
        udp_port: 9000,
    };
    let udp = udp::Plan::default()
        .with_packets(7)
        .and_then(|plan| plan.with_interval(Duration::from_millis(1500)))
        .and_then(|plan| plan.with_warmup(3))
        .and_then(|plan| plan.with_dscp(46))
        .and_then(udp::Plan::with_stamps)
        .unwrap()
        .with_pattern(Pattern::Burst(7))
        .with_seed(5);
    let mut busy = clients::Plan::default();
    busy.http = Asking::Often(Series::new(http::Plan::default(), 30, Some(4.5), Some(1)).unwrap());
    for action in [
        Action::Menu,
        Action::Http(http::Plan::default().with_path("/a/b?c=d").unwrap()),
        Action::Udp(udp),
        Action::Flood(flood::Plan::default()),
        Action::Flood(
            flood::Plan::default()
                .with_duration(Duration::from_millis(1500))
                .and_then(|plan| plan.with_bitrate(2_500_000))
                .and_then(|plan| plan.with_dscp(8))
                .unwrap(),
        ),
        Action::Series(Series::new(http::Plan::default(), 50, Some(2.5), Some(8)).unwrap()),
        Action::Clients(clients::Plan::default().with_count(12).unwrap()),
        Action::Clients(busy),
        Action::Report(page::Order::default()),
        Action::Compare(compare::Plan::default()),
        Action::Compare({
            let mut plan = compare::Plan::default().with_rounds(7).unwrap();
            (plan.direct_port, plan.direct_udp_port) = (1, 2);
            plan
        }),
        Action::Load(
            load::Plan::default()
                .with_duration(Duration::from_secs(2))
                .unwrap(),
        ),
        Action::Load(
            load::Plan::default()
                .with_datagrams(12_000_000)
                .and_then(|plan| plan.with_interval(Duration::from_millis(5)))
                .unwrap(),
        ),
        Action::Load(
            load::Plan::default()
                .with_connections(9)
                .and_then(|plan| plan.with_paths(Some("/a".into()), Some("/b".into())))
                .unwrap(),
        ),
        Action::Report(page::Order {
            events: "a.ndjson".into(),
            output: "b.html".into(),
        }),
    ] {
        let config = parse(&action.command(&target)).unwrap();
        assert_eq!(config.action, action);
        assert_eq!(config.target, target);
    }
}

#[test]
fn wrong_usage_says_what_would_be_right() {
    for (line, message) in [
        (
            "qos-client udp --packets 0",
            "a test has 1 to 1000000 packets, not 0",
        ),
        (
            "qos-client udp --packets -1",
            "invalid value '-1' for '--packets <PACKETS>': it is a whole number",
        ),
        (
            "qos-client udp --payload 27",
            "a payload has 28 to 65507 bytes",
        ),
        (
            "qos-client udp --interval soon",
            "write it like 100ms or 2s",
        ),
        (
            "qos-client --port 0 http",
            "a port is a number from 1 to 65535",
        ),
        (
            "qos-client --udp-port 70000 udp",
            "a port is a number from 1 to 65535",
        ),
        ("qos-client http page.html", "a path begins with /"),
        (
            "qos-client clients --count 1001",
            "1 to 1000 clients can be run, not 1001",
        ),
        (
            "qos-client udp --assert speed<1",
            "there is no figure \"speed\"",
        ),
        (
            "qos-client --json",
            "the menu has neither --json nor --assert",
        ),
        (
            "qos-client report --csv a.csv",
            "--csv is for commands that measure",
        ),
        (
            "qos-client report --json",
            "--json is for commands that measure, and analyze",
        ),
        (
            "qos-client analyze a.pcapng --loss-deadline 18446744073709551615s",
            "the loss deadline is 1ms to 1m, not",
        ),
        (
            "qos-client http --requests 3 --rate 1e-25",
            "a rate is 0.001 to 100000 requests a second, not",
        ),
        ("qos-client http --timeout 0", "--timeout is 1ms to 10m"),
        (
            "qos-client compare --requests 0",
            "1 to 10000 rounds of requests can be made, not 0",
        ),
        (
            "qos-client udp --profile nowhere.toml",
            "cannot use the profile \"nowhere.toml\": No such file or directory",
        ),
        (
            "qos-client verify --profile tiphon",
            "--assert or --profile is for udp",
        ),
        ("qos-client load --duration 0", "a stage is 1s to 1m long"),
        (
            "qos-client load --datagrams 9",
            "datagrams load the path with 10000 to",
        ),
        (
            "qos-client load --datagrams 1mbit --connections 2",
            "cannot be used with",
        ),
        ("qos-client load --upload x", "a path begins with /"),
        (
            "qos-client analyze",
            "the following required arguments were not provided: <FILE>",
        ),
        (
            "qos-client http --rate 5",
            "the following required arguments were not provided: --requests <REQUESTS>",
        ),
        (
            "qos-client udp --interval -1s",
            "invalid value '-1s' for '--interval <TIME>': write it like",
        ),
        (
            "qos-client udp --seed -1",
            "invalid value '-1' for '--seed <SEED>': it is a whole number",
        ),
    ] {
        assert_refused(line, message);
    }
}

#[test]
fn wrong_usage_of_a_flood_says_what_would_be_right() {
    for (line, message) in [
        (
            "qos-client udp --flood --interval 5ms",
            "the argument '--flood' cannot be used with '--interval <TIME>'",
        ),
        (
            "qos-client udp --flood --bitrate fast",
            "write it like 12mbit, 500kbit or 1000000",
        ),
        (
            "qos-client udp --flood --duration 2m",
            "a flood lasts 100ms to 1m, not 2m",
        ),
        (
            "qos-client udp --flood --capture a.pcapng",
            "--capture is for udp without --flood, and verify",
        ),
    ] {
        assert_refused(line, message);
    }
}

/// Refused in one line that has the message.
fn assert_refused(line: &str, message: &str) {
    match parse(line) {
        Err(Refusal::Mistake(said) | Refusal::MistakeIn { what: said, .. }) => {
            assert!(said.contains(message), "{line}: {said}");
            assert_eq!(said.lines().count(), 1, "{said}");
        }
        other => panic!("{line}: {other:?}"),
    }
}
