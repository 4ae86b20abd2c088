//! SYN segments, and what a target answers to them.

use std::net::SocketAddr;

use super::TCP;
use super::checksum::transport_checksum;

/// Octets of a SYN: the header and its options.
pub const SYN_LEN: usize = 40;
const HEADER_LEN: usize = 20;
const FLAG_SYN: u8 = 0x02;
const FLAG_RST: u8 = 0x04;
const FLAG_ACK: u8 = 0x10;
/// What hosts advertise who know nothing yet.
const WINDOW: u16 = 5840;
/// The options that Linux sends, so that filters see an ordinary SYN: maximum segment size 1460,
/// selective acknowledgements, timestamps, window scale (RFC 9293 §3.1, RFC 2018, RFC 7323).
const OPTIONS: [u8; SYN_LEN - HEADER_LEN] = [
    2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7,
];

/// A SYN segment.
pub(super) fn syn(from: SocketAddr, to: SocketAddr, sequence: u32) -> Vec<u8> {
    let mut segment = Vec::with_capacity(SYN_LEN);
    segment.extend(from.port().to_be_bytes());
    segment.extend(to.port().to_be_bytes());
    segment.extend(sequence.to_be_bytes());
    segment.extend([0; 4]);
    let offset = (SYN_LEN / 4) as u8;
    segment.extend([offset << 4, FLAG_SYN]);
    segment.extend(WINDOW.to_be_bytes());
    // Checksum and urgent pointer.
    segment.extend([0; 4]);
    segment.extend(OPTIONS);
    let sum = transport_checksum(from.ip(), to.ip(), TCP, &segment);
    segment[16..18].copy_from_slice(&sum.to_be_bytes());
    segment
}

/// The sequence number of the SYN that a segment answers: a SYN/ACK or a reset acknowledges it.
/// The segment's ports are the third and fourth result: of the target, and of the prober.
pub(super) fn answered(segment: &[u8]) -> Option<(u32, u16, u16)> {
    let header = segment.first_chunk::<HEADER_LEN>()?;
    let flags = header[13];
    if flags & FLAG_ACK == 0 || flags & (FLAG_SYN | FLAG_RST) == 0 {
        return None;
    }
    let [a, b, c, d, ..] = header[8..] else {
        return None;
    };
    let sequence = u32::from_be_bytes([a, b, c, d]).wrapping_sub(1);
    let port = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    Some((sequence, port(0), port(2)))
}
