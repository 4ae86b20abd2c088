//! What the relay is told to do, and why it cannot.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use netio::udp::rate::RateLimits;
use thiserror::Error;

use crate::impair::live::Live;

/// What the relay does.
#[derive(Clone, Debug)]
pub struct RelayConfig {
    /// Where all datagrams go.
    pub target: SocketAddr,
    /// Source ports that are not served, beside the relay's own and the target's: those of the
    /// lab's other echoes and relays.
    pub blocked_ports: Vec<u16>,
    /// The bounds on what is taken from clients.
    pub limits: RateLimits,
    /// How many clients are served at a time. A further one takes the place of the one that
    /// has been idle longest, if that was at least a sixth of `idle`; otherwise its datagrams are
    /// dropped and counted. So a crowd of forged sources cannot put out clients that talk, and
    /// clients that are gone do not shut out others for long.
    pub sessions: usize,
    /// A session ends when nothing has passed for this long, in either direction.
    pub idle: Duration,
    /// The faults that datagrams meet; may change meanwhile.
    pub live: Arc<Live>,
}

impl RelayConfig {
    /// 10,000 sessions, 60 seconds, no faults.
    pub fn new(target: SocketAddr) -> RelayConfig {
        RelayConfig {
            target,
            blocked_ports: Vec::new(),
            limits: RateLimits::default(),
            sessions: 10_000,
            idle: Duration::from_mins(1),
            live: Arc::default(),
        }
    }

    /// That of each of so many workers, which serve no more sessions together than this one alone;
    /// but each serves one.
    #[must_use]
    pub fn divided_among(self, workers: usize) -> RelayConfig {
        RelayConfig {
            sessions: (self.sessions / workers.max(1)).max(1),
            ..self
        }
    }
}

/// Why the relay ended or did not begin.
#[derive(Debug, Error)]
pub enum RelayError {
    /// Every datagram would come back to the relay for ever.
    #[error("the UDP target {0} is the relay itself; give the address of an echo")]
    TargetIsRelay(SocketAddr),
    /// The two are of different families.
    #[error("the UDP target {target} cannot be reached from {relay}; give both as IPv4 or as IPv6")]
    FamiliesDiffer {
        /// Where the datagrams should go.
        target: SocketAddr,
        /// Where the clients send.
        relay: SocketAddr,
    },
    /// The system failed.
    #[error("UDP relay: {0}")]
    Io(#[from] io::Error),
}
