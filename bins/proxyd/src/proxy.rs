//! One request through the proxy: from the store if the rules allow, else from the origin, whose
//! answer is stored on its way if the rules allow that.

use std::io;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use netio::http::body::RequestBody;
use netio::http::response::{Body, Response};
use netio::http::server::{Request, Service};
use netproto::http::Status;
use netproto::http::body::BodyFraming;
use netproto::http::cache_control::ResponseDirectives;
use netproto::http::cache_status::{CacheStatus, Forwarded};
use netproto::http::fields::FieldSlots;
use netproto::http::head::ResponseHead;
use netproto::http::method::Method;
use netproto::http::status::StatusCode;
use netproto::http::write::SerializeError;

use crate::answer;
use crate::cache::fill::Fill;
use crate::cache::key::Key;
use crate::cache::policy::demands::Demands;
use crate::cache::policy::freshness::Journey;
use crate::cache::policy::reuse::{self, Reuse};
use crate::cache::policy::selecting::Selecting;
use crate::cache::policy::storing::{self, Refusal};
use crate::cache::revalidation::{self, Validation};
use crate::cache::store::{Epoch, Store};
use crate::cache::variant::Variant;
use crate::counters::{Outcome, ProxyCounters};
use crate::fields::{self, Condition};
use crate::upstream::{Answer, Failure, LIMITS, Upstream};

/// The HTTP side of one worker.
#[derive(Debug)]
pub struct Proxy {
    upstream: Upstream,
    store: Arc<Store>,
    counters: Arc<ProxyCounters>,
}

/// What the store has for a request.
enum Found {
    /// An answer, of this age, with this much left of its freshness.
    Usable(Arc<Variant>, u64, Result<u64, u64>),
    /// None that may be used without the origin; one that it may confirm, if there is one.
    Unusable(Forwarded, Option<Arc<Variant>>),
}

/// A request on its way to the origin.
struct Forward<'a> {
    request: &'a Request<'a>,
    demands: Demands,
    /// `None` for what can never be stored. With the moment before the store was asked.
    key: Option<(Key, Epoch)>,
    why: Forwarded,
}

impl Service for Proxy {
    fn at_once(&self, request: &Request<'_>) -> Option<Response> {
        let demands = Demands::of(request.head);
        if !demands.reads || demands.needs_origin {
            return None;
        }
        let key = Key::of(request.head, &self.upstream.origin().authority)?;
        match self.find(request, &demands, &key) {
            Found::Usable(variant, age, ttl) => {
                Some(self.stored(request, &demands, &variant, age, ttl))
            }
            Found::Unusable(..) => None,
        }
    }

    async fn exchange(&self, request: &Request<'_>, body: &mut RequestBody<'_>) -> Response {
        if let Some(refusal) = answer::refuse(request) {
            return refusal;
        }
        let demands = Demands::of(request.head);
        let key = Key::of(request.head, &self.upstream.origin().authority);
        let key = key.map(|key| {
            let epoch = self.store.epoch(key.as_bytes());
            (key, epoch)
        });
        let (why, stale) = match &key {
            _ if !demands.reads => (Forwarded::Method, None),
            Some((key, _)) if !demands.needs_origin => match self.find(request, &demands, key) {
                // Stored since `at_once` was asked, by another connection.
                Found::Usable(variant, age, ttl) => {
                    return self.stored(request, &demands, &variant, age, ttl);
                }
                Found::Unusable(why, stale) => (why, stale),
            },
            _ => (Forwarded::Bypass, None),
        };
        let forward = Forward {
            request,
            demands,
            key,
            why,
        };
        if demands.directives.only_if_cached {
            return self.not_cached(&forward);
        }
        self.forward(&forward, body, stale).await
    }
}

impl Proxy {
    /// One worker's, on a store that all share.
    pub fn new(upstream: Upstream, store: Arc<Store>, counters: Arc<ProxyCounters>) -> Proxy {
        Proxy {
            upstream,
            store,
            counters,
        }
    }

    fn find(&self, request: &Request<'_>, demands: &Demands, key: &Key) -> Found {
        let Some(resource) = self.store.get(key.as_bytes()) else {
            return Found::Unusable(Forwarded::UriMiss, None);
        };
        let fields = &request.head.fields;
        let selected = resource
            .variants()
            .iter()
            .find(|variant| variant.selecting.matches(fields));
        let Some(variant) = selected else {
            return Found::Unusable(Forwarded::VaryMiss, None);
        };
        match reuse::decide(&variant.validity, &demands.directives, request.now) {
            Reuse::Answer { age, ttl } => Found::Usable(Arc::clone(variant), age, ttl),
            Reuse::Forward(why) => Found::Unusable(why, Some(Arc::clone(variant))),
        }
    }

    fn stored(
        &self,
        request: &Request<'_>,
        demands: &Demands,
        variant: &Variant,
        age: u64,
        ttl: Result<u64, u64>,
    ) -> Response {
        let outcome = if ttl.is_ok() {
            Outcome::Hit
        } else {
            Outcome::Stale
        };
        self.counters.count(outcome);
        answer::from_store(request, demands, variant, age, &answer::hit_status(ttl))
            .labelled(outcome.label())
    }

