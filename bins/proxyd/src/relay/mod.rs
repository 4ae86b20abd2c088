//! The UDP relay: each client gets an upstream socket of its own, connected to the one fixed
//! target, whose answers go back to that client and come from nobody else.
//!
//! One task serves all sessions of a worker. It passes datagrams on in batches both ways, across
//! sessions where the system has a call for it: answers to many clients leave in one sendmmsg. A
//! task for each session was measured too: the same CPU time a datagram with one busy client, a
//! tenth more with 64 or 1,000.
//!
//! Read `Relay::pass_to_target` and `Relay::pass_to_clients`; every datagram goes through one of
//! them, one for each direction. Only when faults are ordered, `faults` takes it from there, and
//! `Relay::pass_due` hands it on. `sessions` keeps who has which socket.

mod config;
mod counters;
mod faults;
mod held;
mod sessions;

use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use netio::shutdown::Stop;
use netio::udp::admission::Admission;
use netio::udp::source::SourceRule;
use netio::udp::stamping::{stamp_departure, stamp_probes};
use netio::udp::{BATCH, ReceiveBatch, SendBatch, Socket, Train};
use netproto::probe::Node;
use smallvec::SmallVec;
use tokio::io::unix::AsyncFd;
use tokio::time::{MissedTickBehavior, interval, sleep_until};

pub use config::{RelayConfig, RelayError};
pub use counters::{FaultCounters, RelayCounters};
use faults::{Due, Faults};
use held::Destination;
use sessions::{SessionId, Sessions};

use crate::impair::Direction;

/// How many batches are passed on in one direction before the other has its turn.
const BATCHES_PER_TURN: usize = 4;

/// How many datagrams that were held are passed on before others have their turn.
const DUE_PER_TURN: usize = 1024;

/// How many batches of clients are passed on after the stop at most: what was in the socket's
/// queue by then.
const BATCHES_AFTER_STOP: usize = 256;

/// After the stop, the target's answers are passed on until none has come for this long.
const QUIET_AFTER_STOP: Duration = Duration::from_millis(100);

/// After the stop, answers are passed on no longer than this.
const DRAIN: Duration = Duration::from_secs(1);

/// Passes datagrams between the clients of `socket` and the target until `stop`. What clients had
/// sent by then is passed on, and answers that come soon after too.
pub async fn run(
    socket: Socket,
    config: RelayConfig,
    counters: Arc<RelayCounters>,
    stop: Stop,
) -> Result<(), RelayError> {
    let mut relay = Relay::new(socket, config, counters)?;
    let mut stopped = pin!(stop.requested());
    let mut look = interval(relay.sessions.look_every());
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Whether the clients' side and the target's side may have datagrams unread.
    let (mut clients, mut target) = (false, false);
    loop {
        tokio::select! {
            biased;
            () = &mut stopped => break,
            _ = look.tick() => relay.sessions.expire(Instant::now(), &relay.counters),
            ready = relay.clients.readable(), if !clients => {
                // Cleared before the socket is emptied, so that what comes later is told anew.
                ready?.clear_ready();
                clients = true;
            }
            waited = relay.sessions.wait(), if !target => {
                waited?;
                target = true;
            }
            waited = relay.faults.wait(), if !relay.faults.hold_nothing() => waited?,
            () = tokio::task::yield_now(), if clients || target => {}
        }
        if clients {
            clients = relay.pass_to_target(BATCHES_PER_TURN)?;
        }
        if target {
            target = relay.pass_to_clients(BATCHES_PER_TURN).await?;
        }
        if !relay.faults.hold_nothing() {
            relay.pass_due().await?;
        }
    }
    relay.drain().await
}

struct Relay {
    clients: AsyncFd<Socket>,
    target: SocketAddr,
    admission: Admission,
    sessions: Sessions,
    received: ReceiveBatch,
    outgoing: SendBatch,
    faults: Faults,
    due: Due,
    counters: Arc<RelayCounters>,
}

