//! Sockets, threads and time: what the programs share between a file descriptor and a message.
//!
//! Read [`daemon`], [`worker`] and [`shutdown`] first (how one starts and ends), then [`watch`] (the clock
//! and the deadlines of one worker), then [`http`] and [`udp`].

pub mod access_log;
pub mod admin;
pub mod alarm;
pub mod daemon;
pub mod diagnostics;
pub mod dial;
pub mod http;
pub mod icmp;
pub mod listen;
pub mod log_file;
pub mod rate;
pub mod resolve;
pub mod screen;
pub mod shutdown;
pub mod stamp;
pub mod tcp_info;
pub mod telemetry;
pub mod tls;
pub mod udp;
pub mod urgency;
pub mod usage;
pub mod watch;
pub mod worker;
