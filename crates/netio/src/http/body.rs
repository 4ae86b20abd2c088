//! Bodies as they come in, on either side of a connection.

use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use netproto::http::body::{BodyDecoder, BodyError, BodyFraming};
use netproto::http::head::RequestHead;
use netproto::http::status::StatusCode;
use netproto::http::version::Version;
use netproto::http::write::CRLF;
use thiserror::Error;
use tokio::sync::mpsc;

use super::buffer::{BUFFER_BYTES, ReadBuffer};
use super::onward::{self, Giver, Rest};
use super::response::Head;
use super::transport::Transport;

/// Why a body did not come whole.
#[derive(Debug, Error)]
pub enum ReadBodyError {
    /// Its framing breaks a rule, it is too long, or it ended early.
    #[error(transparent)]
    Malformed(#[from] BodyError),
    /// The connection failed or was late.
    #[error("the connection failed within the body: {0}")]
    Broken(#[from] io::Error),
}

/// Reads the next piece of a body; `None` at its end. `stall` is how long it may wait for a byte.
pub async fn read_chunk(
    transport: &mut Transport,
    decoder: &mut BodyDecoder,
    stall: Duration,
) -> Result<Option<Bytes>, ReadBodyError> {
    loop {
        if let Some(piece) = next_piece(&mut transport.input, decoder)? {
            return Ok(Some(piece));
        }
        if decoder.is_done() {
            return Ok(None);
        }
        transport.sentry.allow(stall);
        if transport.fill(BUFFER_BYTES).await? == 0 {
            decoder.end_of_input()?;
            return Ok(None);
        }
    }
}

/// The next piece of a body among what has come; `None` if the end is reached, or more is needed.
pub(super) fn next_piece(
    input: &mut ReadBuffer,
    decoder: &mut BodyDecoder,
) -> Result<Option<Bytes>, BodyError> {
    while !decoder.is_done() && !input.is_empty() {
        let filled = input.filled();
        let decoded = decoder.decode(filled)?;
        let data = Bytes::copy_from_slice(&filled[decoded.data]);
        input.consume(decoded.consumed);
        if !data.is_empty() {
            return Ok(Some(data));
        }
        if decoded.consumed == 0 {
            break;
        }
    }
    Ok(None)
}

/// The body of a request, for the program that answers it. What it leaves unread, the connection
/// drains or cuts.
#[derive(Debug)]
pub struct RequestBody<'t> {
    /// `None` where there is no body, nor a connection that it could come by.
    transport: Option<&'t mut Transport>,
    decoder: BodyDecoder,
    framing: BodyFraming,
    expects_continue: bool,
    takes_interim: bool,
    /// Where what the client is to be told goes, if that is not its connection.
    teller: Option<mpsc::Sender<Head>>,
    stall: Duration,
    /// Where it goes on once its program has answered.
    onward: Option<Giver>,
}

impl<'t> RequestBody<'t> {
    pub(super) fn new(
        transport: &'t mut Transport,
        decoder: BodyDecoder,
        head: &RequestHead<'_, '_>,
        stall: Duration,
    ) -> Self {
        RequestBody {
            transport: Some(transport),
            decoder,
            framing: head.framing,
            expects_continue: head.expects_continue,
            takes_interim: head.version == Version::Http11,
            teller: None,
            stall,
            onward: None,
        }
    }

    /// That of a request without one, which outlives the connection that it came by; `teller` gets
    /// what its client is to be told, as far as there is room for it.
    pub fn none(teller: Option<mpsc::Sender<Head>>) -> RequestBody<'static> {
        RequestBody {
            transport: None,
            decoder: BodyDecoder::none(),
            framing: BodyFraming::None,
            expects_continue: false,
            takes_interim: false,
            teller,
            stall: Duration::ZERO,
            onward: None,
        }
    }

    /// How its end is told.
    pub fn framing(&self) -> BodyFraming {
        self.framing
    }

    /// Whether it has been read to its end (at once, where there is none).
    pub fn is_done(&self) -> bool {
        self.decoder.is_done()
    }

    /// Whether the client holds it back until it hears 100 (Continue), and has not heard that yet.
    pub fn is_held_back(&self) -> bool {
        let is_silent = |transport: &&mut Transport| transport.input.is_empty();
        self.expects_continue && !self.is_done() && self.transport.as_ref().is_some_and(is_silent)
    }

    /// Tells the client something before its answer: a 1xx that is not 101. An HTTP/1.0 client would
    /// take it for the answer, and is told nothing (RFC 9110 §15.2).
    ///
    /// # Errors
    /// The client is gone, or does not read.
    pub async fn tell(&mut self, interim: &Head) -> io::Result<()> {
        debug_assert!(interim.status().is_informational());
        if interim.status() == StatusCode::CONTINUE {
            self.expects_continue = false;
        }
        if let Some(teller) = &self.teller {
            // Who has gone, or is told too much, misses nothing that matters.
            let _ = teller.try_send(interim.clone());
        }
        let Some(transport) = self.transport.as_mut().filter(|_| self.takes_interim) else {
            return Ok(());
        };
        transport.output.render(|rendered| {
            rendered.extend_from_slice(interim.rendered());
            rendered.extend_from_slice(CRLF);
        });
        transport.flush(self.stall).await
    }

