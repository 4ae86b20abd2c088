//! Idle connections to origins, kept by one worker for its next requests.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

use super::client::Connection;

/// How many idle connections are kept for one origin.
const KEPT_PER_ORIGIN: usize = 128;
/// How many idle connections are kept in all.
const KEPT: usize = 1024;
/// How long one is kept: less than most origins wait (nginx 75 s, this server 60 s).
const KEPT_FOR: Duration = Duration::from_secs(30);

/// The idle connections of one worker.
#[derive(Default)]
pub struct Pool(RefCell<Idle>);

#[derive(Default)]
struct Idle {
    /// The newest last.
    by_origin: HashMap<String, Vec<(Instant, Connection)>>,
    count: usize,
    is_closed: bool,
}

impl Pool {
    /// The connection to `origin` that was used last, if it is still good.
    pub fn take(&self, origin: &str, now: Instant) -> Option<Connection> {
        let mut idle = self.0.borrow_mut();
        loop {
            let (since, mut connection) = idle.by_origin.get_mut(origin)?.pop()?;
            idle.count -= 1;
            if now.saturating_duration_since(since) < KEPT_FOR && connection.is_quiet() {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection whose last answer has come whole; the oldest gives way when there are too
    /// many.
    pub fn keep(&self, origin: &str, connection: Connection, now: Instant) {
        let mut idle = self.0.borrow_mut();
        if idle.is_closed || idle.count >= KEPT {
            return;
        }
        let mut dropped = 0;
        if !idle.by_origin.contains_key(origin) {
            idle.by_origin.insert(origin.to_owned(), Vec::new());
        }
        if let Some(kept) = idle.by_origin.get_mut(origin) {
            let before = kept.len();
            if before >= KEPT_PER_ORIGIN {
                kept.remove(0);
            }
            if kept
                .first()
                .is_some_and(|(since, _)| now.saturating_duration_since(*since) >= KEPT_FOR)
            {
                kept.retain(|(since, _)| now.saturating_duration_since(*since) < KEPT_FOR);
            }
            dropped = before - kept.len();
            kept.push((now, connection));
        }
        idle.count = idle.count + 1 - dropped;
    }

    /// Closes all, and keeps none from now on.
    pub fn close(&self) {
        let mut idle = self.0.borrow_mut();
        idle.is_closed = true;
        idle.by_origin.clear();
        idle.count = 0;
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("idle", &self.0.borrow().count)
            .finish()
    }
}
