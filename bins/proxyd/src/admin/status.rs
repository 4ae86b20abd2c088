//! The proxy's part of /status.json.

use std::sync::Arc;
use std::time::Instant;

use netio::admin::Panel;
use netio::telemetry::{HttpTotals, summing};
use serde::Serialize;

use super::Shown;
use crate::cache::store::Store;
use crate::metrics::Counters;

/// Adds its members.
pub(super) fn add(panel: &mut Panel, shown: &Shown) {
    let http: Vec<_> = shown.workers.iter().map(|w| Arc::clone(&w.http)).collect();
    panel.section("http", move || HttpTotals::of(&http));
    let (workers, store) = (Arc::clone(&shown.workers), Arc::clone(&shown.store));
    panel.section("cache", move || CacheTotals::of(&workers, &store));
    let origins = Arc::clone(&shown.origins);
    panel.section("origins", move || origins.states(Instant::now()));
    let workers = Arc::clone(&shown.workers);
    panel.section("tunnels", move || TunnelTotals::of(&workers));
    let workers = Arc::clone(&shown.workers);
    panel.section("relay", move || RelayTotals::of(&workers));
}

/// What the cache has done, and what it holds.
#[derive(Debug, Serialize)]
struct CacheTotals {
    hits: u64,
    stale: u64,
    revalidated: u64,
    misses: u64,
    bypasses: u64,
    origin_failures: u64,
    entries: u64,
    stored_bytes: u64,
    bound_bytes: u64,
}

impl CacheTotals {
    fn of(workers: &Arc<[Arc<Counters>]>, store: &Store) -> CacheTotals {
        let sum = summing(workers, |worker: &Counters| &*worker.proxy);
        CacheTotals {
            hits: sum(|c| &c.hits),
            stale: sum(|c| &c.stale),
            revalidated: sum(|c| &c.revalidated),
            misses: sum(|c| &c.misses),
            bypasses: sum(|c| &c.bypasses),
            origin_failures: sum(|c| &c.failures),
            entries: store.len() as u64,
            stored_bytes: store.bytes(),
            bound_bytes: store.bound(),
        }
    }
}

/// What CONNECT and Upgrade were asked for, and what the rules did not let through.
#[derive(Debug, Serialize)]
struct TunnelTotals {
    open: u64,
    opened: u64,
    ended_idle: u64,
    up_bytes: u64,
    down_bytes: u64,
    denied: u64,
}

impl TunnelTotals {
    fn of(workers: &Arc<[Arc<Counters>]>) -> TunnelTotals {
        let sum = summing(workers, |worker: &Counters| &*worker.proxy.tunnels);
        let denied = summing(workers, |worker: &Counters| &*worker.proxy);
        TunnelTotals {
            open: sum(|c| &c.open),
            opened: sum(|c| &c.opened),
            ended_idle: sum(|c| &c.idle),
            up_bytes: sum(|c| &c.up_bytes),
            down_bytes: sum(|c| &c.down_bytes),
            denied: denied(|c| &c.denied),
        }
    }
}

/// What the relay has passed on, in datagrams.
#[derive(Debug, Serialize)]
struct RelayTotals {
    sessions_open: u64,
    sessions_opened: u64,
    received: u64,
    received_bytes: u64,
    to_target: u64,
    answers: u64,
    answer_bytes: u64,
    to_clients: u64,
    dropped: u64,
    lost_to_target: u64,
    lost_to_client: u64,
}

impl RelayTotals {
    fn of(workers: &Arc<[Arc<Counters>]>) -> RelayTotals {
        let sum = summing(workers, |worker: &Counters| &*worker.relay);
        let dropped = workers.iter().flat_map(|worker| worker.relay.dropped());
        RelayTotals {
            sessions_open: sum(|c| &c.sessions_open),
            sessions_opened: sum(|c| &c.sessions_opened),
            received: sum(|c| &c.received),
            received_bytes: sum(|c| &c.received_bytes),
            to_target: sum(|c| &c.to_target),
            answers: sum(|c| &c.answers),
            answer_bytes: sum(|c| &c.answer_bytes),
            to_clients: sum(|c| &c.to_clients),
            dropped: dropped.map(|(_, count)| count).sum(),
            lost_to_target: sum(|c| &c.faults_to_target.lost),
            lost_to_client: sum(|c| &c.faults_to_client.lost),
        }
    }
}
