//! Answers from the store.

use std::hash::{BuildHasher, RandomState};

use bytes::Bytes;
use netio::http::response::{self, Body, Response};
use netio::http::server::Request;
use netproto::http::byteranges::{ByteRanges, Piece};
use netproto::http::cache_status::CacheStatus;
use netproto::http::conditional::{self, Outcome, Validators};
use netproto::http::date;
use netproto::http::method::Method;
use netproto::http::range::{self, ByteRange, ContentRange, Selection};
use netproto::http::status::StatusCode;
use netproto::http::write::SerializeError;
use smallvec::SmallVec;

use crate::cache::content::Content;
use crate::cache::policy::demands::Demands;
use crate::cache::variant::{Variant, validators};
use crate::hop::PSEUDONYM;

/// The fields of a 304 (RFC 9110 §15.4.5), beside Age and Cache-Status.
const OF_NOT_MODIFIED: [&str; 8] = [
    "cache-control",
    "content-location",
    "date",
    "etag",
    "expires",
    "last-modified",
    "vary",
    "via",
];

/// Several parts are put together up to this many bytes: they are copied for each answer. Who asks for
/// more gets the whole, of which there is one copy.
const PARTS_BYTES: u64 = 1024 * 1024;

/// Answers `request` with a stored response: the whole, a part (RFC 9110 §14), or the word that the
/// client's own copy still stands (RFC 9111 §4.3.2).
pub fn from_store(
    request: &Request<'_>,
    demands: &Demands,
    variant: &Variant,
    age: u64,
    cache_status: &[u8],
) -> Response {
    let built = match selected(request, demands, variant) {
        Selected::Whole => Ok(whole(variant)),
        Selected::NotModified => not_modified(variant),
        Selected::Part(part) => one_part(variant, part),
        Selected::Parts(parts) => several_parts(variant, &parts),
        Selected::Nothing(complete) => nothing(complete),
    };
    built
        .and_then(|response| response.with_field("Age", itoa::Buffer::new().format(age)))
        .and_then(|response| response.with_field("Cache-Status", cache_status))
        .unwrap_or_else(|error| internal(&error))
}

/// Whether what is stored of a response is enough to answer `request`. Parts answer nobody but who
/// asks for ranges of them (RFC 9111 §3.3), and a head alone HEAD.
pub fn is_enough(request: &Request<'_>, demands: &Demands, variant: &Variant) -> bool {
    match &variant.content {
        Content::Whole(_) => true,
        Content::Nothing(_) => request.head.method == Method::Head,
        // A range that is there may still turn out to be one that the client has.
        Content::Parts(_) => match ranges_of(request, demands, variant) {
            Selected::Part(part) => variant.content.slice(part).is_some(),
            Selected::Parts(parts) => parts
                .iter()
                .all(|part| variant.content.slice(*part).is_some()),
            Selected::Whole | Selected::NotModified | Selected::Nothing(_) => false,
        },
    }
}

/// What of a stored 200 is sent.
enum Selected {
    Whole,
    NotModified,
    Part(ByteRange),
    Parts(SmallVec<[ByteRange; 1]>),
    /// No byte of the so many that there are.
    Nothing(u64),
}

fn selected(request: &Request<'_>, demands: &Demands, variant: &Variant) -> Selected {
    let is_special = demands.is_conditional || demands.wants_range;
    if !is_special || variant.head.status() != StatusCode::OK {
        return Selected::Whole;
    }
    let is_known = demands.is_conditional && is_known(request, variant);
    if is_known {
        return Selected::NotModified;
    }
    ranges_of(request, demands, variant)
}

/// RFC 9111 §4.3.2: whether the client has it.
fn is_known(request: &Request<'_>, variant: &Variant) -> bool {
    let (head, now) = (request.head, request.unix_seconds);
    variant.with_fields(|fields| {
        let validators = validators(fields, now);
        let date = fields
            .first("date")
            .and_then(|value| date::parse(value, now));
        // What does not say when it changed is held against its Date.
        let held_against = Validators {
            last_modified: validators.last_modified.or(date),
            ..validators
        };
        conditional::evaluate(&head.method, &head.fields, Some(&held_against), now)
            == Outcome::NotModified
    })
}

/// What a Range field selects.
fn ranges_of(request: &Request<'_>, demands: &Demands, variant: &Variant) -> Selected {
    let (head, now) = (request.head, request.unix_seconds);
    let range = head.fields.first("range").filter(|_| demands.wants_range);
    let (Some(range), Some(complete)) = (range, variant.content.complete()) else {
        return Selected::Whole;
    };
    let applies = variant.with_fields(|fields| {
        conditional::range_applies(&head.method, &head.fields, &validators(fields, now), now)
    });
    if !applies {
        return Selected::Whole;
    }
    match range::select(range, complete) {
        Selection::Parts(parts) if parts.len() == 1 => Selected::Part(parts[0]),
        Selection::Parts(parts) if are_small(&parts) => Selected::Parts(parts),
        // A server may always send the whole (RFC 9110 §14.2).
        Selection::Parts(_) | Selection::Whole => Selected::Whole,
        Selection::Unsatisfiable => Selected::Nothing(complete),
    }
}

