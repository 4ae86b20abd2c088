//! Which probe of which target is in what state, and what is due next. It is told the time and
//! never asks for it.
//!
//! Probes go round: the first of every target, then the second of every target. Their 16-bit
//! sequence numbers are shared by all targets, so that a number names one probe of the latest
//! 65,536; before a number is used again, its probe is answered or out of time.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::history::{Fate, History, REMEMBERED_RTTS};
use crate::session::{Summary, Tally};
use crate::statistics::RttStatistics;

const NUMBERS: usize = 1 << 16;
/// How far behind the pace may fall before what was missed is given up.
const SLACK: Duration = Duration::from_millis(10);
/// How soon a probe is tried again that found the socket's buffer full.
const RETRY_AFTER: Duration = Duration::from_millis(1);

/// What the user asked for.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Probes to each target; without a number, as many as there is time for.
    pub count: Option<u32>,
    /// The least time from one probe to the next of the same target.
    pub interval: Duration,
    /// The time from one probe to the next of whatever target.
    pub spacing: Duration,
    /// How old an unanswered probe must be to count as lost.
    pub patience: Duration,
    /// When to end, whatever came.
    pub deadline: Option<Duration>,
}

/// The state machine.
#[derive(Debug)]
pub struct Session {
    plan: Plan,
    started: Instant,
    next_due: Instant,
    round_started: Instant,
    targets: Vec<Target>,
    /// By sequence number: which target's which probe.
    numbers: Vec<Option<(u32, u32)>>,
    sent: u64,
    received: u64,
    unanswered: u64,
    last_sent: Option<Instant>,
    stopped: bool,
}

#[derive(Debug)]
struct Target {
    address: IpAddr,
    /// Those that an answer may still name, or in a sweep with an end, all.
    probes: VecDeque<Probe>,
    /// How many came before them.
    forgotten: u32,
    queued: RttStatistics,
    tally: Tally,
    rtt: RttStatistics,
    history: History,
    highest_answered: Option<u32>,
}

#[derive(Debug)]
struct Probe {
    sent: Instant,
    left: Option<Instant>,
    rtt: Option<Duration>,
    failed: bool,
}

/// A probe that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The index of its target.
    pub target: usize,
    /// Its sequence number on the wire.
    pub sequence: u16,
}

/// What became of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Which of its target's probes it is, from 1 on.
    pub number: u64,
    /// When it was sent, since the start.
    pub sent: Duration,
    /// `answered`, `error`, `in_flight` or `lost`.
    pub state: &'static str,
    /// The round trip of its first answer.
    pub rtt: Option<Duration>,
    /// What it waited in this host.
    pub queued: Option<Duration>,
}

impl Session {
    /// A session with these targets that begins at `now`.
    pub fn new(plan: Plan, targets: impl IntoIterator<Item = IpAddr>, now: Instant) -> Session {
        let targets: Vec<IpAddr> = targets.into_iter().collect();
        let room = REMEMBERED_RTTS / targets.len().max(1);
        let target = |address| Target {
            address,
            probes: VecDeque::new(),
            forgotten: 0,
            queued: RttStatistics::default(),
            tally: Tally::default(),
            rtt: RttStatistics::default(),
            history: History::remembering(room),
            highest_answered: None,
        };
        Session {
            plan,
            started: now,
            next_due: now,
            round_started: now,
            targets: targets.into_iter().map(target).collect(),
            numbers: vec![None; NUMBERS],
            sent: 0,
            received: 0,
            unanswered: 0,
            last_sent: None,
            stopped: false,
        }
    }

    /// The probe that is due, if one is.
    pub fn poll_send(&self, now: Instant) -> Option<Due> {
        let due = !self.is_over(now) && !self.all_sent() && now >= self.due();
        due.then(|| Due {
            target: self.next_target(),
            sequence: self.sent as u16,
        })
    }

    /// When to look again if nothing comes.
    pub fn next_wake(&self) -> Instant {
        let next = match self.last_sent {
            Some(last) if self.all_sent() => last + self.plan.patience,
            _ => self.due(),
        };
        self.deadline().map_or(next, |deadline| deadline.min(next))
    }

    /// Whether there is nothing more to do.
    pub fn is_over(&self, now: Instant) -> bool {
        let patient = self
            .last_sent
            .is_some_and(|last| now < last + self.plan.patience);
        let done = self.all_sent() && (self.unanswered == 0 || !patient);
        self.stopped || done || self.deadline().is_some_and(|deadline| now >= deadline)
    }

    /// The user wants no more.
    pub fn stop(&mut self) {
        self.stopped = true;
    }

