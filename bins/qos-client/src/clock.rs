//! Monotonic time, read and waited for.
//!
//! All times of a test are [`Duration`]s since the origin of `CLOCK_MONOTONIC`, so that the
//! sender can hand the very same number to the kernel as an absolute deadline. A step of the wall
//! clock changes none of them.

use std::time::Duration;

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
