//! How a daemon of the lab starts, tells where it listens, works and ends.

mod activation;
pub mod args;
mod manager;

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::runtime::{Builder, LocalOptions};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info};

pub use activation::ActivationError;
use activation::Handed;

use crate::access_log::{self, AccessLog, Format};
use crate::admin::{self, Panel};
use crate::http::server::Settings;
use crate::listen::{self, ListenError};
use crate::log_file::LogFile;
use crate::shutdown::{self, Stop, StopSignals};
use crate::tls::Tls;
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
    /// How the access log looks.
    pub log_format: Format,
    /// Where it goes; to stdout if nowhere else.
    pub log_file: Option<LogFile>,
    /// How long what is under way may take once the stop signal has come.
    pub drain: Duration,
    /// The bounds of its HTTP connections.
    pub http: Settings,
}

/// What each worker is given to work with.
#[derive(Debug)]
pub struct Station {
    /// Where its HTTP clients come from.
    pub listeners: Vec<TcpListener>,
    /// Where its datagrams come from. None if a service manager has handed over fewer UDP sockets
    /// than there are workers: who has sessions must get all datagrams of a source.
    pub udp: Option<udp::Socket>,
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
    /// What a service manager has handed over is of no use.
    #[error(transparent)]
    Activation(#[from] ActivationError),
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
    let start = |stations| {
        let (equipment, panel) = equip(stations);
        Crew::start(equipment, work).map(|crew| (crew, panel))
    };
    runtime.block_on(serve_until_stopped(setup, start))
}

async fn serve_until_stopped(
    setup: &Setup,
    start: impl FnOnce(Vec<Station>) -> io::Result<(Crew, Panel)>,
) -> Result<(), DaemonError> {
    let reload = Reload::of(setup)?;
    let mut signals = StopSignals::catch(reload.is_none())?;
    let (stopper, stop) = shutdown::channel();
    let Sockets { http, udp, admin } = bind(setup)?;
    let addresses = addresses(&http, &udp, admin.as_ref())?;

    let listens = addresses.iter().filter(|(what, _)| *what != "udp");
    let listens: Arc<[SocketAddr]> = listens.map(|(_, address)| *address).collect();
    let (log, log_writer) = match &setup.log_file {
        Some(file) => access_log::open(setup.log_format, file.clone()),
        None => access_log::open(setup.log_format, io::stdout()),
    };
    let stations = http.into_iter().zip(udp).map(|(listeners, udp)| Station {
        listeners,
        udp,
        log: log.clone(),
        http: setup.http.clone(),
        listens: Arc::clone(&listens),
        stop: stop.clone(),
    });
    let (mut crew, mut panel) = start(stations.collect())?;
    let metrics = &mut panel.metrics;
    if let Some(writer) = &log_writer {
        let help = "Lines of the access log dropped as the reader was too slow";
        metrics.counter("access_log_dropped", help, writer.dropped_counter());
    }
    if let Some(file) = &setup.log_file {
        let help = "Writes to the file of the access log that failed";
        metrics.counter("access_log_write_failed", help, file.failure_counter());
    }

    if let Some(listener) = admin {
        tokio::task::spawn_local(admin::run(listener, panel, stop));
    }
    let mut status = String::from("serving");
    for (what, address) in addresses {
        // The stable line by which scripts learn that it listens, and where.
        // That nobody reads it is no reason to serve nobody.
        let _ = writeln!(io::stderr(), "listening {what} {address}");
        // Writing to a String cannot fail.
        let _ = write!(status, " {what} {address}");
    }
    manager::ready(&status);
    let reloading = reload.map(|reload| tokio::task::spawn_local(reload.on_hangup(status)));
    crew.work(&mut signals).await?;
    if let Some(reloading) = reloading {
        // A SIGHUP from now on would have it say that it is ready again. The signal stays caught:
        // it must not end what is under way.
        reloading.abort();
    }
    manager::stopping();
    crew.drain(signals, stopper, setup.drain).await?;
    Ok(())
}

/// The sockets of a daemon: for each worker its TCP listeners, for each its UDP socket.
struct Sockets {
    http: Vec<Vec<TcpListener>>,
    udp: Vec<Option<udp::Socket>>,
    admin: Option<TcpListener>,
}

/// What a service manager has handed over is used; the rest is bound.
fn bind(setup: &Setup) -> Result<Sockets, DaemonError> {
    let handed = Handed::take()?;
    let workers = setup.workers;
    let http = if handed.http.is_empty() {
        let group = listen::tcp(SocketAddr::new(setup.bind, setup.port), workers)?;
        group.into_iter().map(|listener| vec![listener]).collect()
    } else {
        // All workers accept from the same queue: only who has bound a socket may bind another
        // beside it (SO_REUSEPORT), and that was the service manager.
        (0..workers)
            .map(|_| handed.http.iter().map(TcpListener::try_clone).collect())
            .collect::<io::Result<_>>()?
    };
    let mut udp: Vec<_> = handed.udp.into_iter().map(Some).collect();
    if udp.is_empty() {
        let group = udp::bind_group(SocketAddr::new(setup.bind, setup.udp_port), workers)?;
        udp = group.into_iter().map(Some).collect();
    } else if udp.len() > workers {
        let error = format!(
            "{} UDP sockets were handed over to {workers} workers; see --workers",
            udp.len()
        );
        return Err(io::Error::other(error).into());
    }
    udp.resize_with(workers, || None);
    let admin = match (handed.admin, setup.admin) {
        (Some(listener), _) => Some(listener),
        (None, Some(address)) => listen::tcp(address, 1)?.pop(),
        (None, None) => None,
    };
    Ok(Sockets { http, udp, admin })
}

/// Each address that is listened on, once, with what listens there.
fn addresses(
    http: &[Vec<TcpListener>],
    udp: &[Option<udp::Socket>],
    admin: Option<&TcpListener>,
) -> io::Result<Vec<(&'static str, SocketAddr)>> {
    let mut addresses = Vec::new();
    for listener in http.first().into_iter().flatten() {
        addresses.push(("tcp", listener.local_addr()?));
    }
    for socket in udp.iter().flatten() {
        addresses.push(("udp", socket.local_addr()));
    }
    if let Some(listener) = admin {
        addresses.push(("admin", listener.local_addr()?));
    }
    addresses.dedup();
    Ok(addresses)
}

/// What SIGHUP has a daemon read or open again.
struct Reload {
    hangup: Signal,
    log_file: Option<LogFile>,
    tls: Option<Tls>,
}

impl Reload {
    /// None if there is nothing to read again: then SIGHUP is what it is to every program, the end
    /// of the terminal that it was started from.
    fn of(setup: &Setup) -> io::Result<Option<Reload>> {
        let (log_file, tls) = (setup.log_file.clone(), setup.http.tls.clone());
        if log_file.is_none() && tls.is_none() && !manager::is_there() {
            return Ok(None);
        }
        let hangup = signal(SignalKind::hangup())?;
        Ok(Some(Reload {
            hangup,
            log_file,
            tls,
        }))
    }

    async fn on_hangup(mut self, status: String) {
        while self.hangup.recv().await.is_some() {
            manager::reloading();
            if let Some(file) = &self.log_file {
                let path = file.path().display();
                match file.reopen() {
                    Ok(()) => info!("SIGHUP: the access log {path} is open again"),
                    Err(error) => {
                        error!("SIGHUP: the access log stays in its old file: {path}: {error}");
                    }
                }
            }
            if let Some(tls) = &self.tls {
                match tls.reload() {
                    Ok(()) => {
                        info!("SIGHUP: new connections get the certificate that is there now");
                    }
                    Err(error) => error!("SIGHUP: the old certificate stays in use: {error}"),
                }
            }
            manager::ready(&status);
        }
    }
}
