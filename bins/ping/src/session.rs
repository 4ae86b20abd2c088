//! Which probe is in what state, and what is due next: a state machine that is told the time and
//! never asks for it.
//!
//! The loop in `probing` asks [`Session::poll_send`] what to send, tells what happened by the
//! `on_…` calls, and sleeps until [`Session::next_wake`].

mod probes;
mod schedule;
mod summary;

use std::time::{Duration, Instant};

use self::probes::{Probe, Probes, State};
pub use self::schedule::Pace;
use self::schedule::{FLOOD_INTERVAL, Schedule};
pub use self::summary::{Loss, Summary, Tally};
use crate::history::History;
use crate::statistics::RttStatistics;

/// When nothing has been answered yet, how old a probe must be to count as lost at the end.
const UNKNOWN_RTT: Duration = Duration::from_secs(1);
/// What the user asked for.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How many probes to send; with a deadline, how many answers to wait for.
    pub count: Option<u64>,
    /// The time from one probe to the next.
    pub interval: Duration,
    /// What moves the interval.
    pub pace: Pace,
    /// How many probes may be sent before the first answer.
    pub preload: u32,
    /// How long to wait for the last answers when none came so far.
    pub patience: Duration,
    /// When to end, whatever came.
    pub deadline: Option<Duration>,
}

/// The state machine.
#[derive(Debug)]
pub struct Session {
    plan: Plan,
    started: Instant,
    schedule: Schedule,
    linger_until: Option<Instant>,
    stopped: Option<Instant>,
    probes: Probes,
    highest_answered: u64,
    tally: Tally,
    pipe: u64,
    denied: bool,
    rtt: RttStatistics,
    queued: RttStatistics,
    history: History,
}

/// What an answer turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The first answer to a probe.
    Answered {
        /// How long it took.
        trip: RoundTrip,
        /// Whether its probe would have counted as lost by now.
        late: bool,
        /// Whether a later probe was answered before.
        reordered: bool,
    },
    /// A further answer to it.
    Duplicate {
        /// How long it took.
        trip: RoundTrip,
    },
    /// No probe that is remembered has this number.
    Unknown,
}

/// The time of a round trip, and that which is not part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoundTrip {
    /// The round-trip time.
    pub rtt: Duration,
    /// How long the probe waited in this host for the neighbour's address and in queues, where
    /// the kernel said when it left; where it did not, the round trip contains it.
    pub queued: Option<Duration>,
}

impl Session {
    /// A session that begins at `now`.
    pub fn new(plan: Plan, now: Instant) -> Session {
        Session {
            schedule: Schedule::new(plan.pace, plan.interval, plan.preload, now),
            plan,
            started: now,
            linger_until: None,
            stopped: None,
            probes: Probes::default(),
            highest_answered: 0,
            tally: Tally::default(),
            pipe: 0,
            denied: false,
            rtt: RttStatistics::default(),
            queued: RttStatistics::default(),
            history: History::default(),
        }
    }

    /// The number of the probe that is due, if one is. Numbers begin with 1; on the wire they are
    /// cut to 16 bits.
    pub fn poll_send(&self, now: Instant) -> Option<u64> {
        let due = !self.is_over(now) && !self.all_sent() && now >= self.due();
        due.then_some(self.transmitted() + 1)
    }

    /// When to look again if nothing comes; `None` is never the case while the session lasts.
    pub fn next_wake(&self) -> Option<Instant> {
        let due = (!self.all_sent()).then(|| self.due());
        let deadline = self.plan.deadline.map(|after| self.started + after);
        [due, self.linger_until, deadline]
            .into_iter()
            .flatten()
            .min()
    }

    /// Whether there is nothing more to do.
    pub fn is_over(&self, now: Instant) -> bool {
        let answers = self.tally.received + self.tally.errors;
        let deadline = self.plan.deadline.map(|after| self.started + after);
        self.stopped.is_some()
            || self.plan.count.is_some_and(|count| answers >= count)
            || (deadline.is_some() && self.tally.errors > 0)
            || deadline.is_some_and(|deadline| now >= deadline)
            || self.linger_until.is_some_and(|until| now >= until)
    }

    /// The user wants no more.
    pub fn stop(&mut self, now: Instant) {
        self.stopped.get_or_insert(now);
    }

    /// The due probe was handed to the kernel at `at`.
    pub fn on_sent(&mut self, at: Instant) {
        self.remember(at, State::Waiting);
    }

    /// The due probe was refused by this host; it counts as sent.
    pub fn on_send_failed(&mut self, at: Instant) {
        self.remember(at, State::Failed);
    }

    /// The due probe found no room; it is due again in a moment.
    pub fn on_send_blocked(&mut self, now: Instant) {
        self.schedule.on_blocked(now);
    }

    /// The kernel said when probe `number` left.
    pub fn on_left(&mut self, number: u64, at: Instant) {
        if let Some(probe) = self.probes.number_mut(number)
            && at >= probe.sent
        {
            probe.left = Some(at);
        }
    }

    /// An answer with this sequence number arrived at `at`.
    pub fn on_reply(&mut self, sequence: u16, at: Instant) -> Verdict {
        let Some(number) = self.probes.number_of(sequence) else {
            return Verdict::Unknown;
        };
        let patience = self.loss_after();
        let Some(probe) = self.probes.number_mut(number) else {
            return Verdict::Unknown;
        };
        // What the host sends to itself may be back before its driver has said that it left.
        let left = probe.left.filter(|left| *left <= at);
        let rtt = at.saturating_duration_since(left.unwrap_or(probe.sent));
        let queued = left.map(|left| left - probe.sent);
        let trip = RoundTrip { rtt, queued };
        let first = probe.state != State::Answered;
        probe.state = State::Answered;
        probe.rtt.get_or_insert(rtt);
        self.rtt.add(rtt);
        if !first {
            self.tally.duplicates += 1;
            return Verdict::Duplicate { trip };
        }
        let late = rtt > patience;
        let reordered = number < self.highest_answered;
        self.tally.received += 1;
        self.tally.late += u64::from(late);
        self.tally.reordered += u64::from(reordered);
        if let Some(queued) = queued {
            self.queued.add(queued);
        }
        self.history.answered(rtt);
        self.acknowledge(number);
        Verdict::Answered {
            trip,
            late,
            reordered,
        }
    }

