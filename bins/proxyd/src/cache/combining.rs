//! A part of a response beside those that are stored (RFC 9111 §3.4).

use bytes::Bytes;
use netio::http::response::Head;

use super::content::Content;
use super::policy::partial;
use super::variant::Variant;

/// What is stored once `part` has come: it together with what is `stored` for the same requests, if
/// both are of one representation, or alone. `None` if nothing of it is worth storing. `room` and
/// `join` are those of [`Parts::with`](super::content::Parts::with).
pub fn combined(
    stored: Option<&Variant>,
    part: Variant,
    is_told_whole: bool,
    room: u64,
    join: impl Fn(&[&[u8]]) -> Option<Bytes>,
) -> Option<Variant> {
    let now = part.validity.freshness.since_unix();
    let same = stored.filter(|stored| {
        stored.content.complete() == part.content.complete()
            && stored.with_fields(|stored| {
                part.with_fields(|newer| partial::are_of_one(stored, newer, now))
            })
    });
    match (same.map(|stored| (stored, &stored.content)), &part.content) {
        (Some((_, Content::Whole(_))), _) => None,
        (Some((stored, Content::Parts(parts))), Content::Parts(newer)) => Some(Variant {
            content: parts.with(newer, room, join),
            head: with_newer_fields(stored, &part)?,
            ..part
        }),
        _ => is_told_whole.then_some(part),
    }
}

/// RFC 9110 §15.3.7.3: the fields of the newer response take the place of those of the same name.
fn with_newer_fields(stored: &Variant, newer: &Variant) -> Option<Head> {
    let build = Head::build(stored.head.status());
    let head = stored.with_fields(|stored| {
        newer.with_fields(|newer| {
            let kept = stored
                .iter()
                .filter(|(name, _)| newer.first(name).is_none());
            kept.chain(newer.iter())
                .try_fold(build, |head, (name, value)| head.field(name, value))
        })
    });
    Some(head.ok()?.finish())
}
