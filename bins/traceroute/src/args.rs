//! The command line; nothing below this file knows clap.

mod checked;
mod values;

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Command, CommandFactory, Parser};
use netio::usage::Refusal;

use crate::config::Config;
use crate::session::Waits;
use values::{Assertions, assertions, confidence, interval, octet, spacing, waits, zones};

/// More than 30 years of seconds.
const MOST_CYCLES: i64 = 1_000_000_000;

const PROBES: &str = "Probes";
const HOPS: &str = "Hops and waits";
const TOLD: &str = "What is told";
const ALL_PATHS: &str = "Every path";
const REPEATED: &str = "Again and again";
const KEPT: &str = "Kept and compared";

const EXAMPLES: &str = "\
Examples:
  traceroute HOST              by UDP, names looked up beside the probing
  traceroute -n HOST           addresses only
  traceroute -I HOST           by echo requests, which more firewalls let through
  traceroute -T -p 443 HOST    by TCP to the port that must be open anyway
  traceroute --mda HOST        every path, where routers share the load
  traceroute --report HOST     loss and times of each hop over ten cycles, as mtr --report
  traceroute --live HOST       the same on the screen while it goes on; q ends it
  traceroute --diagnose HOST   and what the answers say about the path
  traceroute --confirm HOST    is it loss, or a router that limits its answers?
  traceroute --save FILE HOST  kept as JSON; later: traceroute --compare FILE HOST
  traceroute -q 1 -w 1 HOST    one probe a hop, at most a second's wait
  traceroute -f 4 -m 8 HOST    only hops 4 to 8
  traceroute -6 HOST           by IPv6

Marks behind a time:
  !N !H !P  network, host or protocol unreachable     !X  prohibited by a filter
  !F-MTU    too large for the next link               !S  source route failed
  !V !C     precedence                                !<code>  another code

All probes are one flow to load balancers, so that the hops are on one path. That takes a raw
socket; without the permission the destination port rises from probe to probe (as with --classic),
which a load balancer may send on different ways.

Exit codes: 0 the trace was made, whether or not it got there; 1 a bound of --assert was not kept,
or the path is another than that of --compare; 2 anything else.";

/// Find the routers between here and a host.
#[derive(Debug, Parser)]
#[command(name = "traceroute", version, args_override_self = true, after_help = EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "one flag each")]
pub struct Args {
    /// Name or address to find the way to
    host: String,
    /// Octets of a probe, IP header included [default: 60, by IPv6 80; by TCP always so]
    #[arg(value_name = "OCTETS", value_parser = clap::value_parser!(u16).range(28..=65_000))]
    packet_len: Option<u16>,

