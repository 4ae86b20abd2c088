//! The command line; nothing below this file knows clap.

mod values;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Command, CommandFactory, Parser};
use netio::icmp::{PathMtu, Tuning};
use netio::usage::Refusal;
use netproto::icmp::Version;
use netproto::icmp::extended_echo::InterfaceQuery;

use self::values::{
    Assertions, Pattern, assertions, binding, interface_query, octet, path_mtu, pattern, seconds,
};
use crate::config::{Config, DEFAULT_SIZE, Format, LARGEST_SIZE, Output};
use crate::session::{Pace, Plan};
use crate::sweep::targets::Cidr;
use crate::sweep::{self, Show, Sources, Sweep};

/// How long to wait for the last answers when there was none so far.
const DEFAULT_PATIENCE: Duration = Duration::from_secs(10);
const DEFAULT_INTERVAL: Duration = Duration::from_secs(1);
/// With fewer probes on their way, eight bits number them.
const LEAST_PROBE_INTERVAL: Duration = Duration::from_millis(10);
/// How long a sweep waits for an answer, and how far apart its probes are.
const SWEEP_PATIENCE: Duration = Duration::from_secs(1);
const SWEEP_SPACING: Duration = Duration::from_micros(100);

const EXAMPLES: &str = "\
Examples:
  ping -c 4 192.0.2.1          four probes, then the summary
  ping -c 4 -i 0.2 -q HOST     four probes a fifth of a second apart, only the summary
  ping -w 10 HOST              ten seconds, whatever comes
  ping -t 3 -c 1 HOST          see which router is three hops away
  ping -s 1472 -c 1 HOST       a datagram that fills an Ethernet frame
  ping -6 HOST                 by IPv6
  ping --probe eth0 -c 1 HOST                     whether its interface is up (RFC 8335)
  ping --alive --cidr 192.0.2.0/24                who is there
  ping --graph -i 0.2 HOST                        a chart that goes on
  ping -c 3 HOST HOST HOST                        three probes each, a line each
  ping -c 100 -i 0.1 -q --stats HOST              percentiles, jitter, outages
  ping -c 20 -q --assert 'loss<1%,p95<20ms' HOST  exit 1 if that is not so

Exit codes:
  0  the host answered (with -w and -c: as often as asked), or every target of a sweep
  1  it did not, or a bound of --assert was not kept
  2  anything else: a bad flag, an unknown name, no permission

Ctrl-C ends with the summary; Ctrl-\\ (SIGQUIT) prints how it stands and goes on.
No root is needed where net.ipv4.ping_group_range includes your group.";

/// The headings of `--help`.
const PACE: &str = "How many, how fast, how long";
const SENT: &str = "What is sent";
const PRINTED: &str = "What is printed";
const MANY: &str = "Many targets";

