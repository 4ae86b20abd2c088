//! When a probe was where: the stamps of the nodes on its way.
//!
//! A slot holds the kind of node (one byte, 0 for a free slot), when the probe came and when it
//! went (nanoseconds, 8 bytes each, of the node's own monotonic clock). Each node takes the first
//! free slot, a relay once in each direction; who finds none free leaves the probe as it is. The
//! length never changes. What is read of it are differences of times of one node, so that no two
//! clocks have to agree.

use std::time::Duration;

use super::{ASKS_FOR_STAMPS, FLAGS_AT, HEADER_LEN, MAGIC, VERSION};

/// Slots of a probe: for an echo behind two relays, each of which stamps it twice.
pub const STAMPS: usize = 5;
/// Bytes of a slot.
const SLOT: usize = 17;
/// Bytes before the padding of a probe that asks for stamps, and so the smallest such probe.
pub const STAMPED_HEADER_LEN: usize = HEADER_LEN + STAMPS * SLOT;

/// Who stamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Node {
    /// Passes it on.
    Relay,
    /// Turns it round.
    Echo,
}

impl Node {
    const fn code(self) -> u8 {
        match self {
            Node::Relay => 1,
            Node::Echo => 2,
        }
    }

    const fn of(code: u8) -> Option<Node> {
        match code {
            1 => Some(Node::Relay),
            2 => Some(Node::Echo),
            _ => None,
        }
    }
}

/// What one node wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Who it was.
    pub node: Node,
    /// When it had the probe, by its own clock.
    pub arrived: Duration,
    /// When it sent it on, by the same clock.
    pub departed: Duration,
}

/// Stamps a datagram if it is a probe that asks for it and has a free slot; says whether it did.
/// Anything else is left as it is, which costs a look at its first bytes.
pub fn stamp(datagram: &mut [u8], stamp: Stamp) -> bool {
    let Some(slots) = slots_of(datagram) else {
        return false;
    };
    let Some(slots) = datagram.get_mut(slots) else {
        return false;
    };
    let Some(slot) = slots.chunks_exact_mut(SLOT).find(|slot| slot[0] == 0) else {
        return false;
    };
    slot[0] = stamp.node.code();
    slot[1..9].copy_from_slice(&nanos(stamp.arrived).to_be_bytes());
    slot[9..].copy_from_slice(&nanos(stamp.departed).to_be_bytes());
    true
}

/// Moves the departure of the last stamp, which is that of a node that has held the datagram since;
/// says whether there was one.
pub fn depart(datagram: &mut [u8], departed: Duration) -> bool {
    let Some(slots) = slots_of(datagram) else {
        return false;
    };
    let Some(slots) = datagram.get_mut(slots) else {
        return false;
    };
    let Some(slot) = slots.chunks_exact_mut(SLOT).rfind(|slot| slot[0] != 0) else {
        return false;
    };
    slot[9..].copy_from_slice(&nanos(departed).to_be_bytes());
    true
}

/// Whether a datagram asks for stamps: so that a clock need not be read for one that does not.
pub fn asks(datagram: &[u8]) -> bool {
    slots_of(datagram).is_some()
}

/// The stamps in a datagram, in the order of its way; none where it did not ask. They end at the
/// first slot that is free or that no node of this version wrote.
pub fn stamps(datagram: &[u8]) -> impl Iterator<Item = Stamp> + '_ {
    let slots = slots_of(datagram).and_then(|slots| datagram.get(slots));
    let slots = slots.unwrap_or_default().chunks_exact(SLOT);
    slots.map_while(|slot| {
        let time = |at| Some(u64::from_be_bytes(*slot.get(at..)?.first_chunk()?));
        Some(Stamp {
            node: Node::of(slot[0])?,
            arrived: Duration::from_nanos(time(1)?),
            departed: Duration::from_nanos(time(9)?),
        })
    })
}

fn slots_of(datagram: &[u8]) -> Option<std::ops::Range<usize>> {
    let asks = datagram.len() >= STAMPED_HEADER_LEN
        && datagram.get(FLAGS_AT) == Some(&ASKS_FOR_STAMPS)
        && datagram.get(4) == Some(&VERSION)
        && datagram.starts_with(&MAGIC);
    asks.then_some(HEADER_LEN..STAMPED_HEADER_LEN)
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
