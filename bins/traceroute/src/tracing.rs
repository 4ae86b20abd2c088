//! The loop that moves datagrams between a prober and the sockets.

use std::io;
use std::iter;
use std::net::IpAddr;
use std::sync::mpsc::Receiver;
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

/// Events as they come; those that one moment brought come together.
pub type Events<E> = Receiver<Vec<Event<E>>>;

/// How a run of probing ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// All was told.
    Complete,
    /// A signal came, or nobody listens any more.
    Interrupted,
}

/// Probes until all is told or a signal comes; `tell` says whether anybody still listens.
pub(crate) fn drive<P: Prober>(
    sockets: &mut Sockets,
    prober: &mut P,
    signals: &Signals,
    mut tell: impl FnMut(Vec<Event<P::Event>>) -> bool,
) -> Result<Ending> {
    let mut any_sent = false;
    let mut events = Vec::new();
    // All that had come by then has been read: who was silent until then has not been overheard
    // because this program had no processor.
    let mut read_up_to = Instant::now();
    loop {
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
                    events.push(Event::NotSent(error));
                    prober.on_not_sent(NotSent::Refused, Instant::now());
                }
                Err(SendError::Failed(error)) => return Err(error).context("cannot send"),
            }
        }
        events.extend(iter::from_fn(|| prober.poll_event(read_up_to)).map(Event::Told));
        if !events.is_empty() && !tell(std::mem::take(&mut events)) {
            return Ok(Ending::Interrupted);
        }
        if prober.is_over() {
            return Ok(Ending::Complete);
        }
        // A due probe that the socket has no room for must not keep the processor busy.
        let until = retry.or_else(|| prober.next_wake(Instant::now()));
        wait(&sockets.descriptors(), signals, until)?;
        read_up_to = Instant::now();
        for arrival in sockets.receive()? {
            match arrival {
                Arrival::Left { number, at } => prober.on_left(number, at),
                Arrival::Answer(heard) => {
                    events.push(Event::Heard(heard.from));
                    prober.on_answer(heard);
                }
            }
        }
        events.extend(iter::from_fn(|| prober.poll_event(read_up_to)).map(Event::Told));
    }
}
