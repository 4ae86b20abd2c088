//! Extended Echo (RFC 8335, PROBE): asking a node how one of its interfaces is.

use std::net::IpAddr;

use super::checksum::{self, Pseudo};
use super::message::{EncodeError, Message, Other, ParseError};
use super::{Version, extension};

const V4_REQUEST: u8 = 42;
const V4_REPLY: u8 = 43;
const V6_REQUEST: u8 = 160;
const V6_REPLY: u8 = 161;
/// The L bit: the interface is one of the node that is asked (RFC 8335 §2).
const LOCAL: u8 = 1;

/// The class of the Interface Identification Object and its types (RFC 8335 §2.1).
const CLASS_INTERFACE_IDENTIFICATION: u8 = 3;
const BY_NAME: u8 = 1;
const BY_INDEX: u8 = 2;
const BY_ADDRESS: u8 = 3;
/// Address family numbers of IANA.
const AFI_IPV4: u8 = 1;
const AFI_IPV6: u8 = 2;
/// The longest name, in octets (ifName of RFC 2863 has at most 255, Linux's 15).
pub const LONGEST_NAME: usize = 255;

/// Which interface is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InterfaceQuery {
    /// By its ifName; of [`LONGEST_NAME`] octets at most.
    Name(String),
    /// By its ifIndex.
    Index(u32),
    /// By one of its addresses.
    Address(IpAddr),
}

/// What came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExtendedReply {
    /// The identifier of the request.
    pub identifier: u16,
    /// Its sequence number, which has eight bits.
    pub sequence: u8,
    /// What is said of the interface.
    pub state: InterfaceState,
}

/// What is said of an interface (RFC 8335 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InterfaceState {
    /// There is one.
    Found {
        /// Whether it is up.
        active: bool,
        /// Whether IPv4 runs on it.
        ipv4: bool,
        /// Whether IPv6 runs on it.
        ipv6: bool,
    },
    /// The node did not understand the question.
    MalformedQuery,
    /// There is none.
    NoSuchInterface,
    /// The table that was asked for has no such entry.
    NoSuchEntry,
    /// Several fit.
    Several,
    /// A code that the RFC does not know.
    Unknown(u8),
}

/// The type of requests, as an error quotes it.
pub const fn request_kind(version: Version) -> u8 {
    match version {
        Version::V4 => V4_REQUEST,
        Version::V6 => V6_REQUEST,
    }
}

/// Writes a request; `into` is made to fit. The checksum of ICMPv6 is left to the kernel.
pub fn encode(
    version: Version,
    identifier: u16,
    sequence: u8,
    interface: &InterfaceQuery,
    into: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let [a, b] = identifier.to_be_bytes();
    let body = extension::structure(
        CLASS_INTERFACE_IDENTIFICATION,
        interface.kind(),
        |payload| {
            interface.write(payload);
        },
    );
    let message = Message::Other(Other {
        kind: request_kind(version),
        code: 0,
        rest: [a, b, sequence, LOCAL],
        body: &body,
    });
    into.resize(message.encoded_len(), 0);
    message.encode(version, Pseudo::None, into)
}

/// Reads a reply; nothing where the message is another.
pub fn parse_reply(version: Version, bytes: &[u8]) -> Result<Option<ExtendedReply>, ParseError> {
    let reply = match version {
        Version::V4 => V4_REPLY,
        Version::V6 => V6_REPLY,
    };
    let Message::Other(Other {
        kind, code, rest, ..
    }) = Message::parse(version, bytes)?
    else {
        return Ok(None);
    };
    let [a, b, sequence, flags] = rest;
    Ok((kind == reply).then(|| ExtendedReply {
        identifier: u16::from_be_bytes([a, b]),
        sequence,
        state: InterfaceState::read(code, flags),
    }))
}

/// Identifier and sequence number of the request of which an error quotes these octets.
pub fn quoted_request(version: Version, quoted: &[u8]) -> Option<(u16, u8)> {
    match *quoted.first_chunk()? {
        [kind, 0, _, _, a, b, sequence, _] if kind == request_kind(version) => {
            Some((u16::from_be_bytes([a, b]), sequence))
        }
        _ => None,
    }
}

impl InterfaceQuery {
    const fn kind(&self) -> u8 {
        match self {
            InterfaceQuery::Name(_) => BY_NAME,
            InterfaceQuery::Index(_) => BY_INDEX,
            InterfaceQuery::Address(_) => BY_ADDRESS,
        }
    }

