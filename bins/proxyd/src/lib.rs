//! A caching HTTP proxy before one origin, and a UDP relay.
//!
//! [`run`] starts everything. A request goes from `netio::http` to [`proxy`], which asks the
//! [`cache`] and, by way of [`upstream`], the origin; [`fields`] says what of a message is passed
//! on, [`answer`] what the proxy says itself. Datagrams go through [`mod@relay`].

pub mod answer;
pub mod args;
pub mod cache;
pub mod config;
pub mod counters;
pub mod fields;
mod metrics;
pub mod proxy;
pub mod relay;
pub mod upstream;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use netio::access_log::{self, AccessLog};
use netio::http::buffer::Buffers;
use netio::http::pool::Pool;
use netio::http::server::{Server, Settings, serve};
use netio::shutdown::{self, Stop, StopSignals};
use netio::watch::Watch;
use netio::worker::Crew;
use netio::{admin, listen, udp};
use tracing::warn;

use crate::cache::store::Store;
use crate::config::{Config, Endpoint};
use crate::metrics::Counters;
use crate::proxy::Proxy;
use crate::relay::RelayConfig;
use crate::upstream::Upstream;

/// The ports on which the lab's own programs answer datagrams. None of them is ever the source of
/// one that asks to be relayed.
const LAB_PORTS: [u16; 2] = [9000, 9090];
/// How often the name of the UDP target is looked up until it has an address.
const LOOK_UP_EVERY: Duration = Duration::from_secs(1);

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
    let relay = udp::bind_group(
        SocketAddr::new(config.bind, config.udp_port),
        config.workers,
    )?;
    let admin = match config.admin {
        Some(address) => listen::tcp(address, 1)?.pop(),
        None => None,
    };
    let (log, log_writer) = access_log::open(config.log_format, std::io::stdout());

    let tcp_address = http.first().map(TcpListener::local_addr).transpose()?;
    let udp_address = relay.first().map(udp::Socket::local_addr);
    let admin_address = admin.as_ref().map(TcpListener::local_addr).transpose()?;

    let store = Arc::new(Store::new(config.cache_bytes));
    let stations: Vec<Station> = http
        .into_iter()
        .zip(relay)
        .map(|(listener, relay)| Station {
            listener,
            relay,
            config: config.clone(),
            store: Arc::clone(&store),
            log: log.clone(),
            counters: Arc::default(),
            stop: stop.clone(),
        })
        .collect();
    let counters: Vec<_> = stations
        .iter()
        .map(|station| Arc::clone(&station.counters))
        .collect();
    let metrics = metrics::of(&counters, store, log_writer.as_ref());

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
    relay: udp::Socket,
    config: Config,
    store: Arc<Store>,
    log: Option<AccessLog>,
    counters: Arc<Counters>,
    stop: Stop,
}

async fn work(station: Station) -> io::Result<()> {
    let Station {
        config,
        counters,
        stop,
        ..
    } = station;
    let watch = Watch::new();
    let buffers = Buffers::default();
    let pool = Rc::new(Pool::default());
    let upstream = Upstream::new(
        config.origin,
        Rc::clone(&pool),
        Rc::clone(&watch),
        buffers.clone(),
    );
    let server = Rc::new(Server {
        service: Proxy::new(upstream, station.store, Arc::clone(&counters.proxy)),
        settings: Settings::default(),
        watch: Rc::clone(&watch),
        buffers,
        counters: Arc::clone(&counters.http),
        log: station.log,
    });
    // Idle connections to the origin are nobody's to wait for.
    let close = async {
        stop.requested().await;
        pool.close();
        Ok(())
    };
    let relay = relay(station.relay, config.udp_target, &counters, stop.clone());
    tokio::try_join!(
        serve(station.listener, server, stop.clone()),
        relay,
        close,
        async {
            watch.keep(stop.clone()).await;
            Ok(())
        },
    )?;
    Ok(())
}

/// Relays datagrams once the target's name has an address.
async fn relay(
    socket: udp::Socket,
    target: Endpoint,
    counters: &Counters,
    stop: Stop,
) -> io::Result<()> {
    let family = socket.local_addr();
    let resolved = tokio::select! {
        resolved = resolve(&target, family) => resolved,
        () = stop.requested() => return Ok(()),
    };
    let mut config = RelayConfig::new(resolved);
    config.blocked_ports.extend(LAB_PORTS);
    let counters = Arc::clone(&counters.relay);
    let relayed = relay::run(socket, config, counters, stop).await;
    relayed.map_err(io::Error::other)
}

/// The first address of `target` that is of the family of `from`. In a container a name may come
/// up later than who asks for it.
async fn resolve(target: &Endpoint, from: SocketAddr) -> SocketAddr {
    let mut is_told = false;
    loop {
        let cause = match tokio::net::lookup_host(&target.0).await {
            Ok(addresses) => {
                let addresses: Vec<_> = addresses.collect();
                let of_family = addresses
                    .iter()
                    .find(|address| address.is_ipv4() == from.is_ipv4());
                // One of the other family goes to the relay, which says what is wrong with it.
                if let Some(address) = of_family.or(addresses.first()) {
                    return *address;
                }
                "it has no address".to_owned()
            }
            Err(cause) => cause.to_string(),
        };
        if !std::mem::replace(&mut is_told, true) {
            warn!("the UDP target {target} is not known yet, and is looked up again: {cause}");
        }
        tokio::time::sleep(LOOK_UP_EVERY).await;
    }
}
