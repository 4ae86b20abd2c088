//! What an answer of the origin does to the store.

use std::sync::Arc;
use std::time::Instant;

use netio::http::response::Response;
use netproto::http::body::BodyFraming;
use netproto::http::cache_control::ResponseDirectives;
use netproto::http::cache_status::CacheStatus;
use netproto::http::head::ResponseHead;
use netproto::http::status::StatusCode;
use netproto::http::write::SerializeError;

use super::{Errand, Proxy};
use crate::cache::fill::Fill;
use crate::cache::policy::freshness::Journey;
use crate::cache::policy::selecting::Selecting;
use crate::cache::policy::storing::{self, Refusal};
use crate::cache::variant::Variant;
use crate::counters::Outcome;
use crate::{answer, fields};

impl Proxy {
    /// RFC 9111 §4.4.
    pub(super) fn invalidate(&self, errand: &Errand<'_>, head: &ResponseHead<'_, '_>) {
        let Some((key, _)) = &errand.key else {
            return;
        };
        if !storing::invalidates(&errand.request.head.method, head.status) {
            return;
        }
        let named = ["location", "content-location"]
            .into_iter()
            .filter_map(|name| key.refer(str::from_utf8(head.fields.first(name)?).ok()?));
        for key in named.chain([key.clone()]) {
            if self.store.remove(key.as_bytes()) {
                self.counters.invalidated.add(1);
            }
        }
    }

    /// The way of an answer into the store, if it may go there.
    pub(super) fn fill(
        &self,
        errand: &Errand<'_>,
        head: &ResponseHead<'_, '_>,
        journey: &Journey,
    ) -> Result<Fill, Refusal> {
        let validity = storing::judge(&errand.demands, head.status, &head.fields, journey)?;
        let length = match head.framing {
            BodyFraming::None => Some(0),
            BodyFraming::Length(length) => Some(length),
            BodyFraming::Chunked => None,
            // Its end cannot be told from a cut.
            BodyFraming::UntilClose => return Err(Refusal::OpenEnded),
        };
        let key = errand.key.clone().ok_or(Refusal::Method)?;
        let directives = ResponseDirectives::of(&head.fields);
        let stored_head = fields::response_head(head, journey.response_unix, |name| {
            storing::is_withheld(&directives, name)
        })
        .map_err(|_| Refusal::Status)?;
        let selecting = Selecting::of(&head.fields, &errand.request.head.fields);
        let fill = Fill::new(&self.store, key, stored_head, validity, selecting, length)?;
        self.counters.stored.add(1);
        Ok(fill)
    }

    /// Answers with what the origin has confirmed.
    pub(super) fn revalidated(
        &self,
        errand: &Errand<'_>,
        variant: &Arc<Variant>,
        verdict: Result<(), Refusal>,
    ) -> Response {
        let verdict = verdict.and_then(|()| {
            let (key, asked) = errand.key.as_ref().ok_or(Refusal::Method)?;
            let is_stored = self.store.put(key.as_bytes(), Arc::clone(variant), *asked);
            is_stored.then_some(()).ok_or(Refusal::Invalidated)
        });
        let status = answer::cache_status(CacheStatus {
            fwd: Some(errand.why),
            fwd_status: Some(StatusCode::NOT_MODIFIED.as_u16()),
            stored: verdict.is_ok(),
            detail: verdict.err().map(|refusal| refusal.name().into()),
            ..CacheStatus::default()
        });
        self.counters.count(Outcome::Revalidated);
        let age = variant.validity.freshness.age(Instant::now()).as_secs();
        answer::from_store(errand.request, &errand.demands, variant, age, &status)
            .labelled(Outcome::Revalidated.label())
    }
}

/// The cookies of a 304 go to the client that asked, not into the store.
pub(super) fn with_cookies(
    response: Response,
    update: &ResponseHead<'_, '_>,
) -> Result<Response, SerializeError> {
    fields::passed_on(&update.fields)
        .filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"))
        .try_fold(response, |response, (name, value)| {
            response.with_field(name, value)
        })
}
