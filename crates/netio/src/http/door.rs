//! Who may connect, and how often may they ask? What all workers of a server hold its clients to.
//!
//! A client is an IPv4 address or an IPv6 /64. What is remembered of clients is bounded: the rates
//! by their tables, the counts by the connections that are open.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ipnet::IpNet;
use netproto::http::status::StatusCode;

use super::response::Response;
use crate::rate::{Rate, SharedRate, client_key};
use crate::udp::source::admits;

/// What a [`Door`] is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoorRules {
    /// How many connections all workers hold together; more wait unaccepted. Each worker may
    /// overshoot it by one.
    pub connections: usize,
    /// How many of them one client may have; more are closed at once.
    pub connections_per_client: Option<usize>,
    /// How fast a client may open connections; those beyond it are closed at once.
    pub connection_rate: Option<Rate>,
    /// How fast a client may ask; requests beyond it are answered with 429.
    pub request_rate: Option<Rate>,
    /// Who may ask; everybody if empty. Others are answered with 403.
    pub allow: Vec<IpNet>,
}

impl Default for DoorRules {
    /// 20,000 connections, of anybody.
    fn default() -> DoorRules {
        DoorRules {
            connections: 20_000,
            connections_per_client: None,
            connection_rate: None,
            request_rate: None,
            allow: Vec::new(),
        }
    }
}

/// The state behind [`DoorRules`].
#[derive(Debug)]
pub struct Door {
    rules: DoorRules,
    open: AtomicUsize,
    /// Open connections by client; nothing stands here for a client without any.
    of_client: Mutex<HashMap<u64, usize>>,
    connection_rate: Option<SharedRate>,
    request_rate: Option<SharedRate>,
}

/// Why a connection is closed as soon as it is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnedAway {
    /// The client has as many open as one client may have.
    TooMany,
    /// The client opens them faster than one client may.
    TooFast,
}

/// What a connection holds as long as it is open.
#[derive(Debug)]
pub(super) struct Pass {
    door: Arc<Door>,
    /// Under what the client is counted, if clients are.
    counted_as: Option<u64>,
}

impl Default for Door {
    fn default() -> Door {
        Door::new(DoorRules::default())
    }
}

impl Door {
    /// A door that nobody has come through.
    pub fn new(rules: DoorRules) -> Door {
        let now = Instant::now();
        let shared = |rate: Rate| SharedRate::new(rate, now);
        Door {
            open: AtomicUsize::new(0),
            of_client: Mutex::default(),
            connection_rate: rules.connection_rate.map(shared),
            request_rate: rules.request_rate.map(shared),
            rules,
        }
    }

    /// Whether another connection may be accepted.
    pub(super) fn has_room(&self) -> bool {
        self.open.load(Ordering::Relaxed) < self.rules.connections
    }

    /// Lets a connection in that was accepted.
    pub(super) fn enter(self: &Arc<Self>, client: IpAddr) -> Result<Pass, TurnedAway> {
        if let Some(rate) = &self.connection_rate
            && rate.take(client, Instant::now()).is_err()
        {
            return Err(TurnedAway::TooFast);
        }
        let mut counted_as = None;
        if let Some(most) = self.rules.connections_per_client {
            let client = client_key(client);
            let mut of_client = self.counts();
            let count = of_client.entry(client).or_default();
            if *count >= most {
                return Err(TurnedAway::TooMany);
            }
            *count += 1;
            counted_as = Some(client);
        }
        self.open.fetch_add(1, Ordering::Relaxed);
        Ok(Pass {
            door: Arc::clone(self),
            counted_as,
        })
    }

    /// Whether `client` may be answered at all.
    pub(super) fn admits(&self, client: IpAddr) -> bool {
        admits(&self.rules.allow, client)
    }

    /// The networks whose clients may be answered; everybody if there are none.
    pub fn allow(&self) -> &[IpNet] {
        &self.rules.allow
    }

    /// Lets a request of `client` in.
    ///
    /// # Errors
    /// So long until the next is let in.
    #[inline]
    pub(super) fn ask(&self, client: IpAddr) -> Result<(), Duration> {
        match &self.request_rate {
            None => Ok(()),
            Some(rate) => rate.take(client, Instant::now()),
        }
    }

    fn counts(&self) -> std::sync::MutexGuard<'_, HashMap<u64, usize>> {
        // What a thread that panicked left is a table of counts, none of them half changed.
        self.of_client
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a client is told that may not ask.
pub(super) fn forbidden() -> Response {
    let why = "this server is not for clients with your address\n";
    Response::text(StatusCode::FORBIDDEN, why).and_close()
}

/// What a client is told that asks too fast (RFC 6585 §4), with the time until it is let in.
pub(super) fn too_many_requests(wait: Duration) -> Response {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let why = format!("too many requests from your address: come back in {seconds} s\n");
    let status = StatusCode::TOO_MANY_REQUESTS;
    Response::text(status, why)
        .with_field("Retry-After", seconds.to_string())
        .unwrap_or_else(|_| Response::text(status, ""))
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.door.open.fetch_sub(1, Ordering::Relaxed);
        if let Some(client) = self.counted_as {
            let mut of_client = self.door.counts();
            if let Some(count) = of_client.get_mut(&client) {
                *count -= 1;
                if *count == 0 {
                    of_client.remove(&client);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_remembered_of_a_client_without_connections() {
        let door = Arc::new(Door::new(DoorRules {
            connections_per_client: Some(2),
            ..DoorRules::default()
        }));
        let host = |address: &str| address.parse::<IpAddr>().unwrap();
        let first = door.enter(host("2001:db8::1")).unwrap();
        let second = door.enter(host("2001:db8::2")).unwrap();
        let third = door.enter(host("2001:db8::3"));
        assert_eq!(third.unwrap_err(), TurnedAway::TooMany);
        let other = door.enter(host("2001:db8:0:1::1")).unwrap();
        drop(second);
        let third = door.enter(host("2001:db8::3")).unwrap();
        assert_eq!(door.counts().len(), 2);
        drop((first, third, other));
        assert_eq!(door.counts().len(), 0);
        assert_eq!(door.open.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn networks_are_matched_by_their_prefix_whichever_way_an_address_is_written() {
        let allow = ["10.0.0.0/8", "2001:db8::/32"].map(|network| network.parse().unwrap());
        let door = Door::new(DoorRules {
            allow: allow.into(),
            ..DoorRules::default()
        });
        for (client, admitted) in [
            ("10.255.0.1", true),
            ("11.0.0.1", false),
            ("::ffff:10.0.0.1", true),
            ("2001:db8:ffff::1", true),
            ("2001:db9::1", false),
            ("::1", false),
        ] {
            assert_eq!(door.admits(client.parse().unwrap()), admitted, "{client}");
        }
        assert!(Door::default().admits("192.0.2.1".parse().unwrap()));
    }
}
