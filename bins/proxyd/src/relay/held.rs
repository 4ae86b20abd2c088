//! Datagrams on their way: each is held until it is due, in one queue for all sessions of a worker,
//! in order of due time; those due at the same time in the order in which they came.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::net::SocketAddr;
use std::time::Instant;

use netio::udp::Local;
use slab::Slab;

use super::sessions::SessionId;
use crate::impair::Direction;

/// How many datagrams one worker holds: 200,000 a second for 1.3 s.
const DATAGRAMS: usize = 1 << 18;
/// How many bytes of payload one worker holds.
const BYTES: usize = 64 << 20;

/// Where a datagram goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Destination {
    /// To the target, on the socket of this session, if it is still the one with this serial number.
    Target(SessionId, u64),
    /// To this client, from this address.
    Client(SocketAddr, Option<Local>),
}

impl Destination {
    /// Which way that is.
    pub(super) fn direction(self) -> Direction {
        match self {
            Destination::Target(..) => Direction::ToTarget,
            Destination::Client(..) => Direction::ToClient,
        }
    }
}

/// The queue of one worker.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// By due time, then by order of coming; the last is the place in `datagrams`.
    order: BinaryHeap<Reverse<(Instant, u64, usize)>>,
    datagrams: Slab<(Destination, Box<[u8]>)>,
    bytes: usize,
    came: u64,
}

impl Held {
    /// Holds a datagram until `due`; false if there is no room.
    pub(super) fn push(&mut self, due: Instant, to: Destination, payload: &[u8]) -> bool {
        if self.datagrams.len() >= DATAGRAMS || self.bytes + payload.len() > BYTES {
            return false;
        }
        self.bytes += payload.len();
        let place = self.datagrams.insert((to, payload.into()));
        self.order.push(Reverse((due, self.came, place)));
        self.came += 1;
        true
    }

    /// When the next is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.order.peek().map(|Reverse((due, ..))| *due)
    }

    /// The next that is due by `now`.
    pub(super) fn pop(&mut self, now: Instant) -> Option<(Destination, Box<[u8]>)> {
        let next = self.order.peek_mut()?;
        if next.0.0 > now {
            return None;
        }
        let Reverse((_, _, place)) = PeekMut::pop(next);
        let datagram = self.datagrams.remove(place);
        self.bytes -= datagram.1.len();
        Some(datagram)
    }

    /// Whether none is held.
    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn client(port: u16) -> Destination {
        Destination::Client(([127, 0, 0, 1], port).into(), None)
    }

    #[test]
    fn what_is_held_leaves_when_due_and_equals_leave_as_they_came() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut held = Held::default();
        for (due, name) in [(30, "c"), (10, "a"), (20, "b1"), (20, "b2"), (20, "b3")] {
            assert!(held.push(at(due), client(1), name.as_bytes()));
        }
        assert_eq!(held.next_due(), Some(at(10)));
        for (now, left) in [
            (9, vec![]),
            (10, vec!["a"]),
            (29, vec!["b1", "b2", "b3"]),
            (99, vec!["c"]),
        ] {
            let mut found = Vec::new();
            while let Some((_, payload)) = held.pop(at(now)) {
                found.push(String::from_utf8(payload.into_vec()).unwrap());
            }
            assert_eq!(found, left, "at {now} ms");
        }
        assert!(held.is_empty());
    }

    #[test]
    fn what_is_held_is_bounded_in_number_and_in_bytes() {
        let now = Instant::now();
        let mut held = Held::default();
        let large = vec![0; 1 << 16];
        let taken = (0..2000)
            .filter(|_| held.push(now, client(1), &large))
            .count();
        // 64 MiB are 1,024 times 64 KiB.
        assert_eq!(taken, 1024);
        assert!(held.push(now, client(1), b""));
        while held.pop(now).is_some() {}
        let taken = (0..300_000)
            .filter(|_| held.push(now, client(1), b""))
            .count();
        assert_eq!(taken, 262_144);
    }
}
