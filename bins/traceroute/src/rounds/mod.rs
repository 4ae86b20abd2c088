//! One path probed again and again: what each hop loses and how long it takes, and when the path
//! changes. Read this file, then `change`, `routers`, `hop`, `figures`; `shared` is for who looks on.

pub mod change;
mod figures;
mod hop;
mod routers;
mod shared;

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::mark::Mark;
use crate::probe::{Heard, NotSent, Probe};
use crate::prober::Prober;
use crate::session::Waits;
use crate::silence::{self, Record, Silence, Suspect};
pub use change::Change;
use change::{End, Ends};
pub use figures::Figures;
pub use hop::{Fate, Hop, Seen};
pub use shared::Shared;

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
    /// How often each hop is probed; nothing means until a signal comes.
    pub cycles: Option<u32>,
    /// How long a cycle takes; its probes are spread over it.
    pub interval: Duration,
    /// How long to wait for an answer.
    pub waits: Waits,
    /// Octets of a probe.
    pub packet_len: u16,
    /// How many hops are probed beyond the farthest that answered, while the target has not.
    pub gap: u8,
}

/// The state machine.
#[derive(Debug)]
pub struct Rounds {
    plan: Plan,
    /// By TTL, from the first.
    hops: Vec<Hop>,
    number: u16,
    waiting: BTreeMap<u16, Sent>,
    /// Those that are waited for no more, until their numbers are given out again.
    given_up: BTreeMap<u16, Sent>,
    /// What is sent next: the cycle, from 0, and the TTL.
    cycle: u32,
    ttl: u8,
    /// When that is sent.
    due: Option<Instant>,
    /// The farthest hop that answered; the one before the first if none has.
    farthest: u8,
    /// Where the way ends, as was last seen, and in which cycle.
    end: Option<(End, u32)>,
    ends: Ends,
    lost_at_end: u8,
    longest: Option<Duration>,
    changes: VecDeque<Change>,
    paused: bool,
}

#[derive(Debug, Clone, Copy)]
struct Sent {
    ttl: u8,
    cycle: u32,
    at: Instant,
    left: Option<Instant>,
}

