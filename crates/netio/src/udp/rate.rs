//! How often may a source be answered? Two bounds, one on each source and one on all together, so
//! that forged datagrams cannot turn an answering service into a stream at somebody else.

use std::net::IpAddr;
use std::time::Instant;

pub use crate::rate::Rate;
use crate::rate::{Bucket, Buckets};

/// The bounds of one socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimits {
    /// On each source: one IPv4 address, or one /64 of IPv6, which one host can have whole.
    pub per_source: Rate,
    /// On all sources together.
    pub overall: Rate,
    /// Whether the bounds hold for loopback addresses too. No network can forge those: the kernel
    /// lets them in from nowhere but the machine itself, whose programs need no reflector.
    pub bound_loopback: bool,
}

impl Default for RateLimits {
    /// 50,000 datagrams a second of one source and 500,000 of all: several times what a lab's tests
    /// send. Loopback is not bounded.
    fn default() -> RateLimits {
        let rate = |per_second| Rate {
            per_second,
            burst: per_second,
        };
        RateLimits {
            per_source: rate(50_000),
            overall: rate(500_000),
            bound_loopback: false,
        }
    }
}

/// What a limiter makes of some datagrams of one source. The three add up to what was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Granted {
    /// May be answered.
    pub granted: u32,
    /// Refused by the bound on the source.
    pub over_source: u32,
    /// Refused by the bound on all sources.
    pub over_overall: u32,
}

/// The state behind [`RateLimits`]: 64 KiB, whatever the number of sources.
#[derive(Debug)]
pub struct RateLimiter {
    limits: RateLimits,
    overall: Bucket,
    sources: Buckets,
}

impl RateLimiter {
    /// A limiter with all buckets full. `now` is the beginning of its time.
    pub fn new(limits: RateLimits, now: Instant) -> RateLimiter {
        RateLimiter {
            limits,
            overall: Bucket::default(),
            sources: Buckets::new(now),
        }
    }

    /// Takes up to `wanted` datagrams of `source` out of its bucket and out of that of all.
    pub fn take(&mut self, source: IpAddr, wanted: u32, now: Instant) -> Granted {
        if !self.limits.bound_loopback && source.is_loopback() {
            return Granted {
                granted: wanted,
                ..Granted::default()
            };
        }
        let now = self.sources.nanoseconds(now);
        let rate = self.limits.per_source;
        let by_source = self.sources.of(source).take(rate, wanted, now);
        let granted = self.overall.take(self.limits.overall, by_source, now);
        Granted {
            granted,
            over_source: wanted - by_source,
            over_overall: by_source - granted,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn limits(per_source: u32, overall: u32) -> RateLimits {
        let rate = |per_second| Rate {
            per_second,
            burst: 10,
        };
        RateLimits {
            per_source: rate(per_source),
            overall: Rate {
                burst: 25,
                ..rate(overall)
            },
            bound_loopback: false,
        }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_source_gets_its_burst_and_then_its_rate() {
        let start = Instant::now();
        let mut limiter = RateLimiter::new(limits(100, 1_000_000), start);
        let source = ip("192.0.2.1");
        let at = |ms| start + Duration::from_millis(ms);
        for (ms, wanted, granted) in [
            (0, 8, 8),
            (0, 8, 2),
            (0, 1, 0),
            // 100 a second are one in 10 ms.
            (9, 1, 0),
            (10, 2, 1),
            (45, 9, 3),
            // A long rest fills the bucket to its burst, not further.
            (10_000, 99, 10),
        ] {
            let taken = limiter.take(source, wanted, at(ms));
            assert_eq!(taken.granted, granted, "at {ms} ms");
            assert_eq!(taken.over_source, wanted - granted, "at {ms} ms");
        }
    }

    #[test]
    fn all_sources_together_are_bounded_too() {
        let start = Instant::now();
        let mut limiter = RateLimiter::new(limits(100, 100), start);
        let taken: Vec<_> = (1..=3)
            .map(|host| limiter.take(ip(&format!("192.0.2.{host}")), 10, start))
            .collect();
        assert_eq!(taken[0].granted + taken[1].granted, 20);
        assert_eq!(taken[2].granted, 5);
        assert_eq!(taken[2].over_overall, 5);
    }

    #[test]
    fn hosts_of_one_ipv6_prefix_share_a_bucket() {
        let start = Instant::now();
        let mut limiter = RateLimiter::new(limits(100, 1_000), start);
        assert_eq!(limiter.take(ip("2001:db8::1"), 10, start).granted, 10);
        assert_eq!(limiter.take(ip("2001:db8::2"), 10, start).granted, 0);
        assert_eq!(limiter.take(ip("2001:db8:0:1::2"), 10, start).granted, 10);
    }

    #[test]
    fn loopback_is_bounded_only_when_asked_for() {
        let start = Instant::now();
        for (bound_loopback, granted) in [(false, 1_000), (true, 10)] {
            let mut limiter = RateLimiter::new(
                RateLimits {
                    bound_loopback,
                    ..limits(100, 100)
                },
                start,
            );
            for source in ["127.0.0.1", "::1"] {
                assert_eq!(limiter.take(ip(source), 1_000, start).granted, granted);
            }
        }
    }

    #[test]
    fn a_crowd_of_sources_takes_no_room_and_frees_nobody_that_is_empty() {
        let start = Instant::now();
        let mut limiter = RateLimiter::new(limits(1, u32::MAX), start);
        // Emptied to the last, this source is the last that a newcomer may replace.
        let source = ip("192.0.2.1");
        assert_eq!(limiter.take(source, 10, start).granted, 10);
        for crowd in 0..10_000_u32 {
            let other = IpAddr::V4(std::net::Ipv4Addr::from_bits(0x0a00_0000 + crowd));
            limiter.take(other, 1, start);
        }
        assert_eq!(limiter.take(source, 1, start).granted, 0);
    }
}
