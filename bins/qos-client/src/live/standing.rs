//! What is known of a test so far. Memory is bounded by the plan: a probe is held until it is
//! decided, then it is a number among others.

use std::collections::VecDeque;
use std::time::Duration;

use netstats::jitter::{InterarrivalJitter, ipdv_abs_mean};
use netstats::loss::{Interval, wilson};
use netstats::summary::Summary;
use netstats::throughput::Throughput;

use crate::figures::Figures;
use crate::figures::trust::{self, Conduct};
use crate::udp::Plan;
use crate::udp::running::News;

/// The latest answers, and the latest pacing errors, of which figures are shown.
const RECENT: usize = 1000;
/// The shortest time that a column of the chart stands for.
const SLICE: Duration = Duration::from_millis(100);
/// Slices that are remembered: more than fit on any screen.
const SLICES: usize = 1024;

/// A test so far.
#[derive(Debug)]
pub struct Standing {
    pub(super) target: String,
    pub(super) plan: Plan,
    pub(super) now: Duration,
    /// When the first probe left.
    pub(super) began: Option<Duration>,
    /// Probes told of, the warm-up among them.
    pub(super) told: u32,
    /// Those that left, the warm-up among them.
    pub(super) sent: u32,
    /// Those that this machine did not let out.
    pub(super) unsent: u32,
    /// Distinct answers, the warm-up's and late ones among them.
    pub(super) answered: u32,
    /// Of the probes that are decided, without the warm-up: how many, and the lost.
    pub(super) decided: u32,
    pub(super) lost: u32,
    pub(super) jitter: InterarrivalJitter,
    pub(super) received: Throughput,
    missed_slots: u32,
    receive_drops: u32,
    /// From the first that is not decided on, in order of sequence.
    open: VecDeque<Open>,
    /// Sequence numbers and round trips, in order of arrival.
    recent: VecDeque<(u32, Duration)>,
    pacing: VecDeque<Duration>,
    slice: Duration,
    /// The number of the first slice that is remembered.
    first_slice: u64,
    slices: VecDeque<Slice>,
}

#[derive(Debug, Clone, Copy)]
enum Open {
    Unsent,
    Sent { at: Duration, bytes: usize },
    Answered,
}

/// What became of the probes of one slice of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Slice {
    pub(super) sent: u32,
    pub(super) lost: u32,
    /// The longest round trip; `None` before the first answer.
    pub(super) longest: Option<Duration>,
}

impl Standing {
    /// Before the first probe.
    pub fn new(target: String, plan: &Plan) -> Standing {
        Standing {
            target,
            plan: *plan,
            now: Duration::ZERO,
            began: None,
            told: 0,
            sent: 0,
            unsent: 0,
            answered: 0,
            decided: 0,
            lost: 0,
            jitter: InterarrivalJitter::new(),
            received: Throughput::new(),
            missed_slots: 0,
            receive_drops: 0,
            open: VecDeque::new(),
            recent: VecDeque::new(),
            pacing: VecDeque::new(),
            slice: SLICE.max(plan.interval()),
            first_slice: 0,
            slices: VecDeque::new(),
        }
    }

    /// What happened next.
    pub fn take(&mut self, news: News) {
        match news {
            News::Sent { at, late_by, bytes } => {
                let warm = self.told >= self.plan.warmup();
                self.told += 1;
                self.sent += 1;
                self.began.get_or_insert(at);
                self.open.push_back(Open::Sent { at, bytes });
                if warm {
                    remember(&mut self.pacing, late_by);
                    self.missed_slots += u32::from(late_by >= self.plan.interval());
                }
                if let Some(slice) = self.slice_at(at) {
                    slice.sent += 1;
                }
            }
            News::Unsent => {
                self.told += 1;
                self.unsent += 1;
                self.open.push_back(Open::Unsent);
            }
            News::Answered { sequence, at } => self.answered(sequence, at),
        }
    }

