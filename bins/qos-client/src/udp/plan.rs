//! What a UDP test is ordered to do, within its bounds.

use std::time::Duration;

use netproto::probe;

use super::Pattern;
use crate::bounds::within;

/// The most probes of one test: their times are held until its end.
pub const MAX_PACKETS: u32 = 1_000_000;
/// The shortest interval between probes: 50,000 packets a second.
pub const MIN_INTERVAL: Duration = Duration::from_micros(20);
/// The smallest payload of a probe behind an RTP header.
const SMALLEST_WITH_RTP: usize = probe::rtp::RTP_HEADER_LEN + probe::HEADER_LEN;
/// The longest interval between probes, and the longest loss deadline.
pub const MAX_WAIT: Duration = Duration::from_mins(1);

/// A series of probes. Every value is within its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    packets: u32,
    payload: usize,
    interval: Duration,
    loss_deadline: Duration,
    warmup: u32,
    pattern: Pattern,
    seed: u64,
    dscp: u8,
    stamps: bool,
    rtp: bool,
}

impl Default for Plan {
    /// 20 probes of 128 bytes, one every 100 ms, each lost after 2 s; no warm-up, no DSCP.
    fn default() -> Plan {
        Plan {
            packets: 20,
            payload: 128,
            interval: Duration::from_millis(100),
            loss_deadline: Duration::from_secs(2),
            warmup: 0,
            pattern: Pattern::Cbr,
            seed: 1,
            dscp: 0,
            stamps: false,
            rtp: false,
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
    /// A warm-up that, with the packets, is more than can be held.
    #[error("a warm-up has 0 to {MAX_PACKETS} packets, and with the test's no more; not {0}")]
    Warmup(u64),
    /// More than the six bits of the field.
    #[error("a DSCP is 0 to 63, such as 46 for EF; not {0}")]
    Dscp(u64),
    /// No room for the stamps.
    #[error(
        "a probe that is stamped has at least {min} bytes of payload, not {0}",
        min = probe::STAMPED_HEADER_LEN
    )]
    Stamps(usize),
    /// Both at once, or no room for the header.
    #[error(
        "a probe behind an RTP header has at least {} bytes of payload, and no stamps",
        SMALLEST_WITH_RTP
    )]
    Rtp,
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
            Ok(packets @ 1..=MAX_PACKETS) => Ok(Plan {
                packets,
                warmup: self.warmup.min(MAX_PACKETS - packets),
                ..self
            }),
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
        let interval = within(&(MIN_INTERVAL..=MAX_WAIT), interval, PlanError::Interval)?;
        Ok(Plan { interval, ..self })
    }

    /// With this time after which an unanswered probe is lost.
    pub fn with_loss_deadline(self, loss_deadline: Duration) -> Result<Plan, PlanError> {
        let bounds = Duration::from_millis(1)..=MAX_WAIT;
        Ok(Plan {
            loss_deadline: within(&bounds, loss_deadline, PlanError::LossDeadline)?,
            ..self
        })
    }

    /// With so many probes before those that are counted.
    pub fn with_warmup(self, packets: u64) -> Result<Plan, PlanError> {
        match u32::try_from(packets) {
            Ok(warmup) if warmup <= MAX_PACKETS - self.packets => Ok(Plan { warmup, ..self }),
            _ => Err(PlanError::Warmup(packets)),
        }
    }

    /// With this shape.
    #[must_use]
    pub fn with_pattern(self, pattern: Pattern) -> Plan {
        Plan { pattern, ..self }
    }

    /// With this seed for what the pattern draws.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Plan {
        Plan { seed, ..self }
    }

    /// With this DSCP (RFC 2474) in every probe.
    pub fn with_dscp(self, dscp: u64) -> Result<Plan, PlanError> {
        match u8::try_from(dscp) {
            Ok(dscp @ 0..64) => Ok(Plan { dscp, ..self }),
            _ => Err(PlanError::Dscp(dscp)),
        }
    }

    /// With probes that ask the nodes on their way to stamp them.
    pub fn with_stamps(self) -> Result<Plan, PlanError> {
        if self.payload < probe::STAMPED_HEADER_LEN {
            return Err(PlanError::Stamps(self.payload));
        }
        Ok(Plan {
            stamps: true,
            ..self
        })
    }

    /// With an RTP header before each probe, for programs that know RTP.
    pub fn with_rtp(self) -> Result<Plan, PlanError> {
        if self.stamps || self.payload < SMALLEST_WITH_RTP {
            return Err(PlanError::Rtp);
        }
        Ok(Plan { rtp: true, ..self })
    }

    /// How many probes are counted.
    pub fn packets(&self) -> u32 {
        self.packets
    }

    /// How many probes are sent: the warm-up, then those that are counted.
    pub fn probes(&self) -> u32 {
        self.warmup + self.packets
    }

    /// How many of them are the warm-up.
    pub fn warmup(&self) -> u32 {
        self.warmup
    }

    /// Their shape.
    pub fn pattern(&self) -> Pattern {
        self.pattern
    }

    /// What the pattern's chance starts from.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The DSCP of each probe.
    pub fn dscp(&self) -> u8 {
        self.dscp
    }

    /// Whether the nodes on the way are asked to stamp them.
    pub fn stamps(&self) -> bool {
        self.stamps
    }

    /// Whether each has an RTP header before it.
    pub fn rtp(&self) -> bool {
        self.rtp
    }

    /// The smallest payload that holds such a probe.
    pub fn smallest_payload(&self) -> usize {
        match (self.stamps, self.rtp) {
            (true, _) => probe::STAMPED_HEADER_LEN,
            (_, true) => SMALLEST_WITH_RTP,
            _ => probe::HEADER_LEN,
        }
    }

    /// Bytes of UDP payload in each (in the largest, where they vary), the probe's header included.
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
            (
                plan.with_dscp(64),
                "a DSCP is 0 to 63, such as 46 for EF; not 64",
            ),
            (
                plan.with_warmup(999_981),
                "a warm-up has 0 to 1000000 packets, and with the test's no more; not 999981",
            ),
            (
                plan.with_payload(112).and_then(Plan::with_stamps),
                "a probe that is stamped has at least 113 bytes of payload, not 112",
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
