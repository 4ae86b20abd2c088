//! The command line, and how it becomes a [`Config`]. Nothing else imports clap.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::assertion::Assertion;
use crate::config::{Action, Analyze, Config, CsvFile, Output};
use crate::http::series::Series;
use crate::page;
use crate::target::Target;
use crate::udp::Pattern;
use crate::{clients, http, udp};

const ABOUT: &str = "\
Measures what a network path does to HTTP and UDP: packet loss, round-trip time, jitter and
throughput by UDP probes to an echo; status, cache hit or miss and timing by HTTP.

Without a command it is a menu (the keys that students know, 0 to 5, and more), on a terminal and from a pipe alike.
The default target is Wirelab's proxyd on this machine: TCP 8080 and UDP 9090.";

const EXAMPLES: &str = "\
Examples:
  qos-client                                     the menu
  printf '3\\n20\\n128\\n0\\n' | qos-client          the menu from a pipe: one UDP test, then quit
  qos-client http /                              one request; do it twice: a MISS, then a HIT
  qos-client http / --requests 500 --rate 100    500 requests at 100 a second
  qos-client udp --packets 200 --interval 20ms   200 probes, enough for p99
  qos-client --port 8000 --udp-port 9000 udp     past the proxy, straight to webserverd
  qos-client udp --capture run.pcapng            the same, and its packets for Wireshark
  qos-client verify                              a test held against its capture and tshark
  qos-client clients --count 50                  fifty clients at once
  qos-client udp --json --csv off                JSON events, no file
  qos-client udp --json > qos_events.ndjson      the test recorded; then:
  qos-client report                              its figures and plots in report.html
  qos-client udp --assert 'loss_pct<1,rtt_p95_ms<20'   exit status 1 when it does not hold

Files:
  A UDP test appends one row to qos_result.csv in the current folder. `http` and `clients` write
  rows only with --csv FILE. The columns are explained in docs/qos_result_csv.md.

Exit status:
  0  done, and everything asserted holds
  1  something asserted does not hold
  2  wrong usage
  3  the target is unreachable or does not answer
  4  the result could not be written or saved";

#[derive(Debug, Parser)]
#[command(
    name = "qos-client",
    version,
    about = "Measure loss, delay, jitter, throughput and caching along a path",
    long_about = ABOUT,
    after_help = EXAMPLES,
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Target and results")]
struct Global {
    /// The target: a name, an IPv4 or an IPv6 address
    #[arg(long, global = true, default_value = "127.0.0.1", value_parser = host)]
    host: String,
    /// The target's TCP port, for HTTP
    #[arg(long, global = true, default_value_t = 8080, value_parser = port, allow_negative_numbers = true)]
    port: u16,
    /// The target's UDP port, for the probes
    #[arg(long, global = true, default_value_t = 9090, value_parser = port, allow_negative_numbers = true)]
    udp_port: u16,
    /// Print JSON events, one a line, instead of tables
    #[arg(long, global = true)]
    json: bool,
    /// Append a row to this file, or `off` for none [default: qos_result.csv for `udp`, else off]
    #[arg(long, global = true, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write the packets of a UDP test to this file, for Wireshark (pcapng)
    #[arg(long, global = true, value_name = "FILE")]
    capture: Option<PathBuf>,
    /// What must hold for exit status 0, such as 'loss_pct<1,rtt_p95_ms<20': figures are named as
    /// in the CSV file, compared by < <= > >= or =; a blank figure does not hold
    #[arg(
        long,
        global = true,
        value_delimiter = ',',
        value_name = "FIGURE<LIMIT"
    )]
    assert: Vec<Assertion>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The menu; the same as no command
    Menu,
    /// One GET: status, hit or miss, timing, the first 500 characters
    Http(HttpArgs),
    /// Numbered UDP probes to an echo: loss, round-trip time, jitter, throughput
    Udp(UdpArgs),
    /// Several clients at once, each with a request and a UDP test
    Clients(ClientsArgs),
    /// The figures of a capture (pcapng or pcap): UDP, probes, RTP and TCP
    Analyze(AnalyzeArgs),
    /// A UDP test held against its own capture, read by this program and by tshark
    Verify(UdpArgs),
    /// One HTML file with figures and plots of a test that --json recorded
    Report(ReportArgs),
}

