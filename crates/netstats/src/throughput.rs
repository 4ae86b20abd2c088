//! How many bits a second arrived.

use std::time::Duration;

/// Measures a rate from the arrivals themselves.
///
/// The rate is `(bytes − first datagram's bytes) / (last − first receive time)`: the first
/// datagram only opens the interval. Counting it as well would overstate a short run (by 5 % at 20
/// packets), and dividing by the time of the whole test would understate it by the wait at its end.
#[derive(Debug, Clone, Default)]
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
    fn no_interval_means_no_rate() {
        let mut throughput = Throughput::new();
        assert_eq!(throughput.bps(), None);
        throughput.received(Duration::from_secs(1), 1000);
        assert_eq!(throughput.bps(), None);
        throughput.received(Duration::from_secs(1), 1000);
        assert_eq!(throughput.bps(), None);
    }
}
