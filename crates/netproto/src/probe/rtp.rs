//! An RTP header (RFC 3550 §5.1) before a probe, so that a program that knows RTP and nothing of
//! probes computes loss and jitter of them too.
//!
//! ```text
//!  0         1              2          4           8      12
//!  ├─────────┼──────────────┼──────────┼───────────┼──────┼───────┐
//!  │ version │ payload type │ sequence │ timestamp │ SSRC │ probe …
//!  └─────────┴──────────────┴──────────┴───────────┴──────┴───────┘
//! ```

use std::time::Duration;

/// Bytes before the probe.
pub const RTP_HEADER_LEN: usize = 12;
/// Version 2, no padding, no extension, no contributing sources.
const VERSION: u8 = 0x80;
/// MP2T: the payload types 0 to 34 have a fixed clock (RFC 3551 §6), and this one the finest.
const PAYLOAD_TYPE: u8 = 33;
/// Ticks a second of its clock.
pub const RTP_CLOCK_HZ: u64 = 90_000;

/// What is read of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rtp {
    /// Counts packets and wraps.
    pub sequence: u16,
    /// When it was sent, in ticks of the payload's clock, which wraps.
    pub timestamp: u32,
    /// Who sends.
    pub ssrc: u32,
    /// What the payload is, and with that how fast the clock ticks.
    pub payload_type: u8,
}

impl Rtp {
    /// That of a probe sent at this time, by any clock that keeps its pace.
    pub fn of_probe(sequence: u32, sent: Duration, nonce: u64) -> Rtp {
        // 90,000 ticks a second are 9 in 100 µs: no precision is lost before the division.
        let ticks = sent.as_nanos() * 9 / 100_000;
        Rtp {
            sequence: sequence as u16,
            timestamp: ticks as u32,
            ssrc: nonce as u32,
            payload_type: PAYLOAD_TYPE,
        }
    }

    /// The header's bytes.
    pub fn encode(self) -> [u8; RTP_HEADER_LEN] {
        let mut header = [0; RTP_HEADER_LEN];
        header[0] = VERSION;
        header[1] = self.payload_type;
        header[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        header[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        header[8..].copy_from_slice(&self.ssrc.to_be_bytes());
        header
    }

    /// Reads the header that a datagram begins with, and gives what follows its twelve bytes;
    /// `None` for what is no RTP of version 2, or has contributing sources or an extension.
    pub fn parse(datagram: &[u8]) -> Option<(Rtp, &[u8])> {
        let (header, rest) = datagram.split_first_chunk::<RTP_HEADER_LEN>()?;
        let [first, kind, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3] = *header;
        // The marker bit may be set; RTCP's types 200 to 204 are not RTP's (RFC 5761 §4).
        let payload_type = kind & 0x7f;
        if first != VERSION || (72..=76).contains(&payload_type) {
            return None;
        }
        let rtp = Rtp {
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes([c0, c1, c2, c3]),
            payload_type,
        };
        Some((rtp, rest))
    }

    /// Ticks a second of the payload types whose clock RFC 3551 §6 fixes; `None` for the others.
    pub fn clock_hz(self) -> Option<u64> {
        match self.payload_type {
            0 | 3 | 4 | 5 | 7 | 8 | 9 | 12 | 13 | 15 | 18 => Some(8_000),
            6 => Some(16_000),
            10 | 11 => Some(44_100),
            16 => Some(11_025),
            17 => Some(22_050),
            14 | 25 | 26 | 28 | 31..=34 => Some(90_000),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_that_of_rfc_3550() {
        // By hand: sent after 1 s, 90,000 ticks = 0x15f90; sequence 0x1_0002 wraps to 2.
        let rtp = Rtp::of_probe(0x1_0002, Duration::from_secs(1), 0xaabb_ccdd_1122_3344);
        let header = rtp.encode();
        assert_eq!(
            header,
            [0x80, 33, 0, 2, 0, 1, 0x5f, 0x90, 0x11, 0x22, 0x33, 0x44]
        );
        assert_eq!(rtp.clock_hz(), Some(RTP_CLOCK_HZ));
        let datagram = [header.as_slice(), b"rest"].concat();
        assert_eq!(Rtp::parse(&datagram), Some((rtp, b"rest".as_slice())));
    }

    #[test]
    fn what_is_no_rtp_is_not_read_as_such() {
        for begins in [[0x00, 33], [0x90, 33], [0x81, 33], [0x80, 200]] {
            let mut datagram = [0; 20];
            datagram[..2].copy_from_slice(&begins);
            assert_eq!(Rtp::parse(&datagram), None, "{begins:?}");
        }
        assert_eq!(Rtp::parse(&[0x80; 11]), None);
    }
}
