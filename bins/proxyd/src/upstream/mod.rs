//! The way to the servers that are asked: connecting to them, one request over a connection, and
//! what can go wrong.

pub mod checks;
mod converse;
mod failure;
pub mod origins;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use netio::http::body::RequestBody;
use netio::http::buffer::Buffers;
use netio::http::client::{ClientError, Connection, Patience};
use netio::http::pool::Pool;
use netio::resolve::Resolver;
use netio::watch::Watch;
use netproto::http::limits::Limits;
use netproto::http::method::Method;
use netproto::http::target::Authority;
use smallvec::SmallVec;

use self::converse::converse;
pub use self::failure::{Failure, Unanswered};
use self::origins::{Busy, Origins};
use crate::access::{Access, Denial};

/// What an answer may measure: as a request, but its body streams through and may be of any size.
pub const LIMITS: Limits = Limits {
    body_bytes: u64::MAX,
    ..Limits::DEFAULT
};

/// A server that is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// `host:port`.
    pub authority: Arc<str>,
    /// Whether the client named it: then its addresses must be such that a client may name. If not,
    /// it is an origin, and another may be asked in its place.
    pub is_named_by_client: bool,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = &self.authority;
        if self.is_named_by_client {
            return f.write_str(authority);
        }
        write!(f, "the origin http://{authority}")
    }
}

/// The head of an answer, and the connection that its body comes by.
#[derive(Debug)]
pub struct Answer {
    /// Who gave it.
    pub server: Server,
    /// Counts it among what that origin has under way, while its body comes.
    pub busy: Option<Busy>,
    /// A whole head.
    pub head: Bytes,
    /// Where the body follows.
    pub connection: Connection,
    /// Whether the connection is in order: the request was sent to its end.
    pub is_in_order: bool,
}

/// One worker's way to servers.
#[derive(Debug)]
pub struct Upstream {
    origins: Arc<Origins>,
    access: Arc<Access>,
    resolver: Resolver,
    pool: Rc<Pool<Server>>,
    watch: Rc<Watch>,
    buffers: Buffers,
    patience: Patience,
}

impl Upstream {
    /// A way that holds no connection yet. Closing `pool` ends those that are idle.
    pub fn new(
        origins: Arc<Origins>,
        access: Arc<Access>,
        pool: Rc<Pool<Server>>,
        watch: Rc<Watch>,
        buffers: Buffers,
    ) -> Upstream {
        Upstream {
            origins,
            access,
            resolver: Resolver::default(),
            pool,
            watch,
            buffers,
            patience: Patience::default(),
        }
    }

    /// The same with other deadlines.
    #[must_use]
    pub fn with_patience(self, patience: Patience) -> Upstream {
        Upstream { patience, ..self }
    }

    /// Sends a request with this rendered head and body, and waits for the head of the answer.
    ///
    /// An origin that fails is left out for a while, and another is asked, if that does no harm: if
    /// nothing was sent, or nothing came back and the request may be sent twice (RFC 9110 §9.2.2).
    pub async fn ask(
        &self,
        server: &Server,
        head: Bytes,
        method: &Method<'_>,
        body: &mut RequestBody<'_>,
    ) -> Result<Answer, Unanswered> {
        let may_be_sent_twice = method.is_idempotent() && body.is_done();
        let unanswered = |server: &Server, failure| Unanswered {
            server: server.clone(),
            failure,
        };
        if server.is_named_by_client {
            let answered = self.ask_one(server, head, method, body).await;
            return answered.map_err(|failure| unanswered(server, failure));
        }
        let mut tried = SmallVec::<[usize; 4]>::new();
        let mut last = unanswered(server, Failure::Closed);
        while let Some(busy) = self.origins.choose(&tried, Instant::now()) {
            let asked = Instant::now();
            let failure = match self
                .ask_one(busy.server(), head.clone(), method, body)
                .await
            {
                Ok(mut answer) => {
                    busy.succeeded();
                    answer.busy = Some(busy);
                    return Ok(answer);
                }
                Err(failure) => failure,
            };
            // A connection that was idle may have ended by itself.
            let is_its_own = failure.is_of_server()
                && (may_be_sent_twice || !matches!(failure, Failure::Closed));
            if is_its_own {
                busy.failed(asked, Instant::now());
            }
            let may_be_asked_of_another = failure.comes_before_request()
                || (may_be_sent_twice && failure.comes_before_answer());
            tried.push(busy.number());
            last = unanswered(busy.server(), failure);
            if !may_be_asked_of_another {
                break;
            }
        }
        Err(last)
    }

