//! What the admin endpoint shows of the server.

use std::sync::Arc;

use netio::admin::Panel;
use netio::telemetry::{Counter, HttpCounters, HttpTotals, Metrics, summing, totals};
use serde::Serialize;

use crate::auth::AuthCounters;
use crate::compress::CompressCounters;
use crate::listing::ListCounters;
use crate::site::Shared;
use crate::udp_echo::EchoCounters;

/// What one worker counts.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) http: Arc<HttpCounters>,
    pub(crate) echo: Arc<EchoCounters>,
}

/// Every figure, added up over the workers.
pub(crate) fn panel(workers: &[Arc<Counters>], shared: &Arc<Shared>) -> Panel {
    let http: Vec<_> = workers.iter().map(|w| Arc::clone(&w.http)).collect();
    let mut metrics = Metrics::new("webserverd");
    metrics.http(&http);
    echo(&mut metrics, workers);
    content(&mut metrics, shared);
    let mut panel = Panel::new("webserverd", env!("CARGO_PKG_VERSION"), metrics);
    panel.section("http", move || HttpTotals::of(&http));
    let sum = summing(workers, |worker: &Counters| &*worker.echo);
    panel.section("echo", move || EchoTotals {
        received: sum(|echo| &echo.received),
        received_bytes: sum(|echo| &echo.received_bytes),
        answered: sum(|echo| &echo.answered),
    });
    panel
}

/// What the echoes of all workers have counted, as /status.json shows it.
#[derive(Serialize)]
struct EchoTotals {
    received: u64,
    received_bytes: u64,
    answered: u64,
}

fn echo(metrics: &mut Metrics, workers: &[Arc<Counters>]) {
    metrics.group::<EchoCounters>(
        summing(workers, |worker: &Counters| &*worker.echo),
        &[
            ("echo_received", "Datagrams received", |c| &c.received),
            ("echo_answered", "Datagrams sent back", |c| &c.answered),
            (
                "echo_received_bytes",
                "Bytes of payload received by the echo",
                |c| &c.received_bytes,
            ),
        ],
    );
    let workers = workers.to_vec();
    metrics.counters(
        "echo_dropped",
        "Datagrams not sent back",
        "reason",
        move || totals(workers.iter().flat_map(|worker| worker.echo.dropped())),
    );
}

/// What all workers share counts for all of them.
fn content(metrics: &mut Metrics, shared: &Arc<Shared>) {
    let of = Arc::clone(shared);
    metrics.group::<CompressCounters>(
        move |counter| counter(&of.compressor.counters).value(),
        &[
            ("compressed_files", "Files compressed on the fly", |c| {
                &c.files
            }),
            ("compressed_bytes_in", "Bytes of them before", |c| {
                &c.bytes_in
            }),
            ("compressed_bytes_out", "Bytes of them after", |c| {
                &c.bytes_out
            }),
            (
                "compression_busy",
                "Requests answered without a coding as too many files waited to be compressed",
                |c| &c.busy,
            ),
        ],
    );
    let of = Arc::clone(shared);
    metrics.group::<ListCounters>(
        move |counter| counter(&of.lister.counters).value(),
        &[
            ("listings_made", "Folders read and listed", |c| &c.made),
            (
                "listings_busy",
                "Requests put off as too many listings were under way",
                |c| &c.busy,
            ),
        ],
    );
    if shared.auth.is_none() {
        return;
    }
    let of = Arc::clone(shared);
    let sum = move |counter: fn(&AuthCounters) -> &Counter| {
        of.auth
            .as_ref()
            .map_or(0, |auth| counter(&auth.counters).value())
    };
    metrics.group(
        sum,
        &[
            ("passwords_verified", "Passwords held against a hash", |c| {
                &c.verified
            }),
            ("passwords_wrong", "Requests with wrong credentials", |c| {
                &c.wrong
            }),
            (
                "passwords_busy",
                "Requests put off as too many passwords waited to be verified",
                |c| &c.busy,
            ),
        ],
    );
}
