//! Two connections that carry whatever their two ends say to each other, once HTTP is done with
//! them: after CONNECT (RFC 9110 §9.3.6), or after a 101.

use std::any::Any;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::buffer::BUFFER_BYTES;
use super::transport::Transport;
use crate::telemetry::Counter;

/// How long a tunnel may be idle once one of its ends has said its last.
const HALF_CLOSED_IDLE: Duration = Duration::from_mins(1);
/// How long a tunnel may be idle once the worker is to stop: whoever still says something is
/// heard, until the drain deadline cuts it.
const STOPPING_IDLE: Duration = Duration::from_secs(1);

/// What one worker counts of its tunnels.
#[derive(Debug, Default)]
pub struct TunnelCounters {
    /// Tunnels begun.
    pub opened: Counter,
    /// Tunnels open now.
    pub open: Counter,
    /// Tunnels ended because nothing passed.
    pub idle: Counter,
    /// Bytes from clients.
    pub up_bytes: Counter,
    /// Bytes to clients.
    pub down_bytes: Counter,
}

/// The far end of a tunnel that is about to begin.
#[derive(Debug)]
pub struct Tunnel {
    server: Box<Transport>,
    idle: Duration,
    counters: Arc<TunnelCounters>,
    held: Option<Box<dyn Any>>,
}

/// What went through a tunnel.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Carried {
    pub(super) up_bytes: u64,
    pub(super) down_bytes: u64,
    /// Whether it ended otherwise than by both ends saying so.
    pub(super) is_cut: bool,
}

/// One direction.
#[derive(Default)]
struct Flow {
    bytes: u64,
    /// The source has said its last.
    has_ended: bool,
    /// The other side has been told.
    is_over: bool,
}

impl Tunnel {
    pub(super) fn new(server: Transport, idle: Duration, counters: &Arc<TunnelCounters>) -> Tunnel {
        Tunnel {
            server: Box::new(server),
            idle,
            counters: Arc::clone(counters),
            held: None,
        }
    }

    /// The same; `held` lives as long as it does.
    #[must_use]
    pub fn holding(self, held: impl Any) -> Tunnel {
        Tunnel {
            held: Some(Box::new(held)),
            ..self
        }
    }

    /// Carries bytes both ways, those first that have come already, until both ends have said
    /// their last, nothing passes for a while, or one breaks. Each direction holds no more than a
    /// read buffer.
    pub(super) async fn run(self, client: &mut Transport) -> Carried {
        let Tunnel {
            mut server,
            idle,
            counters,
            held: _held,
        } = self;
        counters.opened.add(1);
        counters.open.add(1);
        let (mut up, mut down) = (Flow::default(), Flow::default());
        client.sentry.allow(idle);
        let mut is_stopping = false;
        let end = std::future::poll_fn(|context| {
            let before = (up.bytes, down.bytes, up.is_over, down.is_over);
            // Each is polled, whatever the other has to wait for.
            let both = (
                up.poll(client, &mut server, context),
                down.poll(&mut server, client, context),
            );
            counters.up_bytes.add(up.bytes - before.0);
            counters.down_bytes.add(down.bytes - before.1);
            let end = match both {
                (Poll::Ready(Err(error)), _) | (_, Poll::Ready(Err(error))) => {
                    Poll::Ready(Err(error))
                }
                (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(Ok(())),
                _ => Poll::Pending,
            };
            let stops = client.sentry.watch().is_stopping();
            let has_moved = before != (up.bytes, down.bytes, up.is_over, down.is_over);
            if has_moved || stops != std::mem::replace(&mut is_stopping, stops) {
                client
                    .sentry
                    .allow(match (stops, up.is_over || down.is_over) {
                        (true, _) => idle.min(STOPPING_IDLE),
                        (false, true) => idle.min(HALF_CLOSED_IDLE),
                        (false, false) => idle,
                    });
            }
            client.sentry.poll_wait(context, |_| end)
        })
        .await;
        counters.open.subtract(1);
        if matches!(&end, Err(error) if error.kind() == io::ErrorKind::TimedOut) {
            counters.idle.add(1);
        }
        Carried {
            up_bytes: up.bytes,
            down_bytes: down.bytes,
            is_cut: end.is_err(),
        }
    }
}

impl Flow {
    /// Moves what it can; ready when all has been moved and its end told.
    fn poll(
        &mut self,
        from: &mut Transport,
        to: &mut Transport,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.is_over {
            if !from.input.is_empty() {
                let count = ready!(to.poll_send(from.input.filled(), context))?;
                from.input.consume(count);
                self.bytes += count as u64;
            } else if self.has_ended {
                ready!(to.poll_end(context))?;
                self.is_over = true;
            } else {
                if let Poll::Ready(flushed) = to.poll_flush(context) {
                    flushed?;
                }
                self.has_ended = ready!(from.poll_more(BUFFER_BYTES, context))? == 0;
            }
        }
        Poll::Ready(Ok(()))
    }
}