    /// RFC 9111 §5.2.1.7.
    fn not_cached(&self, forward: &Forward<'_>) -> Response {
        let text = "the request takes stored answers only, and none can be used\n";
        self.told(
            forward,
            Response::text(StatusCode::GATEWAY_TIMEOUT, text),
            CacheStatus {
                detail: Some("only-if-cached".into()),
                ..CacheStatus::default()
            },
        )
    }

    async fn forward(
        &self,
        forward: &Forward<'_>,
        body: &mut RequestBody<'_>,
        stale: Option<Arc<Variant>>,
    ) -> Response {
        let mut validated = stale.and_then(|variant| {
            let condition = revalidation::condition(&variant)?;
            Some((variant, condition))
        });
        loop {
            let condition = validated.as_ref().map(|(_, condition)| condition);
            let (answer, journey) = match self.ask(forward, body, condition).await {
                Ok(answered) => answered,
                Err(failure) => return self.failed(forward, &failure),
            };
            let bytes = answer.head.clone();
            let mut slots = FieldSlots::new();
            let method = &forward.request.head.method;
            let head = match ResponseHead::parse(&bytes, &mut slots, &LIMITS, method) {
                Ok(Status::Complete(head)) => head,
                // The same bytes were a whole head a moment ago.
                Ok(Status::Partial) => return self.failed(forward, &Failure::Closed),
                Err(error) => return self.failed(forward, &Failure::Malformed(error)),
            };
            if head.status == StatusCode::SWITCHING_PROTOCOLS {
                return self.failed(forward, &Failure::Switched);
            }
            let Some((variant, _)) = validated
                .take()
                .filter(|_| head.status == StatusCode::NOT_MODIFIED)
            else {
                return self
                    .pass_on(forward, answer, &head, &journey)
                    .unwrap_or_else(|error| answer::internal(&error));
            };
            if answer.is_in_order && head.persistent {
                self.upstream.keeper()(answer.connection.rested());
            }
            let asked = &forward.request.head.fields;
            match revalidation::freshen(&variant, &head, asked, &forward.demands, &journey) {
                Validation::Stands(variant, verdict) => {
                    let response = self.revalidated(forward, variant, verdict);
                    return with_cookies(response, &head)
                        .unwrap_or_else(|error| answer::internal(&error));
                }
                // Asked again, without the condition that led nowhere.
                Validation::OfAnother => {}
            }
        }
    }

