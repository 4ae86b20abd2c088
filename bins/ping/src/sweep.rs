//! Many targets at once: one socket (one more where both IP versions occur), one pace.
//!
//! Read in this order: [`targets`], [`session`] (pure), below the loop between it and the sockets,
//! and what is told at the end, `report`.

mod report;
pub mod session;
pub mod targets;

use std::collections::VecDeque;
use std::io::{self, BufWriter, Stdout, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use netio::icmp::privileges::Privileges;
use netio::icmp::wait::{Signals, wait};
use netio::icmp::{Endpoint, Notice, open};
use netproto::icmp::{Reason, Version};

use self::session::{Due, Plan, Session};
use self::targets::{Cidr, Target};
use crate::config::{Config, Format};
use crate::probing::is_full;
use crate::report::{failure, three_decimals};
use crate::wire::{Damage, Incoming, Wire};

/// How many datagrams are sent or read before the other is given its turn.
const BATCH: usize = 64;
/// How many sends wait at most for the kernel to say when they left.
const AWAITING_DEPARTURE: usize = 1024;
/// Probes that follow each other sooner have the time of the call as that of their departure.
const HEAR_DEPARTURES_FROM: Duration = Duration::from_micros(100);
/// How many probes a sweep may send in all; each is remembered.
const MOST_PROBES: u64 = 1 << 22;

/// A sweep.
#[derive(Debug, Clone)]
pub struct Sweep {
    /// Whom to probe.
    pub sources: Sources,
    /// How fast, how often, how long.
    pub plan: Plan,
    /// Of which targets to tell.
    pub show: Show,
}

/// Where targets come from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Names and addresses.
    pub hosts: Vec<String>,
    /// Networks, of which every host is a target.
    pub networks: Vec<Cidr>,
    /// A file with a name or address a line; `-` for standard input.
    pub file: Option<PathBuf>,
    /// Whether every address of a name is a target, not only the first.
    pub all_addresses: bool,
}

/// Of which targets to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// Of each, with its figures.
    All,
    /// The names of those that answered, as they do.
    Alive,
    /// The names of those that did not.
    Unreachable,
}

/// Sweeps. Whether every target answered and kept all bounds.
pub fn run(config: &Config, sweep: &Sweep, privileges: Privileges) -> Result<bool> {
    let signals = Signals::catch().context("cannot catch signals")?;
    let (targets, unknown) = targets::gather(&sweep.sources, config.version)?;
    let mut out = BufWriter::new(io::stdout());
    for error in &unknown {
        eprintln!("ping: {error}");
        if config.output.format == Format::Json {
            failure(&mut out, error.host(), error.to_string())?;
        }
    }
    ensure!(!targets.is_empty(), "no targets");
    let probes = targets.len() as u64 * u64::from(sweep.plan.count.unwrap_or(1));
    ensure!(
        probes <= MOST_PROBES,
        "more than {MOST_PROBES} probes in one sweep"
    );

    let mut sockets = Vec::new();
    privileges.take_up().context("cannot take up privileges")?;
    for version in [Version::V4, Version::V6] {
        if targets
            .iter()
            .any(|target| Version::of(target.address.ip()) == version)
        {
            sockets.push(Socket::open(config, sweep, version)?);
        }
    }
    privileges.give_up().context("cannot drop capabilities")?;
    let addresses = targets.iter().map(|target| target.address.ip());
    let session = Session::new(sweep.plan.clone(), addresses, Instant::now());
    let mut sweeping = Sweeping {
        sockets,
        targets: &targets,
        session,
        signals: &signals,
        show: sweep.show,
        format: config.output.format,
        tells_replies: sweep.plan.count.is_none()
            && sweep.show == Show::All
            && config.output.format == Format::Text
            && !config.output.quiet,
        out,
        request: Vec::new(),
    };
    let swept = sweeping.run().and_then(|()| {
        let Sweeping { out, session, .. } = &mut sweeping;
        report::write(out, config, sweep.show, &targets, session)
    });
    match swept {
        // Nobody reads any more, as behind `ping | head`: not an error of this program.
        Err(error) if is_broken_pipe(&error) => Ok(false),
        Ok(_) if !unknown.is_empty() => {
            anyhow::bail!("{} of the names lead nowhere", unknown.len())
        }
        swept => swept,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    kind == Some(io::ErrorKind::BrokenPipe)
}

struct Socket {
    endpoint: Endpoint,
    wire: Wire,
    /// The ids of sends, each with the sequence number of its probe.
    departing: VecDeque<(u32, u16)>,
    hears_departures: bool,
}

impl Socket {
    fn open(config: &Config, sweep: &Sweep, version: Version) -> Result<Socket> {
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

struct Sweeping<'a> {
    sockets: Vec<Socket>,
    targets: &'a [Target],
    session: Session,
    signals: &'a Signals,
    show: Show,
    format: Format,
    /// Whether there is a line for each reply, as in a sweep without an end.
    tells_replies: bool,
    out: BufWriter<Stdout>,
    request: Vec<u8>,
}

impl Sweeping<'_> {
    fn run(&mut self) -> Result<()> {
        loop {
            let now = Instant::now();
            if self.signals.stop() {
                self.session.stop();
            }
            if self.signals.take_status() {
                let (sent, received) = self.session.totals();
                eprintln!("\r{received}/{sent} packets");
            }
            if self.session.is_over(now) {
                return Ok(());
            }
            for _ in 0..BATCH {
                let Some(due) = self.session.poll_send(Instant::now()) else {
                    break;
                };
                self.send(due)?;
            }
            if self.receive()? {
                continue;
            }
            let now = Instant::now();
            if !self.session.is_over(now) && self.session.poll_send(now).is_none() {
                self.out.flush()?;
                let readable: Vec<_> = self.sockets.iter().map(|s| s.endpoint.as_fd()).collect();
                wait(&readable, self.signals, Some(self.session.next_wake()))?;
            }
        }
    }

    fn send(&mut self, due: Due) -> Result<()> {
        let to = self.targets[due.target].address;
        let version = Version::of(to.ip());
        let socket = self
            .sockets
            .iter_mut()
            .find(|s| s.endpoint.version() == version);
        let socket = socket.context("no socket for this IP version")?;
        socket.wire.request(due.sequence, &mut self.request)?;
        match socket.endpoint.send(&self.request, to) {
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
                if self.tells_replies
                    && let Incoming::Reply {
                        sequence,
                        damage: None,
                        ..
                    } = incoming
                    && let Some((target, rtt)) = self.session.round_trip(sequence, from, at)
                {
                    let name = &self.targets[target].name;
                    writeln!(self.out, "{name}: time={} ms", three_decimals(rtt))?;
                }
                if let Some(target) = hear(&mut self.session, from, at, incoming)
                    && self.show == Show::Alive
                    && self.format == Format::Text
                {
                    writeln!(self.out, "{}", self.targets[target].name)?;
                }
            }
        }
        Ok(heard)
    }
}

/// Tells the session. The target, if this is its first answer.
fn hear(
    session: &mut Session,
    from: std::net::IpAddr,
    at: Instant,
    incoming: Incoming,
) -> Option<usize> {
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
