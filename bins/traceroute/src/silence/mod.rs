//! What the silence of a hop means. Rate limiting is not loss: a router that answers some probes
//! only, while probes to hops behind it come through, has lost none of them.
//!
//! Pure. Read this file, then [`bucket`] (does the silence look like that of a token bucket),
//! [`hypotheses`] (which explanation further experiments leave) and [`steady`] (how their probes are
//! sent); `confirming` makes them. In `words` is what all this is called.

pub mod bucket;
pub mod hypotheses;
pub mod steady;
mod words;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use statrs::function::factorial::ln_binomial;

pub use bucket::{Bucket, Gaps, Outcome};
pub use words::time;

/// The silence of a hop is its own if loss on the way would look so with less than this chance.
const LOSS_IS_UNLIKELY: f64 = 1e-3;
/// Own silence is a bucket's if any other order of the answers would look so with less than this
/// chance.
const DISORDER_IS_UNLIKELY: f64 = 1e-2;
/// A bucket is believed by the order alone, where no later hop says that probes get through, if
/// loss would look so with less than this chance.
const ORDER_IS_ENOUGH: f64 = 1e-5;
/// A term of a sum is nothing beside this many times more.
const NEGLIGIBLE: f64 = 1e-15;
/// Of how many probes of a hop, the latest, the order is kept.
const MOST_KEPT: usize = 512;

/// What the probes of a hop came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    sent: u64,
    answered: u64,
    latest: VecDeque<Outcome>,
}

impl Record {
    /// A probe that was sent at this time was answered, or was not.
    pub fn add(&mut self, sent: Instant, answered: bool) {
        self.sent += 1;
        self.answered += u64::from(answered);
        // A fate may be known before that of an earlier probe.
        let at = self.latest.partition_point(|it| it.sent <= sent);
        self.latest.insert(at, Outcome { sent, answered });
        if self.latest.len() > MOST_KEPT {
            self.latest.pop_front();
        }
    }

    /// How many probes, and how many of them were answered.
    pub fn tally(&self) -> Tally {
        Tally {
            sent: self.sent,
            answered: self.answered,
        }
    }

    /// Those whose order is known, in the order of their sending.
    pub fn outcomes(&self) -> Vec<Outcome> {
        self.latest.iter().copied().collect()
    }
}

/// So many probes, and how many of them were answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Probes whose fate is known.
    pub sent: u64,
    /// Those that were answered.
    pub answered: u64,
}

impl Tally {
    /// Those that were not.
    pub fn lost(self) -> u64 {
        self.sent - self.answered
    }

    /// Whether some were answered and some were not.
    pub fn is_mixed(self) -> bool {
        self.answered > 0 && self.answered < self.sent
    }

    /// The chance that so many more were lost here than there, if each was as likely to be lost
    /// here as there (Fisher's exact test, of one side).
    pub fn chance_beside(self, there: Tally) -> f64 {
        let (all, lost) = (self.sent + there.sent, self.lost() + there.lost());
        let certain = ln_binomial(all, self.sent);
        let mut chance = 0.0;
        for here in self.lost()..=lost.min(self.sent) {
            if lost - here > there.sent {
                continue;
            }
            let ways = ln_binomial(lost, here) + ln_binomial(all - lost, self.sent - here);
            let term = (ways - certain).exp();
            chance += term;
            // The terms rise and then fall; what is left once they are this small is nothing.
            if term < chance * NEGLIGIBLE {
                break;
            }
        }
        chance.min(1.0)
    }
}

impl std::ops::Add for Tally {
    type Output = Tally;

    fn add(self, other: Tally) -> Tally {
        Tally {
            sent: self.sent + other.sent,
            answered: self.answered + other.answered,
        }
    }
}

/// A hop that answered some probes and left others unanswered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suspect {
    /// The hop.
    pub ttl: u8,
    /// Its router.
    pub address: IpAddr,
    /// The interval of the bucket that its answers look like, if they do.
    pub interval: Option<Duration>,
    /// The later hop that answered the largest share of its probes.
    pub beyond: Option<u8>,
}

