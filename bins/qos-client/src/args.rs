//! The command line, and how it becomes a [`Config`]. Nothing else imports clap.

mod values;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::assertion::Assertion;
use crate::clients::Asking;
use crate::config::{Action, Analyze, Config, CsvFile, Output};
use crate::grade::Profile;
use crate::http::series::Series;
use crate::page;
use crate::target::Target;
use crate::udp::{Pattern, flood};
use crate::{clients, compare, http, load, udp};
use values::{bit_rate, dscp, duration, host, number, port};

const ABOUT: &str = "\
Measures what a network path does to HTTP and UDP: packet loss, round-trip time, jitter and
throughput by UDP probes to an echo; status, cache hit or miss and timing by HTTP.

Without a command it is a menu, on a terminal and from a pipe alike.
The default target is Wirelab's proxyd on this machine: TCP 8080 and UDP 9090.";

const EXAMPLES: &str = "\
Examples:
  qos-client                                     the menu
  printf '3\\n20\\n128\\n0\\n' | qos-client          the menu from a pipe: one UDP test, then quit
  qos-client http /                              one request; do it twice: a MISS, then a HIT
  qos-client http / --requests 500 --rate 100    500 requests at 100 a second
  qos-client udp --packets 200 --interval 20ms   200 probes, enough for p99
  qos-client --port 8000 --udp-port 9000 udp     past the proxy, straight to webserverd
  qos-client udp --flood --duration 5s           throughput: as much as goes
  qos-client udp --capture run.pcapng            the same, and its packets for Wireshark
  qos-client verify                              a test held against its capture and tshark
  qos-client clients --count 50                  fifty clients at once
  qos-client load                                latency while the path is busy (webserverd --responsiveness)
  qos-client compare                             what the proxy adds, and what its cache saves
  qos-client clients --requests 100 --rate 10    five, each with 10 requests a second for 10 s
  qos-client udp --json --csv off                JSON events, no file
  qos-client udp --json > qos_events.ndjson      the test recorded; then:
  qos-client report                              its figures and plots in report.html
  qos-client udp --profile cisco-voip            each figure in its class, and a verdict
  qos-client udp --assert 'loss_pct<1,rtt_p95_ms<20'   exit status 1 when it does not hold

Files:
  A UDP test appends one row to qos_result.csv in the current folder. The other
  commands write rows only with --csv FILE. The columns are explained in docs/qos_result_csv.md.

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
    /// A line a second instead of the live view that a UDP test has on a terminal
    #[arg(long, global = true)]
    no_live: bool,
    /// Append a row to this file, or `off` for none [default: qos_result.csv for `udp`, else off]
    #[arg(long, global = true, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write the packets of a UDP test to this file, for Wireshark (pcapng)
    #[arg(long, global = true, value_name = "FILE")]
    capture: Option<PathBuf>,
    /// What must hold for exit status 0, such as 'loss_pct<1,rtt_p95_ms<20': figures are named as
    /// in the CSV file, compared by < <= > >= or =; a blank figure does not hold
    #[arg(long, global = true, value_delimiter = ',', value_name = "BOUNDS")]
    assert: Vec<Assertion>,
    /// Grade the figures, and fail (exit status 1) on one that is in no class that passes:
    /// g1010-voice, cisco-voip, tiphon, or a TOML file
    #[arg(long, global = true, value_name = "NAME|FILE", value_parser = Profile::named)]
    profile: Option<Profile>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The menu; the same as no command
    Menu,
    /// One GET: status, hit or miss, timing, the first 500 characters
    Http(HttpArgs),
    /// Numbered UDP probes to an echo: loss, round-trip time, jitter, throughput
    Udp(UdpCommand),
    /// Several clients at once, each with a request and a UDP test
    Clients(ClientsArgs),
    /// Round-trip time while the path is idle, then under download, upload and both
    Load(LoadArgs),
    /// The server directly against the same by way of the proxy: what the proxy adds, hit and miss
    Compare(CompareArgs),
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
struct UdpCommand {
    #[command(flatten)]
    probes: UdpArgs,
    /// Throughput instead: as many datagrams as this machine sends, many a system call. It has rates,
    /// losses and order, and no times of single packets
    #[arg(long, help_heading = "Flood", conflicts_with_all = ["packets", "interval", "warmup", "pattern", "seed", "hops", "rtp", "loss_deadline"])]
    flood: bool,
    /// How long a flood lasts, 100ms to 1m
    #[arg(long, help_heading = "Flood", requires = "flood", default_value = "5s", value_name = "TIME", value_parser = duration, allow_negative_numbers = true)]
    duration: Duration,
    /// So many bits of payload a second instead of all that go, such as 200mbit or 1.5gbit
    #[arg(long, help_heading = "Flood", requires = "flood", value_name = "BITS", value_parser = bit_rate, allow_negative_numbers = true)]
    bitrate: Option<u64>,
}

