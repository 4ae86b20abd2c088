//! Where a kernel timestamp stands on the monotonic clock.
//!
//! The kernel stamps packets with the wall clock. A stamp is placed on the monotonic clock by its
//! age at the moment it is read, so that a step of the wall clock between two packets changes no
//! duration; a stamp that a step may have come between is not used at all.

use std::ffi::c_long;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How far the two clocks may drift apart between two readings, besides a thousandth of the time
/// between them, before it counts as a step. NTP slews by at most 500 parts per million.
const STEP_TOLERANCE: Duration = Duration::from_micros(500);
const SLEW_DIVISOR: u32 = 1000;

/// When a packet arrived or left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The moment, on the monotonic clock.
    pub at: Instant,
    /// Who took it.
    pub source: StampSource,
}

/// Who took a timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StampSource {
    /// The kernel, as the packet passed its driver.
    Kernel,
    /// This program, when it read the packet.
    Program,
}

/// The software timestamp in the data of a `SCM_TIMESTAMPING` message, since the Unix epoch: the
/// first of its three `struct timespec`. `None` where the kernel took none, which it writes as 0.
pub(crate) fn software_stamp(data: &[u8]) -> Option<Duration> {
    const LONG: usize = size_of::<c_long>();
    let (seconds, rest) = data.split_first_chunk::<LONG>()?;
    let nanoseconds = rest.first_chunk::<LONG>()?;
    let seconds = u64::try_from(c_long::from_ne_bytes(*seconds)).ok()?;
    let nanoseconds = u32::try_from(c_long::from_ne_bytes(*nanoseconds)).ok()?;
    let stamp = Duration::new(seconds, nanoseconds);
    (!stamp.is_zero()).then_some(stamp)
}

/// Both clocks at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    monotonic: Instant,
    /// Since the Unix epoch.
    wall: Duration,
}

/// Two clocks that were read within so long of each other are taken to have been read at once.
const AT_ONCE: Duration = Duration::from_micros(1);
/// How often they are read at most until that is so.
const READINGS: usize = 4;

impl Reading {
    /// The wall clock is read between two readings of the other. Of some tries the one counts that
    /// took least: a thread may be interrupted in any of them.
    pub(crate) fn now() -> Reading {
        let mut best: Option<(Duration, Reading)> = None;
        let mut before = Instant::now();
        for _ in 0..READINGS {
            let wall = SystemTime::now();
            let after = Instant::now();
            let took = after - before;
            if best.is_none_or(|(shortest, _)| took < shortest) {
                let wall = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
                let monotonic = before + took / 2;
                best = Some((took, Reading { monotonic, wall }));
            }
            if took <= AT_ONCE {
                break;
            }
            before = after;
        }
        best.map_or(
            Reading {
                monotonic: before,
                wall: Duration::ZERO,
            },
            |(_, reading)| reading,
        )
    }
}

/// Places kernel timestamps on the monotonic clock.
#[derive(Debug, Default)]
pub(crate) struct KernelClock {
    last: Option<Reading>,
    /// Stamps from before this moment were taken before the wall clock was stepped.
    stepped: Option<Instant>,
}

impl KernelClock {
    /// The moment of a stamp that was read at `now`; `now` itself where the kernel gave none or
    /// its stamp cannot be trusted.
    pub(crate) fn place(&mut self, stamp: Option<Duration>, now: Reading) -> Stamp {
        self.watch(now);
        let placed = stamp
            .and_then(|stamp| now.wall.checked_sub(stamp))
            .and_then(|age| now.monotonic.checked_sub(age))
            .filter(|at| self.stepped.is_none_or(|stepped| *at > stepped));
        match placed {
            Some(at) => Stamp {
                at,
                source: StampSource::Kernel,
            },
            None => Stamp {
                at: now.monotonic,
                source: StampSource::Program,
            },
        }
    }

    fn watch(&mut self, now: Reading) {
        if let Some(last) = self.last.replace(now) {
            let elapsed = now.monotonic.saturating_duration_since(last.monotonic);
            let drift = (last.wall + elapsed).abs_diff(now.wall);
            if drift > STEP_TOLERANCE + elapsed / SLEW_DIVISOR {
                self.stepped = Some(now.monotonic);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH_MS: u64 = 1_700_000_000_000;

    /// A reading `ms` after the start, the wall clock `step_ms` away from where it would be.
    fn reading(start: Instant, ms: u64, step_ms: i64) -> Reading {
        let wall_ms = (EPOCH_MS + ms).checked_add_signed(step_ms).unwrap();
        Reading {
            monotonic: start + Duration::from_millis(ms),
            wall: Duration::from_millis(wall_ms),
        }
    }

    /// Where a stamp of 1,995 ms after the start is placed by a program that wakes every second,
    /// the wall clock stepped before the second wake.
    fn placed(step_ms: i64) -> (Duration, StampSource) {
        let start = Instant::now();
        let mut clock = KernelClock::default();
        clock.place(None, reading(start, 1000, 0));
        let stamp = Duration::from_millis(EPOCH_MS + 1995);
        let placed = clock.place(Some(stamp), reading(start, 2000, step_ms));
        (placed.at - start, placed.source)
    }

    #[test]
    fn a_stamp_is_placed_by_its_age() {
        let at = Duration::from_millis(1995);
        assert_eq!(placed(0), (at, StampSource::Kernel));
    }

    #[test]
    fn a_stamp_from_before_a_step_is_not_used() {
        let now = Duration::from_secs(2);
        for step_ms in [-3_600_000, -1000, -10, 10, 1000, 3_600_000] {
            assert_eq!(placed(step_ms), (now, StampSource::Program), "{step_ms}");
        }
    }

    #[test]
    fn a_stamp_from_the_future_is_not_used() {
        let start = Instant::now();
        let stamp = Duration::from_millis(EPOCH_MS + 1);
        let placed = KernelClock::default().place(Some(stamp), reading(start, 0, 0));
        assert_eq!((placed.at, placed.source), (start, StampSource::Program));
    }
}
