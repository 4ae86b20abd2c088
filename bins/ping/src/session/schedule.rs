//! When the next probe is due.

use std::time::{Duration, Instant};

/// How often a flood sends when nothing comes back.
pub(super) const FLOOD_INTERVAL: Duration = Duration::from_millis(10);
/// How soon a probe is tried again that found the socket's buffer full.
const RETRY_AFTER: Duration = Duration::from_millis(10);

/// What decides when the next probe is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// The interval, and nothing else.
    Fixed,
    /// As fast as the answers come, or a hundred a second, whichever is more.
    Flood,
    /// The interval follows the round-trip time, so that about one probe is on its way.
    Adaptive,
}

/// The pace of a session.
#[derive(Debug)]
pub(super) struct Schedule {
    pace: Pace,
    ordered: Duration,
    preload: u32,
    burst_left: u32,
    next_due: Instant,
    last_sent: Option<Instant>,
}

impl Schedule {
    /// From `now` on a burst of `preload` probes, and then one each `interval` as `pace` moves it.
    pub(super) fn new(pace: Pace, interval: Duration, preload: u32, now: Instant) -> Schedule {
        Schedule {
            pace,
            ordered: interval,
            preload,
            burst_left: preload - 1,
            next_due: now,
            last_sent: None,
        }
    }

    /// When the next probe is due, with this many on their way and this smoothed round trip.
    pub(super) fn due(&self, on_their_way: u64, smoothed: Option<Duration>) -> Instant {
        let Some(last) = self.last_sent else {
            return self.next_due;
        };
        match self.interval(smoothed) {
            Duration::ZERO if on_their_way < u64::from(self.preload) => last,
            Duration::ZERO => last + FLOOD_INTERVAL,
            _ => self.next_due,
        }
    }

    /// The time from one probe to the next; nothing where the answers alone set the pace.
    pub(super) fn interval(&self, smoothed: Option<Duration>) -> Duration {
        match self.pace {
            Pace::Fixed => self.ordered,
            Pace::Flood => Duration::ZERO,
            Pace::Adaptive => match smoothed {
                // To whole milliseconds: below half of one, the answers alone set the pace.
                Some(rtt) => Duration::from_millis((rtt.as_micros() as u64 + 500) / 1000),
                None => self.ordered,
            },
        }
    }

    /// When the last probe was sent.
    pub(super) const fn last_sent(&self) -> Option<Instant> {
        self.last_sent
    }

    /// The due probe was sent.
    pub(super) fn on_sent(&mut self, at: Instant, smoothed: Option<Duration>) {
        self.last_sent = Some(at);
        if self.burst_left > 0 {
            self.burst_left -= 1;
            return;
        }
        let interval = self.interval(smoothed);
        // Deadlines are absolute, so that the pace does not drift; but what was missed while this
        // program was held up is not made up for in a burst.
        self.next_due += interval;
        if self.next_due < at {
            self.next_due = at + interval;
        }
    }

    /// The due probe found no room; it is due again in a moment.
    pub(super) fn on_blocked(&mut self, now: Instant) {
        self.next_due = now + RETRY_AFTER;
    }
}
