//! Sockets, threads and time.

pub mod http;
pub mod icmp;
pub mod udp;