#[derive(Debug, Args)]
struct HttpArgs {
    /// What to ask for
    #[arg(default_value = "/")]
    path: String,
    /// The longest that the whole request may take
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = duration, allow_negative_numbers = true)]
    timeout: Duration,
    /// Make so many requests, each on a connection of its own, and show how long they took
    #[arg(long, value_parser = number, allow_negative_numbers = true)]
    requests: Option<u64>,
    /// So many a second, whatever comes back; latency counts from when each was due. Without it,
    /// each client makes its next request when the last has ended
    #[arg(
        long,
        requires = "requests",
        value_name = "PER SECOND",
        allow_negative_numbers = true
    )]
    rate: Option<f64>,
    /// How many may be under way at once [default: 1; 256 with --rate]
    #[arg(long, requires = "requests", value_name = "CLIENTS", value_parser = number, allow_negative_numbers = true)]
    concurrency: Option<u64>,
}

#[derive(Debug, Args)]
struct UdpArgs {
    /// How many probes
    #[arg(long, default_value_t = 20, value_parser = number, allow_negative_numbers = true)]
    packets: u64,
    /// Bytes of UDP payload in each, 28 to 65507
    #[arg(long, default_value_t = 128, value_parser = number, allow_negative_numbers = true)]
    payload: u64,
    /// From one probe to the next, such as 100ms or 2s; a bare number is milliseconds
    #[arg(long, default_value = "100ms", value_name = "TIME", value_parser = duration, allow_negative_numbers = true)]
    interval: Duration,
    /// Probes sent before those that are counted
    #[arg(long, default_value_t = 0, value_name = "PACKETS", value_parser = number, allow_negative_numbers = true)]
    warmup: u64,
    /// When they are sent and how large they are: cbr, burst or burst:N (N at once, then silence), poisson
    /// (random gaps) or vbr (random sizes up to --payload); on average always one an interval
    #[arg(long, default_value = "cbr")]
    pattern: Pattern,
    /// What the chance of poisson and vbr starts from: the same seed, the same run
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The DSCP of each probe, 0 to 63 (46 is EF), or af41, cs5, ef, ...
    #[arg(long, default_value = "0", value_parser = dscp, allow_negative_numbers = true)]
    dscp: u64,
    /// Ask proxyd and webserverd to stamp the probes, and show where the time is spent
    #[arg(long)]
    hops: bool,
    /// Put an RTP header before each probe, so that Wireshark computes loss and jitter too
    #[arg(long, conflicts_with = "hops")]
    rtp: bool,
    /// How long after sending an unanswered probe is lost
    #[arg(long, default_value = "2s", value_name = "TIME", value_parser = duration, allow_negative_numbers = true)]
    loss_deadline: Duration,
}

#[derive(Debug, Args)]
struct ClientsArgs {
    /// How many clients, 1 to 1000
    #[arg(long, default_value_t = 5, value_parser = number, allow_negative_numbers = true)]
    count: u64,
    /// What each asks for by HTTP
    #[arg(long, default_value = "/")]
    path: String,
    /// The longest that a whole request may take
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = duration, allow_negative_numbers = true)]
    timeout: Duration,
    #[command(flatten)]
    udp: UdpArgs,
}

#[derive(Debug, Args)]
struct AnalyzeArgs {
    /// The file
    file: PathBuf,
    /// How long after sending an unanswered probe is lost
    #[arg(long, default_value = "2s", value_name = "TIME", value_parser = duration, allow_negative_numbers = true)]
    loss_deadline: Duration,
}

#[derive(Debug, Args)]
struct ReportArgs {
    /// The events of one test, as `qos-client udp --json` prints them
    #[arg(default_value = page::DEFAULT_EVENTS)]
    file: PathBuf,
    /// The page to write; an older report is replaced, any other file is left alone
    #[arg(long, default_value = page::DEFAULT_OUTPUT, value_name = "FILE")]
    output: PathBuf,
}

