//! What a test under load is ordered to do, within its bounds.

use std::time::Duration;

use crate::bounds::within;
use crate::http;
use crate::udp;

/// The load runs so long before anything is counted: TCP finds the rate of the path, and the queue
/// before its narrowest link fills.
pub const RAMP: Duration = Duration::from_secs(1);
/// Payload of each datagram of a load.
pub const DATAGRAM_BYTES: u32 = 1200;
/// How long a stage may be.
const DURATIONS: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_mins(1);
/// The most connections each way.
const MAX_CONNECTIONS: u32 = 64;
/// From one probe to the next.
const INTERVALS: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(1);
/// The slowest load of datagrams: about one a second.
const SLOWEST: u64 = 10_000;

/// What loads the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum With {
    /// Bodies over so many connections each way.
    Http {
        /// 1 to 64.
        connections: u32,
    },
    /// Datagrams to the echo, so many bits of payload a second.
    Datagrams(u64),
}

/// A test under load. Every value is within its bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    duration: Duration,
    interval: Duration,
    with: With,
    /// What to download, if not what the server offers.
    pub download: Option<String>,
    /// Where to upload to, if not what the server offers.
    pub upload: Option<String>,
}

impl Default for Plan {
    /// Four connections each way, five seconds a stage, a probe every 20 ms.
    fn default() -> Plan {
        Plan {
            duration: Duration::from_secs(5),
            interval: Duration::from_millis(20),
            with: With::Http { connections: 4 },
            download: None,
            upload: None,
        }
    }
}

/// A value outside its bounds; the message names the bounds.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PlanError {
    /// Too short to settle, or longer than patience.
    #[error("a stage is 1s to 1m long, not {}", humantime::format_duration(*.0))]
    Duration(Duration),
    /// None, or more than threads are for.
    #[error("1 to {MAX_CONNECTIONS} connections load the path each way, not {0}")]
    Connections(u64),
    /// Probes that would be a load themselves, or too few.
    #[error("the interval of the probes is 1ms to 1s, not {}", humantime::format_duration(*.0))]
    Interval(Duration),
    /// Slower than a load is, or faster than one thread sends.
    #[error("datagrams load the path with {SLOWEST} to {fastest} bits a second, not {given}")]
    Rate {
        /// As asked.
        given: u64,
        /// At most.
        fastest: u64,
    },
    /// No path.
    #[error(transparent)]
    Path(#[from] http::PathError),
}

impl Plan {
    /// With stages of this length, the ramp before it not counted.
    pub fn with_duration(self, duration: Duration) -> Result<Plan, PlanError> {
        let duration = within(&DURATIONS, duration, PlanError::Duration)?;
        Ok(Plan { duration, ..self })
    }

    /// With this time from one probe to the next.
    pub fn with_interval(self, interval: Duration) -> Result<Plan, PlanError> {
        let interval = within(&INTERVALS, interval, PlanError::Interval)?;
        Ok(Plan { interval, ..self })
    }

    /// With so many connections each way.
    pub fn with_connections(self, connections: u64) -> Result<Plan, PlanError> {
        match u32::try_from(connections) {
            Ok(connections @ 1..=MAX_CONNECTIONS) => Ok(Plan {
                with: With::Http { connections },
                ..self
            }),
            _ => Err(PlanError::Connections(connections)),
        }
    }

    /// With datagrams in the place of HTTP.
    pub fn with_datagrams(self, bits_per_second: u64) -> Result<Plan, PlanError> {
        let closest = udp::plan::MIN_INTERVAL.as_nanos() as u64;
        let fastest = u64::from(DATAGRAM_BYTES * 8) * 1_000_000_000 / closest;
        if (SLOWEST..=fastest).contains(&bits_per_second) {
            Ok(Plan {
                with: With::Datagrams(bits_per_second),
                ..self
            })
        } else {
            Err(PlanError::Rate {
                given: bits_per_second,
                fastest,
            })
        }
    }

    /// With these paths where the server offers others, or none.
    pub fn with_paths(
        self,
        download: Option<String>,
        upload: Option<String>,
    ) -> Result<Plan, PlanError> {
        for path in [&download, &upload].into_iter().flatten() {
            http::Plan::default().with_path(path)?;
        }
        Ok(Plan {
            download,
            upload,
            ..self
        })
    }

    /// How long a stage is counted.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// From one probe to the next.
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// What loads the path.
    pub fn with(&self) -> With {
        self.with
    }

    /// The probes of one stage: those of the ramp are a warm-up.
    pub(super) fn probes(&self) -> udp::Plan {
        let count = |time: Duration| (time.as_nanos() / self.interval.as_nanos().max(1)) as u64;
        let plan = udp::Plan::default();
        plan.with_interval(self.interval)
            .and_then(|plan| plan.with_packets(count(self.duration).max(1)))
            .and_then(|plan| plan.with_warmup(count(RAMP)))
            .unwrap_or(plan)
    }

    /// The datagrams of a load, enough to outlast the probes.
    pub(super) fn load_of_datagrams(&self) -> Option<udp::Plan> {
        let With::Datagrams(rate) = self.with else {
            return None;
        };
        let interval = Duration::from_secs_f64(f64::from(DATAGRAM_BYTES * 8) / rate as f64);
        let plan = udp::Plan::default();
        let lasts = RAMP + self.duration + plan.loss_deadline();
        let packets = lasts.as_nanos() / interval.as_nanos().max(1);
        plan.with_payload(DATAGRAM_BYTES.into())
            .and_then(|plan| plan.with_interval(interval.max(udp::plan::MIN_INTERVAL)))
            .and_then(|plan| {
                plan.with_packets((packets as u64).clamp(1, udp::plan::MAX_PACKETS.into()))
            })
            .ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_outside_its_bounds_is_refused_and_the_bounds_are_named() {
        let plan = Plan::default();
        for (result, message) in [
            (
                plan.clone().with_duration(Duration::from_millis(999)),
                "a stage is 1s to 1m long, not 999ms",
            ),
            (
                plan.clone().with_connections(0),
                "1 to 64 connections load the path each way, not 0",
            ),
            (
                plan.clone().with_interval(Duration::ZERO),
                "the interval of the probes is 1ms to 1s, not 0s",
            ),
            (
                plan.clone().with_datagrams(480_000_001),
                "datagrams load the path with 10000 to 480000000 bits a second, not 480000001",
            ),
            (
                plan.clone().with_paths(None, Some("upload".to_owned())),
                "a path begins with / and holds no blanks or control characters \
                 (write them as %20); not \"upload\"",
            ),
        ] {
            assert_eq!(result.unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn the_probes_of_a_stage_last_as_long_as_it_and_its_ramp() {
        // 5 s at 50 a second, after 1 s; 1200 bytes at 9.6 Mbit/s: 1000 a second for 1 + 5 + 2 s.
        let probes = Plan::default().probes();
        assert_eq!((probes.packets(), probes.warmup()), (250, 50));
        let plan = Plan::default().with_datagrams(9_600_000).unwrap();
        let load = plan.load_of_datagrams().unwrap();
        assert_eq!(load.interval(), Duration::from_millis(1));
        assert_eq!((load.packets(), load.payload()), (8000, 1200));
    }
}
