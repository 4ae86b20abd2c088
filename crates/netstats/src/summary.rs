//! Minimum, mean, maximum and spread of a set of delays.

use std::time::Duration;

use crate::quantile::Quantile;

/// A set of delays, sorted once and then asked.
///
/// Every answer is `None` when the sample cannot support it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    ascending: Vec<Duration>,
}

impl Summary {
    /// Takes the delays in any order.
    pub fn of(delays: impl IntoIterator<Item = Duration>) -> Summary {
        let mut ascending: Vec<Duration> = delays.into_iter().collect();
        ascending.sort_unstable();
        Summary { ascending }
    }

    /// How many delays there are.
    pub fn n(&self) -> usize {
        self.ascending.len()
    }

    /// The smallest.
    pub fn min(&self) -> Option<Duration> {
        self.ascending.first().copied()
    }

    /// The largest.
    pub fn max(&self) -> Option<Duration> {
        self.ascending.last().copied()
    }

    /// The arithmetic mean, rounded down to a nanosecond.
    pub fn mean(&self) -> Option<Duration> {
        let n = u128::try_from(self.ascending.len())
            .ok()
            .filter(|n| *n > 0)?;
        let total: u128 = self.ascending.iter().map(Duration::as_nanos).sum();
        u64::try_from(total / n).ok().map(Duration::from_nanos)
    }

    /// The standard deviation of the sample, with `n − 1` below the line: these delays are a
    /// sample of what the path does. Needs two values.
    pub fn sample_stddev(&self) -> Option<Duration> {
        if self.ascending.len() < 2 {
            return None;
        }
        let n = self.ascending.len() as f64;
        // Two passes over nanoseconds: sums of squares of large equal numbers cancel badly.
        let mean = self.nanos().sum::<f64>() / n;
        let squares: f64 = self.nanos().map(|delay| (delay - mean).powi(2)).sum();
        Some(Duration::from_nanos(
            (squares / (n - 1.0)).sqrt().round() as u64
        ))
    }

    /// A percentile by nearest rank; see [`Quantile::of`].
    pub fn quantile(&self, quantile: Quantile) -> Option<Duration> {
        quantile.of(&self.ascending)
    }

    /// A percentile of the packet delay variation of RFC 5481 §4.2: each delay less the smallest.
    pub fn pdv(&self, quantile: Quantile) -> Option<Duration> {
        Some(self.quantile(quantile)?.saturating_sub(self.min()?))
    }

    fn nanos(&self) -> impl Iterator<Item = f64> + '_ {
        self.ascending.iter().map(|delay| delay.as_nanos() as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantile::{P50, P95};

    fn ms(values: &[u64]) -> Summary {
        Summary::of(values.iter().map(|value| Duration::from_millis(*value)))
    }

    #[test]
    fn the_figures_of_eight_values_are_those_worked_by_hand() {
        // Sum 40, mean 5; squared deviations 9+1+1+1+0+0+4+16 = 32; 32/7 = 4.571428…, root 2.138090.
        let summary = ms(&[9, 2, 4, 5, 4, 7, 4, 5]);
        assert_eq!(summary.n(), 8);
        assert_eq!(summary.min(), Some(Duration::from_millis(2)));
        assert_eq!(summary.max(), Some(Duration::from_millis(9)));
        assert_eq!(summary.mean(), Some(Duration::from_millis(5)));
        assert_eq!(
            summary.sample_stddev(),
            Some(Duration::from_nanos(2_138_090))
        );
        assert_eq!(summary.quantile(P50), Some(Duration::from_millis(4)));
    }

    #[test]
    fn delay_variation_is_counted_from_the_smallest_delay() {
        let summary = Summary::of((101..=120).map(Duration::from_millis));
        assert_eq!(summary.quantile(P95), Some(Duration::from_millis(119)));
        assert_eq!(summary.pdv(P95), Some(Duration::from_millis(18)));
    }

    #[test]
    fn a_sample_too_small_for_a_figure_leaves_it_blank() {
        assert_eq!(ms(&[]).mean(), None);
        assert_eq!(ms(&[]).min(), None);
        assert_eq!(ms(&[7]).sample_stddev(), None);
        assert_eq!(ms(&[7]).mean(), Some(Duration::from_millis(7)));
        assert_eq!(ms(&[7, 7]).sample_stddev(), Some(Duration::ZERO));
    }
}
