//! The UDP echo (RFC 862): each datagram goes back unchanged to where it came from, unless that
//! could harm somebody. A probe of qos-client that asks for it is stamped on the way, which changes
//! bytes that it set aside for that and never its length.
//!
//! Beside the door that every answering socket has ([`netio::udp::admission`]), one rule is the
//! echo's own: an answer carries the hop limit that the datagram came with, less one, as if the
//! echo were a router (RFC 791 §3.2, RFC 8200 §3). Whoever makes two echoes answer one another,
//! on whatever ports, sets off a datagram that dies like any packet caught in a routing loop. On
//! loopback, where no router needs to be crossed on the way back, the answer's hop limit is 1.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use ipnet::IpNet;
use netio::shutdown::Stop;
use netio::telemetry::Counter;
use netio::udp::admission::{Admission, AdmissionCounters};
use netio::udp::rate::RateLimits;
use netio::udp::source::SourceRule;
use netio::udp::stamping::stamp_probes;
use netio::udp::{BATCH, ReceiveBatch, SendBatch, Sent, Socket, Train};
use netproto::probe::Node;
use tokio::io::unix::AsyncFd;

/// How many batches are answered before the worker's other tasks have their turn: about a
/// millisecond of small datagrams.
const BATCHES_PER_TURN: usize = 8;

/// How many batches are answered after the stop at most. Those are datagrams that were in the
/// socket's queue by then; somebody who goes on sending does not keep the echo alive.
const BATCHES_AFTER_STOP: usize = 256;

/// Whom the echo answers.
#[derive(Clone, Debug, Default)]
pub struct EchoConfig {
    /// Source ports that get no answer beside the echo's own: those of the lab's other echoes and
    /// relays.
    pub blocked_ports: Vec<u16>,
    /// The only networks whose clients get one; everybody if there are none.
    pub allow: Vec<IpNet>,
    /// The bounds on what is answered.
    pub limits: RateLimits,
}

/// What one worker's echo counts, in datagrams if not said otherwise.
#[derive(Debug, Default)]
pub struct EchoCounters {
    /// Received.
    pub received: Counter,
    /// Received, in bytes of payload.
    pub received_bytes: Counter,
    /// Answered.
    pub answered: Counter,
    /// Not answered, by the rules that all answering sockets share.
    pub refused: AdmissionCounters,
    /// Not answered, as the hop limit was used up: an echo that answers an echo.
    pub hop_limit_spent: Counter,
    /// Answers that the kernel did not take (no route, a firewall).
    pub failed: Counter,
    /// Dropped by the kernel as the socket's queue was full.
    pub kernel_drops: Counter,
}

impl EchoCounters {
    /// The name of every reason why a datagram had no answer, with how many had it.
    pub fn dropped(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.refused.by_reason().chain([
            ("hop_limit_spent", self.hop_limit_spent.value()),
            ("send_failed", self.failed.value()),
            ("receive_queue_full", self.kernel_drops.value()),
        ])
    }
}

/// Answers what `socket` receives until `stop`; what it had received by then is still answered.
///
/// # Errors
/// The socket cannot be registered with the runtime, or the kernel refuses to receive on it.
pub async fn run(
    socket: Socket,
    config: EchoConfig,
    counters: Arc<EchoCounters>,
    stop: Stop,
) -> io::Result<()> {
    socket.report_hop_limit()?;
    let own_port = socket.local_addr().port();
    let socket = socket.register()?;
    let rule = SourceRule::new(config.blocked_ports.into_iter().chain([own_port]))
        .allowing_only(config.allow);
    let mut echo = Echo {
        admission: Admission::new(rule, config.limits, Instant::now()),
        received: ReceiveBatch::new(),
        answers: SendBatch::new(),
        counters,
    };
    let mut stopped = pin!(stop.requested());
    loop {
        let mut ready = tokio::select! {
            biased;
            () = &mut stopped => break,
            ready = socket.readable() => ready?,
        };
        if echo.answer(&socket, BATCHES_PER_TURN).await? {
            tokio::task::yield_now().await;
        } else {
            ready.clear_ready();
        }
    }
    echo.answer(&socket, BATCHES_AFTER_STOP).await?;
    Ok(())
}

struct Echo {
    admission: Admission,
    received: ReceiveBatch,
    answers: SendBatch,
    counters: Arc<EchoCounters>,
}

impl Echo {
    /// Answers up to `batches` batches; true if the socket may have more.
    async fn answer(&mut self, socket: &AsyncFd<Socket>, batches: usize) -> io::Result<bool> {
        for _ in 0..batches {
            self.received.clear();
            let places = match self.received.receive(socket.get_ref()) {
                Ok(places) => places,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let is_emptied = places.len() < BATCH;
            let (admission, counters) = (&mut self.admission, &self.counters);
            let now = Instant::now();
            stamp_probes(&mut self.received, places.clone(), Node::Echo, now);
            let answers = self.received.trains(places).filter_map(|train| {
                counters.received.add(train.count() as u64);
                counters.received_bytes.add(train.payload.len() as u64);
                let train = admission.admit(train, now, &counters.refused)?;
                let hop_limit = hop_limit_of_answer(&train);
                if hop_limit == Some(0) {
                    counters.hop_limit_spent.add(train.count() as u64);
                    return None;
                }
                Some(Train { hop_limit, ..train })
            });
            let sent = self.answers.send(socket, answers).await?;
            self.count(&sent, socket.get_ref().new_kernel_drops());
            if is_emptied {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn count(&self, sent: &Sent, kernel_drops: u32) {
        self.counters.answered.add(sent.datagrams);
        self.counters.failed.add(sent.failed + sent.queue_full);
        self.counters.kernel_drops.add(u64::from(kernel_drops));
    }
}

/// The hop limit that the answer to `train` is sent with; 0: none is sent.
fn hop_limit_of_answer(train: &Train<'_>) -> Option<u8> {
    let left = train.hop_limit?.saturating_sub(1);
    let on_loopback = train.peer.is_some_and(|peer| peer.ip().is_loopback());
    Some(if on_loopback { left.min(1) } else { left })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_lives_one_hop_less_and_on_loopback_one_hop() {
        for (source, received, answer) in [
            ("192.0.2.1:5000", Some(64), Some(63)),
            ("192.0.2.1:5000", Some(2), Some(1)),
            ("192.0.2.1:5000", Some(1), Some(0)),
            ("192.0.2.1:5000", Some(0), Some(0)),
            ("127.0.0.1:5000", Some(64), Some(1)),
            ("127.0.0.1:5000", Some(1), Some(0)),
            ("[::1]:5000", Some(255), Some(1)),
            // Unknown, as the system does not tell: the system's default.
            ("192.0.2.1:5000", None, None),
        ] {
            let train = Train {
                hop_limit: received,
                ..Train::one(Some(source.parse().unwrap()), b"")
            };
            assert_eq!(hop_limit_of_answer(&train), answer, "{source} {received:?}");
        }
    }
}
