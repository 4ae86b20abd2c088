//! Who has which upstream socket: by client, by key, and in the order of last use.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use netio::udp::{BATCH, Local, Socket, SocketSet, Train, connect};
use slab::Slab;
use smallvec::SmallVec;

use super::RelayCounters;
use crate::impair::live::Fates;

/// How often sessions that have been idle too long are looked for, as a part of the idle time, and
/// in bounds.
const LOOKS_PER_IDLE: u32 = 16;
const SHORTEST_LOOK: Duration = Duration::from_millis(5);
const LONGEST_LOOK: Duration = Duration::from_millis(100);

/// How many sessions end in one look: closing sockets takes time that others wait.
const EXPIRED_PER_LOOK: usize = 1000;

/// A session that has been idle for this part of the idle time gives way to a new client.
const DISPLACEABLE_PART: u32 = 6;

/// No source has more than this part of the sessions, so that one that opens all it can leaves as many
/// to others.
const SHARE_OF_SOURCE: usize = 2;

/// The key of a session; used again once the session has ended.
pub(super) type SessionId = usize;

/// The sessions of one worker.
pub(super) struct Sessions {
    target: SocketAddr,
    bound: usize,
    idle: Duration,
    by_client: HashMap<SocketAddr, SessionId>,
    /// How many sessions each source has that has a share only.
    by_source: HashMap<IpAddr, usize>,
    by_id: Slab<Session>,
    /// The ends of the list through all sessions in the order of last use.
    longest_idle: Option<SessionId>,
    latest_used: Option<SessionId>,
    set: SocketSet,
}

/// One client and its socket towards the target.
pub(super) struct Session {
    pub(super) client: SocketAddr,
    /// The address of this machine that the client last sent to, which answers leave from.
    pub(super) local: Option<Local>,
    pub(super) upstream: Socket,
    /// Tells it from others that had the same key before.
    pub(super) serial: u64,
    /// What is ordered for its datagrams, once any faults were.
    pub(super) fates: Option<Fates>,
    used_at: Instant,
    used_before: Option<SessionId>,
    used_after: Option<SessionId>,
}

impl Sessions {
    pub(super) fn new(target: SocketAddr, bound: usize, idle: Duration) -> io::Result<Sessions> {
        Ok(Sessions {
            target,
            bound,
            idle,
            by_client: HashMap::new(),
            by_source: HashMap::new(),
            by_id: Slab::new(),
            longest_idle: None,
            latest_used: None,
            set: SocketSet::new()?,
        })
    }

    /// The session of the client that sent `train`, opened if it has none, marked as used. None,
    /// with the datagrams counted, if none can be opened.
    pub(super) fn of_client(
        &mut self,
        train: &Train<'_>,
        now: Instant,
        counters: &RelayCounters,
    ) -> Option<SessionId> {
        let client = train.peer?;
        let id = match self.by_client.get(&client) {
            Some(&id) => id,
            None => self.open(client, train.count(), now, counters)?,
        };
        self.by_id[id].local = train.local;
        self.mark_used(id, now);
        Some(id)
    }

    /// The session under a key that [`Sessions::of_client`] or [`Sessions::ready`] gave, if it has
    /// not ended since.
    pub(super) fn session(&self, id: SessionId) -> Option<&Session> {
        self.by_id.get(id)
    }

