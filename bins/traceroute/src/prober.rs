//! What all ways of probing have in common: state machines that are told the time and never ask
//! for it. `tracing` moves the bytes between one of them and the sockets.

use std::time::Instant;

use crate::probe::{Heard, NotSent, Probe};

/// A state machine that decides which probe is due and what the answers amount to.
pub trait Prober {
    /// What it has to tell.
    type Event;

    /// The probe to send now, if one is due; the same again until it was sent or refused.
    fn poll_send(&mut self, now: Instant) -> Option<Probe>;

    /// The due probe was handed to the kernel at `at`.
    fn on_sent(&mut self, at: Instant);

    /// The due probe was refused by this host: nothing will answer it.
    fn on_not_sent(&mut self, why: NotSent, at: Instant);

    /// The kernel said when the probe of this number left.
    fn on_left(&mut self, number: u16, at: Instant);

    /// An answer came in. One to a number that nothing waits for changes nothing.
    fn on_answer(&mut self, heard: Heard);

    /// The next thing to tell, if there is one by `now`.
    fn poll_event(&mut self, now: Instant) -> Option<Self::Event>;

    /// When to look again if nothing comes: `now` if a probe is due.
    fn next_wake(&self, now: Instant) -> Option<Instant>;

    /// Whether all is told.
    fn is_over(&self) -> bool;
}
