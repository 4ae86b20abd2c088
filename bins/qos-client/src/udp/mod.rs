//! The UDP test: numbered probes to an echo, and what came of each.
//!
//! [`plan`] is what is ordered, within its bounds. [`send`] keeps the schedule in a thread of its
//! own and never waits for an answer; [`receive`] stamps and checks what comes back. Together they
//! leave a [`record`]: one fate for each sequence number, and nothing else. [`figures`] turns that
//! into numbers, and reads no clock.

pub mod figures;
pub mod plan;
mod receive;
pub mod record;
mod send;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use rand::Rng as _;
use socket2::SockRef;

use crate::interrupt::Interrupt;
use crate::target::{Endpoint, Unreachable};

pub use plan::Plan;
pub use record::Record;

/// Asked of the kernel for each direction, so that a burst is held and not dropped here.
const SOCKET_BUFFER: usize = 1 << 20;
/// A sending thread keeps a datagram and a handful of locals on its stack, and is one of hundreds.
const SENDER_STACK: usize = 256 * 1024;
/// The longest that a send may wait for room in the socket's buffer before it counts as dropped.
const SEND_PATIENCE: Duration = Duration::from_millis(500);

/// What a run is recognised by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Shared by all the clients of one run; printed as 16 hexadecimal digits.
    pub id: u64,
}

impl Run {
    /// A new one, drawn at random.
    pub fn new() -> Run {
        Run {
            id: rand::rng().random(),
        }
    }
}

impl Default for Run {
    fn default() -> Run {
        Run::new()
    }
}

/// How a test stands, about once a second.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Probes sent so far.
    pub sent: u32,
    /// Of these, how many were answered.
    pub answered: u32,
    /// Probes ordered.
    pub of: u32,
}

/// What sender and receiver share while a test runs.
struct Shared {
    /// When each probe was sent, in nanoseconds of [`crate::clock`]; 0 for not (yet) sent.
    sent_at: Vec<AtomicU64>,
    /// Probes sent so far.
    sent: AtomicU32,
    /// Set once no further probe will be sent.
    sending_done: AtomicBool,
    /// Set when the sender is to end early.
    stop: AtomicBool,
    /// Whether any answer has come.
    answered: AtomicBool,
}

/// A test to run: how, by whom and against whom.
#[derive(Debug, Clone, Copy)]
pub struct Test<'a> {
    /// Where the probes go.
    pub endpoint: &'a Endpoint,
    /// What is sent.
    pub plan: &'a Plan,
    /// What it is recognised by.
    pub run: Run,
    /// How exactly the schedule is kept.
    pub pace: Pace,
    /// Ends it early.
    pub interrupt: &'a Interrupt,
}

/// How the sender waits for its deadlines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// Sleeps to just before, then spins: the most exact, at the price of a little CPU.
    Exact,
    /// Sleeps only: for many senders on few cores, which would take each other's time by spinning.
    Shared,
}

impl Test<'_> {
    /// Runs it and waits for its end: until every probe was answered, or until the loss deadline
    /// of the last one.
    ///
    /// A name with several addresses is tried in turn while nothing listens. Answers only with a
    /// record that holds at least one reply.
    pub fn measure(&self, progress: &mut dyn FnMut(Progress)) -> Result<Record, Unreachable> {
        let mut outcome = Err(Unreachable::Refused {
            endpoint: self.endpoint.clone(),
        });
        for address in self.endpoint.resolve()? {
            outcome = self.measure_address(address, progress);
            if !matches!(outcome, Err(Unreachable::Refused { .. })) {
                break;
            }
        }
        outcome
    }

    fn measure_address(
        &self,
        address: SocketAddr,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Record, Unreachable> {
        let socket = open(address).map_err(self.io_error("open a socket for"))?;
        let nonce = rand::rng().random();
        let shared = Shared {
            sent_at: (0..self.plan.packets())
                .map(|_| AtomicU64::new(0))
                .collect(),
            sent: AtomicU32::new(0),
            sending_done: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            answered: AtomicBool::new(false),
        };
        let (sending, receiving) = thread::scope(|scope| {
            let sender = thread::Builder::new()
                .name("probe-sender".to_owned())
                .stack_size(SENDER_STACK)
                .spawn_scoped(scope, || {
                    let sending = send::send_all(self, &socket, nonce, &shared);
                    shared.sending_done.store(true, Ordering::Release);
                    sending
                })?;
            let receiving = receive::receive_all(self, &socket, nonce, &shared, progress);
            shared.stop.store(true, Ordering::Relaxed);
            let sending = sender
                .join()
                .map_err(|_| io::Error::other("the sending thread panicked"))?;
            Ok((sending, receiving))
        })
        .map_err(self.io_error("start a sender for"))?;
        if let Some(error) = sending.error.or(receiving.error) {
            return Err(self.io_error("send to")(error));
        }
        let record = Record {
            address,
            plan: *self.plan,
            run: self.run,
            sent_at: shared.sent_at.into_iter().map(when_sent).collect(),
            arrivals: receiving.arrivals,
            duplicates: receiving.duplicates,
            reordered: receiving.reordered,
            corrupt: receiving.corrupt,
            strays: receiving.strays,
            refusals: sending.refusals + receiving.refusals,
            local_drops: sending.local_drops,
            pacing_errors: sending.pacing_errors,
            missed_slots: sending.missed_slots,
            interrupted: receiving.interrupted,
            ended_at: receiving.ended_at,
        };
        if !record.arrivals.is_empty() {
            return Ok(record);
        }
        let endpoint = self.endpoint.clone();
        Err(if record.interrupted {
            Unreachable::Interrupted { endpoint }
        } else {
            Unreachable::Silent {
                endpoint,
                sent: record.sent(),
                waited: self.plan.loss_deadline(),
            }
        })
    }

    fn io_error(&self, step: &'static str) -> impl FnOnce(io::Error) -> Unreachable {
        let endpoint = self.endpoint.clone();
        move |source| match source.kind() {
            io::ErrorKind::ConnectionRefused => Unreachable::Refused { endpoint },
            _ => Unreachable::Io {
                endpoint,
                step,
                source,
            },
        }
    }
}

/// A slot of [`Shared::sent_at`] as a time.
fn when_sent(slot: AtomicU64) -> Option<Duration> {
    match slot.into_inner() {
        0 => None,
        nanos => Some(Duration::from_nanos(nanos)),
    }
}

fn open(address: SocketAddr) -> io::Result<UdpSocket> {
    let local: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(local)?;
    let options = SockRef::from(&socket);
    // A smaller buffer than asked for is no reason not to measure.
    let _ = options.set_recv_buffer_size(SOCKET_BUFFER);
    let _ = options.set_send_buffer_size(SOCKET_BUFFER);
    socket.set_write_timeout(Some(SEND_PATIENCE))?;
    // Connected: other senders are filtered by the kernel, and ICMP errors come back.
    socket.connect(address)?;
    Ok(socket)
}