/// Send ICMP echo requests to a host and report what comes back.
#[derive(Debug, Parser)]
#[command(name = "ping", version, after_help = EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "one flag each")]
pub struct Args {
    /// Names or addresses to ping; several are swept
    #[arg(value_name = "HOST", required_unless_present_any = ["cidr", "targets_file"])]
    hosts: Vec<String>,
    /// Stop after N probes; with -w, after N answers
    #[arg(help_heading = PACE, short = 'c', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Time from one probe to the next, in seconds [default: 1]
    #[arg(help_heading = PACE, short = 'i', long, value_name = "SECONDS", value_parser = seconds, conflicts_with = "flood")]
    interval: Option<Duration>,
    /// End after this many seconds, whatever came
    #[arg(help_heading = PACE, short = 'w', long, value_name = "SECONDS", value_parser = seconds)]
    deadline: Option<Duration>,
    /// How long to wait for the last answers if there was none, in seconds [default: 10, in a sweep 1]
    #[arg(help_heading = PACE, short = 'W', long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
    /// Send N probes before the first answer
    #[arg(help_heading = PACE, short = 'l', long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=65_536))]
    preload: u32,
    /// Flood: as fast as answers come or a hundred a second; a dot is an unanswered probe
    #[arg(help_heading = PACE, short = 'f', long, conflicts_with = "adaptive")]
    flood: bool,
    /// Adapt the interval to the round-trip time
    #[arg(help_heading = PACE, short = 'A', long)]
    adaptive: bool,
    /// Use IPv4
    #[arg(help_heading = SENT, short = '4', long, conflicts_with = "ipv6")]
    ipv4: bool,
    /// Use IPv6
    #[arg(help_heading = SENT, short = '6', long)]
    ipv6: bool,
    /// Octets of data in each probe
    #[arg(help_heading = SENT, short = 's', long, value_name = "OCTETS", default_value_t = DEFAULT_SIZE as u32,
          value_parser = clap::value_parser!(u32).range(0..=LARGEST_SIZE as i64))]
    size: u32,
    /// Up to 16 octets, in hexadecimal, that fill the probes
    #[arg(help_heading = SENT, short = 'p', long, value_name = "HEX", value_parser = pattern)]
    pattern: Option<Pattern>,
    /// Time to live (IPv6: hop limit) of the probes
    #[arg(help_heading = SENT, short = 't', long, value_name = "HOPS", value_parser = clap::value_parser!(u8).range(1..))]
    ttl: Option<u8>,
    /// Interface name or source address to send from
    #[arg(help_heading = SENT, short = 'I', long, value_name = "NAME|ADDRESS")]
    interface: Option<String>,
    /// Keep the source address that the first probe has
    #[arg(help_heading = SENT, short = 'B', long)]
    sticky_source: bool,
    /// Traffic class (DSCP and ECN) of the probes, decimal or 0x hexadecimal
    #[arg(help_heading = SENT, short = 'Q', long, value_name = "CLASS", value_parser = octet)]
    tos: Option<u8>,
    /// Path MTU: do (never fragment), want (fragment by what is known), dont, probe (ignore it)
    #[arg(help_heading = SENT, short = 'M', long = "pmtudisc", value_name = "HOW", value_parser = path_mtu)]
    path_mtu: Option<PathMtu>,
    /// Ping a broadcast address: all hosts of a network that care to answer
    #[arg(help_heading = SENT, short = 'b', long)]
    broadcast: bool,
    /// Keep multicast probes from coming back to this host
    #[arg(help_heading = SENT, short = 'L', long)]
    no_multicast_loop: bool,
    /// Mark the packets, for policy routing
    #[arg(help_heading = SENT, short = 'm', long, value_name = "MARK")]
    mark: Option<u32>,
    /// ICMP identifier of the probes; 0 takes a raw socket
    #[arg(help_heading = SENT, short = 'e', long, value_name = "ID")]
    identifier: Option<u16>,
    /// Ask how an interface of the host is (RFC 8335): by its name, number or address
    #[arg(help_heading = SENT, long, value_name = "IFACE", value_parser = interface_query,
          conflicts_with_all = ["flood", "csv", "size", "pattern"])]
    probe: Option<InterfaceQuery>,
    /// Print only the first line and the summary
    #[arg(help_heading = PRINTED, short = 'q', long)]
    quiet: bool,
    /// Print addresses only, look up no names
    #[arg(help_heading = PRINTED, short = 'n', long)]
    numeric: bool,
    /// Print the wall clock before each line
    #[arg(help_heading = PRINTED, short = 'D', long)]
    wall_clock: bool,
    /// Say which probe is still unanswered before sending the next
    #[arg(help_heading = PRINTED, short = 'O', long)]
    outstanding: bool,
    /// Print the ICMP identifier too
    #[arg(help_heading = PRINTED, short = 'v', long)]
    verbose: bool,
    /// Ring the bell with each reply
    #[arg(help_heading = PRINTED, short = 'a', long)]
    audible: bool,
    /// Print times with three decimals, however long they are
    #[arg(help_heading = PRINTED, short = '3', long)]
    precise: bool,
    /// Tell the round trips that this program saw, not those of the kernel
    #[arg(help_heading = PRINTED, short = 'U', long)]
    user_latency: bool,
    /// After the summary, print the loss with its 95 % interval, percentiles, jitter and outages
    #[arg(help_heading = PRINTED, long = "stats")]
    statistics: bool,
    /// Draw a chart while it goes on; without a terminal, write a line a second
    #[arg(help_heading = PRINTED, long, conflicts_with_all = ["json", "csv", "flood", "quiet"])]
    graph: bool,
    /// Write NDJSON: an object a reply, and a summary whatever happens
    #[arg(help_heading = PRINTED, long, conflicts_with_all = ["csv", "flood"])]
    json: bool,
    /// Write CSV: a row a reply, and at the end one for each probe without
    #[arg(help_heading = PRINTED, long, conflicts_with = "flood")]
    csv: bool,
    /// Bounds such as 'loss<1%,p95<20ms': exit 1 and name the figure that breaks one
    #[arg(help_heading = PRINTED, long, value_name = "BOUNDS", value_parser = assertions)]
    assert: Option<Assertions>,
    /// Sweep every host of a network such as 192.0.2.0/24; may be given several times
    #[arg(help_heading = MANY, long, value_name = "NETWORK")]
    cidr: Vec<Cidr>,
    /// Sweep what stands in a file, a name or address a line; - is standard input
    #[arg(help_heading = MANY, long, value_name = "FILE")]
    targets_file: Option<PathBuf>,
    /// Sweep all addresses of each name, not only the first
    #[arg(help_heading = MANY, long)]
    all_addresses: bool,
    /// In a sweep, the time from one probe to the next of whatever target, in seconds [default: 0.0001]
    #[arg(help_heading = MANY, long, value_name = "SECONDS", value_parser = seconds)]
    spacing: Option<Duration>,
    /// Sweep again and again until Ctrl-C or -w, with a line for each reply
    #[arg(help_heading = MANY, long = "loop", conflicts_with_all = ["count", "csv"])]
    endless: bool,
    /// Of a sweep, print the targets that answer and nothing else
    #[arg(help_heading = MANY, long, conflicts_with = "unreachable")]
    alive: bool,
    /// Of a sweep, print the targets that do not answer and nothing else
    #[arg(help_heading = MANY, long)]
    unreachable: bool,
}

