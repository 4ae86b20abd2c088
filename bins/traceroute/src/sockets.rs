//! The sockets of a trace: where its probes go out and where the answers come in.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use anyhow::{Context, Result};
use netio::icmp::open::{self, OpenError};
use netio::icmp::{
    Binding, Endpoint, Hears, HeldPort, Notice, PathMtu, Received, Sent, SocketKind, Tuning, route,
};
use netproto::icmp::Version;

use crate::config::{Config, Method};
use crate::mark::Mark;
use crate::probe::{Heard, Probe, Told};
use crate::wire::{Kind, TCP, UDP, UDP_LITE, Wire};

/// Of how many sends it is remembered which probe they were; the kernel says within moments when
/// a packet left.
const REMEMBERED_SENDS: usize = 4096;

/// The sockets of one trace.
#[derive(Debug)]
pub(crate) struct Sockets {
    wire: Wire,
    /// Sends the probes; hears answers too, unless it is a raw UDP socket.
    sender: Endpoint,
    /// Hears the errors when the sender does not.
    errors: Option<Endpoint>,
    /// Holds the source port of raw UDP, and hears a UDP answer of the target.
    udp_port: Option<Endpoint>,
    /// Holds the source port of raw TCP.
    _tcp_port: Option<HeldPort>,
    /// The kernel's id of each send, and the probe's number.
    sends: VecDeque<(u32, u16)>,
}

/// What came in.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// A probe left this host.
    Left { number: u16, at: Instant },
    /// A probe was answered.
    Answer(Heard),
}

/// A probe that could not be sent.
#[derive(Debug)]
pub(crate) enum SendError {
    /// The socket's buffer is full.
    Busy,
    /// It is larger than the route's first link takes.
    TooLarge { mtu: u32 },
    /// Anything else.
    Failed(io::Error),
}

impl Sockets {
    /// Opens what `config` takes, with the privileges that there are.
    pub(crate) fn open(config: &Config, target: SocketAddr) -> Result<Sockets> {
        let mut opening = Opening::new(config, target)?;
        let (kind, sender) = match config.method {
            Method::Icmp => {
                let sender = if config.takes_raw() {
                    open::icmp_raw(opening.version, &opening.binding).map_err(takes_raw)?
                } else {
                    open::icmp(opening.version, &opening.binding)?
                };
                let identifier = sender.identifier();
                (Kind::Echo { identifier }, sender)
            }
            Method::Udp { classic: true, .. } => opening.kernel_udp()?,
            Method::Udp { classic: false, .. } => match opening.raw_udp(UDP) {
                Err(OpenError::RawNotPermitted { .. }) if !config.takes_raw() => {
                    opening.kernel_udp()?
                }
                opened => opened?,
            },
            Method::UdpLite { .. } => opening.raw_udp(UDP_LITE)?,
            Method::Tcp { .. } => opening.tcp(config.other_flows())?,
            Method::Raw { protocol } => opening.raw(protocol)?,
        };
        opening.finish(config, kind, sender)
    }

    /// Sends a probe.
    pub(crate) fn send(&mut self, probe: Probe) -> Result<Sent, SendError> {
        self.sender.set_ttl(probe.ttl).map_err(SendError::Failed)?;
        let datagram = self.wire.datagram(probe);
        let to = self.wire.destination(probe);
        match self.sender.send(&datagram, to) {
            Ok(sent) => {
                if self.sends.len() == REMEMBERED_SENDS {
                    self.sends.pop_front();
                }
                self.sends.push_back((sent.id, probe.number));
                Ok(sent)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(SendError::Busy),
            Err(error) => Err(self.why_too_large(error)),
        }
    }

    /// Asks the error queue what the MTU is, if that is what was wrong.
    fn why_too_large(&mut self, error: io::Error) -> SendError {
        const MESSAGE_TOO_LONG: io::ErrorKind = io::ErrorKind::FileTooLarge;
        let too_long = rustix::io::Errno::from_io_error(&error) == Some(rustix::io::Errno::MSGSIZE)
            || error.kind() == MESSAGE_TOO_LONG;
        while let (true, Ok(Some(notice))) = (too_long, self.sender.notice()) {
            if let Notice::Local { mtu, .. } = notice
                && mtu > 0
            {
                return SendError::TooLarge { mtu };
            }
        }
        SendError::Failed(error)
    }

    /// What to wait for.
    pub(crate) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let others = self.errors.iter().chain(&self.udp_port).map(AsFd::as_fd);
        std::iter::once(self.sender.as_fd()).chain(others).collect()
    }

