//! What the user asked for, checked.

use netio::icmp::Binding;
use netproto::icmp::Version;

use crate::session::Plan;

/// A run of traceroute.
#[derive(Debug, Clone)]
pub struct Config {
    /// The name or address to find the way to.
    pub host: String,
    /// The IP version to use, where the user cares.
    pub version: Option<Version>,
    /// Source address.
    pub binding: Binding,
    /// What the probes are.
    pub method: Method,
    /// The probes' datagrams in octets, IP header included; nothing means 40 and the IP header.
    pub packet_len: Option<u16>,
    /// Which probes, how many at once, how long to wait.
    pub plan: Plan,
    /// Addresses only, no names.
    pub numeric: bool,
}

/// What the probes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// UDP datagrams to a port where nobody listens.
    Udp {
        /// The destination port, or with `classic` the first of them.
        port: u16,
        /// One port after the other instead of one flow.
        classic: bool,
    },
    /// Echo requests.
    Icmp,
}
