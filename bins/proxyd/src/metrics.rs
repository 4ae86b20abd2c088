//! What /metrics shows of the proxy.

use std::sync::Arc;
use std::time::Instant;

use netio::telemetry::{HttpCounters, Metrics, summing, totals};

use crate::admin::Shown;
use crate::cache::store::Store;
use crate::counters::ProxyCounters;
use crate::impair::Direction;
use crate::impair::live::Live;
use crate::relay::RelayCounters;

/// What one worker counts.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) http: Arc<HttpCounters>,
    pub(crate) proxy: Arc<ProxyCounters>,
    pub(crate) relay: Arc<RelayCounters>,
}

/// Every figure, added up over the workers.
pub(crate) fn of(shown: &Shown) -> Metrics {
    let mut metrics = Metrics::new("proxyd");
    let workers = &shown.workers;
    let http: Vec<_> = workers.iter().map(|w| Arc::clone(&w.http)).collect();
    metrics.http(&http);
    cache(&mut metrics, workers, Arc::clone(&shown.store));
    forward(&mut metrics, workers);
    let origins = Arc::clone(&shown.origins);
    metrics.gauge("origins_in", "Origins that may be asked now", move || {
        origins.count_in(Instant::now())
    });
    relay(&mut metrics, workers);
    faults(&mut metrics, workers, Arc::clone(&shown.live));
    metrics
}

fn cache(metrics: &mut Metrics, workers: &Arc<[Arc<Counters>]>, store: Arc<Store>) {
    let sum = summing(workers, |worker: &Counters| &*worker.proxy);
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
    metrics.group(
        sum,
        &[
            (
                "origin_failures",
                "Requests that the origin did not answer",
                |c| &c.failures,
            ),
            (
                "cache_collapsed",
                "Misses answered with what another request had asked for",
                |c| &c.collapsed,
            ),
            ("cache_stored", "Answers that began to be stored", |c| {
                &c.stored
            }),
            (
                "cache_invalidated",
                "Keys removed as a request changed what they name",
                |c| &c.invalidated,
            ),
        ],
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

fn forward(metrics: &mut Metrics, workers: &Arc<[Arc<Counters>]>) {
    let sum = summing(workers, |worker: &Counters| &*worker.proxy);
    metrics.counter(
        "denied",
        "Requests that the rules of the forward proxy did not let through",
        move || sum(|c| &c.denied),
    );
    let sum = summing(workers, |worker: &Counters| &*worker.proxy.tunnels);
    metrics.group(
        sum.clone(),
        &[
            ("tunnels_opened", "Tunnels begun", |c| &c.opened),
            ("tunnels_idle", "Tunnels ended as nothing passed", |c| {
                &c.idle
            }),
            ("tunnel_up_bytes", "Bytes from clients in tunnels", |c| {
                &c.up_bytes
            }),
            ("tunnel_down_bytes", "Bytes to clients in tunnels", |c| {
                &c.down_bytes
            }),
        ],
    );
    metrics.gauge("tunnels_open", "Tunnels open now", move || sum(|c| &c.open));
}

fn relay(metrics: &mut Metrics, workers: &Arc<[Arc<Counters>]>) {
    let sum = summing(workers, |worker: &Counters| &*worker.relay);
    metrics.group(
        sum.clone(),
        &[
            ("relay_received", "Datagrams from clients", |c| &c.received),
            ("relay_received_bytes", "Payload bytes from clients", |c| {
                &c.received_bytes
            }),
            (
                "relay_to_target",
                "Datagrams passed on to the target",
                |c| &c.to_target,
            ),
            ("relay_answers", "Datagrams from the target", |c| &c.answers),
            ("relay_answer_bytes", "Payload bytes from the target", |c| {
                &c.answer_bytes
            }),
            ("relay_to_clients", "Datagrams passed on to clients", |c| {
                &c.to_clients
            }),
            ("relay_sessions_opened", "Sessions begun", |c| {
                &c.sessions_opened
            }),
            (
                "relay_sessions_expired",
                "Sessions ended as nothing passed",
                |c| &c.sessions_expired,
            ),
            (
                "relay_sessions_displaced",
                "Sessions ended for another client's",
                |c| &c.sessions_displaced,
            ),
        ],
    );
    metrics.gauge("relay_sessions_open", "Sessions open now", move || {
        sum(|c| &c.sessions_open)
    });
    let workers = Arc::clone(workers);
    metrics.counters(
        "relay_dropped",
        "Datagrams dropped, by reason",
        "reason",
        move || totals(workers.iter().flat_map(|worker| worker.relay.dropped())),
    );
}

fn faults(metrics: &mut Metrics, workers: &Arc<[Arc<Counters>]>, live: Arc<Live>) {
    for (direction, name, help) in [
        (
            Direction::ToTarget,
            "relay_faults_to_target",
            "Datagrams of clients by the ordered fault they met",
        ),
        (
            Direction::ToClient,
            "relay_faults_to_client",
            "Datagrams of the target by the ordered fault they met",
        ),
    ] {
        let workers = Arc::clone(workers);
        metrics.counters(name, help, "fate", move || {
            let faults = |worker: &Arc<Counters>| worker.relay.faults(direction).by_fate();
            totals(workers.iter().flat_map(faults))
        });
    }
    let sum = summing(workers, |worker: &Counters| &*worker.proxy);
    let help = "Requests answered with a failure that was ordered";
    metrics.counter("failed_as_ordered", help, move || {
        sum(|c| &c.failed_as_ordered)
    });
    metrics.info("impairment", "The faults ordered now", move || {
        let orders = live.orders();
        vec![
            ("to_target", orders.impairment.to_target.to_string()),
            ("to_client", orders.impairment.to_client.to_string()),
            ("http", orders.http.to_string()),
            ("seed", orders.seed.to_string()),
        ]
    });
}
