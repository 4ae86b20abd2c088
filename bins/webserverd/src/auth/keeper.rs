//! Keeps the users as the file has them: it is looked at again when it is a moment old.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use tracing::{info, warn};

use super::htpasswd::Users;
use crate::files::Identity;

/// How long the file is trusted before it is looked at again. With the worker's clock, which lags,
/// it stays below a second.
const TRUSTED: Duration = Duration::from_millis(750);
/// A longer file is refused: some ten thousand users.
const FILE_BYTES: u64 = 1024 * 1024;

#[derive(Debug)]
pub(super) struct Keeper {
    path: PathBuf,
    users: RwLock<Arc<Users>>,
    /// What the users were read of, or what was found and could not be.
    seen: Mutex<Seen>,
    started: Instant,
    /// When the file was last looked at, in milliseconds since `started`.
    looked_ms: AtomicU64,
}

#[derive(Debug)]
struct Seen {
    text: String,
    /// `None` if the file was not there, or may have changed in the moment it was read.
    identity: Option<Identity>,
    is_told: bool,
}

impl Keeper {
    pub(super) fn open(path: PathBuf) -> Result<Keeper, String> {
        let told = |cause: String| format!("{}: {cause}", path.display());
        let (text, identity) = read(&path).map_err(|error| told(error.to_string()))?;
        let users = Users::parse(&text, 0).map_err(told)?;
        Ok(Keeper {
            path,
            users: RwLock::new(Arc::new(users)),
            seen: Mutex::new(Seen {
                text,
                identity,
                is_told: false,
            }),
            started: Instant::now(),
            looked_ms: AtomicU64::new(0),
        })
    }

    /// The users as they were last read.
    pub(super) fn users(&self) -> Arc<Users> {
        Arc::clone(&self.users.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the file was looked at a moment ago.
    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        let looked = Duration::from_millis(self.looked_ms.load(Ordering::Relaxed));
        now.saturating_duration_since(self.started + looked) < TRUSTED
    }

    /// Reads the file again if it is another than a moment ago. One that cannot be read, or is not
    /// well formed, changes nothing: those who may ask still may, and nobody else.
    pub(super) fn look(&self, now: Instant) {
        if self.is_fresh(now) {
            return;
        }
        // One thread looks; the others go on with what is known.
        let Ok(mut seen) = self.seen.try_lock() else {
            return;
        };
        if self.is_fresh(now) {
            return;
        }
        if let Err(cause) = self.reread(&mut seen)
            && !std::mem::replace(&mut seen.is_told, true)
        {
            let path = self.path.display();
            warn!("{path}: {cause}; the users stay as they were");
        }
        let looked = now.saturating_duration_since(self.started).as_millis();
        self.looked_ms.store(looked as u64, Ordering::Relaxed);
    }

    fn reread(&self, seen: &mut Seen) -> Result<(), String> {
        let found = File::open(&self.path).and_then(Identity::now);
        let found = found.map_err(|error| error.to_string())?;
        if seen.identity == Some(found) {
            return Ok(());
        }
        let (text, identity) = read(&self.path).map_err(|error| error.to_string())?;
        seen.identity = identity;
        if text == seen.text {
            return Ok(());
        }
        seen.is_told = false;
        let generation = self.users().generation() + 1;
        seen.text.clone_from(&text);
        let users = Users::parse(&text, generation)?;
        info!("{}: {} users", self.path.display(), users.len());
        *self.users.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(users);
        Ok(())
    }
}

/// The text of the file, and which state of it that is if another would show.
fn read(path: &std::path::Path) -> io::Result<(String, Option<Identity>)> {
    let file = File::open(path)?;
    let identity = Identity::now(&file)?;
    let mut text = String::new();
    file.take(FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES {
        let cause = format!("it is longer than {FILE_BYTES} bytes");
        return Err(io::Error::other(cause));
    }
    let is_settled = identity.is_settled(SystemTime::now());
    Ok((text, is_settled.then_some(identity)))
}
