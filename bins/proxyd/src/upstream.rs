//! The way to the origin: its connections, one request over one of them, and what can go wrong.

use std::io;
use std::rc::Rc;

use bytes::Bytes;
use netio::http::body::{ReadBodyError, RequestBody};
use netio::http::buffer::Buffers;
use netio::http::client::{ClientError, Connection, Patience};
use netio::http::pool::Pool;
use netio::watch::Watch;
use netproto::http::body::{BodyFraming, CHUNK_END, LAST_CHUNK, chunk_size_line};
use netproto::http::head::HeadError;
use netproto::http::limits::Limits;
use netproto::http::method::Method;
use netproto::http::status::StatusCode;
use thiserror::Error;

use crate::config::Origin;

/// What an answer may measure: as a request, but its body streams through and may be of any size.
pub const LIMITS: Limits = Limits {
    body_bytes: u64::MAX,
    ..Limits::DEFAULT
};

/// Why there is no answer from the origin.
#[derive(Debug, Error)]
pub enum Failure {
    /// No address of it takes a connection.
    #[error("cannot connect: {}", plain(.0))]
    Unreachable(io::Error),
    /// It did not take the connection in time.
    #[error("it did not take the connection in time")]
    ConnectLate,
    /// It did not answer in time.
    #[error("it did not answer in time")]
    Late,
    /// It ended the connection instead of answering.
    #[error("it closed the connection without an answer")]
    Closed,
    /// The connection broke.
    #[error("the connection broke: {}", plain(.0))]
    Broken(io::Error),
    /// Its answer breaks a rule of HTTP.
    #[error("its answer is malformed: {0}")]
    Malformed(HeadError),
    /// It sent interim answers and never a final one.
    #[error("it sent too many interim answers")]
    Interim,
    /// It switched protocols though nobody asked for that.
    #[error("it switched protocols unasked")]
    Switched,
    /// Not the origin's fault: the client's body did not come whole.
    #[error("the body of the request did not come whole: {0}")]
    Client(ReadBodyError),
}

impl Failure {
    /// What the client is answered.
    pub fn status(&self) -> StatusCode {
        match self {
            Failure::ConnectLate | Failure::Late => StatusCode::GATEWAY_TIMEOUT,
            Failure::Client(ReadBodyError::Malformed(error)) => error.status(),
            Failure::Client(ReadBodyError::Broken(_)) => StatusCode::BAD_REQUEST,
            _ => StatusCode::BAD_GATEWAY,
        }
    }

    /// Its type in Proxy-Status (RFC 9209 §2.3).
    pub fn proxy_error(&self) -> &'static str {
        match self {
            Failure::Unreachable(cause) if cause.kind() == io::ErrorKind::ConnectionRefused => {
                "connection_refused"
            }
            Failure::Unreachable(cause) if cause.raw_os_error().is_none() => "dns_error",
            Failure::Unreachable(_) => "destination_ip_unroutable",
            Failure::ConnectLate => "connection_timeout",
            Failure::Late => "http_response_timeout",
            Failure::Closed | Failure::Broken(_) => "connection_terminated",
            Failure::Malformed(_) | Failure::Interim => "http_protocol_error",
            Failure::Switched => "http_upgrade_failed",
            Failure::Client(_) => "http_request_error",
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        match error {
            ClientError::Connect { cause, .. } => Failure::Unreachable(cause),
            ClientError::Closed => Failure::Closed,
            ClientError::Broken(cause) => Failure::Broken(cause),
            ClientError::Late => Failure::Late,
            ClientError::Malformed(error) => Failure::Malformed(error),
            ClientError::Interim => Failure::Interim,
        }
    }
}

