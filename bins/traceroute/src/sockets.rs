//! The sockets of a trace: where its probes go out and where the answers come in.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use anyhow::{Context, Result};
use netio::icmp::open::{self, OpenError};
use netio::icmp::{Binding, Endpoint, Notice, Sent, SocketKind};
use netproto::icmp::Version;

use crate::config::{Config, Method};
use crate::mark::Mark;
use crate::wire::{Flow, Wire};

/// The sockets of one trace.
#[derive(Debug)]
pub(crate) struct Sockets {
    wire: Wire,
    /// Sends the probes, and hears the answers unless others do.
    sender: Endpoint,
    /// Hears the errors when the sender is a raw UDP socket, which does not.
    errors: Option<Endpoint>,
    /// Holds the source port of a raw UDP socket, and hears a UDP answer of the target.
    port: Option<Endpoint>,
    /// The probe of each send, at the index that is the send's id.
    sends: Vec<u16>,
}

/// What came in.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Arrival {
    /// A probe left this host.
    Left { probe: u16, at: Instant },
    /// A probe was answered.
    Answer {
        probe: u16,
        from: IpAddr,
        mark: Mark,
        at: Instant,
    },
}

impl Sockets {
    /// Opens what `config` takes, with the privileges that there are.
    pub(crate) fn open(config: &Config, target: SocketAddr, data_len: usize) -> Result<Sockets> {
        let version = Version::of(target.ip());
        let binding = &config.binding;
        let source = open::source_for(target, binding)?;
        let mut target = target;
        let (flow, sender, errors, port) = match config.method {
            Method::Icmp => {
                let sender = open::icmp(version, binding)?;
                let identifier = sender.identifier();
                (Flow::Echo { identifier }, sender, None, None)
            }
            Method::Udp { port, classic } => {
                target.set_port(port);
                let raw = if classic {
                    None
                } else {
                    one_flow(version, source)?
                };
                if let Some((flow, sender, errors, port)) = raw {
                    (flow, sender, Some(errors), Some(port))
                } else {
                    let sender = open::udp(version, binding, 0)?;
                    (Flow::UdpPorts, sender, None, None)
                }
            }
        };
        sender.allow_fragments()?;
        let wire = Wire {
            target,
            flow,
            data_len,
            probes: u16::try_from(config.plan.probes()).unwrap_or(u16::MAX),
        };
        Ok(Sockets {
            wire,
            sender,
            errors,
            port,
            sends: Vec::new(),
        })
    }

    /// Sends a probe with this TTL.
    pub(crate) fn send(&mut self, probe: u16, ttl: u8) -> io::Result<Sent> {
        self.sender.set_ttl(ttl)?;
        let datagram = self.wire.datagram(probe);
        let sent = self.sender.send(&datagram, self.wire.destination(probe))?;
        self.sends.push(probe);
        Ok(sent)
    }

    /// What to wait for.
    pub(crate) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let others = self.errors.iter().chain(&self.port).map(AsFd::as_fd);
        std::iter::once(self.sender.as_fd()).chain(others).collect()
    }

    /// Everything that has come in, departures before the answers that they belong to.
    pub(crate) fn receive(&mut self) -> Result<Vec<Arrival>> {
        let mut answers = Vec::new();
        for endpoint in self.errors.iter_mut().chain([&mut self.sender]) {
            hear_messages(&self.wire, endpoint, &mut answers).context("cannot receive")?;
        }
        if let Some(endpoint) = &mut self.port {
            hear_messages(&self.wire, endpoint, &mut answers).context("cannot receive")?;
            // The errors reach this socket too, by its port. They have been heard whole on the raw
            // one; left here, they would end every sleep at once.
            while endpoint.notice().context("cannot read errors")?.is_some() {}
        }
        let mut arrivals = Vec::new();
        while let Some(notice) = self.sender.notice().context("cannot read errors")? {
            match notice {
                Notice::Transmitted { id, at } => {
                    let probe = self.sends.get(id as usize).copied();
                    arrivals.extend(probe.map(|probe| Arrival::Left { probe, at }));
                }
                Notice::Refused {
                    offender,
                    reason,
                    destination,
                    quoted,
                    stamp,
                    ..
                } => {
                    let probe = match self.wire.flow {
                        Flow::UdpPorts => self.wire.number_of_port(destination),
                        _ => self.wire.read_kept_echo(destination.ip(), quoted),
                    };
                    answers.extend(probe.zip(Mark::of(reason)).map(|(probe, mark)| {
                        Arrival::Answer {
                            probe,
                            from: offender,
                            mark,
                            at: stamp.at,
                        }
                    }));
                }
                Notice::Local { .. } => {}
            }
        }
        arrivals.extend(answers);
        Ok(arrivals)
    }
}

/// Raw sockets for a flow that does not change; `None` without the permission.
fn one_flow(
    version: Version,
    source: IpAddr,
) -> Result<Option<(Flow, Endpoint, Endpoint, Endpoint)>> {
    let binding = Binding {
        source: Some(source),
        interface: None,
    };
    let errors = match open::icmp_raw(version, &binding) {
        Ok(errors) => errors,
        Err(OpenError::NotPermitted { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let port = open::udp(version, &binding, 0)?;
    let source_port = port.identifier();
    let sender = open::udp_raw(version, &binding, source_port)?;
    let flow = Flow::UdpChecksum {
        source,
        source_port,
    };
    Ok(Some((flow, sender, errors, port)))
}

/// Reads the messages of one socket: ICMP, or a UDP datagram by which the target itself answers.
fn hear_messages(
    wire: &Wire,
    endpoint: &mut Endpoint,
    answers: &mut Vec<Arrival>,
) -> io::Result<()> {
    let kind = endpoint.kind();
    while let Some(received) = endpoint.receive()? {
        let heard = match kind {
            SocketKind::Udp => wire
                .read_udp_answer(received.from, received.bytes)
                .map(|probe| (probe, Mark::Arrived)),
            _ => wire.read(received.bytes),
        };
        answers.extend(heard.map(|(probe, mark)| Arrival::Answer {
            probe,
            from: received.from.ip(),
            mark,
            at: received.stamp.at,
        }));
    }
    Ok(())
}
