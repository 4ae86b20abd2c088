//! A request that the store does not answer: the origin is asked, and its answer passed on.

use std::io;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use netio::http::body::RequestBody;
use netio::http::response::{Body, Response};
use netproto::http::Status;
use netproto::http::body::BodyFraming;
use netproto::http::cache_status::{CacheStatus, Forwarded};
use netproto::http::fields::FieldSlots;
use netproto::http::head::ResponseHead;
use netproto::http::method::Method;
use netproto::http::status::StatusCode;
use netproto::http::write::SerializeError;

use super::share::Landing;
use super::storing::with_cookies;
use super::{Errand, Proxy};
use crate::answer;
use crate::cache::fill::flight::Lead;
use crate::cache::policy::freshness::Journey;
use crate::cache::policy::storing::Refusal;
use crate::cache::revalidation::{self, Validation};
use crate::cache::variant::Variant;
use crate::counters::Outcome;
use crate::fields::{self, Condition};
use crate::upstream::{Answer, Failure, LIMITS, Unanswered};

impl Proxy {
    /// Asks the origin; about what is `stale`, if that can be confirmed. `lead` tells those who wait
    /// for the same answer: what it is about is then what is stored, whatever the client has.
    pub(super) async fn ask_origin(
        &self,
        errand: &Errand<'_>,
        body: &mut RequestBody<'_>,
        stale: Option<Arc<Variant>>,
        mut lead: Option<Lead<Landing>>,
    ) -> Response {
        let mut validated = stale.as_ref().and_then(|variant| {
            let condition = revalidation::condition(variant)?;
            Some((Arc::clone(variant), condition))
        });
        let unconditional = Condition::default();
        loop {
            let about = validated.as_ref().map(|(_, condition)| condition);
            let condition = about.or(lead.is_some().then_some(&unconditional));
            let (answer, journey) = match self.ask(errand, body, condition).await {
                Ok(answered) => answered,
                Err(unanswered) => {
                    return self.without_answer(errand, unanswered, stale.as_deref(), lead);
                }
            };
            let server = answer.server.clone();
            let unanswered = |failure| Unanswered { server, failure };
            let bytes = answer.head.clone();
            let mut slots = FieldSlots::new();
            let method = &errand.request.head.method;
            let head = match ResponseHead::parse(&bytes, &mut slots, &LIMITS, method) {
                Ok(Status::Complete(head)) => head,
                // The same bytes were a whole head a moment ago.
                Ok(Status::Partial) => {
                    let closed = unanswered(Failure::Closed);
                    return self.without_answer(errand, closed, stale.as_deref(), lead);
                }
                Err(error) => {
                    let malformed = unanswered(Failure::Malformed(error));
                    return self.without_answer(errand, malformed, stale.as_deref(), lead);
                }
            };
            if let Some(response) = self.instead_of(errand, head.status, stale.as_deref()) {
                if let Some(lead) = lead {
                    lead.tell(Landing::Error(head.status));
                }
                return response;
            }
            if head.status == StatusCode::SWITCHING_PROTOCOLS {
                return self
                    .switched(errand, answer, &head)
                    .unwrap_or_else(|failure| self.failed(errand, &unanswered(failure)));
            }
            let Some((variant, _)) = validated
                .take()
                .filter(|_| head.status == StatusCode::NOT_MODIFIED)
            else {
                return self
                    .pass_on(errand, answer, &head, &journey, lead)
                    .unwrap_or_else(|error| answer::internal(&error));
            };
            if answer.is_in_order && head.persistent {
                self.upstream.keeper(&answer.server)(answer.connection.rested());
            }
            match revalidation::freshen(&variant, &head, &errand.demands, &journey) {
                Validation::Stands(variant, verdict)
                    if answer::is_enough(errand.request, &errand.demands, &variant) =>
                {
                    let response = self.revalidated(errand, &variant, verdict, lead.take());
                    return with_cookies(response, &head)
                        .unwrap_or_else(|error| answer::internal(&error));
                }
                // Asked again, without the condition that led nowhere.
                Validation::Stands(..) | Validation::OfAnother => {}
            }
        }
    }

