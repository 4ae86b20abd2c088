//! What the probes look like on the wire, and which of them an answer is for.
//!
//! All probes of a flow look alike to a load balancer, which hashes addresses, protocol and
//! ports, and of ICMP the checksum (Paris traceroute, Augustin et al. 2006). What tells them apart
//! is two octets of data, which a router quotes and which move the UDP checksum; the sequence
//! number of the echo, whose effect on the checksum two octets of data undo; or TCP's sequence
//! number. Behind the two octets stand four of a secret, by which a probe is known even if a NAT
//! has rewritten all else.
//!
//! Read [`datagram`](Wire::datagram) first, then `answer` (bytes to [`Heard`](crate::probe::Heard)).

mod answer;
mod checksum;
mod tcp;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use netproto::icmp::{Echo, Message, Pseudo, Version};

use crate::probe::Probe;
use checksum::transport_checksum;

pub use answer::Understood;
pub use tcp::SYN_LEN;

const UDP_HEADER_LEN: usize = 8;
/// The probe's number, or what balances it.
const TAG_LEN: usize = 2;
const SECRET_LEN: usize = 4;
/// The UDP or ICMP header and the tag: what a probe has at least behind its IP header.
pub const SHORTEST_PAYLOAD_LEN: usize = UDP_HEADER_LEN + TAG_LEN;

/// IANA's protocol numbers.
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const UDP_LITE: u8 = 136;

/// The shape of a trace's probes.
#[derive(Debug, Clone)]
pub struct Wire {
    /// The address that they leave from.
    pub source: IpAddr,
    /// Where they go.
    pub target: SocketAddr,
    /// By way of whom, where that is asked for: quotes may be addressed to these too.
    pub gateways: Vec<Ipv4Addr>,
    /// What they are and how they are told apart.
    pub kind: Kind,
    /// Octets of IP header, options included.
    pub ip_header_len: usize,
    /// By which probes are known as those of this trace.
    pub secret: [u8; SECRET_LEN],
    /// DSCP and ECN as they are sent.
    pub traffic_class: u8,
}

/// What the probes are and how they are told apart.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// UDP or UDP-Lite with headers of our own; flows differ in the destination port.
    Udp {
        /// The source port.
        source_port: u16,
        /// `UDP` or `UDP_LITE`.
        protocol: u8,
    },
    /// UDP to one port after the other, from the target's port on.
    UdpPorts,
    /// Echo requests with sequence numbers; flows differ in the checksum.
    Echo {
        /// Their identifier.
        identifier: u16,
    },
    /// SYN segments; flows differ in the source port.
    Tcp {
        /// The source port of flow 0.
        source_port: u16,
        /// The sequence number of probe 0. Those of the others lie within a window of it, so that
        /// a target in SYN-RECEIVED resets instead of falling silent (RFC 9293 §3.10.7.4).
        first_sequence: u32,
    },
    /// Another protocol, without a header.
    Raw {
        /// Its number.
        protocol: u8,
    },
}

impl Wire {
    /// What is sent for a probe, from the transport header on; for [`Kind::UdpPorts`] the data
    /// only, for there the kernel writes the header.
    pub fn datagram(&self, probe: Probe) -> Vec<u8> {
        let payload_len = usize::from(probe.packet_len).saturating_sub(self.ip_header_len);
        match self.kind {
            Kind::UdpPorts => self.data(probe.number, payload_len.saturating_sub(UDP_HEADER_LEN)),
            Kind::Raw { .. } => self.data(probe.number, payload_len),
            Kind::Udp { .. } => {
                let data_len = payload_len.saturating_sub(UDP_HEADER_LEN);
                let port = self.port(probe.flow);
                self.udp(port, &self.data(probe.number, data_len))
            }
            Kind::Echo { identifier } => {
                let data_len = payload_len.saturating_sub(UDP_HEADER_LEN);
                self.echo(identifier, probe.number, probe.flow, data_len)
            }
            Kind::Tcp {
                source_port,
                first_sequence,
            } => tcp::syn(
                SocketAddr::new(self.source, source_port.wrapping_add(probe.flow)),
                self.target,
                first_sequence.wrapping_add(u32::from(probe.number)),
            ),
        }
    }

    /// Where a probe goes. Raw sockets take no port here.
    pub fn destination(&self, probe: Probe) -> SocketAddr {
        let mut to = self.target;
        to.set_port(match self.kind {
            Kind::UdpPorts => to.port().wrapping_add(probe.number),
            _ => 0,
        });
        to
    }

    /// The destination port of a flow of UDP.
    fn port(&self, flow: u16) -> u16 {
        self.target.port().wrapping_add(flow)
    }

    /// Tag, secret and a filling.
    fn data(&self, number: u16, len: usize) -> Vec<u8> {
        let tag = number.to_be_bytes();
        let filling = (b'@'..=b'_').cycle();
        tag.into_iter()
            .chain(self.secret)
            .chain(filling)
            .take(len.max(TAG_LEN))
            .collect()
    }

    fn echo(&self, identifier: u16, number: u16, flow: u16, data_len: usize) -> Vec<u8> {
        let sequence = number.wrapping_add(1);
        // Sequence and tag add up to the flow for every probe, and so does the checksum.
        let balance = u32::from(u16::MAX - sequence) + u32::from(flow);
        let balance = (balance & 0xffff) + (balance >> 16);
        let data = self.data(balance as u16, data_len);
        let echo = Message::EchoRequest(Echo {
            identifier,
            sequence,
            data: &data,
        });
        let mut bytes = vec![0; echo.encoded_len()];
        let encoded = echo.encode(self.version(), Pseudo::None, &mut bytes);
        debug_assert!(encoded.is_ok(), "both versions have an echo");
        bytes
    }

    fn udp(&self, port: u16, data: &[u8]) -> Vec<u8> {
        let Kind::Udp {
            source_port,
            protocol,
        } = self.kind
        else {
            return Vec::new();
        };
        let len = (UDP_HEADER_LEN + data.len()) as u16;
        let mut datagram = Vec::with_capacity(usize::from(len));
        // Of UDP-Lite the third field is what the checksum covers: all of it.
        for field in [source_port, port, len, 0] {
            datagram.extend(field.to_be_bytes());
        }
        datagram.extend(data);
        let sum = match transport_checksum(self.source, self.target.ip(), protocol, &datagram) {
            // RFC 768: a computed zero is sent as all ones.
            0 => u16::MAX,
            sum => sum,
        };
        datagram[6..8].copy_from_slice(&sum.to_be_bytes());
        datagram
    }

    /// The IP version.
    pub fn version(&self) -> Version {
        Version::of(self.target.ip())
    }
}

#[cfg(test)]
mod tests;
