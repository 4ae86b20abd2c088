//! The loop that moves datagrams between a prober and the sockets.

use std::io;
use std::net::IpAddr;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use netio::icmp::wait::{Signals, wait};

use crate::probe::NotSent;
use crate::prober::Prober;
use crate::sockets::{Arrival, SendError, Sockets};

/// How soon a probe is tried again that found the socket's buffer full.
const RETRY_AFTER: Duration = Duration::from_millis(10);

/// What a report hears.
#[derive(Debug)]
pub enum Event<E> {
    /// An address answered; it may be printed later.
    Heard(IpAddr),
    /// What the prober tells.
    Told(E),
    /// This host refused to send a probe.
    NotSent(io::Error),
}

/// How a run of probing ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// All was told.
    Complete,
    /// A signal came, or nobody listens any more.
    Interrupted,
}

/// Probes until all is told or a signal comes.
pub(crate) fn drive<P: Prober>(
    sockets: &mut Sockets,
    prober: &mut P,
    signals: &Signals,
    events: &SyncSender<Event<P::Event>>,
) -> Result<Ending> {
    let mut any_sent = false;
    while !prober.is_over() {
        if signals.stop() {
            return Ok(Ending::Interrupted);
        }
        let mut retry = None;
        while let Some(probe) = prober.poll_send(Instant::now()) {
            match sockets.send(probe) {
                Ok(sent) => {
                    any_sent = true;
                    prober.on_sent(sent.at);
                }
                Err(SendError::Busy) => {
                    retry = Some(Instant::now() + RETRY_AFTER);
                    break;
                }
                Err(SendError::TooLarge { mtu }) => {
                    prober.on_not_sent(NotSent::TooLarge { mtu }, Instant::now());
                }
                // As when a route is missing for a moment: the probe is lost, the trace goes on.
                Err(SendError::Failed(error)) if any_sent => {
                    tell(events, Event::NotSent(error));
                    prober.on_not_sent(NotSent::Refused, Instant::now());
                }
                Err(SendError::Failed(error)) => return Err(error).context("cannot send"),
            }
        }
        if !tell_all(prober, events) {
            return Ok(Ending::Interrupted);
        }
        if prober.is_over() {
            break;
        }
        // A due probe that the socket has no room for must not keep the processor busy.
        let until = retry.or_else(|| prober.next_wake(Instant::now()));
        wait(&sockets.descriptors(), signals, until)?;
        for arrival in sockets.receive()? {
            match arrival {
                Arrival::Left { number, at } => prober.on_left(number, at),
                Arrival::Answer(heard) => {
                    tell(events, Event::Heard(heard.from));
                    prober.on_answer(heard);
                }
            }
        }
        if !tell_all(prober, events) {
            return Ok(Ending::Interrupted);
        }
    }
    Ok(Ending::Complete)
}

/// Tells what there is to tell; whether the report still listens.
fn tell_all<P: Prober>(prober: &mut P, events: &SyncSender<Event<P::Event>>) -> bool {
    while let Some(event) = prober.poll_event(Instant::now()) {
        if !tell(events, Event::Told(event)) {
            return false;
        }
    }
    true
}

/// Whether the report still listens.
fn tell<E>(events: &SyncSender<Event<E>>, event: Event<E>) -> bool {
    events.send(event).is_ok()
}
