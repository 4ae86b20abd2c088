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
use super::stored::selected;
use super::{Errand, Proxy};
use crate::cache::combining;
use crate::cache::content::{Content, Parts};
use crate::cache::fill::flight::Lead;
use crate::cache::fill::{self, intake};
use crate::cache::key::Key;
use crate::cache::policy::freshness::Journey;
use crate::cache::policy::partial::Part;
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
        let part = Part::of(&errand.demands, &head.fields, journey.response_unix)
            .filter(|_| head.status == StatusCode::PARTIAL_CONTENT);
        if let Some(part) = part
            && (is_of_other_length(head, &part) || !(part.is_told_whole || self.holds_part(errand)))
        {
            return Err(Refusal::Partial);
        }
        // Parts are kept as what they are parts of.
        let of_whole = ResponseHead {
            status: part.map_or(head.status, |_| StatusCode::OK),
            ..*head
        };
        let stored_head = fields::response_head(&of_whole, journey.response_unix, |name| {
            storing::is_withheld(&directives, name)
                || (part.is_some() && name.eq_ignore_ascii_case("content-range"))
        })
        .map_err(|_| Refusal::Status)?;
        Ok(Place {
            key,
            asked,
            head: stored_head,
            part,
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
        let (stream, length) = match body {
            Body::Stream { stream, length } => (stream, length),
            Body::Omitted { length } => {
                self.shelve(place, Content::Nothing(length), lead.as_ref());
                return (body, Ok(()));
            }
            _ => {
                self.shelve(place, Content::Whole(Bytes::new()), lead.as_ref());
                return (body, Ok(()));
            }
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
        let stop = self.stop.clone();
        tokio::task::spawn_local(async move {
            let over = stop.requested();
            let keep = move |whole| proxy.put_whole(place, whole);
            fill::run(stream, writer, lead, over, keep).await;
        });
        let stream = Box::pin(reader);
        (Body::Stream { stream, length }, Ok(()))
    }

    /// Stores what has no body that would have to come in.
    fn shelve(&self, place: Place, content: Content, lead: Option<&Lead<Landing>>) {
        self.counters.stored.add(1);
        let is_usable = place.is_usable();
        if lead.is_some() && !is_usable {
            self.flights.go_alone(place.key.as_bytes(), Instant::now());
        }
        self.put(place, content);
        if let Some(lead) = lead {
            lead.tell(if is_usable {
                Landing::Stored
            } else {
                Landing::NotShared
            });
        }
    }

    fn put(&self, place: Place, content: Content) {
        let variant = Arc::new(Variant {
            head: place.head,
            content,
            validity: place.validity,
            selecting: place.selecting,
        });
        self.store.put(place.key.as_bytes(), variant, place.asked);
    }

    /// Stores the body of an answer, beside what else is there of it if it is a part.
    fn put_whole(&self, place: Place, body: Bytes) {
        let Some(part) = place.part else {
            return self.put(place, Content::Whole(body));
        };
        let has_come = body.len() as u64 == part.range.len();
        let Some(parts) = Parts::one(part.complete, part.range.first, body).filter(|_| has_come)
        else {
            return;
        };
        let newer = Variant {
            head: place.head,
            content: Content::Parts(parts),
            validity: place.validity,
            selecting: place.selecting,
        };
        let (store, key) = (&self.store, place.key.as_bytes());
        let resource = store.get(key);
        let stored = resource
            .as_ref()
            .and_then(|resource| resource.variant(&newer.selecting));
        let (told, room) = (part.is_told_whole, store.largest_body());
        let join = |pieces: &[&[u8]]| store.join(pieces);
        let stored = stored.map(|stored| &**stored);
        if let Some(variant) = combining::combined(stored, newer, told, room, join) {
            store.put(key, Arc::new(variant), place.asked);
        }
    }

    /// Whether parts are stored of what would answer a request, if it asked for others.
    fn holds_part(&self, errand: &Errand<'_>) -> bool {
        let stored = errand
            .key
            .as_ref()
            .and_then(|(key, _)| self.store.get(key.as_bytes()));
        stored.is_some_and(|resource| {
            let selected = selected(&resource, &errand.request.head.fields);
            selected.is_some_and(|variant| matches!(variant.content, Content::Parts(_)))
        })
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

    /// RFC 9111 §4.3.5: what HEAD is answered is told of what a GET would be, too. Returns whether an
    /// answer to GET is stored that it concerns.
    pub(super) fn freshen_by_head(
        &self,
        errand: &Errand<'_>,
        head: &ResponseHead<'_, '_>,
        journey: &Journey,
    ) -> bool {
        let Some((key, asked)) = &errand.key else {
            return false;
        };
        if errand.request.head.method != Method::Head {
            return false;
        }
        let resource = self.store.get(key.as_bytes());
        let stored = resource
            .as_ref()
            .and_then(|resource| selected(resource, &errand.request.head.fields))
            .filter(|variant| !matches!(variant.content, Content::Nothing(_)));
        let Some(stored) = stored else {
            return false;
        };
        // An error in the place of a head makes no content worthless.
        if head.status != StatusCode::OK {
            return true;
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
        true
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
    /// Which part of the content comes, if not the whole.
    part: Option<Part>,
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

/// Whether a 206 says itself that it has not the bytes that it names.
fn is_of_other_length(head: &ResponseHead<'_, '_>, part: &Part) -> bool {
    matches!(head.framing, BodyFraming::Length(length) if length != part.range.len())
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
