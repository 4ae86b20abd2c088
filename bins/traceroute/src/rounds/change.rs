//! When a path is another than before.

use std::fmt;
use std::net::IpAddr;
use std::time::Instant;

use netproto::icmp::Version;

use crate::mark::Mark;

/// In how many cycles the way must have ended elsewhere, and never where it did before, for that
/// to be told: in a single one, a loss looks the same.
const TOLD_AFTER: u8 = 3;

/// The path is another than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// In what.
    pub what: What,
    /// The cycle in which that was first seen; the first is 1.
    pub cycle: u32,
    /// When the answer came that showed it.
    pub at: Instant,
}

/// What changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Another router answers at a hop than before.
    Router {
        /// The hop.
        ttl: u8,
        /// Who answered before.
        from: IpAddr,
        /// Who answers now.
        to: IpAddr,
    },
    /// Routers answer at a hop by turns.
    Shared {
        /// The hop.
        ttl: u8,
        /// Who has answered from the beginning.
        with: IpAddr,
        /// Who does too.
        other: IpAddr,
    },
    /// The way ends elsewhere.
    End {
        /// Where it ended before.
        from: End,
        /// Where it ends now.
        to: End,
    },
}

/// Where the way ends, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// The hop.
    pub ttl: u8,
    /// Whether it is the target or a router that refuses.
    pub mark: Mark,
    /// Who said so.
    pub by: IpAddr,
}

impl End {
    /// Whether it is the target.
    pub fn arrived(&self) -> bool {
        self.mark == Mark::Arrived
    }

    fn is_where(&self, other: &End) -> bool {
        (self.ttl, self.mark) == (other.ttl, other.mark)
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mark.sign(Version::of(self.by)) {
            Some(sign) => write!(f, "{sign} from {} at hop {}", self.by, self.ttl),
            None => write!(f, "the target at hop {}", self.ttl),
        }
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Router { ttl, from, to } => write!(f, "hop {ttl} changed from {from} to {to}"),
            What::Shared { ttl, with, other } => write!(
                f,
                "{with} and {other} share hop {ttl}, which balances packets and not flows"
            ),
            What::End { from, to } => write!(f, "the way ends with {to}, before with {from}"),
        }
    }
}

/// Watches where the way ends.
#[derive(Debug, Clone, Default)]
pub(super) struct Ends {
    settled: Option<End>,
    candidate: Option<Candidate>,
}

#[derive(Debug, Clone)]
struct Candidate {
    end: End,
    cycles: u8,
    first: (u32, Instant),
}

impl Ends {
    /// In a cycle, counted from 0, the way ended so; what is told of it, if anything.
    pub(super) fn watch(&mut self, end: End, cycle: u32, at: Instant) -> Option<Change> {
        if self.settled.is_some_and(|settled| settled.is_where(&end)) {
            self.candidate = None;
            return None;
        }
        match &mut self.candidate {
            Some(candidate) if candidate.end.is_where(&end) => candidate.cycles += 1,
            other => {
                *other = Some(Candidate {
                    end,
                    cycles: 1,
                    first: (cycle, at),
                });
            }
        }
        let found = self
            .candidate
            .take_if(|candidate| candidate.cycles >= TOLD_AFTER)?;
        let before = self.settled.replace(found.end)?;
        let (cycle, at) = found.first;
        Some(Change {
            what: What::End {
                from: before,
                to: found.end,
            },
            cycle: cycle + 1,
            at,
        })
    }
}
