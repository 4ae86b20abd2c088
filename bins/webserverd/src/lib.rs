//! A static web server and a UDP echo: the far end of the lab.
//!
//! [`run`] starts everything. A request goes from `netio::http` to [`site`], which answers it from
//! [`memory`] or finds the file by way of [`files`]; which [`coding`] of what is [`stored`] it gets
//! depends on the request, and [`answer`] says how. What is no file is a [`page`] or a [`listing`].
//! [`rules`] is what the operator wants of it all, [`auth`] who may ask. A datagram goes to [`udp_echo`].

pub mod answer;
pub mod args;
pub mod auth;
pub mod coding;
pub mod compress;
pub mod config;
pub mod document;
pub mod files;
pub mod listing;
pub mod memory;
pub mod page;
pub mod representation;
pub mod rules;
pub mod site;
pub mod slow_work;
pub mod stored;
pub mod udp_echo;

use std::io;
use std::rc::Rc;
use std::sync::Arc;

use netio::admin::Panel;
use netio::daemon::{self, DaemonError, Station};
use netio::http::buffer::Buffers;
use netio::http::server::{Server, serve};
use netio::telemetry::{Counter, HttpCounters, HttpTotals, Metrics};
use netio::watch::Watch;
use serde::Serialize;

use crate::auth::AuthCounters;
use crate::compress::CompressCounters;
use crate::config::Config;
use crate::listing::ListCounters;
use crate::site::{Shared, Site};
use crate::udp_echo::{EchoConfig, EchoCounters};

/// The ports on which the lab's own programs answer datagrams. None of them is ever the source of
/// one that asks for an echo.
const LAB_PORTS: [u16; 2] = [9000, 9090];

/// Serves until a stop signal, then ends what is under way.
pub fn run(config: Config) -> Result<(), DaemonError> {
    let shared = Arc::new(Shared::new(config.root, config.rules, config.auth));
    let equip = |stations: Vec<Station>| {
        let equip = |station| Equipment {
            station,
            shared: Arc::clone(&shared),
            counters: Arc::default(),
        };
        let equipment: Vec<Equipment> = stations.into_iter().map(equip).collect();
        let counters = equipment.iter().map(|worker| Arc::clone(&worker.counters));
        let panel = panel(counters.collect(), &shared);
        (equipment, panel)
    };
    daemon::run(&config.setup, equip, work)
}

/// What one worker works with.
struct Equipment {
    station: Station,
    shared: Arc<Shared>,
    counters: Arc<Counters>,
}

/// What one worker counts.
#[derive(Debug, Default)]
struct Counters {
    http: Arc<HttpCounters>,
    echo: Arc<EchoCounters>,
}

async fn work(equipment: Equipment) -> io::Result<()> {
    let Station {
        listeners,
        udp,
        log,
        http,
        stop,
        ..
    } = equipment.station;
    let counters = equipment.counters;
    let watch = Watch::new();
    let allow = http.door.allow().to_vec();
    let server = Rc::new(Server {
        service: Site::new(equipment.shared),
        settings: http,
        watch: Rc::clone(&watch),
        buffers: Buffers::default(),
        counters: Arc::clone(&counters.http),
        log,
    });
    let echo = async {
        let Some(udp) = udp else {
            return Ok(());
        };
        let own_port = udp.local_addr().port();
        let echo = EchoConfig {
            blocked_ports: LAB_PORTS.into_iter().chain([own_port]).collect(),
            allow,
            ..EchoConfig::default()
        };
        udp_echo::run(udp, echo, Arc::clone(&counters.echo), stop.clone()).await
    };
    tokio::try_join!(serve(listeners, server, stop.clone()), echo, async {
        watch.keep(stop.clone()).await;
        Ok(())
    },)?;
    Ok(())
}