/// Why a command line gives no [`Config`].
#[derive(Debug)]
pub enum Refused {
    /// Help or the version was asked for; this is it.
    Help(String),
    /// What is wrong, in one line.
    Usage(String),
}

/// Reads the command line.
pub fn read(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> Result<Config, Refused> {
    let cli = Cli::try_parse_from(arguments).map_err(|error| {
        let text = error.render().to_string();
        if error.use_stderr() {
            // clap explains in a paragraph; its first line has the reason.
            let first = text.lines().next().unwrap_or_default();
            usage(first.strip_prefix("error: ").unwrap_or(first))
        } else {
            Refused::Help(text)
        }
    })?;
    let global = cli.global;
    let action = match cli.command {
        None | Some(Command::Menu) => Action::Menu,
        Some(Command::Http(args)) => {
            let request = http_plan(&args.path, args.timeout)?;
            match args.requests {
                None => Action::Http(request),
                Some(requests) => Action::Series(
                    Series::new(request, requests, args.rate, args.concurrency).map_err(usage)?,
                ),
            }
        }
        Some(Command::Udp(args)) => Action::Udp(udp_plan(&args)?),
        Some(Command::Clients(args)) => {
            let mut plan = clients::Plan::default();
            plan.http = http_plan(&args.path, args.timeout)?;
            plan.udp = udp_plan(&args.udp)?;
            Action::Clients(plan.with_count(args.count).map_err(usage)?)
        }
        Some(Command::Analyze(args)) => Action::Analyze(Analyze {
            path: args.file,
            loss_deadline: args.loss_deadline,
        }),
        Some(Command::Verify(mut args)) => {
            // Without it tshark has no jitter to compare.
            args.rtp = !args.hops;
            Action::Verify(udp_plan(&args)?)
        }
        Some(Command::Report(args)) => Action::Report(page::Order {
            events: args.file,
            output: args.output,
        }),
    };
    let needs = |flag: &str, commands: &str| usage(format!("{flag} is for {commands}"));
    if global.capture.is_some() && !matches!(action, Action::Udp(_) | Action::Verify(_)) {
        return Err(needs("--capture", "udp and verify"));
    }
    let report = matches!(action, Action::Report(_));
    if report && global.csv.is_some() {
        return Err(needs("--csv", "commands that measure"));
    }
    if (report || matches!(action, Action::Verify(_))) && global.json {
        return Err(needs("--json", "udp, http, clients and analyze"));
    }
    if matches!(
        action,
        Action::Verify(_) | Action::Analyze(_) | Action::Report(_)
    ) && !global.assert.is_empty()
    {
        return Err(needs("--assert", "udp, http and clients"));
    }
    if action == Action::Menu && (global.json || !global.assert.is_empty()) {
        return Err(usage(
            "the menu has neither --json nor --assert; give a command: http, udp or clients",
        ));
    }
    Ok(Config {
        target: Target {
            host: global.host,
            tcp_port: global.port,
            udp_port: global.udp_port,
        },
        action,
        output: Output {
            json: global.json,
            csv: match global.csv {
                None => CsvFile::Default,
                Some(path) if path.as_os_str() == "off" => CsvFile::Off,
                Some(path) => CsvFile::At(path),
            },
            capture: global.capture,
            assertions: global.assert,
        },
    })
}

fn http_plan(path: &str, timeout: Duration) -> Result<http::Plan, Refused> {
    if !http::TIMEOUTS.contains(&timeout) {
        return Err(usage("--timeout is 1ms to 10m"));
    }
    http::Plan {
        timeout,
        ..http::Plan::default()
    }
    .with_path(path)
    .map_err(usage)
}

fn udp_plan(args: &UdpArgs) -> Result<udp::Plan, Refused> {
    udp::Plan::default()
        .with_packets(args.packets)
        .and_then(|plan| plan.with_payload(args.payload))
        .and_then(|plan| plan.with_interval(args.interval))
        .and_then(|plan| plan.with_loss_deadline(args.loss_deadline))
        .and_then(|plan| plan.with_warmup(args.warmup))
        .and_then(|plan| plan.with_dscp(args.dscp))
        .and_then(|plan| {
            if args.hops {
                plan.with_stamps()
            } else {
                Ok(plan)
            }
        })
        .and_then(|plan| if args.rtp { plan.with_rtp() } else { Ok(plan) })
        .map(|plan| plan.with_pattern(args.pattern).with_seed(args.seed))
        .map_err(usage)
}

fn usage(message: impl std::fmt::Display) -> Refused {
    Refused::Usage(format!("{message}; see qos-client --help"))
}

fn number(text: &str) -> Result<u64, String> {
    text.parse()
        .map_err(|_| "it is a whole number from 0 up".to_owned())
}

/// A number, or the name of a per-hop behaviour: csN (RFC 2474), afXY (RFC 2597), ef (RFC 3246).
fn dscp(text: &str) -> Result<u64, String> {
    let wrong = || "it is 0 to 63, or a name: ef, cs0 to cs7, af11 to af43".to_owned();
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    let name = text.to_ascii_lowercase();
    let digits: Option<Vec<u64>> = name
        .get(2..)
        .map(|rest| {
            rest.chars()
                .map(|c| c.to_digit(10).map(u64::from))
                .collect()
        })
        .ok_or_else(wrong)?;
    match (name.get(..2), digits.as_deref()) {
        (Some("ef"), Some([])) => Ok(46),
        (Some("cs"), Some([class @ 0..=7])) => Ok(8 * class),
        (Some("af"), Some([class @ 1..=4, drop @ 1..=3])) => Ok(8 * class + 2 * drop),
        _ => Err(wrong()),
    }
}

fn port(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(port @ 1..) => Ok(port),
        _ => Err("a port is a number from 1 to 65535".to_owned()),
    }
}

