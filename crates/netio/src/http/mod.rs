//! HTTP/1.1 connections, as server and as client: what moves the messages of `netproto::http` over
//! TCP.
//!
//! [`transport`] is the ground of both sides: a stream with its buffers and its deadline; `stream`
//! is plain TCP (`tcp`) or TLS, or either through a worse network ([`toxic`]).
//! [`server`] accepts and holds the bounds, [`door`] says who may connect and ask how often,
//! `connection` runs one connection, and a program answers through [`server::Service`] with a
//! [`response::Response`], which may carry a [`mod@file`]. [`client`] is the other side, and [`pool`]
//! keeps its idle connections. [`onward`] is between the two, where an answer comes before its request
//! has gone out.

pub mod body;
pub mod buffer;
pub mod client;
mod connection;
pub mod door;
pub mod file;
pub mod onward;
pub mod outbox;
pub mod pool;
pub mod response;
pub mod server;
mod stream;
mod tcp;
pub mod toxic;
pub mod transport;
pub mod tunnel;
