//! What a worse network would do to the bytes that a server sends, in the terms of Toxiproxy: for
//! laboratories. A connection without it knows nothing of it.
//!
//! Bytes are taken at the ordered rate and in the ordered slices, then held for the latency. All of
//! it happens below HTTP and below TLS's farewell, so a cut is where the network would make it.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;
use tokio::time::{Sleep, sleep_until};

use super::stream::Stream;

/// How many bytes are held for their latency.
const HELD_BYTES: usize = 256 * 1024;
/// How many slices.
const HELD_SLICES: usize = 4096;
/// A rate is kept over each stretch of this length.
const STRETCH: Duration = Duration::from_millis(10);

/// What the bytes of one connection meet on their way to the client.
#[derive(Default)]
pub struct Toxics {
    /// How long each slice is held, asked for each; order is kept.
    pub latency: Option<Box<dyn FnMut() -> Duration>>,
    /// How many bytes a second pass.
    pub bytes_per_second: Option<u64>,
    /// How many bytes pass in one piece.
    pub slice_bytes: Option<usize>,
    /// How long after a slice the next may pass.
    pub slice_delay: Duration,
    /// Nothing passes, and the connection is closed so long after it should have.
    pub timeout: Option<Duration>,
    /// Nothing passes, and the connection is reset so long after it should have.
    pub reset_peer: Option<Duration>,
    /// After so many bytes the connection is closed.
    pub limit_bytes: Option<u64>,
    /// How long the end of the connection is put off.
    pub slow_close: Duration,
}

/// Says of each new connection what it meets, if anything.
#[derive(Clone)]
pub struct ToxicSource(Arc<dyn Fn() -> Option<Toxics> + Send + Sync>);

impl ToxicSource {
    /// One that asks `draw` for each connection.
    pub fn new(draw: impl Fn() -> Option<Toxics> + Send + Sync + 'static) -> ToxicSource {
        ToxicSource(Arc::new(draw))
    }

    pub(super) fn draw(&self) -> Option<Toxics> {
        (self.0)()
    }
}

impl fmt::Debug for ToxicSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ToxicSource")
    }
}

/// A stream whose bytes meet toxics on their way out.
pub(super) struct Impaired {
    stream: Stream,
    toxics: Toxics,
    /// Slices on their way, and when each is due; in order.
    held: VecDeque<(Instant, Bytes)>,
    held_bytes: usize,
    /// When the next bytes may be taken.
    free_at: Option<Instant>,
    /// When the first bytes were to be sent.
    began: Option<Instant>,
    taken: u64,
    /// When the end was to be sent.
    ends: Option<Instant>,
    sleep: Pin<Box<Sleep>>,
}

impl Impaired {
    pub(super) fn new(stream: Stream, toxics: Toxics) -> Impaired {
        Impaired {
            stream,
            toxics,
            held: VecDeque::new(),
            held_bytes: 0,
            free_at: None,
            began: None,
            taken: 0,
            ends: None,
            sleep: Box::pin(sleep_until(Instant::now().into())),
        }
    }

