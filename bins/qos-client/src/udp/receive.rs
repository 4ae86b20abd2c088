//! The receiving half: each answer is stamped, checked against the run, and noted once.

use std::io;
use std::net::UdpSocket;
use std::sync::atomic::Ordering;
use std::time::Duration;

use netproto::probe::{MAX_LEN, Probe, ProbeError};
use netstats::arrival::{Arrival, Arrivals};

use super::record::Answer;
use super::{Plan, Progress, Shared, Test};
use crate::clock;

/// The longest wait between two looks at the clock and the stop flag.
const TICK: Duration = Duration::from_millis(100);
/// When every probe is answered, how much longer to listen for second copies: the longest round
/// trip of the run, within these bounds.
const LINGER: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(5)..=Duration::from_millis(200);
/// How often progress is told.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// What the receiver leaves behind.
#[derive(Debug, Default)]
pub(super) struct Receiving {
    /// The first copy of each answer, in order of arrival.
    pub(super) arrivals: Vec<Answer>,
    /// Further copies.
    pub(super) duplicates: u64,
    /// Answers that were overtaken (RFC 4737).
    pub(super) reordered: u32,
    /// Datagrams that bear the probe's magic but were damaged or cut.
    pub(super) corrupt: u64,
    /// Datagrams that are not of this run.
    pub(super) strays: u64,
    /// ICMP errors that came back.
    pub(super) refusals: u32,
    /// Whether the user ended it.
    pub(super) interrupted: bool,
    /// When it ended.
    pub(super) ended_at: Duration,
    /// What made it end with nothing to report.
    pub(super) error: Option<io::Error>,
}

/// Receives until every probe is answered, or the loss deadline of the last has passed, or the
/// user asks to end.
pub(super) fn receive_all(
    test: &Test<'_>,
    socket: &UdpSocket,
    nonce: u64,
    shared: &Shared,
    progress: &mut dyn FnMut(Progress),
) -> Receiving {
    let mut receiving = Receiving::default();
    let mut arrivals = Arrivals::new(test.plan.packets());
    let mut patience = Patience::default();
    let mut buffer = vec![0; MAX_LEN + 1];
    let mut tell_at = clock::now() + PROGRESS_EVERY;
    loop {
        let now = clock::now();
        if test.interrupt.asked() {
            receiving.interrupted = true;
            break;
        }
        let wait = patience.left(now, test.plan, shared, arrivals.received());
        if wait.is_zero() {
            break;
        }
        if now >= tell_at {
            tell_at += PROGRESS_EVERY;
            progress(Progress {
                sent: shared.sent.load(Ordering::Relaxed),
                answered: arrivals.received(),
                of: test.plan.packets(),
            });
        }
        let (length, at) = match receive(socket, &mut buffer, wait.min(TICK)) {
            Ok(Some(received)) => received,
            Ok(None) => continue,
            Err(error) => {
                receiving.refusals += 1;
                if arrivals.received() == 0 {
                    receiving.error = Some(error);
                    break;
                }
                continue;
            }
        };
        let datagram = buffer.get(..length).unwrap_or_default();
        match check(datagram, test, nonce, shared) {
            Ok((sequence, sent)) => {
                if matches!(
                    arrivals.arrived(sequence),
                    Arrival::InOrder | Arrival::Reordered
                ) {
                    shared.answered.store(true, Ordering::Relaxed);
                    patience.longest_rtt = patience.longest_rtt.max(at.saturating_sub(sent));
                    receiving.arrivals.push(Answer { sequence, at });
                }
            }
            Err(Refuse::Corrupt) => receiving.corrupt += 1,
            Err(Refuse::Stray) => receiving.strays += 1,
        }
    }
    receiving.duplicates = arrivals.duplicates();
    receiving.reordered = arrivals.reordered();
    receiving.ended_at = clock::now();
    receiving
}

/// One datagram and the time it was received, or `None` when `wait` passed without one. The only
/// place where a time of arrival is read.
fn receive(
    socket: &UdpSocket,
    buffer: &mut [u8],
    wait: Duration,
) -> io::Result<Option<(usize, Duration)>> {
    socket.set_read_timeout(Some(wait.max(Duration::from_millis(1))))?;
    match socket.recv(buffer) {
        Ok(length) => Ok(Some((length, clock::now()))),
        Err(error) => match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted => {
                Ok(None)
            }
            _ => Err(error),
        },
    }
}

/// Why a datagram is no answer.
enum Refuse {
    /// A probe that was damaged or cut on its way.
    Corrupt,
    /// Not of this test.
    Stray,
}

/// The sequence number of a whole and undamaged answer to this test, and when that probe was sent.
fn check(
    datagram: &[u8],
    test: &Test<'_>,
    nonce: u64,
    shared: &Shared,
) -> Result<(u32, Duration), Refuse> {
    let probe = match Probe::parse(datagram) {
        Ok(probe) => probe,
        Err(ProbeError::Length { .. } | ProbeError::Padding(_)) => return Err(Refuse::Corrupt),
        Err(_) => return Err(Refuse::Stray),
    };
    if probe.run != test.run.id || probe.nonce != nonce {
        return Err(Refuse::Stray);
    }
    if datagram.len() != test.plan.payload() {
        return Err(Refuse::Corrupt);
    }
    // An answer to what was never sent is nobody's.
    let slot = shared.sent_at.get(probe.sequence as usize);
    match slot.map_or(0, |slot| slot.load(Ordering::Acquire)) {
        0 => Err(Refuse::Stray),
        nanos => Ok((probe.sequence, Duration::from_nanos(nanos))),
    }
}

/// Until when to listen, once the last probe is out.
#[derive(Debug, Default)]
struct Patience {
    /// Of all answers so far.
    longest_rtt: Duration,
    /// When the last probe was seen to be out.
    last_sent: Option<Duration>,
    /// When all were seen to be answered.
    all_answered: Option<Duration>,
}

impl Patience {
    fn left(&mut self, now: Duration, plan: &Plan, shared: &Shared, answered: u32) -> Duration {
        let done = answered == plan.packets() || shared.sending_done.load(Ordering::Acquire);
        if !done {
            return TICK;
        }
        if answered == shared.sent.load(Ordering::Relaxed) {
            let since = *self.all_answered.get_or_insert(now);
            let linger = self.longest_rtt.clamp(*LINGER.start(), *LINGER.end());
            return (since + linger).saturating_sub(now);
        }
        let since =
            *self.last_sent.get_or_insert_with(|| {
                let last = shared.sent_at.iter().rev().find_map(|slot| {
                    match slot.load(Ordering::Acquire) {
                        0 => None,
                        nanos => Some(Duration::from_nanos(nanos)),
                    }
                });
                last.unwrap_or(now)
            });
        (since + plan.loss_deadline()).saturating_sub(now)
    }
}