fn host(text: &str) -> Result<String, String> {
    let host = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    if host.is_empty() || host.contains(char::is_whitespace) {
        return Err("give a name or an address".to_owned());
    }
    Ok(host.to_owned())
}

fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(milliseconds) = text.parse::<f64>()
        && let Ok(duration) = Duration::try_from_secs_f64(milliseconds / 1e3)
    {
        return Ok(duration);
    }
    humantime::parse_duration(text)
        .map_err(|_| "write it like 100ms or 2s; a bare number is milliseconds".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn parse(line: &str) -> Result<Config, Refused> {
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
        for action in [
            Action::Menu,
            Action::Http(http::Plan::default().with_path("/a/b?c=d").unwrap()),
            Action::Udp(udp),
            Action::Series(Series::new(http::Plan::default(), 50, Some(2.5), Some(8)).unwrap()),
            Action::Clients(clients::Plan::default().with_count(12).unwrap()),
            Action::Report(page::Order::default()),
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
    fn a_dscp_has_a_number_or_the_name_of_its_behaviour() {
        // RFC 2474 §4.2.2.2, RFC 2597 §6, RFC 3246 §2.7.
        for (text, expected) in [
            ("0", Some(0)),
            ("46", Some(46)),
            ("ef", Some(46)),
            ("EF", Some(46)),
            ("cs5", Some(40)),
            ("af11", Some(10)),
            ("af41", Some(34)),
            ("af43", Some(38)),
            ("af44", None),
            ("cs8", None),
            ("é", None),
            ("", None),
        ] {
            assert_eq!(dscp(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn a_duration_has_a_unit_or_is_in_milliseconds() {
        for (text, expected) in [
            ("100ms", Some(Duration::from_millis(100))),
            ("1s500ms", Some(Duration::from_millis(1500))),
            ("20", Some(Duration::from_millis(20))),
            ("0.5", Some(Duration::from_micros(500))),
            ("-1", None),
            ("inf", None),
            ("1e400", None),
            ("", None),
        ] {
            assert_eq!(duration(text).ok(), expected, "{text:?}");
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
                "--json is for udp, http, clients and analyze",
            ),
            ("qos-client http --timeout 0", "--timeout is 1ms to 10m"),
        ] {
            match parse(line) {
                Err(Refused::Usage(said)) => {
                    assert!(said.contains(message), "{line}: {said}");
                    assert_eq!(said.lines().count(), 1, "{said}");
                }
                other => panic!("{line}: {other:?}"),
            }
        }
    }
}
