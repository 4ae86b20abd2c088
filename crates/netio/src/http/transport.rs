//! A TCP stream with its buffers and its deadline: the ground of both sides of HTTP.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

use super::buffer::{BUFFER_BYTES, Buffers, ReadBuffer};
use super::outbox::Outbox;
use crate::watch::Sentry;

/// The stream, what came and what is to go.
#[derive(Debug)]
pub struct Transport {
    stream: TcpStream,
    /// What came and is not yet used.
    pub input: ReadBuffer,
    /// What is to be written.
    pub output: Outbox,
    /// Its place in the worker's watch.
    pub sentry: Sentry,
}

impl Transport {
    /// Takes over a connected stream.
    pub fn new(stream: TcpStream, buffers: &Buffers, sentry: Sentry) -> Transport {
        Transport {
            stream,
            input: ReadBuffer::new(buffers),
            output: Outbox::new(buffers),
            sentry,
        }
    }

    /// Waits for bytes and reads them into `input`, which grows up to `limit`. Returns how many
    /// came; 0 when the other side has ended.
    ///
    /// # Errors
    /// `TimedOut` when the deadline passes; the stream's own.
    pub async fn fill(&mut self, limit: usize) -> io::Result<usize> {
        let Transport {
            stream,
            input,
            sentry,
            ..
        } = self;
        sentry
            .wait(|context| poll_fill(stream, input, limit, context))
            .await
    }

    /// As [`Transport::fill`], for what is polled itself.
    pub(super) fn poll_fill(
        &mut self,
        limit: usize,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let Transport {
            stream,
            input,
            sentry,
            ..
        } = self;
        sentry.poll_wait(context, |context| poll_fill(stream, input, limit, context))
    }

    /// As [`Transport::poll_fill`], without a deadline of its own.
    pub(super) fn poll_more(
        &mut self,
        limit: usize,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        poll_fill(&mut self.stream, &mut self.input, limit, context)
    }

    /// Writes some of `bytes`, past the outbox, which must be empty; without a deadline.
    pub(super) fn poll_send(
        &mut self,
        bytes: &[u8],
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        debug_assert!(self.output.is_empty());
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    /// Ends the sending side.
    pub(super) fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    /// As [`Transport::fill`], but ends with `None` when the worker begins to stop.
    pub(super) async fn fill_unless_stopping(&mut self, limit: usize) -> io::Result<Option<usize>> {
        let Transport {
            stream,
            input,
            sentry,
            ..
        } = self;
        sentry
            .wait(|context| match poll_fill(stream, input, limit, context) {
                Poll::Ready(result) => Poll::Ready(result.map(Some)),
                Poll::Pending if sentry.watch().is_stopping() => Poll::Ready(Ok(None)),
                Poll::Pending => Poll::Pending,
            })
            .await
    }

    /// Writes all that is pending; `stall` is how long it may wait without any progress.
    ///
    /// # Errors
    /// `TimedOut` when the other side takes nothing for that long; the stream's own.
    pub async fn flush(&mut self, stall: Duration) -> io::Result<()> {
        let Transport {
            stream,
            output,
            sentry,
            ..
        } = self;
        while !output.is_empty() {
            sentry.allow(stall);
            sentry
                .wait(|context| output.poll_write(context, stream))
                .await?;
            if !output.is_empty() {
                // A fast reader would have the worker for itself.
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    /// As [`Transport::flush`], but stops when the other side sends something, or ends, before
    /// everything is written. Returns whether everything was.
    pub(super) async fn flush_until_input(&mut self, stall: Duration) -> io::Result<bool> {
        let Transport {
            stream,
            input,
            output,
            sentry,
        } = self;
        while !output.is_empty() {
            sentry.allow(stall);
            let came = sentry
                .wait(|context| {
                    if let Poll::Ready(result) = output.poll_write(context, stream) {
                        return Poll::Ready(result.map(|_| false));
                    }
                    poll_input(stream, input, context).map_ok(|()| true)
                })
                .await?;
            if came {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Waits, without a deadline of its own, until the other side sends something, or ends.
    pub(super) async fn input_begins(&mut self) -> io::Result<()> {
        std::future::poll_fn(|context| poll_input(&self.stream, &self.input, context)).await
    }

    /// Gives back the memory that an idle connection does not need.
    pub fn rest(&mut self) {
        self.input.rest();
        self.output.rest();
    }

    /// Whether an idle connection is still good for a request: open, and nothing has come that
    /// nobody asked for.
    pub fn is_quiet(&mut self) -> bool {
        let mut byte = [0];
        self.input.is_empty()
            && matches!(
                self.stream.try_read(&mut byte),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock
            )
    }

    /// Makes the end of this connection a reset: for an answer whose end only the connection's end
    /// would tell, and which is not whole.
    pub(super) fn reset_at_end(&self) {
        // It fails only for a connection that is broken already.
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }

    /// Ends the sending side, then reads and drops what still comes, at most `bytes` and for
    /// `patience`: closing at once would reset the connection, and the last answer could be lost
    /// with it (RFC 9112 §9.6).
    pub async fn linger(&mut self, bytes: usize, patience: Duration) {
        self.sentry.allow(patience);
        if self.stream.shutdown().await.is_err() {
            return;
        }
        let mut left = bytes;
        loop {
            let held = self.input.filled().len();
            self.input.consume(held);
            match self.fill(BUFFER_BYTES).await {
                Ok(count) if count > 0 && count <= left => left -= count,
                _ => return,
            }
        }
    }
}

/// Ready when bytes wait to be used or to be read, or the other side has ended.
fn poll_input(
    stream: &TcpStream,
    input: &ReadBuffer,
    context: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    if !input.is_empty() {
        return Poll::Ready(Ok(()));
    }
    // Peeked, because readiness alone may be left over from an earlier read.
    let mut byte = [0];
    stream
        .poll_peek(context, &mut ReadBuf::new(&mut byte))
        .map_ok(drop)
}

fn poll_fill(
    stream: &mut TcpStream,
    input: &mut ReadBuffer,
    limit: usize,
    context: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    // No buffer is taken before there is something to put into it.
    std::task::ready!(stream.poll_read_ready(context))?;
    let room = input.room(limit);
    if room.is_empty() {
        return Poll::Ready(Err(io::Error::other("more came than there is room for")));
    }
    let mut room = ReadBuf::new(room);
    match Pin::new(stream).poll_read(context, &mut room) {
        Poll::Ready(result) => {
            let count = room.filled().len();
            input.came(count);
            Poll::Ready(result.map(|()| count))
        }
        Poll::Pending => {
            input.rest();
            Poll::Pending
        }
    }
}

impl Sentry {
    /// Waits for `poll` to be ready, at most until the deadline.
    ///
    /// # Errors
    /// `TimedOut` when the deadline passes; those of `poll`.
    pub async fn wait<T>(
        &self,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> io::Result<T> {
        std::future::poll_fn(|context| self.poll_wait(context, &mut poll)).await
    }

    /// As [`Sentry::wait`], for what is polled itself.
    pub(super) fn poll_wait<T>(
        &self,
        context: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(result) = poll(context) {
            return Poll::Ready(result);
        }
        if self.is_late() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        self.wake_later(context);
        Poll::Pending
    }

    /// Waits for `future`, at most until the deadline.
    ///
    /// # Errors
    /// `TimedOut` when the deadline passes; those of `future`.
    pub async fn wait_for<T>(&self, future: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        let mut future = pin!(future);
        self.wait(|context| future.as_mut().poll(context)).await
    }
}
