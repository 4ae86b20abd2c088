//! The sending half: one datagram at each absolute deadline, whatever comes back.

use std::io;
use std::num::NonZeroU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use netio::udp::timed::TimedSocket;
use netio::urgency::Urgency;
use netproto::probe::Probe;
use netproto::probe::rtp::{RTP_HEADER_LEN, Rtp};

use super::pattern::Schedule;
use super::wait::Waiter;
use super::{Shared, Test};
use crate::clock;

/// From the start of the thread to the first deadline, so that the first probe is on time too.
const LEAD: Duration = Duration::from_millis(2);

/// What the sender leaves behind.
#[derive(Debug, Default)]
pub(super) struct Sending {
    /// How urgently the kernel ran the sender, where it was asked to.
    pub(super) urgency: Option<Urgency>,
    /// How long after its deadline each probe was sent, in order.
    pub(super) pacing_errors: Vec<Duration>,
    /// Probes that were sent only when those after them were already due.
    pub(super) missed_slots: u32,
    /// Probes that this machine did not let out: no buffer, no permission, no way to the target. Those
    /// of the warm-up are not among them.
    pub(super) local_drops: u32,
    /// ICMP errors that came back.
    pub(super) refusals: u32,
    /// What made it end before the last probe.
    pub(super) error: Option<io::Error>,
}

/// Sends every probe of the plan, or until told to stop.
pub(super) fn send_all(
    test: &Test<'_>,
    socket: &TimedSocket,
    nonce: u64,
    shared: &Shared,
) -> Sending {
    let Test {
        plan, run, pace, ..
    } = *test;
    // Without it the kernel may wake a sleeper 50 µs late to save power. Where it is not allowed,
    // the pacing error says so.
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
    let mut waiter = Waiter::new(pace, plan.interval());
    let mut sending = Sending {
        urgency: waiter.urgency,
        pacing_errors: Vec::with_capacity(plan.packets() as usize),
        ..Sending::default()
    };
    let mut held_back = 0;
    let mut buffer = vec![0; plan.payload()];
    let start = clock::now() + LEAD;
    shared
        .start
        .store(start.as_nanos() as u64, Ordering::Release);
    for ((sequence, slot), due) in (0..).zip(&shared.sent_at).zip(Schedule::of(plan)) {
        shared.passed.store(sequence, Ordering::Release);
        let deadline = start + due.at;
        let probe = Probe {
            run: run.id,
            nonce,
            sequence,
            stamps: plan.stamps(),
        };
        let datagram = buffer.get_mut(..due.bytes).unwrap_or_default();
        let rtp_header = if plan.rtp() { RTP_HEADER_LEN } else { 0 };
        let after_rtp = datagram.get_mut(rtp_header..).unwrap_or_default();
        if let Err(error) = probe.encode(after_rtp) {
            sending.error = Some(io::Error::other(error));
            break;
        }
        let stopped = || shared.stop.load(Ordering::Relaxed);
        let Some(now) = waiter.until(deadline, stopped) else {
            break;
        };
        let late_by = now.saturating_sub(deadline);
        if sequence >= plan.warmup() {
            sending.pacing_errors.push(late_by);
            sending.missed_slots += u32::from(now >= start + due.until);
        }
        if let (true, Some(header)) = (plan.rtp(), datagram.first_chunk_mut()) {
            *header = Rtp::of_probe(sequence, now, nonce).encode();
        }
        // Before the call: on loopback the answer can be here before it returns.
        slot.store(now.as_nanos() as u64, Ordering::Release);
        shared.sent.fetch_add(1, Ordering::Relaxed);
        let Err(error) = send(socket, datagram, &mut sending.refusals) else {
            continue;
        };
        // It did not leave. A target that has answered may come back, and so may the way to it.
        let passes = is_for_want_of_room(&error) || shared.answered.load(Ordering::Relaxed);
        slot.store(0, Ordering::Release);
        shared.sent.fetch_sub(1, Ordering::Relaxed);
        held_back += u32::from(passes);
        // The warm-up is in no figure.
        sending.local_drops += u32::from(passes && sequence >= plan.warmup());
        let hopeless = !passes || held_back == plan.probes();
        if hopeless {
            sending.error = Some(error);
            break;
        }
    }
    shared.passed.store(plan.probes(), Ordering::Release);
    sending
}

/// How often the sending of one datagram is tried at most.
const TRIES: usize = 4;

/// Sends one datagram. An ICMP error for an earlier probe is reported by the kernel on the next
/// call, which then sends nothing: it is counted and the call is made again.
fn send(socket: &TimedSocket, datagram: &[u8], refusals: &mut u32) -> io::Result<()> {
    let mut result = socket.send(datagram);
    for _ in 1..TRIES {
        match &result {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => *refusals += 1,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => break,
        }
        result = socket.send(datagram);
    }
    result
}

fn is_for_want_of_room(error: &io::Error) -> bool {
    use rustix::io::Errno;
    matches!(
        Errno::from_io_error(error),
        Some(Errno::NOBUFS | Errno::NOMEM | Errno::AGAIN | Errno::PERM)
    )
}
