//! How often may a source ask? A bucket for each, in a table whose size no crowd of sources changes.
//!
//! A bucket is one number, the time at which it will be full again (the generic cell rate
//! algorithm), so the table is small and needs no timer.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many sources are remembered, in sets of [`WAYS`]. A source that finds its set full takes the
/// place of the one whose bucket is fullest, which loses the least.
const SETS: usize = 1024;
const WAYS: usize = 4;
/// How many tables, each with a lock of its own, what is shared by all workers is spread over.
const SHARDS: usize = 16;

const SECOND_NS: u64 = 1_000_000_000;

/// A bound: `burst` at once, `per_second` in the long run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many a second in the long run, 1 to 1,000,000,000.
    pub per_second: u32,
    /// How many at once after a rest.
    pub burst: u32,
}

/// The buckets of many sources, for one thread: 64 KiB, whatever the number of sources.
#[derive(Debug)]
pub struct Buckets {
    origin: Instant,
    sources: Box<[[Source; WAYS]]>,
    seed: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Source {
    key: u64,
    bucket: Bucket,
}

/// When the bucket will be full again, in nanoseconds since the beginning.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bucket {
    full_at: u64,
}

impl Buckets {
    /// All full. `now` is the beginning of their time.
    pub fn new(now: Instant) -> Buckets {
        Buckets {
            origin: now,
            sources: vec![[Source::default(); WAYS]; SETS].into_boxed_slice(),
            // Unknown to the sender, so that nobody can choose addresses that share a set.
            seed: RandomState::new().hash_one(0_u8),
        }
    }

    /// The time since the beginning, as buckets count it.
    pub(crate) fn nanoseconds(&self, now: Instant) -> u64 {
        let now = now.saturating_duration_since(self.origin);
        now.min(Duration::from_secs(u64::from(u32::MAX))).as_nanos() as u64
    }

    /// The bucket of `source`.
    pub(crate) fn of(&mut self, source: IpAddr) -> &mut Bucket {
        let key = client_key(source);
        let hash = (key ^ self.seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let set = &mut self.sources[(hash >> 32) as usize % SETS];
        let known = set.iter().position(|entry| entry.key == key);
        let way = known.unwrap_or_else(|| {
            let (way, fullest) = set
                .iter_mut()
                .enumerate()
                .min_by_key(|(_, entry)| entry.bucket.full_at)
                .map_or((0, None), |(way, entry)| (way, Some(entry)));
            if let Some(entry) = fullest {
                *entry = Source {
                    key,
                    bucket: Bucket::default(),
                };
            }
            way
        });
        &mut set[way].bucket
    }
}

impl Bucket {
    /// Takes up to `wanted` out of the bucket, and returns how many there were.
    pub(crate) fn take(&mut self, rate: Rate, wanted: u32, now: u64) -> u32 {
        let interval = interval(rate);
        let full_at = self.full_at.max(now);
        let latest = now + interval * u64::from(rate.burst);
        let available = latest.saturating_sub(full_at) / interval;
        let taken = available.min(u64::from(wanted));
        self.full_at = full_at + taken * interval;
        taken as u32
    }

    /// How long until one can be taken.
    fn wait(self, rate: Rate, now: u64) -> Duration {
        let interval = interval(rate);
        let room_at = (self.full_at + interval).saturating_sub(interval * u64::from(rate.burst));
        Duration::from_nanos(room_at.saturating_sub(now))
    }
}

fn interval(rate: Rate) -> u64 {
    (SECOND_NS / u64::from(rate.per_second.max(1))).max(1)
}

/// What tells sources apart: an IPv4 address, or the upper half of an IPv6 address, which one host
/// can have whole. Never 0, which marks a free place: an IPv4 key has a bit above its 32, and
/// `::/64` gets one of its own. An IPv4 address that is written as one of IPv6 is that address.
pub fn client_key(source: IpAddr) -> u64 {
    match source.to_canonical() {
        IpAddr::V4(ip) => 1 << 32 | u64::from(ip.to_bits()),
        IpAddr::V6(ip) => ((ip.to_bits() >> 64) as u64).max(1),
    }
}

/// One bound on each source, for all threads: 1 MiB, whatever the number of sources.
#[derive(Debug)]
pub struct SharedRate {
    rate: Rate,
    shards: [Mutex<Buckets>; SHARDS],
}

impl SharedRate {
    /// With all buckets full. `now` is the beginning of its time.
    pub fn new(rate: Rate, now: Instant) -> SharedRate {
        SharedRate {
            rate,
            shards: std::array::from_fn(|_| Mutex::new(Buckets::new(now))),
        }
    }

    /// Takes one out of the bucket of `source`.
    ///
    /// # Errors
    /// It is empty for so long.
    pub fn take(&self, source: IpAddr, now: Instant) -> Result<(), Duration> {
        // The upper bits of a product depend on all bits of the key; the table takes others.
        let spread = client_key(source).wrapping_mul(0xd6e8_feb8_6659_fd93) >> 60;
        let shard = &self.shards[spread as usize % SHARDS];
        // What a thread that panicked left is a table of numbers, each of them good.
        let mut buckets = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let now = buckets.nanoseconds(now);
        let bucket = buckets.of(source);
        match bucket.take(self.rate, 1, now) {
            0 => Err(bucket.wait(self.rate, now)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_finds_its_bucket_empty_is_told_how_long() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        // 4 a second are one in 250 ms.
        let rate = Rate {
            per_second: 4,
            burst: 2,
        };
        let shared = SharedRate::new(rate, start);
        let source = "2001:db8::7".parse().unwrap();
        let neighbour = "2001:db8::8".parse().unwrap();
        for (ms, who, taken) in [
            (0, source, Ok(())),
            (0, neighbour, Ok(())),
            (0, source, Err(250)),
            (100, source, Err(150)),
            (250, source, Ok(())),
            (250, neighbour, Err(250)),
            (250, "192.0.2.1".parse().unwrap(), Ok(())),
            (250, "::ffff:192.0.2.1".parse().unwrap(), Ok(())),
            (250, "192.0.2.1".parse().unwrap(), Err(250)),
        ] {
            let expected = taken.map_err(Duration::from_millis);
            assert_eq!(shared.take(who, at(ms)), expected, "{who} at {ms} ms");
        }
    }

    #[test]
    fn a_crowd_of_sources_takes_no_room_and_frees_nobody_that_is_empty() {
        let start = Instant::now();
        let rate = Rate {
            per_second: 1,
            burst: 10,
        };
        let shared = SharedRate::new(rate, start);
        let attacker = "192.0.2.1".parse().unwrap();
        for _ in 0..10 {
            assert_eq!(shared.take(attacker, start), Ok(()));
        }
        for crowd in 0..200_000_u128 {
            let prefix = 0x2001_0db8_u128 << 96 | crowd << 64;
            let other = IpAddr::V6(std::net::Ipv6Addr::from_bits(prefix));
            assert_eq!(shared.take(other, start), Ok(()));
        }
        assert!(shared.take(attacker, start).is_err());
    }
}
