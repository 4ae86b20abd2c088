//! A body that is stored while it is streamed to the client that asked for it. Only a body that came
//! whole is stored.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use netio::http::response::{BodyStream, Head};
use tokio::task::JoinHandle;

use super::key::Key;
use super::policy::selecting::Selecting;
use super::policy::storing::{Refusal, Validity};
use super::room::{NoRoom, Room};
use super::store::{Epoch, Store};
use super::variant::Variant;

/// For how long a body may be coming in, to be stored: its room is not for clients that do not read,
/// nor for an origin that sends a byte now and then.
pub const FILL_PATIENCE: Duration = Duration::from_secs(10);

/// A response that is to be stored once its body has come whole.
#[derive(Debug)]
pub struct Fill {
    store: Arc<Store>,
    key: Key,
    /// When the origin was asked.
    asked: Epoch,
    head: Head,
    validity: Validity,
    selecting: Selecting,
    room: Room,
    /// Known, and its room taken, before the body comes.
    length: Option<u64>,
}

impl Fill {
    /// One that ends in `store` under a key, if that is not removed after `asked`.
    ///
    /// # Errors
    /// There is no room for a body of the `length` that is known.
    pub fn new(
        store: &Arc<Store>,
        (key, asked): (Key, Epoch),
        head: Head,
        validity: Validity,
        selecting: Selecting,
        length: Option<u64>,
    ) -> Result<Fill, Refusal> {
        let mut room = store.room();
        room.grow(length.unwrap_or(0))
            .map_err(|no_room| match no_room {
                NoRoom::TooLarge => Refusal::TooLarge,
                NoRoom::Taken => Refusal::NoRoom,
            })?;
        Ok(Fill {
            store: Arc::clone(store),
            key,
            asked,
            head,
            validity,
            selecting,
            room,
            length,
        })
    }

    /// Stores it with this body, which came whole.
    pub fn finish(self, body: Vec<u8>) {
        let variant = Variant {
            head: self.head,
            body: self.room.hold(body),
            validity: self.validity,
            selecting: self.selecting,
        };
        self.store
            .put(self.key.as_bytes(), Arc::new(variant), self.asked);
    }

    /// The same stream; when it ends well and in time, what went through it is stored.
    pub fn through(self, stream: BodyStream) -> BodyStream {
        let intake = Rc::new(RefCell::new(Some(Intake {
            body: Vec::with_capacity(self.length.unwrap_or(0) as usize),
            fill: self,
        })));
        let late = Rc::clone(&intake);
        // A clock of its own: nobody asks the stream for more while its client does not read.
        let clock = tokio::task::spawn_local(async move {
            tokio::time::sleep(FILL_PATIENCE).await;
            late.take();
        });
        Box::pin(Filling {
            stream,
            intake,
            clock,
        })
    }
}

/// What has come of a body that is to be stored.
struct Intake {
    fill: Fill,
    body: Vec<u8>,
}

impl Intake {
    /// Takes one more piece in, if there is room for it.
    fn take_in(&mut self, piece: &[u8]) -> bool {
        let fill = &mut self.fill;
        let has_room = fill.length.is_some() || fill.room.grow(piece.len() as u64).is_ok();
        if has_room {
            self.body.extend_from_slice(piece);
        }
        has_room
    }
}

/// A body on its way to its client and into the store. Other clients that ask for it meanwhile ask
/// the origin themselves.
struct Filling {
    stream: BodyStream,
    /// Taken when it is stored, or cannot be any more.
    intake: Rc<RefCell<Option<Intake>>>,
    clock: JoinHandle<()>,
}

impl Stream for Filling {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = ready!(self.stream.as_mut().poll_next(context));
        match &item {
            Some(Ok(piece)) => {
                let mut intake = self.intake.borrow_mut();
                if intake.as_mut().is_some_and(|intake| !intake.take_in(piece)) {
                    *intake = None;
                }
            }
            Some(Err(_)) => drop(self.intake.take()),
            None => {
                if let Some(Intake { fill, body }) = self.intake.take() {
                    fill.finish(body);
                }
            }
        }
        Poll::Ready(item)
    }
}

impl Drop for Filling {
    fn drop(&mut self) {
        self.intake.take();
        self.clock.abort();
    }
}
