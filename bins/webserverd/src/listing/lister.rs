//! Makes listings on threads beside the workers: a large folder takes a while. Who asks for one that
//! is being made waits for it, and who asks a moment later gets the same bytes.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use netio::telemetry::Counter;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};
use thiserror::Error;

use super::Form;
use super::read::Folder;
use crate::files::{Identity, Visibility};
use crate::slow_work::SlowWork;

/// How old a listing may be that is answered with. A file in the folder may have changed since,
/// which the folder itself does not show.
const TRUSTED: Duration = Duration::from_millis(750);
/// What is kept for all workers, in bytes.
const CAPACITY: usize = 16 * 1024 * 1024;
/// What keeping one costs beside its bytes.
const OVERHEAD: usize = 256;
/// What an average listing measures; it decides for how many the tables are made.
const USUAL: usize = 8 * 1024;
/// What all listings together may measure that are kept or not yet taken by their clients. One that
/// is being made when this is reached is still finished.
const HELD: usize = 64 * 1024 * 1024;
/// How many requests wait for a thread to make one; more are told to come back.
const WAITING: usize = 64;

/// Makes listings for all workers.
#[derive(Debug)]
pub struct Lister {
    kept: Cache<Key, Listing, Weight>,
    held: Arc<AtomicUsize>,
    threads: SlowWork,
    /// What it counts.
    pub counters: ListCounters,
}

/// What listings are counted by.
#[derive(Debug, Default)]
pub struct ListCounters {
    /// Listings made.
    pub made: Counter,
    /// Requests that were told to come back.
    pub busy: Counter,
}

/// Why there is no listing now.
#[derive(Debug, Error)]
pub enum ListError {
    /// Too many requests wait for one, or too much is yet to be taken by clients.
    #[error("too many listings are under way")]
    Busy,
    /// The folder cannot be read.
    #[error("cannot list a folder: {0}")]
    Io(#[from] io::Error),
}

/// The folder, under one of the paths that lead to it (it is shown), in one form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    folder: Identity,
    path: Box<str>,
    form: Form,
}

#[derive(Clone, Debug)]
struct Listing {
    text: Bytes,
    made: Instant,
}

/// A text that is counted as long as anybody has it.
struct Held {
    text: String,
    all: Arc<AtomicUsize>,
}

#[derive(Clone, Copy, Debug)]
struct Weight;

impl Weighter<Key, Listing> for Weight {
    fn weight(&self, key: &Key, listing: &Listing) -> u64 {
        (OVERHEAD + key.path.len() + listing.text.len()) as u64
    }
}

impl Default for Lister {
    fn default() -> Lister {
        // One shard: a share of the capacity could not hold one long listing.
        let options = OptionsBuilder::new()
            .shards(1)
            .estimated_items_capacity(CAPACITY / USUAL)
            .weight_capacity(CAPACITY as u64)
            .build();
        Lister {
            kept: Cache::with_options(
                options.unwrap_or_else(|_| unreachable!("every option is given")),
                Weight,
                DefaultHashBuilder::default(),
                DefaultLifecycle::default(),
            ),
            held: Arc::default(),
            threads: SlowWork::new(WAITING),
            counters: ListCounters::default(),
        }
    }
}

impl Lister {
    /// What is in `folder`, which is at `path` below `root`, written down in `form`.
    ///
    /// # Errors
    /// There is too much to do, or the system's own.
    pub async fn list(
        &self,
        root: Arc<OwnedFd>,
        folder: OwnedFd,
        path: &str,
        visible: Visibility,
        form: Form,
    ) -> Result<Bytes, ListError> {
        let key = Key {
            folder: Identity::now(&folder)?,
            path: path.into(),
            form,
        };
        self.kept
            .remove_if(&key, |listing| listing.made.elapsed() >= TRUSTED);
        let path = path.to_owned();
        let make = self.make(form, move || Folder::read(&root, &folder, path, visible));
        let listing = self.kept.get_or_insert_async(&key, make).await;
        if matches!(listing, Err(ListError::Busy)) {
            self.counters.busy.add(1);
        }
        Ok(listing?.text)
    }

    async fn make(
        &self,
        form: Form,
        read: impl FnOnce() -> io::Result<Folder> + Send + 'static,
    ) -> Result<Listing, ListError> {
        if self.held.load(Ordering::Relaxed) >= HELD {
            return Err(ListError::Busy);
        }
        let all = Arc::clone(&self.held);
        let work = move || {
            // What changes from here on may not be in it.
            let made = Instant::now();
            let text = form.write(&read()?);
            let text = Bytes::from_owner(Held::new(text, all));
            Ok::<_, io::Error>(Listing { text, made })
        };
        let listing = self.threads.run(work).await.ok_or(ListError::Busy)??;
        self.counters.made.add(1);
        Ok(listing)
    }
}

impl Held {
    fn new(text: String, all: Arc<AtomicUsize>) -> Held {
        all.fetch_add(text.capacity(), Ordering::Relaxed);
        Held { text, all }
    }
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.all.fetch_sub(self.text.capacity(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> Folder {
        Folder {
            path: "/".to_owned(),
            entries: Vec::new(),
            is_cut: false,
        }
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime
            .max_blocking_threads(1)
            .build()
            .unwrap()
            .block_on(future)
    }

    #[test]
    fn no_listing_is_made_while_clients_have_too_much_to_take() {
        let lister = Lister::default();
        let large = Bytes::from_owner(Held::new("x".repeat(HELD), Arc::clone(&lister.held)));
        let shared = large.slice(1..2);
        drop(large);
        let refused = run(lister.make(Form::Html, || Ok(folder())));
        assert!(matches!(refused, Err(ListError::Busy)), "{refused:?}");
        drop(shared);
        let listing = run(lister.make(Form::Html, || Ok(folder()))).unwrap();
        let held = lister.held.load(Ordering::Relaxed);
        assert!(held >= listing.text.len() && held < 10_000, "{held}");
        drop(listing);
        assert_eq!(lister.held.load(Ordering::Relaxed), 0);
    }
}
