//! The server's side: accepting, its bounds, and what a program must answer.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use netproto::http::head::RequestHead;
use netproto::http::limits::Limits;
use tracing::warn;

use super::body::RequestBody;
use super::buffer::Buffers;
use super::connection;
use super::door::{Door, TurnedAway};
use super::response::Response;
use super::toxic::ToxicSource;
use crate::access_log::AccessLog;
use crate::listen;
use crate::shutdown::Stop;
use crate::telemetry::HttpCounters;
use crate::tls::Tls;
use crate::watch::Watch;

/// How long accepting pauses when the process or the system has no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How many connections are accepted before those that are open have their turn.
const ACCEPTS_PER_TURN: usize = 64;

/// A program that answers requests.
pub trait Service: 'static {
    /// Answers from memory, without waiting; `None` leaves the request to [`Service::exchange`].
    /// Asked only for requests without a body.
    fn at_once(&self, request: &Request<'_>) -> Option<Response>;

    /// Answers a request with whatever that takes.
    fn exchange(
        &self,
        request: &Request<'_>,
        body: &mut RequestBody<'_>,
    ) -> impl Future<Output = Response>;

    /// Adds what stands on all of the program's answers to one that it was not asked for: the
    /// request came from a client that may not ask (403), or not now (429).
    fn dress(&self, _request: &Request<'_>, refusal: Response) -> Response {
        refusal
    }
}

/// A request and what is known beside it.
#[derive(Debug)]
pub struct Request<'r> {
    /// The head as it was parsed.
    pub head: &'r RequestHead<'r, 'r>,
    /// Who sent it.
    pub client: SocketAddr,
    /// Whether it came encrypted.
    pub is_tls: bool,
    /// The worker's clock.
    pub now: Instant,
    /// The worker's wall clock, in seconds since 1970.
    pub unix_seconds: u64,
}

/// The bounds of a server's connections.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What a request may measure.
    pub limits: Limits,
    /// Who may connect and how often they may ask; all workers share it.
    pub door: Arc<Door>,
    /// What connections are encrypted with, if they are.
    pub tls: Option<Tls>,
    /// What answers meet on their way to clients, if anything is ordered.
    pub toxics: Option<ToxicSource>,
    /// How many requests a connection may carry.
    pub requests: u64,
    /// How long a head may take from its first byte to its last (408 after that), and a TLS
    /// handshake.
    pub head: Duration,
    /// How long a connection may stay idle between requests.
    pub idle: Duration,
    /// How long a body may stall.
    pub body_stall: Duration,
    /// How long a client may take nothing of an answer.
    pub write_stall: Duration,
    /// How many bytes of a body that nobody read are drained to keep a connection.
    pub drained_bytes: usize,
    /// How long a connection is drained before it is closed.
    pub linger: Duration,
    /// How long an idle connection may still bring a request once stopping has begun.
    pub stop_grace: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            limits: Limits::default(),
            door: Arc::default(),
            tls: None,
            toxics: None,
            requests: u64::MAX,
            head: Duration::from_secs(10),
            idle: Duration::from_mins(1),
            body_stall: Duration::from_secs(30),
            write_stall: Duration::from_secs(30),
            drained_bytes: 256 * 1024,
            linger: Duration::from_secs(2),
            stop_grace: Duration::from_millis(500),
        }
    }
}

/// What the connections of one worker share.
#[derive(Debug)]
pub struct Server<S> {
    /// Who answers.
    pub service: S,
    /// The bounds.
    pub settings: Settings,
    /// The worker's clock and deadlines.
    pub watch: Rc<Watch>,
    /// The worker's buffers.
    pub buffers: Buffers,
    /// What is counted.
    pub counters: Arc<HttpCounters>,
    /// Where requests are logged, if they are.
    pub log: Option<AccessLog>,
}

/// Accepts connections and serves each on a task of its own until `stop`; then takes what the
/// kernel had already accepted, over the bound too, and returns when the listeners are closed. The
/// connections go on until they are done; [`Watch::keep`] ends with the last.
///
/// # Errors
/// A listener cannot be registered with the runtime.
pub async fn serve<S: Service>(
    listeners: Vec<TcpListener>,
    server: Rc<Server<S>>,
    stop: Stop,
) -> io::Result<()> {
    let accept = |listener| accept_at(listener, Rc::clone(&server), stop.clone());
    let tasks: Vec<_> = listeners
        .into_iter()
        .map(|listener| tokio::task::spawn_local(accept(listener)))
        .collect();
    for task in tasks {
        task.await.map_err(io::Error::other)??;
    }
    Ok(())
}

async fn accept_at<S: Service>(
    listener: TcpListener,
    server: Rc<Server<S>>,
    stop: Stop,
) -> io::Result<()> {
    let listener = listen::register(listener)?;
    let _gate = server.watch.gate();
    let mut requested = std::pin::pin!(stop.requested());
    loop {
        let mut ready = tokio::select! {
            biased;
            () = &mut requested => break,
            ready = listener.readable(), if server.settings.door.has_room() => ready?,
            () = tokio::time::sleep(ACCEPT_PAUSE), if !server.settings.door.has_room() => continue,
        };
        for _ in 0..ACCEPTS_PER_TURN {
            if !server.settings.door.has_room() {
                break;
            }
            match listen::accept(listener.get_ref()) {
                Ok((stream, client)) => welcome(&server, stream, client),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready.clear_ready();
                    break;
                }
                Err(error) => {
                    pause_after(&error, &server).await;
                    break;
                }
            }
        }
        tokio::task::yield_now().await;
    }
    // What waits in the kernel's queue has been promised a connection.
    loop {
        match listen::accept(listener.get_ref()) {
            Ok((stream, client)) => welcome(&server, stream, client),
            Err(error) if is_the_clients(&error) => {}
            Err(_) => return Ok(()),
        }
    }
}

fn welcome<S: Service>(server: &Rc<Server<S>>, stream: TcpStream, client: SocketAddr) {
    let counters = &server.counters;
    counters.accepted.add(1);
    let pass = match server.settings.door.enter(client.ip()) {
        Ok(pass) => pass,
        Err(TurnedAway::TooMany) => return counters.turned_away_many.add(1),
        Err(TurnedAway::TooFast) => return counters.turned_away_fast.add(1),
    };
    counters.open.add(1);
    let server = Rc::clone(server);
    // Taken before the task runs: the watch must know of it even if stopping begins first.
    let sentry = server.watch.post();
    tokio::task::spawn_local(connection::run(server, stream, client, sentry, pass));
}

/// A connection that ended before it was accepted.
fn is_the_clients(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

/// A lack of descriptors or memory would come back at once.
async fn pause_after<S>(error: &io::Error, server: &Server<S>) {
    if is_the_clients(error) {
        return;
    }
    if server.counters.accept_failed.value() == 0 {
        warn!(%error, "cannot accept a connection; /metrics counts how often (if it is for want of open files: ulimit -n)");
    }
    server.counters.accept_failed.add(1);
    tokio::time::sleep(ACCEPT_PAUSE).await;
}
