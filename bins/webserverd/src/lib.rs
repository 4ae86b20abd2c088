//! A static web server and a UDP echo: the far end of the lab.
//!
//! [`run`] starts everything. A request goes from `netio::http` to [`site`], which answers it from
//! [`memory`] or finds the file by way of [`files`]; which [`coding`] of what is [`stored`] it gets
//! depends on the request, and [`answer`] says how. What is no file is a [`page`] or a [`listing`], or part
//! of a test of [`responsiveness`].
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
mod metrics;
pub mod page;
pub mod representation;
pub mod responsiveness;
pub mod rules;
pub mod site;
pub mod slow_work;
pub mod stored;
pub mod udp_echo;

use std::io;
use std::rc::Rc;
use std::sync::Arc;

use netio::daemon::{self, DaemonError, Station};
use netio::http::buffer::Buffers;
use netio::http::server::{Server, serve};
use netio::watch::Watch;

use crate::config::Config;
use crate::metrics::Counters;
use crate::site::{Shared, Site};
use crate::udp_echo::EchoConfig;

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
        let counters: Vec<_> = equipment.iter().map(|w| Arc::clone(&w.counters)).collect();
        let panel = metrics::panel(&counters, &shared);
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
