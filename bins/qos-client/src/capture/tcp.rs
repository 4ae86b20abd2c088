//! A TCP connection in a capture: how long its handshake took, how fast it carried data, and what
//! had to be sent again.

use std::net::SocketAddr;
use std::time::Duration;

use netstats::throughput::Throughput;

use super::packets::Segment;

/// Holes in the sequence space that are remembered of one direction; the oldest beyond it are taken
/// as filled.
const MAX_HOLES: usize = 256;

/// A connection. The client is who sent the SYN, or who spoke first.
#[derive(Debug)]
pub struct Connection {
    /// Who began.
    pub client: SocketAddr,
    /// The other.
    pub server: SocketAddr,
    /// From the client to the server.
    pub there: Half,
    /// From the server to the client.
    pub back: Half,
    /// From the SYN to the ACK that ends the handshake; `None` when the capture has not all of it.
    pub handshake: Option<Duration>,
    /// Whether an RST was seen.
    pub reset: bool,
    /// When the SYN, and the SYN-ACK that acknowledges it, were seen.
    syn: Option<(Duration, u32)>,
    syn_ack: Option<u32>,
    /// Of which SYN there was an acknowledgment, whether that was seen or not.
    accepted: Option<u32>,
}

/// One direction.
#[derive(Debug, Default)]
pub struct Half {
    /// Segments, those without payload among them.
    pub packets: u64,
    /// Bytes of payload, those sent again among them.
    pub bytes: u64,
    /// Bytes of payload that were new.
    pub new_bytes: u64,
    /// Segments with payload of which every byte had been seen before.
    pub retransmitted: u64,
    /// Segments that fill a hole: overtaken by later ones, or sent again after a loss before the
    /// place of the capture, which looks the same there.
    pub out_of_order: u64,
    /// Of the new bytes.
    pub rate: Throughput,
    /// The next sequence number expected.
    next: Option<u32>,
    holes: Vec<(u32, u32)>,
}

impl Connection {
    pub(super) fn new(client: SocketAddr, server: SocketAddr) -> Connection {
        Connection {
            client,
            server,
            there: Half::default(),
            back: Half::default(),
            handshake: None,
            reset: false,
            syn: None,
            syn_ack: None,
            accepted: None,
        }
    }

    /// Whether a segment begins another connection between the same ports: it is a SYN, and not that of
    /// this connection sent again, or captured behind its answer.
    pub(super) fn is_before(&self, from: SocketAddr, segment: &Segment) -> bool {
        let own = self.syn.map(|(_, sequence)| sequence).or(self.accepted);
        let is_own = from == self.client && own == Some(segment.sequence);
        segment.syn && !segment.ack && !is_own
    }

    pub(super) fn add(&mut self, from: SocketAddr, at: Duration, segment: &Segment) {
        self.reset |= segment.rst;
        let there = from == self.client;
        if there {
            self.there.add(at, segment);
        } else {
            self.back.add(at, segment);
        }
        match (segment.syn, segment.ack) {
            // One sent again: the time of the first says how long the peer was really away.
            (true, false) if there => self.syn = self.syn.or(Some((at, segment.sequence))),
            (true, true) if !there => {
                self.accepted = Some(segment.acknowledgment.wrapping_sub(1));
                let of_syn = self.syn.map(|(_, sequence)| sequence.wrapping_add(1));
                if of_syn == Some(segment.acknowledgment) {
                    self.syn_ack = Some(segment.sequence.wrapping_add(1));
                }
            }
            (false, true) if there && self.handshake.is_none() => {
                if let (Some((syn_at, _)), Some(expected)) = (self.syn, self.syn_ack)
                    && segment.acknowledgment == expected
                {
                    self.handshake = at.checked_sub(syn_at);
                }
            }
            _ => {}
        }
    }
}

impl Half {
    fn add(&mut self, at: Duration, segment: &Segment) {
        self.packets += 1;
        self.bytes += u64::from(segment.length);
        // SYN and FIN take a place in the sequence space each (RFC 9293 §3.4).
        let taken = segment.length + u32::from(segment.syn) + u32::from(segment.fin);
        let end = segment.sequence.wrapping_add(taken);
        let next = *self.next.get_or_insert(segment.sequence);
        if segment.length == 0 {
            if is_before(next, end) {
                self.next = Some(end);
            }
            return;
        }
        if !is_before(segment.sequence, next) {
            if segment.sequence != next {
                self.hole(next, segment.sequence);
            }
            self.next = Some(end);
            self.arrived(at, segment.length);
        } else if is_before(next, end) {
            // Part of it is new.
            self.next = Some(end);
            self.arrived(at, end.wrapping_sub(next));
        } else {
            let filled = self.fill(segment.sequence, end);
            if filled > 0 {
                self.out_of_order += 1;
                self.arrived(at, filled);
            } else if !is_keep_alive(segment, next) {
                self.retransmitted += 1;
            }
        }
    }

    fn arrived(&mut self, at: Duration, bytes: u32) {
        self.new_bytes += u64::from(bytes);
        self.rate.received(at, bytes.into());
    }

