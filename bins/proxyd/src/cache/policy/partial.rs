//! Which 206 is stored as a part of a response, and which parts are of one and the same (RFC 9111
//! §3.3, §3.4; RFC 9110 §15.3.7.3).

use netproto::http::conditional::EntityTag;
use netproto::http::date;
use netproto::http::fields::Fields;
use netproto::http::range::{ByteRange, ContentRange};

use super::demands::Demands;

/// How much older than its Date a Last-Modified must be to tell a representation from all others:
/// clocks may differ (RFC 9110 §8.8.2.2).
const STRONG_AFTER: u64 = 60;

/// Fields that a 206 has if a 200 would have them (RFC 9110 §15.3.7). One that lacks what is stored
/// would loosen what the origin has said of its use.
const ALWAYS_TOLD: [&str; 4] = ["cache-control", "cdn-cache-control", "expires", "vary"];

/// What a 206 brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// These bytes.
    pub range: ByteRange,
    /// Of so many.
    pub complete: u64,
    /// Whether it tells all that a 200 would: not if the request had If-Range, whose client knows it
    /// (RFC 9110 §15.3.7). Then it only adds to what is stored.
    pub is_told_whole: bool,
}

impl Part {
    /// What a 206 with these fields brings. `None` if it is of no use to others: of several ranges,
    /// of an unknown length, or without what would tell it from parts of another representation.
    /// `now` settles two-digit years.
    pub fn of(demands: &Demands, fields: &Fields<'_, '_>, now: u64) -> Option<Part> {
        let mut ranges = fields.all("content-range");
        let (Some(value), None) = (ranges.next(), ranges.next()) else {
            return None;
        };
        let ContentRange::Part {
            range,
            complete: Some(complete),
        } = ContentRange::parse(value)?
        else {
            return None;
        };
        let is_of_use =
            demands.is_get && demands.wants_range && strong_validator(fields, now).is_some();
        is_of_use.then_some(Part {
            range,
            complete,
            is_told_whole: !demands.has_if_range,
        })
    }
}

/// Whether a newer part is of the same representation as what is stored, and says as much of its use.
pub fn are_of_one(stored: &Fields<'_, '_>, newer: &Fields<'_, '_>, now: u64) -> bool {
    let is_told = |name: &&str| stored.first(name).is_none() || newer.first(name).is_some();
    let validator = strong_validator(newer, now);
    validator.is_some()
        && validator == strong_validator(stored, now)
        && ALWAYS_TOLD.iter().all(is_told)
}

#[derive(Debug, PartialEq, Eq)]
enum Strong<'b> {
    Tag(&'b [u8]),
    Date(u64),
}

/// What no other representation of the resource has (RFC 9110 §8.8.1).
fn strong_validator<'b>(fields: &Fields<'_, 'b>, now: u64) -> Option<Strong<'b>> {
    let mut tags = fields.all("etag");
    if let Some(tag) = tags.next() {
        let tag = EntityTag::parse(tag).filter(|tag| !tag.is_weak && tags.next().is_none())?;
        return Some(Strong::Tag(tag.opaque));
    }
    let date = |name| fields.first(name).and_then(|value| date::parse(value, now));
    let (last_modified, sent) = (date("last-modified")?, date("date")?);
    let is_strong = last_modified.saturating_add(STRONG_AFTER) <= sent;
    is_strong.then_some(Strong::Date(last_modified))
}
