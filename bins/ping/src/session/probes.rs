//! The latest probes, by their numbers.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::history::Fate;

/// How many of the latest probes are remembered. Half of what 16 bits can number, so that a
/// sequence number on the wire means one probe only.
pub(super) const REMEMBERED: usize = 1 << 15;

/// A probe that was sent.
#[derive(Debug)]
pub(super) struct Probe {
    /// Just before it was handed to the kernel.
    pub(super) sent: Instant,
    /// When it left the driver, where the kernel said so.
    pub(super) left: Option<Instant>,
    /// The round trip of its first answer.
    pub(super) rtt: Option<Duration>,
    /// What is known of it.
    pub(super) state: State,
}

/// What is known of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Waiting,
    Answered,
    Failed,
}

impl Probe {
    /// What became of it, when nothing more is expected.
    pub(super) fn fate(&self) -> Fate {
        self.rtt.map_or(Fate::Lost, Fate::Answered)
    }

    /// Whether an answer may still come to a probe that has this long for it.
    pub(super) fn is_young(&self, patience: Duration, now: Instant) -> bool {
        self.state == State::Waiting && now.saturating_duration_since(self.sent) < patience
    }
}

/// The latest probes. Numbers begin with 1; on the wire they are cut to 16 bits.
#[derive(Debug, Default)]
pub(super) struct Probes {
    /// The last of them has the number `transmitted`.
    latest: VecDeque<Probe>,
    transmitted: u64,
}

impl Probes {
    /// How many were sent, those that are forgotten among them.
    pub(super) const fn transmitted(&self) -> u64 {
        self.transmitted
    }

    /// A further probe was sent. The one that is forgotten for it, with its number.
    pub(super) fn push(&mut self, sent: Instant, state: State) -> Option<(u64, Probe)> {
        let forgotten = (self.latest.len() == REMEMBERED)
            .then(|| Some((self.oldest(), self.latest.pop_front()?)))
            .flatten();
        self.latest.push_back(Probe {
            sent,
            left: None,
            rtt: None,
            state,
        });
        self.transmitted += 1;
        forgotten
    }

    /// The last that was sent.
    pub(super) fn last(&self) -> Option<&Probe> {
        self.latest.back()
    }

    /// The probe with this number, if it is remembered.
    pub(super) fn number_mut(&mut self, number: u64) -> Option<&mut Probe> {
        let age = self.transmitted.checked_sub(number)?;
        let at = self.latest.len().checked_sub(age as usize + 1)?;
        self.latest.get_mut(at)
    }

    /// The number of the latest probe with this number on the wire, if it is remembered.
    pub(super) fn number_of(&self, sequence: u16) -> Option<u64> {
        let age = u64::from((self.transmitted as u16).wrapping_sub(sequence));
        let remembered = self.latest.len() as u64;
        (age < remembered).then(|| self.transmitted - age)
    }

    /// Those that are remembered, each with its number, the oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Probe)> {
        (self.oldest()..).zip(&self.latest)
    }

    fn oldest(&self) -> u64 {
        self.transmitted + 1 - self.latest.len() as u64
    }
}
