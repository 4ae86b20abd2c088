//! Idle connections to origins, kept by one worker for its next requests.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use super::client::Connection;

/// How many idle connections a worker keeps, to all origins together.
const KEPT: usize = 256;
/// How long one is kept: less than most origins wait (nginx 75 s, this server 60 s).
const KEPT_FOR: Duration = Duration::from_secs(30);
/// For how long no origin is thought to be closing it: less than any waits by default (Node.js and
/// Apache httpd 5 s).
const SAFE_FOR: Duration = Duration::from_secs(2);

/// The idle connections of one worker, each kept for the `S` (a server, and why it may be asked)
/// that it was made for.
pub struct Pool<S>(RefCell<Idle<S>>);

struct Idle<S> {
    /// The one that was used last stands last.
    kept: VecDeque<Kept<S>>,
    is_closed: bool,
}

struct Kept<S> {
    server: S,
    since: Instant,
    connection: Connection,
}

impl<S> Default for Pool<S> {
    fn default() -> Pool<S> {
        Pool(RefCell::new(Idle {
            kept: VecDeque::new(),
            is_closed: false,
        }))
    }
}

impl<S: PartialEq> Pool<S> {
    /// The connection to `server` that was used last, if it is still good. For a request that cannot
    /// be sent twice, only if that was a moment ago: an origin that has waited long may be closing it.
    pub fn take(&self, server: &S, now: Instant, can_be_sent_twice: bool) -> Option<Connection> {
        let longest = if can_be_sent_twice {
            KEPT_FOR
        } else {
            SAFE_FOR
        };
        let mut idle = self.0.borrow_mut();
        loop {
            let is_good = |kept: &Kept<S>| kept.server == *server && kept.is_younger(longest, now);
            let place = idle.kept.iter().rposition(is_good)?;
            let mut kept = idle.kept.remove(place)?;
            if kept.connection.is_quiet() {
                return Some(kept.connection);
            }
        }
    }

    /// Keeps a connection whose last answer has come whole; the oldest gives way when there are too
    /// many.
    pub fn keep(&self, server: S, connection: Connection, now: Instant) {
        let mut idle = self.0.borrow_mut();
        if idle.is_closed {
            return;
        }
        let is_old = |kept: &Kept<S>| !kept.is_younger(KEPT_FOR, now);
        while idle.kept.len() >= KEPT || idle.kept.front().is_some_and(is_old) {
            idle.kept.pop_front();
        }
        idle.kept.push_back(Kept {
            server,
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

impl<S> Kept<S> {
    fn is_younger(&self, bound: Duration, now: Instant) -> bool {
        now.saturating_duration_since(self.since) < bound
    }
}

impl<S> fmt::Debug for Pool<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("idle", &self.0.borrow().kept.len())
            .finish()
    }
}
