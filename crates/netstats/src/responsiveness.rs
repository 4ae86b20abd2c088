//! How often a minute somebody can be answered while the path is busy
//! (draft-ietf-ippm-responsiveness).

use std::time::Duration;

/// Of the delays in ascending order, the slowest twentieth is left out before the mean is taken:
/// the draft's single-sided trimmed mean at the 95th percentile.
const KEPT_PER_CENT: usize = 95;

/// The mean of the fastest 95 % (rounded up to a whole sample); `None` without a sample.
pub fn trimmed_mean(delays: impl IntoIterator<Item = Duration>) -> Option<Duration> {
    let mut ascending: Vec<Duration> = delays.into_iter().collect();
    ascending.sort_unstable();
    let kept = (ascending.len() * KEPT_PER_CENT).div_ceil(100);
    let total: u128 = ascending.iter().take(kept).map(Duration::as_nanos).sum();
    let mean = total.checked_div(kept as u128)?;
    u64::try_from(mean).ok().map(Duration::from_nanos)
}

/// Round trips a minute: `60 s / (mean of the foreign means / 2 + own / 2)`.
///
/// `foreign` are the trimmed means of the steps of a new connection beside the load (connecting,
/// TLS where there is any, the request), each weighing the same; `own` is that of requests on the
/// connections that carry the load. `None` without a foreign step, or where the delays are zero.
pub fn rpm(foreign: &[Duration], own: Duration) -> Option<f64> {
    let steps = u32::try_from(foreign.len()).ok().filter(|n| *n > 0)?;
    let foreign: f64 = foreign.iter().map(Duration::as_secs_f64).sum::<f64>() / f64::from(steps);
    let round_trip = f64::midpoint(foreign, own.as_secs_f64());
    (round_trip > 0.0).then(|| 60.0 / round_trip)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    #[test]
    fn the_slowest_twentieth_is_left_out() {
        // Of 20 one is left out: (19·10)/19. Of 10, ceil(9.5) = 10 are kept: (9·10 + 1000)/10.
        let with_one_slow = |n: usize| {
            let mut delays = vec![ms(10); n - 1];
            delays.insert(0, ms(1000));
            trimmed_mean(delays)
        };
        assert_eq!(with_one_slow(20), Some(ms(10)));
        assert_eq!(with_one_slow(10), Some(ms(109)));
        assert_eq!(trimmed_mean([]), None);
    }

    #[test]
    fn round_trips_a_minute_weigh_the_foreign_and_the_own_alike() {
        // TCP 20, TLS 40, HTTP 60 ms: mean 40; own 80: 60 s / 60 ms = 1000. Without TLS: mean 40
        // too. Without load on the own connections: 60 s / 20 ms = 3000.
        for (foreign, own, expected) in [
            (&[ms(20), ms(40), ms(60)][..], ms(80), 1000.0),
            (&[ms(20), ms(60)][..], ms(80), 1000.0),
            (&[ms(20), ms(60)][..], ms(0), 3000.0),
        ] {
            let rpm = rpm(foreign, own).unwrap();
            assert!((rpm - expected).abs() < 1e-6, "{rpm}");
        }
        assert_eq!(rpm(&[], ms(1)), None);
        assert_eq!(rpm(&[ms(0)], ms(0)), None);
    }
}