/// Those of a path's hops, given in the order of their TTLs with who answered last.
pub fn suspects(hops: &[(u8, Option<IpAddr>, &Record)]) -> Vec<Suspect> {
    let bare: Vec<(u8, &Record)> = hops.iter().map(|(ttl, _, it)| (*ttl, *it)).collect();
    let judged = judge(&bare);
    let suspects = hops
        .iter()
        .enumerate()
        .filter_map(|(at, (ttl, address, record))| {
            if !record.tally().is_mixed() {
                return None;
            }
            let share = |tally: Tally| tally.answered as f64 / tally.sent.max(1) as f64;
            let later = bare[at + 1..].iter().map(|(ttl, it)| (*ttl, it.tally()));
            let answering = later.filter(|(_, tally)| tally.answered > 0);
            let best = answering.max_by(|one, other| share(one.1).total_cmp(&share(other.1)));
            let bucket = judged
                .iter()
                .find(|it| it.ttl == *ttl)
                .and_then(|it| it.bucket);
            Some(Suspect {
                ttl: *ttl,
                address: (*address)?,
                interval: bucket.and_then(|it| it.gaps).map(|gaps| gaps.mean),
                beyond: best.map(|(ttl, _)| ttl),
            })
        });
    suspects.collect()
}

/// The silence of a hop that is no loss on the way, and the figures that say so.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Silence {
    /// The hop.
    pub ttl: u8,
    /// Its probes.
    pub here: Tally,
    /// What got through to later hops, where that says something.
    pub beyond: Option<Beyond>,
    /// The bucket that its answers look like, if they do.
    pub bucket: Option<Bucket>,
}

/// Probes that passed a hop.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Beyond {
    /// The later hop that they were for; nothing if those of all later hops are meant.
    pub ttl: Option<u8>,
    /// What became of them.
    pub probes: Tally,
    /// The chance that loss on the way leaves so many fewer answers before than beyond.
    pub chance: f64,
}

impl Silence {
    /// The chance that loss on the way, which treats all probes alike, leaves such figures. How many
    /// were answered and in which order are two things to chance.
    pub fn chance(&self) -> f64 {
        let numbers = self.beyond.map_or(1.0, |it| it.chance);
        let order = self.bucket.map_or(1.0, |it| it.chance);
        numbers * order
    }
}

/// Which hops are silent by themselves, of a path's in the order of their TTLs.
pub fn judge(hops: &[(u8, &Record)]) -> Vec<Silence> {
    let judged = hops.iter().enumerate().filter_map(|(at, (ttl, record))| {
        let here = record.tally();
        if !here.is_mixed() {
            return None;
        }
        let beyond = beyond(here, &hops[at + 1..]).filter(|it| it.chance < LOSS_IS_UNLIKELY);
        let enough = if beyond.is_some() {
            DISORDER_IS_UNLIKELY
        } else {
            ORDER_IS_ENOUGH
        };
        let bucket = Bucket::of(&record.outcomes()).filter(|it| it.chance < enough);
        (beyond.is_some() || bucket.is_some()).then_some(Silence {
            ttl: *ttl,
            here,
            beyond,
            bucket,
        })
    });
    judged.collect()
}

/// Which later hop, or all together, speaks most clearly for probes that get through. Each is asked,
/// so what chance does once in a thousand is here done once in a thousand by their number.
fn beyond(here: Tally, later: &[(u8, &Record)]) -> Option<Beyond> {
    let answering: Vec<(Option<u8>, Tally)> = later
        .iter()
        .map(|(ttl, record)| (Some(*ttl), record.tally()))
        .filter(|(_, tally)| tally.answered > 0)
        .collect();
    let mut candidates = answering.clone();
    if answering.len() > 1 {
        let all = answering
            .iter()
            .fold(Tally::default(), |sum, (_, tally)| sum + *tally);
        candidates.push((None, all));
    }
    let asked = candidates.len() as f64;
    candidates
        .into_iter()
        .map(|(ttl, probes)| Beyond {
            ttl,
            probes,
            chance: (here.chance_beside(probes) * asked).min(1.0),
        })
        .min_by(|one, other| one.chance.total_cmp(&other.chance))
}

#[cfg(test)]
mod tests;
