//! The client's side: one connection to an origin, one request at a time.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use netproto::http::Status;
use netproto::http::body::{BodyDecoder, BodyError, BodyFraming};
use netproto::http::fields::FieldSlots;
use netproto::http::head::{HeadError, HeadScan, ResponseHead};
use netproto::http::limits::Limits;
use netproto::http::method::Method;
use netproto::http::status::StatusCode;
use thiserror::Error;

use super::body::next_piece;
use super::buffer::{BUFFER_BYTES, Buffers};
use super::onward::{Rest, Upload, Uploaded, render_end, render_piece};
use super::response::BodyStream;
use super::transport::Transport;
use super::tunnel::{Tunnel, TunnelCounters};
use crate::dial::dial;
use crate::watch::Sentry;

/// How many interim (1xx) answers to one request are heard before the origin is given up.
const INTERIM_ANSWERS: usize = 8;

/// How long each step may take.
#[derive(Clone, Debug)]
pub struct Patience {
    /// Looking a name up and connecting, all addresses together.
    pub connect: Duration,
    /// From the end of the request to the end of the answer's head.
    pub answer: Duration,
    /// Without any byte, within a body either way.
    pub stall: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            connect: Duration::from_secs(5),
            answer: Duration::from_secs(30),
            stall: Duration::from_secs(30),
        }
    }
}

/// Why an origin gave no answer.
#[derive(Debug, Error)]
pub enum ClientError {
    /// No address of it took the connection.
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    /// It ended the connection before the first byte of an answer.
    #[error("the connection was closed before an answer")]
    Closed,
    /// The connection failed within the request or the answer.
    #[error("the connection failed: {0}")]
    Broken(io::Error),
    /// It took too long.
    #[error("no answer in time")]
    Late,
    /// Its answer breaks a rule of HTTP.
    #[error("a malformed answer: {0}")]
    Malformed(#[from] HeadError),
    /// It sent interim answers and never a final one.
    #[error("too many interim answers")]
    Interim,
}

impl From<io::Error> for ClientError {
    fn from(error: io::Error) -> ClientError {
        match error.kind() {
            io::ErrorKind::TimedOut => ClientError::Late,
            _ => ClientError::Broken(error),
        }
    }
}

/// A connection to an origin.
#[derive(Debug)]
pub struct Connection {
    transport: Transport,
    patience: Patience,
    /// Whether it has carried a request before: then the origin may close it at any time, and a
    /// request that found it closed may be tried again (RFC 9112 §9.3.1).
    reused: bool,
    /// Whether a byte of the present answer has come.
    heard: bool,
    /// How many interim answers to the present request have come.
    interim: usize,
    /// What of the present request goes out while the answer comes.
    upload: Option<Upload>,
}

/// A whole head, and what it says of what may follow.
#[derive(Debug)]
pub struct Heard {
    /// Its status: below 200 for an interim answer, which another follows.
    pub status: StatusCode,
    /// Whether the connection can carry another request after this answer.
    pub persistent: bool,
    /// Its bytes, for [`ResponseHead::parse`].
    pub head: Bytes,
}

impl Heard {
    /// Whether another answer follows to the same request. 101 is the last in HTTP.
    pub fn is_interim(&self) -> bool {
        self.status.is_informational() && self.status != StatusCode::SWITCHING_PROTOCOLS
    }
}

impl Connection {
    /// Connects to the first of an origin's `addresses` that answers, before the deadline of
    /// `sentry`, which is the connection's from then on.
    pub async fn connect(
        addresses: &[SocketAddr],
        sentry: Sentry,
        buffers: &Buffers,
        patience: &Patience,
    ) -> Result<Connection, ClientError> {
        match sentry.wait_for(dial(addresses)).await {
            Ok(stream) => {
                let transport = Transport::new(stream, buffers, sentry);
                Ok(Connection {
                    transport,
                    patience: patience.clone(),
                    reused: false,
                    heard: false,
                    interim: 0,
                    upload: None,
                })
            }
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(ClientError::Late),
            Err(cause) => Err(ClientError::Connect(cause)),
        }
    }

