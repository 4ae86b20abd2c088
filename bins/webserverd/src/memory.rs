//! Files that were served lately, with everything about their answers that does not depend on the
//! request. An entry is looked at again on disk when it is a moment old, so an edited file is
//! never served stale for longer.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use netio::http::response::{FilePart, OpenFile, Piece};
use quick_cache::Weighter;
use quick_cache::unsync::Cache;
use rustix::io::Errno;

use crate::answer::Document;
use crate::files::Identity;

/// How old an entry may be. With the worker's clock, which lags by up to
/// [`netio::watch::TICK`], it stays below a second.
const TRUSTED: Duration = Duration::from_millis(750);
/// A longer file is not held in memory but sent by the kernel from its own cache.
const HELD_BYTES: u64 = 64 * 1024;
/// What one worker holds, in bytes.
const CAPACITY: u64 = 32 * 1024 * 1024;
/// What an entry costs beside its content: its heads, its key and its places in the tables.
const OVERHEAD: u64 = 2 * 1024;
/// What an open file costs: a descriptor is scarcer than memory, and a worker keeps at most 128.
const OPEN_FILE: u64 = CAPACITY / 128;

/// Now, by the worker's clocks.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// For what is fresh.
    pub monotonic: Instant,
    /// For what is written: seconds since 1970.
    pub unix_seconds: u64,
}

/// A file that can be answered with.
#[derive(Debug)]
pub struct Stored {
    /// What is said of it.
    pub document: Document,
    identity: Identity,
    content: Content,
    checked: Cell<Instant>,
}

#[derive(Debug)]
enum Content {
    Held(Bytes),
    OnDisk(Arc<OpenFile>),
}

impl Stored {
    /// Reads `file`, which is called `name`, or keeps it open if it is long. `None` if it was being
    /// changed: no half of one state is ever joined to a half of another.
    ///
    /// # Errors
    /// The system's own.
    pub fn read(
        file: OwnedFd,
        identity: Identity,
        name: &str,
        now: Clock,
    ) -> io::Result<Option<Stored>> {
        let content = if identity.length <= HELD_BYTES {
            // One byte more than there should be, to see a file that grows.
            let mut bytes = vec![0; identity.length as usize + 1];
            let mut filled = 0;
            loop {
                match rustix::io::pread(&file, &mut bytes[filled..], filled as u64) {
                    Ok(0) => break,
                    Ok(count) => filled += count,
                    Err(Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            bytes.truncate(filled);
            if filled as u64 != identity.length || Identity::now(&file)? != identity {
                return Ok(None);
            }
            Content::Held(bytes.into())
        } else {
            Content::OnDisk(Arc::new(OpenFile::new(file)?))
        };
        let document = Document::of(name, &identity, now.unix_seconds).map_err(io::Error::other)?;
        let checked = Cell::new(now.monotonic);
        Ok(Some(Stored {
            document,
            identity,
            content,
            checked,
        }))
    }

    /// The bytes `start..end` of it.
    pub fn piece(&self, start: u64, end: u64) -> Piece {
        match &self.content {
            Content::Held(bytes) => Piece::Bytes(bytes.slice(start as usize..end as usize)),
            Content::OnDisk(file) => Piece::File(FilePart {
                file: Arc::clone(file),
                range: start..end,
            }),
        }
    }

    /// Whether a long file is, this very moment, what is said of it: it would be sent from the
    /// disk, and not from what was read with its validators.
    fn stands(&self) -> bool {
        match &self.content {
            Content::Held(_) => true,
            Content::OnDisk(file) => {
                Identity::now(file).is_ok_and(|identity| identity == self.identity)
            }
        }
    }

    fn weight(&self) -> u64 {
        OVERHEAD
            + match &self.content {
                Content::Held(bytes) => bytes.len() as u64,
                Content::OnDisk(_) => OPEN_FILE,
            }
    }
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
        let entries = (CAPACITY / OVERHEAD) as usize;
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
        (is_fresh && stored.stands()).then(|| Rc::clone(stored))
    }

    /// The file at `path`, now that it was looked at and found to be `identity`; `None` if what is
    /// remembered is another state of it.
    pub fn confirm(&self, path: &str, identity: &Identity, now: Instant) -> Option<Rc<Stored>> {
        let memory = self.0.borrow();
        let stored = memory.get(path)?;
        if stored.identity != *identity {
            return None;
        }
        stored.checked.set(now);
        Some(Rc::clone(stored))
    }

    /// Remembers a file.
    pub fn remember(&self, path: &str, stored: Stored) -> Rc<Stored> {
        let stored = Rc::new(stored);
        self.0.borrow_mut().insert(path.into(), Rc::clone(&stored));
        stored
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
