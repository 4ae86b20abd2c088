//! Work that takes long, on threads beside the workers: no request waits for another's.

use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

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
