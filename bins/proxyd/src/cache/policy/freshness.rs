//! How old a response is, and how old it may become (RFC 9111 §4.2).

use std::time::{Duration, Instant};

use netproto::http::cache_control::{Delta, ResponseDirectives};
use netproto::http::date;
use netproto::http::fields::{Fields, Members};

/// What cannot be held counts as this many seconds (RFC 9111 §1.2.2).
const OLDEST: u64 = 1 << 31;

/// When an answer was asked for and came.
#[derive(Debug, Clone, Copy)]
pub struct Journey {
    /// When the request went out.
    pub request_time: Instant,
    /// When the head of the answer had come.
    pub response_time: Instant,
    /// The same by the wall clock, in seconds since 1970: Date and Expires are held against it.
    pub response_unix: u64,
}

/// The age of a stored response and its bound. Time passes by the monotonic clock; the wall clock
/// counts only against the Date field, once, when the response comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// `response_time`.
    since: Instant,
    /// `corrected_initial_age`.
    initial_age: Duration,
    /// `freshness_lifetime`.
    lifetime: Duration,
}

impl Freshness {
    /// That of a response with these fields.
    pub fn of(
        fields: &Fields<'_, '_>,
        directives: &ResponseDirectives<'_>,
        journey: &Journey,
    ) -> Freshness {
        let now = journey.response_unix;
        // RFC 9110 §6.6.1: without a Date, the time at which it came.
        let date_value = fields
            .first("date")
            .and_then(|value| date::parse(value, now))
            .unwrap_or(now);
        let apparent_age = Duration::from_secs(now.saturating_sub(date_value));
        let response_delay = journey
            .response_time
            .saturating_duration_since(journey.request_time);
        let corrected_age_value = Duration::from_secs(age_value(fields)) + response_delay;
        Freshness {
            since: journey.response_time,
            initial_age: apparent_age.max(corrected_age_value),
            lifetime: Duration::from_secs(lifetime(fields, directives, date_value, now)),
        }
    }

    /// `current_age` (RFC 9111 §4.2.3).
    pub fn age(&self, now: Instant) -> Duration {
        self.initial_age + now.saturating_duration_since(self.since)
    }

    /// For how long it stays fresh; `Err` with how long it has been stale.
    pub fn remaining(&self, now: Instant) -> Result<Duration, Duration> {
        let age = self.age(now);
        match self.lifetime.checked_sub(age) {
            Some(left) if !left.is_zero() => Ok(left),
            _ => Err(age.saturating_sub(self.lifetime)),
        }
    }

    /// Whether it was fresh when it came.
    pub fn began_fresh(&self) -> bool {
        self.lifetime > self.initial_age
    }
}

/// `freshness_lifetime` in seconds (RFC 9111 §4.2.1). What is explicit and wrong is 0: stale.
fn lifetime(
    fields: &Fields<'_, '_>,
    directives: &ResponseDirectives<'_>,
    date_value: u64,
    now: u64,
) -> u64 {
    for delta in [directives.s_maxage, directives.max_age] {
        match delta {
            Delta::Seconds(seconds) => return seconds,
            Delta::Invalid => return 0,
            Delta::Absent => {}
        }
    }
    let mut expires = fields.all("expires");
    match (expires.next(), expires.next()) {
        (Some(value), None) => date::parse(value, now)
            .map_or(0, |expires_value| expires_value.saturating_sub(date_value)),
        _ => 0,
    }
}

/// The first member of the Age field; 0 if it is no number.
fn age_value(fields: &Fields<'_, '_>) -> u64 {
    let first = fields
        .first("age")
        .and_then(|value| Members::of(value).next());
    let Some(digits) = first.filter(|value| value.iter().all(u8::is_ascii_digit)) else {
        return 0;
    };
    let digits = str::from_utf8(digits).unwrap_or_default();
    digits.parse().unwrap_or(OLDEST).min(OLDEST)
}
