//! The files that one worker remembers. An entry is looked at again on disk when it is a moment
//! old, so an edited file is never served stale for longer.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use quick_cache::Weighter;
use quick_cache::unsync::Cache;

use crate::files::Identity;
use crate::stored::{Sidecars, Stored};

/// How old an entry may be. With the worker's clock, which lags by up to
/// [`netio::watch::TICK`], it stays below a second.
const TRUSTED: Duration = Duration::from_millis(750);
/// What one worker holds, in bytes.
pub(crate) const CAPACITY: u64 = 32 * 1024 * 1024;
/// What an entry weighs at least; it decides for how many the tables are made.
const LIGHTEST: u64 = 2 * 1024;

/// Now, by the worker's clocks.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// For what is fresh.
    pub monotonic: Instant,
    /// For what is written: seconds since 1970.
    pub unix_seconds: u64,
}

/// The files that one worker remembers, by their decoded path.
#[derive(Debug)]
pub struct Memory(RefCell<Cache<Box<str>, Rc<Stored>, Weight>>);

#[derive(Clone, Copy, Debug)]
struct Weight;

impl Weighter<Box<str>, Rc<Stored>> for Weight {
    fn weight(&self, path: &Box<str>, stored: &Rc<Stored>) -> u64 {
        stored.weight() + path.len() as u64
    }
}

impl Default for Memory {
    fn default() -> Memory {
        let entries = (CAPACITY / LIGHTEST) as usize;
        Memory(RefCell::new(Cache::with_weighter(
            entries, CAPACITY, Weight,
        )))
    }
}

impl Memory {
    /// The file at `path`, if it was looked at a moment ago.
    pub fn fresh(&self, path: &str, now: Instant) -> Option<Rc<Stored>> {
        let memory = self.0.borrow();
        let stored = memory.get(path)?;
        let is_fresh = now.saturating_duration_since(stored.checked.get()) < TRUSTED;
        is_fresh.then(|| Rc::clone(stored))
    }

    /// The file at `path`, now that it was looked at and found to be `identity` with these beside
    /// it; `None` if what is remembered is another state of it.
    pub fn confirm(
        &self,
        path: &str,
        identity: &Identity,
        sidecars: &Sidecars,
        now: Instant,
    ) -> Option<Rc<Stored>> {
        let memory = self.0.borrow();
        let stored = memory.get(path)?;
        if !stored.is(identity, sidecars) {
            return None;
        }
        stored.checked.set(now);
        Some(Rc::clone(stored))
    }

    /// Remembers a file.
    pub fn remember(&self, path: &str, stored: Rc<Stored>) {
        self.0.borrow_mut().insert(path.into(), stored);
    }

    /// Lets `grow` make a file heavier. It is taken out meanwhile: what is inside must not change
    /// its weight. If another state of it has taken its place, that stays.
    ///
    /// # Errors
    /// What `grow` says.
    pub fn grow<E>(
        &self,
        path: &str,
        stored: &Rc<Stored>,
        grow: impl FnOnce(&Stored) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut memory = self.0.borrow_mut();
        let is_another = |known: &Rc<Stored>| !Rc::ptr_eq(known, stored);
        if memory.peek(path).is_some_and(is_another) {
            return grow(stored);
        }
        memory.remove(path);
        let grown = grow(stored);
        memory.insert(path.into(), Rc::clone(stored));
        grown
    }

    /// Forgets the file at `path`: it is there no more.
    pub fn forget(&self, path: &str) {
        self.0.borrow_mut().remove(path);
    }

    /// Forgets everything, and with it closes every file that nobody is being sent.
    pub fn clear(&self) {
        self.0.borrow_mut().clear();
    }
}
