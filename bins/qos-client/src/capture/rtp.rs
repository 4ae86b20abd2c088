//! An RTP stream in a capture: loss by its sequence numbers and jitter by its timestamps, as a
//! receiver at the place of the capture would compute them (RFC 3550 §6.4.1, A.3, A.8).

use std::time::Duration;

use netproto::probe::rtp::Rtp;
use netstats::jitter::InterarrivalJitter;

/// One direction of one synchronisation source.
#[derive(Debug)]
pub struct Stream {
    /// From the client of the conversation to the server.
    pub there: bool,
    /// Who sends.
    pub ssrc: u32,
    /// What the payload is.
    pub payload_type: u8,
    /// Packets, further copies among them.
    pub packets: u64,
    /// Jitter over the packets; blank where the payload's clock is not known.
    pub jitter: Jitter,
    clock_hz: Option<u64>,
    first: u16,
    /// The highest sequence number, wraps included.
    highest: u64,
    running: InterarrivalJitter,
    /// The timestamp of the last packet, unwrapped, in ticks.
    ticks: u64,
    last_timestamp: u32,
}

/// The running estimate of RFC 3550 over a stream, as Wireshark sums it up.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Jitter {
    /// After the last packet.
    pub last: Option<Duration>,
    /// The largest that it was.
    pub max: Option<Duration>,
    /// All its values together, from the second packet on.
    total: Duration,
    /// How many values.
    n: u32,
}

impl Jitter {
    fn add(&mut self, value: Duration) {
        self.last = Some(value);
        self.max = self.max.max(Some(value));
        self.total += value;
        self.n += 1;
    }

    /// The mean of the values.
    pub fn mean(&self) -> Option<Duration> {
        self.total.checked_div(self.n)
    }
}

/// Where unwrapped timestamps begin, so that the first packets may go backwards.
const TICKS_AT_START: u64 = 1 << 32;

impl Stream {
    pub(super) fn new(there: bool, rtp: &Rtp) -> Stream {
        Stream {
            there,
            ssrc: rtp.ssrc,
            payload_type: rtp.payload_type,
            packets: 0,
            jitter: Jitter::default(),
            clock_hz: rtp.clock_hz(),
            first: rtp.sequence,
            highest: rtp.sequence.into(),
            running: InterarrivalJitter::new(),
            ticks: TICKS_AT_START,
            last_timestamp: rtp.timestamp,
        }
    }

    pub(super) fn is_of(&self, there: bool, rtp: &Rtp) -> bool {
        (self.there, self.ssrc, self.payload_type) == (there, rtp.ssrc, rtp.payload_type)
    }

    pub(super) fn add(&mut self, at: Duration, rtp: &Rtp) {
        self.packets += 1;
        // How far ahead of the highest, by the shorter way round.
        let ahead = rtp.sequence.wrapping_sub(self.highest as u16);
        if ahead < 0x8000 {
            self.highest += u64::from(ahead);
        }
        let step = rtp
            .timestamp
            .wrapping_sub(self.last_timestamp)
            .cast_signed();
        self.ticks = self.ticks.saturating_add_signed(step.into());
        self.last_timestamp = rtp.timestamp;
        let Some(hz) = self.clock_hz else {
            return;
        };
        let nanos = u128::from(self.ticks) * 1_000_000_000 / u128::from(hz);
        let sent = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.running.arrived(sent, at);
        if let Some(jitter) = self.running.jitter() {
            self.jitter.add(jitter);
        }
    }

    /// Packets that the sequence numbers promise (RFC 3550 A.3).
    pub fn expected(&self) -> u64 {
        self.highest - u64::from(self.first) + 1
    }

    /// Expected less received; negative when copies outnumber losses, as in RFC 3550 A.3.
    pub fn lost(&self) -> i64 {
        self.expected().cast_signed() - self.packets.cast_signed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(sequence: u16, timestamp: u32) -> Rtp {
        Rtp {
            sequence,
            timestamp,
            ssrc: 7,
            payload_type: 0,
        }
    }

    #[test]
    fn jitter_and_loss_are_those_of_rfc_3550_by_hand() {
        // 8,000 Hz, one packet every 20 ms (160 ticks); the timestamps wrap. Transit 100, 116, 108
        // ms: J = 1, 1.4375 ms as in netstats::jitter; mean 1.21875. One of four is lost.
        let start = u32::MAX - 200;
        let at = |ms: u64| Duration::from_millis(5000 + ms);
        let mut stream = Stream::new(true, &packet(u16::MAX, start));
        stream.add(at(100), &packet(u16::MAX, start));
        stream.add(at(136), &packet(0, start.wrapping_add(160)));
        stream.add(at(168), &packet(2, start.wrapping_add(480)));
        assert_eq!((stream.expected(), stream.lost()), (4, 1));
        // The third was sent at 60 ms: transit 108.
        let jitter = stream.jitter;
        assert_eq!(jitter.last, Some(Duration::from_nanos(1_437_500)));
        assert_eq!(jitter.max, jitter.last);
        assert_eq!(jitter.mean(), Some(Duration::from_nanos(1_218_750)));
    }

    #[test]
    fn a_packet_that_was_overtaken_is_not_taken_for_one_a_whole_round_ahead() {
        let mut stream = Stream::new(true, &packet(65_535, 0));
        for sequence in [65_535, 1, 0, 65_534] {
            stream.add(Duration::ZERO, &packet(sequence, 0));
        }
        // From 65,535 to 1 there are three; four came.
        assert_eq!((stream.expected(), stream.lost()), (3, -1));
    }

    #[test]
    fn a_payload_whose_clock_is_unknown_has_no_jitter() {
        let mut rtp = packet(1, 0);
        rtp.payload_type = 96;
        let mut stream = Stream::new(true, &rtp);
        stream.add(Duration::ZERO, &rtp);
        rtp.sequence = 2;
        stream.add(Duration::from_secs(1), &rtp);
        assert_eq!((stream.packets, stream.jitter.last), (2, None));
    }
}
