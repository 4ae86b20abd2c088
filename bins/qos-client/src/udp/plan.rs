//! What a UDP test is ordered to do, within its bounds.

use std::time::Duration;

use netproto::probe;

/// The most probes of one test: their times are held until its end.
pub const MAX_PACKETS: u32 = 1_000_000;
/// The shortest interval between probes: 50,000 packets a second.
pub const MIN_INTERVAL: Duration = Duration::from_micros(20);
/// The longest interval between probes, and the longest loss deadline.
pub const MAX_WAIT: Duration = Duration::from_mins(1);

/// A constant-rate series of probes. Every value is within its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    packets: u32,
    payload: usize,
    interval: Duration,
    loss_deadline: Duration,
}

impl Default for Plan {
    /// 20 probes of 128 bytes, one every 100 ms, each lost after 2 s.
    fn default() -> Plan {
        Plan {
            packets: 20,
            payload: 128,
            interval: Duration::from_millis(100),
            loss_deadline: Duration::from_secs(2),
        }
    }
}

/// A value outside its bounds; the message names the bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// No probes, or more than can be held.
    #[error("a test has 1 to {MAX_PACKETS} packets, not {0}")]
    Packets(u64),
    /// A payload that holds no probe, or that no datagram holds.
    #[error(
        "a payload has {min} to {max} bytes (the probe's header is {min}), not {0}",
        min = probe::HEADER_LEN,
        max = probe::MAX_LEN
    )]
    Payload(u64),
    /// An interval that cannot be kept, or that outlasts patience.
    #[error("the interval is {} to {}, not {}", show(MIN_INTERVAL), show(MAX_WAIT), show(*.0))]
    Interval(Duration),
    /// A deadline that loses every probe, or never does.
    #[error("the loss deadline is 1ms to {}, not {}", show(MAX_WAIT), show(*.0))]
    LossDeadline(Duration),
}

fn show(duration: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(duration)
}

impl Plan {
    /// With this many probes.
    pub fn with_packets(self, packets: u64) -> Result<Plan, PlanError> {
        match u32::try_from(packets) {
            Ok(packets @ 1..=MAX_PACKETS) => Ok(Plan { packets, ..self }),
            _ => Err(PlanError::Packets(packets)),
        }
    }

    /// With datagrams of this many bytes, the probe's header included.
    pub fn with_payload(self, bytes: u64) -> Result<Plan, PlanError> {
        match usize::try_from(bytes) {
            Ok(payload @ probe::HEADER_LEN..=probe::MAX_LEN) => Ok(Plan { payload, ..self }),
            _ => Err(PlanError::Payload(bytes)),
        }
    }

    /// With this time from one probe to the next.
    pub fn with_interval(self, interval: Duration) -> Result<Plan, PlanError> {
        if (MIN_INTERVAL..=MAX_WAIT).contains(&interval) {
            Ok(Plan { interval, ..self })
        } else {
            Err(PlanError::Interval(interval))
        }
    }

    /// With this time after which an unanswered probe is lost.
    pub fn with_loss_deadline(self, loss_deadline: Duration) -> Result<Plan, PlanError> {
        if (Duration::from_millis(1)..=MAX_WAIT).contains(&loss_deadline) {
            Ok(Plan {
                loss_deadline,
                ..self
            })
        } else {
            Err(PlanError::LossDeadline(loss_deadline))
        }
    }

    /// How many probes.
    pub fn packets(&self) -> u32 {
        self.packets
    }

    /// Bytes of UDP payload in each, the probe's header included.
    pub fn payload(&self) -> usize {
        self.payload
    }

    /// From the start of one probe to the start of the next.
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// After this an unanswered probe is lost, and an answer is late.
    pub fn loss_deadline(&self) -> Duration {
        self.loss_deadline
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
                plan.with_packets(0),
                "a test has 1 to 1000000 packets, not 0",
            ),
            (
                plan.with_packets(1 << 40),
                "a test has 1 to 1000000 packets, not 1099511627776",
            ),
            (
                plan.with_payload(27),
                "a payload has 28 to 65507 bytes (the probe's header is 28), not 27",
            ),
            (
                plan.with_payload(65_508),
                "a payload has 28 to 65507 bytes (the probe's header is 28), not 65508",
            ),
            (
                plan.with_interval(Duration::ZERO),
                "the interval is 20us to 1m, not 0s",
            ),
            (
                plan.with_loss_deadline(Duration::from_secs(61)),
                "the loss deadline is 1ms to 1m, not 1m 1s",
            ),
        ] {
            assert_eq!(result.unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn the_bounds_themselves_are_allowed() {
        let plan = Plan::default();
        assert_eq!(plan.with_packets(1).unwrap().packets(), 1);
        assert_eq!(plan.with_payload(28).unwrap().payload(), 28);
        assert_eq!(plan.with_payload(65_507).unwrap().payload(), 65_507);
        assert_eq!(
            plan.with_interval(MIN_INTERVAL).unwrap().interval(),
            MIN_INTERVAL
        );
    }
}