#[derive(Debug, Args)]
struct UdpArgs {
    /// How many probes
    #[arg(long, default_value_t = 20, value_parser = number, allow_negative_numbers = true)]
    packets: u64,
    /// Bytes of UDP payload in each, 28 to 65507 [default: 128; 1400 with --flood]
    #[arg(long, value_parser = number, allow_negative_numbers = true)]
    payload: Option<u64>,
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
    /// How many requests each makes, one at a time, beside its UDP test
    #[arg(long, default_value_t = 1, value_parser = number, allow_negative_numbers = true)]
    requests: u64,
    /// So many a second by each, whatever comes back; latency counts from when each was due. Without
    /// it, each makes its next request when its last has ended
    #[arg(
        long,
        requires = "requests",
        value_name = "PER SECOND",
        allow_negative_numbers = true
    )]
    rate: Option<f64>,
    /// The longest that a whole request may take
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = duration, allow_negative_numbers = true)]
    timeout: Duration,
    #[command(flatten)]
    udp: UdpArgs,
}

#[derive(Debug, Args)]
struct LoadArgs {
    /// How long each stage is measured, after a second in which the load grows
    #[arg(long, default_value = "5s", value_name = "TIME", value_parser = duration, allow_negative_numbers = true)]
    duration: Duration,
    /// How many connections load the path each way [default: 4]
    #[arg(long, value_parser = number, allow_negative_numbers = true)]
    connections: Option<u64>,
    /// From one UDP probe to the next
    #[arg(long, default_value = "20ms", value_name = "TIME", value_parser = duration, allow_negative_numbers = true)]
    interval: Duration,
    /// Download this [default: what the server offers at /.well-known/nq]
    #[arg(long, value_name = "PATH")]
    download: Option<String>,
    /// Upload to this, by POST [default: what the server offers at /.well-known/nq]
    #[arg(long, value_name = "PATH")]
    upload: Option<String>,
    /// Load with datagrams to the echo in the place of HTTP: so many bits of payload a second, such
    /// as 12mbit; a relay may have a narrower link for them than for HTTP
    #[arg(long, value_name = "RATE", value_parser = bit_rate, allow_negative_numbers = true, conflicts_with_all = ["connections", "download", "upload"])]
    datagrams: Option<u64>,
}