/// What the admin endpoint shows.
fn panel(workers: Vec<Arc<Counters>>, shared: &Arc<Shared>) -> Panel {
    let http: Vec<_> = workers
        .iter()
        .map(|worker| Arc::clone(&worker.http))
        .collect();
    let mut metrics = Metrics::new("webserverd");
    metrics.http(&http);
    echo_metrics(&mut metrics, workers.clone());
    compression_metrics(&mut metrics, shared);
    listing_metrics(&mut metrics, shared);
    auth_metrics(&mut metrics, shared);
    let mut panel = Panel::new("webserverd", env!("CARGO_PKG_VERSION"), metrics);
    panel.section("http", move || HttpTotals::of(&http));
    panel.section("echo", move || {
        let sum = |of: fn(&EchoCounters) -> &Counter| {
            workers.iter().map(|worker| of(&worker.echo).value()).sum()
        };
        EchoTotals {
            received: sum(|echo| &echo.received),
            received_bytes: sum(|echo| &echo.received_bytes),
            answered: sum(|echo| &echo.answered),
        }
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

fn echo_metrics(metrics: &mut Metrics, workers: Vec<Arc<Counters>>) {
    let workers: Arc<[_]> = workers.into();
    let sum = |of: fn(&EchoCounters) -> u64| {
        let workers = Arc::clone(&workers);
        move || workers.iter().map(|worker| of(&worker.echo)).sum()
    };
    metrics.counter(
        "echo_received",
        "Datagrams received",
        sum(|echo| echo.received.value()),
    );
    metrics.counter(
        "echo_answered",
        "Datagrams sent back",
        sum(|echo| echo.answered.value()),
    );
    let help = "Bytes of payload received by the echo";
    metrics.counter(
        "echo_received_bytes",
        help,
        sum(|echo| echo.received_bytes.value()),
    );
    metrics.counters(
        "echo_dropped",
        "Datagrams not sent back",
        "reason",
        move || {
            let mut total: Vec<(&'static str, u64)> = Vec::new();
            for (reason, count) in workers.iter().flat_map(|worker| worker.echo.dropped()) {
                match total.iter_mut().find(|(known, _)| *known == reason) {
                    Some((_, sum)) => *sum += count,
                    None => total.push((reason, count)),
                }
            }
            total
        },
    );
}

fn compression_metrics(metrics: &mut Metrics, shared: &Arc<Shared>) {
    let mut counter = |name, help, of: fn(&CompressCounters) -> &Counter| {
        let shared = Arc::clone(shared);
        metrics.counter(name, help, move || of(&shared.compressor.counters).value());
    };
    counter(
        "compressed_files",
        "Files compressed on the fly",
        |counters| &counters.files,
    );
    counter("compressed_bytes_in", "Bytes of them before", |counters| {
        &counters.bytes_in
    });
    counter("compressed_bytes_out", "Bytes of them after", |counters| {
        &counters.bytes_out
    });
    let help = "Requests answered without a coding as too many files waited to be compressed";
    counter("compression_busy", help, |counters| &counters.busy);
}

fn listing_metrics(metrics: &mut Metrics, shared: &Arc<Shared>) {
    let mut counter = |name, help, of: fn(&ListCounters) -> &Counter| {
        let shared = Arc::clone(shared);
        metrics.counter(name, help, move || of(&shared.lister.counters).value());
    };
    counter("listings_made", "Folders read and listed", |counters| {
        &counters.made
    });
    let help = "Requests put off as too many listings were under way";
    counter("listings_busy", help, |counters| &counters.busy);
}

fn auth_metrics(metrics: &mut Metrics, shared: &Arc<Shared>) {
    if shared.auth.is_none() {
        return;
    }
    let mut counter = |name, help, of: fn(&AuthCounters) -> &Counter| {
        let shared = Arc::clone(shared);
        metrics.counter(name, help, move || {
            let auth = shared.auth.as_ref();
            auth.map_or(0, |auth| of(&auth.counters).value())
        });
    };
    counter(
        "passwords_verified",
        "Passwords held against a hash",
        |counters| &counters.verified,
    );
    counter(
        "passwords_wrong",
        "Requests with wrong credentials",
        |counters| &counters.wrong,
    );
    let help = "Requests put off as too many passwords waited to be verified";
    counter("passwords_busy", help, |counters| &counters.busy);
}
