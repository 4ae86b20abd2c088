//! Whether two samples differ by more than chance allows.

use netstats::loss::wilson_at;
use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

use super::saved::Hop;

/// How often all comparisons of two traces together may be wrong. Each gets its share (Bonferroni).
const WRONG: f64 = 0.05;
/// Means that are closer than this are not told apart: between two runs the probing host's own load
/// moves all times by some ten microseconds, which no sample within one run shows.
const LEAST_DIFFERENCE_MS: f64 = 0.1;
/// Times are written in microseconds, so a sample is no narrower than this.
const RESOLUTION_MS: f64 = 0.001;

/// Two means that differ.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rtt {
    /// The mean before.
    pub before_ms: f64,
    /// The mean now.
    pub now_ms: f64,
    /// How far their true difference may be from the one seen.
    pub uncertainty_ms: f64,
    /// Answers before and now.
    pub answers: (u64, u64),
}

/// Two shares that differ.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Loss {
    /// Lost probes before, and all.
    pub before: (u64, u64),
    /// Lost probes now, and all.
    pub now: (u64, u64),
    /// The least and the most that the true difference may be, in percent.
    pub difference_pct: (f64, f64),
}

impl Rtt {
    /// By Welch's interval (B. L. Welch, Biometrika 34, 1947) of the difference of two means,
    /// nothing if that holds zero, as one of so many `comparisons`.
    pub(super) fn of(before: &Hop, now: &Hop, comparisons: usize) -> Option<Rtt> {
        let sample = |hop: &Hop| {
            let (mean, deviation) = hop.rtt_ms?;
            let n = hop.answered as f64;
            let share = deviation?.max(RESOLUTION_MS).powi(2) / n;
            (hop.answered > 1).then_some((mean, n, share))
        };
        let (before_ms, before_n, before_share) = sample(before)?;
        let (now_ms, now_n, now_share) = sample(now)?;
        let share = before_share + now_share;
        // Welch and Satterthwaite.
        let freedom = share.powi(2)
            / (before_share.powi(2) / (before_n - 1.0) + now_share.powi(2) / (now_n - 1.0));
        let student = StudentsT::new(0.0, 1.0, freedom).ok()?;
        let uncertainty_ms = student.inverse_cdf(1.0 - tail(comparisons)) * share.sqrt();
        let difference = (now_ms - before_ms).abs();
        (difference > uncertainty_ms && difference >= LEAST_DIFFERENCE_MS).then_some(Rtt {
            before_ms,
            now_ms,
            uncertainty_ms,
            answers: (before.answered, now.answered),
        })
    }
}

impl Loss {
    /// By Newcombe's interval of the difference of two shares, nothing if that holds zero, as one
    /// of so many `comparisons`.
    pub(super) fn of(before: &Hop, now: &Hop, comparisons: usize) -> Option<Loss> {
        let lost = |hop: &Hop| (hop.sent - hop.answered, hop.sent);
        let z = Normal::standard().inverse_cdf(1.0 - tail(comparisons));
        let (least, most) = difference(lost(now), lost(before), z)?;
        (least > 0.0 || most < 0.0).then_some(Loss {
            before: lost(before),
            now: lost(now),
            difference_pct: (least * 100.0, most * 100.0),
        })
    }
}

fn tail(comparisons: usize) -> f64 {
    WRONG / comparisons as f64 / 2.0
}

/// The range of p − q at this quantile, made of Wilson's for each (R. G. Newcombe, Statistics in
/// Medicine 17, 1998, pages 873–890, method 10).
fn difference(p: (u64, u64), q: (u64, u64), z: f64) -> Option<(f64, f64)> {
    let share = |(events, trials): (u64, u64)| events as f64 / trials as f64;
    let (p_range, q_range) = (wilson_at(p.0, p.1, z)?, wilson_at(q.0, q.1, z)?);
    let (p, q) = (share(p), share(q));
    let below = (p - p_range.low).hypot(q_range.high - q);
    let above = (p_range.high - p).hypot(q - q_range.low);
    Some((p - q - below, p - q + above))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_of_a_difference_of_shares_is_the_published_one() {
        // Table II of that paper, method 10, at 95 %.
        for (p, q, low, high) in [
            ((56, 70), (48, 80), 0.0524, 0.3339),
            ((9, 10), (3, 10), 0.1705, 0.8090),
            ((6, 7), (2, 7), 0.0582, 0.8062),
            ((5, 56), (0, 29), -0.0381, 0.1926),
            ((0, 10), (0, 20), -0.1611, 0.2775),
            ((10, 10), (0, 20), 0.6791, 1.0),
        ] {
            let range = difference(p, q, 1.959_963_985).unwrap();
            assert!((range.0 - low).abs() < 5e-5, "{p:?} {q:?}: {range:?}");
            assert!((range.1 - high).abs() < 5e-5, "{p:?} {q:?}: {range:?}");
        }
        assert_eq!(difference((0, 0), (1, 2), 1.96), None);
    }

    fn hop(n: u64, mean: f64, deviation: Option<f64>) -> Hop {
        Hop {
            ttl: 1,
            addresses: Vec::new(),
            mark: None,
            sent: n,
            answered: n,
            rtt_ms: Some((mean, deviation)),
            silence: None,
        }
    }

    #[test]
    fn means_differ_where_the_interval_of_their_difference_leaves_zero_out() {
        // Equal samples of 3 with deviation 1: 4 degrees of freedom, t(0.975) = 2.776 in every
        // table, and the error of the difference is √(2/3) = 0.8165: 2.267.
        let of = |now: f64| Rtt::of(&hop(3, 10.0, Some(1.0)), &hop(3, now, Some(1.0)), 1);
        assert!(of(12.2).is_none() && of(7.8).is_none());
        let rtt = of(12.3).unwrap();
        assert!((rtt.uncertainty_ms - 2.267).abs() < 1e-3, "{rtt:?}");
        assert!(of(7.7).is_some());
        // The same among ten comparisons: t(0.9975) = 5.598 at 4 degrees, 4.571.
        let of = |now: f64| Rtt::of(&hop(3, 10.0, Some(1.0)), &hop(3, now, Some(1.0)), 10);
        assert!(of(14.5).is_none() && of(14.6).is_some());
    }

    #[test]
    fn too_few_answers_and_too_little_difference_say_nothing() {
        let sharp = |mean| hop(1_000, mean, Some(0.0));
        for (before, now) in [
            (hop(1, 1.0, None), hop(1, 90.0, None)),
            (hop(1, 1.0, None), sharp(90.0)),
            (sharp(1.0), sharp(1.09)),
        ] {
            assert_eq!(Rtt::of(&before, &now, 1), None, "{before:?} {now:?}");
        }
        assert!(Rtt::of(&sharp(1.0), &sharp(1.11), 1).is_some());
    }
}
