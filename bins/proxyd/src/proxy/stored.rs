//! What the store answers.

use std::sync::Arc;
use std::time::Instant;

use netio::http::response::Response;
use netio::http::server::Request;
use netproto::http::cache_status::{CacheStatus, Forwarded};
use netproto::http::fields::Fields;
use netproto::http::status::StatusCode;

use super::{Errand, Proxy};
use crate::answer;
use crate::cache::key::Key;
use crate::cache::policy::demands::Demands;
use crate::cache::policy::reuse::{self, Aged, Reuse};
use crate::cache::store::Resource;
use crate::cache::variant::Variant;
use crate::counters::Outcome;

/// The stored response that stands for a request with these fields.
pub(super) fn selected<'r>(
    resource: &'r Resource,
    fields: &Fields<'_, '_>,
) -> Option<&'r Arc<Variant>> {
    let mut variants = resource.variants().iter();
    variants.find(|variant| variant.selecting.matches(fields))
}

/// What the store has for a request.
pub(super) enum Found {
    /// An answer.
    Usable(Arc<Variant>, Aged),
    /// One that is stale and may be used while the origin is asked.
    Outdated(Arc<Variant>, Aged),
    /// None that may be used without the origin; one that it may confirm, if there is one.
    Unusable(Forwarded, Option<Arc<Variant>>),
}

impl Proxy {
    /// Looks the request up.
    pub(super) fn find(&self, request: &Request<'_>, demands: &Demands, key: &Key) -> Found {
        let Some(resource) = self.store.get(key.as_bytes()) else {
            return Found::Unusable(Forwarded::UriMiss, None);
        };
        let Some(variant) = selected(&resource, &request.head.fields) else {
            return Found::Unusable(Forwarded::VaryMiss, None);
        };
        if !answer::is_enough(request, demands, variant) {
            return Found::Unusable(Forwarded::Partial, None);
        }
        // Not the worker's clock: Age would be a tick behind, and seconds are counted by it.
        match reuse::decide(&variant.validity, &demands.directives, Instant::now()) {
            Reuse::Answer(aged) => Found::Usable(Arc::clone(variant), aged),
            Reuse::AnswerWhileRevalidating(aged) => Found::Outdated(Arc::clone(variant), aged),
            Reuse::Forward(why) => Found::Unusable(why, Some(Arc::clone(variant))),
        }
    }

    /// Answers with what was found.
    pub(super) fn stored(
        &self,
        request: &Request<'_>,
        demands: &Demands,
        variant: &Variant,
        aged: Aged,
    ) -> Response {
        let outcome = if aged.ttl.is_ok() {
            Outcome::Hit
        } else {
            Outcome::Stale
        };
        self.counters.count(outcome);
        answer::from_store(
            request,
            demands,
            variant,
            aged.age,
            &answer::hit_status(aged.ttl),
        )
        .labelled(outcome.label())
    }

    /// RFC 9111 §5.2.1.7.
    pub(super) fn not_cached(&self, errand: &Errand<'_>) -> Response {
        let text = "the request takes stored answers only, and none can be used\n";
        self.told(
            errand,
            Response::text(StatusCode::GATEWAY_TIMEOUT, text),
            CacheStatus {
                detail: Some("only-if-cached".into()),
                ..CacheStatus::default()
            },
        )
    }
}