/// The command line as clap knows it, from which the man page is made.
pub fn command() -> Command {
    Args::command()
}

/// Reads and checks the command line.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Config, Refusal> {
    Args::try_parse_from(args)
        .map_err(|said| Refusal::of(said.render().to_string(), said.use_stderr()))?
        .into_config()
        .map_err(Refusal::Mistake)
}

impl Args {
    /// The checked configuration, or what is wrong and how to cure it.
    fn into_config(self) -> Result<Config, String> {
        if self.interval.is_some_and(|interval| interval.is_zero()) {
            return Err("an interval of nothing is a flood: use -f".to_owned());
        }
        if self.probe.is_some() && self.interval.is_some_and(|i| i < LEAST_PROBE_INTERVAL) {
            return Err("--probe has 256 numbers for its probes: give -i 0.01 or more".to_owned());
        }
        let binding = binding(self.interface.clone());
        let asked = match (self.ipv4, self.ipv6) {
            (true, _) => Some(Version::V4),
            (_, true) => Some(Version::V6),
            _ => None,
        };
        let version = match (asked, binding.source.map(Version::of)) {
            (Some(asked), Some(source)) if asked != source => {
                return Err("the source address is of the other IP version: drop -4 or -6".into());
            }
            (asked, source) => asked.or(source),
        };
        let sweep = self.sweep()?;
        let pace = match (self.flood, self.adaptive) {
            (true, _) => Pace::Flood,
            (_, true) => Pace::Adaptive,
            _ => Pace::Fixed,
        };
        Ok(Config {
            host: self.hosts.into_iter().next().unwrap_or_default(),
            version,
            binding,
            size: self.size as usize,
            pattern: self.pattern.map(|pattern| pattern.0).unwrap_or_default(),
            ttl: self.ttl,
            tuning: Tuning {
                traffic_class: self.tos,
                path_mtu: self.path_mtu,
                mark: self.mark,
                broadcast: false,
                no_multicast_loop: self.no_multicast_loop,
            },
            broadcast: self.broadcast,
            identifier: self.identifier,
            sticky: self.sticky_source,
            probe: self.probe,
            plan: Plan {
                count: self.count,
                interval: self.interval.unwrap_or(DEFAULT_INTERVAL),
                pace,
                preload: self.preload,
                patience: self.timeout.unwrap_or(DEFAULT_PATIENCE),
                // As in iputils, nothing means none.
                deadline: self.deadline.filter(|deadline| !deadline.is_zero()),
            },
            output: Output {
                quiet: self.quiet,
                flood: self.flood,
                wall_clock: self.wall_clock,
                verbose: self.verbose,
                outstanding: self.outstanding,
                numeric: self.numeric,
                audible: self.audible,
                user_latency: self.user_latency,
                precise: self.precise,
                statistics: self.statistics,
                format: match (self.json, self.csv, self.graph) {
                    (true, _, _) => Format::Json,
                    (_, true, _) => Format::Csv,
                    (_, _, true) => Format::Graph,
                    _ => Format::Text,
                },
            },
            sweep,
            assertions: self.assert.map(|bounds| bounds.0).unwrap_or_default(),
        })
    }
}

impl Args {
    /// The sweep, if there is more than one target or a flag that only a sweep has.
    fn sweep(&self) -> Result<Option<Sweep>, String> {
        let asked = self.hosts.len() > 1
            || !self.cidr.is_empty()
            || self.targets_file.is_some()
            || self.all_addresses
            || self.alive
            || self.unreachable
            || self.spacing.is_some()
            || self.endless;
        if !asked {
            return Ok(None);
        }
        let for_one_host = [
            (self.flood, "-f"),
            (self.adaptive, "-A"),
            (self.preload > 1, "-l"),
            (self.outstanding, "-O"),
            (self.wall_clock, "-D"),
            (self.audible, "-a"),
            (self.user_latency, "-U"),
            (self.sticky_source, "-B"),
            (self.broadcast, "-b"),
            (self.probe.is_some(), "--probe"),
            (self.graph, "--graph"),
        ];
        if let Some((_, flag)) = for_one_host.iter().find(|(given, _)| *given) {
            return Err(format!(
                "{flag} is for a single host: leave it out of a sweep"
            ));
        }
        let count = if self.endless {
            None
        } else {
            let count = u32::try_from(self.count.unwrap_or(1));
            Some(count.map_err(|_| "too many probes for a sweep")?)
        };
        Ok(Some(Sweep {
            sources: Sources {
                hosts: self.hosts.clone(),
                networks: self.cidr.clone(),
                file: self.targets_file.clone(),
                all_addresses: self.all_addresses,
            },
            plan: sweep::session::Plan {
                count,
                interval: self.interval.unwrap_or(DEFAULT_INTERVAL),
                spacing: self.spacing.unwrap_or(SWEEP_SPACING),
                patience: self.timeout.unwrap_or(SWEEP_PATIENCE),
                deadline: self.deadline.filter(|deadline| !deadline.is_zero()),
            },
            show: match (self.alive, self.unreachable) {
                (true, _) => Show::Alive,
                (_, true) => Show::Unreachable,
                _ => Show::All,
            },
        }))
    }
}
