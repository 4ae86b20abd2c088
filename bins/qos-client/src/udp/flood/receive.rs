//! The receiving half: whatever has come, in as few system calls as the kernel allows.

use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::time::Duration;

use netio::udp::{ReceiveBatch, Socket};
use netproto::probe::{Probe, ProbeError};
use netstats::arrival::{Arrival, Arrivals};
use netstats::throughput::Throughput;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{MAX_DATAGRAMS, Mark, Plan, Progress, QUIET, Shared, moved};
use crate::clock;
use crate::interrupt::Interrupt;

/// The longest wait between two looks at the clock and the stop flag.
const TICK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 50_000_000,
};
/// How often progress is told.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// What the receiver leaves behind.
#[derive(Debug)]
pub(super) struct Receiving {
    pub(super) arrivals: Arrivals,
    /// Every copy.
    pub(super) achieved: Throughput,
    /// First copies.
    pub(super) goodput: Throughput,
    pub(super) corrupt: u64,
    pub(super) drops: u64,
    pub(super) refusals: u64,
    /// Whether nobody listened from the beginning.
    pub(super) refused: bool,
    pub(super) interrupted: bool,
}

/// Receives until everything has come back, or nothing has for a while after the last was sent, or
/// the user asks to end.
pub(super) fn receive_all(
    plan: &Plan,
    socket: &Socket,
    mark: &Mark,
    shared: &Shared,
    interrupt: &Interrupt,
    progress: &mut dyn FnMut(Progress),
) -> Receiving {
    let mut receiving = Receiving {
        arrivals: Arrivals::new(MAX_DATAGRAMS),
        achieved: Throughput::new(),
        goodput: Throughput::new(),
        corrupt: 0,
        drops: 0,
        refusals: 0,
        refused: false,
        interrupted: false,
    };
    let mut batch = ReceiveBatch::new();
    let mut told = Told::now();
    // When something came last, or something was still to be sent.
    let mut active = clock::now();
    loop {
        let now = clock::now();
        let all_sent = shared.sending_done.load(Ordering::Acquire);
        let next = shared.next.load(Ordering::Acquire);
        if interrupt.asked() {
            shared.stop.store(true, Ordering::Relaxed);
            receiving.interrupted = true;
        }
        if !all_sent {
            active = now;
        } else if receiving.arrivals.received() == next || now >= active + QUIET {
            return receiving;
        }
        told.tell(now, plan, next, receiving.arrivals.received(), progress);
        batch.clear();
        match batch.receive(socket) {
            Ok(places) => {
                active = now;
                let (mut came, mut new) = (0, 0);
                for datagram in batch.trains(places).flat_map(|train| train.datagrams()) {
                    match check(plan, mark, next_now(shared), datagram) {
                        Ok(sequence) => {
                            came += datagram.len() as u64;
                            if receiving.arrivals.arrived(sequence) != Arrival::Duplicate {
                                new += datagram.len() as u64;
                            }
                        }
                        Err(Refuse::Corrupt) => receiving.corrupt += 1,
                        Err(Refuse::Stray) => {}
                    }
                }
                moved(&mut receiving.achieved, came);
                moved(&mut receiving.goodput, new);
                receiving.drops += u64::from(socket.new_kernel_drops());
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let mut polled = [PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN)];
                // A wait that fails is a short one; the loop has its own ends.
                let _ = poll(&mut polled, Some(&TICK));
            }
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                receiving.refusals += 1;
                if receiving.arrivals.received() == 0 {
                    receiving.refused = true;
                    return receiving;
                }
            }
            Err(_) => {}
        }
    }
}

fn next_now(shared: &Shared) -> u32 {
    shared.next.load(Ordering::Acquire)
}

/// Why a datagram is no answer.
enum Refuse {
    /// One of ours that was damaged or cut on its way.
    Corrupt,
    /// Not of this flood.
    Stray,
}

/// The sequence number of a whole and undamaged answer.
fn check(plan: &Plan, mark: &Mark, next: u32, datagram: &[u8]) -> Result<u32, Refuse> {
    let probe = match Probe::parse(datagram) {
        Ok(probe) => probe,
        Err(ProbeError::Length { .. } | ProbeError::Padding(_)) => return Err(Refuse::Corrupt),
        Err(_) => return Err(Refuse::Stray),
    };
    let ours = probe.run == mark.run && probe.nonce == mark.nonce && probe.sequence < next;
    if !ours {
        return Err(Refuse::Stray);
    }
    if datagram.len() != plan.payload() || probe.stamps {
        return Err(Refuse::Corrupt);
    }
    Ok(probe.sequence)
}

/// What was told last.
struct Told {
    begun: Duration,
    at: Duration,
    sent: u32,
    answered: u32,
}

impl Told {
    fn now() -> Told {
        let now = clock::now();
        Told {
            begun: now,
            at: now,
            sent: 0,
            answered: 0,
        }
    }

    fn tell(
        &mut self,
        now: Duration,
        plan: &Plan,
        sent: u32,
        answered: u32,
        progress: &mut dyn FnMut(Progress),
    ) {
        let since = now.saturating_sub(self.at);
        if since < PROGRESS_EVERY {
            return;
        }
        let bytes = |datagrams: u32| u64::from(datagrams) * plan.payload() as u64;
        let bps = |datagrams| bytes(datagrams) as f64 * 8.0 / since.as_secs_f64();
        let (new_sent, new_answers) = (sent - self.sent, answered - self.answered);
        progress(Progress {
            since_start: now.saturating_sub(self.begun),
            sent,
            answered,
            sent_bps: bps(new_sent),
            received_bps: bps(new_answers),
            new_answers,
            new_bytes: bytes(new_answers),
        });
        *self = Told {
            at: now,
            sent,
            answered,
            ..*self
        };
    }
}
