//! A stream with its buffers and its deadline: the ground of both sides of HTTP.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::AsyncWrite;

use super::buffer::{BUFFER_BYTES, Buffers, ReadBuffer};
use super::outbox::Outbox;
use super::stream::Stream;
use crate::tcp_info::TcpInfo;
use crate::watch::Sentry;

/// How much is written before other connections have their turn: a fast reader would have the
/// worker for itself.
const TURN: u64 = 1024 * 1024;

/// The stream, what came and what is to go.
#[derive(Debug)]
pub struct Transport {
    stream: Stream,
    /// What came and is not yet used.
    pub input: ReadBuffer,
    /// What is to be written.
    pub output: Outbox,
    /// Its place in the worker's watch.
    pub sentry: Sentry,
}

impl Transport {
    /// Takes over a connected stream.
    pub(super) fn new(stream: impl Into<Stream>, buffers: &Buffers, sentry: Sentry) -> Transport {
        Transport {
            stream: stream.into(),
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
    pub fn fill(&mut self, limit: usize) -> impl Future<Output = io::Result<usize>> {
        poll_fn(move |context| self.poll_fill(limit, context))
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
        sentry.poll_wait(context, |context| stream.poll_fill(input, limit, context))
    }

    /// As [`Transport::poll_fill`], without a deadline of its own.
    pub(super) fn poll_more(
        &mut self,
        limit: usize,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.stream.poll_fill(&mut self.input, limit, context)
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

    /// Has what was sent go to the kernel: over TLS some of it may still wait.
    pub(super) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    /// Writes some of the outbox, without a deadline.
    pub(super) fn poll_write(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.output
            .poll_write(context, &mut self.stream)
            .map_ok(drop)
    }

    /// Ready when the other side has ended, or the connection has failed. What comes before is left
    /// where it is; behind that nothing is seen.
    pub(super) fn poll_left(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if !self.input.is_empty() {
            return Poll::Pending;
        }
        self.stream.poll_end(&mut self.input, context)
    }

    /// Ends the sending side.
    pub(super) fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    /// As [`Transport::fill`], but ends with `None` when the worker begins to stop.
    pub(super) fn fill_unless_stopping(
        &mut self,
        limit: usize,
    ) -> impl Future<Output = io::Result<Option<usize>>> {
        poll_fn(move |context| match self.poll_fill(limit, context) {
            Poll::Ready(result) => Poll::Ready(result.map(Some)),
            Poll::Pending if self.sentry.watch().is_stopping() => Poll::Ready(Ok(None)),
            Poll::Pending => Poll::Pending,
        })
    }

    /// Writes all that is pending; `stall` is how long the other side may take nothing of it.
    ///
    /// # Errors
    /// `TimedOut` when the other side takes nothing for that long; the stream's own.
    pub async fn flush(&mut self, stall: Duration) -> io::Result<()> {
        let mut taken = Taken::default();
        let mut written = 0;
        while !self.output.is_empty() {
            written += self
                .while_taken(&mut taken, stall, |transport, context| {
                    transport.output.poll_write(context, &mut transport.stream)
                })
                .await?;
            if written >= TURN && !self.output.is_empty() {
                written = 0;
                tokio::task::yield_now().await;
            }
        }
        // What is encrypted may still wait for the kernel; of what is not, nothing does.
        self.while_taken(&mut taken, stall, Transport::poll_flush)
            .await
    }

    /// As [`Transport::flush`], but stops when the other side sends something, or ends, before
    /// everything is written. Returns whether everything was.
    pub(super) async fn flush_until_input(&mut self, stall: Duration) -> io::Result<bool> {
        let mut taken = Taken::default();
        while !self.output.is_empty() {
            let came = self
                .while_taken(&mut taken, stall, |transport, context| {
                    let Transport {
                        stream,
                        input,
                        output,
                        ..
                    } = transport;
                    if let Poll::Ready(result) = output.poll_write(context, stream) {
                        return Poll::Ready(result.map(|_| false));
                    }
                    stream.poll_input(input, context).map_ok(|()| true)
                })
                .await?;
            if came {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Waits for `poll`, which sends, as long as the other side takes something within each `stall`.
    /// That the socket cannot be written to says nothing of it: the kernel calls it full until a
    /// third of what it holds, which may be megabytes, has been taken.
    fn while_taken<T>(
        &mut self,
        taken: &mut Taken,
        stall: Duration,
        mut poll: impl FnMut(&mut Transport, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> impl Future<Output = io::Result<T>> {
        // The deadline of those that need not wait stays what it was.
        taken.waits = false;
        poll_fn(move |context| {
            if let Poll::Ready(result) = poll(self, context) {
                return Poll::Ready(result);
            }
            self.poll_taken(stall, taken, context).map(Err)
        })
    }

    /// Ready when the other side has taken nothing within a `stall`. `taken` is for nobody else.
    pub(super) fn poll_taken(
        &mut self,
        stall: Duration,
        taken: &mut Taken,
        context: &mut Context<'_>,
    ) -> Poll<io::Error> {
        let waited = std::mem::replace(&mut taken.waits, true);
        if !waited || self.sentry.is_late() {
            let has_moved = taken.look(&self.stream, self.sentry.watch().now());
            if waited && !has_moved {
                return Poll::Ready(io::ErrorKind::TimedOut.into());
            }
            self.sentry.allow(stall);
        }
        self.sentry.wake_later(context);
        Poll::Pending
    }

    /// Waits, without a deadline of its own, until the other side sends something, or ends.
    pub(super) fn input_begins(&mut self) -> impl Future<Output = io::Result<()>> {
        let Transport { stream, input, .. } = self;
        poll_fn(|context| stream.poll_input(input, context))
    }

    /// Gives back the memory that an idle connection does not need.
    pub fn rest(&mut self) {
        self.input.rest();
        self.output.rest();
    }

    /// Whether an idle connection is still good for a request: open, and nothing has come that
    /// nobody asked for.
    pub fn is_quiet(&mut self) -> bool {
        self.input.is_empty() && self.stream.is_quiet()
    }

    /// Whether nothing is lost by closing it without a word once everything is written, and nothing
    /// can come any more.
    pub(super) fn may_be_dropped(&self) -> bool {
        self.stream.is_plain() && self.input.is_empty()
    }

    /// Makes the end of this connection a reset: for an answer whose end only the connection's end
    /// would tell, and which is not whole.
    pub(super) fn reset_at_end(&self) {
        self.stream.reset_at_end();
    }

    /// Ends the sending side, then reads and drops what still comes, at most `bytes` and for
    /// `patience`: closing at once would reset the connection, and the last answer could be lost
    /// with it (RFC 9112 §9.6).
    pub async fn linger(&mut self, bytes: usize, patience: Duration) {
        self.sentry.allow(patience + self.stream.farewell());
        let Transport { stream, sentry, .. } = self;
        let end = |context: &mut Context<'_>| Pin::new(&mut *stream).poll_shutdown(context);
        if sentry.wait(end).await.is_err() {
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

/// How much the other side had taken when that was last looked at.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Whether it is waited for.
    waits: bool,
    at: Option<Instant>,
    /// `None` where the system does not tell.
    bytes: Option<u64>,
}

impl Taken {
    /// Whether it has taken anything since. The kernel is asked once in a tick of the watch: who reads
    /// steadily is waited for hundreds of times within one.
    fn look(&mut self, stream: &Stream, now: Instant) -> bool {
        if self.at.replace(now) == Some(now) {
            return true;
        }
        let info = stream.descriptor().and_then(TcpInfo::of);
        let bytes = info.map(|info| info.bytes_acknowledged);
        std::mem::replace(&mut self.bytes, bytes) != bytes
    }
}

impl Sentry {
    /// Waits for `poll` to be ready, at most until the deadline.
    ///
    /// # Errors
    /// `TimedOut` when the deadline passes; those of `poll`.
    pub fn wait<T>(
        &self,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> impl Future<Output = io::Result<T>> {
        poll_fn(move |context| self.poll_wait(context, &mut poll))
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