    /// Everything that has come in, departures before the answers that they belong to.
    pub(crate) fn receive(&mut self) -> Result<Vec<Arrival>> {
        let mut answers = Vec::new();
        let last_sent = self.sends.back().map(|(_, number)| *number);
        for endpoint in self.errors.iter_mut().chain([&mut self.sender]) {
            hear_messages(&self.wire, endpoint, last_sent, &mut answers)
                .context("cannot receive")?;
        }
        if let Some(endpoint) = &mut self.udp_port {
            hear_messages(&self.wire, endpoint, last_sent, &mut answers)
                .context("cannot receive")?;
        }
        let mut arrivals = Vec::new();
        while let Some(notice) = self.sender.notice().context("cannot read errors")? {
            match notice {
                Notice::Transmitted { id, at } => {
                    let sent = self.sends.iter().rev().find(|(its, _)| *its == id);
                    arrivals.extend(sent.map(|&(_, number)| Arrival::Left { number, at }));
                }
                Notice::Refused {
                    offender,
                    reason,
                    destination,
                    quoted,
                    ttl,
                    stamp,
                } if self.errors.is_none() => {
                    let understood = match self.wire.kind {
                        Kind::UdpPorts => self.wire.read_port_error(destination, reason),
                        _ => self.wire.read_kept_echo(destination.ip(), quoted, reason),
                    };
                    answers.extend(understood.map(|(number, mark, told)| {
                        Arrival::Answer(Heard {
                            number,
                            from: offender,
                            mark,
                            at: stamp.at,
                            told: Told { ttl, ..told },
                        })
                    }));
                }
                Notice::Refused { .. } | Notice::Local { .. } => {}
            }
        }
        arrivals.extend(answers);
        Ok(arrivals)
    }
}

/// Sockets in the making.
struct Opening {
    version: Version,
    binding: Binding,
    /// The source port that is asked for; 0 for any.
    source_port: u16,
    target: SocketAddr,
    source: IpAddr,
    errors: Option<Endpoint>,
    udp_port: Option<Endpoint>,
    tcp_port: Option<HeldPort>,
}

impl Opening {
    fn new(config: &Config, mut target: SocketAddr) -> Result<Opening> {
        target.set_port(config.method.port());
        let source = route::source_for(target, &config.binding)?;
        Ok(Opening {
            version: Version::of(target.ip()),
            // Raw sockets need the source that the checksum covers; all get the same.
            binding: Binding {
                source: Some(source),
                interface: config.binding.interface.clone(),
            },
            source_port: config.source_port.unwrap_or(0),
            target,
            source,
            errors: None,
            udp_port: None,
            tcp_port: None,
        })
    }

    /// One port after the other: what anyone may do.
    fn kernel_udp(&mut self) -> Result<(Kind, Endpoint), OpenError> {
        let sender = open::udp(self.version, &self.binding, self.source_port)?;
        Ok((Kind::UdpPorts, sender))
    }

    /// One flow of UDP or UDP-Lite with headers of our own.
    fn raw_udp(&mut self, protocol: u8) -> Result<(Kind, Endpoint), OpenError> {
        self.errors = Some(self.raw_errors()?);
        let mut port = open::udp(self.version, &self.binding, self.source_port)?;
        // They would reach this socket too, by its port, and are heard whole on the raw one.
        port.ignore_errors()
            .map_err(|error| OpenError::Call("ignore errors", error))?;
        let kind = Kind::Udp {
            source_port: port.identifier(),
            protocol,
        };
        self.udp_port = Some(port);
        let sender = open::raw(self.version, &self.binding, protocol, Hears::Nothing)?;
        Ok((kind, sender))
    }

