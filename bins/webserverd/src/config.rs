//! What the server was told, checked.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use netio::access_log::Format;

/// One validated configuration.
#[derive(Debug)]
pub struct Config {
    /// The folder whose files are served, open.
    pub root: OwnedFd,
    /// The address of every listener but the admin endpoint's.
    pub bind: IpAddr,
    /// The HTTP port; 0 for any free one.
    pub port: u16,
    /// The echo's port; 0 for any free one.
    pub udp_port: u16,
    /// Where /metrics and /healthz are, if anywhere.
    pub admin: Option<SocketAddr>,
    /// How many threads serve.
    pub workers: usize,
    /// How the access log on stdout looks.
    pub log_format: Format,
    /// How long what is under way may take once the stop signal has come.
    pub drain: Duration,
}