fn whole(variant: &Variant) -> Response {
    let body = match &variant.content {
        Content::Whole(whole) => Body::Bytes(whole.clone()),
        // Nobody but HEAD is answered with what is not there.
        Content::Parts(_) | Content::Nothing(_) => Body::Omitted {
            length: variant.content.complete(),
        },
    };
    Response::new(variant.head.clone(), body)
}

fn not_modified(variant: &Variant) -> Result<Response, SerializeError> {
    let head = variant.head_as(StatusCode::NOT_MODIFIED, |name| {
        OF_NOT_MODIFIED
            .iter()
            .any(|known| name.eq_ignore_ascii_case(known))
    })?;
    Ok(Response::new(head, Body::Empty))
}

fn one_part(variant: &Variant, range: ByteRange) -> Result<Response, SerializeError> {
    let head = variant.head_as(StatusCode::PARTIAL_CONTENT, |_| true)?;
    let content_range = ContentRange::Part {
        range,
        complete: variant.content.complete(),
    };
    let mut pieces = stored_bytes(variant, range);
    let body = match pieces.len() {
        1 => Body::Bytes(pieces.remove(0)),
        _ => Body::Pieces(pieces.into_iter().map(response::Piece::Bytes).collect()),
    };
    Response::new(head, body).with_field("Content-Range", content_range.to_string())
}

/// Those bytes, which are there: else they would not have been selected.
fn stored_bytes(variant: &Variant, range: ByteRange) -> Vec<Bytes> {
    variant.content.slice(range).unwrap_or_default()
}

/// Whether several parts may be put together for one answer.
fn are_small(parts: &[ByteRange]) -> bool {
    let total = parts
        .iter()
        .fold(0, |total: u64, part| total.saturating_add(part.len()));
    total <= PARTS_BYTES
}

/// Several parts in one body (RFC 9110 §14.6).
fn several_parts(variant: &Variant, parts: &[ByteRange]) -> Result<Response, SerializeError> {
    // Nobody can foresee it, and so nothing stored can hold it.
    let complete = variant.content.complete().unwrap_or_default();
    let boundary = format!("{:016x}", RandomState::new().hash_one(complete));
    let mut multipart = ByteRanges::new(boundary, complete)?;
    let content_type =
        variant.with_fields(|fields| fields.first("content-type").map(<[u8]>::to_vec));
    if let Some(content_type) = content_type {
        multipart = multipart.field("Content-Type", &content_type)?;
    }
    let mut body = Vec::new();
    for piece in multipart.pieces(parts) {
        match piece {
            Piece::Text(text) => body.extend_from_slice(&text),
            Piece::Part(range) => {
                for bytes in stored_bytes(variant, range) {
                    body.extend_from_slice(&bytes);
                }
            }
        }
    }
    // It is the parts that have the stored content's type (RFC 9110 §15.3.7.2).
    let head = variant.head_as(StatusCode::PARTIAL_CONTENT, |name| {
        !name.eq_ignore_ascii_case("content-type")
    })?;
    Response::new(head, Body::Bytes(body.into()))
        .with_field("Content-Type", multipart.content_type())
}

fn nothing(complete: u64) -> Result<Response, SerializeError> {
    let content_range = ContentRange::Unsatisfied { complete };
    let text = "none of the ranges asked for is in the content\n";
    Response::text(StatusCode::RANGE_NOT_SATISFIABLE, text)
        .with_field("Content-Range", content_range.to_string())
}

/// The Cache-Status of a hit: the path that must cost nothing.
pub fn hit_status(ttl: Result<u64, u64>) -> SmallVec<[u8; 48]> {
    let mut value = SmallVec::new();
    value.extend_from_slice(PSEUDONYM.as_bytes());
    value.extend_from_slice(b"; hit; ttl=");
    let (sign, seconds): (&[u8], u64) = match ttl {
        Ok(left) => (b"", left),
        Err(0) => (b"", 0),
        Err(staleness) => (b"-", staleness),
    };
    value.extend_from_slice(sign);
    value.extend_from_slice(itoa::Buffer::new().format(seconds).as_bytes());
    value
}

/// Any other Cache-Status of this proxy.
pub fn cache_status(status: CacheStatus<'_>) -> Vec<u8> {
    let mut value = Vec::with_capacity(64);
    CacheStatus {
        cache: PSEUDONYM.into(),
        ..status
    }
    .write(&mut value);
    value
}

/// For what cannot happen: every field written here was parsed or is fixed.
pub fn internal(error: &SerializeError) -> Response {
    Response::text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n"))
}
