//! Whether a stored response answers a request now (RFC 9111 §4, §5.2.1).

use std::time::{Duration, Instant};

use netproto::http::cache_control::{Delta, MaxStale, RequestDirectives};
use netproto::http::cache_status::Forwarded;

use super::storing::Validity;

/// How long a response may be sent stale because its origin gives no answer at all, if nothing in it
/// says otherwise (RFC 9111 §4.2.4 leaves that to the cache).
const STALE_IF_UNREACHABLE: Duration = Duration::from_hours(24);

/// What becomes of a request for which a response is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reuse {
    /// It is answered with what is stored.
    Answer(Aged),
    /// So it is, stale, while the origin is asked for all that come later (RFC 5861 §3).
    AnswerWhileRevalidating(Aged),
    /// The origin is asked, for this reason.
    Forward(Forwarded),
}

/// What an answer from the store says of its age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aged {
    /// What the Age field says, in whole seconds.
    pub age: u64,
    /// For how many whole seconds it is still fresh; `Err` with how many it has been stale.
    pub ttl: Result<u64, u64>,
}

impl Aged {
    /// That of a response with this validity.
    pub fn at(validity: &Validity, now: Instant) -> Aged {
        let (age, remaining) = (
            validity.freshness.age(now),
            validity.freshness.remaining(now),
        );
        Aged {
            age: age.as_secs(),
            ttl: remaining
                .map(|left| left.as_secs())
                .map_err(|staleness| staleness.as_secs()),
        }
    }
}

/// Why the origin's word cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// It gives no answer: RFC 9111 §4.2.4 calls the cache disconnected.
    Unreachable,
    /// It answers 500, 502, 503 or 504, or what is no HTTP (RFC 5861 §4).
    Error,
}

/// Whether a response with this validity answers a request with these directives at `now`.
pub fn decide(validity: &Validity, asked: &RequestDirectives, now: Instant) -> Reuse {
    let remaining = validity.freshness.remaining(now);
    if wants_origin(validity, asked, now) {
        return Reuse::Forward(Forwarded::Request);
    }
    if validity.no_cache {
        return Reuse::Forward(Forwarded::Stale);
    }
    let aged = Aged::at(validity, now);
    match remaining {
        Ok(left) if stays_fresh(asked.min_fresh, left) => Reuse::Answer(aged),
        Ok(_) => Reuse::Forward(Forwarded::Request),
        Err(_) if validity.must_revalidate || asked.min_fresh.is_present() => {
            Reuse::Forward(Forwarded::Stale)
        }
        Err(staleness) if is_taken_stale(asked, staleness) => Reuse::Answer(aged),
        Err(staleness) if staleness < validity.stale_while_revalidate => {
            Reuse::AnswerWhileRevalidating(aged)
        }
        Err(_) => Reuse::Forward(Forwarded::Stale),
    }
}

/// Whether a response that the origin was to confirm answers the request all the same, as the origin
/// is in `trouble`.
pub fn instead(
    validity: &Validity,
    asked: &RequestDirectives,
    now: Instant,
    trouble: Trouble,
) -> Option<Aged> {
    // Of the request only no-cache bars it. max-age and min-fresh say what it would rather have, and
    // a browser's reload says max-age=0: what there is, is better than a 502.
    if validity.no_cache || asked.no_cache {
        return None;
    }
    let staleness = validity.freshness.remaining(now).err().unwrap_or_default();
    if !staleness.is_zero() && validity.must_revalidate {
        return None;
    }
    let told = Duration::from_secs(asked.stale_if_error.seconds().unwrap_or(0));
    let bound = match trouble {
        Trouble::Error => validity.stale_if_error.max(told),
        Trouble::Unreachable => STALE_IF_UNREACHABLE.max(validity.stale_if_error).max(told),
    };
    (staleness < bound).then(|| Aged::at(validity, now))
}

/// Whether the request insists on the origin's word, however fresh a response is.
fn wants_origin(validity: &Validity, asked: &RequestDirectives, now: Instant) -> bool {
    let is_settled = validity.immutable && validity.freshness.remaining(now).is_ok();
    // RFC 8246 §2: what does not change while it is fresh is not asked for by a mere reload.
    let is_too_old = !is_settled && !is_young_enough(asked.max_age, validity.freshness.age(now));
    asked.no_cache || is_too_old
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

/// max-stale (RFC 9111 §5.2.1.2).
fn is_taken_stale(asked: &RequestDirectives, staleness: Duration) -> bool {
    match asked.max_stale {
        MaxStale::Fresh => false,
        MaxStale::By(seconds) => staleness <= Duration::from_secs(seconds),
        MaxStale::Any => true,
    }
}
