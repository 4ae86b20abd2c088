//! Sockets, threads and time: what the programs share between a file descriptor and a message.
//!
//! Read [`worker`] and [`shutdown`] first (how a daemon starts and ends), then [`http`] and [`udp`].

pub mod http;
pub mod icmp;
pub mod listen;
pub mod shutdown;
pub mod udp;
pub mod worker;
