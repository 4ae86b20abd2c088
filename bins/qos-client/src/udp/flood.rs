//! The flood: datagrams as fast as this machine sends them, or at a rate, to see how much of them
//! comes back. Many a system call each way, so there are no times of single ones: it has rates,
//! losses and order, and no round trips, no percentiles and no jitter.

mod plan;
mod receive;
mod send;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use netio::udp::{self, Socket};
use netstats::throughput::Throughput;
use rand::Rng as _;
use rustix::net::sockopt::{set_ip_tos, set_ipv6_tclass};

use super::Run;
use crate::figures::Carrier;
use crate::interrupt::Interrupt;
use crate::target::{Endpoint, Unreachable};

pub use plan::{Plan, PlanError};

/// The most datagrams of one flood: two bits of memory for each.
const MAX_DATAGRAMS: u32 = 1 << 26;
/// Datagrams that the kernel joins to one at most (UDP_GRO_CNT_MAX of Linux).
const JOINED: u32 = 64;
/// After the last was sent, a flood is over when nothing has come for so long.
const QUIET: Duration = Duration::from_millis(500);
/// A rate sent that is less than the one ordered by so much is told.
const SHORTFALL_NOTED: f64 = 0.02;
/// The sender's buffers are on the heap.
const STACK: usize = 256 * 1024;

/// How a flood stands, about once a second.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Since it began.
    pub since_start: Duration,
    /// Datagrams handed to the kernel so far; a few of the latest may not have left.
    pub sent: u32,
    /// Of these, how many came back.
    pub answered: u32,
    /// Bits a second that were sent since the last time.
    pub sent_bps: f64,
    /// Bits a second that came back since the last time.
    pub received_bps: f64,
    /// What came since the last time.
    pub new_answers: u32,
    /// Its payload.
    pub new_bytes: u64,
}

/// What a flood showed. Bits are those of UDP payload.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What was ordered.
    pub plan: Plan,
    /// What is around each payload.
    pub carrier: Carrier,
    /// Datagrams that the kernel took.
    pub sent: u64,
    /// Of these, how many came back.
    pub answered: u32,
    /// Further copies.
    pub duplicates: u64,
    /// Sequence numbers of which further copies came.
    pub replicated: u32,
    /// Answers that a later one overtook (RFC 4737).
    pub reordered: u32,
    /// Answers that came back damaged or cut.
    pub corrupt: u64,
    /// Datagrams that this machine did not let out.
    pub local_drops: u64,
    /// How often this machine's queue for answers overflowed. The kernel counts what it joined
    /// (UDP_GRO), up to 64 answers, as one, and the last are not
    /// told when nothing comes after them.
    pub receive_drops: u64,
    /// ICMP errors that came back.
    pub refusals: u64,
    /// The rate ordered; without one, that of sending.
    pub offered_bps: Option<f64>,
    /// By the times of the system calls that sent.
    pub sent_bps: Option<f64>,
    /// By the times of those that received; every copy.
    pub achieved_bps: Option<f64>,
    /// The same, first copies only.
    pub goodput_bps: Option<f64>,
    /// How long it sent.
    pub sending: Duration,
    /// Whether the user ended it.
    pub interrupted: bool,
}

impl Outcome {
    /// Sent, and not come back.
    pub fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.answered.into())
    }

    /// Their share, of 100.
    pub fn loss_pct(&self) -> Option<f64> {
        (self.sent > 0).then(|| self.lost() as f64 * 100.0 / self.sent as f64)
    }

    /// A rate of payload as that of IP packets and of Ethernet frames (without preamble and gap);
    /// `None` where the datagrams are cut up on their way.
    pub fn on_the_wire(&self, payload_bps: Option<f64>) -> [Option<f64>; 2] {
        let payload = self.plan.payload() as u64;
        let layers = self.carrier.bytes_around(payload);
        let scaled = |bytes| payload_bps.map(|bps| bps * bytes as f64 / payload as f64);
        layers.map_or([None, None], |bytes| bytes.map(scaled))
    }

    /// Why it says less than it seems to, one sentence each.
    pub fn limits(&self) -> Vec<String> {
        let mut limits = Vec::new();
        if let (Some(offered), Some(sent)) = (self.offered_bps, self.sent_bps)
            && sent < offered * (1.0 - SHORTFALL_NOTED)
        {
            limits.push(format!(
                "this machine sent {:.1} % of the rate ordered",
                sent * 100.0 / offered
            ));
        }
        if self.local_drops > 0 {
            limits.push(format!(
                "this machine dropped {} datagrams before sending them; they are not counted as \
                 network loss",
                self.local_drops
            ));
        }
        if self.receive_drops > 0 {
            limits.push(format!(
                "this machine's queue for answers overflowed {} times at least, each time by up to \
                 {JOINED} answers; so many of the losses are its own",
                self.receive_drops
            ));
        }
        limits
    }

    /// What else a reader must know.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.interrupted {
            notes.push(format!(
                "ended early, after {:.1?} of sending",
                self.sending
            ));
        }
        if self.sent == u64::from(MAX_DATAGRAMS) {
            notes.push(format!(
                "ended after {MAX_DATAGRAMS} datagrams, the most of one flood"
            ));
        }
        if self.refusals > 0 {
            notes.push(
                "the target answered at first, then its port was closed: it ended during the flood"
                    .to_owned(),
            );
        }
        if self.corrupt > 0 {
            notes.push(format!(
                "{} answers came back damaged and count as not received",
                self.corrupt
            ));
        }
        notes
    }
}

