//! When a run began, and how long after that something happened.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::rounds::Change;

const SECONDS_A_DAY: u64 = 86_400;

/// When a run began, by both clocks; what happens later is told by the one that never steps.
#[derive(Debug, Clone, Copy)]
pub struct Begun {
    instant: Instant,
    wall: SystemTime,
}

impl Begun {
    /// Now.
    pub fn now() -> Begun {
        Begun {
            instant: Instant::now(),
            wall: SystemTime::now(),
        }
    }

    /// How long after the beginning, and the seconds since 1970 that it was then.
    pub fn when(&self, at: Instant) -> (Duration, f64) {
        let after = at.saturating_duration_since(self.instant);
        let unix = self.wall.duration_since(UNIX_EPOCH).unwrap_or_default() + after;
        (after, unix.as_secs_f64())
    }

    /// The seconds since 1970 that it was.
    pub fn unix(&self) -> f64 {
        self.when(self.instant).1
    }

    /// What changed, with its time.
    pub fn line(&self, change: &Change) -> String {
        let (after, unix) = self.when(change.at);
        format!(
            "{} UTC, after {:.1} s: {}",
            time_of_day(unix as u64),
            after.as_secs_f64(),
            change.what
        )
    }

    /// The time of day.
    pub fn clock(&self, at: Instant) -> String {
        format!("{} UTC", time_of_day(self.when(at).1 as u64))
    }
}

/// Hours, minutes and seconds of UTC.
fn time_of_day(unix: u64) -> String {
    let second = unix % SECONDS_A_DAY;
    format!(
        "{:02}:{:02}:{:02}",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_day_is_that_of_date() {
        // date -u -d @1234567890
        assert_eq!(time_of_day(1_234_567_890), "23:31:30");
        assert_eq!(time_of_day(86_400), "00:00:00");
    }
}
