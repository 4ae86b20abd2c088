//! Work that takes long, on threads beside the workers: no request waits for another's.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use netio::rate::client_key;
use tokio::sync::Semaphore;

/// A few threads, and a few places to wait for them.
#[derive(Debug)]
pub struct SlowWork {
    threads: Arc<Semaphore>,
    waiting: AtomicUsize,
    places: usize,
}

impl SlowWork {
    /// Half of the processors, so that the other half goes on serving, and `places` for requests
    /// that wait or are worked for.
    pub fn new(places: usize) -> SlowWork {
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get) / 2;
        SlowWork {
            threads: Arc::new(Semaphore::new(threads.max(1))),
            waiting: AtomicUsize::new(0),
            places,
        }
    }

    /// What `work` comes to; `None` if every place is taken.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let _place = self.take_place()?;
        let permit = Arc::clone(&self.threads).acquire_owned().await.ok()?;
        // The thread goes on if nobody waits for it any longer, and its permit with it.
        let thread = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        thread.await.ok()
    }

    fn take_place(&self) -> Option<Place<'_>> {
        let one_more = |count| (count < self.places).then_some(count + 1);
        let order = Ordering::Relaxed;
        self.waiting.fetch_update(order, order, one_more).ok()?;
        Some(Place(&self.waiting))
    }
}

/// Left when it is dropped.
struct Place<'w>(&'w AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A few places for each client, so that one cannot take those of all others. A client is an IPv4
/// address or an IPv6 /64.
#[derive(Debug)]
pub struct Shares {
    /// The places taken, by client; nothing stands here for a client without any.
    taken: Mutex<HashMap<u64, usize>>,
    each: usize,
}

/// One of a client's places, left when it is dropped.
#[derive(Debug)]
pub struct Share<'s> {
    shares: &'s Shares,
    client: u64,
}

impl Shares {
    /// `each` places for every client.
    pub fn new(each: usize) -> Shares {
        Shares {
            taken: Mutex::default(),
            each,
        }
    }

    /// A place for `client`; `None` if it has taken all of its own.
    pub fn take(&self, client: IpAddr) -> Option<Share<'_>> {
        let client = client_key(client);
        let mut taken = self.taken();
        let count = taken.entry(client).or_default();
        if *count >= self.each {
            return None;
        }
        *count += 1;
        let shares = self;
        Some(Share { shares, client })
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<u64, usize>> {
        // What a thread that panicked left is a table of counts, none of them half changed.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        let mut taken = self.shares.taken();
        if let Some(count) = taken.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_its_own_places_and_nothing_is_kept_of_one_that_left_them() {
        let shares = Shares::new(2);
        let take = |client: &str| shares.take(client.parse().unwrap());
        let first = take("2001:db8::1").unwrap();
        let second = take("2001:db8::2").unwrap();
        assert!(take("2001:db8::3").is_none(), "of the same /64");
        let next = take("2001:db8:0:1::1").unwrap();
        let other = take("192.0.2.1").unwrap();
        drop(second);
        let third = take("2001:db8::3").unwrap();
        assert_eq!(shares.taken().len(), 3);
        drop((first, third, next, other));
        assert_eq!(shares.taken().len(), 0);
    }
}
