//! What a flood is ordered to do, within its bounds.

use std::ops::RangeInclusive;
use std::time::Duration;

use netproto::probe;

use crate::bounds::within;
use crate::udp::plan::PlanError as ProbePlanError;

/// How long a flood may last.
const DURATIONS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_mins(1);
/// The rates that can be ordered, in bits of payload a second.
const BITRATES: RangeInclusive<u64> = 1_000..=400_000_000_000;

/// Datagrams for so long. Every value is within its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    duration: Duration,
    payload: usize,
    bitrate: Option<u64>,
    dscp: u8,
}

impl Default for Plan {
    /// Five seconds of 1400 bytes each, as fast as this machine sends.
    fn default() -> Plan {
        Plan {
            duration: Duration::from_secs(5),
            payload: 1400,
            bitrate: None,
            dscp: 0,
        }
    }
}

/// A value outside its bounds; the message names the bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Too short for a rate, or longer than a neighbour's patience.
    #[error("a flood lasts 100ms to 1m, not {}", humantime::format_duration(*.0))]
    Duration(Duration),
    /// No rate, or one that no link has.
    #[error("a bit rate is 1000 to 400000000000 bits of payload a second, not {0}")]
    Bitrate(u64),
    /// A payload or a DSCP that no test can have.
    #[error(transparent)]
    Datagram(#[from] ProbePlanError),
}

impl Plan {
    /// For so long.
    pub fn with_duration(self, duration: Duration) -> Result<Plan, PlanError> {
        let duration = within(&DURATIONS, duration, PlanError::Duration)?;
        Ok(Plan { duration, ..self })
    }

    /// With datagrams of this many bytes.
    pub fn with_payload(self, bytes: u64) -> Result<Plan, PlanError> {
        match usize::try_from(bytes) {
            Ok(payload @ probe::HEADER_LEN..=probe::MAX_LEN) => Ok(Plan { payload, ..self }),
            _ => Err(ProbePlanError::Payload(bytes).into()),
        }
    }

    /// At this rate instead of as fast as can be.
    pub fn with_bitrate(self, bps: u64) -> Result<Plan, PlanError> {
        let bitrate = Some(within(&BITRATES, bps, PlanError::Bitrate)?);
        Ok(Plan { bitrate, ..self })
    }

    /// With this DSCP (RFC 2474) in every datagram.
    pub fn with_dscp(self, dscp: u64) -> Result<Plan, PlanError> {
        match u8::try_from(dscp) {
            Ok(dscp @ 0..64) => Ok(Plan { dscp, ..self }),
            _ => Err(ProbePlanError::Dscp(dscp).into()),
        }
    }

    /// How long it sends.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// Bytes of UDP payload in each datagram.
    pub fn payload(&self) -> usize {
        self.payload
    }

    /// Bits of payload a second; `None` for as many as this machine sends.
    pub fn bitrate(&self) -> Option<u64> {
        self.bitrate
    }

    /// The DSCP of each datagram.
    pub fn dscp(&self) -> u8 {
        self.dscp
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
                plan.with_duration(Duration::from_millis(99)),
                "a flood lasts 100ms to 1m, not 99ms",
            ),
            (
                plan.with_duration(Duration::from_secs(61)),
                "a flood lasts 100ms to 1m, not 1m 1s",
            ),
            (
                plan.with_bitrate(999),
                "a bit rate is 1000 to 400000000000 bits of payload a second, not 999",
            ),
            (
                plan.with_payload(27),
                "a payload has 28 to 65507 bytes (the probe's header is 28), not 27",
            ),
            (
                plan.with_dscp(64),
                "a DSCP is 0 to 63, such as 46 for EF; not 64",
            ),
        ] {
            assert_eq!(result.unwrap_err().to_string(), message);
        }
    }
}
