//! One request through the proxy: from the store if the rules allow, else from the origin, whose
//! answer is stored on its way if the rules allow that.
//!
//! [`route`](crate::route) says what is asked and of whom, [`stored`] what the store answers,
//! [`exchange`] asks the origin, and [`storing`] is what its answer does to the store.

mod exchange;
mod stored;
mod storing;

use std::sync::Arc;

use netio::http::body::RequestBody;
use netio::http::response::Response;
use netio::http::server::{Request, Service};
use netproto::http::cache_status::Forwarded;

use self::stored::Found;
use crate::cache::key::Key;
use crate::cache::policy::demands::Demands;
use crate::cache::store::{Epoch, Store};
use crate::counters::ProxyCounters;
use crate::route;
use crate::upstream::Upstream;

/// The HTTP side of one worker.
#[derive(Debug)]
pub struct Proxy {
    upstream: Upstream,
    store: Arc<Store>,
    counters: Arc<ProxyCounters>,
}

/// A request on its way to the origin.
struct Errand<'a> {
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
        let key = route::key(request.head, self.upstream.origin())?;
        match self.find(request, &demands, &key) {
            Found::Usable(variant, aged) => Some(self.stored(request, &demands, &variant, aged)),
            Found::Unusable(..) => None,
        }
    }

    async fn exchange(&self, request: &Request<'_>, body: &mut RequestBody<'_>) -> Response {
        if let Some(refusal) = route::refuse(request) {
            return refusal;
        }
        let demands = Demands::of(request.head);
        let key = route::key(request.head, self.upstream.origin());
        let key = key.map(|key| {
            let epoch = self.store.epoch(key.as_bytes());
            (key, epoch)
        });
        let (why, stale) = match &key {
            _ if !demands.reads => (Forwarded::Method, None),
            Some((key, _)) if !demands.needs_origin => match self.find(request, &demands, key) {
                // Stored since `at_once` was asked, by another connection.
                Found::Usable(variant, aged) => {
                    return self.stored(request, &demands, &variant, aged);
                }
                Found::Unusable(why, stale) => (why, stale),
            },
            _ => (Forwarded::Bypass, None),
        };
        let errand = Errand {
            request,
            demands,
            key,
            why,
        };
        if demands.directives.only_if_cached {
            return self.not_cached(&errand);
        }
        self.ask_origin(&errand, body, stale).await
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
}
