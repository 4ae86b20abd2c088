//! The loop that moves datagrams between the session and the sockets.

use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use netio::icmp::wait::{Signals, wait};

use crate::report::Event;
use crate::session::{Plan, Session};
use crate::sockets::{Arrival, Sockets};

/// How soon a probe is tried again that found the socket's buffer full.
const RETRY_AFTER: Duration = Duration::from_millis(10);

/// Traces until every fate is told or a signal comes.
pub(crate) fn trace(
    mut sockets: Sockets,
    plan: Plan,
    signals: &Signals,
    events: &SyncSender<Event>,
) -> Result<()> {
    let mut session = Session::new(plan);
    while !session.is_over() && !signals.stop() {
        let mut retry = None;
        while let Some(probe) = session.poll_send(Instant::now()) {
            match sockets.send(probe as u16, plan.ttl(probe)) {
                Ok(sent) => session.on_sent(sent.at),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    retry = Some(Instant::now() + RETRY_AFTER);
                    break;
                }
                // As when a route is missing for a moment: the probe is lost, the trace goes on.
                Err(error) if probe > 0 => {
                    tell(events, Event::NotSent(error));
                    session.on_send_failed();
                }
                Err(error) => return Err(error).context("cannot send"),
            }
        }
        let now = Instant::now();
        let until = retry.or(session.next_wake(now));
        wait(&sockets.descriptors(), signals, until)?;
        for arrival in sockets.receive()? {
            match arrival {
                Arrival::Left { probe, at } => session.on_left(usize::from(probe), at),
                Arrival::Answer {
                    probe,
                    from,
                    mark,
                    at,
                } => {
                    tell(events, Event::Heard(from));
                    session.on_answer(usize::from(probe), at, from, mark);
                }
            }
        }
        while let Some(fate) = session.poll_fate(Instant::now()) {
            if !tell(events, Event::Fate(fate)) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Whether the report still listens.
fn tell(events: &SyncSender<Event>, event: Event) -> bool {
    events.send(event).is_ok()
}
