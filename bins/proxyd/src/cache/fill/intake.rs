//! A body as it comes in, for all who read it: each at its own pace, on whatever worker.
//!
//! As long as the body is kept whole, nobody who reads holds up who writes. A body for which the
//! room gives out is kept no longer: then a window of it is, and the writer waits for the slowest
//! reader, but not for one that keeps others waiting.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use slab::Slab;

use crate::cache::room::{NoRoom, Room};

/// How much of a body that is not kept is held for its readers.
pub const WINDOW: usize = 256 * 1024;
/// How much a reader takes at once.
const PIECE: usize = 64 * 1024;
/// How long the readers of a body that is not kept may wait for one that does not read.
pub const LAGGARD_PATIENCE: Duration = Duration::from_secs(5);
/// The least that a body without a known length is given room for.
const FIRST_GUESS: usize = 16 * 1024;

/// A body that begins to come in: who writes it, and from what it is read. The room of a `length`
/// that is known is taken at once.
pub fn begin(mut room: Room, length: Option<u64>) -> Result<(Writer, Arc<Intake>), NoRoom> {
    room.grow(length.unwrap_or(0))?;
    let intake = Arc::new(Intake {
        state: Mutex::new(State {
            body: Vec::with_capacity(length.unwrap_or(0) as usize),
            front: 0,
            is_kept: true,
            end: End::Open,
            readers: Slab::new(),
            writer: None,
        }),
    });
    let writer = Writer {
        intake: Arc::clone(&intake),
        room: Some(room),
    };
    Ok((writer, intake))
}

/// A body that comes in.
#[derive(Debug)]
pub struct Intake {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// All of it so far, or what is left of that from `front` on.
    body: Vec<u8>,
    front: u64,
    is_kept: bool,
    end: End,
    readers: Slab<Seat>,
    writer: Option<Waker>,
}

#[derive(Debug)]
enum End {
    Open,
    Whole(Bytes),
    /// It came whole, and was not kept.
    Passed,
    Cut,
}

/// Where one reader is.
#[derive(Debug)]
struct Seat {
    at: u64,
    waker: Option<Waker>,
    is_cut: bool,
}

impl Intake {
    /// Reads it from its beginning; `None` if that is no longer there.
    pub fn read(self: &Arc<Self>) -> Option<Reader> {
        let mut state = self.lock();
        if state.front > 0 {
            return None;
        }
        let seat = state.readers.insert(Seat {
            at: 0,
            waker: None,
            is_cut: false,
        });
        drop(state);
        Some(Reader {
            intake: Arc::clone(self),
            seat,
        })
    }

