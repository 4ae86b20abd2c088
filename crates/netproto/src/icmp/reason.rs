//! Why a datagram was not delivered: the types and codes of the error messages, by meaning.
//!
//! A code that has the same meaning in both versions has one name here; a code that nobody has
//! assigned keeps its number, so that it survives being read and written again.

use std::net::Ipv4Addr;

use super::Version;

/// What an ICMP error says about the datagram that it quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// It cannot be delivered (IPv4 type 3, IPv6 type 1).
    Unreachable(Unreachable),
    /// It is larger than the next link takes and may not be fragmented (IPv4 type 3 code 4 with
    /// the next-hop MTU of RFC 1191, zero from old routers; IPv6 type 2).
    PacketTooBig {
        /// The largest packet that the next link takes, in octets.
        mtu: u32,
    },
    /// It, or one of its fragments, lived too long (IPv4 type 11, IPv6 type 3).
    TimeExceeded(TimeExceeded),
    /// A field of its header makes no sense (IPv4 type 12, IPv6 type 4).
    ParameterProblem(ParameterProblem),
    /// A router asks to slow down (IPv4 type 4, deprecated by RFC 6633).
    SourceQuench {
        /// Zero from every known sender.
        code: u8,
    },
    /// There is a better first hop (IPv4 type 5).
    Redirect(Redirect),
}

/// The codes of "destination unreachable".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unreachable {
    /// No route to the network (IPv4 code 0, IPv6 code 0).
    NoRoute,
    /// The host does not answer on its link (IPv4 code 1, IPv6 code 3).
    Host,
    /// The host does not speak the protocol (IPv4 code 2).
    Protocol,
    /// Nothing listens on the port (IPv4 code 3, IPv6 code 4).
    Port,
    /// The source route failed (IPv4 code 5).
    SourceRouteFailed,
    /// The network is unknown (IPv4 code 6).
    NetUnknown,
    /// The host is unknown (IPv4 code 7).
    HostUnknown,
    /// The source host is isolated (IPv4 code 8).
    SourceHostIsolated,
    /// The network is administratively prohibited (IPv4 code 9).
    NetProhibited,
    /// The host is administratively prohibited (IPv4 code 10).
    HostProhibited,
    /// The network is unreachable for the type of service (IPv4 code 11).
    NetForTypeOfService,
    /// The host is unreachable for the type of service (IPv4 code 12).
    HostForTypeOfService,
    /// Communication is administratively prohibited, as by a filter (IPv4 code 13, IPv6 code 1).
    AdministrativelyProhibited,
    /// Host precedence violation (IPv4 code 14).
    PrecedenceViolation,
    /// Precedence cutoff in effect (IPv4 code 15).
    PrecedenceCutoff,
    /// Beyond the scope of the source address (IPv6 code 2).
    BeyondScope,
    /// The source address failed an ingress or egress policy (IPv6 code 5).
    SourcePolicy,
    /// A reject route to the destination (IPv6 code 6).
    RejectRoute,
    /// A code without a meaning in its version.
    Unknown(u8),
}

/// The meanings of the IPv4 codes, at the code's index; code 4 is [`Reason::PacketTooBig`].
const UNREACHABLE_V4: [Option<Unreachable>; 16] = [
    Some(Unreachable::NoRoute),
    Some(Unreachable::Host),
    Some(Unreachable::Protocol),
    Some(Unreachable::Port),
    None,
    Some(Unreachable::SourceRouteFailed),
    Some(Unreachable::NetUnknown),
    Some(Unreachable::HostUnknown),
    Some(Unreachable::SourceHostIsolated),
    Some(Unreachable::NetProhibited),
    Some(Unreachable::HostProhibited),
    Some(Unreachable::NetForTypeOfService),
    Some(Unreachable::HostForTypeOfService),
    Some(Unreachable::AdministrativelyProhibited),
    Some(Unreachable::PrecedenceViolation),
    Some(Unreachable::PrecedenceCutoff),
];

