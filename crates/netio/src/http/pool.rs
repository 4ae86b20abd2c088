//! Idle connections to origins, kept by one worker for its next requests.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::client::Connection;

/// How many idle connections a worker keeps, to all origins together.
const KEPT: usize = 256;
/// How long one is kept: less than most origins wait (nginx 75 s, this server 60 s).
const KEPT_FOR: Duration = Duration::from_secs(30);

/// The idle connections of one worker.
#[derive(Default)]
pub struct Pool(RefCell<Idle>);

#[derive(Default)]
struct Idle {
    /// The one that was used last stands last.
    kept: VecDeque<Kept>,
    is_closed: bool,
}

struct Kept {
    origin: Arc<str>,
    since: Instant,
    connection: Connection,
}

impl Pool {
    /// The connection to `origin` that was used last, if it is still good.
    pub fn take(&self, origin: &str, now: Instant) -> Option<Connection> {
        let mut idle = self.0.borrow_mut();
        loop {
            let place = idle.kept.iter().rposition(|kept| *kept.origin == *origin)?;
            let mut kept = idle.kept.remove(place)?;
            if kept.is_young(now) && kept.connection.is_quiet() {
                return Some(kept.connection);
            }
        }
    }

    /// Keeps a connection whose last answer has come whole; the oldest gives way when there are too
    /// many.
    pub fn keep(&self, origin: Arc<str>, connection: Connection, now: Instant) {
        let mut idle = self.0.borrow_mut();
        if idle.is_closed {
            return;
        }
        while idle.kept.len() >= KEPT || idle.kept.front().is_some_and(|kept| !kept.is_young(now)) {
            idle.kept.pop_front();
        }
        idle.kept.push_back(Kept {
            origin,
            since: now,
            connection,
        });
    }

    /// Closes all, and keeps none from now on.
    pub fn close(&self) {
        let mut idle = self.0.borrow_mut();
        idle.is_closed = true;
        idle.kept.clear();
    }
}

impl Kept {
    fn is_young(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) < KEPT_FOR
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("idle", &self.0.borrow().kept.len())
            .finish()
    }
}