    fn answered(&mut self, sequence: u32, at: Duration) {
        self.answered += 1;
        let decided = self.told - self.open.len() as u32;
        let place = sequence.checked_sub(decided).map(|place| place as usize);
        let Some(open) = place.and_then(|place| self.open.get_mut(place)) else {
            // Its deadline had passed: it is a loss, and stays one (RFC 6673).
            return;
        };
        let Open::Sent { at: sent, bytes } = *open else {
            return;
        };
        let rtt = at.saturating_sub(sent);
        if rtt > self.plan.loss_deadline() {
            return;
        }
        *open = Open::Answered;
        if let Some(slice) = self.slice_at(sent) {
            slice.longest = slice.longest.max(Some(rtt));
        }
        if sequence >= self.plan.warmup() {
            self.jitter.arrived(sent, at);
            self.received.received(at, bytes as u64);
            remember(&mut self.recent, (sequence, rtt));
        }
    }

    /// Decides what can be decided by now, in order of sequence: an answer that came counts once
    /// those before it are decided too, so that the share of losses is not too small for as long as
    /// a deadline takes.
    pub fn settle(&mut self, now: Duration, receive_drops: u32) {
        self.now = now;
        self.receive_drops = receive_drops;
        while let Some(open) = self.open.front().copied() {
            let sequence = self.told - self.open.len() as u32;
            let counted = u32::from(sequence >= self.plan.warmup());
            match open {
                Open::Unsent => {}
                Open::Answered => self.decided += counted,
                Open::Sent { at, .. } if at + self.plan.loss_deadline() <= now => {
                    self.decided += counted;
                    self.lost += counted;
                    if let Some(slice) = self.slice_at(at) {
                        slice.lost += 1;
                    }
                }
                Open::Sent { .. } => break,
            }
            self.open.pop_front();
        }
    }

    /// The share of losses among the probes that are decided, of 100, and its 95 % interval.
    pub(super) fn loss_pct(&self) -> Option<(f64, Interval)> {
        let share = wilson(self.lost.into(), self.decided.into())?;
        let loss = f64::from(self.lost) * 100.0 / f64::from(self.decided);
        let interval = Interval {
            low: share.low * 100.0,
            high: share.high * 100.0,
        };
        Some((loss, interval))
    }

    /// The round trips of the latest answers.
    pub(super) fn rtt(&self) -> Summary {
        Summary::of(self.recent.iter().map(|(_, rtt)| *rtt))
    }

    /// How this machine does: pacing by its latest probes, the rest since the beginning.
    pub(super) fn conduct(&self) -> Conduct {
        Conduct {
            urgency: None,
            stolen: None,
            pacing_error: Summary::of(self.pacing.iter().copied()),
            missed_slots: self.missed_slots,
            local_drops: self.unsent,
            receive_drops: self.receive_drops,
            kernel_stamped_pct: None,
        }
    }

    /// Why what is shown says less than it seems to.
    pub(super) fn limits(&self, conduct: &Conduct) -> Vec<String> {
        let figures = Figures {
            sent: self.sent,
            ipdv_abs_mean: ipdv_abs_mean(self.recent.iter().copied()).map(|(mean, _)| mean),
            rtt: self.rtt(),
            ..Figures::default()
        };
        trust::limits(&figures, conduct)
    }

    /// The latest slices, at most so many; the last may still fill up.
    pub(super) fn latest(&self, most: usize) -> impl Iterator<Item = &Slice> + Clone {
        let skipped = self.slices.len().saturating_sub(most);
        self.slices.iter().skip(skipped)
    }

    /// That of a moment; `None` when it is remembered no longer.
    fn slice_at(&mut self, at: Duration) -> Option<&mut Slice> {
        let since = at.saturating_sub(self.began?);
        let number = u64::try_from(since.as_nanos() / self.slice.as_nanos()).ok()?;
        while number >= self.first_slice + self.slices.len() as u64 {
            if self.slices.len() == SLICES {
                self.slices.pop_front();
                self.first_slice += 1;
            }
            self.slices.push_back(Slice::default());
        }
        let place = number.checked_sub(self.first_slice)?;
        self.slices.get_mut(usize::try_from(place).ok()?)
    }
}

fn remember<T>(latest: &mut VecDeque<T>, next: T) {
    if latest.len() == RECENT {
        latest.pop_front();
    }
    latest.push_back(next);
}
