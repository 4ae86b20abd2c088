//! What an answer of the origin does to the store.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use netio::http::response::{Body, Head, Response};
use netio::http::server::Request;
use netproto::http::body::BodyFraming;
use netproto::http::cache_control::{RequestDirectives, ResponseDirectives};
use netproto::http::cache_status::CacheStatus;
use netproto::http::head::ResponseHead;
use netproto::http::method::Method;
use netproto::http::status::StatusCode;
use netproto::http::write::SerializeError;

use super::share::{Coming, Landing};
use super::{Errand, Proxy};
use crate::cache::fill::flight::Lead;
use crate::cache::fill::{self, intake};
use crate::cache::key::Key;
use crate::cache::policy::freshness::Journey;
use crate::cache::policy::reuse::{self, Reuse};
use crate::cache::policy::selecting::Selecting;
use crate::cache::policy::storing::{self, Refusal, Validity};
use crate::cache::revalidation::{self, Validation};
use crate::cache::room::NoRoom;
use crate::cache::store::Epoch;
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
            if self.remove(&key) {
                self.counters.invalidated.add(1);
            }
        }
    }

    /// What an answer is stored as, if it may be.
    pub(super) fn place(
        &self,
        errand: &Errand<'_>,
        head: &ResponseHead<'_, '_>,
        journey: &Journey,
    ) -> Result<Place, Refusal> {
        let is_of_post = errand.request.head.method == Method::Post && names_itself(errand, head);
        let judge = if is_of_post {
            storing::judge_post
        } else {
            storing::judge
        };
        let validity = judge(&errand.demands, head.status, &head.fields, journey)?;
        let (key, asked) = errand.key.clone().ok_or(Refusal::Method)?;
        // What a POST has made invalid itself it stands for now.
        let asked = if is_of_post {
            self.store.epoch(key.as_bytes())
        } else {
            asked
        };
        // Its end cannot be told from a cut.
        if head.framing == BodyFraming::UntilClose {
            return Err(Refusal::OpenEnded);
        }
        let directives = ResponseDirectives::of(&head.fields);
        let stored_head = fields::response_head(head, journey.response_unix, |name| {
            storing::is_withheld(&directives, name)
        })
        .map_err(|_| Refusal::Status)?;
        Ok(Place {
            key,
            asked,
            head: stored_head,
            validity,
            selecting: Selecting::of(&head.fields, &errand.request.head.fields),
        })
    }

    /// Lets the body of an answer come into its place, and tells those who wait for it. Returns the
    /// body for the client.
    pub(super) fn store(
        &self,
        errand: &Errand<'_>,
        place: Result<Place, Refusal>,
        body: Body,
        lead: Option<Lead<Landing>>,
    ) -> (Body, Result<(), Refusal>) {
        let place = match place {
            Ok(place) => place,
            Err(refusal) => {
                self.go_alone(errand, refusal, lead.as_ref());
                return (body, Err(refusal));
            }
        };
        let Body::Stream { stream, length } = body else {
            self.shelve(place, Bytes::new(), lead.as_ref());
            return (body, Ok(()));
        };
        let (writer, intake) = match intake::begin(self.store.room(), length) {
            Ok(begun) => begun,
            Err(no_room) => {
                let refusal = match no_room {
                    NoRoom::TooLarge => Refusal::TooLarge,
                    NoRoom::Taken => Refusal::NoRoom,
                };
                self.go_alone(errand, refusal, lead.as_ref());
                return (Body::Stream { stream, length }, Err(refusal));
            }
        };
        let Some(reader) = intake.read() else {
            return (Body::Stream { stream, length }, Err(Refusal::NoRoom));
        };
        self.counters.stored.add(1);
        let lead = lead.filter(|lead| {
            let is_usable = place.is_usable();
            if is_usable {
                self.flights.go_together(place.key.as_bytes());
                lead.tell(Landing::Coming(Arc::new(Coming {
                    head: place.head.clone(),
                    validity: place.validity,
                    selecting: place.selecting.clone(),
                    intake,
                    length,
                })));
            } else {
                self.flights.go_alone(place.key.as_bytes(), Instant::now());
                lead.tell(Landing::NotShared);
            }
            is_usable
        });
        let proxy = self.clone();
        tokio::task::spawn_local(fill::run(stream, writer, lead, move |whole| {
            proxy.put(place, whole);
        }));
        let stream = Box::pin(reader);
        (Body::Stream { stream, length }, Ok(()))
    }

    /// Stores what has no body that would have to come in.
    fn shelve(&self, place: Place, body: Bytes, lead: Option<&Lead<Landing>>) {
        self.counters.stored.add(1);
        let is_usable = place.is_usable();
        if !is_usable {
            self.flights.go_alone(place.key.as_bytes(), Instant::now());
        }
        self.put(place, body);
        if let Some(lead) = lead {
            lead.tell(if is_usable {
                Landing::Stored
            } else {
                Landing::NotShared
            });
        }
    }

    fn put(&self, place: Place, body: Bytes) {
        let variant = Arc::new(Variant {
            head: place.head,
            body,
            validity: place.validity,
            selecting: place.selecting,
        });
        self.store.put(place.key.as_bytes(), variant, place.asked);
    }

    /// Tells those who wait that there is nothing for them, and that nobody need wait for the like.
    fn go_alone(&self, errand: &Errand<'_>, refusal: Refusal, lead: Option<&Lead<Landing>>) {
        let Some(lead) = lead else {
            return;
        };
        if let (Some((key, _)), true) = (&errand.key, refusal.lasts()) {
            self.flights.go_alone(key.as_bytes(), Instant::now());
        }
        lead.tell(Landing::NotShared);
    }

    /// RFC 9111 §4.3.5: what HEAD is answered is told of what a GET would be, too.
    pub(super) fn freshen_by_head(
        &self,
        errand: &Errand<'_>,
        stored: Option<&Variant>,
        head: &ResponseHead<'_, '_>,
        journey: &Journey,
    ) {
        let (Some(stored), Some((key, asked))) = (stored, &errand.key) else {
            return;
        };
        if errand.request.head.method != Method::Head || head.status != StatusCode::OK {
            return;
        }
        match revalidation::freshen_by_head(stored, head, &errand.demands, journey) {
            Validation::Stands(variant, Ok(())) => {
                self.store.put(key.as_bytes(), variant, *asked);
            }
            Validation::Stands(_, Err(_)) => {}
            Validation::OfAnother => {
                self.remove(key);
            }
        }
    }

    /// Answers PURGE, which is for those whose requests are forwarded, too: nobody else may empty
    /// the cache.
    pub(super) fn purge(&self, request: &Request<'_>) -> Response {
        let access = &self.router.access;
        let may_purge = !access.is_reverse_only && access.of_client(request.client.ip()).is_ok();
        let (status, text) = match self.router.key(request).filter(|_| may_purge) {
            None => (
                StatusCode::FORBIDDEN,
                "403 Forbidden: PURGE is not for this client\n",
            ),
            Some(key) if self.remove(&key) => {
                self.counters.invalidated.add(1);
                (StatusCode::OK, "removed\n")
            }
            Some(_) => (
                StatusCode::NOT_FOUND,
                "404 Not Found: nothing is stored under this URL\n",
            ),
        };
        Response::text(status, text)
    }

    /// Removes what is stored under a key, and what is on its way there.
    pub(super) fn remove(&self, key: &Key) -> bool {
        self.flights.forget(key.as_bytes());
        self.store.remove(key.as_bytes())
    }

    /// Answers with what the origin has confirmed.
    pub(super) fn revalidated(
        &self,
        errand: &Errand<'_>,
        variant: &Arc<Variant>,
        verdict: Result<(), Refusal>,
        lead: Option<Lead<Landing>>,
    ) -> Response {
        let verdict = verdict.and_then(|()| {
            let (key, asked) = errand.key.as_ref().ok_or(Refusal::Method)?;
            let is_stored = self.store.put(key.as_bytes(), Arc::clone(variant), *asked);
            is_stored.then_some(()).ok_or(Refusal::Invalidated)
        });
        if let Some(lead) = lead {
            let is_usable = verdict.is_ok() && is_usable(&variant.validity);
            if let (Some((key, _)), false) = (&errand.key, is_usable) {
                self.flights.go_alone(key.as_bytes(), Instant::now());
            }
            lead.tell(if is_usable {
                Landing::Stored
            } else {
                Landing::NotShared
            });
        }
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

/// What an answer is stored as, and where, once its body has come.
#[derive(Debug)]
pub(super) struct Place {
    key: Key,
    asked: Epoch,
    head: Head,
    validity: Validity,
    selecting: Selecting,
}

impl Place {
    fn is_usable(&self) -> bool {
        is_usable(&self.validity)
    }
}

/// Whether others may be answered with it who ask now and want nothing special.
fn is_usable(validity: &Validity) -> bool {
    let decision = reuse::decide(validity, &RequestDirectives::default(), Instant::now());
    matches!(decision, Reuse::Answer(_))
}

/// Whether an answer says that it is what the target is now (RFC 9110 §8.7).
fn names_itself(errand: &Errand<'_>, head: &ResponseHead<'_, '_>) -> bool {
    let location = head.fields.first("content-location");
    let named = |key: &Key| key.refer(str::from_utf8(location?).ok()?);
    head.status.is_success()
        && errand
            .key
            .as_ref()
            .is_some_and(|(key, _)| named(key).is_some_and(|named| named == *key))
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
