//! The Internet checksum (RFC 1071) over an ICMP message.

use std::net::Ipv6Addr;

use etherparse::checksum::Sum16BitWords;

/// The protocol number of ICMPv6, which its pseudo-header contains (RFC 4443 §2.3).
const NEXT_HEADER_ICMPV6: u8 = 58;

/// What the checksum covers besides the message itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pseudo {
    /// IPv4: nothing.
    None,
    /// IPv6: the pseudo-header of RFC 8200 §8.1.
    V6 {
        /// The packet's source.
        source: Ipv6Addr,
        /// The packet's final destination.
        destination: Ipv6Addr,
    },
}

impl Pseudo {
    fn sum(self, message_len: usize) -> Sum16BitWords {
        match self {
            Pseudo::None => Sum16BitWords::new(),
            Pseudo::V6 {
                source,
                destination,
            } => Sum16BitWords::new()
                .add_16bytes(source.octets())
                .add_16bytes(destination.octets())
                .add_4bytes((message_len as u32).to_be_bytes())
                .add_2bytes([0, NEXT_HEADER_ICMPV6]),
        }
    }
}

/// Whether the checksum inside `message` is right: a sum that includes it is all ones.
pub fn is_valid(message: &[u8], pseudo: Pseudo) -> bool {
    of(message, pseudo) == 0
}

/// The checksum of `message`. Its own checksum field is summed as it stands, so it must be zero
/// when the result is to be written there.
pub fn of(message: &[u8], pseudo: Pseudo) -> u16 {
    pseudo
        .sum(message.len())
        .add_slice(message)
        .ones_complement()
        .to_be()
}
