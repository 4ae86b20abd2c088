//! What the probes look like on the wire, and which of them an error quotes.
//!
//! All probes of a trace look alike to a load balancer, which hashes addresses, protocol and
//! ports, and of ICMP the checksum (Paris traceroute, Augustin et al. 2006). What tells them apart
//! is the UDP checksum, moved by two octets of data, or the sequence number of the echo, whose
//! effect on the checksum two octets of data undo.

use std::net::{IpAddr, SocketAddr};

use netproto::icmp::{Echo, Message, Pseudo, Quoted, QuotedTransport, Version, checksum};

use crate::mark::Mark;

const UDP_HEADER_LEN: usize = 8;
/// The probe's number, or what balances it.
const TAG_LEN: usize = 2;

/// The shape of a trace's probes.
#[derive(Debug, Clone)]
pub struct Wire {
    /// Where they go.
    pub target: SocketAddr,
    /// How they are told apart.
    pub flow: Flow,
    /// Octets of data behind the UDP or ICMP header.
    pub data_len: usize,
    /// How many probes there may be: their numbers are below it.
    pub probes: u16,
}

/// How the probes are told apart.
#[derive(Debug, Clone, Copy)]
pub enum Flow {
    /// One flow of UDP, told apart by its checksum.
    UdpChecksum {
        /// The address that the probes leave from, which the checksum covers.
        source: IpAddr,
        /// The source port.
        source_port: u16,
    },
    /// UDP to one port after the other, from the target's port on.
    UdpPorts,
    /// Echo requests with sequence numbers.
    Echo {
        /// Their identifier.
        identifier: u16,
    },
}

