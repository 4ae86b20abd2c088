//! One path probed again and again: what each hop loses and how long it takes, and when the path
//! changes. Read this file, then `figures`.

mod figures;

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::mark::Mark;
use crate::probe::{Heard, NotSent, Probe};
use crate::prober::Prober;
use crate::session::Waits;
use crate::silence::{self, Record, Silence};
pub use figures::Figures;

/// How many probes may be waited for at once.
const MOST_WAITING: usize = 4096;
/// By how many hops a cycle is divided while the path's length is unknown.
const TYPICAL_HOPS: u32 = 10;
/// However fast answers come, a probe is given this long, unless the longest wait is shorter.
const LEAST_WAIT: Duration = Duration::from_secs(1);
/// After so many lost probes in a row at the last hop, the target is looked for farther away.
const LOST_BEFORE_LOOKING_ON: u8 = 3;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// The TTL of the first hop.
    pub first_ttl: u8,
    /// The TTL of the last.
    pub max_ttl: u8,
    /// How often each hop is probed.
    pub cycles: u32,
    /// How long a cycle takes; its probes are spread over it.
    pub interval: Duration,
    /// How long to wait for an answer.
    pub waits: Waits,
    /// Octets of a probe.
    pub packet_len: u16,
    /// How many hops are probed beyond the farthest that answered, while the target has not.
    pub gap: u8,
}

/// Another router answered at a hop than the time before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The hop.
    pub ttl: u8,
    /// Who answered before.
    pub from: IpAddr,
    /// Who answers now.
    pub to: IpAddr,
    /// The cycle in which that was seen; the first is 1.
    pub cycle: u32,
    /// When the answer came.
    pub at: Instant,
}

/// A hop.
#[derive(Debug, Clone, Default)]
pub struct Hop {
    /// Who answered last, and in which cycle.
    latest: Option<(IpAddr, u32)>,
    /// What the last answer said.
    pub mark: Option<Mark>,
    /// What its probes amount to, whoever answered them.
    pub figures: Figures,
    /// The same probes one by one, as far as that is kept.
    record: Record,
}

impl Hop {
    /// Who answered last.
    pub fn address(&self) -> Option<IpAddr> {
        self.latest.map(|(address, _)| address)
    }
}

/// The state machine.
#[derive(Debug)]
pub struct Rounds {
    plan: Plan,
    /// By TTL, from the first.
    hops: Vec<Hop>,
    number: u16,
    waiting: BTreeMap<u16, Sent>,
    /// What is sent next: the cycle, from 0, and the TTL.
    cycle: u32,
    ttl: u8,
    /// When that is sent.
    due: Option<Instant>,
    /// The farthest hop that answered; the one before the first if none has.
    farthest: u8,
    end: Option<End>,
    lost_at_end: u8,
    longest: Option<Duration>,
    changes: VecDeque<Change>,
}

#[derive(Debug, Clone, Copy)]
struct Sent {
    ttl: u8,
    cycle: u32,
    at: Instant,
    left: Option<Instant>,
}

/// Where the way ended, as was seen in a cycle.
#[derive(Debug, Clone, Copy)]
struct End {
    ttl: u8,
    cycle: u32,
    arrived: bool,
}

impl Rounds {
    /// Nothing is sent yet.
    pub fn new(plan: Plan) -> Rounds {
        let hops = usize::from(plan.max_ttl - plan.first_ttl) + 1;
        Rounds {
            plan,
            hops: vec![Hop::default(); hops],
            number: 0,
            waiting: BTreeMap::new(),
            cycle: 0,
            ttl: plan.first_ttl,
            due: None,
            farthest: plan.first_ttl - 1,
            end: None,
            lost_at_end: 0,
            longest: None,
            changes: VecDeque::new(),
        }
    }

    /// The hops so far with their TTLs, up to the target or one beyond the farthest that answered.
    pub fn hops(&self) -> impl Iterator<Item = (u8, &Hop)> {
        let last = match self.end {
            Some(end) if end.arrived => end.ttl,
            Some(end) => end.ttl.max(self.farthest),
            None => self.farthest.saturating_add(1).min(self.plan.max_ttl),
        };
        (self.plan.first_ttl..=last).zip(&self.hops)
    }

    /// The hop at which the target answered last, if it ever did.
    pub fn target(&self) -> Option<(u8, &Hop)> {
        let mut hops = (self.plan.first_ttl..=self.plan.max_ttl).zip(&self.hops);
        hops.find(|(_, hop)| hop.mark == Some(Mark::Arrived))
    }

    /// Which hops left probes unanswered that were not lost.
    pub fn silences(&self) -> Vec<Silence> {
        let hops: Vec<(u8, &Record)> = self.hops().map(|(ttl, hop)| (ttl, &hop.record)).collect();
        silence::judge(&hops)
    }

    fn hop(&mut self, ttl: u8) -> &mut Hop {
        &mut self.hops[usize::from(ttl - self.plan.first_ttl)]
    }

    /// The last TTL to probe, as far as is known.
    fn last_ttl(&self) -> u8 {
        match self.end {
            Some(end) => end.ttl,
            None => self
                .farthest
                .saturating_add(self.plan.gap)
                .min(self.plan.max_ttl),
        }
    }

    fn all_sent(&self) -> bool {
        self.cycle >= self.plan.cycles
    }

    /// Begins the next cycle if this one is through. The first goes on for as long as an answer
    /// may show that the path does.
    fn turn(&mut self) {
        let may_go_on = || {
            self.cycle == 0
                && self.end.is_none()
                && self.ttl <= self.plan.max_ttl
                && self.waiting.values().any(|sent| sent.ttl > self.farthest)
        };
        if self.ttl > self.last_ttl() && !may_go_on() {
            self.ttl = self.plan.first_ttl;
            self.cycle += 1;
        }
    }

