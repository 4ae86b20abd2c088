//! From the bytes of an answer to the probe that it answers and what it says.

use std::net::{IpAddr, SocketAddr};

use netproto::icmp::{Message, Quoted, QuotedTransport, Reason, Version};

use super::{Kind, TAG_LEN, UDP_HEADER_LEN, Wire, tcp};
use crate::mark::Mark;
use crate::probe::{Extension, Quote, Rewritten, Told};

/// Which probe an answer is for, what it says, what else it tells.
pub type Understood = (u16, Mark, Told);

impl Wire {
    /// Reads an ICMP message that a raw socket heard.
    pub fn read_icmp(&self, bytes: &[u8]) -> Option<Understood> {
        match (Message::parse(self.version(), bytes).ok()?, self.kind) {
            (Message::EchoReply(echo), Kind::Echo { identifier })
                if echo.identifier == identifier =>
            {
                let number = echo.sequence.wrapping_sub(1);
                Some((number, Mark::Arrived, Told::default()))
            }
            (Message::Error(error), _) => {
                let quoted = error.quoted(self.version()).ok()?;
                let (number, rewritten) = self.identify(&quoted)?;
                let extensions = error
                    .extensions(self.version())
                    .map(|found| found.objects().map(Extension::from).collect())
                    .unwrap_or_default();
                let told = Told {
                    ttl: None,
                    quote: Some(Quote {
                        destination: quoted.destination,
                        ttl: quoted.ttl,
                        traffic_class: quoted.traffic_class,
                        rewritten,
                    }),
                    extensions,
                };
                Some((number, Mark::of(error.reason)?, told))
            }
            _ => None,
        }
    }

    /// Reads what a raw TCP socket heard: the target itself.
    pub fn read_tcp(&self, from: IpAddr, segment: &[u8]) -> Option<Understood> {
        let Kind::Tcp {
            source_port,
            first_sequence,
            ..
        } = self.kind
        else {
            return None;
        };
        let (sequence, theirs, ours) = tcp::answered(segment)?;
        if SocketAddr::new(from, theirs) != self.target || ours < source_port {
            return None;
        }
        let number = u16::try_from(sequence.wrapping_sub(first_sequence)).ok()?;
        Some((number, Mark::Arrived, Told::default()))
    }

    /// Reads an entry of an ICMP socket's error queue: the echo request is given from its ICMP
    /// header on.
    pub fn read_kept_echo(
        &self,
        destination: IpAddr,
        kept: &[u8],
        reason: Reason,
    ) -> Option<Understood> {
        let protocol = match self.version() {
            Version::V4 => 1,
            Version::V6 => 58,
        };
        let transport = QuotedTransport::read(self.version(), protocol, false, kept);
        match (transport, self.kind) {
            (
                QuotedTransport::EchoRequest {
                    identifier,
                    sequence,
                    ..
                },
                Kind::Echo { identifier: ours },
            ) if identifier == ours && destination == self.target.ip() => {
                let number = sequence.wrapping_sub(1);
                Some((number, Mark::of(reason)?, Told::default()))
            }
            _ => None,
        }
    }

    /// Reads an entry of a UDP socket's error queue: the port tells the probe.
    pub fn read_port_error(&self, destination: SocketAddr, reason: Reason) -> Option<Understood> {
        let number = self.number_of_port(destination)?;
        Some((number, Mark::of(reason)?, Told::default()))
    }

    /// Reads a UDP datagram: the target listens after all. One flow has no port that tells; there
    /// an answer counts that repeats the probe's tag, as an echo service or a name server does.
    pub fn read_udp_answer(&self, from: SocketAddr, data: &[u8]) -> Option<Understood> {
        let number = match self.kind {
            Kind::UdpPorts => self.number_of_port(from),
            _ if from.ip() == self.target.ip() => {
                data.first_chunk().map(|tag| u16::from_be_bytes(*tag))
            }
            _ => None,
        }?;
        Some((number, Mark::Arrived, Told::default()))
    }

    fn number_of_port(&self, destination: SocketAddr) -> Option<u16> {
        (destination.ip() == self.target.ip())
            .then(|| destination.port().checked_sub(self.target.port()))
            .flatten()
    }