    fn write(&self, payload: &mut Vec<u8>) {
        match self {
            InterfaceQuery::Name(name) => {
                payload.extend_from_slice(&name.as_bytes()[..name.len().min(LONGEST_NAME)]);
                // RFC 8335 §2.1: padded with NULs to a multiple of four.
                payload.resize(payload.len().next_multiple_of(4), 0);
            }
            InterfaceQuery::Index(index) => payload.extend_from_slice(&index.to_be_bytes()),
            InterfaceQuery::Address(IpAddr::V4(address)) => {
                payload.extend_from_slice(&[0, AFI_IPV4, 4, 0]);
                payload.extend_from_slice(&address.octets());
            }
            InterfaceQuery::Address(IpAddr::V6(address)) => {
                payload.extend_from_slice(&[0, AFI_IPV6, 16, 0]);
                payload.extend_from_slice(&address.octets());
            }
        }
    }
}

impl InterfaceState {
    const fn read(code: u8, flags: u8) -> InterfaceState {
        match code {
            // RFC 8335 §3: State (3 bits), reserved (2), then A, 4 and 6.
            0 => InterfaceState::Found {
                active: flags & 0b100 != 0,
                ipv4: flags & 0b010 != 0,
                ipv6: flags & 0b001 != 0,
            },
            1 => InterfaceState::MalformedQuery,
            2 => InterfaceState::NoSuchInterface,
            3 => InterfaceState::NoSuchEntry,
            4 => InterfaceState::Several,
            code => InterfaceState::Unknown(code),
        }
    }

    /// Whether the interface is there and up.
    pub const fn is_active(self) -> bool {
        matches!(self, InterfaceState::Found { active: true, .. })
    }
}

/// Whether the checksum of an IPv4 reply is right.
pub fn is_intact(version: Version, bytes: &[u8]) -> bool {
    version == Version::V6 || checksum::is_valid(bytes, Pseudo::None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_laid_out_as_in_the_rfc() {
        // The checksum of the structure for eth0, by hand: 2000 + 0008 + 0301 + 6574 + 6830 =
        // f0ad, whose complement is 0f52.
        let eth0 = InterfaceQuery::Name("eth0".to_owned());
        let mut bytes = Vec::new();
        encode(Version::V6, 0x1234, 7, &eth0, &mut bytes).unwrap();
        let header = [160, 0, 0x12, 0x34, 7, 1];
        assert_eq!([&bytes[..2], &bytes[4..8]].concat(), header);
        let structure = [0x20, 0, 0x0f, 0x52, 0, 8, 3, 1, b'e', b't', b'h', b'0'];
        assert_eq!(bytes[8..], structure);
        for (query, object) in [
            (
                InterfaceQuery::Name("lo".into()),
                vec![0, 8, 3, 1, b'l', b'o', 0, 0],
            ),
            (InterfaceQuery::Index(258), vec![0, 8, 3, 2, 0, 0, 1, 2]),
            (
                InterfaceQuery::Address([192, 0, 2, 1].into()),
                vec![0, 12, 3, 3, 0, 1, 4, 0, 192, 0, 2, 1],
            ),
        ] {
            encode(Version::V4, 1, 1, &query, &mut bytes).unwrap();
            assert_eq!(bytes[0], 42);
            assert!(checksum::is_valid(&bytes, Pseudo::None));
            assert!(checksum::is_valid(&bytes[8..], Pseudo::None));
            assert_eq!(bytes[12..], object, "{query:?}");
        }
    }

    #[test]
    fn replies_say_how_the_interface_is() {
        let found = |active, ipv4, ipv6| InterfaceState::Found { active, ipv4, ipv6 };
        for (code, flags, state) in [
            (0, 0b0000_0111, found(true, true, true)),
            (0, 0b0100_0110, found(true, true, false)),
            (0, 0b0000_0001, found(false, false, true)),
            (1, 0, InterfaceState::MalformedQuery),
            (2, 7, InterfaceState::NoSuchInterface),
            (3, 0, InterfaceState::NoSuchEntry),
            (4, 0, InterfaceState::Several),
            (9, 0, InterfaceState::Unknown(9)),
        ] {
            let bytes = [161, code, 0, 0, 0x12, 0x34, 7, flags];
            let reply = parse_reply(Version::V6, &bytes).unwrap();
            let expected = ExtendedReply {
                identifier: 0x1234,
                sequence: 7,
                state,
            };
            assert_eq!(reply, Some(expected));
            assert_eq!(parse_reply(Version::V4, &bytes).unwrap(), None);
            for len in 0..8 {
                assert!(parse_reply(Version::V6, &bytes[..len]).is_err());
            }
        }
    }
}
