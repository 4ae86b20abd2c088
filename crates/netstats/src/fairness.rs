//! How evenly several clients were served.

/// Jain's fairness index, `(Σx)² / (n · Σx²)` (R. Jain, D. Chiu, W. Hawe, DEC-TR-301, 1984):
/// 1 when all got the same, `1/n` when one got everything. `None` for no clients, for a negative
/// or non-finite share, and when nobody got anything.
pub fn jain(shares: &[f64]) -> Option<f64> {
    if shares
        .iter()
        .any(|share| !share.is_finite() || *share < 0.0)
    {
        return None;
    }
    // Against the largest share, so that squares neither overflow nor vanish.
    let largest = shares.iter().copied().fold(0.0, f64::max);
    if largest == 0.0 {
        return None;
    }
    let sum: f64 = shares.iter().map(|share| share / largest).sum();
    let squares: f64 = shares.iter().map(|share| (share / largest).powi(2)).sum();
    Some(sum * sum / (shares.len() as f64 * squares))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_is_that_of_the_paper() {
        // (Σx)²/(nΣx²), by hand: {1,1,1,1} = 16/16; {1,0,0,0} = 1/4; {3,1} = 16/20;
        // {50,30,50} = 16900/17700.
        for (shares, expected) in [
            (&[1.0, 1.0, 1.0, 1.0][..], 1.0),
            (&[1.0, 0.0, 0.0, 0.0][..], 0.25),
            (&[3.0, 1.0][..], 0.8),
            (&[50.0, 30.0, 50.0][..], 16_900.0 / 17_700.0),
            (&[3e200, 1e200][..], 0.8),
        ] {
            let index = jain(shares).unwrap();
            assert!((index - expected).abs() < 1e-12, "{shares:?}: {index}");
        }
    }

    #[test]
    fn no_share_means_no_index() {
        for shares in [&[][..], &[0.0, 0.0], &[1.0, f64::NAN], &[1.0, -1.0]] {
            assert_eq!(jain(shares), None, "{shares:?}");
        }
    }
}
