//! Who asks for what, so that nobody asks for the same beside him: one leads, the others wait for
//! what he hears, on whatever worker.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use quick_cache::sync::Cache;
use tokio::sync::watch;

/// For how long those who ask for what cannot be shared do not wait for each other.
pub const ALONE_FOR: Duration = Duration::from_mins(1);
/// For how many keys that is remembered.
const ALONE: usize = 16 * 1024;

/// The flights under way, by key; under one key those of several sorts. `N` is the news that a
/// leader has for his followers.
pub struct Flights<N> {
    table: Mutex<Table<N>>,
    /// By the hash of a key: until when.
    alone: Cache<u64, Instant>,
    hasher: RandomState,
}

type Table<N> = HashMap<Box<[u8]>, Vec<Flight<N>>>;

struct Flight<N> {
    sort: Box<[u8]>,
    news: watch::Receiver<Option<N>>,
}

/// How one who asks goes on.
#[derive(Debug)]
pub enum Boarding<N> {
    /// He is the first, and tells the others.
    Lead(Lead<N>),
    /// Another has asked before.
    Follow(Follow<N>),
    /// What he asks for is not shared.
    Alone,
}

impl<N: Clone> Flights<N> {
    /// None under way.
    pub fn new() -> Flights<N> {
        Flights {
            table: Mutex::default(),
            alone: Cache::new(ALONE),
            hasher: RandomState::new(),
        }
    }

    /// Asks for a sort of a key.
    pub fn board(self: &Arc<Self>, key: &[u8], sort: &[u8], now: Instant) -> Boarding<N> {
        if self.is_alone(key, now) {
            return Boarding::Alone;
        }
        let mut table = self.lock();
        let flights = table.entry(key.into()).or_default();
        if let Some(flight) = flights.iter().find(|flight| *flight.sort == *sort) {
            return Boarding::Follow(Follow(flight.news.clone()));
        }
        let (teller, news) = watch::channel(None);
        flights.push(Flight {
            sort: sort.into(),
            news,
        });
        drop(table);
        Boarding::Lead(Lead {
            flights: Arc::clone(self),
            key: key.into(),
            news: teller,
        })
    }

    /// Leaves the flights of a key to those who are aboard: who asks from now on gets what is asked
    /// for from now on.
    pub fn forget(&self, key: &[u8]) {
        self.lock().remove(key);
    }

    /// The same for every key that begins with `prefix`.
    pub fn forget_below(&self, prefix: &[u8]) {
        self.lock().retain(|key, _| !key.starts_with(prefix));
    }

    /// How many are under way.
    pub fn len(&self) -> usize {
        self.lock().values().map(Vec::len).sum()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Who asks for the key goes alone, for [`ALONE_FOR`].
    pub fn go_alone(&self, key: &[u8], now: Instant) {
        self.alone.insert(self.hash(key), now + ALONE_FOR);
    }

    /// Who asks for the key waits for others again.
    pub fn go_together(&self, key: &[u8]) {
        if !self.alone.is_empty() {
            self.alone.remove(&self.hash(key));
        }
    }

    fn is_alone(&self, key: &[u8], now: Instant) -> bool {
        !self.alone.is_empty()
            && self
                .alone
                .get(&self.hash(key))
                .is_some_and(|until| now < until)
    }

    fn hash(&self, key: &[u8]) -> u64 {
        self.hasher.hash_one(key)
    }

    fn lock(&self) -> MutexGuard<'_, Table<N>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<N: Clone> Default for Flights<N> {
    fn default() -> Flights<N> {
        Flights::new()
    }
}

impl<N> fmt::Debug for Flights<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights").finish_non_exhaustive()
    }
}

/// The first who asked. As long as he holds it, others follow him; when he drops it without a word,
/// they are told so.
#[derive(Debug)]
pub struct Lead<N> {
    flights: Arc<Flights<N>>,
    key: Box<[u8]>,
    news: watch::Sender<Option<N>>,
}

impl<N> Lead<N> {
    /// Tells all who follow, and who will.
    pub fn tell(&self, news: N) {
        self.news.send_replace(Some(news));
    }
}

impl<N> Drop for Lead<N> {
    fn drop(&mut self) {
        let mut table = self
            .flights
            .table
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Another may have taken the place, if this one was forgotten.
        if let Some(flights) = table.get_mut(&self.key) {
            flights.retain(|flight| !self.is(flight));
            if flights.is_empty() {
                table.remove(&self.key);
            }
        }
    }
}

impl<N> Lead<N> {
    fn is(&self, flight: &Flight<N>) -> bool {
        flight.news.same_channel(&self.news.subscribe())
    }
}

/// One who follows.
#[derive(Debug)]
pub struct Follow<N>(watch::Receiver<Option<N>>);

impl<N: Clone> Follow<N> {
    /// What the leader hears; `None` if he is gone without a word.
    pub async fn news(mut self) -> Option<N> {
        let told = self.0.wait_for(Option::is_some).await;
        told.ok().and_then(|news| news.clone())
    }
}
