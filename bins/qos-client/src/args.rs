//! The command line, and how it becomes a [`Config`]. Nothing else imports clap.
//!
//! Here are the commands and what all of them share; the flags of each are in a file of their own.

mod clients;
mod compare;
mod files;
mod http;
mod load;
mod udp;
mod values;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use netio::usage::Refusal;

use crate::assertion::Assertion;
use crate::config::{Action, Config, CsvFile, Output};
use crate::grade::Profile;
use crate::target::Target;
use clients::ClientsArgs;
use compare::CompareArgs;
use files::{AnalyzeArgs, ReportArgs};
use http::HttpArgs;
use load::LoadArgs;
use udp::{UdpArgs, UdpCommand};
use values::{host, port};

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

/// Reads the command line.
pub fn read(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> Result<Config, Refusal> {
    let cli = Cli::try_parse_from(arguments)
        .map_err(|error| Refusal::of(error.render().to_string(), error.use_stderr()))?;
    let global = cli.global;
    let action = match cli.command {
        None | Some(Command::Menu) => Action::Menu,
        Some(Command::Http(args)) => args.action()?,
        Some(Command::Udp(args)) => args.action()?,
        Some(Command::Clients(args)) => Action::Clients(args.plan()?),
        Some(Command::Load(args)) => Action::Load(args.plan().map_err(usage)?),
        Some(Command::Compare(args)) => Action::Compare(args.plan()?),
        Some(Command::Analyze(args)) => Action::Analyze(args.order()?),
        Some(Command::Verify(args)) => args.verified()?,
        Some(Command::Report(args)) => Action::Report(args.order()),
    };
    let needs = |flag: &str, commands: &str| usage(format!("{flag} is for {commands}"));
    if global.capture.is_some() && !matches!(action, Action::Udp(_) | Action::Verify(_)) {
        return Err(needs("--capture", "udp without --flood, and verify"));
    }
    let report = matches!(action, Action::Report(_));
    if report && global.csv.is_some() {
        return Err(needs("--csv", "commands that measure, and analyze"));
    }
    if report && global.json {
        return Err(needs("--json", "commands that measure, and analyze"));
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

fn usage(message: impl std::fmt::Display) -> Refusal {
    Refusal::Mistake(message.to_string())
}

#[cfg(test)]
mod tests;