    fn hole(&mut self, from: u32, to: u32) {
        if self.holes.len() == MAX_HOLES {
            self.holes.remove(0);
        }
        self.holes.push((from, to));
    }

    /// Takes a range out of the holes, and says how many bytes of it had been missing.
    fn fill(&mut self, from: u32, to: u32) -> u32 {
        let mut filled = 0;
        let mut left = Vec::with_capacity(self.holes.len() + 1);
        for (start, end) in self.holes.drain(..) {
            let low = if is_before(start, from) { from } else { start };
            let high = if is_before(to, end) { to } else { end };
            if !is_before(low, high) {
                left.push((start, end));
                continue;
            }
            filled += high.wrapping_sub(low);
            left.extend(
                [(start, low), (high, end)]
                    .into_iter()
                    .filter(|(a, b)| a != b),
            );
        }
        left.truncate(MAX_HOLES);
        self.holes = left;
        filled
    }
}

/// A byte before the one that is expected, to keep the connection alive (RFC 9293 §3.8.4).
fn is_keep_alive(segment: &Segment, next: u32) -> bool {
    segment.length == 1 && segment.sequence == next.wrapping_sub(1)
}

/// Whether one sequence number comes before another, by the shorter way round (RFC 9293 §3.4).
fn is_before(a: u32, b: u32) -> bool {
    a.wrapping_sub(b).cast_signed() < 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(sequence: u32, length: u32) -> Segment {
        Segment {
            sequence,
            acknowledgment: 0,
            length,
            syn: false,
            ack: true,
            fin: false,
            rst: false,
        }
    }

    fn half(segments: &[(u32, u32)]) -> Half {
        let mut half = Half::default();
        for (i, (sequence, length)) in segments.iter().enumerate() {
            half.add(Duration::from_millis(i as u64), &data(*sequence, *length));
        }
        half
    }

    #[test]
    fn what_was_seen_before_is_sent_again_and_what_fills_a_hole_is_out_of_order() {
        // 100–199 missing when 200 comes; it comes late; 0–99 comes again; 250–349 is half new.
        let half = half(&[(0, 100), (200, 100), (100, 100), (0, 100), (250, 100)]);
        assert_eq!((half.retransmitted, half.out_of_order), (1, 1));
        assert_eq!((half.bytes, half.new_bytes), (500, 350));
    }

    #[test]
    fn sequence_numbers_wrap() {
        let start = u32::MAX - 49;
        let half = half(&[(start, 100), (50, 100), (start, 100)]);
        assert_eq!((half.retransmitted, half.new_bytes), (1, 200));
    }

    #[test]
    fn the_handshake_lasts_from_the_syn_to_the_ack_of_its_answer() {
        let (client, server) = (([10, 0, 0, 1], 1).into(), ([10, 0, 0, 2], 80).into());
        let mut connection = Connection::new(client, server);
        let at = Duration::from_millis;
        let syn = Segment {
            syn: true,
            ack: false,
            ..data(1000, 0)
        };
        let syn_ack = Segment {
            syn: true,
            acknowledgment: 1001,
            ..data(7, 0)
        };
        let ack = Segment {
            acknowledgment: 8,
            ..data(1001, 0)
        };
        connection.add(client, at(10), &syn);
        connection.add(server, at(30), &syn_ack);
        connection.add(client, at(31), &ack);
        connection.add(client, at(90), &ack);
        assert_eq!(connection.handshake, Some(at(21)));
        assert_eq!((connection.there.packets, connection.back.packets), (3, 1));
    }

    #[test]
    fn a_syn_sent_again_does_not_shorten_the_handshake_nor_does_another_acknowledgment_end_it() {
        let (client, server) = (([10, 0, 0, 1], 1).into(), ([10, 0, 0, 2], 80).into());
        let mut connection = Connection::new(client, server);
        let at = Duration::from_millis;
        let syn = |sequence, ack| Segment {
            syn: true,
            ack: ack != 0,
            acknowledgment: ack,
            ..data(sequence, 0)
        };
        let ack = |acknowledgment| Segment {
            acknowledgment,
            ..data(1001, 0)
        };
        connection.add(client, at(10), &syn(1000, 0));
        connection.add(client, at(1010), &syn(1000, 0));
        // An answer to another SYN; then the right one; then an old ACK, and the right one.
        connection.add(server, at(1020), &syn(99, 500));
        connection.add(server, at(1030), &syn(7, 1001));
        connection.add(client, at(1031), &ack(100));
        assert_eq!(connection.handshake, None);
        connection.add(client, at(1032), &ack(8));
        assert_eq!(connection.handshake, Some(at(1022)));
    }

    #[test]
    fn a_keep_alive_is_not_sent_again_data() {
        assert_eq!(half(&[(0, 100), (99, 1)]).retransmitted, 0);
    }

    #[test]
    fn holes_are_bounded() {
        let mut segments = vec![(0, 10)];
        segments.extend((1..1000).map(|i| (20 * i, 10)));
        assert_eq!(half(&segments).holes.len(), MAX_HOLES);
    }
}
