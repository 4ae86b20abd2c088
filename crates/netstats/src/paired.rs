//! What sets two ways apart, measured in turns: the median of the differences of pairs, and the
//! interval in which it lies. Nothing is assumed of how delays are distributed.

/// The chance, on each side, that the median of what was sampled lies outside the interval.
const TAIL: f64 = 0.025;

/// The median of differences, in whatever unit they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MedianInterval {
    /// The middle one, or the mean of the two in the middle.
    pub median: i64,
    /// The lower end of its 95 % interval.
    pub low: i64,
    /// The upper end.
    pub high: i64,
    /// How many there are.
    pub n: usize,
}

impl MedianInterval {
    /// Of independent differences: the interval by order statistics, from the k-th smallest to the
    /// k-th largest, k being the largest number for which fewer than k of n fair coins show heads
    /// with a chance of at most 2.5 % (H. A. David, Order Statistics, §7.1). `None` below six,
    /// which cannot be so sure.
    pub fn of(differences: impl IntoIterator<Item = i64>) -> Option<MedianInterval> {
        let mut ascending: Vec<i64> = differences.into_iter().collect();
        ascending.sort_unstable();
        let n = ascending.len();
        let k = rank(n)?;
        let upper_middle = *ascending.get(n / 2)?;
        let lower_middle = *ascending.get((n - 1) / 2)?;
        Some(MedianInterval {
            median: i64::midpoint(lower_middle, upper_middle),
            low: *ascending.get(k - 1)?,
            high: *ascending.get(n - k)?,
            n,
        })
    }

    /// Whether the interval leaves zero out: then the two ways do differ.
    pub fn is_significant(self) -> bool {
        self.low > 0 || self.high < 0
    }
}

/// The k of n, if there is one.
fn rank(n: usize) -> Option<usize> {
    // By logarithms: half to the n-th has no floating-point number of its own beyond a thousand.
    let mut log_chance = -(n as f64) * std::f64::consts::LN_2;
    let mut fewer = 0.0;
    for heads in 0..n {
        fewer += log_chance.exp();
        if fewer > TAIL {
            return (heads > 0).then_some(heads);
        }
        log_chance += ((n - heads) as f64 / (heads + 1) as f64).ln();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ranks_are_those_worked_by_hand() {
        // n = 5: P(0) = 1/32 > 2.5 %. 6: 1/64. 10: P(≤1) = 11/1024, P(≤2) = 56/1024. 20:
        // P(≤5) = 21700/2^20 = 2.07 %, P(≤6) = 60460/2^20. 100: P(≤39) = 1.76 %, P(≤40) = 2.84 %
        // (tables of the sign test). A thousand and more: near n/2 − 0.98·√n = 4902 of 10,000.
        for (n, k) in [
            (0, None),
            (5, None),
            (6, Some(1)),
            (10, Some(2)),
            (20, Some(6)),
            (100, Some(40)),
        ] {
            assert_eq!(rank(n), k, "{n}");
        }
        let many = rank(10_000).unwrap();
        assert!((4901..=4903).contains(&many), "{many}");
    }

    #[test]
    fn the_median_of_ten_lies_between_the_second_and_the_ninth() {
        let found = MedianInterval::of([9, 1, 8, 2, 7, 3, 6, 4, 100, 5]).unwrap();
        assert_eq!((found.low, found.high, found.n), (2, 9, 10));
        // (5 + 6) / 2, rounded towards zero.
        assert_eq!(found.median, 5);
        assert!(found.is_significant());
        let about_zero = MedianInterval::of([-3, -2, -1, 1, 2, 3]).unwrap();
        assert!(!about_zero.is_significant());
        assert!(MedianInterval::of([-9; 6]).unwrap().is_significant());
        assert_eq!(MedianInterval::of([1; 5]), None);
    }
}
