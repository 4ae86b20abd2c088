//! Bytes to messages and back.
#![forbid(unsafe_code)]

pub mod http;
pub mod icmp;
pub mod ipv6;
pub mod probe;
