//! How a daemon of the lab starts, tells where it listens, works and ends.

pub mod args;

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::runtime::{Builder, LocalOptions};

use crate::access_log::{self, AccessLog, Format};
use crate::admin::{self, Panel};
use crate::http::server::Settings;
use crate::listen::{self, ListenError};
use crate::shutdown::{self, Stop, StopSignals};
use crate::udp;
use crate::worker::{Crew, WorkError};

/// What every daemon is told.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The address of every listener but the admin endpoint's.
    pub bind: IpAddr,
    /// The HTTP port; 0 for any free one.
    pub port: u16,
    /// The UDP port; 0 for any free one.
    pub udp_port: u16,
    /// Where /metrics, /healthz and /status.json are, if anywhere.
    pub admin: Option<SocketAddr>,
    /// How many threads serve.
    pub workers: usize,
    /// How the access log on stdout looks.
    pub log_format: Format,
    /// How long what is under way may take once the stop signal has come.
    pub drain: Duration,
    /// The bounds of its HTTP connections.
    pub http: Settings,
}

/// What each worker is given to work with.
#[derive(Debug)]
pub struct Station {
    /// Where its HTTP clients come from.
    pub listener: TcpListener,
    /// Where its datagrams come from.
    pub udp: udp::Socket,
    /// Where it logs its requests, if they are logged.
    pub log: Option<AccessLog>,
    /// The bounds of its HTTP connections, some of which all workers share.
    pub http: Settings,
    /// Every TCP address at which this process listens.
    pub listens: Arc<[SocketAddr]>,
    /// Tells it when to end.
    pub stop: Stop,
}

/// Why a daemon could not start, or did not end well.
#[derive(Debug, Error)]
pub enum DaemonError {
    /// An address is taken, or none of this machine's.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The system refused something else.
    #[error("cannot start: {0}")]
    Start(#[from] io::Error),
    /// It worked, and ended badly.
    #[error(transparent)]
    Work(#[from] WorkError),
}

/// Binds everything, tells on stderr where it listens, and serves until a stop signal.
///
/// `equip` makes of the stations whatever the workers of this daemon need, and says what the admin
/// endpoint shows; `work` then runs on each worker's thread.
pub fn run<E, W, F>(
    setup: &Setup,
    equip: impl FnOnce(Vec<Station>) -> (Vec<E>, Panel),
    work: W,
) -> Result<(), DaemonError>
where
    E: Send + 'static,
    W: Fn(E) -> F + Clone + Send + 'static,
    F: Future<Output = io::Result<()>>,
{
    listen::raise_file_limit();
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())?;
    runtime.block_on(serve_until_stopped(setup, equip, work))
}

async fn serve_until_stopped<E, W, F>(
    setup: &Setup,
    equip: impl FnOnce(Vec<Station>) -> (Vec<E>, Panel),
    work: W,
) -> Result<(), DaemonError>
where
    E: Send + 'static,
    W: Fn(E) -> F + Clone + Send + 'static,
    F: Future<Output = io::Result<()>>,
{
    let signals = StopSignals::catch()?;
    let (stopper, stop) = shutdown::channel();
    let http = listen::tcp(SocketAddr::new(setup.bind, setup.port), setup.workers)?;
    let udp = udp::bind_group(SocketAddr::new(setup.bind, setup.udp_port), setup.workers)?;
    let admin = match setup.admin {
        Some(address) => listen::tcp(address, 1)?.pop(),
        None => None,
    };
    let tcp_address = http.first().map(TcpListener::local_addr).transpose()?;
    let udp_address = udp.first().map(udp::Socket::local_addr);
    let admin_address = admin.as_ref().map(TcpListener::local_addr).transpose()?;

    let listens: Arc<[SocketAddr]> = tcp_address.into_iter().chain(admin_address).collect();
    let (log, log_writer) = access_log::open(setup.log_format, io::stdout());
    let stations = http.into_iter().zip(udp).map(|(listener, udp)| Station {
        listener,
        udp,
        log: log.clone(),
        http: setup.http.clone(),
        listens: Arc::clone(&listens),
        stop: stop.clone(),
    });
    let (equipment, mut panel) = equip(stations.collect());
    if let Some(writer) = &log_writer {
        let help = "Lines of the access log dropped as the reader was too slow";
        let metrics = &mut panel.metrics;
        metrics.counter("access_log_dropped", help, writer.dropped_counter());
    }

    let crew = Crew::start(equipment, work)?;
    if let Some(listener) = admin {
        tokio::task::spawn_local(admin::run(listener, panel, stop));
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
    crew.work_until_stopped(signals, stopper, setup.drain)
        .await?;
    Ok(())
}