/// What sender and receiver share.
#[derive(Debug, Default)]
struct Shared {
    /// Sequence numbers below this may come back.
    next: AtomicU32,
    sending_done: AtomicBool,
    stop: AtomicBool,
}

/// What is sent, and known again.
#[derive(Debug, Clone, Copy)]
struct Mark {
    run: u64,
    nonce: u64,
}

/// Floods `endpoint`. Answers only with an outcome that has at least one answer.
pub fn run(
    endpoint: &Endpoint,
    plan: &Plan,
    run: Run,
    interrupt: &Interrupt,
    progress: &mut dyn FnMut(Progress),
) -> Result<Outcome, Unreachable> {
    let mut outcome = Err(Unreachable::Refused {
        endpoint: endpoint.clone(),
    });
    for address in endpoint.resolve()? {
        outcome = flood(endpoint, address, plan, run, interrupt, progress);
        if !matches!(outcome, Err(Unreachable::Refused { .. })) {
            break;
        }
    }
    outcome
}

fn flood(
    endpoint: &Endpoint,
    address: SocketAddr,
    plan: &Plan,
    run: Run,
    interrupt: &Interrupt,
    progress: &mut dyn FnMut(Progress),
) -> Result<Outcome, Unreachable> {
    let failed = |step| {
        let endpoint = endpoint.clone();
        move |source| Unreachable::Io {
            endpoint,
            step,
            source,
        }
    };
    let socket = connect(address, plan.dscp() << 2).map_err(failed("open a socket for"))?;
    let mark = Mark {
        run: run.id,
        nonce: rand::rng().random(),
    };
    let shared = Shared::default();
    // A socket of the daemons keeps counters that only one thread may touch: each side has its own,
    // of the same connection.
    let (sending, receiving) = thread::scope(|scope| {
        let sender = socket.try_clone()?;
        let (mark, shared) = (&mark, &shared);
        let sender = thread::Builder::new()
            .name("flood-sender".to_owned())
            .stack_size(STACK)
            .spawn_scoped(scope, move || {
                let sending = send::send_all(plan, &sender, mark, shared);
                shared.sending_done.store(true, Ordering::Release);
                sending
            })?;
        let receiving = receive::receive_all(plan, &socket, mark, shared, interrupt, progress);
        shared.stop.store(true, Ordering::Relaxed);
        let sending = sender
            .join()
            .map_err(|_| io::Error::other("the sending thread panicked"))?;
        Ok((sending, receiving))
    })
    .map_err(failed("start a sender for"))?;
    if receiving.refused {
        return Err(Unreachable::Refused {
            endpoint: endpoint.clone(),
        });
    }
    if let Some(error) = sending.error {
        return Err(failed("send to")(error));
    }
    let outcome = Outcome {
        plan: *plan,
        carrier: Carrier::of(address),
        sent: sending.sent.datagrams,
        answered: receiving.arrivals.received(),
        duplicates: receiving.arrivals.duplicates(),
        replicated: receiving.arrivals.replicated(),
        reordered: receiving.arrivals.reordered(),
        corrupt: receiving.corrupt,
        local_drops: sending.sent.queue_full + sending.sent.failed,
        receive_drops: receiving.drops,
        refusals: sending.sent.refused + receiving.refusals,
        offered_bps: plan
            .bitrate()
            .map_or(sending.rate.bps(), |bps| Some(bps as f64)),
        sent_bps: sending.rate.bps(),
        achieved_bps: receiving.achieved.bps(),
        goodput_bps: receiving.goodput.bps(),
        sending: sending.took,
        interrupted: receiving.interrupted,
    };
    if outcome.answered > 0 {
        return Ok(outcome);
    }
    let endpoint = endpoint.clone();
    Err(if outcome.interrupted {
        Unreachable::Interrupted { endpoint }
    } else {
        Unreachable::Silent {
            endpoint,
            sent: u32::try_from(outcome.sent).unwrap_or(u32::MAX),
            waited: QUIET,
        }
    })
}

fn connect(address: SocketAddr, traffic_class: u8) -> io::Result<Socket> {
    let socket = udp::connect(address)?;
    if traffic_class > 0 && address.is_ipv4() {
        set_ip_tos(&socket, traffic_class)?;
    } else if traffic_class > 0 {
        set_ipv6_tclass(&socket, traffic_class.into())?;
    }
    Ok(socket)
}

/// Bytes that were moved by one system call, at its end.
fn moved(rate: &mut Throughput, bytes: u64) {
    if bytes > 0 {
        rate.received(crate::clock::now(), bytes);
    }
}