/// What an error is, without its number.
fn plain(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(_) => error.kind().to_string(),
        None => error.to_string(),
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

/// One worker's way to the origin.
#[derive(Debug)]
pub struct Upstream {
    origin: Origin,
    pool: Rc<Pool>,
    watch: Rc<Watch>,
    buffers: Buffers,
    patience: Patience,
}

impl Upstream {
    /// A way that holds no connection yet. Closing `pool` ends those that are idle.
    pub fn new(origin: Origin, pool: Rc<Pool>, watch: Rc<Watch>, buffers: Buffers) -> Upstream {
        Upstream {
            origin,
            pool,
            watch,
            buffers,
            patience: Patience::default(),
        }
    }

    /// Who is asked.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Sends a request with this rendered head and body, and waits for the head of the answer.
    ///
    /// A connection that was idle may turn out to be dead. Then the request is sent once more, on a
    /// new one, if nothing of an answer came, its body is not yet used up, and sending it twice
    /// does no harm (RFC 9112 §9.3.1).
    pub async fn ask(
        &self,
        head: Bytes,
        method: &Method<'_>,
        body: &mut RequestBody<'_>,
    ) -> Result<Answer, Failure> {
        let may_be_sent_twice = method.is_idempotent() && body.is_done();
        if let Some(idle) = self.pool.take(&self.origin.authority, self.watch.now()) {
            match converse(idle, head.clone(), method, body).await {
                Err(Failure::Closed) if may_be_sent_twice => {}
                outcome => return outcome,
            }
        }
        let fresh = self.connect().await?;
        converse(fresh, head, method, body).await
    }

    /// What takes a connection back for the next request.
    pub fn keeper(&self) -> impl FnOnce(Connection) + 'static {
        let authority = self.origin.authority.clone();
        let (pool, watch) = (Rc::clone(&self.pool), Rc::clone(&self.watch));
        move |connection| pool.keep(&authority, connection, watch.now())
    }

    async fn connect(&self) -> Result<Connection, Failure> {
        let authority = &self.origin.authority;
        Connection::connect(authority, &self.watch, &self.buffers, &self.patience)
            .await
            .map_err(|error| match error {
                ClientError::Late => Failure::ConnectLate,
                error => error.into(),
            })
    }
}

async fn converse(
    mut connection: Connection,
    head: Bytes,
    method: &Method<'_>,
    body: &mut RequestBody<'_>,
) -> Result<Answer, Failure> {
    connection.push(head);
    let is_in_order = match send(&mut connection, method, body).await {
        Err(Failure::Broken(_)) => {
            // The origin may have answered before it closed; if not, this tells it apart.
            false
        }
        Err(failure) => return Err(failure),
        Ok(is_whole) => is_whole,
    };
    let head = connection.head(method, &LIMITS).await?;
    Ok(Answer {
        head,
        connection,
        is_in_order,
    })
}

/// Sends the request. Returns whether all of it went out: an origin that refuses it before it has
/// read the body wants no more of it.
async fn send(
    connection: &mut Connection,
    method: &Method<'_>,
    body: &mut RequestBody<'_>,
) -> Result<bool, Failure> {
    if !flush(connection, method).await? {
        return Ok(false);
    }
    let is_chunked = body.framing() == BodyFraming::Chunked;
    while !body.is_done() || is_chunked {
        let piece = tokio::select! {
            biased;
            began = connection.answer_begins() => {
                began?;
                if !connection.wants_rest(method, &LIMITS).await? {
                    return Ok(false);
                }
                continue;
            }
            piece = body.chunk() => piece.map_err(Failure::Client)?,
        };
        let is_last = piece.is_none();
        match piece {
            Some(piece) if is_chunked => {
                connection.render(|out| chunk_size_line(piece.len(), out));
                connection.push(piece);
                connection.render(|out| out.extend_from_slice(CHUNK_END));
            }
            Some(piece) => connection.push(piece),
            None if is_chunked => connection.render(|out| out.extend_from_slice(LAST_CHUNK)),
            None => {}
        }
        if !flush(connection, method).await? {
            return Ok(false);
        }
        if is_last {
            break;
        }
    }
    Ok(true)
}

/// Writes what is rendered. Returns whether all of it went out, as [`send`] does.
async fn flush(connection: &mut Connection, method: &Method<'_>) -> Result<bool, Failure> {
    while !connection.flush_until_answer().await? {
        if !connection.wants_rest(method, &LIMITS).await? {
            return Ok(false);
        }
    }
    Ok(true)
}
