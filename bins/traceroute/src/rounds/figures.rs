//! What the repeated probes of one hop amount to, in constant space.

use std::time::Duration;

use netstats::jitter::IpdvMean;

/// The figures of a hop, fed probe by probe. Probes that are still on their way are in none.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    answered: u64,
    lost: u64,
    late: u64,
    latest: Option<Duration>,
    last: Option<Duration>,
    best: Option<Duration>,
    worst: Option<Duration>,
    mean_ms: f64,
    /// Sum of the squared distances from the mean.
    squares: f64,
    ipdv: IpdvMean,
}

impl Figures {
    /// The probe of this cycle was answered.
    pub fn answered(&mut self, cycle: u32, rtt: Duration) {
        self.answered += 1;
        self.last = Some(rtt);
        self.best = Some(self.best.map_or(rtt, |best| best.min(rtt)));
        self.worst = self.worst.max(Some(rtt));
        // Welford's way: sums of squares alone would cancel.
        let ms = rtt.as_secs_f64() * 1e3;
        let off = ms - self.mean_ms;
        self.mean_ms += off / self.answered as f64;
        self.squares += off * (ms - self.mean_ms);
        self.ipdv.add(cycle, rtt);
    }

    /// A probe was not answered in time.
    pub fn lost(&mut self) {
        self.lost += 1;
    }

    /// One of those that count as lost was answered after so long.
    pub fn late(&mut self, after: Duration) {
        self.late += 1;
        self.latest = self.latest.max(Some(after));
    }

    /// Probes that were answered when they were waited for no more; they are lost all the same.
    pub fn late_answers(&self) -> u64 {
        self.late
    }

    /// The longest that such an answer took.
    pub fn latest(&self) -> Option<Duration> {
        self.latest
    }

    /// Probes whose fate is known.
    pub fn sent(&self) -> u64 {
        self.answered + self.lost
    }

    /// Probes that were answered.
    pub fn answers(&self) -> u64 {
        self.answered
    }

    /// Lost ones in percent; nothing where no fate is known.
    pub fn loss_pct(&self) -> Option<f64> {
        (self.sent() > 0).then(|| 100.0 * self.lost as f64 / self.sent() as f64)
    }

    /// The latest round trip.
    pub fn last(&self) -> Option<Duration> {
        self.last
    }

    /// The shortest round trip.
    pub fn best(&self) -> Option<Duration> {
        self.best
    }

    /// The longest round trip.
    pub fn worst(&self) -> Option<Duration> {
        self.worst
    }

    /// The mean round trip in milliseconds.
    pub fn mean_ms(&self) -> Option<f64> {
        (self.answered > 0).then_some(self.mean_ms)
    }

    /// The standard deviation of the sample, which takes two round trips, in milliseconds.
    pub fn stdev_ms(&self) -> Option<f64> {
        (self.answered > 1).then(|| (self.squares / (self.answered - 1) as f64).sqrt())
    }

    /// The mean change of the round trip from one cycle to the next. Across a loss nothing is
    /// compared (RFC 3393 §2.5).
    pub fn jitter(&self) -> Option<Duration> {
        self.ipdv.mean().map(|(mean, _)| mean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_are_those_of_hand_arithmetic() {
        let mut figures = Figures::default();
        assert_eq!(figures.loss_pct(), None);
        for (cycle, ms) in [(0, 10), (1, 20), (2, 33), (4, 37)] {
            if cycle == 4 {
                figures.lost();
            }
            figures.answered(cycle, Duration::from_millis(ms));
        }
        assert_eq!((figures.sent(), figures.answers()), (5, 4));
        assert!((figures.loss_pct().unwrap() - 20.0).abs() < 1e-9);
        let us = |duration: Option<Duration>| duration.unwrap().as_micros();
        assert_eq!(us(figures.last()), 37_000);
        assert_eq!(us(figures.best()), 10_000);
        assert_eq!(us(figures.worst()), 37_000);
        // 100 / 4; the distances 15, 5, 8 and 12 squared are 225 + 25 + 64 + 144 = 458; 458 / 3.
        assert!((figures.mean_ms().unwrap() - 25.0).abs() < 1e-9);
        assert!((figures.stdev_ms().unwrap().powi(2) - 458.0 / 3.0).abs() < 1e-9);
        // 10 and 13; 33 and 37 are on two sides of a loss.
        assert_eq!(us(figures.jitter()), 11_500);
    }
}
