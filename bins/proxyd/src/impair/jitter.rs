//! How a delay varies: the distributions of tc-netem, of which iproute2 has tables.

use std::sync::LazyLock;
use std::time::Duration;

use statrs::distribution::{ContinuousCDF, Normal};

/// No draw is further from the mean than so many times the jitter: the tables of iproute2 end there.
const FURTHEST: f64 = 4.0;

/// The shape of iproute2's Pareto distribution, and its mean, 3 / (3 − 1).
const PARETO_SHAPE: f64 = 3.0;
const PARETO_MEAN: f64 = 1.5;
/// What iproute2 multiplies by after taking the mean off.
const PARETO_SCALE: f64 = 4.0 / 3.0;

/// The part of the normal distribution in the mixture.
const NORMAL_PART: f64 = 0.25;

/// The variation of a delay.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Jitter {
    /// How far: the half width of the uniform distribution, the standard deviation of the normal
    /// one, the unit of the others.
    pub spread: Duration,
    /// How it is spread.
    pub distribution: Distribution,
}

/// A distribution with a mean of about 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Distribution {
    /// As probable everywhere from −1 to 1.
    #[default]
    Uniform,
    /// The bell, with a standard deviation of 1.
    Normal,
    /// Mostly somewhat early, with a long tail of late ones.
    Pareto,
    /// A quarter normal, three quarters Pareto: what iproute2 found delays in the Internet to be
    /// like.
    ParetoNormal,
}

impl Distribution {
    /// All, under the names of tc-netem.
    pub const ALL: [(&str, Distribution); 4] = [
        ("uniform", Distribution::Uniform),
        ("normal", Distribution::Normal),
        ("pareto", Distribution::Pareto),
        ("paretonormal", Distribution::ParetoNormal),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        let named = Self::ALL.into_iter().find(|(_, known)| *known == self);
        named.map_or("", |(name, _)| name)
    }

    /// The value that a draw of `fraction`, from 0 to 1, stands for: below it lies that part of all.
    pub fn quantile(self, fraction: f64) -> f64 {
        let value = match self {
            Distribution::Uniform => 2.0 * fraction - 1.0,
            Distribution::Normal => normal(fraction),
            Distribution::Pareto => pareto(fraction),
            Distribution::ParetoNormal => {
                NORMAL_PART * normal(fraction) + (1.0 - NORMAL_PART) * pareto(fraction)
            }
        };
        value.clamp(-FURTHEST, FURTHEST)
    }
}

fn normal(fraction: f64) -> f64 {
    static STANDARD: LazyLock<Normal> = LazyLock::new(Normal::standard);
    STANDARD.inverse_cdf(fraction)
}

fn pareto(fraction: f64) -> f64 {
    ((1.0 - fraction).powf(-1.0 / PARETO_SHAPE) - PARETO_MEAN) * PARETO_SCALE
}

impl Jitter {
    /// `delay` varied by a draw from 0 to 1; never below 0.
    pub fn vary(self, delay: Duration, fraction: f64) -> Duration {
        let seconds = self.spread.as_secs_f64() * self.distribution.quantile(fraction);
        let varied = delay.as_secs_f64() + seconds;
        Duration::try_from_secs_f64(varied).unwrap_or(Duration::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distributions_are_those_of_iproute2() {
        // Entries of normal.dist, pareto.dist and paretonormal.dist as iproute2 6.1 installs them,
        // by their place among the 4,096, in units of 1/8192 of the spread.
        let tables = [
            (Distribution::Normal, [-5531, -5, 5520]),
            (Distribution::Pareto, [-4363, -2625, 949]),
            (Distribution::ParetoNormal, [-4655, -1970, 2091]),
        ];
        for (distribution, entries) in tables {
            for (place, entry) in [1024, 2048, 3072].into_iter().zip(entries) {
                let ours = distribution.quantile(f64::from(place) / 4096.0);
                let theirs = f64::from(entry) / 8192.0;
                // One place further in the table is up to 0.001 away.
                let name = distribution.name();
                assert!((ours - theirs).abs() < 0.002, "{name} {ours} {theirs}");
            }
        }
    }

    #[test]
    fn a_delay_is_varied_in_bounds() {
        let ms = Duration::from_millis;
        let cases = [
            (Distribution::Uniform, 40, 10, 0.0, 30),
            (Distribution::Uniform, 40, 10, 0.75, 45),
            (Distribution::Normal, 40, 10, 0.5, 40),
            // The end of the tables, four times the spread.
            (Distribution::Normal, 60, 10, 0.0, 20),
            (Distribution::Pareto, 40, 10, 0.999_999, 80),
            // Nothing arrives before it was sent.
            (Distribution::Normal, 20, 10, 0.001, 0),
        ];
        for (distribution, delay, spread, fraction, expected) in cases {
            let jitter = Jitter {
                spread: ms(spread),
                distribution,
            };
            let varied = jitter.vary(ms(delay), fraction);
            let error = varied.abs_diff(ms(expected));
            assert!(error < Duration::from_nanos(10), "{jitter:?} {varied:?}");
        }
    }
}
