//! How many bits a second arrived.

use std::time::Duration;

/// Measures a rate from the arrivals themselves.
///
/// The rate is `(bytes − first datagram's bytes) / (last − first receive time)`: the first
/// datagram only opens the interval. Counting it as well would overstate a short run (by 5 % at 20
/// packets), and dividing by the time of the whole test would understate it by the wait at its end.
#[derive(Debug, Clone, Copy, Default)]
pub struct Throughput {
    first: Option<(Duration, u64)>,
    last: Duration,
    bytes: u64,
    datagrams: u64,
}

impl Throughput {
    /// Before the first datagram.
    pub fn new() -> Throughput {
        Throughput::default()
    }

    /// A datagram of `bytes` received at `at`, in order of arrival.
    pub fn received(&mut self, at: Duration, bytes: u64) {
        if self.first.is_none() {
            self.first = Some((at, bytes));
        }
        self.last = self.last.max(at);
        self.bytes += bytes;
        self.datagrams += 1;
    }

    /// Bits a second, or `None` when no time passed between the first and the last datagram.
    pub fn bps(&self) -> Option<f64> {
        let (first_at, first_bytes) = self.first?;
        let seconds = self.last.checked_sub(first_at)?.as_secs_f64();
        (seconds > 0.0).then(|| (self.bytes - first_bytes) as f64 * 8.0 / seconds)
    }

    /// Both, of flows that ran beside each other: from what opened the first to what ended the last.
    /// Rates of their own intervals cannot be added: one that stalled at an end would count as if it
    /// had gone on.
    #[must_use]
    pub fn beside(self, other: Throughput) -> Throughput {
        let first = match (self.first, other.first) {
            (Some((at, bytes)), Some((its, more))) => Some((at.min(its), bytes + more)),
            (first, None) | (None, first) => first,
        };
        Throughput {
            first,
            last: self.last.max(other.last),
            bytes: self.bytes + other.bytes,
            datagrams: self.datagrams + other.datagrams,
        }
    }

    /// Datagrams counted.
    pub fn n(&self) -> u64 {
        self.datagrams
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_datagram_opens_the_interval_and_is_not_counted() {
        // 11 datagrams of 125 bytes, one every 100 ms: 10 × 1000 bits in 1 s.
        let mut throughput = Throughput::new();
        for i in 0..11 {
            throughput.received(Duration::from_millis(5000 + 100 * i), 125);
        }
        assert_eq!(throughput.bps(), Some(10_000.0));
        assert_eq!(throughput.n(), 11);
    }

    #[test]
    fn of_flows_beside_each_other_the_interval_is_that_of_all() {
        // One has 1000 bits in each of the seconds 1 to 4, one 8000 in the second 2, then stalls:
        // 4000 + 8000 bits in 4 s. Their own rates would add up to 9000 a second.
        let mut steady = Throughput::new();
        for second in 0..=4 {
            steady.received(Duration::from_secs(second), 125);
        }
        let mut stalled = Throughput::new();
        stalled.received(Duration::from_secs(1), 50);
        stalled.received(Duration::from_secs(2), 1000);
        let none = Throughput::new();
        let all = none
            .beside(steady)
            .beside(stalled)
            .beside(Throughput::new());
        assert_eq!(all.bps(), Some(3_000.0));
        assert_eq!(all.n(), 7);
    }

    #[test]
    fn no_interval_means_no_rate() {
        let mut throughput = Throughput::new();
        assert_eq!(throughput.bps(), None);
        throughput.received(Duration::from_secs(1), 1000);
        assert_eq!(throughput.bps(), None);
        throughput.received(Duration::from_secs(1), 1000);
        assert_eq!(throughput.bps(), None);
    }
}
