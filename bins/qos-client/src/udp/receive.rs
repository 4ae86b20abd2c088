//! The receiving half: each answer is stamped, checked against the run, and noted once.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use netio::stamp::StampSource;
use netio::udp::timed::{Receiver, TimedSocket};
use netproto::probe::rtp::Rtp;
use netproto::probe::{self, MAX_LEN, Probe, ProbeError};
use netstats::arrival::{Arrival, Arrivals};

use super::pattern::Schedule;
use super::record::StampedBy;
use super::{Plan, Progress, Second, Shared, Test};
use crate::clock;
use crate::figures::hops::Stamped;
use crate::figures::trace::{Answer, COPIES_KEPT};

/// The longest wait between two looks at the clock and the stop flag.
const TICK: Duration = Duration::from_millis(100);
/// When every probe is answered, how much longer to listen for second copies: the longest round
/// trip of the run, within these bounds.
const LINGER: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(5)..=Duration::from_millis(200);
/// How many datagrams that wait in the socket are still taken when listening ends: more than its
/// buffer holds.
const LAST_TAKEN: usize = 1 << 16;
/// How often progress is told.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// What the receiver leaves behind.
#[derive(Debug, Default)]
pub(super) struct Receiving {
    /// Every answer, in order of arrival.
    pub(super) answers: Vec<Answer>,
    /// Those of them that are not the first to their probe.
    copies_kept: u64,
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

impl Receiving {
    /// Keeps an answer. However many copies there are, they take no room from what came first; those
    /// that are not kept count only where they are of the test and not of its warm-up.
    fn note(&mut self, answer: Answer, is_copy: bool, counts: bool) {
        if is_copy && self.copies_kept == COPIES_KEPT {
            self.copies_not_kept += u64::from(counts);
            return;
        }
        self.copies_kept += u64::from(is_copy);
        self.answers.push(answer);
    }
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
        match watch.take(&mut receiver, &mut buffer, wait.min(TICK)) {
            Ok(_) => {
                let drops = receiver.kernel_drops();
                if !watch.has_begun {
                    watch.drops_of_warmup = drops;
                }
                let drops = drops.saturating_sub(watch.drops_of_warmup);
                shared.receive_drops.store(drops, Ordering::Relaxed);
            }
            Err(error) => {
                watch.receiving.refusals += 1;
                if answered == 0 {
                    watch.receiving.error = Some(error);
                    break;
                }
            }
        }
    }
    // What the kernel has stamped in time may wait here, if this program was held up.
    for _ in 0..LAST_TAKEN {
        match watch.take(&mut receiver, &mut buffer, Duration::ZERO) {
            Ok(true) => {}
            Ok(false) => break,
            Err(_) => watch.receiving.refusals += 1,
        }
    }
    let drops_of_warmup = watch.drops_of_warmup;
    let mut receiving = watch.receiving;
    let drops = receiver.kernel_drops_by_now();
    receiving.receive_drops = drops.saturating_sub(drops_of_warmup);
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
    /// When the kernel received the latest.
    latest: Duration,
    longest_rtt: Duration,
    second: Second,
    /// Whether an answer has come that is not of the warm-up.
    has_begun: bool,
    /// What the kernel had dropped by the last answer before that.
    drops_of_warmup: u32,
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
            latest: Duration::ZERO,
            longest_rtt: Duration::ZERO,
            second: Second::default(),
            has_begun: test.plan.warmup() == 0,
            drops_of_warmup: 0,
            receiving: Receiving::default(),
        }
    }

    /// Takes the next datagram; whether one came within `wait`.
    fn take(
        &mut self,
        receiver: &mut Receiver<'_>,
        buffer: &mut [u8],
        wait: Duration,
    ) -> io::Result<bool> {
        let Some(arrived) = receiver.receive(buffer, wait)? else {
            return Ok(false);
        };
        let mut at = clock::of(arrived.stamp.at);
        if arrived.stamp.source == StampSource::Kernel {
            // They come in the order in which the kernel received them, which two stamps within
            // the error of their placing must not turn round.
            at = at.max(self.latest);
            self.latest = at;
        }
        let datagram = buffer.get(..arrived.length).unwrap_or_default();
        let dscp = arrived.traffic_class.map(|class| class >> 2);
        self.datagram(datagram, at, dscp, arrived.stamp.source);
        Ok(true)
    }

    fn datagram(&mut self, datagram: &[u8], at: Duration, dscp: Option<u8>, by: StampSource) {
        let (sequence, sent) = match self.check(datagram) {
            Ok(known) => known,
            Err(Refuse::Corrupt) => {
                let sequence = Probe::claimed_sequence(self.without_rtp(datagram));
                self.receiving.corrupt += u64::from(sequence.is_none_or(|n| self.counts(n)));
                return;
            }
            Err(Refuse::Stray) => return self.receiving.strays += 1,
        };
        let counts = self.counts(sequence);
        self.has_begun |= counts;
        let receiving = &mut self.receiving;
        if counts {
            match by {
                StampSource::Kernel => receiving.stamped_by.kernel += 1,
                StampSource::Program => receiving.stamped_by.program += 1,
            }
            if let Some(dscp) = dscp {
                *receiving.dscp_returned.entry(dscp).or_default() += 1;
            }
        }
        let is_copy = self.arrivals.arrived(sequence) == Arrival::Duplicate;
        receiving.note(Answer { sequence, at }, is_copy, counts);
        if is_copy {
            return;
        }
        self.shared.answered.store(true, Ordering::Relaxed);
        self.shared.log.push(sequence, at);
        let rtt = at.saturating_sub(sent);
        self.longest_rtt = self.longest_rtt.max(rtt);
        self.second.add(rtt, datagram.len() as u64);
        if self.test.plan.stamps() && counts {
            let stamps = probe::stamps(datagram).collect();
            self.receiving.stamped.push(Stamped { rtt, stamps });
        }
    }

    /// Whether a probe is of the test and not of its warm-up.
    fn counts(&self, sequence: u32) -> bool {
        sequence >= self.test.plan.warmup()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_answers_are_kept_however_many_copies_came_before() {
        let mut receiving = Receiving::default();
        let at = Duration::from_millis(1);
        receiving.note(Answer { sequence: 0, at }, false, true);
        for _ in 0..70_000 {
            receiving.note(Answer { sequence: 0, at }, true, true);
        }
        receiving.note(Answer { sequence: 1, at }, false, true);
        let last = receiving.answers.last().map(|answer| answer.sequence);
        assert_eq!(last, Some(1));
        // 70,000 - 65,536.
        assert_eq!(receiving.copies_not_kept, 4464);
        // One of the warm-up is not kept either, and not counted.
        receiving.note(Answer { sequence: 0, at }, true, false);
        assert_eq!(receiving.copies_not_kept, 4464);
    }
}
