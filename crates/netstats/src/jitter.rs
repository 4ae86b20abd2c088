//! How delay varies from packet to packet: the running estimate of RFC 3550 and the plain mean.

use std::time::Duration;

/// The interarrival jitter of RFC 3550 §6.4.1, fed in order of arrival.
///
/// For packets `i` and `j`, one after the other as they arrive,
/// `D(i,j) = (Rj − Ri) − (Sj − Si)` and then `J = J + (|D| − J)/16`.
/// The gain of 1/16 makes it a noise filter with a memory: from a standing start it has covered
/// 99 % of a step after 72 differences, so [`n`](Self::n) belongs beside it in a report.
///
/// `S` and `R` may be read from different clocks: a constant offset cancels. Fed with the sending
/// and receiving times of an echo at one end, it gives the jitter of the round trip.
#[derive(Debug, Clone, Default)]
pub struct InterarrivalJitter {
    previous: Option<(Duration, Duration)>,
    nanos: f64,
    differences: usize,
}

/// Differences after which [`InterarrivalJitter`] has covered 99 % of a step:
/// the smallest `k` with `(15/16)^k ≤ 0.01`.
pub const SETTLED_AFTER: usize = 72;

impl InterarrivalJitter {
    /// Before the first packet.
    pub fn new() -> InterarrivalJitter {
        InterarrivalJitter::default()
    }

    /// The next packet to arrive: when it was sent, by the sender's clock, and when it was
    /// received, by the receiver's.
    pub fn arrived(&mut self, sent: Duration, received: Duration) {
        if let Some((sent_before, received_before)) = self.previous {
            let difference = signed(received, received_before) - signed(sent, sent_before);
            self.nanos += (difference.abs() - self.nanos) / 16.0;
            self.differences += 1;
        }
        self.previous = Some((sent, received));
    }

    /// The estimate, or `None` before the second packet.
    pub fn jitter(&self) -> Option<Duration> {
        (self.differences > 0).then(|| Duration::from_nanos(self.nanos.round() as u64))
    }

    /// How many differences went into it: one less than the packets that arrived.
    pub fn n(&self) -> usize {
        self.differences
    }
}

/// `a − b` in nanoseconds, of either sign.
fn signed(a: Duration, b: Duration) -> f64 {
    let size = a.abs_diff(b).as_nanos() as f64;
    if a >= b { size } else { -size }
}

/// Mean of the absolute difference in delay between consecutive sequence numbers, with the number
/// of differences that went into it: the mean magnitude of the ipdv of RFC 3393 §2.6 with the
/// selection "consecutive packets". This is the figure that coursework calls jitter.
///
/// `delays` are `(sequence, delay)` in ascending order of sequence. A pair counts only when both
/// its packets were received: a delay is not compared across a loss (RFC 3393 §2.5).
pub fn ipdv_abs_mean(
    delays: impl IntoIterator<Item = (u32, Duration)>,
) -> Option<(Duration, usize)> {
    let mut mean = IpdvMean::default();
    for (sequence, delay) in delays {
        mean.add(sequence, delay);
    }
    mean.mean()
}

/// The figure of [`ipdv_abs_mean`], fed packet by packet where they are too many to keep.
#[derive(Debug, Clone, Default)]
pub struct IpdvMean {
    previous: Option<(u32, Duration)>,
    total_nanos: u128,
    pairs: usize,
}

impl IpdvMean {
    /// The delay of the next packet received, in ascending order of sequence.
    pub fn add(&mut self, sequence: u32, delay: Duration) {
        if let Some((before, delay_before)) = self.previous
            && before.checked_add(1) == Some(sequence)
        {
            self.total_nanos += delay.abs_diff(delay_before).as_nanos();
            self.pairs += 1;
        }
        self.previous = Some((sequence, delay));
    }

    /// The mean and the number of differences in it; `None` before the first pair.
    pub fn mean(&self) -> Option<(Duration, usize)> {
        let mean = self.total_nanos.checked_div(self.pairs as u128)?;
        Some((Duration::from_nanos(mean as u64), self.pairs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    #[test]
    fn the_running_estimate_follows_rfc_3550_by_hand() {
        // Sent every 20 ms. Transit 100, 116, 108, 108: |D| = 16, 8, 0.
        // J: 0 + 16/16 = 1; 1 + (8−1)/16 = 1.4375; 1.4375 − 1.4375/16 = 1.34765625.
        let mut jitter = InterarrivalJitter::new();
        let expected = [None, Some(1_000_000), Some(1_437_500), Some(1_347_656)];
        for (i, (transit, expected)) in [100, 116, 108, 108].into_iter().zip(expected).enumerate() {
            let sent = ms(20 * i as u64);
            jitter.arrived(sent, sent + ms(transit));
            assert_eq!(
                jitter.jitter(),
                expected.map(Duration::from_nanos),
                "packet {i}"
            );
        }
        assert_eq!(jitter.n(), 3);
    }

    #[test]
    fn packets_that_overtake_each_other_are_taken_in_order_of_arrival() {
        // Packet 1 (sent 20) arrives at 50, then packet 0 (sent 0) at 60:
        // D = (60−50) − (0−20) = 30 ms, J = 30/16 = 1.875 ms.
        let mut jitter = InterarrivalJitter::new();
        jitter.arrived(ms(20), ms(50));
        jitter.arrived(ms(0), ms(60));
        assert_eq!(jitter.jitter(), Some(Duration::from_micros(1875)));
    }

    #[test]
    fn an_offset_between_the_clocks_cancels() {
        let transits = [5, 9, 4, 30, 6];
        let run = |offset: Duration| {
            let mut jitter = InterarrivalJitter::new();
            for (i, transit) in transits.into_iter().enumerate() {
                let sent = ms(10 * i as u64);
                jitter.arrived(sent, sent + ms(transit) + offset);
            }
            jitter.jitter()
        };
        assert_eq!(run(Duration::ZERO), run(Duration::from_hours(8760)));
    }

    #[test]
    fn a_step_is_covered_to_one_percent_after_72_differences() {
        // Alternating transit of 0 and 16 ms: every |D| is 16 ms.
        let mut jitter = InterarrivalJitter::new();
        let mut settled = None;
        for i in 0..200_u64 {
            jitter.arrived(ms(100 * i), ms(100 * i + 16 * (i % 2)));
            if settled.is_none() && jitter.jitter() >= Some(Duration::from_micros(15_840)) {
                settled = Some(jitter.n());
            }
        }
        assert_eq!(settled, Some(SETTLED_AFTER));
    }

    #[test]
    fn the_mean_takes_consecutive_pairs_only() {
        // 0→1: 4 ms, 1→2: 6 ms; 3 was lost, so 2→4 is no pair; 4→5: 2 ms. Mean 12/3.
        let delays = [(0, 10), (1, 14), (2, 8), (4, 50), (5, 52)];
        let delays = delays.map(|(sequence, delay)| (sequence, ms(delay)));
        assert_eq!(ipdv_abs_mean(delays), Some((ms(4), 3)));
        assert_eq!(ipdv_abs_mean([(0, ms(1)), (2, ms(9))]), None);
        assert_eq!(ipdv_abs_mean([]), None);
    }
}