impl Sent {
    fn round_trip(&self, answered: Instant) -> Duration {
        answered.saturating_duration_since(self.left.unwrap_or(self.at))
    }
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
            given_up: BTreeMap::new(),
            cycle: 0,
            ttl: plan.first_ttl,
            due: None,
            farthest: plan.first_ttl - 1,
            end: None,
            ends: Ends::default(),
            lost_at_end: 0,
            longest: None,
            changes: VecDeque::new(),
            paused: false,
        }
    }

    /// The hops so far with their TTLs, up to the target or one beyond the farthest that answered.
    pub fn hops(&self) -> impl Iterator<Item = (u8, &Hop)> {
        let last = match self.end {
            Some((end, _)) if end.arrived() => end.ttl,
            Some((end, _)) => end.ttl.max(self.farthest),
            // A target that lost its last probes is looked for farther away; until somebody answers
            // there, nothing is known to be behind it.
            None => match self.target() {
                Some((ttl, _)) => ttl.max(self.farthest),
                None => self.farthest.saturating_add(1).min(self.plan.max_ttl),
            },
        };
        (self.plan.first_ttl..=last).zip(&self.hops)
    }

    /// The hop at which the target answered last, if it ever did.
    pub fn target(&self) -> Option<(u8, &Hop)> {
        let hops = (self.plan.first_ttl..=self.plan.max_ttl).zip(&self.hops);
        let answered = hops.filter(|(_, hop)| hop.mark == Some(Mark::Arrived));
        // Of two at which it answered in one cycle, the nearer.
        answered.min_by_key(|(ttl, hop)| (Reverse(hop.latest.map(|(_, cycle)| cycle)), *ttl))
    }

    /// Whether anything has been sent.
    pub fn has_begun(&self) -> bool {
        self.due.is_some()
    }

    /// The cycle that is under way; the first is 1.
    pub fn cycle(&self) -> u32 {
        self.cycle.saturating_add(1)
    }

    /// Sends nothing more, until [`go_on`](Rounds::go_on). What is on its way is still waited for.
    pub fn pause(&mut self) {
        self.paused = true;
    }

    /// Sends again, from now on.
    pub fn go_on(&mut self, now: Instant) {
        self.paused = false;
        self.due = self.due.map(|due| due.max(now));
    }

    /// Whether nothing is sent for now.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// Counts from nothing again. Probes that are on their way no longer count; what the path is
    /// stays known.
    pub fn reset(&mut self) {
        self.waiting.clear();
        self.given_up.clear();
        for hop in &mut self.hops {
            hop.reset();
        }
    }

    /// Which hops left probes unanswered that were not lost.
    pub fn silences(&self) -> Vec<Silence> {
        silences(self.hops())
    }

    /// The hops whose silence is worth an experiment.
    pub fn suspects(&self) -> Vec<Suspect> {
        let hops: Vec<_> = self
            .hops()
            .map(|(ttl, hop)| (ttl, hop.address(), hop.record()))
            .collect();
        silence::suspects(&hops)
    }

    fn hop(&mut self, ttl: u8) -> &mut Hop {
        &mut self.hops[usize::from(ttl - self.plan.first_ttl)]
    }

    /// The last TTL to probe, as far as is known.
    fn last_ttl(&self) -> u8 {
        match self.end {
            Some((end, _)) => end.ttl,
            None => self
                .farthest
                .saturating_add(self.plan.gap)
                .min(self.plan.max_ttl),
        }
    }

    fn all_sent(&self) -> bool {
        self.cycle >= self.plan.cycles.unwrap_or(u32::MAX)
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
        let has_room = self.waiting.len() < MOST_WAITING;
        !self.paused && !self.all_sent() && self.ttl <= self.last_ttl() && has_room
    }

    fn patience(&self) -> Duration {
        let Waits { max, here, .. } = self.plan.waits;
        match self.longest {
            Some(rtt) if here > 0.0 => rtt.mul_f64(here).max(LEAST_WAIT).min(max),
            _ => max,
        }
    }

    /// Nobody answered the probe, which was sent then unless this host refused it.
    fn lost(&mut self, ttl: u8, cycle: u32, sent: Option<Instant>) {
        if self.is_beyond_the_end(ttl) {
            return self.hop(ttl).forget(cycle);
        }
        self.hop(ttl).lost(cycle, sent);
        if self.end.is_some_and(|(end, _)| end.ttl == ttl) {
            self.lost_at_end += 1;
            if self.lost_at_end >= LOST_BEFORE_LOOKING_ON && ttl < self.plan.max_ttl {
                self.end = None;
                self.lost_at_end = 0;
            }
        }
    }

    /// An answer to a probe that is waited for no more, if there was one.
    fn late(&mut self, heard: &Heard) {
        let Some(sent) = self.given_up.remove(&heard.number) else {
            return;
        };
        if !self.is_beyond_the_end(sent.ttl) {
            let after = sent.round_trip(heard.at);
            // Where the way has become slow, the next ones are waited for longer.
            self.longest = self.longest.max(Some(after));
            self.hop(sent.ttl).late(sent.cycle, after);
        }
    }

    fn is_beyond_the_end(&self, ttl: u8) -> bool {
        self.end.is_some_and(|(end, _)| ttl > end.ttl)
    }

    /// One more number is used up, and the next TTL is due after its share of the cycle.
    fn sent(&mut self, at: Instant) {
        let hops = match self.end {
            Some((end, _)) => u32::from(end.ttl - self.plan.first_ttl) + 1,
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
    fn mind_the_end(&mut self, sent: Sent, heard: &Heard) {
        let Sent { ttl, cycle, .. } = sent;
        if heard.mark.ends_the_way() {
            let end = End {
                ttl,
                mark: heard.mark,
                by: heard.from,
            };
            self.lost_at_end = 0;
            self.end = Some((end, cycle));
            self.changes.extend(self.ends.watch(end, cycle, heard.at));
            // What answered beyond the target was the target; a router that refuses for a moment
            // does not undo what was heard of those behind it.
            if end.arrived() || cycle == 0 {
                self.farthest = ttl;
                let behind = usize::from(ttl - self.plan.first_ttl) + 1;
                self.hops[behind..].fill(Hop::default());
            }
        } else if self
            .end
            .is_some_and(|(end, its)| end.ttl == ttl && cycle > its)
        {
            // The way has become longer.
            self.end = None;
        }
        self.farthest = self.farthest.max(ttl);
    }
}

/// Which of these hops left probes unanswered that were not lost.
pub fn silences<'a>(hops: impl Iterator<Item = (u8, &'a Hop)>) -> Vec<Silence> {
    let hops: Vec<(u8, &Record)> = hops.map(|(ttl, hop)| (ttl, hop.record())).collect();
    silence::judge(&hops)
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
        self.given_up.remove(&self.number);
        if let Some(forgotten) = self.waiting.insert(self.number, sent) {
            self.lost(forgotten.ttl, forgotten.cycle, Some(forgotten.at));
        }
        self.hop(sent.ttl).sent(sent.cycle);
        self.sent(at);
    }

    fn on_not_sent(&mut self, _: NotSent, at: Instant) {
        let (ttl, cycle) = (self.ttl, self.cycle);
        self.hop(ttl).sent(cycle);
        self.lost(ttl, cycle, None);
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
            return self.late(&heard);
        };
        let Sent { ttl, cycle, .. } = sent;
        if self.is_beyond_the_end(ttl) {
            return self.hop(ttl).forget(cycle);
        }
        let rtt = sent.round_trip(heard.at);
        self.longest = self.longest.max(Some(rtt));
        let hop = self.hop(ttl);
        hop.answered(cycle, heard.from, sent.at, rtt);
        if hop.latest.is_none_or(|(_, its)| cycle > its) {
            hop.mark = Some(heard.mark);
            let change = hop.heard_from(ttl, heard.from, cycle, heard.at);
            self.changes.extend(change);
        }
        self.mind_the_end(sent, &heard);
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
                self.lost(sent.ttl, sent.cycle, Some(sent.at));
                self.given_up.insert(number, sent);
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
