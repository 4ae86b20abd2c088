//! The UDP test: numbered probes to an echo, and what came of each.
//!
//! [`plan`] is what is ordered, within its bounds; [`pattern`] says when each probe is due and how
//! large it is. `send` keeps that schedule in a thread of its own, which waits for deadlines
//! (`wait`) and never for an answer; `receive` checks what comes back, with the kernel's time of
//! its arrival. Together they leave a [`record`], which [`crate::figures`] turns into numbers.
//! [`running`] lets somebody look on meanwhile. [`flood`] is the other kind of test: no schedule,
//! only throughput.

pub mod flood;
pub mod pattern;
pub mod plan;
mod receive;
pub mod record;
pub mod running;
mod send;
mod stolen;
mod wait;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use netio::udp::timed::TimedSocket;
use rand::Rng as _;

use crate::figures::trace::{Departure, Trace};
use crate::interrupt::Interrupt;
use crate::target::{Endpoint, Unreachable};

use pattern::Schedule;
use record::WallClock;
use running::{ArrivalLog, Running};

pub use pattern::Pattern;
pub use plan::Plan;
pub use record::{Measurement, Record};

/// A sending thread keeps a datagram and a handful of locals on its stack, and is one of hundreds.
const SENDER_STACK: usize = 256 * 1024;

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
    /// Since the test began.
    pub since_start: Duration,
    /// Probes sent so far, the warm-up included.
    pub sent: u32,
    /// Of these, how many were answered.
    pub answered: u32,
    /// Probes ordered, the warm-up included.
    pub of: u32,
    /// What came since the last time.
    pub second: Second,
}

/// The answers of about a second, further copies left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Second {
    /// How many.
    pub answers: u32,
    /// Their payload.
    pub bytes: u64,
    /// The shortest round trip.
    pub rtt_min: Option<Duration>,
    /// The longest.
    pub rtt_max: Option<Duration>,
    /// All together.
    pub rtt_sum: Duration,
}

impl Second {
    fn add(&mut self, rtt: Duration, bytes: u64) {
        self.answers += 1;
        self.bytes += bytes;
        self.rtt_min = Some(self.rtt_min.map_or(rtt, |min| min.min(rtt)));
        self.rtt_max = self.rtt_max.max(Some(rtt));
        self.rtt_sum += rtt;
    }

    /// The mean round trip.
    pub fn rtt_mean(&self) -> Option<Duration> {
        self.rtt_sum.checked_div(self.answers)
    }
}

/// What sender and receiver share while a test runs.
#[derive(Debug)]
struct Shared {
    /// When each probe was sent, in nanoseconds of [`crate::clock`]; 0 for not (yet) sent.
    sent_at: Vec<AtomicU64>,
    /// Probes sent so far.
    sent: AtomicU32,
    /// Probes that were sent or given up: all before this one.
    passed: AtomicU32,
    /// When the first is due, in the same nanoseconds.
    start: AtomicU64,
    /// The answers in order of arrival, where somebody looks on.
    log: ArrivalLog,
    /// Answers that the kernel dropped here so far.
    receive_drops: AtomicU32,
    /// Set when the receiver has ended.
    over: AtomicBool,
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
    /// Sleeps to just before, then spins, as urgently as it is allowed to: the most exact, at the
    /// price of a little CPU.
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
        self.measure_any(progress, None)
    }

    /// The same with somebody who looks on in a thread of their own, from the first probe on until
    /// [`Running::over`]; once for each address that is tried.
    pub fn measure_watched(
        &self,
        onlooker: &(dyn Fn(Running<'_>) + Sync),
    ) -> Result<Record, Unreachable> {
        self.measure_any(&mut |_| {}, Some(onlooker))
    }

    fn measure_any(
        &self,
        progress: &mut dyn FnMut(Progress),
        onlooker: Option<&(dyn Fn(Running<'_>) + Sync)>,
    ) -> Result<Record, Unreachable> {
        let mut outcome = Err(Unreachable::Refused {
            endpoint: self.endpoint.clone(),
        });
        for address in self.endpoint.resolve()? {
            outcome = self.measure_address(address, progress, onlooker);
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
        onlooker: Option<&(dyn Fn(Running<'_>) + Sync)>,
    ) -> Result<Record, Unreachable> {
        let socket = TimedSocket::connect(address, self.plan.dscp() << 2)
            .map_err(self.io_error("open a socket for"))?;
        let nonce = rand::rng().random();
        let stolen_before = stolen::by_now();
        let wall = WallClock {
            time: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
            at: crate::clock::now(),
        };
        let shared = Shared {
            sent_at: (0..self.plan.probes()).map(|_| AtomicU64::new(0)).collect(),
            sent: AtomicU32::new(0),
            passed: AtomicU32::new(0),
            start: AtomicU64::new(0),
            log: ArrivalLog::with_room(onlooker.map_or(0, |_| self.plan.probes())),
            receive_drops: AtomicU32::new(0),
            over: AtomicBool::new(false),
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
            let watching = onlooker.map(|onlooker| {
                let running = Running::of(self.plan, &shared);
                thread::Builder::new()
                    .name("onlooker".to_owned())
                    .spawn_scoped(scope, move || onlooker(running))
            });
            // A test that nobody can look at is still a test.
            drop(watching);
            let receiving = receive::receive_all(self, &socket, nonce, &shared, progress);
            shared.over.store(true, Ordering::Relaxed);
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
        let times = shared.sent_at.into_iter().map(when_sent);
        let trace = Trace {
            sent: times
                .zip(Schedule::of(self.plan))
                .map(|(at, slot)| {
                    let bytes = slot.bytes as u16;
                    at.map(|at| Departure { at, bytes })
                })
                .collect(),
            answers: receiving.answers,
            copies_not_kept: receiving.copies_not_kept,
            loss_deadline: self.plan.loss_deadline(),
            ended_at: receiving.ended_at,
            warmup: self.plan.warmup(),
        };
        let record = Record {
            local: socket.local_addr(),
            address,
            plan: *self.plan,
            run: self.run,
            nonce,
            wall,
            trace,
            stamped: receiving.stamped,
            dscp_returned: receiving.dscp_returned.into_iter().collect(),
            corrupt: receiving.corrupt,
            strays: receiving.strays,
            refusals: sending.refusals + receiving.refusals,
            local_drops: sending.local_drops,
            receive_drops: receiving.receive_drops,
            stamped_by: receiving.stamped_by,
            urgency: sending.urgency,
            stolen: stolen::since(stolen_before),
            pacing_errors: sending.pacing_errors,
            missed_slots: sending.missed_slots,
            interrupted: receiving.interrupted,
        };
        if !record.trace.answers.is_empty() {
            return Ok(record);
        }
        let endpoint = self.endpoint.clone();
        Err(if record.interrupted {
            Unreachable::Interrupted { endpoint }
        } else {
            Unreachable::Silent {
                endpoint,
                sent: record.trace.sent.iter().flatten().count() as u32,
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