    /// The bytes that it holds now.
    pub fn held(&self) -> usize {
        self.lock().body.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends it, and wakes all who wait.
    fn end(&self, end: End) {
        let mut state = self.lock();
        state.end = end;
        let wakers = state.waiting();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl State {
    fn waiting(&mut self) -> Vec<Waker> {
        self.readers
            .iter_mut()
            .filter_map(|(_, seat)| seat.waker.take())
            .collect()
    }

    fn back(&self) -> u64 {
        self.front + self.body.len() as u64
    }

    /// Gives up what every reader has read.
    fn pass(&mut self) {
        let slowest = self.slowest().unwrap_or(self.back());
        let read = (slowest - self.front) as usize;
        // Moving what is left costs: half a window at a time, or all.
        if read >= WINDOW / 2 || read == self.body.len() {
            self.body.drain(..read);
            self.body.shrink_to(WINDOW);
            self.front = slowest;
        }
    }

    fn slowest(&self) -> Option<u64> {
        let reading = self.readers.iter().filter(|(_, seat)| !seat.is_cut);
        reading.map(|(_, seat)| seat.at).min()
    }

    fn has_room(&self) -> bool {
        self.slowest()
            .is_none_or(|slowest| self.back() - slowest < WINDOW as u64)
    }

    /// Cuts off who is a window behind while another has read all there is.
    fn cut_laggards(&mut self) {
        let back = self.back();
        let is_waited_for = self
            .readers
            .iter()
            .any(|(_, seat)| !seat.is_cut && seat.at == back);
        if !is_waited_for {
            return;
        }
        for (_, seat) in &mut self.readers {
            seat.is_cut |= back - seat.at >= WINDOW as u64;
        }
    }
}

/// Who writes a body. Dropped before the end, it cuts it.
#[derive(Debug)]
pub struct Writer {
    intake: Arc<Intake>,
    /// Until the end.
    room: Option<Room>,
}

/// Whether a body goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// All of it is there.
    Whole,
    /// It passes through: the last piece found no room.
    No,
    /// Neither is it kept, nor does anybody read it.
    Deserted,
}

impl Writer {
    /// Adds a piece, and waits if it is not kept and too far ahead of its readers.
    pub async fn push(&mut self, piece: &[u8]) -> Kept {
        let (wakers, is_kept) = self.add(piece);
        wakers.into_iter().for_each(Waker::wake);
        if is_kept {
            return Kept::Whole;
        }
        while tokio::time::timeout(LAGGARD_PATIENCE, self.readers_follow())
            .await
            .is_err()
        {
            let mut state = self.intake.lock();
            state.cut_laggards();
            let wakers = state.waiting();
            drop(state);
            wakers.into_iter().for_each(Waker::wake);
        }
        if self.intake.lock().readers.is_empty() {
            return Kept::Deserted;
        }
        Kept::No
    }

    /// Gives up keeping it.
    pub fn keep_no_longer(&mut self) {
        self.intake.lock().is_kept = false;
    }

    /// Waits until it is neither kept nor read.
    pub async fn deserted(&self) {
        std::future::poll_fn(|context| {
            let mut state = self.intake.lock();
            if !state.is_kept && state.readers.is_empty() {
                return Poll::Ready(());
            }
            state.writer = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// It came whole. If it was kept, `keep` gets it before its readers come to the end.
    pub fn finish(mut self, keep: impl FnOnce(Bytes)) {
        let mut state = self.intake.lock();
        let end = if state.is_kept {
            let body = std::mem::take(&mut state.body);
            // Until the end is told, its readers find it here.
            let whole = match self.room.take() {
                Some(room) => room.hold(body),
                None => body.into(),
            };
            state.end = End::Whole(whole.clone());
            drop(state);
            keep(whole.clone());
            End::Whole(whole)
        } else {
            drop(state);
            End::Passed
        };
        self.intake.end(end);
    }

    fn add(&mut self, piece: &[u8]) -> (Vec<Waker>, bool) {
        let mut state = self.intake.lock();
        let lacks = (state.body.len() + piece.len()).saturating_sub(state.body.capacity());
        if state.is_kept && lacks > 0 {
            let more = lacks.max(state.body.len()).max(FIRST_GUESS);
            // Twice what there is, or as much as there is room for.
            let granted = [more, lacks].into_iter().find(|more| {
                self.room
                    .as_mut()
                    .is_some_and(|room| room.grow(*more as u64).is_ok())
            });
            match granted {
                Some(more) => {
                    let wanted = state.body.capacity() - state.body.len() + more;
                    state.body.reserve_exact(wanted);
                }
                None => state.is_kept = false,
            }
        }
        state.body.extend_from_slice(piece);
        if !state.is_kept {
            state.pass();
        }
        (state.waiting(), state.is_kept)
    }

    /// Waits until the slowest reader is less than a window behind.
    async fn readers_follow(&self) {
        std::future::poll_fn(|context| {
            let mut state = self.intake.lock();
            state.pass();
            if state.has_room() {
                return Poll::Ready(());
            }
            state.writer = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if matches!(self.intake.lock().end, End::Open) {
            self.intake.end(End::Cut);
        }
    }
}

/// Who reads a body: a stream of its pieces, with an error at the end if it is cut.
#[derive(Debug)]
pub struct Reader {
    intake: Arc<Intake>,
    seat: usize,
}

impl Stream for Reader {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut state = self.intake.lock();
        let State {
            body,
            front,
            is_kept,
            end,
            readers,
            writer,
        } = &mut *state;
        let seat = &mut readers[self.seat];
        if seat.is_cut {
            return Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into())));
        }
        let from = (seat.at - *front) as usize;
        let piece = match end {
            End::Whole(whole) => whole.slice(from..),
            _ => Bytes::copy_from_slice(&body[from..body.len().min(from + PIECE)]),
        };
        seat.at += piece.len() as u64;
        if !piece.is_empty() {
            let writer = writer.take().filter(|_| !*is_kept);
            drop(state);
            if let Some(writer) = writer {
                writer.wake();
            }
            return Poll::Ready(Some(Ok(piece)));
        }
        match end {
            End::Open => {
                seat.waker = Some(context.waker().clone());
                Poll::Pending
            }
            End::Whole(_) | End::Passed => Poll::Ready(None),
            End::Cut => Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.intake.lock();
        state.readers.remove(self.seat);
        let writer = state.writer.take();
        drop(state);
        if let Some(writer) = writer {
            writer.wake();
        }
    }
}
