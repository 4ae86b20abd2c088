//! Those who ask for the same at once get one answer: the first asks the origin, on a task of its own
//! that no client's going away ends, and the others wait for what it hears. What is stale and may be
//! sent all the same is asked for on such a task, too.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use netio::http::body::RequestBody;
use netio::http::response::{Body, Head, Response};
use netio::http::server::Request;
use netproto::http::Status;
use netproto::http::cache_status::{CacheStatus, Forwarded};
use netproto::http::fields::FieldSlots;
use netproto::http::head::RequestHead;
use netproto::http::method::Method;
use netproto::http::status::StatusCode;
use tokio::sync::{mpsc, oneshot};

use super::stored::Found;
use super::{Errand, Proxy};
use crate::answer;
use crate::cache::fill::flight::{Boarding, Lead};
use crate::cache::fill::intake::Intake;
use crate::cache::key::Key;
use crate::cache::policy::demands::Demands;
use crate::cache::policy::reuse::{self, Reuse};
use crate::cache::policy::selecting::Selecting;
use crate::cache::policy::storing::Validity;
use crate::cache::store::Epoch;
use crate::cache::variant::{STORED, Variant};
use crate::upstream::{Server, Unanswered};

/// How often one waits for another before he asks himself: an answer may turn out to be for other
/// requests, and so may the next.
const WAITS: usize = 3;
/// How many stale responses a worker asks for at once beside the requests that it answers.
const IN_BACKGROUND: usize = 64;

/// How many interim answers wait for a client to take them.
const INTERIM: usize = 8;

/// What the first who asked hears, for the others.
#[derive(Debug, Clone)]
pub enum Landing {
    /// This answer, whose body comes in.
    Coming(Arc<Coming>),
    /// The store has it.
    Stored,
    /// Nothing that others may use.
    NotShared,
    /// An answer with this status, which says that the origin is in trouble.
    Error(StatusCode),
    /// No answer.
    Unanswered(Arc<Unanswered>),
}

/// An answer that is being stored.
#[derive(Debug)]
pub struct Coming {
    pub(super) head: Head,
    pub(super) validity: Validity,
    pub(super) selecting: Selecting,
    pub(super) intake: Arc<Intake>,
    pub(super) length: Option<u64>,
}

/// How many stale responses one worker asks for now, beside the requests that it answers.
#[derive(Debug, Clone, Default)]
pub struct Background(Rc<Cell<usize>>);

/// One of them.
struct Place(Background);

impl Background {
    fn place(&self) -> Option<Place> {
        let taken = self.0.get();
        (taken < IN_BACKGROUND).then(|| {
            self.0.set(taken + 1);
            Place(self.clone())
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let taken = &self.0.0;
        taken.set(taken.get() - 1);
    }
}

/// An errand that outlives the connection by which it came.
struct Commission {
    head: Box<[u8]>,
    client: SocketAddr,
    is_tls: bool,
    unix_seconds: u64,
    server: Server,
    key: (Key, Epoch),
    why: Forwarded,
    stale: Option<Arc<Variant>>,
    lead: Lead<Landing>,
}

impl Errand<'_> {
    /// Whether its answer may be another's, too: not if it is about what only this client has.
    pub(super) fn is_shareable(&self) -> bool {
        let demands = &self.demands;
        demands.is_get
            && self.key.is_some()
            && !demands.needs_origin
            && !demands.is_conditional
            && !demands.wants_range
            && !demands.has_authorization
            && !demands.directives.no_store
    }
}

impl Proxy {
    /// Asks the origin, or waits for who has asked it already.
    pub(super) async fn share(
        &self,
        errand: &Errand<'_>,
        body: &mut RequestBody<'_>,
        mut stale: Option<Arc<Variant>>,
    ) -> Response {
        let fields = &errand.request.head.fields;
        let mut sort = self.sort(errand);
        for _ in 0..WAITS {
            let Some((key, epoch)) = &errand.key else {
                break;
            };
            let follow = match self.flights.board(key.as_bytes(), &sort, Instant::now()) {
                Boarding::Alone => break,
                Boarding::Lead(lead) => {
                    let key = (key.clone(), *epoch);
                    return self.commission(errand, body, key, stale, lead).await;
                }
                // Who wants the origin's word does not take what another asked it before.
                Boarding::Follow(_) if errand.why == Forwarded::Request => break,
                Boarding::Follow(follow) => follow,
            };
            match follow.news().await {
                Some(Landing::Coming(coming)) if coming.selecting.matches(fields) => {
                    match self.follow(errand, &coming) {
                        Some(response) => return response,
                        None => break,
                    }
                }
                Some(Landing::Coming(coming)) => {
                    sort = coming.selecting.of_another(fields).fingerprint();
                }
                Some(Landing::Stored) => match self.find(errand.request, &errand.demands, key) {
                    Found::Usable(variant, aged) | Found::Outdated(variant, aged) => {
                        return self.stored(errand.request, &errand.demands, &variant, aged);
                    }
                    Found::Unusable(_, found) => {
                        stale = found;
                        sort = self.sort(errand);
                    }
                },
                Some(Landing::Unanswered(unanswered)) => {
                    return self.instead_of_failure(errand, &unanswered, stale.as_deref());
                }
                Some(Landing::Error(status)) => {
                    match self.instead_of(errand, status, stale.as_deref()) {
                        Some(response) => return response,
                        None => break,
                    }
                }
                Some(Landing::NotShared) | None => break,
            }
        }
        self.ask_origin(errand, body, stale, None).await
    }