    /// Asks the origin; about what is stored, if there is a condition.
    async fn ask(
        &self,
        errand: &Errand<'_>,
        body: &mut RequestBody<'_>,
        condition: Option<&Condition>,
    ) -> Result<(Answer, Journey), Unanswered> {
        let request = errand.request;
        let key = errand.key.as_ref().map(|(key, _)| key);
        let host = self.router.host(key, request.head);
        let (hop, upgrade) = (&self.router.hop, errand.upgrade.as_ref());
        let head =
            fields::render_request(request, hop, host, condition, upgrade).map_err(|error| {
                Unanswered {
                    server: errand.server.clone(),
                    failure: Failure::Broken(io::Error::other(error)),
                }
            })?;
        let request_time = Instant::now();
        let method = &request.head.method;
        let answer = self
            .upstream
            .ask(&errand.server, Bytes::from(head), method, body)
            .await?;
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
        errand: &Errand<'_>,
        answer: Answer,
        head: &ResponseHead<'_, '_>,
        journey: &Journey,
        lead: Option<Lead<Landing>>,
    ) -> Result<Response, SerializeError> {
        self.invalidate(errand, head);
        let is_told = self.freshen_by_head(errand, head, journey);
        let place = self
            .place(errand, head, journey)
            .and_then(|place| (!is_told).then_some(place).ok_or(Refusal::Method));
        let body = self.body(errand, answer, head);
        let (body, stored) = self.store(errand, place, body, lead);
        let sent = fields::response_head(head, journey.response_unix, |_| false)?;
        let mut response = Response::new(sent, body);
        if let Some(age) = head.fields.first("age") {
            response = response.with_field("Age", age)?;
        }
        let refusal = stored.err().filter(|refusal| *refusal != Refusal::Method);
        Ok(self.told(
            errand,
            response,
            CacheStatus {
                stored: stored.is_ok(),
                detail: refusal.map(|refusal| refusal.name().into()),
                ..CacheStatus::default()
            },
        ))
    }

    /// The body of an answer. Its connection goes back to the pool when it has come whole.
    fn body(&self, errand: &Errand<'_>, answer: Answer, head: &ResponseHead<'_, '_>) -> Body {
        let Answer {
            server,
            busy,
            connection,
            is_in_order,
            ..
        } = answer;
        let keeper = (is_in_order && head.persistent).then(|| self.upstream.keeper(&server));
        if matches!(head.framing, BodyFraming::None | BodyFraming::Length(0)) {
            if let Some(keep) = keeper {
                connection.after_answer(keep);
            }
            return match errand.request.head.method {
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
        // The origin has it under way until the body has come, or is given up.
        let keep = move |connection| {
            drop(busy);
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

    pub(super) fn failed(&self, errand: &Errand<'_>, unanswered: &Unanswered) -> Response {
        let response = self.unanswered(unanswered);
        if matches!(unanswered.failure, Failure::Denied(_)) {
            return response;
        }
        self.told(errand, response, CacheStatus::default())
    }

    /// What a client is told who gets no answer of a server.
    pub(super) fn unanswered(&self, unanswered: &Unanswered) -> Response {
        if let Failure::Denied(_) = unanswered.failure {
            self.counters.denied.add(1);
            return unanswered.response().labelled("DENIED");
        }
        self.counters.failures.add(1);
        unanswered.response()
    }

    /// Says what the cache did, in the answer and in the log.
    pub(super) fn told(
        &self,
        errand: &Errand<'_>,
        response: Response,
        status: CacheStatus<'_>,
    ) -> Response {
        let outcome = match errand.why {
            Forwarded::Method | Forwarded::Bypass => Outcome::Bypass,
            _ => Outcome::Miss,
        };
        self.counters.count(outcome);
        let value = answer::cache_status(CacheStatus {
            fwd: Some(errand.why),
            ..status
        });
        response
            .with_field("Cache-Status", value)
            .unwrap_or_else(|error| answer::internal(&error))
            .labelled(outcome.label())
    }
}

/// What the answer to HEAD says of the body that GET would have had.
fn content_length(head: &ResponseHead<'_, '_>) -> Option<u64> {
    str::from_utf8(head.fields.first("content-length")?)
        .ok()?
        .parse()
        .ok()
}
