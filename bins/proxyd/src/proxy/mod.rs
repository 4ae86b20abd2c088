//! One request through the proxy: from the store if the rules allow, else from the origin, whose
//! answer is stored on its way if the rules allow that.
//!
//! [`route`](crate::route) says what is asked and of whom, `stored` what the store answers, `exchange`
//! asks a server, and `storing` is what its answer does to the store. Those who ask for the same at
//! once [`share`] one answer; `stale` is what they get when there is none. What is not HTTP any more
//! goes through a `tunnel`.

mod exchange;
pub mod share;
mod stale;
mod stored;
mod storing;
mod tunnel;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use netio::http::body::RequestBody;
use netio::http::response::Response;
use netio::http::server::{Request, Service};
use netio::shutdown::Stop;
use netproto::http::body::BodyFraming;
use netproto::http::cache_status::Forwarded;
use netproto::http::method::Method;

use self::share::{Background, Landing};
use self::stored::Found;
use crate::cache::fill::flight::Flights;
use crate::cache::key::Key;
use crate::cache::policy::demands::Demands;
use crate::cache::store::{Epoch, Store};
use crate::counters::ProxyCounters;
use crate::fields::Upgrade;
use crate::impair::live::{Live, Orders};
use crate::route::{Refusal, Route, Router};
use crate::upstream::{Server, Upstream};

/// Removes what is stored under its target; several caches understand it.
const PURGE: &str = "PURGE";

/// The HTTP side of one worker.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// Says where requests go.
    pub router: Rc<Router>,
    /// Asks there.
    pub upstream: Rc<Upstream>,
    /// Answers instead, where it can; all workers share it.
    pub store: Arc<Store>,
    /// Who waits for whose answer, on all workers.
    pub flights: Arc<Flights<Landing>>,
    /// What this worker asks for beside requests.
    pub background: Background,
    /// What this worker counts.
    pub counters: Arc<ProxyCounters>,
    /// For how long a tunnel may be idle.
    pub tunnel_idle: Duration,
    /// Ends what nobody waits for.
    pub stop: Stop,
    /// Where the faults that are ordered can be seen.
    pub live: Arc<Live>,
    /// Those known to be in force.
    pub orders: RefCell<Arc<Orders>>,
}

impl Proxy {
    /// What is answered in the place of an answer, as ordered.
    fn failure(&self) -> Option<Response> {
        let mut orders = self.orders.borrow_mut();
        self.live.refresh(&mut orders);
        let status = orders.failure()?;
        self.counters.failed_as_ordered.add(1);
        Some(Response::text(
            status,
            "this failure is ordered by --impair-http or PUT /impair\n",
        ))
    }
}

/// A request on its way to a server.
struct Errand<'a> {
    request: &'a Request<'a>,
    server: Server,
    /// What the connection may be switched to.
    upgrade: Option<Upgrade>,
    demands: Demands,
    /// `None` for what can never be stored. With the moment before the store was asked.
    key: Option<(Key, Epoch)>,
    why: Forwarded,
}

impl Service for Proxy {
    fn at_once(&self, request: &Request<'_>) -> Option<Response> {
        if let Some(failure) = self.failure() {
            return Some(failure);
        }
        let demands = Demands::of(request.head);
        if !demands.reads || demands.needs_origin {
            return None;
        }
        let key = self.router.key(request)?;
        match self.find(request, &demands, &key) {
            Found::Usable(variant, aged) => Some(self.stored(request, &demands, &variant, aged)),
            Found::Outdated(..) | Found::Unusable(..) => None,
        }
    }

    async fn exchange(&self, request: &Request<'_>, body: &mut RequestBody<'_>) -> Response {
        // One without a body was asked for in `at_once` before.
        let has_body = request.head.framing != BodyFraming::None || request.head.expects_continue;
        if has_body && let Some(failure) = self.failure() {
            return failure;
        }
        let server = match self.router.route(request) {
            Ok(Route::Ask(server)) => server,
            Ok(Route::Tunnel(server)) => return self.tunnel(server).await,
            Err(Refusal::Answered(response)) => return *response,
            Err(Refusal::Denied(unanswered)) => return self.unanswered(&unanswered),
        };
        if request.head.method == Method::Other(PURGE) {
            return self.purge(request);
        }
        let demands = Demands::of(request.head);
        let upgrade = demands.wants_upgrade.then(|| Upgrade::of(request.head));
        let upgrade = upgrade.flatten();
        // What follows an answer that switches is for nobody else, nor is what stands in its place.
        let key = self.router.key(request).filter(|_| upgrade.is_none());
        let key = key.map(|key| {
            let epoch = self.store.epoch(key.as_bytes());
            (key, epoch)
        });
        let (why, stale) = match &key {
            _ if !demands.reads => (Forwarded::Method, None),
            Some((key, epoch)) if !demands.needs_origin => {
                match self.find(request, &demands, key) {
                    // Stored since `at_once` was asked, by another connection.
                    Found::Usable(variant, aged) => {
                        return self.stored(request, &demands, &variant, aged);
                    }
                    Found::Outdated(variant, aged) => {
                        self.revalidate(request, server, (key.clone(), *epoch), &variant);
                        return self.stored(request, &demands, &variant, aged);
                    }
                    Found::Unusable(why, stale) => (why, stale),
                }
            }
            _ => (Forwarded::Bypass, None),
        };
        let errand = Errand {
            request,
            server,
            upgrade,
            demands,
            key,
            why,
        };
        if demands.directives.only_if_cached {
            return self.not_cached(&errand);
        }
        if errand.is_shareable() {
            return self.share(&errand, body, stale).await;
        }
        self.ask_origin(&errand, body, stale, None).await
    }
}