/// The meanings of the IPv6 codes, at the code's index (RFC 4443 §3.1).
const UNREACHABLE_V6: [Option<Unreachable>; 7] = [
    Some(Unreachable::NoRoute),
    Some(Unreachable::AdministrativelyProhibited),
    Some(Unreachable::BeyondScope),
    Some(Unreachable::Host),
    Some(Unreachable::Port),
    Some(Unreachable::SourcePolicy),
    Some(Unreachable::RejectRoute),
];

const fn unreachable_codes(version: Version) -> &'static [Option<Unreachable>] {
    match version {
        Version::V4 => &UNREACHABLE_V4,
        Version::V6 => &UNREACHABLE_V6,
    }
}

impl Unreachable {
    fn from_code(version: Version, code: u8) -> Unreachable {
        unreachable_codes(version)
            .get(usize::from(code))
            .copied()
            .flatten()
            .unwrap_or(Unreachable::Unknown(code))
    }

    /// The code on the wire; `None` where the version has none for this meaning.
    fn code(self, version: Version) -> Option<u8> {
        if let Unreachable::Unknown(code) = self {
            return Some(code);
        }
        let codes = unreachable_codes(version);
        let at = codes.iter().position(|&meaning| meaning == Some(self))?;
        u8::try_from(at).ok()
    }
}

/// The codes of "time exceeded".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimeExceeded {
    /// The TTL or hop limit ran out on the way (code 0).
    InTransit,
    /// Fragments were missing for too long (code 1).
    Reassembly,
    /// A code without a meaning.
    Unknown(u8),
}

impl TimeExceeded {
    const fn from_code(code: u8) -> TimeExceeded {
        match code {
            0 => TimeExceeded::InTransit,
            1 => TimeExceeded::Reassembly,
            code => TimeExceeded::Unknown(code),
        }
    }

    const fn code(self) -> u8 {
        match self {
            TimeExceeded::InTransit => 0,
            TimeExceeded::Reassembly => 1,
            TimeExceeded::Unknown(code) => code,
        }
    }
}

/// Which field of the header was wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ParameterProblem {
    /// IPv4: 0 means that `pointer` is valid. IPv6: 0 a header field, 1 a next header, 2 an
    /// option (RFC 4443 §3.4).
    pub code: u8,
    /// The offset of the offending octet in the quoted datagram; IPv4 has eight bits for it.
    pub pointer: u32,
}

/// A better first hop (RFC 792).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Redirect {
    /// 0 network, 1 host, 2 type of service and network, 3 type of service and host.
    pub code: u8,
    /// The router to use instead.
    pub gateway: Ipv4Addr,
}

const V4_UNREACHABLE: u8 = 3;
const V4_SOURCE_QUENCH: u8 = 4;
const V4_REDIRECT: u8 = 5;
const V4_TIME_EXCEEDED: u8 = 11;
const V4_PARAMETER_PROBLEM: u8 = 12;
const V4_CODE_FRAGMENTATION_NEEDED: u8 = 4;
const V6_UNREACHABLE: u8 = 1;
const V6_PACKET_TOO_BIG: u8 = 2;
const V6_TIME_EXCEEDED: u8 = 3;
const V6_PARAMETER_PROBLEM: u8 = 4;

