//! Monotonic time, read and waited for.
//!
//! All times of a test are [`Duration`]s since the origin of `CLOCK_MONOTONIC`, so that the
//! sender can hand the very same number to the kernel as an absolute deadline. A step of the wall
//! clock changes none of them.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::thread::clock_nanosleep_absolute;
use rustix::time::{ClockId, Timespec, clock_gettime};

/// Now.
pub(crate) fn now() -> Duration {
    let time = clock_gettime(ClockId::Monotonic);
    // The kernel's monotonic clock starts at boot and is never negative.
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}

/// The time of an [`Instant`], which is read from the same clock but keeps its origin to itself.
pub(crate) fn of(instant: Instant) -> Duration {
    static SAME_MOMENT: OnceLock<(Instant, Duration)> = OnceLock::new();
    let (base, time) = SAME_MOMENT.get_or_init(same_moment);
    match instant.checked_duration_since(*base) {
        Some(since) => *time + since,
        None => time.saturating_sub(base.saturating_duration_since(instant)),
    }
}

/// Both readings of one moment: of some tries, the one during which the least time passed.
fn same_moment() -> (Instant, Duration) {
    let mut best: Option<(Duration, Instant, Duration)> = None;
    for _ in 0..16 {
        let before = now();
        let instant = Instant::now();
        let passed = now().saturating_sub(before);
        if best.is_none_or(|(shortest, ..)| passed < shortest) {
            best = Some((passed, instant, before + passed / 2));
        }
    }
    best.map_or_else(
        || (Instant::now(), now()),
        |(_, instant, time)| (instant, time),
    )
}

/// Sleeps until `deadline`, or returns earlier when a signal arrives.
pub(crate) fn sleep_until(deadline: Duration) {
    let request = Timespec {
        tv_sec: i64::try_from(deadline.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: deadline.subsec_nanos().into(),
    };
    match clock_nanosleep_absolute(ClockId::Monotonic, &request) {
        // The caller looks at the clock and at the stop flag, and comes again.
        Ok(()) | Err(Errno::INTR) => {}
        // The clock and the request are both valid; were they not, the caller would spin.
        Err(_) => std::thread::yield_now(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_placed_between_the_readings_around_it() {
        for _ in 0..100 {
            let before = now();
            let at = of(Instant::now());
            let after = now();
            // The origin was found to within the time that a few readings take.
            let slack = Duration::from_micros(20);
            assert!(
                before <= at + slack && at <= after + slack,
                "{before:?} {at:?} {after:?}"
            );
        }
    }
}
