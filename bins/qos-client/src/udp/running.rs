//! A test as it runs, for somebody who looks on from another thread.
//!
//! Sender and receiver leave marks in shared memory and wait for nobody; the onlooker reads what is
//! new whenever it likes, and what it does with it, however slowly, changes nothing of the test.

use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::pattern::Schedule;
use super::{Plan, Shared};

/// What happened to a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// It left.
    Sent {
        /// When, by the clock of [`Running::now`].
        at: Duration,
        /// How long after its deadline.
        late_by: Duration,
        /// Its payload.
        bytes: usize,
    },
    /// This machine did not let it out.
    Unsent,
    /// It came back for the first time.
    Answered {
        /// Its sequence number; the others are told in the order of theirs.
        sequence: u32,
        /// When.
        at: Duration,
    },
}

/// A test under way. As an iterator it gives what happened since it was last asked: each probe is
/// told as sent before it is told as answered.
#[derive(Debug)]
pub struct Running<'t> {
    shared: &'t Shared,
    schedule: Schedule,
    /// Probes told as sent or unsent.
    sent_told: u32,
    /// Entries told of the log.
    answers_told: usize,
}

impl<'t> Running<'t> {
    pub(super) fn of(plan: &Plan, shared: &'t Shared) -> Running<'t> {
        Running {
            shared,
            schedule: Schedule::of(plan),
            sent_told: 0,
            answers_told: 0,
        }
    }

    /// Whether it has ended: nothing more will happen.
    pub fn over(&self) -> bool {
        self.shared.over.load(Ordering::Relaxed)
    }

    /// Answers that the kernel dropped here so far, because the queue was full.
    pub fn receive_drops(&self) -> u32 {
        self.shared.receive_drops.load(Ordering::Relaxed)
    }

    /// Now, by the clock of the test.
    pub fn now() -> Duration {
        crate::clock::now()
    }
}

impl Iterator for Running<'_> {
    type Item = News;

    fn next(&mut self) -> Option<News> {
        if self.sent_told < self.shared.passed.load(Ordering::Acquire) {
            let slot = self.shared.sent_at.get(self.sent_told as usize)?;
            let due = self.schedule.next()?;
            self.sent_told += 1;
            let start = Duration::from_nanos(self.shared.start.load(Ordering::Acquire));
            return Some(match slot.load(Ordering::Acquire) {
                0 => News::Unsent,
                nanos => {
                    let at = Duration::from_nanos(nanos);
                    News::Sent {
                        at,
                        late_by: at.saturating_sub(start + due.at),
                        bytes: due.bytes,
                    }
                }
            });
        }
        let (sequence, at) = self.shared.log.entry(self.answers_told)?;
        // On loopback the answer can be here before the call that sends has returned.
        if sequence >= self.sent_told {
            return None;
        }
        self.answers_told += 1;
        Some(News::Answered { sequence, at })
    }
}

/// First answers in order of arrival: written by one thread, read by others.
#[derive(Debug)]
pub(super) struct ArrivalLog {
    entries: Vec<(AtomicU32, AtomicU64)>,
    written: AtomicUsize,
}

impl ArrivalLog {
    /// For so many answers. Without room nothing is kept.
    pub(super) fn with_room(answers: u32) -> ArrivalLog {
        ArrivalLog {
            entries: (0..answers).map(|_| Default::default()).collect(),
            written: AtomicUsize::new(0),
        }
    }

    pub(super) fn push(&self, sequence: u32, at: Duration) {
        let place = self.written.load(Ordering::Relaxed);
        if let Some((of, when)) = self.entries.get(place) {
            of.store(sequence, Ordering::Relaxed);
            when.store(at.as_nanos() as u64, Ordering::Relaxed);
            // Who sees the count sees the entry.
            self.written.store(place + 1, Ordering::Release);
        }
    }

    fn entry(&self, place: usize) -> Option<(u32, Duration)> {
        if place >= self.written.load(Ordering::Acquire) {
            return None;
        }
        let (sequence, at) = self.entries.get(place)?;
        let at = Duration::from_nanos(at.load(Ordering::Relaxed));
        Some((sequence.load(Ordering::Relaxed), at))
    }
}
