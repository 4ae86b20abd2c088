//! A lane: one thread's part of the targets, with sockets and a session of its own.

use std::collections::VecDeque;
use std::io::{self, BufWriter, Stdout, Write};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use netio::icmp::wait::{Signals, wait};
use netio::icmp::{Endpoint, Notice, open};
use netproto::icmp::{Reason, Version};

use super::session::{Due, Plan, Session};
use super::targets::Target;
use super::{Show, Sweep};
use crate::config::{Config, Format};
use crate::probing::is_full;
use crate::report::three_decimals;
use crate::wire::{Damage, Incoming, Wire};

/// How many datagrams are sent or read before the other is given its turn.
const BATCH: usize = 64;
/// How many sends wait at most for the kernel to say when they left.
const AWAITING_DEPARTURE: usize = 1024;
/// Probes that follow each other sooner have the time of the call as that of their departure.
const HEAR_DEPARTURES_FROM: Duration = Duration::from_micros(100);

/// A socket of a lane: one for each IP version that occurs.
pub(super) struct Socket {
    endpoint: Endpoint,
    wire: Wire,
    /// The ids of sends, each with the sequence number of its probe.
    departing: VecDeque<(u32, u16)>,
    hears_departures: bool,
}

impl Socket {
    pub(super) fn open(config: &Config, sweep: &Sweep, version: Version) -> Result<Socket> {
        let mut endpoint = open::icmp_with_identifier(version, &config.binding, config.identifier)?;
        endpoint.tune(&config.tuning)?;
        if let Some(ttl) = config.ttl {
            endpoint.set_ttl(ttl).context("cannot set the TTL")?;
        }
        let hears_departures = sweep.plan.spacing >= HEAR_DEPARTURES_FROM;
        if !hears_departures {
            endpoint.ignore_departures().context("socket options")?;
        }
        let nonce = rand::random::<u64>().to_be_bytes();
        let identifier = endpoint.identifier();
        Ok(Socket {
            endpoint,
            wire: Wire::new(version, identifier, config.size, &config.pattern, nonce),
            departing: VecDeque::new(),
            hears_departures,
        })
    }
}

/// What all lanes write to.
pub(super) struct Telling {
    show: Show,
    format: Format,
    /// Whether there is a line for each reply, as in a sweep without an end.
    tells_replies: bool,
    out: Mutex<BufWriter<Stdout>>,
    sent: AtomicU64,
    received: AtomicU64,
}

impl Telling {
    pub(super) fn new(config: &Config, sweep: &Sweep, out: BufWriter<Stdout>) -> Telling {
        let format = config.output.format;
        Telling {
            show: sweep.show,
            format,
            tells_replies: sweep.plan.count.is_none()
                && sweep.show == Show::All
                && format == Format::Text
                && !config.output.quiet,
            out: Mutex::new(out),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
        }
    }

    pub(super) fn out(&self) -> MutexGuard<'_, BufWriter<Stdout>> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A lane.
pub(super) struct Lane<'a> {
    sockets: Vec<Socket>,
    targets: Vec<&'a Target>,
    pub(super) session: Session,
    signals: &'a Signals,
    telling: &'a Telling,
    /// The session's totals as far as they have been told.
    told: (u64, u64),
}

