//! Waiting for deadlines: a sleep that ends a little early, and a spin for the rest.
//!
//! How late a sleep wakes depends on the machine and on the moment: some microseconds on a core
//! that is awake, some fifty where it must be woken, milliseconds where others have their turn. So
//! the margin between the sleep's end and the deadline is learned from the sleeps themselves.

use std::time::Duration;

use netio::urgency::{self, Urgency};

use super::Pace;
use crate::clock;

/// Below this interval a wait is too short to sleep in, and a thread that spins all the time must
/// not be urgent: the echo or the receiver may be on its core.
const URGENT_FROM: Duration = Duration::from_micros(50);
/// Of every wait, at least this share is slept, for what else is to run on the core: on loopback
/// that may be the echo.
const SLEPT: f64 = 0.5;
/// A wait shorter than this is not worth a sleep.
const SHORTEST_SLEPT_IN: Duration = Duration::from_micros(30);
/// The longest sleep between two looks at the stop flag.
const NAP: Duration = Duration::from_millis(50);
/// So long may an urgent thread run without a sleep, however much it is behind.
const LONGEST_RUN: Duration = Duration::from_millis(10);
/// Then it sleeps for so long.
const REST: Duration = Duration::from_micros(500);
/// Sleeps before the first deadline, from which the margin is learned, and their length.
const TRIALS: u32 = 8;
const TRIAL: Duration = Duration::from_micros(100);

/// One thread's way of waiting.
#[derive(Debug)]
pub(super) struct Waiter {
    pace: Pace,
    /// What the kernel granted, where it was asked.
    pub(super) urgency: Option<Urgency>,
    margin: Margin,
    /// When it slept last.
    slept_at: Duration,
}

impl Waiter {
    /// For the calling thread, which becomes as urgent as `pace` and the interval of its deadlines
    /// allow.
    pub(super) fn new(pace: Pace, interval: Duration) -> Waiter {
        let urgent = pace == Pace::Exact && interval >= URGENT_FROM;
        let mut waiter = Waiter {
            pace,
            urgency: urgent.then(urgency::claim),
            margin: Margin::default(),
            slept_at: clock::now(),
        };
        if pace == Pace::Exact {
            for _ in 0..TRIALS {
                waiter.sleep_until(clock::now() + TRIAL);
            }
        }
        waiter
    }

    /// Waits until `deadline` and gives the time then, or `None` once `stopped`.
    pub(super) fn until(
        &mut self,
        deadline: Duration,
        stopped: impl Fn() -> bool,
    ) -> Option<Duration> {
        let wake = self.wake(clock::now(), deadline);
        loop {
            if stopped() {
                return None;
            }
            let now = clock::now();
            if now < wake {
                self.sleep_until(wake.min(now + NAP));
            } else if now < deadline {
                std::hint::spin_loop();
            } else {
                return Some(now);
            }
        }
    }

    /// Until when to sleep, for a deadline that is waited for from `now` on.
    fn wake(&self, now: Duration, deadline: Duration) -> Duration {
        let left = deadline.saturating_sub(now);
        let awake_for = now.saturating_sub(self.slept_at);
        if self.pace == Pace::Shared {
            deadline
        } else if self.urgency == Some(Urgency::RealTime) && awake_for > LONGEST_RUN && left < REST
        {
            now + REST
        } else if left < SHORTEST_SLEPT_IN {
            now
        } else {
            let spinning = self.margin.0.min(left.mul_f64(1.0 - SLEPT));
            deadline.saturating_sub(spinning)
        }
    }

    fn sleep_until(&mut self, wake: Duration) {
        clock::sleep_until(wake);
        self.slept_at = clock::now();
        self.margin.learn(self.slept_at.saturating_sub(wake));
    }
}

/// How long before a deadline a sleep is to end: what all but one of some two hundred sleeps
/// overrun by less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Margin(Duration);

impl Margin {
    const LEAST: Duration = Duration::from_micros(20);
    /// Longer delays are those of a machine that had no time at all, which no spin makes up for.
    const MOST: Duration = Duration::from_micros(200);

    /// One sleep woke so much later than asked. A quarter up for one that was too late, 1/1024
    /// down for one that was not: they balance where one in 230 is, as ln 1.25 = 229/1024.
    fn learn(&mut self, late: Duration) {
        let Margin(margin) = *self;
        let learned = if late > margin {
            margin + margin / 4
        } else {
            margin.saturating_sub(margin / 1024)
        };
        *self = Margin(learned.clamp(Self::LEAST, Self::MOST));
    }
}

impl Default for Margin {
    /// What a core takes that has to be woken.
    fn default() -> Margin {
        Margin(Duration::from_micros(60))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn us(us: u64) -> Duration {
        Duration::from_micros(us)
    }

    fn waiter(pace: Pace, urgency: Urgency) -> Waiter {
        Waiter {
            pace,
            urgency: Some(urgency),
            margin: Margin(us(100)),
            slept_at: us(1_000_000),
        }
    }

    #[test]
    fn a_sleep_ends_a_margin_before_its_deadline_but_takes_its_share_of_every_wait() {
        let exact = |urgency| waiter(Pace::Exact, urgency);
        let late = us(1_020_000);
        for (waiter, now, left, slept) in [
            (exact(Urgency::Ordinary), us(1_000_000), 10_000, 9_900),
            // Half of 100 µs; a wait of 20 is spun through.
            (exact(Urgency::Ordinary), us(1_000_000), 100, 50),
            (exact(Urgency::RealTime), us(1_000_000), 100, 50),
            (exact(Urgency::RealTime), us(1_000_000), 20, 0),
            (exact(Urgency::RealTime), us(1_000_000), 0, 0),
            // After 20 ms without a sleep, a thread that keeps the others away rests 0.5 ms.
            (exact(Urgency::RealTime), late, 0, 500),
            (exact(Urgency::Favoured), late, 0, 0),
            (waiter(Pace::Shared, Urgency::Ordinary), late, 100, 100),
        ] {
            let wake = waiter.wake(now, now + us(left));
            assert_eq!(wake, now + us(slept), "{waiter:?} {left}");
        }
    }

    #[test]
    fn the_margin_comes_to_where_one_sleep_in_some_two_hundred_overruns_it() {
        // Sleeps that wake evenly between 0 and 100 µs late: all but 1/230 by less than 99.6 µs.
        // One step is a quarter, so the margin stays within a quarter or so of that.
        let mut margin = Margin::default();
        let (mut late, mut overruns, mut within) = (0_u64, 0, 0);
        for i in 0..200_000_u64 {
            // A full cycle of the numbers below 2^16, in no order (Hull and Dobell).
            late = (late * 25_173 + 13_849) % 65_536;
            let late_by = Duration::from_nanos(late * 100_000 / 65_536);
            if i >= 10_000 {
                overruns += u32::from(late_by > margin.0);
                within += u32::from((us(80)..us(130)).contains(&margin.0));
            }
            margin.learn(late_by);
        }
        let share = f64::from(overruns) / 190_000.0;
        assert!((share * 230.0 - 1.0).abs() < 0.1, "{share}");
        assert!(within > 180_000, "{within}");
    }

    #[test]
    fn the_margin_has_bounds_whatever_the_machine_does() {
        let mut margin = Margin::default();
        for _ in 0..100 {
            margin.learn(Duration::from_secs(1));
        }
        assert_eq!(margin, Margin(us(200)));
        for _ in 0..10_000 {
            margin.learn(Duration::ZERO);
        }
        assert_eq!(margin, Margin(us(20)));
    }
}
