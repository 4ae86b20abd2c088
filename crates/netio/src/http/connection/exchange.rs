//! One request that takes more than memory: the program may wait, read the request's body, and
//! answer with a body that comes in pieces.

use std::io;
use std::task::Poll;

use bytes::Bytes;
use netproto::http::Status;
use netproto::http::body::BodyDecoder;
use netproto::http::fields::FieldSlots;
use netproto::http::head::RequestHead;

use super::{Asked, Connection, End, OUTPUT_HIGH, Rest};
use crate::http::body::RequestBody;
use crate::http::response::{BodyStream, Framing};
use crate::http::server::Service;
use crate::http::tunnel::Tunnel;

impl<S: Service> Connection<'_, S> {
    /// Answers one request that takes waiting. Returns `None` if another may follow.
    pub(super) async fn exchange(&mut self, head_length: usize) -> io::Result<Option<End>> {
        let settings = &self.server.settings;
        let bytes = Bytes::copy_from_slice(&self.transport.input.filled()[..head_length]);
        self.transport.input.consume(head_length);
        let mut slots = FieldSlots::new();
        let head = match RequestHead::parse(&bytes, &mut slots, &settings.limits) {
            Ok(Status::Complete(head)) => head,
            // The same bytes were a whole head a moment ago.
            Ok(Status::Partial) => return Ok(Some(End::Linger)),
            Err(error) => {
                self.refuse_head(error);
                self.flush().await?;
                return Ok(Some(End::Linger));
            }
        };
        let request = self.request(&head);
        let asked = Asked::of(&head);
        let entry = self.entry(&request);
        let decoder = match BodyDecoder::new(head.framing, &settings.limits) {
            Ok(decoder) => decoder,
            Err(error) => {
                let response = self.refusal(error.status(), error);
                let wire = self.wire(&asked, &response);
                self.start(&asked, &wire, response, entry);
                self.flush().await?;
                return Ok(Some(End::Linger));
            }
        };
        let mut body = RequestBody::new(&mut self.transport, decoder, &head, settings.body_stall);
        let mut response = self.server.service.exchange(&request, &mut body).await;
        let mut unread = body.leave();
        if !unread.goes_on()
            && let Err(error) = unread.drop_what_came(&mut self.transport.input)
        {
            response = self.refusal(error.status(), error);
        }
        let mut wire = self.wire(&asked, &response);
        wire.persists &= unread.can_be_drained();
        match self.start(&asked, &wire, response, entry) {
            Rest::Nothing => {}
            Rest::Stream(stream) if unread.goes_on() => {
                self.both_ways(stream, wire.framing, &mut unread).await?;
            }
            Rest::Stream(stream) => self.stream(stream, wire.framing).await?,
            Rest::Tunnel(tunnel) => return self.tunnel(tunnel).await,
        }
        self.flush().await?;
        if unread.goes_on() {
            let stall = settings.body_stall;
            unread.pass_on(&mut self.transport, stall).await?;
        }
        if !wire.persists {
            let is_read = unread.is_done();
            return Ok(Some(if is_read { asked.end() } else { End::Linger }));
        }
        let (bytes, patience) = (settings.drained_bytes, settings.linger);
        let is_drained = unread.drain(&mut self.transport, bytes, patience).await;
        Ok((!is_drained).then_some(End::Linger))
    }

    /// Goes on as one end of a tunnel, and logs the request when that ends.
    async fn tunnel(&mut self, tunnel: Tunnel) -> io::Result<Option<End>> {
        let stall = self.server.settings.write_stall;
        self.transport.flush(stall).await?;
        let carried = tunnel.run(&mut self.transport).await;
        if let Some(entry) = self.entries.last_mut() {
            entry.bytes = carried.down_bytes;
            entry.up_bytes = Some(carried.up_bytes);
            entry.is_cut = carried.is_cut;
        }
        Ok(Some(End::Gone))
    }

    /// Writes a body as its pieces come.
    async fn stream(&mut self, mut stream: BodyStream, framing: Framing) -> io::Result<()> {
        let result = self.pieces(&mut stream, framing).await;
        if result.is_ok() {
            framing.end(&mut self.transport.output);
            return self.flush().await;
        }
        self.cut(framing).await?;
        result
    }

    /// Ends an answer within its body.
    pub(super) async fn cut(&mut self, framing: Framing) -> io::Result<()> {
        // Cut short: what there is goes out, and the connection ends without the body's end, so
        // that the client sees the cut.
        if let Some(entry) = self.entries.last_mut() {
            entry.is_cut = true;
        }
        if framing == Framing::UntilClose {
            self.transport.reset_at_end();
        }
        self.flush().await
    }

    /// A piece that is ready goes out with what was rendered before it; nothing that is rendered
    /// waits for a piece that is not.
    async fn pieces(&mut self, stream: &mut BodyStream, framing: Framing) -> io::Result<()> {
        let stall = self.server.settings.write_stall;
        let mut sent = 0;
        loop {
            let ready = std::future::poll_fn(|context| {
                Poll::Ready(match stream.as_mut().poll_next(context) {
                    Poll::Ready(item) => Some(item),
                    Poll::Pending => None,
                })
            })
            .await;
            let item = if let Some(item) = ready {
                item
            } else {
                self.transport.flush(stall).await?;
                self.next_piece(stream).await
            };
            let Some(chunk) = item.transpose()? else {
                break;
            };
            self.add(chunk, framing, &mut sent)?;
            if self.transport.output.pending() >= OUTPUT_HIGH {
                self.transport.flush(stall).await?;
            }
        }
        framing.check_end(sent)
    }

    /// Waits for a piece, as long as there is a client. One that ends its side of the connection
    /// while nothing can be sent to it is taken for gone: what would tell it from one that only has
    /// no more to ask is another byte, and the next may be far.
    async fn next_piece(&mut self, stream: &mut BodyStream) -> Option<io::Result<Bytes>> {
        std::future::poll_fn(|context| {
            if let Poll::Ready(item) = stream.as_mut().poll_next(context) {
                return Poll::Ready(item);
            }
            let left = self.transport.poll_left(context);
            left.map(|()| Some(Err(io::ErrorKind::ConnectionAborted.into())))
        })
        .await
    }

    /// Renders a piece of a body of which so much is `sent`.
    pub(super) fn add(&mut self, piece: Bytes, framing: Framing, sent: &mut u64) -> io::Result<()> {
        *sent += piece.len() as u64;
        if matches!(framing, Framing::Length(length) if *sent > length) {
            return Err(io::Error::other("the body is longer than was said"));
        }
        if let Some(entry) = self.entries.last_mut() {
            entry.bytes = *sent;
        }
        framing.wrap(piece, &mut self.transport.output);
        Ok(())
    }
}
