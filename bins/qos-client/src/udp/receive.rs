//! The receiving half: each answer is stamped, checked against the run, and noted once.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use netio::stamp::StampSource;
use netio::udp::timed::TimedSocket;
use netproto::probe::rtp::Rtp;
use netproto::probe::{self, MAX_LEN, Probe, ProbeError};
use netstats::arrival::{Arrival, Arrivals};

use super::pattern::Schedule;
use super::record::StampedBy;
use super::{Plan, Progress, Second, Shared, Test};
use crate::clock;
use crate::figures::hops::Stamped;
use crate::figures::trace::{Answer, Trace};

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
    /// Every answer, in order of arrival.
    pub(super) answers: Vec<Answer>,
    /// Copies that were no longer kept.
    pub(super) copies_not_kept: u64,
    /// Answers with the stamps that they asked for.
    pub(super) stamped: Vec<Stamped>,
    /// Answers by the DSCP that they came back with.
    pub(super) dscp_returned: BTreeMap<u8, u32>,
    /// Answers that the kernel dropped here.
    pub(super) receive_drops: u32,
    /// Who took the times.
    pub(super) stamped_by: StampedBy,
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
    socket: &TimedSocket,
    nonce: u64,
    shared: &Shared,
    progress: &mut dyn FnMut(Progress),
) -> Receiving {
    let mut receiver = socket.receiver();
    let mut watch = Watch::new(test, shared, nonce);
    let mut patience = Patience::default();
    let mut buffer = vec![0; MAX_LEN + 1];
    let begun = clock::now();
    let mut tell_at = begun + PROGRESS_EVERY;
    loop {
        let now = clock::now();
        if test.interrupt.asked() {
            watch.receiving.interrupted = true;
            break;
        }
        let answered = watch.arrivals.received();
        let wait = patience.left(now, test.plan, shared, answered, watch.longest_rtt);
        if wait.is_zero() {
            break;
        }
        if now >= tell_at {
            tell_at += PROGRESS_EVERY;
            progress(Progress {
                since_start: now.saturating_sub(begun),
                sent: shared.sent.load(Ordering::Relaxed),
                answered,
                of: test.plan.probes(),
                second: std::mem::take(&mut watch.second),
            });
        }
        match receiver.receive(&mut buffer, wait.min(TICK)) {
            Ok(Some(arrived)) => {
                let at = clock::of(arrived.stamp.at);
                let datagram = buffer.get(..arrived.length).unwrap_or_default();
                let dscp = arrived.traffic_class.map(|class| class >> 2);
                watch.datagram(datagram, at, dscp, arrived.stamp.source);
                let drops = receiver.kernel_drops();
                shared.receive_drops.store(drops, Ordering::Relaxed);
            }
            Ok(None) => {}
            Err(error) => {
                watch.receiving.refusals += 1;
                if answered == 0 {
                    watch.receiving.error = Some(error);
                    break;
                }
            }
        }
    }
    let mut receiving = watch.receiving;
    receiving.receive_drops = receiver.kernel_drops();
    receiving.ended_at = clock::now();
    receiving
}

/// Checks what comes against what was sent, and notes it.
struct Watch<'t> {
    test: &'t Test<'t>,
    shared: &'t Shared,
    nonce: u64,
    /// The size of each probe.
    sizes: Vec<u16>,
    arrivals: Arrivals,
    longest_rtt: Duration,
    second: Second,
    receiving: Receiving,
}

