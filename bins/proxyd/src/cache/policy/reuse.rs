//! Whether a stored response answers a request now (RFC 9111 §4, §5.2.1).

use std::time::{Duration, Instant};

use netproto::http::cache_control::{Delta, MaxStale, RequestDirectives};
use netproto::http::cache_status::Forwarded;

use super::storing::Validity;

/// What becomes of a request for which a response is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reuse {
    /// It is answered with what is stored.
    Answer {
        /// What the Age field says, in whole seconds.
        age: u64,
        /// For how many whole seconds it is still fresh; `Err` with how many it has been stale.
        ttl: Result<u64, u64>,
    },
    /// The origin is asked, for this reason.
    Forward(Forwarded),
}

/// Whether a response with this validity answers a request with these directives at `now`.
pub fn decide(validity: &Validity, asked: &RequestDirectives, now: Instant) -> Reuse {
    let age = validity.freshness.age(now);
    if asked.no_cache || !is_young_enough(asked.max_age, age) {
        return Reuse::Forward(Forwarded::Request);
    }
    if validity.no_cache {
        return Reuse::Forward(Forwarded::Stale);
    }
    let remaining = validity.freshness.remaining(now);
    match remaining {
        Ok(left) if !stays_fresh(asked.min_fresh, left) => {
            return Reuse::Forward(Forwarded::Request);
        }
        Err(staleness) if validity.must_revalidate || !is_taken_stale(asked, staleness) => {
            return Reuse::Forward(Forwarded::Stale);
        }
        Ok(_) | Err(_) => {}
    }
    Reuse::Answer {
        age: age.as_secs(),
        ttl: remaining
            .map(|left| left.as_secs())
            .map_err(|staleness| staleness.as_secs()),
    }
}

/// Request max-age (RFC 9111 §5.2.1.1). 0 asks for the origin's word, however young a response is.
fn is_young_enough(max_age: Delta, age: Duration) -> bool {
    match max_age {
        Delta::Absent => true,
        Delta::Seconds(0) | Delta::Invalid => false,
        Delta::Seconds(seconds) => age <= Duration::from_secs(seconds),
    }
}

/// min-fresh (RFC 9111 §5.2.1.3).
fn stays_fresh(min_fresh: Delta, left: Duration) -> bool {
    match min_fresh {
        Delta::Absent => true,
        Delta::Seconds(seconds) => left >= Duration::from_secs(seconds),
        Delta::Invalid => false,
    }
}

/// max-stale (RFC 9111 §5.2.1.2), unless min-fresh wants the opposite.
fn is_taken_stale(asked: &RequestDirectives, staleness: Duration) -> bool {
    let is_taken = match asked.max_stale {
        MaxStale::Fresh => false,
        MaxStale::By(seconds) => staleness <= Duration::from_secs(seconds),
        MaxStale::Any => true,
    };
    is_taken && !asked.min_fresh.is_present()
}
