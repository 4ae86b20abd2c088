//! How old a response is, and how old it may become (RFC 9111 §4.2).

use std::time::{Duration, Instant};

use netproto::http::cache_control::{Delta, ResponseDirectives};
use netproto::http::date;
use netproto::http::fields::{Fields, Members};
use netproto::http::status::StatusCode;

/// Statuses that may be taken for fresh without being told so (RFC 9110 §15.1).
const HEURISTICALLY_CACHEABLE: [u16; 12] =
    [200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501];
/// The share of the time since Last-Modified for which a response is taken for fresh (RFC 9111
/// §4.2.2), as its divisor: 10 %.
const HEURISTIC_SHARE: u64 = 10;
/// And never longer than a day.
const LONGEST_HEURISTIC: u64 = 24 * 60 * 60;
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

/// By what a response has its freshness lifetime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    /// max-age, s-maxage or Expires.
    Explicit,
    /// A share of the time since Last-Modified (RFC 9111 §4.2.2).
    Heuristic,
    /// It has none: it is stale as it comes.
    None,
}

impl Ground {
    /// Its name: a token.
    pub fn name(self) -> &'static str {
        match self {
            Ground::Explicit => "explicit",
            Ground::Heuristic => "heuristic",
            Ground::None => "validator",
        }
    }
}

/// The age of a stored response and its bound. Time passes by the monotonic clock; the wall clock
/// counts only against the Date field, once, when the response comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// `response_time`.
    since: Instant,
    /// The same by the wall clock: it only labels.
    since_unix: u64,
    /// `corrected_initial_age`.
    initial_age: Duration,
    /// `freshness_lifetime`.
    lifetime: Duration,
    ground: Ground,
}

impl Freshness {
    /// That of a response with this status and these fields.
    pub fn of(
        status: StatusCode,
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
        let (lifetime, ground) = match explicit(fields, directives, date_value, now) {
            Some(lifetime) => (lifetime, Ground::Explicit),
            None => match heuristic(status, fields, directives, date_value, now) {
                Some(lifetime) => (lifetime, Ground::Heuristic),
                None => (0, Ground::None),
            },
        };
        Freshness {
            since: journey.response_time,
            since_unix: now,
            initial_age: apparent_age.max(corrected_age_value),
            lifetime: Duration::from_secs(lifetime),
            ground,
        }
    }

    /// By what it has its lifetime.
    pub fn ground(&self) -> Ground {
        self.ground
    }

    /// When it came, in seconds since 1970.
    pub fn since_unix(&self) -> u64 {
        self.since_unix
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

/// The lifetime in seconds that a response says it has (RFC 9111 §4.2.1); what is wrong about it is
/// 0: stale.
fn explicit(
    fields: &Fields<'_, '_>,
    directives: &ResponseDirectives<'_>,
    date_value: u64,
    now: u64,
) -> Option<u64> {
    for delta in [directives.s_maxage, directives.max_age] {
        match delta {
            Delta::Seconds(seconds) => return Some(seconds),
            Delta::Invalid => return Some(0),
            Delta::Absent => {}
        }
    }
    if directives.is_targeted {
        return None;
    }
    let mut expires = fields.all("expires");
    match (expires.next(), expires.next()) {
        (None, _) => None,
        (Some(value), None) => date::parse(value, now).map_or(Some(0), |expires_value| {
            Some(expires_value.saturating_sub(date_value))
        }),
        (Some(_), Some(_)) => Some(0),
    }
}

/// The lifetime in seconds that a response may be taken to have (RFC 9111 §4.2.2). A cookie is one
/// client's own, as long as nobody says for how long it stands for all.
fn heuristic(
    status: StatusCode,
    fields: &Fields<'_, '_>,
    directives: &ResponseDirectives<'_>,
    date_value: u64,
    now: u64,
) -> Option<u64> {
    let is_allowed = directives.public || is_heuristically_cacheable(status);
    if !is_allowed || fields.first("set-cookie").is_some() {
        return None;
    }
    let last_modified = date::parse(fields.first("last-modified")?, now)?;
    let lifetime = date_value.saturating_sub(last_modified) / HEURISTIC_SHARE;
    Some(lifetime.min(LONGEST_HEURISTIC))
}

/// Whether a response with this status may be stored though it does not say so.
pub fn is_heuristically_cacheable(status: StatusCode) -> bool {
    HEURISTICALLY_CACHEABLE.contains(&status.as_u16())
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
