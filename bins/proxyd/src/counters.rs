//! What the proxy counts, a worker for itself.

use std::sync::Arc;

use netio::http::tunnel::TunnelCounters;
use netio::telemetry::Counter;

/// What became of requests, and how the origin did.
#[derive(Debug, Default)]
pub struct ProxyCounters {
    /// Answered from the store.
    pub hits: Counter,
    /// Answered from the store though stale, as the request allowed.
    pub stale: Counter,
    /// Answered from the store after the origin said that it still stands.
    pub revalidated: Counter,
    /// Answered by the origin.
    pub misses: Counter,
    /// Answered by the origin, as the store has no say in it.
    pub bypasses: Counter,
    /// Of these, answered with what another request had asked for.
    pub collapsed: Counter,
    /// Requests that the origin did not answer.
    pub failures: Counter,
    /// Answers that began to be stored.
    pub stored: Counter,
    /// Keys removed because a request changed what they name.
    pub invalidated: Counter,
    /// Requests that the rules of the forward proxy do not let through.
    pub denied: Counter,
    /// Requests answered with a failure that was ordered.
    pub failed_as_ordered: Counter,
    /// Connections that carry something other than HTTP.
    pub tunnels: Arc<TunnelCounters>,
}

/// What the cache had to do with an answer: the last column of the access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// From the store, fresh.
    Hit,
    /// From the store, stale.
    Stale,
    /// From the store, after the origin was asked.
    Revalidated,
    /// From the origin.
    Miss,
    /// From the origin, as for every request of its kind.
    Bypass,
}

impl Outcome {
    /// As the log says it.
    pub fn label(self) -> &'static str {
        match self {
            Outcome::Hit => "HIT",
            Outcome::Stale => "STALE",
            Outcome::Revalidated => "REVALIDATED",
            Outcome::Miss => "MISS",
            Outcome::Bypass => "BYPASS",
        }
    }
}

impl ProxyCounters {
    /// Counts one answer.
    pub fn count(&self, outcome: Outcome) {
        let counter = match outcome {
            Outcome::Hit => &self.hits,
            Outcome::Stale => &self.stale,
            Outcome::Revalidated => &self.revalidated,
            Outcome::Miss => &self.misses,
            Outcome::Bypass => &self.bypasses,
        };
        counter.add(1);
    }
}