impl Relay {
    fn new(
        socket: Socket,
        config: RelayConfig,
        counters: Arc<RelayCounters>,
    ) -> Result<Relay, RelayError> {
        let (relay, target) = (socket.local_addr(), config.target);
        if relay.is_ipv4() != target.is_ipv4() {
            return Err(RelayError::FamiliesDiffer { target, relay });
        }
        let on_every_address = relay.ip().is_unspecified() && target.ip().is_loopback();
        if relay.port() == target.port() && (relay.ip() == target.ip() || on_every_address) {
            return Err(RelayError::TargetIsRelay(target));
        }
        let blocked = config.blocked_ports.into_iter();
        let rule = SourceRule::new(blocked.chain([relay.port(), target.port()]));
        Ok(Relay {
            clients: socket.register()?,
            target,
            admission: Admission::new(rule, config.limits, Instant::now()),
            sessions: Sessions::new(target, config.sessions, config.idle)?,
            received: ReceiveBatch::new(),
            outgoing: SendBatch::new(),
            faults: Faults::new(config.live, relay)?,
            due: Due::default(),
            counters,
        })
    }

    /// Passes on up to `batches` batches of what clients have sent; true if there may be more.
    fn pass_to_target(&mut self, batches: usize) -> io::Result<bool> {
        for _ in 0..batches {
            self.received.clear();
            let places = match self.received.receive(self.clients.get_ref()) {
                Ok(places) => places,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let emptied = places.len() < BATCH;
            let (counters, now) = (&self.counters, Instant::now());
            let drops = self.clients.get_ref().new_kernel_drops();
            counters.kernel_drops.add(u64::from(drops));
            stamp_probes(&mut self.received, places.clone(), Node::Relay, now);
            let mut passing: SmallVec<[(SessionId, Train<'_>); BATCH]> = SmallVec::new();
            for train in self.received.trains(places) {
                counters.received.add(train.count() as u64);
                counters.received_bytes.add(train.payload.len() as u64);
                let Some(train) = self.admission.admit(train, now, &counters.refused) else {
                    continue;
                };
                if let Some(session) = self.sessions.of_client(&train, now, counters) {
                    passing.push((session, train));
                }
            }
            if self.faults.any(Direction::ToTarget) {
                for (id, train) in passing {
                    if let Some(session) = self.sessions.session_mut(id) {
                        let to = Destination::Target(id, session.serial);
                        self.faults.meet(session, &train, to, now, counters);
                    }
                }
            } else {
                send_to_target(&mut self.outgoing, &self.sessions, &mut passing, counters);
            }
            if emptied {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Passes on up to `batches` batches of what the target has answered; true if there may be
    /// more.
    async fn pass_to_clients(&mut self, batches: usize) -> io::Result<bool> {
        for _ in 0..batches {
            let ready = self.sessions.ready()?;
            if ready.is_empty() {
                return Ok(false);
            }
            self.received.clear();
            let share = share_of(ready.len());
            let answered = self.receive_of(&ready, share);
            // All sessions with something were told, and none was cut short for want of room.
            let is_whole = |(_, places): &(_, Range<usize>)| places.len() < share;
            let emptied =
                ready.len() < BATCH && self.received.room() > 0 && answered.iter().all(is_whole);
            // Not before they were received: none is to leave before it is due.
            let now = Instant::now();
            for (_, places) in &answered {
                stamp_probes(&mut self.received, places.clone(), Node::Relay, now);
            }
            let received = &self.received;
            let (counters, target) = (&self.counters, self.target);
            let answers = answered.iter().flat_map(|(id, places)| {
                let trains = received.trains(places.clone());
                trains.filter_map(move |train| {
                    let datagrams = train.count() as u64;
                    // The kernel lets in nobody else once the socket is connected. Before that it
                    // has a port for a moment already.
                    if train.peer != Some(target) {
                        counters.not_from_target.add(datagrams);
                        return None;
                    }
                    counters.answers.add(datagrams);
                    counters.answer_bytes.add(train.payload.len() as u64);
                    Some((*id, train))
                })
            });
            if self.faults.any(Direction::ToClient) {
                for (id, train) in answers {
                    if let Some(session) = self.sessions.session_mut(id) {
                        let to = Destination::Client(session.client, session.local);
                        self.faults.meet(session, &train, to, now, counters);
                    }
                }
            } else {
                let sessions = &self.sessions;
                let addressed = answers.filter_map(|(id, train)| {
                    let session = sessions.session(id)?;
                    Some(Train {
                        peer: Some(session.client),
                        local: session.local,
                        ..train
                    })
                });
                let sent = self.outgoing.send(&self.clients, addressed).await?;
                counters.sent_to_clients(&sent);
            }
            if emptied {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Receives on the sockets of `ready` sessions, up to `share` trains of each and as far as there
    /// is room; the rest is told again. Returns which session has what.
    fn receive_of(
        &mut self,
        ready: &[SessionId],
        share: usize,
    ) -> SmallVec<[(SessionId, Range<usize>); BATCH]> {
        let now = Instant::now();
        let mut answered = SmallVec::new();
        for &id in ready {
            let Some(session) = self.sessions.session(id) else {
                continue;
            };
            match self.received.receive_up_to(share, &session.upstream) {
                Ok(places) => {
                    let drops = session.upstream.new_kernel_drops();
                    self.counters.kernel_drops.add(u64::from(drops));
                    self.sessions.mark_used(id, now);
                    answered.push((id, places));
                }
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                    ) => {}
                // What ICMP told of a datagram sent before; being told clears it.
                Err(_) => self.counters.target_unreachable.add(1),
            }
        }
        answered
    }

    /// Passes on what was held and is due.
    async fn pass_due(&mut self) -> io::Result<()> {
        self.faults.due(Instant::now(), DUE_PER_TURN, &mut self.due);
        let to_target = self.due.to_target.iter_mut().map(|(_, _, payload)| payload);
        let to_client = self.due.to_client.iter_mut().map(|(_, _, payload)| payload);
        for payload in to_target.chain(to_client) {
            stamp_departure(payload);
        }
        let mut passing: SmallVec<[(SessionId, Train<'_>); BATCH]> = SmallVec::new();
        for (id, serial, payload) in &self.due.to_target {
            let session = self.sessions.session(*id);
            if session.is_some_and(|session| session.serial == *serial) {
                passing.push((*id, Train::one(None, payload)));
            } else {
                self.counters.session_ended.add(1);
            }
        }
        send_to_target(
            &mut self.outgoing,
            &self.sessions,
            &mut passing,
            &self.counters,
        );
        let answers = self
            .due
            .to_client
            .iter()
            .map(|(client, local, payload)| Train {
                local: *local,
                ..Train::one(Some(*client), payload)
            });
        let sent = self.outgoing.send(&self.clients, answers).await?;
        self.counters.sent_to_clients(&sent);
        Ok(())
    }

    /// After the stop: what clients have sent goes to the target, and what it answers in short
    /// time goes to them. What is held then is passed on if it is due in time.
    async fn drain(mut self) -> Result<(), RelayError> {
        self.pass_to_target(BATCHES_AFTER_STOP)?;
        let deadline = Instant::now() + DRAIN;
        while !(self.sessions.is_empty() && self.faults.hold_nothing()) && Instant::now() < deadline
        {
            self.pass_due().await?;
            if self.pass_to_clients(BATCHES_PER_TURN).await? {
                continue;
            }
            let quiet = deadline.min(Instant::now() + QUIET_AFTER_STOP);
            let hold_nothing = self.faults.hold_nothing();
            tokio::select! {
                waited = self.sessions.wait() => waited?,
                waited = self.faults.wait(), if !hold_nothing => waited?,
                () = sleep_until(quiet.into()) => {
                    if hold_nothing {
                        break;
                    }
                }
            }
        }
        Ok(())
    }
}

/// How many trains one of so many sessions may have of a batch: twice its part, so that few of them
/// take two calls, and none makes the others wait.
fn share_of(sessions: usize) -> usize {
    (2 * BATCH).div_ceil(sessions.max(1)).min(BATCH)
}

/// Sends datagrams to the target, each on the socket of its session.
fn send_to_target(
    outgoing: &mut SendBatch,
    sessions: &Sessions,
    passing: &mut [(SessionId, Train<'_>)],
    counters: &RelayCounters,
) {
    // Each session in a row, its datagrams in the order they came (the sort is stable).
    if !passing.is_sorted_by_key(|(session, _)| *session) {
        passing.sort_by_key(|(session, _)| *session);
    }
    for same in passing.chunk_by(|(a, _), (b, _)| a == b) {
        let Some(session) = sessions.session(same[0].0) else {
            continue;
        };
        let trains = same.iter().map(|(_, train)| Train {
            peer: None,
            local: None,
            ..*train
        });
        let sent = outgoing.try_send(&session.upstream, trains);
        counters.sent_to_target(&sent);
    }
}
