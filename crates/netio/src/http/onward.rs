//! The rest of a request's body that goes on while its answer comes already: from the connection
//! that it comes by, which gives a piece at a time, to the one that it goes out by.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::Bytes;
use netproto::http::body::{CHUNK_END, LAST_CHUNK, chunk_size_line};

use super::outbox::Outbox;
use super::transport::Transport;

/// Who gives a rest, and who takes it: both on one worker.
pub(super) fn rest() -> (Giver, Rest) {
    let slot = Rc::new(RefCell::new(Slot::default()));
    (Giver(Rc::clone(&slot)), Rest(slot))
}

#[derive(Debug, Default)]
struct Slot {
    piece: Option<Bytes>,
    end: Option<End>,
    giver: Option<Waker>,
    taker: Option<Waker>,
    is_left: bool,
}

#[derive(Debug, Clone, Copy)]
enum End {
    Whole,
    Cut,
}

impl Slot {
    fn end(&mut self, end: End) {
        self.end.get_or_insert(end);
        wake(&mut self.taker);
    }
}

fn wake(waits: &mut Option<Waker>) {
    if let Some(waker) = waits.take() {
        waker.wake();
    }
}

/// Gives the rest of a body, piece by piece. Dropped before its end, it cuts it.
#[derive(Debug)]
pub(super) struct Giver(Rc<RefCell<Slot>>);

impl Giver {
    /// Ready when there is room for a piece; with `false` when nobody takes it any more.
    pub(super) fn poll_room(&self, context: &mut Context<'_>) -> Poll<bool> {
        let mut slot = self.0.borrow_mut();
        if slot.is_left {
            return Poll::Ready(false);
        }
        if slot.piece.is_none() {
            return Poll::Ready(true);
        }
        slot.giver = Some(context.waker().clone());
        Poll::Pending
    }

    /// Gives a piece; there must be room for it.
    pub(super) fn give(&self, piece: Bytes) {
        let mut slot = self.0.borrow_mut();
        debug_assert!(slot.piece.is_none());
        slot.piece = Some(piece);
        wake(&mut slot.taker);
    }

    /// It came whole.
    pub(super) fn finish(self) {
        self.0.borrow_mut().end(End::Whole);
    }
}

impl Drop for Giver {
    fn drop(&mut self) {
        self.0.borrow_mut().end(End::Cut);
    }
}

/// The rest of a request's body, for the connection that it goes out by.
#[derive(Debug)]
pub struct Rest(Rc<RefCell<Slot>>);

impl Rest {
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        let mut slot = self.0.borrow_mut();
        if let Some(piece) = slot.piece.take() {
            wake(&mut slot.giver);
            return Poll::Ready(Ok(Some(piece)));
        }
        match slot.end {
            Some(End::Whole) => Poll::Ready(Ok(None)),
            Some(End::Cut) => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            None => {
                slot.taker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        let mut slot = self.0.borrow_mut();
        slot.is_left = true;
        wake(&mut slot.giver);
    }
}

/// Renders a piece of a body whose length was told, or not.
pub(super) fn render_piece(piece: Bytes, is_chunked: bool, out: &mut Outbox) {
    if is_chunked {
        out.render(|out| chunk_size_line(piece.len(), out));
    }
    out.push(piece);
    if is_chunked {
        out.render(|out| out.extend_from_slice(CHUNK_END));
    }
}

/// Renders its end.
pub(super) fn render_end(is_chunked: bool, out: &mut Outbox) {
    if is_chunked {
        out.render(|out| out.extend_from_slice(LAST_CHUNK));
    }
}

/// What of a request has not gone out though its answer comes.
#[derive(Debug)]
pub(super) struct Upload {
    /// Until its end; what is rendered already goes first.
    rest: Option<Rest>,
    is_chunked: bool,
}

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Uploaded {
    /// To its end.
    Whole,
    /// The other side takes no more of it. What it says may still come.
    Refused,
}

impl Upload {
    pub(super) fn new(rest: Option<Rest>, is_chunked: bool) -> Upload {
        Upload { rest, is_chunked }
    }

    /// Sends what there is. The other side has `stall` after each step for the next, be that a byte
    /// that it takes or one that it says.
    ///
    /// # Errors
    /// The body was cut.
    pub(super) fn poll(
        &mut self,
        transport: &mut Transport,
        stall: Duration,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<Uploaded>> {
        loop {
            if !transport.output.is_empty() {
                match ready!(transport.poll_write(context)) {
                    Ok(()) => transport.sentry.allow(stall),
                    Err(_) => return Poll::Ready(Ok(Uploaded::Refused)),
                }
                continue;
            }
            let Some(rest) = &mut self.rest else {
                return Poll::Ready(Ok(Uploaded::Whole));
            };
            let out = &mut transport.output;
            if let Some(piece) = ready!(rest.poll_piece(context))? {
                render_piece(piece, self.is_chunked, out);
            } else {
                render_end(self.is_chunked, out);
                self.rest = None;
            }
        }
    }
}
