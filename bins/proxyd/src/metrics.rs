//! What the admin endpoint shows of the proxy.

use std::sync::Arc;

use netio::admin::Panel;
use netio::http::tunnel::TunnelCounters;
use netio::telemetry::{Counter, HttpCounters, HttpTotals, Metrics};

use crate::cache::store::Store;
use crate::counters::ProxyCounters;
use crate::relay::RelayCounters;

/// What one worker counts.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) http: Arc<HttpCounters>,
    pub(crate) proxy: Arc<ProxyCounters>,
    pub(crate) relay: Arc<RelayCounters>,
}

/// Every figure, added up over the workers.
pub(crate) fn panel(workers: &[Arc<Counters>], store: Arc<Store>) -> Panel {
    let mut metrics = Metrics::new("proxyd");
    let http: Vec<_> = workers.iter().map(|w| Arc::clone(&w.http)).collect();
    metrics.http(&http);
    cache(&mut metrics, workers, store);
    forward(&mut metrics, workers);
    relay(&mut metrics, workers);
    let mut panel = Panel::new("proxyd", env!("CARGO_PKG_VERSION"), metrics);
    panel.section("http", move || HttpTotals::of(&http));
    panel
}

fn cache(metrics: &mut Metrics, workers: &[Arc<Counters>], store: Arc<Store>) {
    let sum = summing(workers, |worker| &*worker.proxy);
    let outcomes = sum.clone();
    metrics.counters(
        "cache_requests",
        "Requests by what the cache had to do with their answer",
        "outcome",
        move || {
            vec![
                ("hit", outcomes(|c| &c.hits)),
                ("stale", outcomes(|c| &c.stale)),
                ("revalidated", outcomes(|c| &c.revalidated)),
                ("miss", outcomes(|c| &c.misses)),
                ("bypass", outcomes(|c| &c.bypasses)),
            ]
        },
    );
    let mut counter = |name, help, of: fn(&ProxyCounters) -> &Counter| {
        let sum = sum.clone();
        metrics.counter(name, help, move || sum(of));
    };
    counter(
        "origin_failures",
        "Requests that the origin did not answer",
        |c| &c.failures,
    );
    counter("cache_stored", "Answers that began to be stored", |c| {
        &c.stored
    });
    counter(
        "cache_invalidated",
        "Keys removed as a request changed what they name",
        |c| &c.invalidated,
    );
    let stored = Arc::clone(&store);
    metrics.gauge("cache_entries", "Keys stored now", move || {
        stored.len() as u64
    });
    metrics.gauge(
        "cache_bytes",
        "Bytes stored now: keys, heads, bodies and overhead",
        move || store.bytes(),
    );
}

fn forward(metrics: &mut Metrics, workers: &[Arc<Counters>]) {
    let sum = summing(workers, |worker| &*worker.proxy);
    metrics.counter(
        "denied",
        "Requests that the rules of the forward proxy did not let through",
        move || sum(|c| &c.denied),
    );
    let sum = summing(workers, |worker| &*worker.proxy.tunnels);
    let mut counter = |name, help, of: fn(&TunnelCounters) -> &Counter| {
        let sum = sum.clone();
        metrics.counter(name, help, move || sum(of));
    };
    counter("tunnels_opened", "Tunnels begun", |c| &c.opened);
    counter("tunnels_idle", "Tunnels ended as nothing passed", |c| {
        &c.idle
    });
    counter("tunnel_up_bytes", "Bytes from clients in tunnels", |c| {
        &c.up_bytes
    });
    counter("tunnel_down_bytes", "Bytes to clients in tunnels", |c| {
        &c.down_bytes
    });
    metrics.gauge("tunnels_open", "Tunnels open now", move || sum(|c| &c.open));
}

fn relay(metrics: &mut Metrics, workers: &[Arc<Counters>]) {
    let sum = summing(workers, |worker| &*worker.relay);
    let mut counter = |name, help, of: fn(&RelayCounters) -> &Counter| {
        let sum = sum.clone();
        metrics.counter(name, help, move || sum(of));
    };
    counter("relay_received", "Datagrams from clients", |c| &c.received);
    counter("relay_received_bytes", "Payload bytes from clients", |c| {
        &c.received_bytes
    });
    counter(
        "relay_to_target",
        "Datagrams passed on to the target",
        |c| &c.to_target,
    );
    counter("relay_answers", "Datagrams from the target", |c| &c.answers);
    counter("relay_answer_bytes", "Payload bytes from the target", |c| {
        &c.answer_bytes
    });
    counter("relay_to_clients", "Datagrams passed on to clients", |c| {
        &c.to_clients
    });
    counter("relay_sessions_opened", "Sessions begun", |c| {
        &c.sessions_opened
    });
    counter(
        "relay_sessions_expired",
        "Sessions ended as nothing passed",
        |c| &c.sessions_expired,
    );
    counter(
        "relay_sessions_displaced",
        "Sessions ended for another client's",
        |c| &c.sessions_displaced,
    );
    let open = sum.clone();
    metrics.gauge("relay_sessions_open", "Sessions open now", move || {
        open(|c| &c.sessions_open)
    });
    let workers = workers.to_vec();
    metrics.counters(
        "relay_dropped",
        "Datagrams dropped, by reason",
        "reason",
        move || {
            let mut totals: Vec<(&'static str, u64)> = Vec::new();
            for (reason, count) in workers.iter().flat_map(|worker| worker.relay.dropped()) {
                match totals.iter_mut().find(|(known, _)| *known == reason) {
                    Some((_, total)) => *total += count,
                    None => totals.push((reason, count)),
                }
            }
            totals
        },
    );
}

/// What adds one counter up over all workers.
fn summing<C>(
    workers: &[Arc<Counters>],
    part: fn(&Counters) -> &C,
) -> impl Fn(fn(&C) -> &Counter) -> u64 + Clone + use<C> {
    let workers = workers.to_vec();
    move |of| workers.iter().map(|worker| of(part(worker)).value()).sum()
}