impl Reason {
    /// The meaning of a type, a code and the four octets that follow the checksum; `None` when
    /// the type is not that of an error.
    pub fn from_wire(version: Version, kind: u8, code: u8, rest: [u8; 4]) -> Option<Reason> {
        let word = u32::from_be_bytes(rest);
        Some(match (version, kind, code) {
            (Version::V4, V4_UNREACHABLE, V4_CODE_FRAGMENTATION_NEEDED) => Reason::PacketTooBig {
                // RFC 1191 §4: the low-order 16 bits.
                mtu: word & 0xffff,
            },
            // RFC 4443 §3.2: the receiver ignores the code.
            (Version::V6, V6_PACKET_TOO_BIG, _) => Reason::PacketTooBig { mtu: word },
            (Version::V4, V4_UNREACHABLE, _) | (Version::V6, V6_UNREACHABLE, _) => {
                Reason::Unreachable(Unreachable::from_code(version, code))
            }
            (Version::V4, V4_TIME_EXCEEDED, _) | (Version::V6, V6_TIME_EXCEEDED, _) => {
                Reason::TimeExceeded(TimeExceeded::from_code(code))
            }
            (Version::V4, V4_PARAMETER_PROBLEM, _) => Reason::ParameterProblem(ParameterProblem {
                code,
                pointer: u32::from(rest[0]),
            }),
            (Version::V6, V6_PARAMETER_PROBLEM, _) => Reason::ParameterProblem(ParameterProblem {
                code,
                pointer: word,
            }),
            (Version::V4, V4_SOURCE_QUENCH, _) => Reason::SourceQuench { code },
            (Version::V4, V4_REDIRECT, _) => Reason::Redirect(Redirect {
                code,
                gateway: Ipv4Addr::from(rest),
            }),
            _ => return None,
        })
    }

    /// Type, code and the four octets after the checksum, the RFC 4884 length left zero; `None`
    /// when the version cannot say this.
    pub fn to_wire(self, version: Version) -> Option<(u8, u8, [u8; 4])> {
        Some(match (version, self) {
            (Version::V4, Reason::Unreachable(why)) => (V4_UNREACHABLE, why.code(version)?, [0; 4]),
            (Version::V6, Reason::Unreachable(why)) => (V6_UNREACHABLE, why.code(version)?, [0; 4]),
            (Version::V4, Reason::PacketTooBig { mtu }) => {
                let mtu = u16::try_from(mtu).ok()?;
                let rest = u32::from(mtu).to_be_bytes();
                (V4_UNREACHABLE, V4_CODE_FRAGMENTATION_NEEDED, rest)
            }
            (Version::V6, Reason::PacketTooBig { mtu }) => {
                (V6_PACKET_TOO_BIG, 0, mtu.to_be_bytes())
            }
            (Version::V4, Reason::TimeExceeded(why)) => (V4_TIME_EXCEEDED, why.code(), [0; 4]),
            (Version::V6, Reason::TimeExceeded(why)) => (V6_TIME_EXCEEDED, why.code(), [0; 4]),
            (Version::V4, Reason::ParameterProblem(at)) => {
                let pointer = u8::try_from(at.pointer).ok()?;
                (V4_PARAMETER_PROBLEM, at.code, [pointer, 0, 0, 0])
            }
            (Version::V6, Reason::ParameterProblem(at)) => {
                (V6_PARAMETER_PROBLEM, at.code, at.pointer.to_be_bytes())
            }
            (Version::V4, Reason::SourceQuench { code }) => (V4_SOURCE_QUENCH, code, [0; 4]),
            (Version::V4, Reason::Redirect(to)) => (V4_REDIRECT, to.code, to.gateway.octets()),
            (Version::V6, Reason::SourceQuench { .. } | Reason::Redirect(_)) => return None,
        })
    }

    /// Where RFC 4884 puts the length of the quoted datagram in the four octets after the
    /// checksum; `None` for messages that it does not extend.
    pub(super) fn length_octet(self, version: Version) -> Option<usize> {
        match (version, self) {
            // RFC 4884 §4.1–4.3.
            (
                Version::V4,
                Reason::Unreachable(_)
                | Reason::PacketTooBig { .. }
                | Reason::TimeExceeded(_)
                | Reason::ParameterProblem(_),
            ) => Some(1),
            // RFC 4884 §4.4–4.5.
            (Version::V6, Reason::Unreachable(_) | Reason::TimeExceeded(_)) => Some(0),
            _ => None,
        }
    }
}
