//! When probes are sent and how large each is: the shapes that traffic can have, seeded, so that a
//! run can be had again.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::Plan;

/// Probes in a row of the burst pattern, unless told otherwise.
const BURST: u32 = 10;
/// The longest burst.
pub const MAX_BURST: u32 = 10_000;
/// The longest of the gaps of the poisson pattern, in mean gaps: longer ones are one in 20,000, and
/// would keep a test from ending.
const LONGEST_GAP: f64 = 10.0;

/// The shape of the traffic. On average every one of them sends one probe an interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pattern {
    /// Constant rate: one probe every interval.
    #[default]
    Cbr,
    /// So many probes at once, then silence for as many intervals.
    Burst(u32),
    /// Gaps drawn from the exponential distribution with the interval as its mean.
    Poisson,
    /// Constant rate, with sizes drawn evenly between the smallest probe and the payload ordered.
    Vbr,
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a pattern is cbr, burst, burst:N with N from 2 to {MAX_BURST}, poisson or vbr; not {0:?}")]
pub struct PatternError(String);

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Pattern, PatternError> {
        Ok(match text {
            "cbr" => Pattern::Cbr,
            "burst" => Pattern::Burst(BURST),
            "poisson" => Pattern::Poisson,
            "vbr" => Pattern::Vbr,
            other => match other.strip_prefix("burst:").map(str::parse) {
                Some(Ok(packets @ 2..=MAX_BURST)) => Pattern::Burst(packets),
                _ => return Err(PatternError(text.to_owned())),
            },
        })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pattern::Cbr => write!(f, "cbr"),
            Pattern::Burst(packets) => write!(f, "burst:{packets}"),
            Pattern::Poisson => write!(f, "poisson"),
            Pattern::Vbr => write!(f, "vbr"),
        }
    }
}

/// When the next probe is due, and its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    /// Since the first probe.
    pub(super) at: Duration,
    /// When the next that is not due at the same time will be.
    pub(super) until: Duration,
    /// Its part of the schedule's time: until the next probe; of a burst and the silence after it,
    /// each probe has the same.
    pub(super) lasts: Duration,
    /// Bytes of payload.
    pub(super) bytes: usize,
}

/// The slots of a plan, in order. The same plan gives the same slots.
#[derive(Debug, Clone)]
pub(super) struct Schedule {
    plan: Plan,
    chance: ChaCha8Rng,
    sequence: u32,
    /// Of the poisson pattern: when the next is due.
    next: Duration,
}

impl Schedule {
    pub(super) fn of(plan: &Plan) -> Schedule {
        Schedule {
            plan: *plan,
            chance: ChaCha8Rng::seed_from_u64(plan.seed()),
            sequence: 0,
            next: Duration::ZERO,
        }
    }
}

impl Iterator for Schedule {
    type Item = Slot;

    fn next(&mut self) -> Option<Slot> {
        let (sequence, plan) = (self.sequence, &self.plan);
        if sequence >= plan.probes() {
            return None;
        }
        self.sequence += 1;
        let regular = |sequence: u32| plan.interval() * sequence;
        let mut slot = Slot {
            at: regular(sequence),
            until: regular(sequence + 1),
            lasts: plan.interval(),
            bytes: plan.payload(),
        };
        match plan.pattern() {
            Pattern::Cbr => {}
            Pattern::Burst(packets) => {
                let first = sequence - sequence % packets;
                (slot.at, slot.until) = (regular(first), regular(first + packets));
            }
            Pattern::Poisson => {
                slot.at = self.next;
                let uniform: f64 = self.chance.random();
                let gap = (-(1.0 - uniform).ln()).min(LONGEST_GAP);
                slot.lasts = plan.interval().mul_f64(gap);
                self.next += slot.lasts;
                slot.until = self.next;
            }
            Pattern::Vbr => {
                let sizes = plan.smallest_payload()..=plan.payload();
                slot.bytes = self.chance.random_range(sizes);
            }
        }
        Some(slot)
    }
}

