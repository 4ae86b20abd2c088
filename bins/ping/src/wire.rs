//! What the probes look like on the wire, and whether what came back answers one of them.

use std::net::IpAddr;

use netproto::icmp::extended_echo::{self, InterfaceQuery, InterfaceState};
use netproto::icmp::{
    Echo, EncodeError, Message, Pseudo, QuotedTransport, Reason, Version, checksum,
};

/// How much of the payload says whose probe it is; shorter payloads carry as much as fits.
const NONCE_LEN: usize = 8;

/// The shape of a session's probes.
#[derive(Debug, Clone)]
pub struct Wire {
    version: Version,
    identifier: u16,
    payload: Vec<u8>,
    nonce_len: usize,
    /// What is asked by Extended Echo instead of an echo.
    query: Option<InterfaceQuery>,
}

/// Something that came back for one of this session's probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incoming {
    /// An echo reply.
    Reply {
        /// Its sequence number.
        sequence: u16,
        /// The octets of the ICMP message.
        len: usize,
        /// What is wrong with it, if anything is.
        damage: Option<Damage>,
        /// What it says of the interface that was asked about.
        interface: Option<InterfaceState>,
    },
    /// An ICMP error that quotes a probe.
    Error {
        /// The probe's sequence number.
        sequence: u16,
        /// Where the probe was going.
        destination: IpAddr,
        /// What the error says.
        reason: Reason,
    },
}

/// What is wrong with a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// The checksum does not match.
    Checksum,
    /// There is less data than was sent.
    Truncated,
    /// An octet of the data is not what was sent.
    Data {
        /// Which octet of the data.
        at: usize,
        /// What was sent.
        sent: u8,
        /// What came back.
        received: u8,
    },
}

impl Damage {
    /// The word for it in JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Damage::Checksum => "checksum",
            Damage::Truncated => "truncated",
            Damage::Data { .. } => "data",
        }
    }
}

impl Wire {
    /// Probes of `size` octets of data: a nonce, then `pattern` repeated, or counting
    /// octets where there is none.
    pub fn new(
        version: Version,
        identifier: u16,
        size: usize,
        pattern: &[u8],
        nonce: [u8; NONCE_LEN],
    ) -> Wire {
        let mut payload: Vec<u8> = if pattern.is_empty() {
            (0..=u8::MAX).cycle().take(size).collect()
        } else {
            pattern.iter().copied().cycle().take(size).collect()
        };
        let nonce_len = size.min(NONCE_LEN);
        payload[..nonce_len].copy_from_slice(&nonce[..nonce_len]);
        Wire {
            version,
            identifier,
            payload,
            nonce_len,
            query: None,
        }
    }

    /// Probes that ask how an interface of the host is (RFC 8335).
    pub const fn of_interface(version: Version, identifier: u16, query: InterfaceQuery) -> Wire {
        Wire {
            version,
            identifier,
            payload: Vec::new(),
            nonce_len: 0,
            query: Some(query),
        }
    }

    /// Whether the sequence numbers have only eight bits on the wire.
    pub const fn numbers_are_octets(&self) -> bool {
        self.query.is_some()
    }

    /// Whether the probes have room for the whole nonce, so that a reply is known by it whoever
    /// sends it.
    pub const fn has_whole_nonce(&self) -> bool {
        self.nonce_len == NONCE_LEN
    }

    /// Writes the echo request with this sequence number; `into` is made to fit.
    pub fn request(&self, sequence: u16, into: &mut Vec<u8>) -> Result<(), EncodeError> {
        if let Some(query) = &self.query {
            let sequence = sequence as u8;
            return extended_echo::encode(self.version, self.identifier, sequence, query, into);
        }
        let message = Message::EchoRequest(Echo {
            identifier: self.identifier,
            sequence,
            data: &self.payload,
        });
        into.resize(message.encoded_len(), 0);
        // The kernel writes ICMPv6 checksums itself, for it knows the source address.
        message.encode(self.version, Pseudo::None, into)
    }

    /// Reads an ICMP message; `None` when it has nothing to do with this session.
    pub fn read(&self, bytes: &[u8]) -> Option<Incoming> {
        match Message::parse(self.version, bytes).ok()? {
            Message::EchoReply(echo)
                if echo.identifier == self.identifier && self.query.is_none() =>
            {
                self.read_reply(bytes, &echo)
            }
            Message::Error(error) => {
                let quoted = error.quoted(self.version).ok()?;
                let sequence = self.sequence_in(quoted.transport)?;
                Some(Incoming::Error {
                    sequence,
                    destination: quoted.destination,
                    reason: error.reason,
                })
            }
            Message::Other(_) if self.query.is_some() => self.read_extended(bytes),
            _ => None,
        }
    }

    /// Reads what the error queue kept of a probe: its ICMP header and what follows.
    pub fn read_quoted(
        &self,
        destination: IpAddr,
        reason: Reason,
        quoted: &[u8],
    ) -> Option<Incoming> {
        let protocol = match self.version {
            Version::V4 => 1,
            Version::V6 => 58,
        };
        let transport = QuotedTransport::read(self.version, protocol, false, quoted);
        let sequence = self.sequence_in(transport)?;
        Some(Incoming::Error {
            sequence,
            destination,
            reason,
        })
    }

    fn read_reply(&self, bytes: &[u8], echo: &Echo<'_>) -> Option<Incoming> {
        // The kernel has checked ICMPv6 already; of ICMPv4, raw sockets see everything.
        let intact = self.version == Version::V6 || checksum::is_valid(bytes, Pseudo::None);
        // Another process may use the same identifier; a broken nonce is only damage where the
        // checksum says that something is broken.
        if intact && !self.begins_with_nonce(echo.data) {
            return None;
        }
        let damage = if intact {
            self.damage(echo.data)
        } else {
            Some(Damage::Checksum)
        };
        Some(Incoming::Reply {
            sequence: echo.sequence,
            len: bytes.len(),
            damage,
            interface: None,
        })
    }

    fn read_extended(&self, bytes: &[u8]) -> Option<Incoming> {
        let reply = extended_echo::parse_reply(self.version, bytes).ok()??;
        let intact = extended_echo::is_intact(self.version, bytes);
        (reply.identifier == self.identifier).then(|| Incoming::Reply {
            sequence: u16::from(reply.sequence),
            len: bytes.len(),
            damage: (!intact).then_some(Damage::Checksum),
            interface: Some(reply.state),
        })
    }

    /// Whether `data` begins as a probe's does, as far as it reaches: RFC 792 errors quote none.
    fn begins_with_nonce(&self, data: &[u8]) -> bool {
        let len = self.nonce_len.min(data.len());
        data[..len] == self.payload[..len]
    }

    fn damage(&self, data: &[u8]) -> Option<Damage> {
        if data.len() < self.payload.len() {
            return Some(Damage::Truncated);
        }
        let at = (0..self.payload.len()).find(|&at| data[at] != self.payload[at])?;
        Some(Damage::Data {
            at,
            sent: self.payload[at],
            received: data[at],
        })
    }

    fn sequence_in(&self, transport: QuotedTransport<'_>) -> Option<u16> {
        match transport {
            QuotedTransport::EchoRequest {
                identifier,
                sequence,
                data,
                ..
            } if identifier == self.identifier && self.begins_with_nonce(data) => Some(sequence),
            QuotedTransport::Other(quoted) if self.query.is_some() => {
                let (identifier, sequence) = extended_echo::quoted_request(self.version, quoted)?;
                (identifier == self.identifier).then_some(u16::from(sequence))
            }
            _ => None,
        }
    }
}
