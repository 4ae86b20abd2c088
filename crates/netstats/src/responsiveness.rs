//! How often a minute somebody can be answered while the path is busy
//! (draft-ietf-ippm-responsiveness-08), and how much later than on an idle path.

use std::time::Duration;

/// Of the delays in ascending order, the slowest twentieth is left out before the mean is taken:
/// the draft's single-sided trimmed mean at the 95th percentile.
const KEPT_PER_CENT: usize = 95;
/// A minute, in seconds.
const MINUTE: f64 = 60.0;

/// The mean of the fastest 95 % (rounded up to a whole sample); `None` without a sample.
pub fn trimmed_mean(delays: impl IntoIterator<Item = Duration>) -> Option<Duration> {
    let mut ascending: Vec<Duration> = delays.into_iter().collect();
    ascending.sort_unstable();
    let kept = (ascending.len() * KEPT_PER_CENT).div_ceil(100);
    let total: u128 = ascending.iter().take(kept).map(Duration::as_nanos).sum();
    let mean = total.checked_div(kept as u128)?;
    u64::try_from(mean).ok().map(Duration::from_nanos)
}

/// Round trips a minute: the mean of `60 s / mean(foreign)` and `60 s / own`, the draft's Foreign
/// and Loaded Responsiveness.
///
/// `foreign` are the trimmed means of the steps of a new connection beside the load (connecting,
/// TLS where there is any, the request), each weighing the same; `own` is that of requests on the
/// connections that carry the load, or, where none can be made there, of the round trip that TCP
/// estimates for them. `None` without a foreign step, or where either is zero.
pub fn rpm(foreign: &[Duration], own: Duration) -> Option<f64> {
    let steps = u32::try_from(foreign.len()).ok().filter(|n| *n > 0)?;
    let foreign: f64 = foreign.iter().map(Duration::as_secs_f64).sum::<f64>() / f64::from(steps);
    let own = own.as_secs_f64();
    (foreign > 0.0 && own > 0.0).then(|| f64::midpoint(MINUTE / foreign, MINUTE / own))
}

/// How good the latency of a loaded path is, by how much the load adds to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// Less than 5 ms.
    APlus,
    /// Less than 30 ms.
    A,
    /// Less than 60 ms.
    B,
    /// Less than 200 ms.
    C,
    /// Less than 400 ms.
    D,
    /// 400 ms and more.
    F,
}

impl Grade {
    /// The scale: what a grade ends below, best first; [`Grade::F`] has no end. It is that of
    /// dslreports.com (FAQ 17930), which other bufferbloat tests use too.
    pub const SCALE: [(Grade, Duration); 5] = [
        (Grade::APlus, Duration::from_millis(5)),
        (Grade::A, Duration::from_millis(30)),
        (Grade::B, Duration::from_millis(60)),
        (Grade::C, Duration::from_millis(200)),
        (Grade::D, Duration::from_millis(400)),
    ];

    /// That of so large an increase.
    pub fn of(increase: Duration) -> Grade {
        Grade::SCALE
            .iter()
            .find_map(|(grade, end)| (increase < *end).then_some(*grade))
            .unwrap_or(Grade::F)
    }

    /// `A+`, `A`, …
    pub fn letter(self) -> &'static str {
        match self {
            Grade::APlus => "A+",
            Grade::A => "A",
            Grade::B => "B",
            Grade::C => "C",
            Grade::D => "D",
            Grade::F => "F",
        }
    }
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
    fn the_responsiveness_of_new_and_of_loaded_connections_weigh_alike() {
        // TCP 20, TLS 40, HTTP 60 ms: mean 40, 1500 a minute; own 80: 750; their mean 1125.
        // Without TLS: 20 and 60 have the mean 40 too. Own 40: 1500 and 1500.
        for (foreign, own, expected) in [
            (&[ms(20), ms(40), ms(60)][..], ms(80), 1125.0),
            (&[ms(20), ms(60)][..], ms(80), 1125.0),
            (&[ms(20), ms(60)][..], ms(40), 1500.0),
        ] {
            let rpm = rpm(foreign, own).unwrap();
            assert!((rpm - expected).abs() < 1e-6, "{rpm}");
        }
        assert_eq!(rpm(&[], ms(1)), None);
        assert_eq!(rpm(&[ms(0)], ms(1)), None);
        assert_eq!(rpm(&[ms(1)], ms(0)), None);
    }

    #[test]
    fn a_grade_begins_where_the_better_one_ends() {
        for (increase, letter) in [
            (0, "A+"),
            (4, "A+"),
            (5, "A"),
            (29, "A"),
            (30, "B"),
            (60, "C"),
            (199, "C"),
            (200, "D"),
            (400, "F"),
            (60_000, "F"),
        ] {
            assert_eq!(Grade::of(ms(increase)).letter(), letter, "{increase} ms");
        }
    }
}
