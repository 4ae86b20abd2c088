//! UDP in batches: many datagrams a system call (recvmmsg, sendmmsg), and many datagrams a pass
//! through the kernel's stack where it can (UDP_GRO, UDP_SEGMENT).
//!
//! Read in this order: [`Socket`] (bound or connected, never blocking), [`Train`] (one or more
//! datagrams of one peer, end to end in one buffer), [`ReceiveBatch`] and [`SendBatch`] (the
//! buffers, all made once), [`SocketSet`] (which of many sockets has something?), then [`admission`], the door of
//! everything that answers datagrams, and its two rules: [`source`] (may this source be answered?)
//! and [`rate`] (how often?). [`stamping`] is what both do for probes
//! that ask for delay by hop. [`timed`] is the socket of a program that measures: one datagram at a
//! time, each with the kernel's own time of its arrival.

#![expect(
    unsafe_code,
    reason = "recvmmsg, sendmmsg and their options have no safe form in rustix or socket2"
)]

mod address;
pub mod admission;
mod control;
pub mod rate;
mod receive;
mod send;
mod set;
mod socket;
pub mod source;
pub mod stamping;
pub mod timed;
mod train;

pub use receive::ReceiveBatch;
pub use send::{SendBatch, Sent};
pub use set::SocketSet;
pub use socket::{Socket, bind, bind_group, connect};
pub use train::{Local, Train};

/// The largest payload that a UDP datagram over IPv4 has room for, in bytes (65,535 less the
/// headers of RFC 791 and RFC 768).
pub const MAX_PAYLOAD_V4: usize = 65_507;

/// How many messages one call receives or sends at most.
pub const BATCH: usize = 64;

#[cfg(test)]
mod tests;
