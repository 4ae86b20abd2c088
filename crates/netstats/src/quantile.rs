//! Percentiles by nearest rank, blank where the sample is too small to have one.
//!
//! The nearest rank of `p` in `n` ascending values is the value at position `ceil(p·n)`, counted
//! from one: always a value that was measured, never an interpolated one (RFC 2330 §11.3 asks for
//! the empirical distribution, of which this is the inverse).

/// A percentile, held in thousandths so that its rank is exact integer arithmetic.
///
/// ```
/// use netstats::quantile::{P50, P95};
/// let ascending = [15, 20, 35, 40, 50];
/// assert_eq!(P50.of(&ascending), Some(35));
/// assert_eq!(P95.of(&ascending), None); // five values have no 95th percentile
/// assert_eq!(P95.min_samples(), 20);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantile {
    per_mille: u16,
}

/// The median.
pub const P50: Quantile = Quantile { per_mille: 500 };
/// The 90th percentile; needs 10 values.
pub const P90: Quantile = Quantile { per_mille: 900 };
/// The 95th percentile; needs 20 values.
pub const P95: Quantile = Quantile { per_mille: 950 };
/// The 99th percentile; needs 100 values.
pub const P99: Quantile = Quantile { per_mille: 990 };
/// The 99.9th percentile; needs 1,000 values.
pub const P999: Quantile = Quantile { per_mille: 999 };

impl Quantile {
    /// A quantile of `per_mille` thousandths, or `None` outside `1..=999`.
    pub const fn per_mille(per_mille: u16) -> Option<Quantile> {
        if per_mille >= 1 && per_mille <= 999 {
            Some(Quantile { per_mille })
        } else {
            None
        }
    }

    /// The smallest sample that supports this quantile: `ceil(1/(1−p))`, the size from which one
    /// value in the sample is expected beyond it. Below that, it would only repeat the maximum.
    pub const fn min_samples(self) -> usize {
        1000_usize.div_ceil(1000 - self.per_mille as usize)
    }

    /// The nearest-rank value in `ascending`, or `None` when there are fewer than
    /// [`min_samples`](Self::min_samples).
    ///
    /// `ascending` must be sorted; the answer is meaningless otherwise.
    pub fn of<T: Copy>(self, ascending: &[T]) -> Option<T> {
        if ascending.len() < self.min_samples() {
            return None;
        }
        let rank = (ascending.len() * usize::from(self.per_mille)).div_ceil(1000);
        ascending.get(rank.checked_sub(1)?).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rank_is_the_ceiling_of_p_times_n() {
        let hundred: Vec<u32> = (1..=100).collect();
        let twenty: Vec<u32> = (1..=20).collect();
        let thousand: Vec<u32> = (1..=1000).collect();
        // Worked by hand: ceil(0.5·100)=50, ceil(0.95·100)=95, ceil(0.99·100)=99,
        // ceil(0.95·20)=19, ceil(0.5·20)=10, ceil(0.999·1000)=999, ceil(0.5·5)=3.
        for (quantile, ascending, expected) in [
            (P50, &hundred[..], Some(50)),
            (P95, &hundred[..], Some(95)),
            (P99, &hundred[..], Some(99)),
            (P95, &twenty[..], Some(19)),
            (P90, &twenty[..], Some(18)),
            (P90, &twenty[..9], None),
            (P50, &twenty[..], Some(10)),
            (P999, &thousand[..], Some(999)),
            (P50, &hundred[..5], Some(3)),
            (P50, &hundred[..2], Some(1)),
            (P99, &hundred[..99], None),
            (P95, &twenty[..19], None),
            (P50, &hundred[..1], None),
            (P50, &[], None),
        ] {
            let n = ascending.len();
            assert_eq!(quantile.of(ascending), expected, "{quantile:?} of 1..={n}");
        }
    }

    #[test]
    fn each_quantile_names_the_sample_it_needs() {
        let needs = [P50, P90, P95, P99, P999].map(Quantile::min_samples);
        assert_eq!(needs, [2, 10, 20, 100, 1000]);
        assert_eq!(Quantile::per_mille(0), None);
        assert_eq!(Quantile::per_mille(1000), None);
    }
}