impl Wire {
    /// The datagram for probe `number`, from the UDP or ICMP header on; for [`Flow::UdpPorts`] the
    /// data only, for there the kernel writes the header.
    pub fn datagram(&self, number: u16) -> Vec<u8> {
        let mut data: Vec<u8> = (b'@'..=b'_')
            .cycle()
            .take(self.data_len.max(TAG_LEN))
            .collect();
        match self.flow {
            Flow::UdpPorts => data,
            Flow::UdpChecksum {
                source,
                source_port,
            } => {
                data[..TAG_LEN].copy_from_slice(&number.to_be_bytes());
                self.udp(source, source_port, &data)
            }
            Flow::Echo { identifier } => {
                let sequence = number + 1;
                // Sequence and tag add up to the same for every probe, and so does the checksum.
                data[..TAG_LEN].copy_from_slice(&(u16::MAX - sequence).to_be_bytes());
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
        }
    }

    /// Where probe `number` goes. Raw sockets take no port here.
    pub fn destination(&self, number: u16) -> SocketAddr {
        let mut to = self.target;
        to.set_port(match self.flow {
            Flow::UdpPorts => to.port() + number,
            _ => 0,
        });
        to
    }

    /// Which probe an ICMP message answers, and what it says.
    pub fn read(&self, bytes: &[u8]) -> Option<(u16, Mark)> {
        match (Message::parse(self.version(), bytes).ok()?, self.flow) {
            (Message::EchoReply(echo), Flow::Echo { identifier })
                if echo.identifier == identifier =>
            {
                Some((echo.sequence.checked_sub(1)?, Mark::Arrived))
            }
            (Message::Error(error), _) => {
                let quoted = error.quoted(self.version()).ok()?;
                Some((self.quoted(&quoted)?, Mark::of(error.reason)?))
            }
            _ => None,
        }
    }

    /// Which echo request the error queue kept, given from its ICMP header on.
    pub fn read_kept_echo(&self, destination: IpAddr, kept: &[u8]) -> Option<u16> {
        let protocol = match self.version() {
            Version::V4 => 1,
            Version::V6 => 58,
        };
        let transport = QuotedTransport::read(self.version(), protocol, false, kept);
        self.number_of(destination, &transport)
    }

    /// Which probe went to this address and port, of those that are told apart by their ports.
    pub fn number_of_port(&self, destination: SocketAddr) -> Option<u16> {
        (destination.ip() == self.target.ip())
            .then(|| destination.port().checked_sub(self.target.port()))
            .flatten()
    }

    /// Which probe a UDP datagram answers: the target listens after all. One flow has no port that
    /// tells; there an answer counts that repeats the probe's tag, as an echo service does.
    pub fn read_udp_answer(&self, from: SocketAddr, data: &[u8]) -> Option<u16> {
        match self.flow {
            Flow::UdpPorts => self.number_of_port(from),
            _ if from.ip() == self.target.ip() && from.port() == self.target.port() => {
                data.first_chunk().map(|tag| u16::from_be_bytes(*tag))
            }
            _ => None,
        }
    }

    fn quoted(&self, quoted: &Quoted<'_>) -> Option<u16> {
        self.number_of(quoted.destination, &quoted.transport)
    }

    fn number_of(&self, destination: IpAddr, transport: &QuotedTransport<'_>) -> Option<u16> {
        if destination != self.target.ip() {
            return None;
        }
        match (transport, self.flow) {
            (
                QuotedTransport::EchoRequest {
                    identifier,
                    sequence,
                    ..
                },
                Flow::Echo { identifier: ours },
            ) if *identifier == ours => sequence.checked_sub(1),
            (
                QuotedTransport::Udp {
                    source: from,
                    destination: to,
                    checksum,
                    data,
                    ..
                },
                Flow::UdpChecksum { source_port, .. },
            ) if (*from, *to) == (source_port, self.target.port()) => {
                // A router that quotes the data quotes it as it was; a checksum may have been
                // rewritten by a NAT, or left to the network card.
                match data.first_chunk() {
                    Some(tag) => Some(u16::from_be_bytes(*tag)),
                    None => (0..self.probes).find(|&number| self.checksum_of(number) == *checksum),
                }
            }
            _ => None,
        }
    }

    fn checksum_of(&self, number: u16) -> u16 {
        let datagram = self.datagram(number);
        u16::from_be_bytes([datagram[6], datagram[7]])
    }

    fn udp(&self, source: IpAddr, source_port: u16, data: &[u8]) -> Vec<u8> {
        let len = (UDP_HEADER_LEN + data.len()) as u16;
        let mut datagram = Vec::with_capacity(usize::from(len));
        for field in [source_port, self.target.port(), len, 0] {
            datagram.extend(field.to_be_bytes());
        }
        datagram.extend(data);
        let sum = match udp_checksum(source, self.target.ip(), &datagram) {
            // RFC 768: a computed zero is sent as all ones.
            0 => u16::MAX,
            sum => sum,
        };
        datagram[6..8].copy_from_slice(&sum.to_be_bytes());
        datagram
    }

    fn version(&self) -> Version {
        Version::of(self.target.ip())
    }
}

/// The checksum over pseudo-header and datagram (RFC 768, RFC 8200 §8.1).
fn udp_checksum(source: IpAddr, destination: IpAddr, datagram: &[u8]) -> u16 {
    const UDP: u8 = 17;
    let mut summed = Vec::with_capacity(40 + datagram.len());
    for address in [source, destination] {
        match address {
            IpAddr::V4(address) => summed.extend(address.octets()),
            IpAddr::V6(address) => summed.extend(address.octets()),
        }
    }
    summed.extend((datagram.len() as u32).to_be_bytes());
    summed.extend([0, 0, 0, UDP]);
    summed.extend(datagram);
    checksum::of(&summed, Pseudo::None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(flow: Flow) -> Wire {
        Wire {
            target: SocketAddr::from(([10, 0, 0, 2], 33_434)),
            flow,
            data_len: 32,
            probes: 5001,
        }
    }

    #[test]
    fn all_echo_requests_of_a_trace_have_one_checksum() {
        let wire = wire(Flow::Echo { identifier: 7 });
        let first = wire.datagram(0);
        for number in 1..90 {
            let datagram = wire.datagram(number);
            assert_eq!(datagram[2..4], first[2..4], "{number}");
            assert!(checksum::is_valid(&datagram, Pseudo::None));
        }
    }

    #[test]
    fn a_udp_probe_has_the_checksum_of_its_rfc_and_is_known_by_it() {
        let source = IpAddr::from([10, 0, 0, 1]);
        let wire = wire(Flow::UdpChecksum {
            source,
            source_port: 40_000,
        });
        for number in [0, 1, 89, 5000] {
            let datagram = wire.datagram(number);
            // A right checksum makes the sum all ones.
            let sum = udp_checksum(source, wire.target.ip(), &datagram);
            assert_eq!(sum, 0, "{number}");
            let quote_of =
                |len: usize| QuotedTransport::read(Version::V4, 17, false, &datagram[..len]);
            for len in [8, 10, datagram.len()] {
                let known = wire.number_of(wire.target.ip(), &quote_of(len));
                assert_eq!(known, Some(number), "quoted {len} octets");
            }
        }
    }
}