impl<'t> Watch<'t> {
    fn new(test: &'t Test<'t>, shared: &'t Shared, nonce: u64) -> Watch<'t> {
        Watch {
            test,
            shared,
            nonce,
            sizes: Schedule::of(test.plan)
                .map(|slot| slot.bytes as u16)
                .collect(),
            arrivals: Arrivals::new(test.plan.probes()),
            longest_rtt: Duration::ZERO,
            second: Second::default(),
            receiving: Receiving::default(),
        }
    }

    fn datagram(&mut self, datagram: &[u8], at: Duration, dscp: Option<u8>, by: StampSource) {
        let (sequence, sent) = match self.check(datagram) {
            Ok(known) => known,
            Err(Refuse::Corrupt) => return self.receiving.corrupt += 1,
            Err(Refuse::Stray) => return self.receiving.strays += 1,
        };
        let receiving = &mut self.receiving;
        match by {
            StampSource::Kernel => receiving.stamped_by.kernel += 1,
            StampSource::Program => receiving.stamped_by.program += 1,
        }
        if let Some(dscp) = dscp {
            *receiving.dscp_returned.entry(dscp).or_default() += 1;
        }
        if receiving.answers.len() < Trace::room(self.sizes.len()) {
            receiving.answers.push(Answer { sequence, at });
        } else {
            receiving.copies_not_kept += 1;
        }
        if self.arrivals.arrived(sequence) == Arrival::Duplicate {
            return;
        }
        self.shared.answered.store(true, Ordering::Relaxed);
        self.shared.log.push(sequence, at);
        let rtt = at.saturating_sub(sent);
        self.longest_rtt = self.longest_rtt.max(rtt);
        self.second.add(rtt, datagram.len() as u64);
        if self.test.plan.stamps() && sequence >= self.test.plan.warmup() {
            let stamps = probe::stamps(datagram).collect();
            self.receiving.stamped.push(Stamped { rtt, stamps });
        }
    }

    /// What stands behind the RTP header, where one was ordered.
    fn without_rtp<'d>(&self, datagram: &'d [u8]) -> &'d [u8] {
        match Rtp::parse(datagram) {
            Some((_, rest)) if self.test.plan.rtp() => rest,
            _ => datagram,
        }
    }

    /// The sequence number of a whole and undamaged answer to this test, and when that probe was
    /// sent.
    fn check(&self, datagram: &[u8]) -> Result<(u32, Duration), Refuse> {
        let probe = match Probe::parse(self.without_rtp(datagram)) {
            Ok(probe) => probe,
            Err(ProbeError::Length { .. } | ProbeError::Padding(_)) => {
                return Err(Refuse::Corrupt);
            }
            Err(_) => return Err(Refuse::Stray),
        };
        if probe.run != self.test.run.id || probe.nonce != self.nonce {
            return Err(Refuse::Stray);
        }
        let place = probe.sequence as usize;
        // An answer to what was never sent is nobody's.
        let slot = self.shared.sent_at.get(place);
        let nanos = match slot.map_or(0, |slot| slot.load(Ordering::Acquire)) {
            0 => return Err(Refuse::Stray),
            nanos => nanos,
        };
        let size = self.sizes.get(place).copied().map(usize::from);
        if size != Some(datagram.len()) || probe.stamps != self.test.plan.stamps() {
            return Err(Refuse::Corrupt);
        }
        Ok((probe.sequence, Duration::from_nanos(nanos)))
    }
}

/// Why a datagram is no answer.
enum Refuse {
    /// A probe that was damaged or cut on its way.
    Corrupt,
    /// Not of this test.
    Stray,
}

/// Until when to listen, once the last probe is out.
#[derive(Debug, Default)]
struct Patience {
    /// When the last probe was seen to be out.
    last_sent: Option<Duration>,
    /// When all were seen to be answered.
    all_answered: Option<Duration>,
}

impl Patience {
    fn left(
        &mut self,
        now: Duration,
        plan: &Plan,
        shared: &Shared,
        answered: u32,
        longest_rtt: Duration,
    ) -> Duration {
        let done = answered == plan.probes() || shared.sending_done.load(Ordering::Acquire);
        if !done {
            return TICK;
        }
        if answered == shared.sent.load(Ordering::Relaxed) {
            let since = *self.all_answered.get_or_insert(now);
            let linger = longest_rtt.clamp(*LINGER.start(), *LINGER.end());
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
