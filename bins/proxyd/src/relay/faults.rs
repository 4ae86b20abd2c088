//! Carries out what is ordered of datagrams: decides what becomes of each as it comes, holds it, and
//! hands it over when it is due. One queue and one timer serve all sessions of a worker.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use netio::alarm::Alarm;
use netio::udp::{Local, Train};

use super::RelayCounters;
use super::held::{Destination, Held};
use super::sessions::Session;
use crate::impair::Direction;
use crate::impair::live::{Live, Orders};
use crate::impair::schedule::{Fate, Passage};

/// Between two times that the timer wakes the worker for what is due: at many datagrams a second,
/// those due by then leave in one batch. So none leaves before it is due, nor much later.
const BETWEEN_RELEASES: Duration = Duration::from_micros(100);

/// IP and UDP header, in bytes (RFC 791, RFC 8200, RFC 768).
const HEADERS_V4: usize = 28;
const HEADERS_V6: usize = 48;

/// The faults of one worker's relay.
pub(super) struct Faults {
    live: Arc<Live>,
    orders: Arc<Orders>,
    /// Of each datagram, in bytes.
    headers: usize,
    held: Held,
    alarm: Alarm,
    released: Instant,
}

impl Faults {
    /// Those in force now; `relay` is the address to which clients send.
    pub(super) fn new(live: Arc<Live>, relay: SocketAddr) -> io::Result<Faults> {
        Ok(Faults {
            orders: live.orders(),
            live,
            headers: if relay.is_ipv4() {
                HEADERS_V4
            } else {
                HEADERS_V6
            },
            held: Held::default(),
            alarm: Alarm::new()?,
            released: Instant::now(),
        })
    }

    /// Whether any are in force for this direction, so that its datagrams have to come to
    /// [`Faults::meet`].
    pub(super) fn any(&mut self, direction: Direction) -> bool {
        self.live.refresh(&mut self.orders);
        !self.orders.impairment.of(direction).is_none()
    }

    /// Lets the datagrams of `train`, which came at `now`, meet the faults of their direction. What
    /// is left of them is held for `to`.
    pub(super) fn meet(
        &mut self,
        session: &mut Session,
        train: &Train<'_>,
        to: Destination,
        now: Instant,
        counters: &RelayCounters,
    ) {
        let direction = to.direction();
        let schedule = self.orders.fates(&mut session.fates).of(direction);
        for payload in train.datagrams() {
            match schedule.next(self.orders.impairment.of(direction)) {
                Fate::Lost => counters.faults(direction).lost.add(1),
                Fate::Passed(passage) => {
                    self.hold(passage, payload, to, now, counters);
                }
            }
        }
    }

    fn hold(
        &mut self,
        passage: Passage,
        payload: &[u8],
        to: Destination,
        now: Instant,
        counters: &RelayCounters,
    ) {
        let direction = to.direction();
        let counted = counters.faults(direction);
        let mut payload = payload;
        let mut damaged = Vec::new();
        if let Some(bit) = passage.corrupted_bit
            && !payload.is_empty()
        {
            let bit = (bit % (payload.len() as u64 * 8)) as usize;
            damaged.extend_from_slice(payload);
            damaged[bit / 8] ^= 1 << (bit % 8);
            payload = &damaged;
            counted.corrupted.add(1);
        }
        counted.duplicated.add(passage.copy.is_some().into());
        counted.reordered.add(passage.reordered.into());
        for delay in [Some(passage.delay), passage.copy].into_iter().flatten() {
            let bytes = (payload.len() + self.headers) as u64;
            let Some(turn) = self.orders.turn(direction, bytes, now) else {
                counted.queue_full.add(1);
                continue;
            };
            let due = turn + delay;
            if !self.held.push(due, to, payload) {
                counters.hold_full.add(1);
            } else if due > now {
                counted.held.add(1);
            }
        }
    }

    /// Whether nothing is held.
    pub(super) fn hold_nothing(&self) -> bool {
        self.held.is_empty()
    }

    /// Waits until something may be due.
    pub(super) async fn wait(&mut self) -> io::Result<()> {
        let Some(due) = self.held.next_due() else {
            return std::future::pending().await;
        };
        self.alarm.set(due.max(self.released + BETWEEN_RELEASES))?;
        self.alarm.reached().await
    }

    /// Takes up to `most` datagrams that are due, in order.
    pub(super) fn due(&mut self, now: Instant, most: usize, due: &mut Due) {
        due.to_target.clear();
        due.to_client.clear();
        self.released = now;
        for _ in 0..most {
            match self.held.pop(now) {
                Some((Destination::Target(session, serial), payload)) => {
                    due.to_target.push((session, serial, payload));
                }
                Some((Destination::Client(client, local), payload)) => {
                    due.to_client.push((client, local, payload));
                }
                None => break,
            }
        }
    }
}

/// Datagrams that are due.
#[derive(Default)]
pub(super) struct Due {
    /// By session and its serial number.
    pub(super) to_target: Vec<(usize, u64, Box<[u8]>)>,
    /// By client, and the address that it knows the relay under.
    pub(super) to_client: Vec<(SocketAddr, Option<Local>, Box<[u8]>)>,
}
