//! ICMP for IPv4 (RFC 792) and IPv6 (RFC 4443) in one model.
//!
//! Read in this order: [`message`] (what an ICMP message says), [`quoted`] (the datagram that an
//! error quotes), [`extension`] (what routers append to an error: MPLS labels, interfaces),
//! [`extended_echo`] (RFC 8335: how an interface is), and
//! [`checksum`] (kept apart because only IPv6 covers a pseudo-header).

pub mod checksum;
pub mod extended_echo;
pub mod extension;
pub mod message;
pub mod quoted;
mod reason;

pub use checksum::Pseudo;
pub use extension::{Extensions, InterfaceInformation, MplsEntry, Object};
pub use message::{Echo, EncodeError, ErrorMessage, HEADER_LEN, Message, Other, ParseError};
pub use quoted::{Quoted, QuotedTransport};
pub use reason::{ParameterProblem, Reason, Redirect, TimeExceeded, Unreachable};

/// Which of the two protocols a message belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    /// ICMP over IPv4 (RFC 792).
    V4,
    /// ICMPv6 (RFC 4443).
    V6,
}

impl Version {
    /// The version that talks about `address`.
    pub const fn of(address: std::net::IpAddr) -> Version {
        match address {
            std::net::IpAddr::V4(_) => Version::V4,
            std::net::IpAddr::V6(_) => Version::V6,
        }
    }
}

#[cfg(test)]
mod tests;
