//! Faults to order: what a network could do to the relay's datagrams, in tc-netem's terms, drawn
//! from a seed.
//!
//! Everything here is pure: no clock, no socket. Read in this order: [`Impairment`] (what is
//! ordered), [`grammar`] (how it is written), [`schedule`] (the fate of each datagram, a function of
//! the seed, the session, the direction and the datagram's number), [`link`] (a rate with a bounded
//! queue, the one part that depends on when datagrams come), [`live`] (the orders in force, which
//! may change while the relay runs). [`http`] is what answers over HTTP meet, in Toxiproxy's terms.
//!
//! A datagram meets the faults in this order: it is lost, or else perhaps damaged, perhaps doubled,
//! then waits for its turn on the link, then for its delay.

pub mod draw;
pub mod grammar;
pub mod http;
pub mod jitter;
pub mod link;
pub mod live;
pub mod schedule;

use std::time::Duration;

pub use draw::Probability;
use jitter::Jitter;
use link::LinkRate;

/// Which way a datagram goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From a client to the target.
    ToTarget,
    /// From the target to a client.
    ToClient,
}

impl Direction {
    /// Both, in the order of their discriminants.
    pub const ALL: [Direction; 2] = [Direction::ToTarget, Direction::ToClient];
}

/// What is done to datagrams, for each direction. The default does nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Impairment {
    /// To those from clients.
    pub to_target: Faults,
    /// To those from the target.
    pub to_client: Faults,
}

impl Impairment {
    /// The faults of one direction.
    pub fn of(&self, direction: Direction) -> &Faults {
        match direction {
            Direction::ToTarget => &self.to_target,
            Direction::ToClient => &self.to_client,
        }
    }
}

/// What is done to datagrams that go one way.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    /// How long each is held.
    pub delay: Duration,
    /// How the delay varies about that.
    pub jitter: Option<Jitter>,
    /// Which are lost.
    pub loss: Option<Loss>,
    /// How probably a datagram that is not lost arrives twice.
    pub duplicate: Probability,
    /// Which are not held.
    pub reorder: Option<Reorder>,
    /// How probably one bit of a datagram is turned over.
    pub corrupt: Probability,
    /// The link that all datagrams of this direction share, whatever their session.
    pub rate: Option<LinkRate>,
}

impl Faults {
    /// Whether datagrams pass as if it were not there.
    pub fn is_none(&self) -> bool {
        *self == Faults::default()
    }
}

/// Which datagrams are lost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loss {
    /// Each with the same probability, whatever became of its neighbours.
    Independent(Probability),
    /// In bursts.
    Bursts(GilbertElliott),
}

/// Burst loss by a chain of two states (Gilbert 1960, Elliott 1963), with the parameters of
/// tc-netem's `gemodel`. Before each datagram the chain may change its state; it begins in the good
/// one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GilbertElliott {
    /// p: how probably the good state turns bad.
    pub good_to_bad: Probability,
    /// r: how probably the bad state turns good. Bursts have 1/r datagrams on average.
    pub bad_to_good: Probability,
    /// 1−h: how probably a datagram is lost in the bad state.
    pub loss_in_bad: Probability,
    /// 1−k: how probably a datagram is lost in the good state.
    pub loss_in_good: Probability,
}

/// Which datagrams are sent on at once, ahead of those held before them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reorder {
    /// How probably one is.
    pub probability: Probability,
    /// Never before so many have come since the last that was: with 5 and 100 %, every fifth.
    pub gap: u32,
}
