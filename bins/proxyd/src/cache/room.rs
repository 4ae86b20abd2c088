//! The memory that bodies take: while they come in, while they are stored, and for as long as a slow
//! client still reads one that the store has given up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

/// Bodies that are still coming in may take this share of the store's bound, beside it.
pub const FILLING: u64 = 4;
/// When half of that is taken, one body gets no more than this share of it: a few clients that do
/// not read keep no small body out.
const FAIR: u64 = 8;

/// How much memory bodies take, and how much they may.
#[derive(Debug)]
pub struct Rooms {
    /// Bytes of the bodies that are coming in.
    filling: AtomicU64,
    /// Bytes of these, of those that are stored, and of those that are only read still.
    held: AtomicU64,
    filling_limit: u64,
    held_limit: u64,
    largest_body: u64,
}

/// Why there is no room for a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoRoom {
    /// It is larger than any that is stored.
    TooLarge,
    /// Others have taken it.
    Taken,
}

impl Rooms {
    /// Those of a store of `bytes` that takes no body over `largest_body`.
    pub fn new(bytes: u64, largest_body: u64) -> Rooms {
        let filling_limit = bytes / FILLING;
        Rooms {
            filling: AtomicU64::new(0),
            held: AtomicU64::new(0),
            filling_limit,
            held_limit: bytes.saturating_add(filling_limit),
            largest_body,
        }
    }

    /// How long the longest body is for which there may be room.
    pub fn largest_body(&self) -> u64 {
        self.largest_body
    }

    /// Room for nothing yet.
    pub fn room(self: &Arc<Self>) -> Room {
        Room {
            rooms: Arc::clone(self),
            bytes: 0,
            is_filling: true,
        }
    }
}

/// The memory that one body takes, until it is dropped.
#[derive(Debug)]
pub struct Room {
    rooms: Arc<Rooms>,
    bytes: u64,
    is_filling: bool,
}

impl Room {
    /// Takes room for `more` bytes.
    pub fn grow(&mut self, more: u64) -> Result<(), NoRoom> {
        let rooms = &*self.rooms;
        let bytes = self.bytes.saturating_add(more);
        if bytes > rooms.largest_body {
            return Err(NoRoom::TooLarge);
        }
        let filling = rooms.filling.fetch_add(more, Ordering::Relaxed) + more;
        let held = rooms.held.fetch_add(more, Ordering::Relaxed) + more;
        let is_fair = filling <= rooms.filling_limit / 2 || bytes <= rooms.filling_limit / FAIR;
        if !is_fair || filling > rooms.filling_limit || held > rooms.held_limit {
            rooms.filling.fetch_sub(more, Ordering::Relaxed);
            rooms.held.fetch_sub(more, Ordering::Relaxed);
            return Err(NoRoom::Taken);
        }
        self.bytes = bytes;
        Ok(())
    }

    /// The body that came whole. Its room is taken until nobody holds its bytes any more.
    pub fn hold(mut self, body: Vec<u8>) -> Bytes {
        self.rooms.filling.fetch_sub(self.bytes, Ordering::Relaxed);
        self.is_filling = false;
        // It may have grown by more than it took.
        let unused = self.bytes.saturating_sub(body.len() as u64);
        self.rooms.held.fetch_sub(unused, Ordering::Relaxed);
        self.bytes -= unused;
        Bytes::from_owner(Held {
            body: body.into_boxed_slice(),
            _room: self,
        })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if self.is_filling {
            self.rooms.filling.fetch_sub(self.bytes, Ordering::Relaxed);
        }
        self.rooms.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

struct Held {
    body: Box<[u8]>,
    _room: Room,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: u64 = 1024;

    /// Of a store of 64 KiB: 16 KiB for bodies that come in, 80 KiB for all.
    fn rooms() -> Arc<Rooms> {
        Arc::new(Rooms::new(64 * KIB, 8 * KIB))
    }

    /// How many of `count` bodies of `bytes` find room at once.
    fn granted(rooms: &Arc<Rooms>, count: usize, bytes: u64) -> Vec<Room> {
        let mut all: Vec<Room> = (0..count).map(|_| rooms.room()).collect();
        all.retain_mut(|room| room.grow(bytes).is_ok());
        all
    }

    #[test]
    fn bodies_that_come_in_take_a_bounded_room() {
        let rooms = rooms();
        assert_eq!(rooms.room().grow(8 * KIB + 1), Err(NoRoom::TooLarge));
        let taken = granted(&rooms, 100, KIB);
        assert_eq!(taken.len(), 16);
        assert_eq!(rooms.room().grow(1), Err(NoRoom::Taken));
        drop(taken);
        assert_eq!(granted(&rooms, 100, KIB).len(), 16);
    }

    #[test]
    fn large_bodies_leave_half_of_it_to_small_ones() {
        let rooms = rooms();
        let large = granted(&rooms, 10, 4 * KIB);
        assert_eq!(large.len(), 2);
        assert_eq!(granted(&rooms, 10, 2 * KIB + 1).len(), 0);
        assert_eq!(granted(&rooms, 10, 2 * KIB).len(), 4);
    }

    #[test]
    fn what_is_held_by_anybody_counts() {
        let rooms = rooms();
        let hold = |room: Room| room.hold(vec![0; 8 * KIB as usize]);
        let mut held = Vec::new();
        for _ in 0..20 {
            held.extend(granted(&rooms, 1, 8 * KIB).into_iter().map(hold));
        }
        assert_eq!(held.len(), 10, "80 KiB of 8 each");
        let part = held.pop().unwrap().slice(1..2);
        assert_eq!(
            granted(&rooms, 1, 8 * KIB).len(),
            0,
            "a part holds the whole"
        );
        drop(part);
        assert_eq!(granted(&rooms, 1, 8 * KIB).len(), 1);
    }
}