    /// The next piece; `None` at the end. A client that waits for 100 (Continue) gets it with the
    /// first call (RFC 9110 §10.1.1).
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, ReadBodyError> {
        let Some(transport) = &mut self.transport else {
            return Ok(None);
        };
        if self.expects_continue && !self.decoder.is_done() {
            self.expects_continue = false;
            if transport.input.is_empty() {
                let interim = b"HTTP/1.1 100 Continue\r\n\r\n";
                transport
                    .output
                    .render(|rendered| rendered.extend_from_slice(interim));
                transport.flush(self.stall).await?;
            }
        }
        read_chunk(transport, &mut self.decoder, self.stall).await
    }

    /// What has not been read of it, for the connection that it goes out by. It comes once the
    /// program has answered, as the client sends it, while the client is sent the answer.
    pub fn hand_over(&mut self) -> Rest {
        let (giver, rest) = onward::rest();
        if self.transport.is_some() {
            self.onward = Some(giver);
        } else {
            giver.finish();
        }
        rest
    }

    /// What is left of it, without the connection.
    pub(super) fn leave(self) -> Unread {
        Unread {
            decoder: self.decoder,
            expects_continue: self.expects_continue,
            onward: self.onward,
        }
    }
}

/// What a program left of a request's body.
pub(super) struct Unread {
    decoder: BodyDecoder,
    expects_continue: bool,
    /// Who takes it, until it has come whole or is wanted no more.
    onward: Option<Giver>,
}

impl Unread {
    /// Whether nothing is left.
    pub(super) fn is_done(&self) -> bool {
        self.decoder.is_done()
    }

    /// Whether the connection may go on behind it. A client that was never told to go on may or
    /// may not send its body: nobody can tell (RFC 9110 §10.1.1).
    pub(super) fn can_be_drained(&self) -> bool {
        self.decoder.is_done() || !self.expects_continue
    }

    /// Whether it goes on to somebody.
    pub(super) fn goes_on(&self) -> bool {
        self.onward.is_some()
    }

    /// Passes a piece on. Ready with `false` when there is none left, or nobody takes them any more.
    ///
    /// # Errors
    /// Its framing breaks a rule, or the connection is broken; who takes it sees it cut.
    pub(super) fn poll_pass_on(
        &mut self,
        transport: &mut Transport,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<bool>> {
        let Some(giver) = self.onward.take() else {
            return Poll::Ready(Ok(false));
        };
        let polled = loop {
            match giver.poll_room(context) {
                Poll::Ready(true) => {}
                Poll::Ready(false) => return Poll::Ready(Ok(false)),
                Poll::Pending => break Poll::Pending,
            }
            if let Some(piece) =
                next_piece(&mut transport.input, &mut self.decoder).map_err(io::Error::other)?
            {
                giver.give(piece);
                break Poll::Ready(Ok(true));
            }
            if self.decoder.is_done() {
                giver.finish();
                return Poll::Ready(Ok(false));
            }
            match transport.poll_more(BUFFER_BYTES, context) {
                Poll::Ready(Ok(0)) => {
                    self.decoder.end_of_input().map_err(io::Error::other)?;
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => break Poll::Pending,
            }
        };
        self.onward = Some(giver);
        polled
    }

    /// Passes on what is left, when the answer is sent; the client may be silent for `stall`.
    ///
    /// # Errors
    /// Those of [`Unread::poll_pass_on`]; `TimedOut`.
    pub(super) async fn pass_on(
        &mut self,
        transport: &mut Transport,
        stall: Duration,
    ) -> io::Result<()> {
        loop {
            transport.sentry.allow(stall);
            let passed = std::future::poll_fn(|context| {
                let polled = self.poll_pass_on(transport, context);
                transport.sentry.poll_wait(context, |_| polled)
            });
            if !passed.await? {
                return Ok(());
            }
        }
    }

    /// Drops what of it has come already.
    ///
    /// # Errors
    /// Its framing breaks a rule: then the request gets that answer, whatever the program said.
    pub(super) fn drop_what_came(&mut self, input: &mut ReadBuffer) -> Result<(), BodyError> {
        while !self.decoder.is_done() && !input.is_empty() {
            let decoded = self.decoder.decode(input.filled())?;
            if decoded.consumed == 0 {
                break;
            }
            input.consume(decoded.consumed);
        }
        Ok(())
    }

    /// Reads and drops it, at most `limit` bytes, for `patience` and not while stopping. Returns
    /// whether the end was reached: only then can another request follow.
    pub(super) async fn drain(
        mut self,
        transport: &mut Transport,
        limit: usize,
        patience: Duration,
    ) -> bool {
        transport.sentry.allow(patience);
        let mut left = limit;
        loop {
            if self.drop_what_came(&mut transport.input).is_err() {
                return false;
            }
            if self.decoder.is_done() {
                return true;
            }
            match transport.fill_unless_stopping(BUFFER_BYTES).await {
                Ok(Some(count)) if count > 0 && count <= left => left -= count,
                _ => return false,
            }
        }
    }
}
