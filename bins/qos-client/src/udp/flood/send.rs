//! The sending half: bursts of datagrams, each burst in as few system calls as the kernel allows.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use netio::udp::{MAX_PAYLOAD_V4, SendBatch, Sent, Socket, Train};
use netproto::probe::Probe;
use netstats::throughput::Throughput;

use super::{MAX_DATAGRAMS, Mark, Plan, Shared, moved};
use crate::clock;

/// Bytes that are made ready at once, at most; one datagram where it is larger.
const BURST_BYTES: usize = 256 * 1024;
/// Datagrams of a burst at most.
const BURST: usize = 256;
/// At an ordered rate, a burst is what is due in this time.
const BURST_TIME: Duration = Duration::from_millis(1);
/// The longest wait for room in the send queue; what has none by then is a local drop.
const PATIENCE: Duration = Duration::from_millis(100);
/// The longest sleep between two looks at the stop flag.
const NAP: Duration = Duration::from_millis(50);

/// What the sender leaves behind.
#[derive(Debug, Default)]
pub(super) struct Sending {
    pub(super) sent: Sent,
    pub(super) rate: Throughput,
    pub(super) took: Duration,
    /// What made it end before its time.
    pub(super) error: Option<io::Error>,
}

/// Sends for as long as the plan says, or until told to stop.
pub(super) fn send_all(plan: &Plan, socket: &Socket, mark: &Mark, shared: &Shared) -> Sending {
    let mut sending = Sending::default();
    let mut batch = SendBatch::new();
    let size = plan.payload();
    let burst = burst_of(plan);
    let mut buffer = vec![0; burst * size];
    // What the kernel is to cut apart is one message, and that is no longer than a datagram.
    let message = (MAX_PAYLOAD_V4 / size).max(1) * size;
    let begun = clock::now();
    let mut next = 0_u32;
    loop {
        sending.took = clock::now().saturating_sub(begun);
        let ended = sending.took >= plan.duration() || next == MAX_DATAGRAMS;
        if ended || shared.stop.load(Ordering::Relaxed) {
            return sending;
        }
        let count = burst.min((MAX_DATAGRAMS - next) as usize);
        let ready = buffer.get_mut(..count * size).unwrap_or_default();
        for (sequence, datagram) in (next..).zip(ready.chunks_exact_mut(size)) {
            let probe = Probe {
                run: mark.run,
                nonce: mark.nonce,
                sequence,
                stamps: false,
            };
            if let Err(error) = probe.encode(datagram) {
                sending.error = Some(io::Error::other(error));
                return sending;
            }
        }
        next += count as u32;
        // Before the call: on loopback answers can be here before it returns.
        shared.next.store(next, Ordering::Release);
        let trains = ready.chunks(message).map(|payload| Train {
            segment_size: size,
            ..Train::one(None, payload)
        });
        match batch.send_waiting(socket, trains, PATIENCE) {
            Ok(sent) => {
                sending.sent.datagrams += sent.datagrams;
                sending.sent.bytes += sent.bytes;
                sending.sent.refused += sent.refused;
                sending.sent.queue_full += sent.queue_full;
                sending.sent.failed += sent.failed;
                moved(&mut sending.rate, sent.bytes);
            }
            Err(error) => {
                sending.error = Some(error);
                return sending;
            }
        }
        if let Some(bitrate) = plan.bitrate() {
            let bits = f64::from(next) * size as f64 * 8.0;
            wait_until(
                begun + Duration::from_secs_f64(bits / bitrate as f64).min(plan.duration()),
                shared,
            );
        }
    }
}

/// Datagrams that are sent together.
fn burst_of(plan: &Plan) -> usize {
    let most = (BURST_BYTES / plan.payload()).clamp(1, BURST);
    let Some(bitrate) = plan.bitrate() else {
        return most;
    };
    let due = bitrate as f64 / 8.0 * BURST_TIME.as_secs_f64() / plan.payload() as f64;
    (due as usize).clamp(1, most)
}

fn wait_until(due: Duration, shared: &Shared) {
    loop {
        let now = clock::now();
        if now >= due || shared.stop.load(Ordering::Relaxed) {
            return;
        }
        clock::sleep_until(due.min(now + NAP));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_bounded_in_bytes_and_in_time() {
        let plan = Plan::default();
        for (payload, bitrate, datagrams) in [
            // 262,144 bytes hold 187 of 1400, but four of 65,507 and more than 256 of 28.
            (1400, None, 187),
            (65_507, None, 4),
            (28, None, 256),
            // A millisecond of 112 Mbit/s is 14,000 bytes; of 1 Mbit/s less than one datagram.
            (1400, Some(112_000_000), 10),
            (1400, Some(1_000_000), 1),
        ] {
            let plan = plan.with_payload(payload).unwrap();
            let plan = bitrate.map_or(plan, |bps| plan.with_bitrate(bps).unwrap());
            assert_eq!(burst_of(&plan), datagrams, "{payload} {bitrate:?}");
        }
    }
}