impl<'a> Lane<'a> {
    /// A lane with these sockets and targets that begins at `begin`.
    pub(super) fn new(
        sockets: Vec<Socket>,
        targets: Vec<&'a Target>,
        plan: Plan,
        begin: Instant,
        signals: &'a Signals,
        telling: &'a Telling,
    ) -> Lane<'a> {
        let addresses = targets.iter().map(|target| target.address.ip());
        Lane {
            session: Session::new(plan, addresses, begin),
            sockets,
            targets,
            signals,
            telling,
            told: (0, 0),
        }
    }

    /// Probes until the session is over.
    pub(super) fn run(&mut self) -> Result<()> {
        let mut request = Vec::new();
        loop {
            let now = Instant::now();
            if self.signals.stop() {
                self.session.stop();
            }
            if self.signals.take_status() {
                let sent = self.telling.sent.load(Ordering::Relaxed);
                let received = self.telling.received.load(Ordering::Relaxed);
                let _ = writeln!(io::stderr(), "\r{received}/{sent} packets");
            }
            if self.session.is_over(now) {
                return Ok(());
            }
            for _ in 0..BATCH {
                let Some(due) = self.session.poll_send(Instant::now()) else {
                    break;
                };
                self.send(due, &mut request)?;
            }
            let heard = self.receive()?;
            self.tell_totals();
            if heard {
                continue;
            }
            let now = Instant::now();
            if !self.session.is_over(now) && self.session.poll_send(now).is_none() {
                self.telling.out().flush()?;
                let readable: Vec<_> = self.sockets.iter().map(|s| s.endpoint.as_fd()).collect();
                wait(&readable, self.signals, Some(self.session.next_wake()))?;
            }
        }
    }

    fn tell_totals(&mut self) {
        let (sent, received) = self.session.totals();
        let telling = self.telling;
        telling
            .sent
            .fetch_add(sent - self.told.0, Ordering::Relaxed);
        telling
            .received
            .fetch_add(received - self.told.1, Ordering::Relaxed);
        self.told = (sent, received);
    }

    fn send(&mut self, due: Due, request: &mut Vec<u8>) -> Result<()> {
        let to = self.targets[due.target].address;
        let version = Version::of(to.ip());
        let socket = self
            .sockets
            .iter_mut()
            .find(|s| s.endpoint.version() == version);
        let socket = socket.context("no socket for this IP version")?;
        socket.wire.request(due.sequence, request)?;
        match socket.endpoint.send(request, to) {
            Ok(sent) => {
                self.session.on_sent(sent.at);
                if socket.hears_departures {
                    if socket.departing.len() == AWAITING_DEPARTURE {
                        socket.departing.pop_front();
                    }
                    socket.departing.push_back((sent.id, due.sequence));
                }
            }
            Err(error) if is_full(&error) => self.session.on_send_blocked(Instant::now()),
            Err(_) => self.session.on_send_failed(Instant::now()),
        }
        Ok(())
    }

    /// Reads what has come; whether that was anything. As with one target, the error queue is
    /// read after the replies and heard before them.
    fn receive(&mut self) -> Result<bool> {
        let mut heard = false;
        for at in 0..self.sockets.len() {
            let socket = &mut self.sockets[at];
            let mut arrivals = Vec::new();
            while arrivals.len() < 2 * BATCH {
                let Some(received) = socket.endpoint.receive()? else {
                    break;
                };
                heard = true;
                if let Some(incoming) = socket.wire.read(received.bytes) {
                    arrivals.push((received.from.ip(), received.stamp.at, incoming));
                }
            }
            if arrivals.is_empty() || socket.hears_departures {
                while let Some(notice) = socket.endpoint.notice()? {
                    heard = true;
                    match notice {
                        Notice::Transmitted { id, at } => {
                            let found = socket.departing.iter().position(|d| d.0 == id);
                            if let Some(found) = found {
                                self.session.on_left(socket.departing[found].1, at);
                                socket.departing.drain(..=found);
                            }
                        }
                        Notice::Refused {
                            offender,
                            reason,
                            destination,
                            quoted,
                            stamp,
                            ..
                        } => arrivals.extend(
                            socket
                                .wire
                                .read_quoted(destination.ip(), reason, quoted)
                                .map(|incoming| (offender, stamp.at, incoming)),
                        ),
                        Notice::Local { .. } => {}
                    }
                }
            }
            for (from, at, incoming) in arrivals {
                if self.telling.tells_replies
                    && let Incoming::Reply {
                        sequence,
                        damage: None,
                        ..
                    } = incoming
                    && let Some((target, rtt)) = self.session.round_trip(sequence, from, at)
                {
                    let name = &self.targets[target].name;
                    writeln!(
                        self.telling.out(),
                        "{name}: time={} ms",
                        three_decimals(rtt)
                    )?;
                }
                if let Some(target) = hear(&mut self.session, from, at, incoming)
                    && self.telling.show == Show::Alive
                    && self.telling.format == Format::Text
                {
                    writeln!(self.telling.out(), "{}", self.targets[target].name)?;
                }
            }
        }
        Ok(heard)
    }
}

/// Tells the session. The target, if this is its first answer.
fn hear(session: &mut Session, from: IpAddr, at: Instant, incoming: Incoming) -> Option<usize> {
    match incoming {
        Incoming::Reply {
            sequence,
            damage: Some(Damage::Checksum),
            ..
        } => session.on_corrupt_reply(sequence, from),
        Incoming::Reply {
            sequence, damage, ..
        } => {
            if damage.is_some() {
                session.on_damaged_reply(sequence, from);
            }
            return session.on_reply(sequence, from, at);
        }
        // Advice: the probe went on its way.
        Incoming::Error {
            reason: Reason::Redirect(_) | Reason::SourceQuench { .. },
            ..
        } => {}
        Incoming::Error {
            sequence,
            destination,
            ..
        } => session.on_error(sequence, destination),
    }
    None
}
