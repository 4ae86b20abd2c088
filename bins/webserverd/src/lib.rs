//! A static web server and a UDP echo: the far end of the lab.
//!
//! [`run`] starts everything. A request goes from `netio::http` to [`site`], which answers it from
//! [`memory`] or finds the file by way of [`files`]; [`answer`] says how. A datagram goes to
//! [`udp_echo`].

pub mod answer;
pub mod args;
pub mod config;
pub mod files;
pub mod memory;
pub mod site;
pub mod udp_echo;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;

use anyhow::{Context, Result};
use netio::access_log::{self, AccessLog};
use netio::http::buffer::Buffers;
use netio::http::server::{Server, Settings, serve};
use netio::shutdown::{self, Stop, StopSignals};
use netio::telemetry::{HttpCounters, Metrics};
use netio::udp;
use netio::watch::Watch;
use netio::worker::Crew;
use netio::{admin, listen};

use crate::config::Config;
use crate::site::Site;
use crate::udp_echo::{EchoConfig, EchoCounters};

/// The ports on which the lab's own programs answer datagrams. None of them is ever the source of
/// one that asks for an echo.
const LAB_PORTS: [u16; 2] = [9000, 9090];

/// Serves until a stop signal, then ends what is under way.
pub fn run(config: Config) -> Result<()> {
    listen::raise_file_limit();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())
        .context("cannot start the runtime")?;
    runtime.block_on(serve_until_stopped(config))
}

async fn serve_until_stopped(config: Config) -> Result<()> {
    let signals = StopSignals::catch().context("cannot catch signals")?;
    let (stopper, stop) = shutdown::channel();
    let http = listen::tcp(SocketAddr::new(config.bind, config.port), config.workers)?;
    let echo = udp::bind_group(
        SocketAddr::new(config.bind, config.udp_port),
        config.workers,
    )?;
    let admin = match config.admin {
        Some(address) => listen::tcp(address, 1)?.pop(),
        None => None,
    };
    let (log, log_writer) = access_log::open(config.log_format, std::io::stdout());

    let tcp_address = http.first().map(TcpListener::local_addr).transpose()?;
    let udp_address = echo.first().map(udp::Socket::local_addr);
    let admin_address = admin.as_ref().map(TcpListener::local_addr).transpose()?;
    let blocked_ports = udp_address
        .iter()
        .map(SocketAddr::port)
        .chain(LAB_PORTS)
        .collect();
    let echo_config = EchoConfig {
        blocked_ports,
        ..EchoConfig::default()
    };

    let root = Arc::new(config.root);
    let stations: Vec<Station> = http
        .into_iter()
        .zip(echo)
        .map(|(listener, echo)| Station {
            listener,
            echo,
            echo_config: echo_config.clone(),
            root: Arc::clone(&root),
            log: log.clone(),
            counters: Arc::default(),
            stop: stop.clone(),
        })
        .collect();
    let counters = stations
        .iter()
        .map(|station| Arc::clone(&station.counters))
        .collect();
    let metrics = metrics(counters, log_writer.as_ref());

    let crew = Crew::start(stations, work).context("cannot start the workers")?;
    if let Some(listener) = admin {
        tokio::task::spawn_local(admin::run(listener, metrics, stop));
    }
    for (what, address) in [
        ("tcp", tcp_address),
        ("udp", udp_address),
        ("admin", admin_address),
    ] {
        if let Some(address) = address {
            // The stable line by which scripts learn that it listens, and where.
            eprintln!("listening {what} {address}");
        }
    }
    crew.work_until_stopped(signals, stopper, config.drain)
        .await?;
    Ok(())
}

/// What one worker works with.
struct Station {
    listener: TcpListener,
    echo: udp::Socket,
    echo_config: EchoConfig,
    root: Arc<OwnedFd>,
    log: Option<AccessLog>,
    counters: Arc<Counters>,
    stop: Stop,
}

/// What one worker counts.
#[derive(Debug, Default)]
struct Counters {
    http: Arc<HttpCounters>,
    echo: Arc<EchoCounters>,
}

async fn work(station: Station) -> io::Result<()> {
    let Station { stop, counters, .. } = station;
    let watch = Watch::new();
    let server = Rc::new(Server {
        service: Site::new(station.root),
        settings: Settings::default(),
        watch: Rc::clone(&watch),
        buffers: Buffers::default(),
        counters: Arc::clone(&counters.http),
        log: station.log,
    });
    let echo_counters = Arc::clone(&counters.echo);
    tokio::try_join!(
        serve(station.listener, server, stop.clone()),
        udp_echo::run(
            station.echo,
            station.echo_config,
            echo_counters,
            stop.clone()
        ),
        async {
            watch.keep(stop.clone()).await;
            Ok(())
        },
    )?;
    Ok(())
}

fn metrics(workers: Vec<Arc<Counters>>, log: Option<&access_log::Writer>) -> Metrics {
    let mut metrics = Metrics::new("webserverd");
    let http: Vec<_> = workers
        .iter()
        .map(|worker| Arc::clone(&worker.http))
        .collect();
    metrics.http(&http);
    if let Some(log) = log {
        let help = "Lines of the access log dropped as the reader was too slow";
        metrics.counter("access_log_dropped", help, log.dropped_counter());
    }
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
    metrics
}
