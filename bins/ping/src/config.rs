//! What the user asked for, checked.

use netio::icmp::names::is_address;
use netio::icmp::{Binding, Tuning};
use netproto::icmp::Version;
use netproto::icmp::extended_echo::InterfaceQuery;

use crate::assertion::Assertion;
use crate::session::Plan;
use crate::sweep::Sweep;

/// The default payload, with which the datagram has 84 octets over IPv4.
pub const DEFAULT_SIZE: usize = 56;
/// The largest payload: 65,535 less the IPv4 header and the ICMP header.
pub const LARGEST_SIZE: usize = 65_507;

/// A run of ping.
#[derive(Debug, Clone)]
pub struct Config {
    /// The name or address to ping.
    pub host: String,
    /// The IP version to use, where the user cares.
    pub version: Option<Version>,
    /// Source address and interface.
    pub binding: Binding,
    /// Octets of data in each probe.
    pub size: usize,
    /// What fills them, repeated; nothing means counting octets.
    pub pattern: Vec<u8>,
    /// The TTL or hop limit, where not the host's own.
    pub ttl: Option<u8>,
    /// Traffic class, path MTU, mark.
    pub tuning: Tuning,
    /// Whether a broadcast address may be pinged (-b).
    pub broadcast: bool,
    /// The ICMP identifier, where the user chose one.
    pub identifier: Option<u16>,
    /// Whether the address that the first probe leaves from is kept (-B).
    pub sticky: bool,
    /// Which interface of the host to ask about instead of an echo (--probe).
    pub probe: Option<InterfaceQuery>,
    /// How many, how fast, how long.
    pub plan: Plan,
    /// What to print.
    pub output: Output,
    /// The bounds that the figures must keep.
    pub assertions: Vec<Assertion>,
    /// Many targets instead of `host`.
    pub sweep: Option<Sweep>,
}

/// What to print.
#[derive(Debug, Clone, Copy, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one flag each, in any combination"
)]
pub struct Output {
    /// Only the first line and the summary (-q).
    pub quiet: bool,
    /// A dot for a probe, a backspace for its answer (-f).
    pub flood: bool,
    /// The wall clock before each line (-D).
    pub wall_clock: bool,
    /// The identifier in each line (-v).
    pub verbose: bool,
    /// Tell which probes are unanswered when the next is sent (-O).
    pub outstanding: bool,
    /// Addresses only, no names (-n).
    pub numeric: bool,
    /// A bell with each reply (-a).
    pub audible: bool,
    /// Round trips as this program saw them, not the kernel (-U).
    pub user_latency: bool,
    /// Times with three decimals, however long (-3).
    pub precise: bool,
    /// The figures that iputils does not have, after the summary (--stats).
    pub statistics: bool,
    /// In which form.
    pub format: Format,
}

/// The form of the output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// iputils' lines.
    #[default]
    Text,
    /// An object a line (--json).
    Json,
    /// A row a reply (--csv).
    Csv,
    /// A chart (--graph).
    Graph,
}

impl Config {
    /// Whether addresses are printed without names: asked for, or the target is an address.
    pub fn numeric(&self) -> bool {
        self.output.numeric || self.output.flood || is_address(&self.host)
    }
}
