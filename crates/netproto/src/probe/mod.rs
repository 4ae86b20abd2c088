//! The UDP probe that qos-client sends and every echo on the way returns.
//!
//! All integers are big-endian. The padding is what the length ordered leaves over.
//!
//! ```text
//!  0      4         5       6        8        16       24         28
//!  ├──────┼─────────┼───────┼────────┼────────┼────────┼──────────┼─────────┤
//!  │ WLQP │ version │ flags │ length │ run id │ nonce  │ sequence │ padding │
//!  └──────┴─────────┴───────┴────────┴────────┴────────┴──────────┴─────────┘
//! ```
//!
//! The length is that of the whole datagram, so that a truncated copy is seen; the padding follows
//! from the sequence number, so that a damaged one is. The nonce is drawn anew by each client of a
//! run, who counts an answer only when all of it matches.
//!
//! With flag 1 the probe asks to be stamped, and the first [`STAMPS`]` × 17` bytes of what would be
//! padding are slots for it: see [`mod@stamp`]. A datagram that does not ask is returned unchanged.

pub mod rtp;
mod stamp;
#[cfg(test)]
mod tests;

pub use stamp::{Node, STAMPED_HEADER_LEN, STAMPS, Stamp, asks, depart, stamp, stamps};

/// Bytes before the padding, and so the smallest probe.
pub const HEADER_LEN: usize = 28;

/// The largest payload of a UDP datagram over IPv4: 65,535 less 20 of IP and 8 of UDP.
pub const MAX_LEN: usize = 65_507;

/// The first four bytes of every probe.
pub const MAGIC: [u8; 4] = *b"WLQP";

/// The version of this layout.
pub const VERSION: u8 = 1;

/// The flag of a probe that asks to be stamped.
const ASKS_FOR_STAMPS: u8 = 1;
/// Where the flags are.
const FLAGS_AT: usize = 5;

/// One probe, without its padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// The test that it belongs to; the same for all clients of one run.
    pub run: u64,
    /// Drawn at random by the client that sent it.
    pub nonce: u64,
    /// Counted from zero in the order of sending.
    pub sequence: u32,
    /// Whether it asks the nodes on its way to stamp it.
    pub stamps: bool,
}

/// Why bytes are not a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// Fewer bytes than a header, or more than a datagram holds.
    #[error("a probe has {HEADER_LEN} to {MAX_LEN} bytes, not {0}")]
    Size(usize),
    /// Somebody else's datagram.
    #[error("it does not begin with the probe's magic")]
    Magic,
    /// A layout that this code does not know.
    #[error("version {0} of the probe is not known")]
    Version(u8),
    /// A flag that this code does not know.
    #[error("flags {0:#04x} of the probe are not known")]
    Flags(u8),
    /// The header says another length than the datagram has.
    #[error("{received} bytes of a probe of {stated}")]
    Length {
        /// In the header.
        stated: u16,
        /// In the datagram.
        received: usize,
    },
    /// A byte of the padding is not what the sender put there.
    #[error("the padding is damaged at byte {0}")]
    Padding(usize),
}

impl Probe {
    /// Fills `datagram` from its first byte to its last with this probe.
    ///
    /// # Errors
    /// [`ProbeError::Size`] when a probe cannot have this length; `datagram` is untouched then.
    pub fn encode(&self, datagram: &mut [u8]) -> Result<(), ProbeError> {
        let size = ProbeError::Size(datagram.len());
        let length = checked_length(datagram.len())?;
        if self.stamps && datagram.len() < STAMPED_HEADER_LEN {
            return Err(size);
        }
        let (header, padding) = datagram.split_first_chunk_mut::<HEADER_LEN>().ok_or(size)?;
        header[0..4].copy_from_slice(&MAGIC);
        header[4] = VERSION;
        header[FLAGS_AT] = if self.stamps { ASKS_FOR_STAMPS } else { 0 };
        header[6..8].copy_from_slice(&length.to_be_bytes());
        header[8..16].copy_from_slice(&self.run.to_be_bytes());
        header[16..24].copy_from_slice(&self.nonce.to_be_bytes());
        header[24..28].copy_from_slice(&self.sequence.to_be_bytes());
        for (i, byte) in padding.iter_mut().enumerate() {
            *byte = if i < self.slots() {
                0
            } else {
                self.padding_at(i)
            };
        }
        Ok(())
    }

    /// Reads a whole datagram. Whether run and nonce are the right ones is for the caller to say.
    pub fn parse(datagram: &[u8]) -> Result<Probe, ProbeError> {
        let size = ProbeError::Size(datagram.len());
        let length = checked_length(datagram.len())?;
        let (header, padding) = datagram.split_first_chunk::<HEADER_LEN>().ok_or(size)?;
        let [m0, m1, m2, m3, version, flags, l0, l1, ids @ ..] = *header;
        if [m0, m1, m2, m3] != MAGIC {
            return Err(ProbeError::Magic);
        }
        if version != VERSION {
            return Err(ProbeError::Version(version));
        }
        if flags & !ASKS_FOR_STAMPS != 0 {
            return Err(ProbeError::Flags(flags));
        }
        if flags != 0 && datagram.len() < STAMPED_HEADER_LEN {
            return Err(size);
        }
        let stated = u16::from_be_bytes([l0, l1]);
        if stated != length {
            let received = datagram.len();
            return Err(ProbeError::Length { stated, received });
        }
        let [
            r0,
            r1,
            r2,
            r3,
            r4,
            r5,
            r6,
            r7,
            n0,
            n1,
            n2,
            n3,
            n4,
            n5,
            n6,
            n7,
            s0,
            s1,
            s2,
            s3,
        ] = ids;
        let probe = Probe {
            run: u64::from_be_bytes([r0, r1, r2, r3, r4, r5, r6, r7]),
            nonce: u64::from_be_bytes([n0, n1, n2, n3, n4, n5, n6, n7]),
            sequence: u32::from_be_bytes([s0, s1, s2, s3]),
            stamps: flags == ASKS_FOR_STAMPS,
        };
        match (0..)
            .zip(padding)
            .skip(probe.slots())
            .find(|(i, byte)| **byte != probe.padding_at(*i))
        {
            Some((i, _)) => Err(ProbeError::Padding(HEADER_LEN + i)),
            None => Ok(probe),
        }
    }

    /// The sequence number that a damaged probe bears, for whoever has only that to go by: it may
    /// itself be what was damaged. `None` for what is cut off before it, or is somebody else's.
    pub fn claimed_sequence(datagram: &[u8]) -> Option<u32> {
        let header = datagram.first_chunk::<HEADER_LEN>()?;
        let sequence = header.last_chunk().filter(|_| header.starts_with(&MAGIC))?;
        Some(u32::from_be_bytes(*sequence))
    }

    /// Bytes of the slots for stamps, where padding would be.
    fn slots(&self) -> usize {
        if self.stamps {
            STAMPED_HEADER_LEN - HEADER_LEN
        } else {
            0
        }
    }

    /// Differs from byte to byte and from probe to probe, so that neither a shift nor the payload
    /// of another probe passes for the right one.
    fn padding_at(&self, i: usize) -> u8 {
        (self.sequence as u8).wrapping_add(i as u8)
    }
}

fn checked_length(length: usize) -> Result<u16, ProbeError> {
    u16::try_from(length)
        .ok()
        .filter(|_| (HEADER_LEN..=MAX_LEN).contains(&length))
        .ok_or(ProbeError::Size(length))
}