    /// The stream below, to read from.
    pub(super) fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }

    /// The same, to look at.
    pub(super) fn below(&self) -> &Stream {
        &self.stream
    }

    /// How long its end is put off.
    pub(super) fn farewell(&self) -> Duration {
        self.toxics.slow_close
    }

    /// Pending, and woken at `moment`; ready if that has come.
    fn poll_until(&mut self, moment: Instant, context: &mut Context<'_>) -> Poll<()> {
        if moment <= Instant::now() {
            return Poll::Ready(());
        }
        self.sleep.as_mut().reset(moment.into());
        self.sleep.as_mut().poll(context)
    }

    /// The toxics that let nothing pass: ready with the error that ends the connection.
    fn poll_cut(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        let began = *self.began.get_or_insert_with(Instant::now);
        if let Some(after) = self.toxics.reset_peer {
            ready!(self.poll_until(began + after, context));
            self.stream.reset_at_end();
            return Poll::Ready(io::ErrorKind::ConnectionReset.into());
        }
        let after = self.toxics.timeout.unwrap_or_default();
        ready!(self.poll_until(began + after, context));
        Poll::Ready(io::ErrorKind::ConnectionAborted.into())
    }

    /// Sends what is due. Ready when nothing is held any more.
    fn poll_held(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(&(due, _)) = self.held.front() {
            ready!(self.poll_until(due, context));
            let Some((_, slice)) = self.held.front_mut() else {
                break;
            };
            let sent = ready!(Pin::new(&mut self.stream).poll_write(context, slice))?;
            slice.advance(sent);
            self.held_bytes -= sent;
            if slice.is_empty() {
                self.held.pop_front();
            }
        }
        Pin::new(&mut self.stream).poll_flush(context)
    }

    /// Takes some of `bytes`.
    pub(super) fn poll_send(
        &mut self,
        bytes: &[u8],
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if self.toxics.timeout.is_some() || self.toxics.reset_peer.is_some() {
            return self.poll_cut(context).map(Err);
        }
        if let Poll::Ready(Err(error)) = self.poll_held(context) {
            return Poll::Ready(Err(error));
        }
        let limit = self.toxics.limit_bytes.unwrap_or(u64::MAX) - self.taken;
        if limit == 0 {
            ready!(self.poll_held(context))?;
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let room = HELD_BYTES - self.held_bytes;
        if room == 0 || self.held.len() >= HELD_SLICES {
            // Woken for the first that is held.
            return Poll::Pending;
        }
        if let Some(free_at) = self.free_at {
            // The sleep is for whichever comes first.
            match self.held.front() {
                Some(&(due, _)) if due <= free_at && free_at > Instant::now() => {
                    return Poll::Pending;
                }
                _ => ready!(self.poll_until(free_at, context)),
            }
        }
        let rate = self.toxics.bytes_per_second;
        let stretch = rate.map_or(usize::MAX, |rate| {
            (rate as f64 * STRETCH.as_secs_f64()).max(1.0) as usize
        });
        let slice = self.toxics.slice_bytes.unwrap_or(usize::MAX);
        let count = bytes.len().min(room).min(stretch).min(slice);
        let count = count.min(usize::try_from(limit).unwrap_or(usize::MAX));
        let now = Instant::now();
        let latency = self
            .toxics
            .latency
            .as_mut()
            .map_or(Duration::ZERO, |draw| draw());
        let due = self
            .held
            .back()
            .map_or(now, |&(due, _)| due)
            .max(now + latency);
        self.held
            .push_back((due, Bytes::copy_from_slice(&bytes[..count])));
        self.held_bytes += count;
        self.taken += count as u64;
        let on_link = rate.map_or(Duration::ZERO, |rate| {
            Duration::from_secs_f64(count as f64 / rate.max(1) as f64)
        });
        // A timer that wakes late must not make the link slower, so a little is caught up.
        let lateness = match self.toxics.slice_delay {
            Duration::ZERO => 2 * STRETCH,
            _ => Duration::ZERO,
        };
        let earliest = now.checked_sub(lateness).unwrap_or(now);
        let from = self.free_at.map_or(now, |free_at| free_at.max(earliest));
        self.free_at = Some(from + on_link + self.toxics.slice_delay);
        match self.poll_held(context) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(count)),
        }
    }

    /// Takes some of the first of `slices` that has any.
    pub(super) fn poll_send_vectored(
        &mut self,
        slices: &[IoSlice<'_>],
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let first = slices.iter().find(|slice| !slice.is_empty());
        self.poll_send(first.map_or(&[], |slice| slice), context)
    }

    /// Ready when everything that was taken has gone.
    pub(super) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_held(context)
    }

    /// Ends the sending side once everything has gone, and later if that is ordered.
    pub(super) fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_held(context))?;
        let ends = *self
            .ends
            .get_or_insert_with(|| Instant::now() + self.toxics.slow_close);
        ready!(self.poll_until(ends, context));
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl fmt::Debug for Impaired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Impaired")
            .field("stream", &self.stream)
            .field("held_bytes", &self.held_bytes)
            .finish_non_exhaustive()
    }
}
