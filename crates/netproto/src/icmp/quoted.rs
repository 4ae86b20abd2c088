//! The datagram inside an ICMP error, which may be cut off anywhere after its IP header.

use std::net::IpAddr;

use etherparse::{LaxIpSlice, ip_number};

use super::Version;
use crate::ipv6;

/// What an error quotes of the datagram that caused it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quoted<'a> {
    /// Who sent it.
    pub source: IpAddr,
    /// Whom it was for.
    pub destination: IpAddr,
    /// Its TTL or hop limit when it arrived where the error was made.
    pub ttl: u8,
    /// Its type of service or traffic class: DSCP and ECN.
    pub traffic_class: u8,
    /// Its identification: always in IPv4, in IPv6 only in a fragment.
    pub identification: Option<u32>,
    /// Its length in octets, IP header included, as its header says.
    pub total_len: u32,
    /// The protocol number of what it carries, past any IPv6 extension headers.
    pub protocol: u8,
    /// What it carries, as far as quoted.
    pub transport: QuotedTransport<'a>,
}

/// The first octets of the transport header, which is all that RFC 792 promises (eight).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotedTransport<'a> {
    /// An echo request of the same version.
    EchoRequest {
        /// Its identifier.
        identifier: u16,
        /// Its sequence number.
        sequence: u16,
        /// Its checksum.
        checksum: u16,
        /// What is quoted of its data.
        data: &'a [u8],
    },
    /// UDP or UDP-Lite; the protocol number tells which.
    Udp {
        /// The source port.
        source: u16,
        /// The destination port.
        destination: u16,
        /// The length field.
        len: u16,
        /// The checksum.
        checksum: u16,
        /// What is quoted of its data.
        data: &'a [u8],
    },
    /// TCP; an error quotes at least this much.
    Tcp {
        /// The source port.
        source: u16,
        /// The destination port.
        destination: u16,
        /// The sequence number.
        sequence: u32,
    },
    /// A fragment other than the first: no transport header is in it.
    LaterFragment,
    /// Cut off before the eighth octet.
    Truncated(&'a [u8]),
    /// Another protocol, or another ICMP message.
    Other(&'a [u8]),
}

/// There is not even an IP header of the expected version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuoteError {
    /// The IP header is cut off or malformed.
    #[error("the quoted datagram has no whole IP header")]
    Header,
    /// An IPv4 error quotes an IPv6 datagram, or the other way round.
    #[error("the quoted datagram is of another IP version")]
    Version,
}

impl<'a> Quoted<'a> {
    /// Reads the quotation in an error of `version`.
    pub fn parse(version: Version, bytes: &'a [u8]) -> Result<Quoted<'a>, QuoteError> {
        let (ip, _) = LaxIpSlice::from_slice(bytes).map_err(|_| QuoteError::Header)?;
        match (version, ip) {
            (Version::V4, LaxIpSlice::Ipv4(packet)) => {
                let header = packet.header();
                let later = header.fragments_offset().value() > 0;
                Ok(Quoted {
                    source: header.source_addr().into(),
                    destination: header.destination_addr().into(),
                    ttl: header.ttl(),
                    traffic_class: header.dcp().value() << 2 | header.ecn().value(),
                    identification: Some(u32::from(header.identification())),
                    total_len: u32::from(header.total_len()),
                    protocol: packet.payload().ip_number.0,
                    transport: QuotedTransport::read(
                        version,
                        packet.payload().ip_number.0,
                        later,
                        packet.payload().payload,
                    ),
                })
            }
            (Version::V6, LaxIpSlice::Ipv6(packet)) => {
                let header = packet.header();
                let extensions = packet.extensions().slice();
                let fragment = ipv6::fragment(header.next_header().0, extensions);
                let later = fragment.is_some_and(|fragment| fragment.offset > 0);
                Ok(Quoted {
                    source: header.source_addr().into(),
                    destination: header.destination_addr().into(),
                    ttl: header.hop_limit(),
                    traffic_class: header.traffic_class(),
                    identification: fragment.and_then(|fragment| fragment.identification),
                    total_len: u32::from(header.payload_length()) + IPV6_HEADER_LEN,
                    protocol: packet.payload().ip_number.0,
                    transport: QuotedTransport::read(
                        version,
                        packet.payload().ip_number.0,
                        later,
                        packet.payload().payload,
                    ),
                })
            }
            _ => Err(QuoteError::Version),
        }
    }
}

const IPV6_HEADER_LEN: u32 = 40;
const UDP_LITE: u8 = 136;
const ECHO_REQUEST_V4: u8 = 8;
const ECHO_REQUEST_V6: u8 = 128;

impl<'a> QuotedTransport<'a> {
    /// Reads what the quoted datagram carried, `payload` being what is there after its IP header
    /// (and after IPv6 extension headers).
    pub fn read(
        version: Version,
        protocol: u8,
        later_fragment: bool,
        payload: &'a [u8],
    ) -> QuotedTransport<'a> {
        if later_fragment {
            return QuotedTransport::LaterFragment;
        }
        let Some((head, data)) = payload.split_first_chunk::<8>() else {
            return QuotedTransport::Truncated(payload);
        };
        let icmp = match version {
            Version::V4 => (ip_number::ICMP.0, ECHO_REQUEST_V4),
            Version::V6 => (ip_number::IPV6_ICMP.0, ECHO_REQUEST_V6),
        };
        let word = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
        match protocol {
            _ if (protocol, head[0]) == icmp && head[1] == 0 => QuotedTransport::EchoRequest {
                identifier: word(4),
                sequence: word(6),
                checksum: word(2),
                data,
            },
            // UDP-Lite has UDP's header, with the checksum's coverage for the length (RFC 3828 §3.1).
            _ if protocol == ip_number::UDP.0 || protocol == UDP_LITE => QuotedTransport::Udp {
                source: word(0),
                destination: word(2),
                len: word(4),
                checksum: word(6),
                data,
            },
            _ if protocol == ip_number::TCP.0 => QuotedTransport::Tcp {
                source: word(0),
                destination: word(2),
                sequence: u32::from(word(4)) << 16 | u32::from(word(6)),
            },
            _ => QuotedTransport::Other(payload),
        }
    }
}