    /// Probe with echo requests
    #[arg(short = 'I', long, help_heading = PROBES, group = "method")]
    icmp: bool,
    /// Probe with TCP SYN, port 80; a connection that the target opens is reset half open
    #[arg(short = 'T', long, help_heading = PROBES, group = "method")]
    tcp: bool,
    /// Probe with UDP to port 53; with -L with UDP-Lite
    #[arg(short = 'U', long, help_heading = PROBES, group = "method")]
    udp: bool,
    /// With -U: UDP-Lite (RFC 3828)
    #[arg(short = 'L', long, help_heading = PROBES, requires = "udp")]
    lite: bool,
    /// Probe with packets of this IP protocol, without a header; one at a time, 5 s each
    #[arg(short = 'P', long, value_name = "NUMBER", help_heading = PROBES, group = "method")]
    protocol: Option<u8>,
    /// Method by name, as the Linux traceroute has them
    #[arg(short = 'M', long = "module", value_name = "NAME", help_heading = PROBES, group = "method")]
    module: Option<Module>,
    /// Raise the UDP port from probe to probe, as traceroutes did before load balancers
    #[arg(long, help_heading = PROBES, group = "method")]
    classic: bool,
    /// Destination port: of UDP 33434 (-U: 53), of TCP 80
    #[arg(short = 'p', long, value_name = "PORT", help_heading = PROBES,
          value_parser = clap::value_parser!(u16).range(1..), conflicts_with_all = ["icmp", "protocol"])]
    port: Option<u16>,
    /// Source port
    #[arg(long, value_name = "PORT", help_heading = PROBES,
          value_parser = clap::value_parser!(u16).range(1..), conflicts_with_all = ["icmp", "protocol"])]
    sport: Option<u16>,
    /// Source address
    #[arg(short = 's', long, value_name = "ADDRESS", help_heading = PROBES)]
    source: Option<IpAddr>,
    /// Interface to send from
    #[arg(short = 'i', long, value_name = "NAME", help_heading = PROBES)]
    interface: Option<String>,
    /// Go by way of these routers, with commas between them (loose source routing, IPv4)
    #[arg(short = 'g', long = "gateway", value_name = "ADDRESS", help_heading = PROBES,
          value_delimiter = ',')]
    gateways: Vec<Ipv4Addr>,
    /// Type of service or traffic class: DSCP and ECN in one octet
    #[arg(short = 't', long, value_name = "OCTET", value_parser = octet, help_heading = PROBES)]
    tos: Option<u8>,
    /// Forbid routers to fragment the probes
    #[arg(short = 'F', long, help_heading = PROBES)]
    dont_fragment: bool,
    /// Use IPv4
    #[arg(short = '4', long, conflicts_with = "ipv6", help_heading = PROBES)]
    ipv4: bool,
    /// Use IPv6
    #[arg(short = '6', long, help_heading = PROBES)]
    ipv6: bool,

    /// First TTL to probe
    #[arg(short = 'f', long = "first", value_name = "TTL", default_value_t = 1,
          value_parser = clap::value_parser!(u8).range(1..), help_heading = HOPS)]
    first_ttl: u8,
    /// Last TTL to probe
    #[arg(short = 'm', long = "max-hops", value_name = "TTL", default_value_t = 30,
          value_parser = clap::value_parser!(u8).range(1..), help_heading = HOPS)]
    max_ttl: u8,
    /// End after so many silent hops in a row, when nothing behind them answers
    #[arg(long, value_name = "HOPS", help_heading = HOPS,
          value_parser = clap::value_parser!(u8).range(1..))]
    gap: Option<u8>,
    /// Probes for each hop
    #[arg(short = 'q', long, value_name = "N", default_value_t = 3,
          value_parser = clap::value_parser!(u8).range(1..=10), help_heading = HOPS)]
    queries: u8,
    /// Probes on their way at once [default: 32]
    #[arg(short = 'N', long = "sim-queries", value_name = "N",
          value_parser = clap::value_parser!(u16).range(1..), help_heading = HOPS)]
    window: Option<u16>,
    /// Seconds to wait for an answer; less once this hop (HERE times) or a later one (NEAR times)
    /// has answered faster [default: 5,3,10]
    #[arg(short = 'w', long, value_name = "MAX[,HERE,NEAR]", value_parser = waits,
          help_heading = HOPS)]
    wait: Option<Waits>,
    /// At least this long between two probes: seconds, or milliseconds if it is more than 10
    #[arg(short = 'z', long = "sendwait", value_name = "TIME", default_value = "0",
          value_parser = spacing, help_heading = HOPS)]
    sendwait: Duration,

    /// Print addresses only, look up no names
    #[arg(short = 'n', long, help_heading = TOLD)]
    numeric: bool,
    /// Print the autonomous system of each address, from DNS or --as-table
    #[arg(short = 'A', long, help_heading = TOLD)]
    as_path_lookups: bool,
    /// File of "PREFIX AS" lines, such as "192.0.2.0/24 64496" (also CAIDA's pfx2as), to take
    /// autonomous systems from; implies -A
    #[arg(long, value_name = "FILE", help_heading = TOLD)]
    as_table: Option<PathBuf>,
    /// Zones of the DNS service that knows autonomous systems, for IPv4 and IPv6
    #[arg(long, value_name = "ZONE4,ZONE6", value_parser = zones, help_heading = TOLD,
          default_value = "origin.asn.cymru.com,origin6.asn.cymru.com")]
    as_zones: (String, String),
    /// Print what routers append to their errors: MPLS labels, interfaces
    #[arg(short = 'e', long, help_heading = TOLD)]
    extensions: bool,
    /// Find the path's MTU on the way: F=MTU where a router told it, F~MTU where larger probes
    /// vanish without a word; implies -F -N 1
    #[arg(long, help_heading = TOLD)]
    mtu: bool,
    /// Print '-HOPS' where the way back seems to have another length
    #[arg(long, help_heading = TOLD)]
    back: bool,
    /// After the hops, tell what the answers say about the path: NAT, rewritten DSCP or ECN, small
    /// links, another way back, routers that limit their answers (which takes more than three
    /// probes: -q 10, or --report, which tells it always)
    #[arg(long, help_heading = TOLD)]
    diagnose: bool,
    /// Afterwards make experiments on each hop that left some probes unanswered (again, beyond it, in
    /// other flows, directly, slower) and name the explanation that survives: rate limit, own
    /// silence, loss, loss of this flow; takes 20 to 60 seconds; implies --diagnose or --report
    #[arg(long, help_heading = TOLD,
          conflicts_with_all = ["mda", "mtu", "classic", "protocol", "live"])]
    confirm: bool,
    /// Find every path: all next hops of each router, by flows that load balancers spread
    #[arg(long, help_heading = ALL_PATHS, conflicts_with_all = ["mtu", "diagnose",
          "extensions", "back", "classic", "protocol", "gateways", "as_path_lookups", "as_table"])]
    mda: bool,
    /// How sure to be that all next hops of a router are found
    #[arg(long, value_name = "PERCENT", default_value_t = 95.0, value_parser = confidence,
          help_heading = ALL_PATHS, requires = "mda")]
    confidence: f64,
    /// Write the graph for graphviz: traceroute --mda --dot HOST | dot -Tsvg
    #[arg(long, help_heading = ALL_PATHS, requires = "mda", conflicts_with = "json")]
    dot: bool,
    /// Probe each hop once a cycle; then loss, last, mean, best and worst time, deviation and jitter
    /// of each, and when the path changed
    #[arg(long, help_heading = REPEATED, group = "repeated", conflicts_with_all = ["mda", "mtu",
          "diagnose", "extensions", "back", "classic", "protocol", "queries", "window"])]
    report: bool,
    /// The same on the screen while it goes on, until q or Ctrl-C; without a terminal a line a
    /// second
    #[arg(long, help_heading = REPEATED, group = "repeated", conflicts_with_all = ["mda", "mtu",
          "diagnose", "extensions", "back", "classic", "protocol", "queries", "window", "json"])]
    live: bool,
    /// How many cycles [default: 10, with --live without end]
    #[arg(short = 'c', long, value_name = "N", help_heading = REPEATED,
          value_parser = clap::value_parser!(u32).range(1..=MOST_CYCLES), requires = "repeated")]
    cycles: Option<u32>,
    /// How long a cycle takes, its probes spread over it
    #[arg(long, value_name = "SECONDS", default_value = "1", help_heading = REPEATED,
          value_parser = interval, requires = "repeated")]
    interval: Duration,
    /// Exit 1 and name the figure unless these hold of the target: loss, hops, rtt (the mean), best,
    /// worst, stdev, jitter; such as 'loss<1%,hops<12,rtt<20ms'
    #[arg(long, value_name = "BOUNDS", help_heading = REPEATED, value_parser = assertions,
          requires = "repeated")]
    assert: Option<Assertions>,
    /// Save the trace or report as JSON, as --json writes it, when it is over
    #[arg(long, value_name = "FILE", help_heading = KEPT, conflicts_with = "mda")]
    save: Option<PathBuf>,
    /// Tell how the path differs from one that was saved, and times and losses where the samples
    /// show it; exit 1 where the path is another
    #[arg(long, value_name = "FILE", help_heading = KEPT, conflicts_with = "mda")]
    compare: Option<PathBuf>,
    /// Write JSON, an object a line (docs/traceroute.schema.json)
    #[arg(long, help_heading = TOLD)]
    json: bool,
    /// Write CSV: a row for each probe, with --report for each hop
    #[arg(long, help_heading = TOLD, conflicts_with_all = ["json", "live", "mda", "diagnose",
          "confirm", "back"])]
    csv: bool,
}

/// The methods by the names that the Linux traceroute has for them.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Module {
    Default,
    Icmp,
    Tcp,
    Udp,
    Udplite,
    Raw,
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
