//! The part that a node takes in measuring delay by hop: it stamps the probes that ask for it, and
//! leaves every other datagram as it is.

use std::ops::Range;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use netproto::probe::{self, Node, Stamp};

use super::ReceiveBatch;

/// Stamps the probes at `places`, received at `arrived` and about to be sent on. Others cost a look
/// at the first bytes of a message.
pub fn stamp_probes(batch: &mut ReceiveBatch, places: Range<usize>, node: Node, arrived: Instant) {
    for datagram in batch.datagrams_mut(places, probe::asks) {
        let stamp = Stamp {
            node,
            arrived: since_origin(arrived),
            departed: since_origin(Instant::now()),
        };
        probe::stamp(datagram, stamp);
    }
}

/// Says in a probe that was stamped and then held that it goes only now.
pub fn stamp_departure(datagram: &mut [u8]) {
    if probe::asks(datagram) {
        probe::depart(datagram, since_origin(Instant::now()));
    }
}

/// On the clock of this process, which says nothing about any other.
fn since_origin(instant: Instant) -> Duration {
    // Behind the origin's first reading there is room for datagrams that arrived before it.
    const BEFORE: Duration = Duration::from_secs(1);
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    let origin = *ORIGIN.get_or_init(Instant::now);
    (BEFORE + instant.saturating_duration_since(origin))
        .saturating_sub(origin.saturating_duration_since(instant))
}