    /// Asks the origin; about what is stored, if there is a condition.
    async fn ask(
        &self,
        forward: &Forward<'_>,
        body: &mut RequestBody<'_>,
        condition: Option<&Condition>,
    ) -> Result<(Answer, Journey), Failure> {
        let request = forward.request;
        // In the spelling of the key: an answer that repeats another one would be stored for all.
        let host = match (&forward.key, request.head.host) {
            (Some((key, _)), _) => key.authority(),
            (None, "") => &self.upstream.origin().authority,
            (None, host) => host,
        };
        let head = fields::render_request(request, host, condition)
            .map_err(|error| Failure::Broken(io::Error::other(error)))?;
        let request_time = Instant::now();
        let method = &request.head.method;
        let answer = self.upstream.ask(Bytes::from(head), method, body).await?;
        let journey = Journey {
            request_time,
            response_time: Instant::now(),
            response_unix: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_secs()),
        };
        Ok((answer, journey))
    }

    /// Passes an answer of the origin on to the client, and into the store if it may be stored.
    fn pass_on(
        &self,
        forward: &Forward<'_>,
        answer: Answer,
        head: &ResponseHead<'_, '_>,
        journey: &Journey,
    ) -> Result<Response, SerializeError> {
        self.invalidate(forward, head);
        let fill = self.fill(forward, head, journey);
        let body = self.body(forward, answer, head);
        let stored = fill.as_ref().map(|_| ()).map_err(|refusal| *refusal);
        let body = match (fill, body) {
            (Ok(fill), Body::Stream { stream, length }) => Body::Stream {
                stream: fill.through(stream),
                length,
            },
            (Ok(fill), Body::Empty) => {
                fill.finish(Vec::new());
                Body::Empty
            }
            (_, body) => body,
        };
        let sent = fields::response_head(head, journey.response_unix, |_| false)?;
        let mut response = Response::new(sent, body);
        if let Some(age) = head.fields.first("age") {
            response = response.with_field("Age", age)?;
        }
        let refusal = stored.err().filter(|_| forward.demands.is_get);
        Ok(self.told(
            forward,
            response,
            CacheStatus {
                stored: stored.is_ok(),
                detail: refusal.map(|refusal| refusal.name().into()),
                ..CacheStatus::default()
            },
        ))
    }

    /// RFC 9111 §4.4.
    fn invalidate(&self, forward: &Forward<'_>, head: &ResponseHead<'_, '_>) {
        let Some((key, _)) = &forward.key else {
            return;
        };
        if !storing::invalidates(&forward.request.head.method, head.status) {
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
    fn fill(
        &self,
        forward: &Forward<'_>,
        head: &ResponseHead<'_, '_>,
        journey: &Journey,
    ) -> Result<Fill, Refusal> {
        let validity = storing::judge(&forward.demands, head.status, &head.fields, journey)?;
        let length = match head.framing {
            BodyFraming::None => Some(0),
            BodyFraming::Length(length) => Some(length),
            BodyFraming::Chunked => None,
            // Its end cannot be told from a cut.
            BodyFraming::UntilClose => return Err(Refusal::OpenEnded),
        };
        let key = forward.key.clone().ok_or(Refusal::Method)?;
        let directives = ResponseDirectives::parse(head.fields.all("cache-control"));
        let stored_head = fields::response_head(head, journey.response_unix, |name| {
            storing::is_withheld(&directives, name)
        })
        .map_err(|_| Refusal::Status)?;
        let selecting = Selecting::of(&head.fields, &forward.request.head.fields);
        let fill = Fill::new(&self.store, key, stored_head, validity, selecting, length)?;
        self.counters.stored.add(1);
        Ok(fill)
    }

    /// The body of an answer. Its connection goes back to the pool when it has come whole.
    fn body(&self, forward: &Forward<'_>, answer: Answer, head: &ResponseHead<'_, '_>) -> Body {
        let Answer {
            connection,
            is_in_order,
            ..
        } = answer;
        let keeper = (is_in_order && head.persistent).then(|| self.upstream.keeper());
        if matches!(head.framing, BodyFraming::None | BodyFraming::Length(0)) {
            if let Some(keep) = keeper {
                keep(connection.rested());
            }
            return match forward.request.head.method {
                Method::Head => Body::Omitted {
                    length: content_length(head),
                },
                _ => Body::Empty,
            };
        }
        let length = match head.framing {
            BodyFraming::Length(length) => Some(length),
            _ => None,
        };
        let keep = move |connection| {
            if let Some(keep) = keeper {
                keep(connection);
            }
        };
        match connection.into_body(head.framing, &LIMITS, keep) {
            Ok(stream) => Body::Stream { stream, length },
            // No length is over a limit that is none.
            Err(_) => Body::Empty,
        }
    }

    /// Answers with what the origin has confirmed.
    fn revalidated(
        &self,
        forward: &Forward<'_>,
        variant: Variant,
        verdict: Result<(), Refusal>,
    ) -> Response {
        let variant = Arc::new(variant);
        let verdict = verdict.and_then(|()| {
            let (key, asked) = forward.key.as_ref().ok_or(Refusal::Method)?;
            let is_stored = self.store.put(key.as_bytes(), Arc::clone(&variant), *asked);
            is_stored.then_some(()).ok_or(Refusal::Invalidated)
        });
        let status = answer::cache_status(CacheStatus {
            fwd: Some(forward.why),
            fwd_status: Some(StatusCode::NOT_MODIFIED.as_u16()),
            stored: verdict.is_ok(),
            detail: verdict.err().map(|refusal| refusal.name().into()),
            ..CacheStatus::default()
        });
        self.counters.count(Outcome::Revalidated);
        let age = variant.validity.freshness.age(Instant::now()).as_secs();
        answer::from_store(forward.request, &forward.demands, &variant, age, &status)
            .labelled(Outcome::Revalidated.label())
    }

    fn failed(&self, forward: &Forward<'_>, failure: &Failure) -> Response {
        self.counters.failures.add(1);
        let response = answer::failed(self.upstream.origin(), failure);
        self.told(forward, response, CacheStatus::default())
    }

    /// Says what the cache did, in the answer and in the log.
    fn told(&self, forward: &Forward<'_>, response: Response, status: CacheStatus<'_>) -> Response {
        let outcome = match forward.why {
            Forwarded::Method | Forwarded::Bypass => Outcome::Bypass,
            _ => Outcome::Miss,
        };
        self.counters.count(outcome);
        let value = answer::cache_status(CacheStatus {
            fwd: Some(forward.why),
            ..status
        });
        response
            .with_field("Cache-Status", value)
            .unwrap_or_else(|error| answer::internal(&error))
            .labelled(outcome.label())
    }
}

/// The cookies of a 304 go to the client that asked, not into the store.
fn with_cookies(
    response: Response,
    update: &ResponseHead<'_, '_>,
) -> Result<Response, SerializeError> {
    fields::passed_on(&update.fields)
        .filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie"))
        .try_fold(response, |response, (name, value)| {
            response.with_field(name, value)
        })
}

/// What the answer to HEAD says of the body that GET would have had.
fn content_length(head: &ResponseHead<'_, '_>) -> Option<u64> {
    str::from_utf8(head.fields.first("content-length")?)
        .ok()?
        .parse()
        .ok()
}
