//! The fate of each datagram: a function of the seed, the session, the direction and the datagram's
//! number, under given orders. When datagrams come changes nothing about it.

use std::time::Duration;

use super::draw::{Draws, Purpose};
use super::{Direction, Faults, GilbertElliott, Loss};

/// What becomes of one datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is dropped.
    Lost,
    /// It is passed on.
    Passed(Passage),
}

/// How a datagram is passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passage {
    /// How long it is held after it has had its turn on the link.
    pub delay: Duration,
    /// Whether it was chosen to overtake others, and so is not held.
    pub reordered: bool,
    /// Which bit is turned over: this number, modulo the number of its bits.
    pub corrupted_bit: Option<u64>,
    /// How long a second copy is held, if there is one.
    pub copy: Option<Duration>,
}

/// The fates of the datagrams of one session in one direction, in the order of their numbers.
#[derive(Clone, Debug)]
pub struct Schedule {
    draws: Draws,
    /// Of the next datagram.
    number: u64,
    /// Where the chain of burst loss is.
    bad: bool,
    /// How many were held since the last that was not.
    held_in_a_row: u32,
}

impl Schedule {
    /// That of the session with this number, from its datagram 0 on.
    pub fn new(seed: u64, session: u64, direction: Direction) -> Schedule {
        Schedule {
            draws: Draws::new(seed, [session, direction as u64]),
            number: 0,
            bad: false,
            held_in_a_row: 0,
        }
    }

    /// The fate of the next datagram.
    pub fn next(&mut self, faults: &Faults) -> Fate {
        let number = self.number;
        self.number += 1;
        let (draws, happens) = (self.draws, |what, purpose| {
            self.draws.happens(what, purpose, number)
        });
        let lost = match faults.loss {
            None => false,
            Some(Loss::Independent(probability)) => happens(probability, Purpose::Loss),
            Some(Loss::Bursts(chain)) => self.burst(chain, number),
        };
        if lost {
            return Fate::Lost;
        }
        let delay = |purpose| match faults.jitter {
            Some(jitter) => jitter.vary(faults.delay, draws.fraction(purpose, number)),
            None => faults.delay,
        };
        let corrupted = draws.happens(faults.corrupt, Purpose::Corrupt, number);
        let doubled = draws.happens(faults.duplicate, Purpose::Duplicate, number);
        let reordered = self.overtakes(faults, number);
        Fate::Passed(Passage {
            delay: if reordered {
                Duration::ZERO
            } else {
                delay(Purpose::Jitter)
            },
            reordered,
            corrupted_bit: corrupted.then(|| draws.bits(Purpose::CorruptedBit, number)),
            copy: doubled.then(|| delay(Purpose::JitterOfCopy)),
        })
    }

    /// One step of the chain, and whether the datagram is lost in the state it leads to. In
    /// tc-netem's order: first the step, then the loss.
    fn burst(&mut self, chain: GilbertElliott, number: u64) -> bool {
        let change = if self.bad {
            chain.bad_to_good
        } else {
            chain.good_to_bad
        };
        self.bad ^= self.draws.happens(change, Purpose::LossState, number);
        let loss = if self.bad {
            chain.loss_in_bad
        } else {
            chain.loss_in_good
        };
        self.draws.happens(loss, Purpose::Loss, number)
    }

    /// Whether the datagram is sent on at once: tc-netem's rule for `reorder` with its `gap`.
    fn overtakes(&mut self, faults: &Faults, number: u64) -> bool {
        let Some(reorder) = faults.reorder else {
            return false;
        };
        let overtakes = self.held_in_a_row >= reorder.gap.saturating_sub(1)
            && (self.draws).happens(reorder.probability, Purpose::Reorder, number);
        self.held_in_a_row = if overtakes {
            0
        } else {
            self.held_in_a_row.saturating_add(1)
        };
        overtakes
    }
}

#[cfg(test)]
mod tests;