    /// Asks one server. A connection that was idle may turn out to be dead. Then the request is sent
    /// once more, on a new one, if nothing of an answer came, its body is not yet used up, and
    /// sending it twice does no harm (RFC 9112 §9.3.1).
    async fn ask_one(
        &self,
        server: &Server,
        head: Bytes,
        method: &Method<'_>,
        body: &mut RequestBody<'_>,
    ) -> Result<Answer, Failure> {
        let may_be_sent_twice = method.is_idempotent() && body.is_done();
        if let Some(idle) = self.pool.take(server, self.watch.now(), may_be_sent_twice) {
            match converse(server, idle, head.clone(), method, body).await {
                Err(Failure::Closed) if may_be_sent_twice => {}
                outcome => return outcome,
            }
        }
        let fresh = self.connect(server).await?;
        converse(server, fresh, head, method, body).await
    }

    /// What takes a connection back for the next request to that server.
    pub fn keeper(&self, server: &Server) -> impl FnOnce(Connection) + 'static {
        let server = server.clone();
        let (pool, watch) = (Rc::clone(&self.pool), Rc::clone(&self.watch));
        move |connection| pool.keep(server, connection, watch.now())
    }

    /// A new connection to a server: its name is looked up once, and what is connected to is the
    /// address that was checked.
    pub async fn connect(&self, server: &Server) -> Result<Connection, Failure> {
        let Some(Authority {
            host,
            port: Some(port),
        }) = Authority::parse(&server.authority)
        else {
            let cause = io::Error::new(io::ErrorKind::InvalidInput, "no host and port");
            return Err(Failure::Unreachable(cause));
        };
        let sentry = self.watch.post();
        sentry.allow(self.patience.connect);
        let lookup = async { Ok(self.resolver.addresses(host, self.watch.now()).await) };
        let addresses = sentry
            .wait_for(lookup)
            .await
            .map_err(|_| Failure::LookupLate)?
            .map_err(Failure::Unknown)?;
        let addresses = addresses.iter().map(|ip| SocketAddr::new(*ip, port));
        let addresses: SmallVec<[SocketAddr; 2]> = if server.is_named_by_client {
            permitted(&self.access, addresses).map_err(Failure::Denied)?
        } else {
            addresses.collect()
        };
        Connection::connect(&addresses, sentry, &self.buffers, &self.patience)
            .await
            .map_err(|error| {
                self.resolver.forget(host);
                match error {
                    ClientError::Late => Failure::ConnectLate,
                    error => error.into(),
                }
            })
    }
}

/// Those of the addresses that a client may name; the last denial if it may name none.
fn permitted(
    access: &Access,
    addresses: impl Iterator<Item = SocketAddr>,
) -> Result<SmallVec<[SocketAddr; 2]>, Denial> {
    let mut denial = None;
    let permitted: SmallVec<_> = addresses
        .filter(|address| match access.of_target(*address, is_local) {
            Ok(()) => true,
            Err(denied) => {
                denial = Some(denied);
                false
            }
        })
        .collect();
    match denial {
        Some(denial) if permitted.is_empty() => Err(denial),
        _ => Ok(permitted),
    }
}

/// Whether this machine has the address.
fn is_local(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}
