//! The command line; nothing below this file knows clap.

use std::ffi::OsString;
use std::net::IpAddr;
use std::time::Duration;

use clap::Parser;
use netio::icmp::Binding;
use netio::usage::Refusal;
use netproto::icmp::Version;

use crate::config::{Config, Method};
use crate::session::{Plan, Waits};

/// The port where traceroutes have always begun.
const DEFAULT_PORT: u16 = 33_434;

const EXAMPLES: &str = "\
Examples:
  traceroute HOST              by UDP, names looked up beside the probing
  traceroute -n HOST           addresses only
  traceroute -I HOST           by echo requests, which more firewalls let through
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

Exit codes: 0 the trace was made, whether or not it got there; 2 anything else.";

/// Find the routers between here and a host.
#[derive(Debug, Parser)]
#[command(name = "traceroute", version, after_help = EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "one flag each")]
pub struct Args {
    /// Name or address to find the way to
    host: String,
    /// Octets of a probe, IP header included [default: 60, by IPv6 80]
    #[arg(value_name = "OCTETS", value_parser = clap::value_parser!(u16).range(28..=65_000))]
    packet_len: Option<u16>,
    /// Probe with echo requests
    #[arg(short = 'I', long)]
    icmp: bool,
    /// Raise the UDP port from probe to probe, as traceroutes did before load balancers
    #[arg(long, conflicts_with = "icmp")]
    classic: bool,
    /// First TTL to probe
    #[arg(short = 'f', long = "first", value_name = "TTL", default_value_t = 1,
          value_parser = clap::value_parser!(u8).range(1..))]
    first_ttl: u8,
    /// Last TTL to probe
    #[arg(short = 'm', long = "max-hops", value_name = "TTL", default_value_t = 30,
          value_parser = clap::value_parser!(u8).range(1..))]
    max_ttl: u8,
    /// Probes for each hop
    #[arg(short = 'q', long, value_name = "N", default_value_t = 3,
          value_parser = clap::value_parser!(u8).range(1..=10))]
    queries: u8,
    /// Probes on their way at once
    #[arg(short = 'N', long = "sim-queries", value_name = "N", default_value_t = 32,
          value_parser = clap::value_parser!(u16).range(1..))]
    window: u16,
    /// Seconds to wait for an answer; less once this hop (HERE times) or a later one (NEAR times)
    /// has answered faster
    #[arg(short = 'w', long, value_name = "MAX[,HERE,NEAR]", default_value = "5,3,10",
          value_parser = waits)]
    wait: Waits,
    /// Destination port of UDP probes
    #[arg(short = 'p', long, value_name = "PORT", default_value_t = DEFAULT_PORT,
          value_parser = clap::value_parser!(u16).range(1..), conflicts_with = "icmp")]
    port: u16,
    /// Source address
    #[arg(short = 's', long, value_name = "ADDRESS")]
    source: Option<IpAddr>,
    /// Print addresses only, look up no names
    #[arg(short = 'n', long)]
    numeric: bool,
    /// Use IPv4
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    ipv4: bool,
    /// Use IPv6
    #[arg(short = '6', long)]
    ipv6: bool,
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
        if self.first_ttl > self.max_ttl {
            return Err(format!(
                "the first TTL, {}, is beyond the last, {}: lower -f or raise -m",
                self.first_ttl, self.max_ttl
            ));
        }
        let asked = match (self.ipv4, self.ipv6) {
            (true, _) => Some(Version::V4),
            (_, true) => Some(Version::V6),
            _ => None,
        };
        let version = match (asked, self.source.map(Version::of)) {
            (Some(asked), Some(source)) if asked != source => {
                return Err("the source address is of the other IP version: drop -4 or -6".into());
            }
            (asked, source) => asked.or(source),
        };
        let method = if self.icmp {
            Method::Icmp
        } else {
            Method::Udp {
                port: self.port,
                classic: self.classic,
            }
        };
        let plan = Plan {
            first_ttl: self.first_ttl,
            max_ttl: self.max_ttl,
            queries: self.queries,
            window: usize::from(self.window),
            waits: self.wait,
        };
        if let Method::Udp { port, .. } = method
            && usize::from(port) + plan.probes() > usize::from(u16::MAX)
        {
            return Err(format!("there are not enough ports after {port}: lower -p"));
        }
        Ok(Config {
            host: self.host,
            version,
            binding: Binding {
                source: self.source,
                interface: None,
            },
            method,
            packet_len: self.packet_len,
            plan,
            numeric: self.numeric,
        })
    }
}

fn waits(text: &str) -> Result<Waits, String> {
    const NEEDED: &str = "one to three numbers such as 5 or 5,3,10 are needed";
    let mut numbers = [5.0, 3.0, 10.0];
    for (at, part) in text.split(',').enumerate() {
        let number = numbers.get_mut(at).ok_or(NEEDED)?;
        *number = part
            .parse()
            .ok()
            .filter(|value: &f64| (0.0..=86_400.0).contains(value))
            .ok_or(NEEDED)?;
    }
    let [max, here, near] = numbers;
    Ok(Waits {
        max: Duration::from_secs_f64(max),
        here,
        near,
    })
}
