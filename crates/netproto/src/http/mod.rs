//! HTTP/1.1 as bytes: message heads, body framing, and the fields that this project acts on.
//!
//! Read in this order: [`limits`] and [`head`] (request and response heads, on httparse behind
//! strict checks), [`target`], [`fields`], [`body`] (content-length and chunked, both ways),
//! [`write`](mod@write) (serialising that cannot be split), then what single fields mean:
//! [`date`], [`range`] (and [`byteranges`], a body of several), [`conditional`],
//! [`accept`], [`cache_control`], [`cache_status`] (on [`structured`]).
//!
//! Ambiguous framing is rejected, never repaired (RFC 9112 §11.2). Incomplete input is a
//! [`Status`], not an error, and consumes nothing.

pub mod accept;
pub mod body;
pub mod byteranges;
pub mod cache_control;
pub mod cache_status;
pub mod conditional;
pub mod date;
pub mod fields;
mod grammar;
pub mod head;
pub mod limits;
pub mod method;
pub mod range;
pub mod status;
pub mod structured;
pub mod target;
pub mod version;
pub mod write;

/// Whether the bytes given were enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status<T> {
    /// The whole message part was there; this is it.
    Complete(T),
    /// More bytes are needed. Nothing was consumed.
    Partial,
}

impl<T> Status<T> {
    /// The value if complete.
    pub fn complete(self) -> Option<T> {
        match self {
            Status::Complete(value) => Some(value),
            Status::Partial => None,
        }
    }

    /// Whether more bytes are needed.
    pub fn is_partial(&self) -> bool {
        matches!(self, Status::Partial)
    }
}
