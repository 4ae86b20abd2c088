//! An ICMP message: the eight octets of header that all of them share, and what follows.

use super::checksum::{self, Pseudo};
use super::extension::{self, Extensions};
use super::quoted::{QuoteError, Quoted};
use super::{Reason, Version};

/// Type, code, checksum and four more octets: the shortest message.
pub const HEADER_LEN: usize = 8;

const V4_ECHO_REPLY: u8 = 0;
const V4_ECHO_REQUEST: u8 = 8;
const V6_ECHO_REQUEST: u8 = 128;
const V6_ECHO_REPLY: u8 = 129;

/// An ICMP message, borrowed from the buffer that it was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    /// "Answer me" (IPv4 type 8, IPv6 type 128).
    EchoRequest(Echo<'a>),
    /// The answer (IPv4 type 0, IPv6 type 129).
    EchoReply(Echo<'a>),
    /// A datagram was not delivered, and this is the datagram and why.
    Error(ErrorMessage<'a>),
    /// Any other type, or an echo with a code, kept as it came.
    Other(Other<'a>),
}

/// The fields of an echo request or reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Echo<'a> {
    /// Which process asks.
    pub identifier: u16,
    /// Which of its questions this is.
    pub sequence: u16,
    /// What the reply must repeat.
    pub data: &'a [u8],
}

/// An error and the datagram that it quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorMessage<'a> {
    /// What went wrong.
    pub reason: Reason,
    /// The RFC 4884 length of the quoted datagram, in 32-bit words for IPv4 and 64-bit words for
    /// IPv6; zero where the sender does not know RFC 4884 or has nothing to append.
    pub quoted_words: u8,
    /// The quoted datagram, and the extensions after it if there are any.
    pub body: &'a [u8],
}

impl<'a> ErrorMessage<'a> {
    /// The quoted datagram, read as far as it reaches.
    pub fn quoted(&self, version: Version) -> Result<Quoted<'a>, QuoteError> {
        let end = extension::split(version, self.reason, self.quoted_words, self.body)
            .map_or(self.body.len(), |split| split.quoted_len);
        Quoted::parse(version, &self.body[..end])
    }

    /// The RFC 4884 extensions, if there are any that are whole and pass their checksum.
    pub fn extensions(&self, version: Version) -> Option<Extensions<'a>> {
        extension::split(version, self.reason, self.quoted_words, self.body)
            .map(|split| split.extensions)
    }
}

/// A message that this model gives no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Other<'a> {
    /// The type.
    pub kind: u8,
    /// The code.
    pub code: u8,
    /// The four octets after the checksum.
    pub rest: [u8; 4],
    /// What follows them.
    pub body: &'a [u8],
}

/// The bytes are no ICMP message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an ICMP message has at least {HEADER_LEN} octets, this has {len}")]
pub struct ParseError {
    /// How many octets there were.
    pub len: usize,
}

/// A message could not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The buffer's length is not [`Message::encoded_len`].
    #[error("the message takes {needed} octets, the buffer has {len}")]
    BufferLength {
        /// The message's length.
        needed: usize,
        /// The buffer's.
        len: usize,
    },
    /// The version has no type or code for it, or too small a field.
    #[error("{0:?} has no words for this")]
    NotInVersion(Version),
}

impl<'a> Message<'a> {
    /// Reads a message. The checksum is a separate question ([`checksum::is_valid`]): a corrupt
    /// reply must be readable to be counted as one.
    pub fn parse(version: Version, bytes: &'a [u8]) -> Result<Message<'a>, ParseError> {
        let Some((&[kind, code, _, _, a, b, c, d], body)) = bytes.split_first_chunk::<HEADER_LEN>()
        else {
            return Err(ParseError { len: bytes.len() });
        };
        let rest = [a, b, c, d];
        let echo = Echo {
            identifier: u16::from_be_bytes([a, b]),
            sequence: u16::from_be_bytes([c, d]),
            data: body,
        };
        Ok(match (version, kind, code) {
            (Version::V4, V4_ECHO_REQUEST, 0) | (Version::V6, V6_ECHO_REQUEST, 0) => {
                Message::EchoRequest(echo)
            }
            (Version::V4, V4_ECHO_REPLY, 0) | (Version::V6, V6_ECHO_REPLY, 0) => {
                Message::EchoReply(echo)
            }
            _ => match Reason::from_wire(version, kind, code, rest) {
                Some(reason) => Message::Error(ErrorMessage {
                    reason,
                    quoted_words: reason.length_octet(version).map_or(0, |at| rest[at]),
                    body,
                }),
                None => Message::Other(Other {
                    kind,
                    code,
                    rest,
                    body,
                }),
            },
        })
    }

    /// How many octets [`encode`](Message::encode) writes.
    pub const fn encoded_len(&self) -> usize {
        HEADER_LEN
            + match self {
                Message::EchoRequest(echo) | Message::EchoReply(echo) => echo.data.len(),
                Message::Error(error) => error.body.len(),
                Message::Other(other) => other.body.len(),
            }
    }

    /// Writes the message, checksum and all, into a buffer of exactly
    /// [`encoded_len`](Message::encoded_len) octets.
    pub fn encode(
        &self,
        version: Version,
        pseudo: Pseudo,
        into: &mut [u8],
    ) -> Result<(), EncodeError> {
        let needed = self.encoded_len();
        let len = into.len();
        if needed != len {
            return Err(EncodeError::BufferLength { needed, len });
        }
        let Other {
            kind,
            code,
            rest,
            body,
        } = self.fields(version)?;
        let (header, data) = into.split_at_mut(HEADER_LEN);
        header[0] = kind;
        header[1] = code;
        header[2..4].fill(0);
        header[4..].copy_from_slice(&rest);
        data.copy_from_slice(body);
        let sum = checksum::of(into, pseudo);
        into[2..4].copy_from_slice(&sum.to_be_bytes());
        Ok(())
    }

    /// The message without a meaning: what goes on the wire.
    fn fields(&self, version: Version) -> Result<Other<'a>, EncodeError> {
        let (request, reply) = match version {
            Version::V4 => (V4_ECHO_REQUEST, V4_ECHO_REPLY),
            Version::V6 => (V6_ECHO_REQUEST, V6_ECHO_REPLY),
        };
        match self {
            Message::EchoRequest(echo) => Ok(echo.fields(request)),
            Message::EchoReply(echo) => Ok(echo.fields(reply)),
            Message::Error(error) => error
                .fields(version)
                .ok_or(EncodeError::NotInVersion(version)),
            Message::Other(other) => Ok(*other),
        }
    }
}

impl<'a> Echo<'a> {
    fn fields(&self, kind: u8) -> Other<'a> {
        let [a, b] = self.identifier.to_be_bytes();
        let [c, d] = self.sequence.to_be_bytes();
        Other {
            kind,
            code: 0,
            rest: [a, b, c, d],
            body: self.data,
        }
    }
}

impl<'a> ErrorMessage<'a> {
    fn fields(&self, version: Version) -> Option<Other<'a>> {
        let (kind, code, mut rest) = self.reason.to_wire(version)?;
        match self.reason.length_octet(version) {
            Some(at) => rest[at] = self.quoted_words,
            None if self.quoted_words != 0 => return None,
            None => {}
        }
        Some(Other {
            kind,
            code,
            rest,
            body: self.body,
        })
    }
}