    /// An answer with a wrong checksum arrived: it is counted, and its probe goes on waiting.
    pub fn on_corrupt_reply(&mut self) {
        self.tally.corrupted += 1;
    }

    /// The answer that was just taken has not the data that was sent.
    pub fn on_damaged_reply(&mut self) {
        self.tally.damaged += 1;
    }

    /// An ICMP error that quotes this sequence number arrived. Whether it was one of ours.
    pub fn on_error(&mut self, sequence: u16) -> bool {
        let Some(number) = self.probes.number_of(sequence) else {
            return false;
        };
        if let Some(probe) = self.probes.number_mut(number)
            && probe.state == State::Waiting
        {
            probe.state = State::Failed;
        }
        self.tally.errors += 1;
        self.acknowledge(number);
        true
    }

    /// This host refused to send one of the probes after all.
    pub fn on_local_error(&mut self) {
        self.tally.errors += 1;
    }

    /// The wire number of the probe before the one that is due, if it is still unanswered.
    pub fn outstanding(&self) -> Option<u16> {
        let last = self.probes.last()?;
        (last.state == State::Waiting).then_some(self.transmitted() as u16)
    }

    /// The wire number of the latest probe whose number ends with this octet.
    pub const fn latest_with_octet(&self, octet: u8) -> u16 {
        let age = (self.transmitted() as u8).wrapping_sub(octet);
        (self.transmitted() as u16).wrapping_sub(age as u16)
    }

    /// What the host said is not what the user wants to hear: no success.
    pub const fn on_denial(&mut self) {
        self.denied = true;
    }

    /// How many probes were sent since the latest one that was answered.
    pub fn on_their_way(&self) -> u64 {
        self.transmitted() - self.highest_answered
    }

    /// Whether the host has answered at all.
    pub fn has_answer(&self) -> bool {
        self.tally.received > 0
    }

    /// The numbers of the remembered probes that have no answer, and whether one may still come.
    pub fn unanswered(&self, now: Instant) -> Vec<(u64, bool)> {
        let patience = self.loss_after();
        self.probes
            .iter()
            .filter(|(_, probe)| probe.state == State::Waiting)
            .map(|(number, probe)| (number, probe.is_young(patience, now)))
            .collect()
    }

    /// How it stands at `now`.
    pub fn summary(&self, now: Instant) -> Summary {
        let patience = self.loss_after();
        let young = |probe: &Probe| probe.is_young(patience, now);
        let settled = self
            .probes
            .iter()
            .filter(|(_, probe)| !young(probe))
            .map(|(number, probe)| (number, probe.sent - self.started, probe.fate()));
        let elapsed = self
            .schedule
            .last_sent()
            .map_or(Duration::ZERO, |last| last - self.started);
        let enough = match (self.plan.deadline, self.plan.count) {
            (Some(_), Some(count)) => self.tally.received >= count,
            _ => self.tally.received > 0,
        };
        let moving = self.plan.pace != Pace::Fixed || self.plan.interval.is_zero();
        let gaps = u32::try_from(self.transmitted().saturating_sub(1)).unwrap_or(u32::MAX);
        Summary {
            transmitted: self.transmitted(),
            tally: self.tally,
            in_flight: self.probes.iter().filter(|(_, probe)| young(probe)).count() as u64,
            elapsed,
            rtt: self.rtt.figures(),
            queued: self.queued.figures(),
            pipe: self.pipe,
            gap: elapsed
                .checked_div(gaps)
                .filter(|_| moving && self.tally.received > 0),
            success: enough && !self.denied,
            quality: self.history.quality(settled),
        }
    }

    /// With a deadline, probes go out until enough answers came (iputils' -w with -c).
    fn all_sent(&self) -> bool {
        let sent = |count| self.transmitted() >= count;
        self.plan.deadline.is_none() && self.plan.count.is_some_and(sent)
    }

    fn due(&self) -> Instant {
        self.schedule.due(self.on_their_way(), self.rtt.ewma())
    }

    const fn transmitted(&self) -> u64 {
        self.probes.transmitted()
    }

    fn remember(&mut self, sent: Instant, state: State) {
        if let Some((number, forgotten)) = self.probes.push(sent, state) {
            let since = forgotten.sent - self.started;
            self.history.settle(number, since, forgotten.fate());
        }
        let smoothed = self.rtt.ewma();
        self.schedule.on_sent(sent, smoothed);
        if self.all_sent() {
            let linger = if self.tally.received > 0 {
                // Until it is known of the last, too, what became of it.
                self.loss_after().max(self.schedule.interval(smoothed))
            } else {
                self.plan.patience
            };
            self.linger_until = Some(sent + linger);
        }
    }

    /// How old an unanswered probe must be to count as lost.
    fn loss_after(&self) -> Duration {
        if self.tally.received > 0 {
            (2 * self.rtt.max()).max(FLOOD_INTERVAL)
        } else {
            self.plan.patience.min(UNKNOWN_RTT)
        }
    }

    fn acknowledge(&mut self, number: u64) {
        self.pipe = self.pipe.max(self.transmitted() - number + 1);
        self.highest_answered = self.highest_answered.max(number);
    }
}

#[cfg(test)]
mod tests;
