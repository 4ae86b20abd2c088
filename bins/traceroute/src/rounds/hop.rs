//! What is known of one hop.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::routers::Routers;
use super::{Change, Figures};
use crate::mark::Mark;
use crate::silence::Record;

/// How many of the latest probes are remembered one by one: more than fit on any screen's line.
const REMEMBERED: usize = 512;
/// How many addresses of a hop are counted each for itself; answers of further ones, which only a
/// forger has, are counted with the hop's alone.
const MOST_ADDRESSES: usize = 16;

/// A hop.
#[derive(Debug, Clone, Default)]
pub struct Hop {
    /// Who answered last, and in which cycle.
    pub(super) latest: Option<(IpAddr, u32)>,
    /// What the last answer said.
    pub mark: Option<Mark>,
    /// What its probes amount to, whoever answered them.
    pub figures: Figures,
    /// In the order in which they were first heard.
    seen: Vec<Seen>,
    routers: Routers,
    recent: VecDeque<(u32, Fate)>,
    /// The same probes with their times, as far as that is kept.
    record: Record,
}

/// An address that answered for a hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// It.
    pub address: IpAddr,
    /// How often it did.
    pub answers: u64,
}

/// What became of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is waited for.
    InFlight,
    /// It was answered after so long.
    Answered(Duration),
    /// Nobody answered in time.
    Lost,
    /// It was answered after so long, when it was waited for no more: it counts as lost.
    Late(Duration),
}

impl Hop {
    /// Who answered last.
    pub fn address(&self) -> Option<IpAddr> {
        self.latest.map(|(address, _)| address)
    }

    /// All that answered, the first heard first.
    pub fn addresses(&self) -> &[Seen] {
        &self.seen
    }

    /// The latest probes, oldest first.
    pub fn recent(&self) -> impl DoubleEndedIterator<Item = Fate> + ExactSizeIterator + Clone {
        self.recent.iter().map(|(_, fate)| *fate)
    }

    pub(super) fn record(&self) -> &Record {
        &self.record
    }

    pub(super) fn sent(&mut self, cycle: u32) {
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back((cycle, Fate::InFlight));
    }

    pub(super) fn answered(&mut self, cycle: u32, from: IpAddr, sent: Instant, rtt: Duration) {
        self.record.add(sent, true);
        self.figures.answered(cycle, rtt);
        self.settle(cycle, Fate::Answered(rtt));
        if let Some(seen) = self.seen.iter_mut().find(|seen| seen.address == from) {
            seen.answers += 1;
        } else if self.seen.len() < MOST_ADDRESSES {
            self.seen.push(Seen {
                address: from,
                answers: 1,
            });
        }
    }

    /// Who answered the probe of a cycle that is later than all before; what is told of it.
    pub(super) fn heard_from(
        &mut self,
        ttl: u8,
        who: IpAddr,
        cycle: u32,
        at: Instant,
    ) -> Option<Change> {
        self.latest = Some((who, cycle));
        self.routers.watch(ttl, who, cycle, at)
    }

    /// The probe of this cycle, which counts as lost, was answered after all.
    pub(super) fn late(&mut self, cycle: u32, after: Duration) {
        self.figures.late(after);
        self.settle(cycle, Fate::Late(after));
    }

    /// Nobody answered the probe, which was sent then unless this host refused it.
    pub(super) fn lost(&mut self, cycle: u32, sent: Option<Instant>) {
        if let Some(at) = sent {
            self.record.add(at, false);
        }
        self.figures.lost();
        self.settle(cycle, Fate::Lost);
    }

    /// The probe of this cycle turned out to be about nothing.
    pub(super) fn forget(&mut self, cycle: u32) {
        self.recent.retain(|(its, _)| *its != cycle);
    }

    fn settle(&mut self, cycle: u32, fate: Fate) {
        // A hop is probed once a cycle, so the cycles rise.
        let at = self.recent.partition_point(|(its, _)| *its < cycle);
        if let Some((its, settled)) = self.recent.get_mut(at)
            && *its == cycle
        {
            *settled = fate;
        }
    }

    /// Counts from nothing again; who was there last is still known, so that a change is seen.
    pub(super) fn reset(&mut self) {
        *self = Hop {
            latest: self.latest,
            routers: std::mem::take(&mut self.routers),
            mark: self.mark,
            ..Hop::default()
        };
    }
}