#[derive(Debug, Args)]
struct CompareArgs {
    /// How many pairs of probes
    #[arg(long, default_value_t = 200, value_parser = number, allow_negative_numbers = true)]
    packets: u64,
    /// From one pair to the next
    #[arg(long, default_value = "20ms", value_name = "TIME", value_parser = duration, allow_negative_numbers = true)]
    interval: Duration,
    /// How many rounds of three requests: direct, from the cache, past the cache
    #[arg(long, default_value_t = 50, value_name = "ROUNDS", value_parser = number, allow_negative_numbers = true)]
    requests: u64,
    /// What to ask for; its misses are made by a query of their own
    #[arg(long, default_value = "/")]
    path: String,
    /// The TCP port of the server itself, on the same host
    #[arg(long, default_value_t = 8000, value_name = "PORT", value_parser = port, allow_negative_numbers = true)]
    direct_port: u16,
    /// The UDP port of the server itself
    #[arg(long, default_value_t = 9000, value_name = "PORT", value_parser = port, allow_negative_numbers = true)]
    direct_udp_port: u16,
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
        Some(Command::Udp(args)) if args.flood => Action::Flood(flood_plan(&args)?),
        Some(Command::Udp(args)) => Action::Udp(udp_plan(&args.probes)?),
        Some(Command::Clients(args)) => Action::Clients(clients_plan(&args)?),
        Some(Command::Load(args)) => Action::Load(load_plan(args).map_err(usage)?),
        Some(Command::Compare(args)) => Action::Compare(compare_plan(&args)?),
        Some(Command::Analyze(args)) => Action::Analyze(Analyze {
            path: args.file,
            // Within the bounds of a test's.
            loss_deadline: udp::Plan::default()
                .with_loss_deadline(args.loss_deadline)
                .map_err(usage)?
                .loss_deadline(),
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
        return Err(needs("--capture", "udp without --flood, and verify"));
    }
    let report = matches!(action, Action::Report(_));
    if report && global.csv.is_some() {
        return Err(needs("--csv", "commands that measure"));
    }
    if (report || matches!(action, Action::Verify(_))) && global.json {
        return Err(needs(
            "--json",
            "udp, http, clients, load, compare and analyze",
        ));
    }
    if matches!(
        action,
        Action::Verify(_) | Action::Analyze(_) | Action::Report(_)
    ) && (!global.assert.is_empty() || global.profile.is_some())
    {
        return Err(needs(
            "--assert or --profile",
            "udp, http, clients, load and compare",
        ));
    }
    if action == Action::Menu && (global.json || !global.assert.is_empty()) {
        return Err(usage(
            "the menu has neither --json nor --assert; give a command: http, udp, clients, load or compare",
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
            plain: global.no_live,
            csv: match global.csv {
                None => CsvFile::Default,
                Some(path) if path.as_os_str() == "off" => CsvFile::Off,
                Some(path) => CsvFile::At(path),
            },
            capture: global.capture,
            assertions: global.assert,
            profile: global.profile,
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

fn clients_plan(args: &ClientsArgs) -> Result<clients::Plan, Refused> {
    let request = http_plan(&args.path, args.timeout)?;
    let mut plan = clients::Plan::default();
    plan.http = if args.requests == 1 && args.rate.is_none() {
        Asking::Once(request)
    } else {
        // One at a time: who asks for several at once is several clients.
        let series = Series::new(request, args.requests, args.rate, Some(1));
        Asking::Often(series.map_err(usage)?)
    };
    plan.udp = udp_plan(&args.udp)?;
    plan.with_count(args.count).map_err(usage)
}

fn flood_plan(args: &UdpCommand) -> Result<flood::Plan, Refused> {
    let plan = flood::Plan::default();
    let payload = args.probes.payload.unwrap_or(plan.payload() as u64);
    plan.with_payload(payload)
        .and_then(|plan| plan.with_duration(args.duration))
        .and_then(|plan| plan.with_dscp(args.probes.dscp))
        .and_then(|plan| args.bitrate.map_or(Ok(plan), |bps| plan.with_bitrate(bps)))
        .map_err(usage)
}

fn udp_plan(args: &UdpArgs) -> Result<udp::Plan, Refused> {
    let usual = udp::Plan::default();
    let payload = args.payload.unwrap_or(usual.payload() as u64);
    usual
        .with_packets(args.packets)
        .and_then(|plan| plan.with_payload(payload))
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

fn load_plan(args: LoadArgs) -> Result<load::Plan, load::plan::PlanError> {
    let plan = load::Plan::default()
        .with_duration(args.duration)?
        .with_interval(args.interval)?
        .with_paths(args.download, args.upload)?;
    match (args.datagrams, args.connections) {
        (Some(rate), _) => plan.with_datagrams(rate),
        (None, Some(connections)) => plan.with_connections(connections),
        (None, None) => Ok(plan),
    }
}

fn compare_plan(args: &CompareArgs) -> Result<compare::Plan, Refused> {
    let usual = compare::Plan::default();
    let udp = usual.udp.with_packets(args.packets);
    let udp = udp.and_then(|plan| plan.with_interval(args.interval));
    let mut plan = usual;
    plan.direct_port = args.direct_port;
    plan.direct_udp_port = args.direct_udp_port;
    plan.udp = udp.map_err(usage)?;
    plan.http = http::Plan::default().with_path(&args.path).map_err(usage)?;
    plan.with_rounds(args.requests).map_err(usage)
}

fn usage(message: impl std::fmt::Display) -> Refused {
    Refused::Usage(format!("{message}; see qos-client --help"))
}

#[cfg(test)]
mod tests;
