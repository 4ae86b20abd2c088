//! A caching HTTP proxy, before one origin and to any server, and a UDP relay.
//!
//! [`run`] starts everything. A request goes from `netio::http` to [`mod@proxy`]: [`route`] says of
//! whom it asks, then the [`cache`] answers or, by way of [`upstream`], the origin; [`fields`] says
//! what of a message is passed on, [`answer`] what the proxy says itself. Datagrams go through
//! [`mod@relay`], where they meet what [`impair`] orders.

pub mod access;
mod admin;
pub mod answer;
pub mod args;
pub mod cache;
pub mod config;
pub mod counters;
pub mod fields;
pub mod hop;
pub mod impair;
mod metrics;
pub mod proxy;
pub mod relay;
pub mod route;
pub mod upstream;

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use netio::daemon::{self, DaemonError, Station};
use netio::http::buffer::Buffers;
use netio::http::pool::Pool;
use netio::http::server::{Server, Settings, serve};
use netio::http::toxic::ToxicSource;
use netio::shutdown::Stop;
use netio::udp;
use netio::watch::Watch;
use tracing::warn;

use crate::access::Access;
use crate::admin::Shown;
use crate::cache::fill::flight::Flights;
use crate::cache::store::Store;
use crate::config::{Config, Endpoint};
use crate::hop::Hop;
use crate::impair::live::Live;
use crate::metrics::Counters;
use crate::proxy::Proxy;
use crate::proxy::share::{Background, Landing};
use crate::relay::RelayConfig;
use crate::route::Router;
use crate::upstream::Upstream;
use crate::upstream::origins::Origins;

/// The ports on which the lab's own programs answer datagrams. None of them is ever the source of
/// one that asks to be relayed.
const LAB_PORTS: [u16; 2] = [9000, 9090];
/// How often the name of the UDP target is looked up until it has an address.
const LOOK_UP_EVERY: Duration = Duration::from_secs(1);

/// Serves until a stop signal, then ends what is under way.
pub fn run(config: &Config) -> Result<(), DaemonError> {
    let store = Arc::new(Store::new(config.cache_bytes));
    let hop = Arc::new(Hop::new(config.trusted.clone()));
    let flights = Arc::new(Flights::new());
    let authorities = config.origins.iter().map(|origin| origin.authority.clone());
    let origins = Arc::new(Origins::new(authorities, config.balance));
    let live = Arc::new(Live::new(
        config.impairment.clone(),
        config.http_faults.clone(),
        config.seed,
    ));
    let equip = |stations: Vec<Station>| {
        let own = stations.first().map(|station| station.listens.to_vec());
        let access = Arc::new(Access {
            own: own.unwrap_or_default(),
            ..config.access.clone()
        });
        let equip = |(number, station)| Equipment {
            station,
            origins: Arc::clone(&origins),
            // One worker for all.
            health_check: config.health_check.clone().filter(|_| number == 0),
            config: config.clone(),
            access: Arc::clone(&access),
            hop: Arc::clone(&hop),
            store: Arc::clone(&store),
            flights: Arc::clone(&flights),
            live: Arc::clone(&live),
            counters: Arc::default(),
        };
        let equipment: Vec<Equipment> = stations.into_iter().enumerate().map(equip).collect();
        let counters = equipment.iter().map(|worker| Arc::clone(&worker.counters));
        let panel = admin::panel(&Shown {
            workers: counters.collect(),
            store: Arc::clone(&store),
            flights: Arc::clone(&flights),
            live: Arc::clone(&live),
            origins: Arc::clone(&origins),
        });
        (equipment, panel)
    };
    daemon::run(&config.setup, equip, work)
}

/// What one worker works with.
struct Equipment {
    station: Station,
    config: Config,
    origins: Arc<Origins>,
    health_check: Option<String>,
    access: Arc<Access>,
    hop: Arc<Hop>,
    store: Arc<Store>,
    live: Arc<Live>,
    flights: Arc<Flights<Landing>>,
    counters: Arc<Counters>,
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
    let (config, counters) = (equipment.config, equipment.counters);
    let watch = Watch::new();
    let buffers = Buffers::default();
    let pool = Rc::new(Pool::default());
    let router = Router {
        origins: Arc::clone(&equipment.origins),
        access: Arc::clone(&equipment.access),
        hop: equipment.hop,
    };
    let upstream = || {
        Upstream::new(
            Arc::clone(&equipment.origins),
            Arc::clone(&equipment.access),
            Rc::clone(&pool),
            Rc::clone(&watch),
            buffers.clone(),
        )
        .with_patience(config.patience.clone())
    };
    let checks = equipment.health_check.map(|path| {
        let origins = Arc::clone(&equipment.origins);
        upstream::checks::run(upstream(), origins, path)
    });
    let checks = async {
        if let Some(checks) = checks {
            tokio::select! {
                () = checks => {}
                () = stop.requested() => {}
            }
        }
        Ok(())
    };
    let live = Arc::clone(&equipment.live);
    let toxics = ToxicSource::new(move || live.orders().toxics_of_connection());
    let server = Rc::new(Server {
        service: Proxy {
            router: Rc::new(router),
            upstream: Rc::new(upstream()),
            store: equipment.store,
            flights: equipment.flights,
            background: Background::default(),
            counters: Arc::clone(&counters.proxy),
            tunnel_idle: config.tunnel_idle,
            stop: stop.clone(),
            orders: RefCell::new(equipment.live.orders()),
            live: Arc::clone(&equipment.live),
        },
        settings: Settings {
            toxics: Some(toxics),
            ..http
        },
        watch: Rc::clone(&watch),
        buffers,
        counters: Arc::clone(&counters.http),
        log,
    });
    // Idle connections to the origin are nobody's to wait for.
    let close = async {
        stop.requested().await;
        pool.close();
        Ok(())
    };
    let relayed = RelayOrder {
        target: config.udp_target,
        workers: config.setup.workers,
        live: equipment.live,
    };
    tokio::try_join!(
        serve(listeners, server, stop.clone()),
        relay(udp, relayed, &counters, stop.clone()),
        close,
        checks,
        async {
            watch.keep(stop.clone()).await;
            Ok(())
        },
    )?;
    Ok(())
}

/// What the relay of one worker is told.
struct RelayOrder {
    target: Endpoint,
    workers: usize,
    live: Arc<Live>,
}

/// Relays datagrams once the target's name has an address.
async fn relay(
    socket: Option<udp::Socket>,
    order: RelayOrder,
    counters: &Counters,
    stop: Stop,
) -> io::Result<()> {
    let Some(socket) = socket else {
        return Ok(());
    };
    let family = socket.local_addr();
    let resolved = tokio::select! {
        resolved = resolve(&order.target, family) => resolved,
        () = stop.requested() => return Ok(()),
    };
    let mut config = RelayConfig::new(resolved).divided_among(order.workers);
    config.live = order.live;
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