    /// Whether it has carried a request before.
    pub fn is_reused(&self) -> bool {
        self.reused
    }

    /// Whether it can carry another request now.
    pub(super) fn is_quiet(&mut self) -> bool {
        self.transport.is_quiet()
    }

    /// Adds a piece of a request's body to what is to be written.
    pub fn push_piece(&mut self, piece: Bytes, is_chunked: bool) {
        render_piece(piece, is_chunked, &mut self.transport.output);
    }

    /// Adds the body's end.
    pub fn push_end(&mut self, is_chunked: bool) {
        render_end(is_chunked, &mut self.transport.output);
    }

    /// Has the request go on while its answer comes: what is not yet written, and `rest`.
    pub fn upload(&mut self, rest: Option<Rest>, is_chunked: bool) {
        self.upload = Some(Upload::new(rest, is_chunked));
    }

    /// Adds bytes to what is to be written.
    pub fn push(&mut self, bytes: Bytes) {
        self.transport.output.push(bytes);
    }

    /// Writes what is rendered.
    pub async fn flush(&mut self) -> Result<(), ClientError> {
        Ok(self.transport.flush(self.patience.stall).await?)
    }

    /// As [`Connection::flush`], but stops when an answer begins to come, or the origin closes,
    /// before everything is written. Returns whether everything was.
    pub async fn flush_until_answer(&mut self) -> Result<bool, ClientError> {
        let stall = self.patience.stall;
        Ok(self.transport.flush_until_input(stall).await?)
    }

    /// Waits until an answer begins to come, or the origin closes.
    pub async fn answer_begins(&mut self) -> Result<(), ClientError> {
        Ok(self.transport.input_begins().await?)
    }

    /// Whether something has come that is not read yet.
    pub fn has_more(&self) -> bool {
        !self.transport.input.is_empty()
    }

    /// Reads the next head of the answer to a request by `method`: that of an interim answer, or of
    /// the final one.
    pub async fn next_head(
        &mut self,
        method: &Method<'_>,
        limits: &Limits,
    ) -> Result<Heard, ClientError> {
        self.transport.sentry.allow(self.patience.answer);
        let mut scan = HeadScan::new();
        loop {
            match self.look(&mut scan, method, limits)? {
                Status::Complete(heard) => {
                    self.interim += usize::from(heard.is_interim());
                    if self.interim > INTERIM_ANSWERS {
                        return Err(ClientError::Interim);
                    }
                    return Ok(heard);
                }
                Status::Partial => self.hear(limits).await?,
            }
        }
    }

