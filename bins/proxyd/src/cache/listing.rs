//! What is stored, as a person reads it: which response, since when, why and for how long.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::content::Content;
use super::policy::reuse::Aged;
use super::store::{Resource, Store};
use super::variant::Variant;

/// One stored response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The URL, as the key spells it.
    pub url: String,
    /// The request fields that it was selected by, and their values: `None` for one that was not sent.
    pub selected_by: Vec<(String, Option<String>)>,
    /// Its status code.
    pub status: u16,
    /// When it came or was confirmed last, in seconds since 1970.
    pub stored_unix: u64,
    /// How old it is, and for how long it is still fresh.
    pub aged: Aged,
    /// What is stored of its body: `whole`, `parts`, or `nothing` if only HEAD was asked for.
    pub holds: &'static str,
    /// The bytes of its body that are stored.
    pub body_bytes: u64,
    /// Those of the whole body, if known.
    pub whole_bytes: Option<u64>,
    /// All that it takes but its share of the entry's overhead.
    pub bytes: u64,
    /// Why it is stored: `explicit` (its lifetime is told), `heuristic` (it is supposed) or
    /// `validator` (it has none, and can be confirmed).
    pub why: &'static str,
}

/// Which part of the store is listed.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'w> {
    /// Keys that begin with this.
    pub prefix: &'w [u8],
    /// Keys behind this one in their order; all if it is empty.
    pub after: &'w [u8],
    /// How many keys at most.
    pub keys: usize,
}

/// A part of the store, in the order of the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// All responses under the keys of this part.
    pub responses: Vec<Listed>,
    /// The last of its keys, if there are more behind it.
    pub next: Option<String>,
}

/// What `store` holds at `now`. Goes through all keys once, and keeps no more than are wanted.
pub fn page(store: &Store, now: Instant, wanted: &Wanted<'_>) -> Page {
    let mut first = BTreeMap::new();
    let mut is_more = false;
    for (key, resource) in store.iter() {
        if key.starts_with(wanted.prefix) && *key > *wanted.after {
            first.insert(key, resource);
            if first.len() > wanted.keys {
                first.pop_last();
                is_more = true;
            }
        }
    }
    let last = first.last_key_value().filter(|_| is_more);
    Page {
        next: last.map(|(key, _)| String::from_utf8_lossy(key).into_owned()),
        responses: first
            .iter()
            .flat_map(|(key, resource)| listed(key, resource, now))
            .collect(),
    }
}

fn listed(key: &[u8], resource: &Arc<Resource>, now: Instant) -> Vec<Listed> {
    let url = String::from_utf8_lossy(key);
    let of = |variant: &Arc<Variant>| Listed {
        url: url.clone().into_owned(),
        selected_by: variant.selecting.shown(),
        status: variant.head.status().as_u16(),
        stored_unix: variant.validity.freshness.since_unix(),
        aged: Aged::at(&variant.validity, now),
        holds: match &variant.content {
            Content::Whole(_) => "whole",
            Content::Parts(_) => "parts",
            Content::Nothing(_) => "nothing",
        },
        body_bytes: variant.content.len(),
        whole_bytes: variant.content.complete(),
        bytes: variant.bytes(),
        why: variant.validity.freshness.ground().name(),
    };
    resource.variants().iter().map(of).collect()
}
