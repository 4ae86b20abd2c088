//! Conditional requests (RFC 9110 §13): entity tags, and whether a request goes ahead.

use super::date;
use super::fields::Fields;
use super::grammar::is_blank;
use super::method::Method;

/// An entity tag (RFC 9110 §8.8.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntityTag<'b> {
    /// Whether it stands for all representations that mean the same.
    pub is_weak: bool,
    /// What stands between the quotes.
    pub opaque: &'b [u8],
}

/// How two entity tags are compared (RFC 9110 §8.8.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// The same bytes: the tags are equal and neither is weak.
    Strong,
    /// The same meaning: the tags are equal.
    Weak,
}

impl<'b> EntityTag<'b> {
    /// `[ W/ ] DQUOTE *etagc DQUOTE`, and nothing around it.
    pub fn parse(value: &'b [u8]) -> Option<EntityTag<'b>> {
        let (tag, rest) = EntityTag::split_first(value)?;
        rest.is_empty().then_some(tag)
    }

    /// Whether both tags name the same representation.
    pub fn matches(&self, other: &EntityTag<'_>, comparison: Comparison) -> bool {
        let may_match = match comparison {
            Comparison::Strong => !self.is_weak && !other.is_weak,
            Comparison::Weak => true,
        };
        may_match && self.opaque == other.opaque
    }

    /// The tag at the front of `value`, and what follows it.
    fn split_first(value: &'b [u8]) -> Option<(EntityTag<'b>, &'b [u8])> {
        // The W is case-sensitive.
        let quoted = value.strip_prefix(b"W/");
        let is_weak = quoted.is_some();
        let rest = quoted.unwrap_or(value).strip_prefix(b"\"")?;
        let end = rest.iter().position(|&byte| byte == b'"')?;
        let (opaque, rest) = (&rest[..end], &rest[end + 1..]);
        // etagc: visible but the quote, or obs-text. A backslash is no escape here.
        let is_valid = opaque.iter().all(|&byte| byte > b' ' && byte != 0x7f);
        is_valid.then_some((EntityTag { is_weak, opaque }, rest))
    }
}

/// What tells the current representation from others.
#[derive(Debug, Clone, Copy, Default)]
pub struct Validators<'v> {
    /// Its entity tag, if it has one.
    pub etag: Option<EntityTag<'v>>,
    /// When it last changed, in seconds since the epoch, if known.
    pub last_modified: Option<u64>,
}

/// What becomes of a conditional request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The method is performed.
    Proceed,
    /// 304.
    NotModified,
    /// 412.
    PreconditionFailed,
}

/// Evaluates the preconditions in the order of RFC 9110 §13.2.2. To be asked only when the request
/// would otherwise be answered with a 2xx (§13.2.1). `current` is `None` when the target has no
/// representation; `now` (seconds since the epoch) settles two-digit years.
pub fn evaluate(
    method: &Method<'_>,
    fields: &Fields<'_, '_>,
    current: Option<&Validators<'_>>,
    now: u64,
) -> Outcome {
    let reads = matches!(method, Method::Get | Method::Head);
    let last_modified = current.and_then(|current| current.last_modified);

    // Steps 1 and 2: is it still what the client has seen?
    if fields.first("if-match").is_some() {
        if !matches_any(fields, "if-match", current, Comparison::Strong) {
            return Outcome::PreconditionFailed;
        }
    } else if let Some(since) = date_in(fields, "if-unmodified-since", now)
        && last_modified.is_some_and(|modified| modified > since)
    {
        return Outcome::PreconditionFailed;
    }

    // Steps 3 and 4: is it still what the client holds?
    if fields.first("if-none-match").is_some() {
        if matches_any(fields, "if-none-match", current, Comparison::Weak) {
            return if reads {
                Outcome::NotModified
            } else {
                Outcome::PreconditionFailed
            };
        }
    } else if reads
        && let Some(since) = date_in(fields, "if-modified-since", now)
        && last_modified.is_some_and(|modified| modified <= since)
    {
        return Outcome::NotModified;
    }
    Outcome::Proceed
}

/// Step 5: whether the Range field of this request counts (RFC 9110 §13.1.5, §14.2): only for GET,
/// and with If-Range only when that names the current representation by a strong validator.
pub fn range_applies(
    method: &Method<'_>,
    fields: &Fields<'_, '_>,
    current: &Validators<'_>,
    now: u64,
) -> bool {
    if *method != Method::Get {
        return false;
    }
    let mut values = fields.all("if-range");
    let Some(value) = values.next() else {
        return true;
    };
    if values.next().is_some() {
        return false;
    }
    if let Some(tag) = EntityTag::parse(value) {
        return current
            .etag
            .is_some_and(|current| current.matches(&tag, Comparison::Strong));
    }
    // A date is strong only if the representation has stood for a second (§8.8.2.2): else it may
    // have changed within the second that the date names.
    date::parse(value, now).is_some_and(|date| current.last_modified == Some(date) && date < now)
}

/// Whether `*`, or a tag of the list `name`, matches the current representation. A list is read as
/// far as it is well formed.
fn matches_any(
    fields: &Fields<'_, '_>,
    name: &str,
    current: Option<&Validators<'_>>,
    comparison: Comparison,
) -> bool {
    let Some(current) = current else {
        return false;
    };
    fields.all(name).any(|value| {
        value == b"*"
            || current
                .etag
                .is_some_and(|etag| Tags { rest: value }.any(|tag| etag.matches(&tag, comparison)))
    })
}

/// The tags of one field line. Not [`Fields::members`]: in a tag, a backslash is no escape.
struct Tags<'b> {
    rest: &'b [u8],
}

impl<'b> Iterator for Tags<'b> {
    type Item = EntityTag<'b>;

    fn next(&mut self) -> Option<EntityTag<'b>> {
        while let [first, rest @ ..] = self.rest
            && (is_blank(*first) || *first == b',')
        {
            self.rest = rest;
        }
        let (tag, rest) = EntityTag::split_first(self.rest)?;
        let after = rest.iter().position(|&byte| !is_blank(byte));
        self.rest = &rest[after.unwrap_or(rest.len())..];
        // A tag that runs into something else is none.
        (self.rest.is_empty() || self.rest.starts_with(b",")).then_some(tag)
    }
}

/// The date in the only field line called `name`; a wrong or a second one is ignored (RFC 9110
/// §13.1.3, §13.1.4).
fn date_in(fields: &Fields<'_, '_>, name: &str, now: u64) -> Option<u64> {
    let mut values = fields.all(name);
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    date::parse(value, now)
}