    /// The same, to write to.
    pub(super) fn session_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.by_id.get_mut(id)
    }

    /// Puts a session at the end of the order of use.
    pub(super) fn mark_used(&mut self, id: SessionId, now: Instant) {
        self.by_id[id].used_at = now;
        if self.latest_used != Some(id) {
            self.unlink(id);
            self.link_last(id);
        }
    }

    /// Waits until [`Sessions::ready`] may have something to tell.
    pub(super) async fn wait(&self) -> io::Result<()> {
        self.set.wait().await
    }

    /// Sessions for which something has come from the target: see [`SocketSet::ready`].
    pub(super) fn ready(&mut self) -> io::Result<SmallVec<[SessionId; BATCH]>> {
        let keys = self.set.ready()?;
        Ok(keys.iter().map(|&key| key as SessionId).collect())
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// How often to call [`Sessions::expire`].
    pub(super) fn look_every(&self) -> Duration {
        (self.idle / LOOKS_PER_IDLE).clamp(SHORTEST_LOOK, LONGEST_LOOK)
    }

    /// Ends sessions that have been idle too long.
    pub(super) fn expire(&mut self, now: Instant, counters: &RelayCounters) {
        for _ in 0..EXPIRED_PER_LOOK {
            match self.longest_idle {
                Some(id) if self.idle_for(id, now) >= self.idle => {
                    self.close(id, counters);
                    counters.sessions_expired.add(1);
                }
                _ => break,
            }
        }
    }

    fn open(
        &mut self,
        client: SocketAddr,
        datagrams: usize,
        now: Instant,
        counters: &RelayCounters,
    ) -> Option<SessionId> {
        let source = source_of(client);
        let has_share = |has: &usize| *has >= (self.bound / SHARE_OF_SOURCE).max(1);
        if source.is_some_and(|source| self.by_source.get(&source).is_some_and(has_share)) {
            counters.sessions_full.add(datagrams as u64);
            return None;
        }
        if self.by_id.len() >= self.bound {
            let displaceable = self
                .longest_idle
                .filter(|&id| self.idle_for(id, now) >= self.idle / DISPLACEABLE_PART);
            let Some(id) = displaceable else {
                counters.sessions_full.add(datagrams as u64);
                return None;
            };
            self.close(id, counters);
            counters.sessions_displaced.add(1);
        }
        let entry = self.by_id.vacant_entry();
        let id = entry.key();
        let opened = connect(self.target)
            .and_then(|upstream| self.set.add(&upstream, id as u64).map(|()| upstream));
        let Ok(upstream) = opened else {
            counters.session_failed.add(datagrams as u64);
            return None;
        };
        entry.insert(Session {
            client,
            local: None,
            upstream,
            serial: counters.sessions_opened.value(),
            fates: None,
            used_at: now,
            used_before: None,
            used_after: None,
        });
        self.link_last(id);
        self.by_client.insert(client, id);
        if let Some(source) = source {
            *self.by_source.entry(source).or_default() += 1;
        }
        counters.sessions_opened.add(1);
        counters.sessions_open.add(1);
        Some(id)
    }

    fn close(&mut self, id: SessionId, counters: &RelayCounters) {
        self.unlink(id);
        let session = self.by_id.remove(id);
        self.by_client.remove(&session.client);
        if let Some(source) = source_of(session.client)
            && let Some(has) = self.by_source.get_mut(&source)
        {
            *has -= 1;
            if *has == 0 {
                self.by_source.remove(&source);
            }
        }
        counters.sessions_open.subtract(1);
    }

    fn idle_for(&self, id: SessionId, now: Instant) -> Duration {
        now.saturating_duration_since(self.by_id[id].used_at)
    }

    fn unlink(&mut self, id: SessionId) {
        let (before, after) = {
            let session = &mut self.by_id[id];
            (session.used_before.take(), session.used_after.take())
        };
        match before {
            Some(before) => self.by_id[before].used_after = after,
            None => self.longest_idle = after,
        }
        match after {
            Some(after) => self.by_id[after].used_before = before,
            None => self.latest_used = before,
        }
    }

    fn link_last(&mut self, id: SessionId) {
        let last = self.latest_used.replace(id);
        self.by_id[id].used_before = last;
        match last {
            Some(last) => self.by_id[last].used_after = Some(id),
            None => self.longest_idle = Some(id),
        }
    }
}

/// What of a client's address tells whose it is: an IPv4 address, or a /64 of IPv6, which one host
/// can have whole. Programs of this machine have no share: they need not be held back.
fn source_of(client: SocketAddr) -> Option<IpAddr> {
    match client.ip().to_canonical() {
        address if address.is_loopback() => None,
        IpAddr::V4(address) => Some(address.into()),
        IpAddr::V6(address) => {
            let network = address.to_bits() & !u128::from(u64::MAX);
            Some(Ipv6Addr::from_bits(network).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_source_has_a_share_of_the_sessions_and_this_machine_all() {
        // Four sessions; who asks for one in turn, and whether there is one for him.
        let cases: [&[(&str, bool)]; 3] = [
            &[
                ("192.0.2.1:1024", true),
                ("192.0.2.1:1025", true),
                ("192.0.2.1:1026", false),
                ("192.0.2.1:1024", true),
                ("192.0.2.2:1024", true),
                ("192.0.2.3:1024", true),
                ("192.0.2.4:1024", false),
            ],
            &[
                ("[2001:db8::1]:1024", true),
                ("[2001:db8::2]:1024", true),
                ("[2001:db8::3]:1024", false),
                ("[2001:db8:0:1::3]:1024", true),
            ],
            &[
                ("127.0.0.1:1024", true),
                ("127.0.0.1:1025", true),
                ("127.0.0.1:1026", true),
                ("127.0.0.1:1027", true),
                ("127.0.0.1:1028", false),
            ],
        ];
        for clients in cases {
            let (counters, now) = (RelayCounters::default(), Instant::now());
            let idle = Duration::from_mins(1);
            let target = "127.0.0.1:9".parse().unwrap();
            let mut sessions = Sessions::new(target, 4, idle).unwrap();
            for (client, has_one) in clients {
                let train = Train::one(Some(client.parse().unwrap()), b"?");
                let found = sessions.of_client(&train, now, &counters);
                assert_eq!(found.is_some(), *has_one, "{client}");
            }
            // What has ended counts no more.
            sessions.expire(now + idle, &counters);
            assert!(sessions.is_empty() && sessions.by_source.is_empty());
        }
    }
}
