//! The share that was lost, how sure that share is, and how the losses stand together.

/// The range that holds a proportion with 95 % confidence; both ends within `0.0..=1.0`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// The 0.975 quantile of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// The Wilson score interval (E. B. Wilson, 1927) at 95 % for `events` out of `trials`, without
/// continuity correction; `None` for no trials or more events than trials.
///
/// It stays inside 0…1 and says something at the ends: no loss in 20 packets still allows 16 %.
pub fn wilson(events: u64, trials: u64) -> Option<Interval> {
    wilson_at(events, trials, Z)
}

/// [`wilson`] at another confidence: `z` is the normal distribution's quantile at its upper end.
pub fn wilson_at(events: u64, trials: u64, z: f64) -> Option<Interval> {
    if trials == 0 || events > trials {
        return None;
    }
    let n = trials as f64;
    let p = events as f64 / n;
    let z2 = z * z;
    let centre = p + z2 / (2.0 * n);
    let half = z * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z2 / n;
    Some(Interval {
        // At the ends the two terms are equal, and rounding must not leave a trace of one.
        low: if events == 0 {
            0.0
        } else {
            (centre - half) / scale
        },
        high: if events == trials {
            1.0
        } else {
            (centre + half) / scale
        },
    })
}

/// How many packets, none of them lost, it takes for the upper end of the [`wilson`] interval to
/// come down to `share`: `z²(1 − share)/share`. `None` for a share outside of 0…1.
pub fn lossless_packets_for(share: f64) -> Option<u64> {
    let possible = share > 0.0 && share < 1.0;
    possible.then(|| (Z * Z * (1.0 - share) / share).ceil() as u64)
}

/// How many packets it takes to know a loss of `share` to within `± relative · share` at 95 %, by
/// the normal approximation: `z²(1 − share)/(share · relative²)`. `None` for a share or a relative
/// precision outside of 0…1.
pub fn packets_to_settle(share: f64, relative: f64) -> Option<u64> {
    let possible = |value: f64| value > 0.0 && value < 1.0;
    (possible(share) && possible(relative))
        .then(|| (Z * Z * (1.0 - share) / (share * relative * relative)).ceil() as u64)
}

/// Runs of consecutive losses: the loss periods of RFC 3357 §4.4.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LossRuns {
    /// Packets lost.
    pub lost: u64,
    /// Runs of one or more losses with no arrival between them.
    pub runs: u64,
    /// The longest run, in packets.
    pub longest: u64,
}

impl LossRuns {
    /// Reads the fate of each packet in order of sequence: `true` for lost.
    pub fn of(lost: impl IntoIterator<Item = bool>) -> LossRuns {
        let mut runs = LossRuns::default();
        let mut current = 0;
        for lost in lost {
            if !lost {
                current = 0;
                continue;
            }
            current += 1;
            runs.lost += 1;
            runs.runs += u64::from(current == 1);
            runs.longest = runs.longest.max(current);
        }
        runs
    }

    /// The mean length of a run in packets, or `None` when nothing was lost. Independent losses at
    /// rate `p` give `1/(1−p)`; more says that they come in bursts.
    pub fn mean(self) -> Option<f64> {
        (self.runs > 0).then(|| self.lost as f64 / self.runs as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_wilson_interval_gives_the_published_figures() {
        // 81 of 263 and 15 of 148, 0 of 20, 1 of 29: R. G. Newcombe, Statistics in Medicine 17
        // (1998), table I, method 3. 0 of 20 also by hand: z²/(n+z²) = 3.841459/23.841459.
        for (events, trials, low, high) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
            (20, 20, 0.8389, 1.0),
        ] {
            let interval = wilson(events, trials).unwrap();
            assert!(
                (interval.low - low).abs() < 5e-5,
                "{events}/{trials}: {interval:?}"
            );
            assert!(
                (interval.high - high).abs() < 5e-5,
                "{events}/{trials}: {interval:?}"
            );
        }
        assert_eq!(wilson(0, 0), None);
        assert_eq!(wilson(2, 1), None);
    }

    #[test]
    fn the_packets_that_would_settle_a_loss_are_those_worked_by_hand() {
        // z² = 3.841459. Below 1 %: 3.841459·0.99/0.01 = 380.3; 2 % to within a quarter of it:
        // 3.841459·0.98/(0.02·0.0625) = 3011.7.
        assert_eq!(lossless_packets_for(0.01), Some(381));
        let at = |packets| wilson(0, packets).unwrap().high;
        assert!(at(381) <= 0.01 && at(380) > 0.01);
        assert_eq!(packets_to_settle(0.02, 0.25), Some(3012));
        assert_eq!(lossless_packets_for(0.0), None);
        assert_eq!(packets_to_settle(0.0, 0.25), None);
        assert_eq!(packets_to_settle(1.0, 0.25), None);
    }

    #[test]
    fn runs_are_counted_between_arrivals() {
        // Lost: 1, 3 4 5, 8 9 (the last two end the stream). Six losses in three runs.
        let pattern = [0, 1, 0, 1, 1, 1, 0, 0, 1, 1].map(|lost| lost == 1);
        let runs = LossRuns::of(pattern);
        assert_eq!(
            runs,
            LossRuns {
                lost: 6,
                runs: 3,
                longest: 3
            }
        );
        assert_eq!(runs.mean(), Some(2.0));
        assert_eq!(LossRuns::of([false; 4]).mean(), None);
    }

    proptest! {
        #[test]
        fn the_interval_holds_the_share_and_stays_inside(trials in 1_u64..100_000, share in 0.0..=1.0) {
            let events = (trials as f64 * share) as u64;
            let interval = wilson(events, trials).unwrap();
            let p = events as f64 / trials as f64;
            prop_assert!(0.0 <= interval.low && interval.low <= p + 1e-12);
            prop_assert!(p - 1e-12 <= interval.high && interval.high <= 1.0);
        }
    }
}