    /// Which probe a quote is of, and what of it was rewritten. Without the secret, addresses and
    /// ports must be as they were sent.
    fn identify(&self, quoted: &Quoted<'_>) -> Option<(u16, Rewritten)> {
        let mut rewritten = Rewritten {
            source: (quoted.source != self.source).then_some(quoted.source),
            destination: self.foreign(quoted.destination),
            ..Rewritten::default()
        };
        match (quoted.transport, self.kind) {
            (
                QuotedTransport::EchoRequest {
                    identifier,
                    sequence,
                    data,
                    ..
                },
                Kind::Echo { identifier: ours },
            ) => {
                rewritten.source_port = (identifier != ours).then_some(identifier);
                self.trusted(&rewritten, data)
                    .then(|| (sequence.wrapping_sub(1), rewritten))
            }
            (
                QuotedTransport::Udp {
                    source,
                    destination,
                    len,
                    checksum,
                    data,
                },
                Kind::Udp {
                    source_port,
                    protocol,
                },
            ) if quoted.protocol == protocol => {
                rewritten.source_port = (source != source_port).then_some(source);
                // Flows lie above the first port; below it, it is not one of ours.
                rewritten.destination_port =
                    (destination < self.target.port()).then_some(destination);
                if !self.trusted(&rewritten, data) {
                    return None;
                }
                let len = usize::from(len).saturating_sub(UDP_HEADER_LEN);
                let number = if let Some(tag) = data.first_chunk() {
                    let number = u16::from_be_bytes(*tag);
                    let sent = self.udp_checksum(destination, number, len);
                    rewritten.checksum = (checksum != sent).then_some(checksum);
                    number
                } else {
                    // The tag is the only unknown in the sum, in which a step of one is a step
                    // of one the other way.
                    let untagged = self.udp_checksum(destination, 0, len);
                    ones_complement_difference(untagged, checksum)
                };
                Some((number, rewritten))
            }
            (
                QuotedTransport::Tcp {
                    source,
                    destination,
                    sequence,
                },
                Kind::Tcp {
                    source_port,
                    first_sequence,
                },
            ) => {
                // The upper half of the sequence number is as good as a secret.
                let number = u16::try_from(sequence.wrapping_sub(first_sequence)).ok()?;
                rewritten.source_port = (source < source_port).then_some(source);
                rewritten.destination_port =
                    (destination != self.target.port()).then_some(destination);
                Some((number, rewritten))
            }
            (QuotedTransport::Other(data), Kind::Raw { protocol })
                if quoted.protocol == protocol =>
            {
                let number = u16::from_be_bytes(*data.first_chunk()?);
                self.trusted(&rewritten, data)
                    .then_some((number, rewritten))
            }
            _ => None,
        }
    }

    /// The quoted destination, unless probes go there.
    fn foreign(&self, destination: IpAddr) -> Option<IpAddr> {
        let is_gateway = |gateway: &std::net::Ipv4Addr| IpAddr::from(*gateway) == destination;
        let ours = destination == self.target.ip() || self.gateways.iter().any(is_gateway);
        (!ours).then_some(destination)
    }

    /// Whether a probe is ours: as it was sent, or with the secret in its data.
    fn trusted(&self, rewritten: &Rewritten, data: &[u8]) -> bool {
        let as_sent = Rewritten {
            // A source that was rewritten alone cannot be another host's probe: ports and target
            // are still ours.
            source: rewritten.source,
            ..Rewritten::default()
        } == *rewritten;
        as_sent
            || data
                .get(TAG_LEN..)
                .is_some_and(|data| data.starts_with(&self.secret))
    }

    fn udp_checksum(&self, port: u16, number: u16, data_len: usize) -> u16 {
        let datagram = self.udp(port, &self.data(number, data_len));
        datagram
            .get(6..8)
            .and_then(|sum| sum.first_chunk())
            .map_or(0, |sum| u16::from_be_bytes(*sum))
    }
}

/// `from` less `by` in ones' complement arithmetic (RFC 1071).
fn ones_complement_difference(from: u16, by: u16) -> u16 {
    let sum = u32::from(from) + u32::from(!by);
    // Zero has two forms there; no probe has the number that the other would be.
    match ((sum & 0xffff) + (sum >> 16)) as u16 {
        u16::MAX => 0,
        difference => difference,
    }
}
