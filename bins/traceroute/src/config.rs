//! What the user asked for, checked.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use netio::icmp::Binding;
use netproto::icmp::Version;

use crate::assertion::Assertion;
use crate::multipath::MOST_FLOWS;
use crate::session::Plan;
use crate::wire::{SHORTEST_PAYLOAD_LEN, SYN_LEN};

/// Octets behind the IP header of a probe, where the user does not say otherwise.
const DEFAULT_PAYLOAD_LEN: usize = 40;
/// A probe that is to find the path's MTU begins with more than any link takes.
const PROBE_LEN_FOR_MTU: u16 = 65_000;

/// A run of traceroute.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "one flag each")]
pub struct Config {
    /// The name or address to find the way to.
    pub host: String,
    /// The IP version to use, where the user cares.
    pub version: Option<Version>,
    /// Source address and interface.
    pub binding: Binding,
    /// The source port, or nothing for the kernel's choice.
    pub source_port: Option<u16>,
    /// What the probes are.
    pub method: Method,
    /// DSCP and ECN.
    pub traffic_class: Option<u8>,
    /// Whether routers may not fragment the probes.
    pub dont_fragment: bool,
    /// Routers to go by, loosely; IPv4 only.
    pub gateways: Vec<Ipv4Addr>,
    /// The probes' datagrams in octets, IP header included; nothing means 40 and the IP header.
    pub packet_len: Option<u16>,
    /// Which probes, how many at once, how long to wait; its lengths are set when the IP version
    /// is known.
    pub plan: Plan,
    /// Addresses only, no names.
    pub numeric: bool,
    /// Whether the way back is told where its length differs.
    pub back: bool,
    /// Whether what routers append to their errors is told.
    pub extensions: bool,
    /// Whether findings about the path follow the hops.
    pub diagnose: bool,
    /// Whether experiments follow that tell why hops left probes unanswered.
    pub confirm: bool,
    /// Whether the trace is told as JSON.
    pub json: bool,
    /// Whether the trace is told as CSV.
    pub csv: bool,
    /// Every path instead of one, if that is asked for.
    pub all_paths: Option<AllPaths>,
    /// The same path again and again, if that is asked for.
    pub cycles: Option<Cycles>,
    /// Where the run is saved, if it is.
    pub save: Option<PathBuf>,
    /// The saved run that it is held against, if it is.
    pub compare: Option<PathBuf>,
    /// Where the networks of addresses are looked up, if they are.
    pub networks: Option<Networks>,
}

/// Every path instead of one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AllPaths {
    /// How sure it must be, in percent, that all next hops of a router are found.
    pub confidence_pct: f64,
    /// Whether the graph is written for graphviz.
    pub dot: bool,
}

/// The same path again and again.
#[derive(Debug, Clone, PartialEq)]
pub struct Cycles {
    /// How often; nothing means until a signal comes.
    pub count: Option<u32>,
    /// Whether it is shown while it goes on.
    pub live: bool,
    /// How long one takes.
    pub interval: Duration,
    /// What must be so of the target at the end.
    pub assertions: Vec<Assertion>,
}

/// Where the autonomous systems of addresses are looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Networks {
    /// In a file of prefixes and numbers.
    Table(PathBuf),
    /// By DNS, below these zones for IPv4 and IPv6.
    Service {
        /// For IPv4.
        zone_v4: String,
        /// For IPv6.
        zone_v6: String,
    },
}

/// What the probes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// UDP datagrams.
    Udp {
        /// The destination port, or with `classic` the first of them.
        port: u16,
        /// One port after the other instead of one flow.
        classic: bool,
    },
    /// UDP-Lite datagrams (RFC 3828).
    UdpLite {
        /// The destination port.
        port: u16,
    },
    /// Echo requests.
    Icmp,
    /// SYN segments.
    Tcp {
        /// The destination port.
        port: u16,
    },
    /// Another protocol, without a header.
    Raw {
        /// Its number.
        protocol: u8,
    },
}

impl Method {
    /// What it is called.
    pub const fn name(self) -> &'static str {
        match self {
            Method::Udp { .. } => "udp",
            Method::UdpLite { .. } => "udplite",
            Method::Icmp => "icmp",
            Method::Tcp { .. } => "tcp",
            Method::Raw { .. } => "raw",
        }
    }

    /// The destination port; 0 where there is none.
    pub const fn port(self) -> u16 {
        match self {
            Method::Udp { port, .. } | Method::UdpLite { port } | Method::Tcp { port } => port,
            Method::Icmp | Method::Raw { .. } => 0,
        }
    }
}

impl Config {
    /// Octets of IP header, options included.
    pub fn ip_header_len(&self, version: Version) -> usize {
        match version {
            Version::V4 if self.gateways.is_empty() => 20,
            // Three octets of option header and one for alignment, the gateways, the target.
            Version::V4 => 20 + 4 + 4 * (self.gateways.len() + 1),
            Version::V6 => 40,
        }
    }

    /// The plan with its lengths, which depend on the IP version.
    pub fn plan_for(&self, version: Version) -> Plan {
        let header = self.ip_header_len(version);
        let len = |payload: usize| (header + payload) as u16;
        let (packet_len, least_len) = if matches!(self.method, Method::Tcp { .. }) {
            (len(SYN_LEN), len(SYN_LEN))
        } else {
            let default = if self.plan.discover_mtu {
                PROBE_LEN_FOR_MTU
            } else {
                len(DEFAULT_PAYLOAD_LEN)
            };
            let least = len(SHORTEST_PAYLOAD_LEN);
            let asked = self.packet_len.unwrap_or(default).max(least);
            (asked, len(DEFAULT_PAYLOAD_LEN).min(asked))
        };
        Plan {
            packet_len,
            least_len,
            ..self.plan
        }
    }

    /// How many flows there may be besides the first: above its port, one port each.
    pub const fn other_flows(&self) -> u16 {
        if self.all_paths.is_some() || self.confirm {
            MOST_FLOWS - 1
        } else {
            0
        }
    }

    /// Whether only raw sockets do what is asked for: they show whole errors, and send in one flow.
    pub const fn takes_raw(&self) -> bool {
        let in_one_flow = self.cycles.is_some() && !matches!(self.method, Method::Icmp);
        self.extensions || self.diagnose || self.confirm || self.all_paths.is_some() || in_one_flow
    }
}