/// The payload that the schedule of a plan asks for, warm-up left out, in bits a second.
pub(super) fn offered_bps(plan: &Plan) -> Option<f64> {
    let counted = Schedule::of(plan).skip(plan.warmup() as usize);
    let (bits, time) = counted.fold((0.0, Duration::ZERO), |(bits, time), slot| {
        (bits + slot.bytes as f64 * 8.0, time + slot.lasts)
    });
    let seconds = time.as_secs_f64();
    (seconds > 0.0).then(|| bits / seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(pattern: Pattern, packets: u64, seed: u64) -> Vec<Slot> {
        let plan = Plan::default()
            .with_packets(packets)
            .and_then(|plan| plan.with_interval(Duration::from_millis(10)))
            .unwrap()
            .with_pattern(pattern)
            .with_seed(seed);
        Schedule::of(&plan).collect()
    }

    #[test]
    fn a_pattern_is_written_as_it_is_read() {
        for text in ["cbr", "burst:10", "burst:2", "poisson", "vbr"] {
            assert_eq!(text.parse::<Pattern>().unwrap().to_string(), text);
        }
        assert_eq!("burst".parse(), Ok(Pattern::Burst(10)));
        for text in ["", "CBR", "burst:1", "burst:10001", "burst:", "burst:-1"] {
            assert!(text.parse::<Pattern>().is_err(), "{text}");
        }
    }

    #[test]
    fn bursts_stand_where_their_first_probe_would_and_are_followed_by_silence() {
        let at: Vec<u128> = slots(Pattern::Burst(3), 7, 1)
            .iter()
            .map(|slot| slot.at.as_millis())
            .collect();
        assert_eq!(at, [0, 0, 0, 30, 30, 30, 60]);
    }

    #[test]
    fn a_slot_lasts_until_the_next_that_is_due_at_another_time() {
        for (pattern, until) in [
            (Pattern::Cbr, [10, 20, 30, 40]),
            (Pattern::Burst(3), [30, 30, 30, 60]),
        ] {
            let slots = slots(pattern, 4, 1);
            let ends: Vec<u128> = slots.iter().map(|slot| slot.until.as_millis()).collect();
            assert_eq!(ends, until, "{pattern}");
        }
        let slots = slots(Pattern::Poisson, 100, 1);
        assert!(slots.windows(2).all(|pair| pair[0].until == pair[1].at));
    }

    #[test]
    fn what_is_offered_is_what_the_schedule_asks_for_and_no_fence_post_more() {
        let plan = |packets: u64, pattern| {
            let plan = Plan::default().with_packets(packets).unwrap();
            plan.with_pattern(pattern)
        };
        for (plan, bps) in [
            // 128 bytes are 1024 bits, and one is due every 100 ms: however few there are, and
            // whatever part of a burst or of a warm-up is left out.
            (plan(20, Pattern::Cbr), 10_240.0),
            (plan(1, Pattern::Cbr), 10_240.0),
            (plan(20, Pattern::Burst(10)), 10_240.0),
            (plan(25, Pattern::Burst(10)), 10_240.0),
            (
                plan(25, Pattern::Burst(10)).with_warmup(5).unwrap(),
                10_240.0,
            ),
            // 1000 bytes every 2 ms are 4 Mbit/s.
            (
                plan(7, Pattern::Cbr)
                    .with_payload(1000)
                    .and_then(|plan| plan.with_interval(Duration::from_millis(2)))
                    .unwrap(),
                4e6,
            ),
        ] {
            let offered = offered_bps(&plan).unwrap();
            assert!((offered / bps - 1.0).abs() < 1e-9, "{offered} {plan:?}");
        }
        // Of gaps and sizes that are drawn, those that were drawn count: the last probe of 101 is
        // due after 100 gaps of some 100 ms, and its own gap is the 101st.
        let poisson = plan(101, Pattern::Poisson).with_seed(7);
        let ends = Schedule::of(&poisson).last().unwrap().until;
        let bps = 101.0 * 1024.0 / ends.as_secs_f64();
        let offered = offered_bps(&poisson).unwrap();
        assert!((offered / bps - 1.0).abs() < 1e-9, "{offered} {bps}");
    }

    #[test]
    fn poisson_gaps_have_the_interval_as_mean_and_as_deviation() {
        // The exponential distribution's deviation is its mean. Of 10,000 gaps the mean is known to
        // 1 %, so 5 % is five deviations away.
        let slots = slots(Pattern::Poisson, 10_001, 7);
        let gaps: Vec<f64> = slots
            .windows(2)
            .map(|pair| (pair[1].at.as_secs_f64() - pair[0].at.as_secs_f64()) * 1e3)
            .collect();
        let mean = gaps.iter().sum::<f64>() / 1e4;
        let deviation = (gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / 1e4).sqrt();
        assert!((mean - 10.0).abs() < 0.5, "{mean}");
        assert!((deviation - 10.0).abs() < 0.5, "{deviation}");
    }

    #[test]
    fn variable_sizes_are_spread_evenly_from_the_smallest_probe_to_the_payload() {
        let slots = slots(Pattern::Vbr, 10_000, 7);
        let sizes = || slots.iter().map(|slot| slot.bytes);
        assert_eq!((sizes().min(), sizes().max()), (Some(28), Some(128)));
        let mean = sizes().sum::<usize>() as f64 / 1e4;
        assert!((mean - 78.0).abs() < 1.5, "{mean}");
    }

    #[test]
    fn the_seed_decides() {
        for pattern in [Pattern::Poisson, Pattern::Vbr] {
            assert_eq!(slots(pattern, 50, 3), slots(pattern, 50, 3));
            assert_ne!(slots(pattern, 50, 3), slots(pattern, 50, 4));
        }
    }
}
