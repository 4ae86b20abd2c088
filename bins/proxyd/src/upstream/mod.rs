//! The way to the servers that are asked: connecting to them, one request over a connection, and
//! what can go wrong.

mod converse;
mod failure;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;

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
    /// Whether the client named it: then its addresses must be such that a client may name.
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
    access: Arc<Access>,
    resolver: Resolver,
    pool: Rc<Pool>,
    watch: Rc<Watch>,
    buffers: Buffers,
    patience: Patience,
}

impl Upstream {
    /// A way that holds no connection yet. Closing `pool` ends those that are idle.
    pub fn new(
        access: Arc<Access>,
        pool: Rc<Pool>,
        watch: Rc<Watch>,
        buffers: Buffers,
    ) -> Upstream {
        Upstream {
            access,
            resolver: Resolver::default(),
            pool,
            watch,
            buffers,
            patience: Patience::default(),
        }
    }

    /// Sends a request with this rendered head and body, and waits for the head of the answer.
    ///
    /// A connection that was idle may turn out to be dead. Then the request is sent once more, on a
    /// new one, if nothing of an answer came, its body is not yet used up, and sending it twice
    /// does no harm (RFC 9112 §9.3.1).
    pub async fn ask(
        &self,
        server: &Server,
        head: Bytes,
        method: &Method<'_>,
        body: &mut RequestBody<'_>,
    ) -> Result<Answer, Unanswered> {
        let unanswered = |failure| Unanswered {
            server: server.clone(),
            failure,
        };
        let may_be_sent_twice = method.is_idempotent() && body.is_done();
        if let Some(idle) = self.pool.take(&server.authority, self.watch.now()) {
            match converse(idle, head.clone(), method, body).await {
                Err(Failure::Closed) if may_be_sent_twice => {}
                outcome => return outcome.map_err(unanswered),
            }
        }
        let fresh = self.connect(server).await.map_err(unanswered)?;
        converse(fresh, head, method, body)
            .await
            .map_err(unanswered)
    }

    /// What takes a connection back for the next request to that server.
    pub fn keeper(&self, server: &Server) -> impl FnOnce(Connection) + 'static {
        let authority = Arc::clone(&server.authority);
        let (pool, watch) = (Rc::clone(&self.pool), Rc::clone(&self.watch));
        move |connection| pool.keep(authority, connection, watch.now())
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