    /// Asks the origin for what is stale, while that is sent.
    pub(super) fn revalidate(
        &self,
        request: &Request<'_>,
        server: Server,
        key: (Key, Epoch),
        variant: &Arc<Variant>,
    ) {
        let Some(place) = self.background.place() else {
            return;
        };
        let selecting = variant.selecting.of_another(&request.head.fields);
        let mut sort = selecting.fingerprint();
        if request.head.method == Method::Head {
            sort.push(b'H');
        }
        let now = Instant::now();
        let Boarding::Lead(lead) = self.flights.board(key.0.as_bytes(), &sort, now) else {
            return;
        };
        let commission = Commission {
            head: request.head.bytes.into(),
            client: request.client,
            is_tls: request.is_tls,
            unix_seconds: request.unix_seconds,
            server,
            key,
            why: Forwarded::Stale,
            stale: Some(Arc::clone(variant)),
            lead,
        };
        let proxy = self.clone();
        tokio::task::spawn_local(async move {
            let stop = proxy.stop.clone();
            tokio::select! {
                _ = proxy.fetch(commission, None) => {}
                () = stop.requested() => {}
            }
            drop(place);
        });
    }

    /// Which of the answers under its key an errand is about, as far as that is known.
    fn sort(&self, errand: &Errand<'_>) -> Vec<u8> {
        let stored = errand
            .key
            .as_ref()
            .and_then(|(key, _)| self.store.get(key.as_bytes()));
        let selecting = stored
            .as_ref()
            .and_then(|resource| resource.variants().first());
        selecting.map_or_else(Vec::new, |variant| {
            let fields = &errand.request.head.fields;
            variant.selecting.of_another(fields).fingerprint()
        })
    }

    /// Leads: asks the origin on a task of its own, and waits for that.
    async fn commission(
        &self,
        errand: &Errand<'_>,
        body: &mut RequestBody<'_>,
        key: (Key, Epoch),
        stale: Option<Arc<Variant>>,
        lead: Lead<Landing>,
    ) -> Response {
        let request = errand.request;
        let commission = Commission {
            head: request.head.bytes.into(),
            client: request.client,
            is_tls: request.is_tls,
            unix_seconds: request.unix_seconds,
            server: errand.server.clone(),
            key,
            why: errand.why,
            stale,
            lead,
        };
        let (answer, mut told) = oneshot::channel();
        let (teller, mut interim) = mpsc::channel(INTERIM);
        let proxy = self.clone();
        tokio::task::spawn_local(async move {
            // Whose client has gone has no use for it; what is stored goes on.
            let _ = answer.send(proxy.fetch(commission, Some(teller)).await);
        });
        let answer = loop {
            tokio::select! {
                biased;
                Some(head) = interim.recv() => {
                    // A client that is gone is found out when it is answered.
                    let _ = body.tell(&head).await;
                }
                answer = &mut told => break answer,
            }
        };
        answer.unwrap_or_else(|_| {
            Response::text(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the request was given up\n",
            )
        })
    }

    async fn fetch(&self, commission: Commission, teller: Option<mpsc::Sender<Head>>) -> Response {
        let mut slots = FieldSlots::new();
        let head = match RequestHead::parse(&commission.head, &mut slots, &STORED) {
            Ok(Status::Complete(head)) => head,
            // The same bytes were a whole head a moment ago.
            Ok(Status::Partial) | Err(_) => {
                return Response::text(StatusCode::INTERNAL_SERVER_ERROR, "no request\n");
            }
        };
        let request = Request {
            head: &head,
            client: commission.client,
            now: Instant::now(),
            is_tls: commission.is_tls,
            unix_seconds: commission.unix_seconds,
        };
        let errand = Errand {
            request: &request,
            server: commission.server,
            upgrade: None,
            demands: Demands::of(&head),
            key: Some(commission.key),
            why: commission.why,
        };
        let body = &mut RequestBody::none(teller);
        self.ask_origin(&errand, body, commission.stale, Some(commission.lead))
            .await
    }

    /// Answers with what another has asked for, as it comes in.
    fn follow(&self, errand: &Errand<'_>, coming: &Coming) -> Option<Response> {
        let asked = &errand.demands.directives;
        let Reuse::Answer(aged) = reuse::decide(&coming.validity, asked, Instant::now()) else {
            return None;
        };
        let body = Body::Stream {
            stream: Box::pin(coming.intake.read()?),
            length: coming.length,
        };
        let response = Response::new(coming.head.clone(), body)
            .with_field("Age", itoa::Buffer::new().format(aged.age))
            .unwrap_or_else(|error| answer::internal(&error));
        self.counters.collapsed.add(1);
        let status = CacheStatus {
            collapsed: true,
            ..CacheStatus::default()
        };
        Some(self.told(errand, response, status))
    }
}
