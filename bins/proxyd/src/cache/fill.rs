//! A body that is stored while it is streamed to the client that asked for it. Only a body that came
//! whole is stored.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use netio::http::response::{BodyStream, Head};

use super::key::Key;
use super::policy::selecting::Selecting;
use super::policy::storing::Validity;
use super::store::{Epoch, Room, Store};
use super::variant::Variant;

/// A response that is to be stored once its body has come whole.
#[derive(Debug)]
pub struct Fill {
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
    /// One that ends in `store` under a key, if that is not removed after `asked`. `None` if there is no room for a body of the `length` that is
    /// known.
    pub fn new(
        store: &Arc<Store>,
        (key, asked): (Key, Epoch),
        head: Head,
        validity: Validity,
        selecting: Selecting,
        length: Option<u64>,
    ) -> Option<Fill> {
        let mut room = store.room();
        if !room.grow(length.unwrap_or(0)) {
            return None;
        }
        Some(Fill {
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
    pub fn finish(self, body: Bytes) {
        let variant = Variant {
            head: self.head,
            body,
            validity: self.validity,
            selecting: self.selecting,
        };
        let store = self.room.store();
        store.put(self.key.as_bytes(), Arc::new(variant), self.asked);
    }

    /// The same stream; when it ends well, what went through it is stored.
    pub fn through(self, stream: BodyStream) -> BodyStream {
        Box::pin(Filling {
            stream,
            body: Vec::with_capacity(self.length.unwrap_or(0) as usize),
            fill: Some(self),
        })
    }
}

/// A body on its way to its client and into the store. Other clients that ask for it meanwhile ask
/// the origin themselves.
struct Filling {
    stream: BodyStream,
    body: Vec<u8>,
    /// Taken when it is stored, or cannot be any more.
    fill: Option<Fill>,
}

impl Stream for Filling {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let item = ready!(self.stream.as_mut().poll_next(context));
        let filling = &mut *self;
        match &item {
            Some(Ok(piece)) => {
                if let Some(fill) = &mut filling.fill {
                    if fill.length.is_some() || fill.room.grow(piece.len() as u64) {
                        filling.body.extend_from_slice(piece);
                    } else {
                        filling.give_up();
                    }
                }
            }
            Some(Err(_)) => filling.give_up(),
            None => {
                if let Some(fill) = filling.fill.take() {
                    fill.finish(std::mem::take(&mut filling.body).into_boxed_slice().into());
                }
            }
        }
        Poll::Ready(item)
    }
}

impl Filling {
    fn give_up(&mut self) {
        self.fill = None;
        self.body = Vec::new();
    }
}
