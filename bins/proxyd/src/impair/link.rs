//! A link of a given rate and the queue before it, in virtual time: what is offered gets its turn
//! when the link has sent what was offered before, or is dropped if too much waits.

use std::collections::VecDeque;
use std::time::Duration;

/// What tc-netem and ifconfig call the length of a queue, in datagrams, if nothing is said.
pub const DEFAULT_QUEUE_DATAGRAMS: u32 = 1000;
/// The same in bytes.
pub const DEFAULT_QUEUE_BYTES: u64 = 64 * 1024;

/// A rate, and how much may wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkRate {
    /// Bits a second of IP packets: payload, UDP header and IP header. At least 1.
    pub bits_per_second: u64,
    /// How many bytes of IP packets may wait or be on the link.
    pub queue_bytes: u64,
    /// How many datagrams may wait or be on the link.
    pub queue_datagrams: u32,
}

impl LinkRate {
    /// How long a full queue takes to empty.
    pub fn longest_wait(&self) -> Duration {
        time_on_link(self.queue_bytes, self.bits_per_second)
    }
}

/// A link that all datagrams of one direction share.
#[derive(Debug, Default)]
pub struct Link {
    /// What has not left the link yet, in order: when it will have, and its bytes.
    leaving: VecDeque<(Duration, u64)>,
    bytes: u64,
}

impl Link {
    /// Takes an IP packet of so many bytes at the time `now` (since any fixed moment); returns when
    /// its last bit has left the link, or none if the queue is full.
    pub fn offer(&mut self, rate: &LinkRate, bytes: u64, now: Duration) -> Option<Duration> {
        while let Some(&(left, of_first)) = self.leaving.front()
            && left <= now
        {
            self.bytes -= of_first;
            self.leaving.pop_front();
        }
        if self.leaving.len() >= rate.queue_datagrams as usize
            || self.bytes + bytes > rate.queue_bytes
        {
            return None;
        }
        let free = self.leaving.back().map_or(now, |&(left, _)| left);
        let leaves = free + time_on_link(bytes, rate.bits_per_second);
        self.leaving.push_back((leaves, bytes));
        self.bytes += bytes;
        Some(leaves)
    }
}

/// How long so many bytes take.
fn time_on_link(bytes: u64, bits_per_second: u64) -> Duration {
    const SECOND_NS: u128 = 1_000_000_000;
    let ns = u128::from(bytes) * 8 * SECOND_NS / u128::from(bits_per_second.max(1));
    Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn packets_leave_one_after_the_other_at_the_rate() {
        // 1,000 bytes are 8,000 bits: 8 ms at 1 Mbit/s.
        let rate = LinkRate {
            bits_per_second: 1_000_000,
            queue_bytes: 10_000,
            queue_datagrams: 10,
        };
        let mut link = Link::default();
        for (now, bytes, leaves) in [
            (0, 1000, 8),
            (0, 1000, 16),
            (4, 500, 20),
            // The link rested from 20 to 100.
            (100, 1000, 108),
            (107, 1000, 116),
        ] {
            assert_eq!(link.offer(&rate, bytes, ms(now)), Some(ms(leaves)));
        }
    }

    #[test]
    fn what_the_queue_has_no_room_for_is_dropped() {
        let cases = [
            // By bytes: two of 1,000 and 400 fit 2,500; 101 more do not, 100 do.
            (
                2_500,
                10,
                [1000, 1000, 400, 101, 100],
                [true, true, true, false, true],
            ),
            // By datagrams, whatever their size.
            (10_000, 3, [1, 1, 1, 1, 1], [true, true, true, false, false]),
        ];
        for (queue_bytes, queue_datagrams, offered, taken) in cases {
            let rate = LinkRate {
                bits_per_second: 1_000_000,
                queue_bytes,
                queue_datagrams,
            };
            let mut link = Link::default();
            let found = offered.map(|bytes| link.offer(&rate, bytes, ms(0)).is_some());
            assert_eq!(found, taken);
            // A second later everything has left.
            assert!(link.offer(&rate, 1000, ms(1000)).is_some());
        }
    }

    #[test]
    fn a_slow_link_does_not_overflow() {
        let rate = LinkRate {
            bits_per_second: 1,
            queue_bytes: u64::MAX,
            queue_datagrams: u32::MAX,
        };
        let mut link = Link::default();
        // 65,507 bytes are 524,056 bits.
        for number in 1..100 {
            let leaves = link.offer(&rate, 65_507, Duration::ZERO);
            assert_eq!(leaves, Some(Duration::from_secs(524_056 * number)));
        }
    }
}
