//! Rounds that somebody looks at while they are probed.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::{Change, Rounds};
use crate::probe::{Heard, NotSent, Probe};
use crate::prober::Prober;

/// Rounds between two threads: one probes, one looks. Neither may keep them for longer than it
/// takes to copy what it needs.
#[derive(Debug)]
pub struct Shared(Mutex<Rounds>);

impl Shared {
    /// These.
    pub fn new(rounds: Rounds) -> Shared {
        Shared(Mutex::new(rounds))
    }

    /// The rounds, and nobody else's until the guard is dropped.
    pub fn lock(&self) -> MutexGuard<'_, Rounds> {
        // Who panicked over them ends the program; meanwhile they are as good as they were.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Prober for &Shared {
    type Event = Change;

    fn poll_send(&mut self, now: Instant) -> Option<Probe> {
        self.lock().poll_send(now)
    }

    fn on_sent(&mut self, at: Instant) {
        self.lock().on_sent(at);
    }

    fn on_not_sent(&mut self, why: NotSent, at: Instant) {
        self.lock().on_not_sent(why, at);
    }

    fn on_left(&mut self, number: u16, at: Instant) {
        self.lock().on_left(number, at);
    }

    fn on_answer(&mut self, heard: Heard) {
        self.lock().on_answer(heard);
    }

    fn poll_event(&mut self, now: Instant) -> Option<Change> {
        self.lock().poll_event(now)
    }

    fn next_wake(&self, now: Instant) -> Option<Instant> {
        self.lock().next_wake(now)
    }

    fn is_over(&self) -> bool {
        self.lock().is_over()
    }
}