    /// Waits for more of the answer.
    async fn hear(&mut self, limits: &Limits) -> Result<(), ClientError> {
        match self.transport.fill(limits.head_bytes()).await {
            Ok(0) if self.heard => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Ok(0) => Err(ClientError::Closed),
            Ok(_) => {
                self.heard = true;
                Ok(())
            }
            Err(error) if !self.heard && error.kind() == io::ErrorKind::ConnectionReset => {
                Err(ClientError::Closed)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn look(
        &mut self,
        scan: &mut HeadScan,
        method: &Method<'_>,
        limits: &Limits,
    ) -> Result<Status<Heard>, HeadError> {
        let filled = self.transport.input.filled();
        let heard = {
            let mut slots = FieldSlots::new();
            match ResponseHead::resume(scan, filled, &mut slots, limits, method)? {
                Status::Complete(head) => Heard {
                    status: head.status,
                    persistent: head.persistent,
                    head: Bytes::copy_from_slice(&filled[..head.len]),
                },
                Status::Partial => return Ok(Status::Partial),
            }
        };
        self.transport.input.consume(heard.head.len());
        *scan = HeadScan::new();
        Ok(Status::Complete(heard))
    }

    /// The body that follows the head, as a stream. When it has come whole, and the connection can
    /// carry another request, `keep` gets it back; what `keep` holds lives at least as long as the
    /// body comes.
    ///
    /// # Errors
    /// The length that the head names is over the limit.
    pub fn into_body(
        self,
        framing: BodyFraming,
        limits: &Limits,
        keep: impl FnOnce(Connection) + 'static,
    ) -> Result<BodyStream, BodyError> {
        let decoder = BodyDecoder::new(framing, limits)?;
        Ok(Box::pin(Pieces {
            connection: Some(self),
            decoder,
            waits: false,
            is_open_ended: framing == BodyFraming::UntilClose,
            keep: Some(Box::new(keep)),
        }))
    }

    /// What becomes of it when an answer without a body has come: `keep` gets it back, as soon as the
    /// request has gone out.
    pub fn after_answer(self, keep: impl FnOnce(Connection) + 'static) {
        if self.upload.is_none() {
            keep(self.rested());
        } else {
            tokio::task::spawn_local(self.finish(keep));
        }
    }

    /// Sends what is left of the request, and nothing comes any more.
    async fn finish(mut self, keep: impl FnOnce(Connection)) {
        let Some(mut upload) = self.upload.take() else {
            return;
        };
        let (transport, stall) = (&mut self.transport, self.patience.stall);
        transport.sentry.allow(stall);
        let uploaded = std::future::poll_fn(|context| {
            let polled = upload.poll(transport, stall, context);
            transport.sentry.poll_wait(context, |_| polled)
        });
        if let Ok(Uploaded::Whole) = uploaded.await {
            keep(self.rested());
        }
    }

    /// What becomes of it when it carries no HTTP any more: nothing that has come is lost. It may be
    /// idle for so long.
    pub fn into_tunnel(self, idle: Duration, counters: &Arc<TunnelCounters>) -> Tunnel {
        Tunnel::new(self.transport, idle, counters)
    }

    /// Takes it back after an answer without a body: ready for the next request.
    #[must_use]
    pub fn rested(mut self) -> Connection {
        self.transport.rest();
        self.reused = true;
        self.heard = false;
        self.interim = 0;
        self
    }
}

/// A body as a stream of its pieces.
struct Pieces {
    /// Until the end, or an error.
    connection: Option<Connection>,
    decoder: BodyDecoder,
    /// Whether the deadline of the next piece runs.
    waits: bool,
    /// Whether the connection ends with it.
    is_open_ended: bool,
    /// Until the end.
    keep: Option<Box<dyn FnOnce(Connection)>>,
}

impl Stream for Pieces {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let piece = ready!(self.poll_piece(context));
        self.waits = false;
        match piece.transpose() {
            Some(Ok(piece)) => return Poll::Ready(Some(Ok(piece))),
            Some(Err(error)) => {
                self.connection = None;
                return Poll::Ready(Some(Err(error)));
            }
            None => {}
        }
        if let Some(connection) = self.connection.take()
            && let Some(keep) = self.keep.take()
            && !self.is_open_ended
        {
            connection.after_answer(keep);
        }
        Poll::Ready(None)
    }
}

impl Pieces {
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        let Some(connection) = &mut self.connection else {
            return Poll::Ready(Ok(None));
        };
        let (transport, stall) = (&mut connection.transport, connection.patience.stall);
        if let Some(upload) = &mut connection.upload {
            match upload.poll(transport, stall, context)? {
                Poll::Ready(Uploaded::Whole) => connection.upload = None,
                // Its end is where nobody can tell.
                Poll::Ready(Uploaded::Refused) => {
                    connection.upload = None;
                    self.keep = None;
                }
                Poll::Pending => {}
            }
        }
        loop {
            if let Some(piece) =
                next_piece(&mut transport.input, &mut self.decoder).map_err(io::Error::other)?
            {
                return Poll::Ready(Ok(Some(piece)));
            }
            if self.decoder.is_done() {
                return Poll::Ready(Ok(None));
            }
            if !self.waits {
                self.waits = true;
                transport.sentry.allow(stall);
            }
            if ready!(transport.poll_fill(BUFFER_BYTES, context))? == 0 {
                self.decoder.end_of_input().map_err(io::Error::other)?;
                return Poll::Ready(Ok(None));
            }
            self.waits = false;
        }
    }
}