    fn may_send(&self) -> bool {
        !self.all_sent() && self.ttl <= self.last_ttl() && self.waiting.len() < MOST_WAITING
    }

    fn patience(&self) -> Duration {
        let Waits { max, here, .. } = self.plan.waits;
        match self.longest {
            Some(rtt) if here > 0.0 => rtt.mul_f64(here).max(LEAST_WAIT).min(max),
            _ => max,
        }
    }

    /// Nobody answered the probe, which was sent then unless this host refused it.
    fn lost(&mut self, ttl: u8, sent: Option<Instant>) {
        if self.end.is_some_and(|end| ttl > end.ttl) {
            return;
        }
        let hop = self.hop(ttl);
        hop.figures.lost();
        if let Some(at) = sent {
            hop.record.add(at, false);
        }
        if self.end.is_some_and(|end| end.ttl == ttl) {
            self.lost_at_end += 1;
            if self.lost_at_end >= LOST_BEFORE_LOOKING_ON && ttl < self.plan.max_ttl {
                self.end = None;
                self.lost_at_end = 0;
            }
        }
    }

    /// One more number is used up, and the next TTL is due after its share of the cycle.
    fn sent(&mut self, at: Instant) {
        let hops = match self.end {
            Some(end) => u32::from(end.ttl - self.plan.first_ttl) + 1,
            None => TYPICAL_HOPS,
        };
        // By deadlines, so that lateness does not add up; but what was missed is not caught up.
        let next = self.due.unwrap_or(at) + self.plan.interval / hops;
        self.due = Some(next.max(at));
        self.number = self.number.wrapping_add(1);
        self.ttl = self.ttl.saturating_add(1);
        self.turn();
    }

    /// What an answer says about where the way ends.
    fn mind_the_end(&mut self, sent: Sent, mark: Mark) {
        let Sent { ttl, cycle, .. } = sent;
        if mark.ends_the_way() {
            let arrived = mark == Mark::Arrived;
            self.lost_at_end = 0;
            self.end = Some(End {
                ttl,
                cycle,
                arrived,
            });
            // What answered beyond the target was the target; a router that refuses for a moment
            // does not undo what was heard of those behind it.
            if arrived || cycle == 0 {
                self.farthest = ttl;
                let behind = usize::from(ttl - self.plan.first_ttl) + 1;
                self.hops[behind..].fill(Hop::default());
            }
        } else if self
            .end
            .is_some_and(|end| end.ttl == ttl && cycle > end.cycle)
        {
            // The way has become longer.
            self.end = None;
        }
        self.farthest = self.farthest.max(ttl);
    }
}

impl Prober for Rounds {
    type Event = Change;

    fn poll_send(&mut self, now: Instant) -> Option<Probe> {
        let is_due = self.may_send() && self.due.is_none_or(|due| due <= now);
        is_due.then_some(Probe {
            number: self.number,
            ttl: self.ttl,
            flow: 0,
            packet_len: self.plan.packet_len,
        })
    }

    fn on_sent(&mut self, at: Instant) {
        let sent = Sent {
            ttl: self.ttl,
            cycle: self.cycle,
            at,
            left: None,
        };
        if let Some(forgotten) = self.waiting.insert(self.number, sent) {
            self.lost(forgotten.ttl, Some(forgotten.at));
        }
        self.sent(at);
    }

    fn on_not_sent(&mut self, _: NotSent, at: Instant) {
        self.lost(self.ttl, None);
        self.sent(at);
    }

    fn on_left(&mut self, number: u16, at: Instant) {
        if let Some(sent) = self.waiting.get_mut(&number)
            && at >= sent.at
        {
            sent.left = Some(at);
        }
    }

    fn on_answer(&mut self, heard: Heard) {
        let Some(sent) = self.waiting.remove(&heard.number) else {
            return;
        };
        let Sent { ttl, cycle, .. } = sent;
        if self.end.is_some_and(|end| ttl > end.ttl) {
            return;
        }
        let rtt = heard
            .at
            .saturating_duration_since(sent.left.unwrap_or(sent.at));
        self.longest = self.longest.max(Some(rtt));
        let hop = self.hop(ttl);
        hop.figures.answered(cycle, rtt);
        hop.record.add(sent.at, true);
        let before = hop.latest;
        if before.is_none_or(|(_, its)| cycle > its) {
            hop.latest = Some((heard.from, cycle));
            hop.mark = Some(heard.mark);
            if let Some((from, _)) = before
                && from != heard.from
            {
                self.changes.push_back(Change {
                    ttl,
                    from,
                    to: heard.from,
                    cycle: cycle + 1,
                    at: heard.at,
                });
            }
        }
        self.mind_the_end(sent, heard.mark);
        self.turn();
    }

    fn poll_event(&mut self, now: Instant) -> Option<Change> {
        let patience = self.patience();
        let given_up: Vec<u16> = self
            .waiting
            .iter()
            .filter(|(_, sent)| now >= sent.at + patience)
            .map(|(number, _)| *number)
            .collect();
        for number in given_up {
            if let Some(sent) = self.waiting.remove(&number) {
                self.lost(sent.ttl, Some(sent.at));
            }
        }
        self.turn();
        self.changes.pop_front()
    }

    fn next_wake(&self, now: Instant) -> Option<Instant> {
        let due = self.may_send().then(|| self.due.unwrap_or(now));
        let given_up = self.waiting.values().map(|sent| sent.at).min();
        let given_up = given_up.map(|at| at + self.patience());
        [due, given_up].into_iter().flatten().min()
    }

    fn is_over(&self) -> bool {
        self.all_sent() && self.waiting.is_empty() && self.changes.is_empty()
    }
}

#[cfg(test)]
mod tests;
