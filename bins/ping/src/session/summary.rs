//! How a session stands.

use std::time::Duration;

use netstats::loss::{Interval, wilson};

use crate::history::Quality;
use crate::statistics::RttFigures;

/// How many of what came back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Probes that were answered.
    pub received: u64,
    /// Further answers to a probe.
    pub duplicates: u64,
    /// Answers with a wrong checksum.
    pub corrupted: u64,
    /// Answers with a right checksum and other data than were sent.
    pub damaged: u64,
    /// Errors, of routers or of this host.
    pub errors: u64,
    /// Answers that came after that of a later probe.
    pub reordered: u64,
    /// Answers that came when their probe would have counted as lost.
    pub late: u64,
}

/// What share of the probes whose fate is known was lost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Loss {
    /// Probes that were not answered and are too old to be.
    pub lost: u64,
    /// These and the answered ones.
    pub known: u64,
    /// The share, in percent; nothing where nothing is known.
    pub percent: f64,
    /// The 95 % Wilson interval of the share, as proportions.
    pub interval: Option<Interval>,
}

/// How a session stands or stood at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Probes sent.
    pub transmitted: u64,
    /// What came back.
    pub tally: Tally,
    /// Probes too young to be called lost.
    pub in_flight: u64,
    /// From the start to the last probe.
    pub elapsed: Duration,
    /// The round-trip times.
    pub rtt: Option<RttFigures>,
    /// How long the answered probes waited in this host (for the neighbour's address, in queues),
    /// where the kernel said when they left; no part of the round-trip times.
    pub queued: Option<RttFigures>,
    /// The most probes that were on their way when one of them was answered.
    pub pipe: u64,
    /// The mean gap between probes, for the paces that move it.
    pub gap: Option<Duration>,
    /// Whether the user's conditions were met: iputils' exit code 0.
    pub success: bool,
    /// The figures that iputils does not have.
    pub quality: Quality,
}

impl Summary {
    /// The loss. Probes in flight are left out of it.
    pub fn loss(&self) -> Loss {
        let known = self.transmitted - self.in_flight;
        let lost = known.saturating_sub(self.tally.received);
        Loss {
            lost,
            known,
            percent: if known > 0 {
                lost as f64 * 100.0 / known as f64
            } else {
                0.0
            },
            interval: wilson(lost, known),
        }
    }
}
