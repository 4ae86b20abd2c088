//! Asking the origin whether a stored response still stands, and what its 304 changes (RFC 9111
//! §4.3).

use std::sync::Arc;

use netio::http::response::Head;
use netproto::http::Status;
use netproto::http::cache_control::ResponseDirectives;
use netproto::http::conditional::{Comparison, EntityTag};
use netproto::http::date;
use netproto::http::fields::{FieldSlots, Fields};
use netproto::http::head::ResponseHead;
use netproto::http::method::Method;
use netproto::http::write::{self, SerializeError};

use super::policy::demands::Demands;
use super::policy::freshness::{Freshness, Journey};
use super::policy::storing::{self, Refusal, Validity};
use super::variant::{STORED, Variant};
use crate::fields::{Condition, passed_on};

/// Fields of a stored response that a 304 does not change. Most describe the body that is stored
/// (RFC 9111 §3.2). Content-Length is never among those that are passed on.
const KEPT: [&str; 7] = [
    // Of the 304 it is for the client that asked, and for nobody later.
    "set-cookie",
    "content-encoding",
    "content-type",
    "content-range",
    "content-md5",
    "content-digest",
    // Added to what is stored already.
    "via",
];

/// What a 304 means for the response it was asked about.
#[derive(Debug)]
pub enum Validation {
    /// This is it now; whether it may be stored so.
    Stands(Arc<Variant>, Result<(), Refusal>),
    /// The origin speaks of another response than the one that is stored.
    OfAnother,
}

/// What to ask the origin about a stored response; `None` if it has no validator.
pub fn condition(variant: &Variant) -> Option<Condition> {
    let condition = variant.with_fields(|fields| Condition {
        etag: fields.first("etag").map(<[u8]>::to_vec),
        last_modified: fields.first("last-modified").map(<[u8]>::to_vec),
    });
    (condition != Condition::default()).then_some(condition)
}

/// The stored response with the fields of the 304 that confirms it.
pub fn freshen(
    variant: &Variant,
    update: &ResponseHead<'_, '_>,
    demands: &Demands,
    journey: &Journey,
) -> Validation {
    let is_of_another = variant.with_fields(|stored| is_of_another(stored, &update.fields));
    if is_of_another {
        return Validation::OfAnother;
    }
    updated(variant, update, demands, journey)
}

/// The stored response with the fields of a 200 that HEAD was answered (RFC 9111 §4.3.5): of another
/// response, if it has other validators or another length.
pub fn freshen_by_head(
    variant: &Variant,
    update: &ResponseHead<'_, '_>,
    demands: &Demands,
    journey: &Journey,
) -> Validation {
    let length = variant.content.complete().map(|length| length.to_string());
    let is_same = |name: &str, stored: Option<&[u8]>| {
        let told = update.fields.first(name);
        told.is_none() || told == stored
    };
    let stands = variant.head.status() == update.status
        && is_same("content-length", length.as_deref().map(str::as_bytes))
        && variant.with_fields(|stored| {
            is_same("etag", stored.first("etag"))
                && is_same("last-modified", stored.first("last-modified"))
        });
    if !stands {
        return Validation::OfAnother;
    }
    updated(variant, update, demands, journey)
}

fn updated(
    variant: &Variant,
    update: &ResponseHead<'_, '_>,
    demands: &Demands,
    journey: &Journey,
) -> Validation {
    let merged = variant.with_fields(|stored| merge(variant, stored, &update.fields, journey));
    let Ok(bytes) = merged else {
        return Validation::OfAnother;
    };
    let mut slots = FieldSlots::new();
    let Ok(Status::Complete(head)) = ResponseHead::parse(&bytes, &mut slots, &STORED, &Method::Get)
    else {
        return Validation::OfAnother;
    };
    // RFC 9111 §4.1: for which requests the body stands that was selected by other fields, the 304
    // does not tell.
    if !variant.selecting.is_selected_alike(&head.fields) {
        return Validation::OfAnother;
    }
    let verdict = storing::judge(demands, head.status, &head.fields, journey);
    // What may not be stored is as young as the 304 all the same.
    let validity = verdict.unwrap_or_else(|_| {
        let directives = ResponseDirectives::of(&head.fields);
        Validity {
            freshness: Freshness::of(head.status, &head.fields, &directives, journey),
            ..variant.validity
        }
    });
    match built(&head) {
        Ok(head) => {
            let updated = Variant {
                head,
                content: variant.content.clone(),
                validity,
                selecting: variant.selecting.clone(),
            };
            Validation::Stands(Arc::new(updated), verdict.map(drop))
        }
        Err(_) => Validation::OfAnother,
    }
}

/// RFC 9111 §4.3.4: both have an entity tag, and not the same.
fn is_of_another(stored: &Fields<'_, '_>, update: &Fields<'_, '_>) -> bool {
    match (
        stored.first("etag").and_then(EntityTag::parse),
        update.first("etag").and_then(EntityTag::parse),
    ) {
        (Some(stored), Some(update)) => !stored.matches(&update, Comparison::Weak),
        _ => false,
    }
}

/// RFC 9111 §3.2: the fields of the 304 take the place of those of the same name.
fn merge(
    variant: &Variant,
    stored: &Fields<'_, '_>,
    update: &Fields<'_, '_>,
    journey: &Journey,
) -> Result<Vec<u8>, SerializeError> {
    let changes = |name: &str| !KEPT.iter().any(|kept| name.eq_ignore_ascii_case(kept));
    let mut out = Vec::with_capacity(variant.head.len() + 256);
    write::status_line(&mut out, variant.head.status());
    for (name, value) in stored.iter() {
        let is_replaced = name.eq_ignore_ascii_case("date") || update.first(name).is_some();
        if !changes(name) || !is_replaced {
            write::field(&mut out, name, value)?;
        }
    }
    for (name, value) in passed_on(update).filter(|(name, _)| changes(name)) {
        write::field(&mut out, name, value)?;
    }
    // RFC 9110 §6.6.1: a 304 without a Date was sent when it came, not when the body was.
    if update.first("date").is_none() {
        write::field(&mut out, "Date", &date::write(journey.response_unix))?;
    }
    write::end_of_head(&mut out);
    Ok(out)
}

fn built(head: &ResponseHead<'_, '_>) -> Result<Head, SerializeError> {
    let directives = ResponseDirectives::of(&head.fields);
    let mut built = Head::build(head.status);
    for (name, value) in head.fields.iter() {
        if !name.eq_ignore_ascii_case("age") && !storing::is_withheld(&directives, name) {
            built = built.field(name, value)?;
        }
    }
    Ok(built.finish())
}