    fn tcp(&mut self, flows: u16) -> Result<(Kind, Endpoint), OpenError> {
        self.errors = Some(self.raw_errors()?);
        let port = open::hold_tcp_port(self.version, &self.binding, self.source_port)?;
        let kind = Kind::Tcp {
            source_port: port.port(),
            first_sequence: rand::random(),
        };
        let hears = Hears::TcpTo {
            first: port.port(),
            last: port.port().saturating_add(flows),
        };
        let sender = open::raw(self.version, &self.binding, TCP, hears)?;
        self.tcp_port = Some(port);
        Ok((kind, sender))
    }

    fn raw(&mut self, protocol: u8) -> Result<(Kind, Endpoint), OpenError> {
        self.errors = Some(self.raw_errors()?);
        let sender = open::raw(self.version, &self.binding, protocol, Hears::Everything)?;
        Ok((Kind::Raw { protocol }, sender))
    }

    /// The raw ICMP socket that hears what the sender does not.
    fn raw_errors(&self) -> Result<Endpoint, OpenError> {
        open::icmp_errors(self.version, &self.binding).map_err(takes_raw)
    }

    fn finish(self, config: &Config, kind: Kind, mut sender: Endpoint) -> Result<Sockets> {
        sender.tune(&Tuning {
            traffic_class: config.traffic_class,
            path_mtu: Some(if config.dont_fragment {
                PathMtu::Probe
            } else {
                PathMtu::Dont
            }),
            ..Tuning::default()
        })?;
        if config.dont_fragment {
            sender.queue_errors().context("cannot have errors queued")?;
        }
        if let (false, IpAddr::V4(target)) = (config.gateways.is_empty(), self.target.ip()) {
            sender.route_by(&config.gateways, target)?;
        }
        let wire = Wire {
            source: self.source,
            target: self.target,
            gateways: config.gateways.clone(),
            kind,
            ip_header_len: config.ip_header_len(self.version),
            secret: rand::random(),
            traffic_class: config.traffic_class.unwrap_or(0),
        };
        Ok(Sockets {
            wire,
            sender,
            errors: self.errors,
            udp_port: self.udp_port,
            _tcp_port: self.tcp_port,
            sends: VecDeque::new(),
        })
    }
}

/// Where nothing but a raw socket would do: who may not open it is not sent to ping_group_range, which
/// grants datagram sockets only.
fn takes_raw(error: OpenError) -> OpenError {
    match error {
        OpenError::NotPermitted { program } => OpenError::RawNotPermitted { program },
        other => other,
    }
}

/// Reads the messages of one socket: ICMP, or what the target itself answers by.
fn hear_messages(
    wire: &Wire,
    endpoint: &mut Endpoint,
    last_sent: Option<u16>,
    answers: &mut Vec<Arrival>,
) -> io::Result<()> {
    let kind = endpoint.kind();
    while let Some(received) = endpoint.receive()? {
        let Received { from, bytes, .. } = received;
        let heard = match (kind, wire.kind) {
            (SocketKind::Udp, _) => wire.read_udp_answer(from, bytes),
            (SocketKind::Raw, Kind::Tcp { .. }) => wire.read_tcp(from.ip(), bytes),
            // Whatever the target says in the protocol answers the only probe on its way.
            (SocketKind::Raw, Kind::Raw { .. }) if from.ip() == wire.target.ip() => {
                last_sent.map(|number| (number, Mark::Arrived, Told::default()))
            }
            (SocketKind::Raw, _) => None,
            (SocketKind::IcmpRaw | SocketKind::IcmpDatagram, _) => wire.read_icmp(bytes),
        };
        answers.extend(heard.map(|(number, mark, told)| {
            Arrival::Answer(Heard {
                number,
                from: from.ip(),
                mark,
                at: received.stamp.at,
                told: Told {
                    ttl: received.ttl,
                    ..told
                },
            })
        }));
    }
    Ok(())
}
