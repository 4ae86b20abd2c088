//! `GET /cache`, what is stored, why and for how long, and `DELETE /cache`, which removes it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use netio::admin::{Answer, Asked, Panel};
use netproto::http::method::Method;
use netproto::http::status::StatusCode;
use serde::Serialize;

use super::Shown;
use crate::cache::fill::flight::Flights;
use crate::cache::key::Key;
use crate::cache::listing::{self, Listed, Wanted};
use crate::cache::store::Store;
use crate::proxy::share::Landing;

/// How many URLs are listed if nothing is said, and at most.
const URLS: usize = 100;
const MOST_URLS: usize = 1000;

/// Adds the routes.
pub(super) fn add(panel: &mut Panel, shown: &Shown) {
    let of_get = Arc::clone(&shown.store);
    panel.route(Method::Get, "/cache", move |asked| list(&of_get, asked));
    let (store, flights) = (Arc::clone(&shown.store), Arc::clone(&shown.flights));
    panel.route(Method::Delete, "/cache", move |asked| {
        remove(&store, &flights, asked)
    });
}

/// A part of what is stored.
#[derive(Debug, Serialize)]
struct Part {
    /// All keys, listed here or not.
    entries: u64,
    stored_bytes: u64,
    bound_bytes: u64,
    responses: Vec<Response>,
    /// What to give as `after` for the next part.
    next: Option<String>,
}

#[derive(Debug, Serialize)]
struct Response {
    url: String,
    /// The request fields that Vary names, with the values that it answers.
    selected_by: BTreeMap<String, Option<String>>,
    status: u16,
    why: &'static str,
    age_seconds: u64,
    /// Negative once it is stale.
    ttl_seconds: i64,
    stored_unix_seconds: u64,
    /// `whole`, `parts` or `nothing` of the body.
    holds: &'static str,
    /// What is stored of it.
    body_bytes: u64,
    /// How long it is, if that is known.
    whole_bytes: Option<u64>,
    stored_bytes: u64,
}

impl Response {
    fn of(listed: Listed) -> Response {
        let seconds = |seconds| i64::try_from(seconds).unwrap_or(i64::MAX);
        Response {
            url: listed.url,
            selected_by: listed.selected_by.into_iter().collect(),
            status: listed.status,
            why: listed.why,
            age_seconds: listed.aged.age,
            ttl_seconds: match listed.aged.ttl {
                Ok(left) => seconds(left),
                Err(stale) => -seconds(stale),
            },
            stored_unix_seconds: listed.stored_unix,
            holds: listed.holds,
            body_bytes: listed.body_bytes,
            whole_bytes: listed.whole_bytes,
            stored_bytes: listed.bytes,
        }
    }
}

fn list(store: &Store, asked: &Asked<'_>) -> Answer {
    let (mut prefix, mut after, mut keys) = (String::new(), String::new(), URLS);
    for (name, value) in asked.parameters() {
        match &*name {
            "prefix" => prefix = value.into_owned(),
            "after" => after = value.into_owned(),
            "limit" => match value.parse() {
                Ok(limit @ 1..=MOST_URLS) => keys = limit,
                _ => return refused(format!("limit={value}: expected 1 to {MOST_URLS}")),
            },
            _ => {
                return refused(format!(
                    "there is no '{name}'; there are prefix, after and limit"
                ));
            }
        }
    }
    let wanted = Wanted {
        prefix: prefix.as_bytes(),
        after: after.as_bytes(),
        keys,
    };
    let page = listing::page(store, Instant::now(), &wanted);
    let part = Part {
        entries: store.len() as u64,
        stored_bytes: store.bytes(),
        bound_bytes: store.bound(),
        responses: page.responses.into_iter().map(Response::of).collect(),
        next: page.next,
    };
    Answer::json(StatusCode::OK, &part)
}

/// How much was removed.
#[derive(Debug, Serialize)]
struct Removed {
    removed: usize,
}

fn remove(store: &Store, flights: &Flights<Landing>, asked: &Asked<'_>) -> Answer {
    const CURE: &str = "expected ?url=http://HOST/PATH or ?prefix=http://HOST/, one of the two";
    let parameters: Vec<_> = asked.parameters().collect();
    let [(name, value)] = &parameters[..] else {
        return refused(CURE.to_owned());
    };
    let removed = match (&**name, &**value) {
        ("url", url) => match Key::of_url(url) {
            Some(key) => {
                flights.forget(key.as_bytes());
                usize::from(store.remove(key.as_bytes()))
            }
            None => return refused(format!("url={url}: {CURE}")),
        },
        // An empty one, which a script might give by mistake, would be everything.
        ("prefix", prefix) if !prefix.is_empty() => {
            flights.forget_below(prefix.as_bytes());
            store.remove_below(prefix.as_bytes())
        }
        _ => return refused(CURE.to_owned()),
    };
    Answer::json(StatusCode::OK, &Removed { removed })
}

fn refused(mistake: String) -> Answer {
    Answer::text(StatusCode::BAD_REQUEST, mistake)
}
