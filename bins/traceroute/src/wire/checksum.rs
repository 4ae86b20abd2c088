//! The checksum of UDP, UDP-Lite and TCP, which covers a pseudo-header.

use std::net::IpAddr;

use netproto::icmp::{Pseudo, checksum};

/// The checksum over pseudo-header and datagram (RFC 768, RFC 9293 §3.1, RFC 8200 §8.1).
pub(super) fn transport_checksum(
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    datagram: &[u8],
) -> u16 {
    let mut summed = Vec::with_capacity(40 + datagram.len());
    for address in [source, destination] {
        match address {
            IpAddr::V4(address) => summed.extend(address.octets()),
            IpAddr::V6(address) => summed.extend(address.octets()),
        }
    }
    summed.extend((datagram.len() as u32).to_be_bytes());
    summed.extend([0, 0, 0, protocol]);
    summed.extend(datagram);
    checksum::of(&summed, Pseudo::None)
}