    /// The due probe was handed to the kernel at `at`.
    pub fn on_sent(&mut self, at: Instant) {
        self.remember(at, false);
    }

    /// The due probe was refused by this host; it counts as sent and as an error.
    pub fn on_send_failed(&mut self, at: Instant) {
        self.remember(at, true);
    }

    /// The due probe found no room; it is due again in a moment.
    pub fn on_send_blocked(&mut self, now: Instant) {
        self.next_due = now + RETRY_AFTER;
    }

    /// The kernel said when the probe with this number left.
    pub fn on_left(&mut self, sequence: u16, at: Instant) {
        if let Some((_, _, probe)) = self.probe(sequence)
            && at >= probe.sent
        {
            probe.left = Some(at);
        }
    }

    /// An answer came from `from`. The target, if this is the first answer of it.
    pub fn on_reply(&mut self, sequence: u16, from: IpAddr, at: Instant) -> Option<usize> {
        let patience = self.plan.patience;
        let (index, nth) = self.numbers[usize::from(sequence)]?;
        let target = self.targets.get_mut(index as usize)?;
        if target.address != from {
            return None;
        }
        let place = nth.checked_sub(target.forgotten)? as usize;
        let probe = target.probes.get_mut(place)?;
        let rtt = at.saturating_duration_since(probe.left.unwrap_or(probe.sent));
        target.rtt.add(rtt);
        if probe.rtt.is_some() {
            target.tally.duplicates += 1;
            return None;
        }
        probe.rtt = Some(rtt);
        self.unanswered -= u64::from(!probe.failed);
        self.received += 1;
        target.history.answered(rtt);
        target.tally.received += 1;
        target.tally.late += u64::from(rtt > patience);
        target.tally.reordered += u64::from(target.highest_answered > Some(nth));
        target.highest_answered = target.highest_answered.max(Some(nth));
        (target.tally.received == 1).then_some(index as usize)
    }

    /// The target and the round trip that an answer ends, if it is one's first.
    pub fn round_trip(
        &self,
        sequence: u16,
        from: IpAddr,
        at: Instant,
    ) -> Option<(usize, Duration)> {
        let (index, nth) = self.numbers[usize::from(sequence)]?;
        let target = self.targets.get(index as usize)?;
        let place = nth.checked_sub(target.forgotten)? as usize;
        let probe = target.probes.get(place)?;
        let first = target.address == from && probe.rtt.is_none();
        let left = probe.left.unwrap_or(probe.sent);
        first.then(|| (index as usize, at.saturating_duration_since(left)))
    }

    /// An answer with a wrong checksum came from `from`.
    pub fn on_corrupt_reply(&mut self, sequence: u16, from: IpAddr) {
        if let Some((address, tally, _)) = self.probe(sequence)
            && address == from
        {
            tally.corrupted += 1;
        }
    }

    /// The answer that was just taken has not the data that was sent.
    pub fn on_damaged_reply(&mut self, sequence: u16, from: IpAddr) {
        if let Some((address, tally, _)) = self.probe(sequence)
            && address == from
        {
            tally.damaged += 1;
        }
    }

    /// An ICMP error came that quotes a probe on its way to `destination`.
    pub fn on_error(&mut self, sequence: u16, destination: IpAddr) {
        let Some((address, tally, probe)) = self.probe(sequence) else {
            return;
        };
        if address != destination {
            return;
        }
        tally.errors += 1;
        let was_waiting = probe.rtt.is_none() && !probe.failed;
        probe.failed = true;
        self.unanswered -= u64::from(was_waiting);
    }

    /// How a target stands at `now`.
    pub fn summary(&self, target: usize, now: Instant) -> Option<Summary> {
        let target = self.targets.get(target)?;
        let young = |probe: &&Probe| self.is_waiting(probe, now);
        let settled = (u64::from(target.forgotten) + 1..)
            .zip(&target.probes)
            .filter(|(_, probe)| !young(probe))
            .map(|(number, probe)| {
                let fate = probe.rtt.map_or(Fate::Lost, Fate::Answered);
                (number, probe.sent - self.started, fate)
            });
        let last = target.probes.back();
        let mut queued = target.queued;
        let answered = target.probes.iter().filter(|probe| probe.rtt.is_some());
        for (sent, left) in answered.filter_map(|probe| Some((probe.sent, probe.left?))) {
            queued.add(left - sent);
        }
        Some(Summary {
            transmitted: u64::from(target.forgotten) + target.probes.len() as u64,
            tally: target.tally,
            in_flight: target.probes.iter().filter(young).count() as u64,
            elapsed: last.map_or(Duration::ZERO, |probe| probe.sent - self.started),
            rtt: target.rtt.figures(),
            queued: queued.figures(),
            pipe: 0,
            gap: None,
            success: target.tally.received > 0,
            quality: target.history.quality(settled),
        })
    }

