//! A probe as it is ordered, and what came back for it.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use netproto::icmp::{MplsEntry, Object};

use crate::mark::Mark;

/// A probe to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// Its number, which the wire carries and answers are known by.
    pub number: u16,
    /// Its TTL or hop limit.
    pub ttl: u8,
    /// Which flow it is of to load balancers; 0 is the trace's own.
    pub flow: u16,
    /// The datagram in octets, IP header included.
    pub packet_len: u16,
}

/// An answer as it was heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// The number of the probe that it answers.
    pub number: u16,
    /// Who answered.
    pub from: IpAddr,
    /// What the answer says besides "I am here".
    pub mark: Mark,
    /// When it arrived.
    pub at: Instant,
    /// What else it tells.
    pub told: Told,
}

/// What an answer tells besides who sent it and why.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// The answer's own TTL or hop limit as it arrived here.
    pub ttl: Option<u8>,
    /// How the probe looked where the answer was made, where the answer quotes that.
    pub quote: Option<Quote>,
    /// What the router appended (RFC 4884).
    pub extensions: Vec<Extension>,
}

/// How a probe looked where an error about it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quote {
    /// Where it was going.
    pub destination: IpAddr,
    /// Its TTL: 1 where it ran out, 0 from some routers.
    pub ttl: u8,
    /// DSCP and ECN.
    pub traffic_class: u8,
    /// What of its addresses and ports was not as it was sent.
    pub rewritten: Rewritten,
}

/// What was rewritten on the way, as it was seen; nothing where it was as sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rewritten {
    /// Another source address.
    pub source: Option<IpAddr>,
    /// Another destination address.
    pub destination: Option<IpAddr>,
    /// Another source port or echo identifier.
    pub source_port: Option<u16>,
    /// Another destination port.
    pub destination_port: Option<u16>,
    /// Another UDP checksum than addresses, ports and data had when they were sent.
    pub checksum: Option<u16>,
}

impl Rewritten {
    /// Whether nothing was.
    pub fn is_empty(&self) -> bool {
        *self == Rewritten::default()
    }
}

/// One object of RFC 4884, kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extension {
    /// The labels that the probe came in with (RFC 4950).
    Mpls(Vec<MplsEntry>),
    /// An interface of the router (RFC 5837).
    Interface {
        /// 0 incoming, 1 sub-IP component of the incoming one, 2 outgoing, 3 next hop.
        role: u8,
        /// The ifIndex.
        index: Option<u32>,
        /// Its address.
        address: Option<IpAddr>,
        /// The ifName, made printable.
        name: Option<String>,
        /// The MTU in octets.
        mtu: Option<u32>,
    },
    /// Another class, or one that is not what its RFC says.
    Other {
        /// The class number.
        class: u8,
        /// The class sub-type.
        kind: u8,
        /// Its content.
        payload: Vec<u8>,
    },
}

impl From<Object<'_>> for Extension {
    fn from(object: Object<'_>) -> Extension {
        match object {
            Object::Mpls(entries) => Extension::Mpls(entries),
            Object::Interface(about) => Extension::Interface {
                role: about.role,
                index: about.index,
                address: about.address,
                name: about.name.map(printable),
                mtu: about.mtu,
            },
            Object::Other {
                class,
                kind,
                payload,
            } => Extension::Other {
                class,
                kind,
                payload: payload.to_vec(),
            },
        }
    }
}

/// A name by a stranger, with nothing in it that a terminal would obey.
fn printable(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name);
    let safe = |c: char| if c.is_control() { '?' } else { c };
    text.chars().map(safe).collect()
}

/// What came back for a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Who answered.
    pub from: IpAddr,
    /// The round-trip time.
    pub rtt: Duration,
    /// What the answer says besides "I am here".
    pub mark: Mark,
    /// What else it tells.
    pub told: Told,
}

/// Why a probe did not leave this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotSent {
    /// It is larger than the route's first link takes, which is this many octets.
    TooLarge {
        /// The MTU.
        mtu: u32,
    },
    /// For another reason, which has been told.
    Refused,
}
