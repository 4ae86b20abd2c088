//! Round-trip times, summed up as iputils does: whole microseconds, duplicates included.

use std::time::Duration;

/// The running figures of a session's round-trip times.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RttStatistics {
    samples: u64,
    sum_us: u64,
    sum_of_squares_us: u128,
    min_us: u64,
    max_us: u64,
    /// The moving average times eight, which keeps its fraction.
    ewma_eighths_us: u64,
}

/// The figures to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RttFigures {
    /// The least.
    pub min: Duration,
    /// The arithmetic mean.
    pub mean: Duration,
    /// The greatest.
    pub max: Duration,
    /// The standard deviation of the population, which iputils calls mdev.
    pub mdev: Duration,
    /// The moving average with weight 1/8, as in RFC 6298.
    pub ewma: Duration,
}

impl RttStatistics {
    /// Adds one round trip.
    pub fn add(&mut self, rtt: Duration) {
        let us = u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX / 8);
        self.min_us = if self.samples == 0 {
            us
        } else {
            self.min_us.min(us)
        };
        self.max_us = self.max_us.max(us);
        self.ewma_eighths_us = if self.samples == 0 {
            us * 8
        } else {
            self.ewma_eighths_us + us - self.ewma_eighths_us / 8
        };
        self.samples += 1;
        self.sum_us += us;
        self.sum_of_squares_us += u128::from(us) * u128::from(us);
    }

    /// The greatest so far; zero before the first.
    pub const fn max(&self) -> Duration {
        Duration::from_micros(self.max_us)
    }

    /// The moving average so far.
    pub fn ewma(&self) -> Option<Duration> {
        (self.samples > 0).then(|| Duration::from_micros(self.ewma_eighths_us / 8))
    }

    /// The figures; `None` before the first round trip.
    pub fn figures(&self) -> Option<RttFigures> {
        let samples = u128::from(self.samples);
        let mean = self.sum_us.checked_div(self.samples)?;
        let sum = u128::from(self.sum_us);
        // In this order so that small times lose nothing to the division.
        let variance = (self.sum_of_squares_us - sum * sum / samples) / samples;
        Some(RttFigures {
            min: Duration::from_micros(self.min_us),
            mean: Duration::from_micros(mean),
            max: self.max(),
            mdev: Duration::from_micros(variance.isqrt() as u64),
            ewma: Duration::from_micros(self.ewma_eighths_us / 8),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2, 4, 4, 4, 5, 5, 7, 9: mean 5, the squared deviations sum to 32, variance 4, deviation 2.
    #[test]
    fn the_figures_are_those_of_the_textbook() {
        let mut statistics = RttStatistics::default();
        assert_eq!(statistics.figures(), None);
        for ms in [2, 4, 4, 4, 5, 5, 7, 9] {
            statistics.add(Duration::from_millis(ms));
        }
        let figures = statistics.figures().unwrap();
        let ms = Duration::from_millis;
        assert_eq!((figures.min, figures.mean), (ms(2), ms(5)));
        assert_eq!((figures.max, figures.mdev), (ms(9), ms(2)));
    }

    #[test]
    fn the_moving_average_moves_an_eighth_of_the_way() {
        let mut statistics = RttStatistics::default();
        statistics.add(Duration::from_micros(800));
        statistics.add(Duration::from_micros(1600));
        // 800 + (1600 - 800) / 8.
        assert_eq!(statistics.ewma(), Some(Duration::from_micros(900)));
    }
}