    /// What became of each probe of a target that is remembered, as it stands at `now`.
    pub fn probes(&self, target: usize, now: Instant) -> impl Iterator<Item = Outcome> + '_ {
        let target = self.targets.get(target);
        let probes = target.into_iter().flat_map(|target| &target.probes);
        (1..).zip(probes).map(move |(number, probe)| Outcome {
            number,
            sent: probe.sent - self.started,
            state: match probe.rtt {
                Some(_) => "answered",
                None if probe.failed => "error",
                None if self.is_waiting(probe, now) => "in_flight",
                None => "lost",
            },
            rtt: probe.rtt,
            queued: probe.left.map(|left| left - probe.sent),
        })
    }

    /// How many probes were sent, and how many of them were answered.
    pub const fn totals(&self) -> (u64, u64) {
        (self.sent, self.received)
    }

    fn is_waiting(&self, probe: &Probe, now: Instant) -> bool {
        probe.rtt.is_none() && !probe.failed && now < probe.sent + self.plan.patience
    }

    fn all_sent(&self) -> bool {
        let targets = self.targets.len() as u64;
        let all = self.plan.count.map(|count| targets * u64::from(count));
        all.is_some_and(|all| self.sent >= all)
    }

    fn deadline(&self) -> Option<Instant> {
        self.plan.deadline.map(|after| self.started + after)
    }

    fn due(&self) -> Instant {
        // A number whose probe may still be answered is not given to another.
        let taken = self.numbers[usize::from(self.sent as u16)]
            .and_then(|(target, nth)| {
                let target = self.targets.get(target as usize)?;
                let at = nth.checked_sub(target.forgotten)?;
                target.probes.get(at as usize)
            })
            .filter(|probe| probe.rtt.is_none() && !probe.failed)
            .map(|probe| probe.sent + self.plan.patience);
        taken.map_or(self.next_due, |free| free.max(self.next_due))
    }

    fn next_target(&self) -> usize {
        (self.sent % self.targets.len() as u64) as usize
    }

    fn remember(&mut self, sent: Instant, failed: bool) {
        let number = usize::from(self.sent as u16);
        if self.plan.count.is_none() {
            self.forget(number);
        }
        let index = self.next_target();
        let target = &mut self.targets[index];
        let nth = target.forgotten.wrapping_add(target.probes.len() as u32);
        target.probes.push_back(Probe {
            sent,
            left: None,
            rtt: None,
            failed,
        });
        target.tally.errors += u64::from(failed);
        self.numbers[number] = Some((index as u32, nth));
        self.unanswered += u64::from(!failed);
        self.sent += 1;
        self.last_sent = Some(sent);
        // Deadlines are absolute, so that the pace does not drift.
        self.next_due += self.plan.spacing;
        if self.next_due + SLACK < sent {
            self.next_due = sent;
        }
        if self.next_target() == 0 {
            self.round_started = self.next_due.max(self.round_started + self.plan.interval);
            self.next_due = self.round_started;
        }
    }

    fn probe(&mut self, sequence: u16) -> Option<(IpAddr, &mut Tally, &mut Probe)> {
        let (target, nth) = self.numbers[usize::from(sequence)]?;
        let target = self.targets.get_mut(target as usize)?;
        let at = nth.checked_sub(target.forgotten)?;
        let probe = target.probes.get_mut(at as usize)?;
        Some((target.address, &mut target.tally, probe))
    }

    /// In a sweep without an end, only what has a number is remembered. A target's probes got
    /// theirs in order, so that the one that gives its number up is the oldest.
    fn forget(&mut self, number: usize) {
        let owner = self.numbers[number].take();
        let Some(target) = owner.and_then(|(target, _)| self.targets.get_mut(target as usize))
        else {
            return;
        };
        let Some(probe) = target.probes.pop_front() else {
            return;
        };
        target.forgotten = target.forgotten.wrapping_add(1);
        self.unanswered -= u64::from(probe.rtt.is_none() && !probe.failed);
        if let (Some(_), Some(left)) = (probe.rtt, probe.left) {
            target.queued.add(left - probe.sent);
        }
        let fate = probe.rtt.map_or(Fate::Lost, Fate::Answered);
        let sent = probe.sent - self.started;
        target
            .history
            .settle(u64::from(target.forgotten), sent, fate);
    }
}

#[cfg(test)]
mod tests;
