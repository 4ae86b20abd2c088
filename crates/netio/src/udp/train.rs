//! One or more datagrams of one peer, end to end in one buffer: what the kernel hands over as one
//! message when it coalesced (UDP_GRO), and what it takes as one message to cut up (UDP_SEGMENT).

use std::net::{IpAddr, SocketAddr};

/// Datagrams of one peer. All are `segment_size` bytes long but the last, which may be shorter. One
/// datagram alone has its own length as `segment_size`.
#[derive(Clone, Copy, Debug)]
pub struct Train<'d> {
    /// Who sent it, or who is to have it; none to send on a connected socket.
    pub peer: Option<SocketAddr>,
    /// The address of this machine that it was sent to, or is to be sent from. Known of sockets
    /// bound to the unspecified address, where an answer from another address of the machine would
    /// not be recognised.
    pub local: Option<Local>,
    /// The IP header's time to live or hop limit: as it came, or as it is to be sent (none: the
    /// system's default).
    pub hop_limit: Option<u8>,
    /// The datagrams' bytes.
    pub payload: &'d [u8],
    /// The length in bytes of each datagram but the last.
    pub segment_size: usize,
}

/// An address of this machine, as the packet information of ip(7) and ipv6(7) tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local {
    /// The address.
    pub address: IpAddr,
    /// The index of the interface; 0 leaves it to the routes.
    pub interface: u32,
    /// The datagram was sent to a broadcast or multicast address, so others have it too.
    pub shared: bool,
}

impl<'d> Train<'d> {
    /// One datagram.
    pub fn one(peer: Option<SocketAddr>, payload: &'d [u8]) -> Train<'d> {
        Train {
            peer,
            local: None,
            hop_limit: None,
            payload,
            segment_size: payload.len(),
        }
    }

    /// How many datagrams it is: at least one, as an empty datagram is one.
    pub fn count(&self) -> usize {
        if self.payload.len() <= self.segment_size {
            1
        } else {
            self.payload.len().div_ceil(self.segment_size)
        }
    }

    /// The payload of each datagram.
    pub fn datagrams(&self) -> impl Iterator<Item = &'d [u8]> + use<'d> {
        let (payload, size) = (self.payload, self.segment_size.max(1));
        (0..self.count()).map(move |i| {
            let start = i * size;
            &payload[start..payload.len().min(start + size)]
        })
    }

    /// The first `count` of its datagrams; none if `count` is 0.
    #[must_use]
    pub fn first(mut self, count: usize) -> Option<Train<'d>> {
        let end = self.segment_size.saturating_mul(count);
        self.payload = &self.payload[..self.payload.len().min(end)];
        (count > 0).then_some(self)
    }

    /// The same datagrams in trains of `most` datagrams, at least 1.
    pub(super) fn split(self, most: usize) -> impl Iterator<Item = Train<'d>> + use<'d> {
        let size = self.segment_size * most.max(1);
        let parts = if self.payload.len() <= size {
            1
        } else {
            self.payload.len().div_ceil(size)
        };
        (0..parts).map(move |i| {
            let payload = &self.payload[i * size..self.payload.len().min((i + 1) * size)];
            Train {
                payload,
                segment_size: self.segment_size.min(payload.len()),
                ..self
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_train_is_cut_at_its_segment_size() {
        let bytes = [7_u8; 10];
        for (len, segment_size, lengths) in [
            (0, 0, &[0][..]),
            (4, 4, &[4]),
            (10, 4, &[4, 4, 2]),
            (8, 4, &[4, 4]),
        ] {
            let train = Train {
                segment_size,
                ..Train::one(None, &bytes[..len])
            };
            let cut: Vec<_> = train.datagrams().map(<[u8]>::len).collect();
            assert_eq!(cut, lengths);
            assert_eq!(train.count(), lengths.len());
        }
    }

    #[test]
    fn the_first_of_a_train_are_whole_datagrams() {
        let bytes = [7_u8; 10];
        let train = Train {
            segment_size: 4,
            ..Train::one(None, &bytes)
        };
        for (count, len) in [(0, None), (2, Some(8)), (3, Some(10)), (9, Some(10))] {
            assert_eq!(train.first(count).map(|first| first.payload.len()), len);
        }
        let empty = Train::one(None, &[]);
        assert_eq!(empty.first(1).map(|first| first.count()), Some(1));
    }

    #[test]
    fn a_split_train_is_the_same_datagrams() {
        let bytes: Vec<u8> = (0..50).collect();
        for len in [0, 1, 9, 10, 11, 30, 45] {
            let train = Train {
                segment_size: len.min(10),
                ..Train::one(None, &bytes[..len])
            };
            for most in [1, 2, 3, 64] {
                let split: Vec<_> = train
                    .split(most)
                    .flat_map(|part| part.datagrams())
                    .collect();
                let whole: Vec<_> = train.datagrams().collect();
                assert_eq!(split, whole, "{len} bytes by {most}");
                assert!(train.split(most).all(|part| part.count() <= most));
            }
        }
    }
}
