//! Which probes a trace sends, how many at once, and how long it waits.

use std::time::Duration;

/// Which probes, how many at once, how long to wait.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// The TTL of the first probes.
    pub first_ttl: u8,
    /// The TTL of the last.
    pub max_ttl: u8,
    /// Probes for each TTL.
    pub queries: u8,
    /// How many may be on their way at once.
    pub window: usize,
    /// At least this long between two probes.
    pub spacing: Duration,
    /// How long to wait for answers.
    pub waits: Waits,
    /// The probes' datagrams in octets, IP header included.
    pub packet_len: u16,
    /// Whether the size falls to what the path takes, down to `least_len`.
    pub discover_mtu: bool,
    /// The smallest datagram that may be sent instead.
    pub least_len: u16,
    /// How many silent hops in a row end the trace.
    pub gap: Option<u8>,
}

/// How long to wait for an answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Waits {
    /// At most.
    pub max: Duration,
    /// This many times the round trip of another probe of the hop, once there is one; zero: no.
    pub here: f64,
    /// This many times the round trip of the next hop that answered, once there is one; zero: no.
    pub near: f64,
}

impl Plan {
    /// How many probes a whole trace has.
    pub fn probes(&self) -> usize {
        let hops = usize::from(self.max_ttl - self.first_ttl) + 1;
        hops * usize::from(self.queries)
    }

    /// The TTL of the probe at a place in the output.
    pub fn ttl(&self, place: usize) -> u8 {
        self.first_ttl + (place / usize::from(self.queries)) as u8
    }
}

impl Waits {
    /// So long, whatever has answered.
    pub const fn only(max: Duration) -> Waits {
        Waits {
            max,
            here: 0.0,
            near: 0.0,
        }
    }
}

/// Those of the Linux traceroute.
impl Default for Waits {
    fn default() -> Waits {
        Waits {
            max: Duration::from_secs(5),
            here: 3.0,
            near: 10.0,
        }
    }
}
