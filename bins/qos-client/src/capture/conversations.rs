//! Who talks to whom: the packets of a capture, sorted by their two ends.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use netproto::probe::Probe;
use netproto::probe::rtp::Rtp;

use super::packets::{Packet, Transport};
use super::probes::Probes;
use super::rtp::Stream;
use super::tcp::Connection;

/// Conversations that are kept apart; the packets of further ones are counted together.
pub const MAX_CONVERSATIONS: usize = 16_384;
/// Series of probes that are kept in all, and as many RTP streams, which much is taken for that is
/// none; those of further ones only count as datagrams.
pub const MAX_SERIES: usize = 1024;

/// Everything of a capture that figures are made from.
#[derive(Debug, Default)]
pub struct Conversations {
    udp: Vec<Udp>,
    tcp: Vec<Connection>,
    places: HashMap<(bool, SocketAddr, SocketAddr), usize>,
    /// Packets of conversations beyond [`MAX_CONVERSATIONS`].
    pub beyond: u64,
    /// Series of probes in all of them.
    pub series: Kept,
    /// RTP streams in all of them.
    pub streams: Kept,
}

/// How many of a kind are kept, of [`MAX_SERIES`].
#[derive(Debug, Default)]
pub struct Kept {
    so_far: usize,
    /// Datagrams of further ones.
    pub beyond: u64,
}

impl Kept {
    /// The one of `all` that is the one, or a new one while there is room.
    fn find<'a, T>(
        &mut self,
        all: &'a mut Vec<T>,
        is_the_one: impl FnMut(&T) -> bool,
        new: impl FnOnce() -> T,
    ) -> Option<&'a mut T> {
        let place = match all.iter().position(is_the_one) {
            Some(place) => place,
            None if self.so_far == MAX_SERIES => {
                self.beyond += 1;
                return None;
            }
            None => {
                self.so_far += 1;
                all.push(new());
                all.len() - 1
            }
        };
        all.get_mut(place)
    }
}

/// One direction of a UDP conversation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Direction {
    /// Datagrams.
    pub packets: u64,
    /// Their payload.
    pub bytes: u64,
    /// Payload of the first, which only opens the interval of a rate.
    pub first_bytes: u64,
    /// When the first and the last came.
    pub span: Option<(Duration, Duration)>,
}

impl Direction {
    fn add(&mut self, at: Duration, bytes: u64) {
        self.packets += 1;
        self.bytes += bytes;
        let (first, last) = self.span.unwrap_or_else(|| {
            self.first_bytes = bytes;
            (at, at)
        });
        self.span = Some((first, last.max(at)));
    }

    /// Bits of payload a second, by netstats' definition; `None` without an interval.
    pub fn bps(&self) -> Option<f64> {
        let (first, last) = self.span?;
        let seconds = last.saturating_sub(first).as_secs_f64();
        (seconds > 0.0).then(|| (self.bytes - self.first_bytes) as f64 * 8.0 / seconds)
    }
}

/// A UDP conversation. The client is who sends probes, or else who spoke first.
#[derive(Debug)]
pub struct Udp {
    /// Who began.
    pub client: SocketAddr,
    /// The other.
    pub server: SocketAddr,
    /// From the client to the server.
    pub there: Direction,
    /// From the server to the client.
    pub back: Direction,
    /// Series of qos-client's probes.
    pub probes: Vec<Probes>,
    /// RTP streams.
    pub streams: Vec<Stream>,
}

impl Conversations {
    /// Adds a packet.
    pub fn add(&mut self, packet: &Packet<'_>) {
        let is_tcp = matches!(packet.transport, Transport::Tcp(_));
        let key = |a, b| (is_tcp, a, b);
        let (outward, homeward) = (key(packet.from, packet.to), key(packet.to, packet.from));
        let known = self.places.get(&outward);
        let known = known.or_else(|| self.places.get(&homeward)).copied();
        let place = match known {
            Some(place) if !self.is_over(place, packet) => place,
            _ => {
                self.places.remove(&outward);
                self.places.remove(&homeward);
                let Some(place) = self.begin(packet) else {
                    return self.beyond += 1;
                };
                self.places.insert(outward, place);
                place
            }
        };
        match packet.transport {
            Transport::Udp { payload, length } => {
                if let Some(udp) = self.udp.get_mut(place) {
                    let kept = (&mut self.series, &mut self.streams);
                    udp.add(packet, payload, length, kept);
                }
            }
            Transport::Tcp(segment) => {
                if let Some(tcp) = self.tcp.get_mut(place) {
                    tcp.add(packet.from, packet.at, &segment);
                }
            }
        }
    }

    /// Whether this packet begins another connection between the same ports.
    fn is_over(&self, place: usize, packet: &Packet<'_>) -> bool {
        let Transport::Tcp(segment) = &packet.transport else {
            return false;
        };
        let tcp = self.tcp.get(place);
        tcp.is_some_and(|tcp| tcp.is_before(packet.from, segment))
    }

    /// Another conversation, while there is room for it.
    fn begin(&mut self, packet: &Packet<'_>) -> Option<usize> {
        if self.udp.len() + self.tcp.len() >= MAX_CONVERSATIONS {
            return None;
        }
        let (from, to) = (packet.from, packet.to);
        Some(match packet.transport {
            Transport::Tcp(segment) => {
                // Who accepts did not begin, though the capture may.
                let accepts = segment.syn && segment.ack;
                let (client, server) = if accepts { (to, from) } else { (from, to) };
                self.tcp.push(Connection::new(client, server));
                self.tcp.len() - 1
            }
            Transport::Udp { .. } => {
                self.udp.push(Udp::new(from, to));
                self.udp.len() - 1
            }
        })
    }

    /// To be called when all is read: which end sends the probes shows only then.
    pub fn settle(&mut self) {
        for udp in &mut self.udp {
            let back = udp.probes.iter().filter(|probes| probes.go_back()).count();
            if 2 * back > udp.probes.len() {
                udp.turn_round();
            }
        }
    }

    /// In the order in which they began.
    pub fn udp(&self) -> &[Udp] {
        &self.udp
    }

    /// In the order in which they began.
    pub fn tcp(&self) -> &[Connection] {
        &self.tcp
    }
}

impl Udp {
    fn new(client: SocketAddr, server: SocketAddr) -> Udp {
        Udp {
            client,
            server,
            there: Direction::default(),
            back: Direction::default(),
            probes: Vec::new(),
            streams: Vec::new(),
        }
    }

    fn add(
        &mut self,
        packet: &Packet<'_>,
        payload: &[u8],
        length: usize,
        (series, streams): (&mut Kept, &mut Kept),
    ) {
        let (at, there) = (packet.at, packet.from == self.client);
        let direction = if there {
            &mut self.there
        } else {
            &mut self.back
        };
        direction.add(at, length as u64);
        let rtp = Rtp::parse(payload);
        if let Some((header, _)) = &rtp {
            let stream = streams.find(
                &mut self.streams,
                |stream| stream.is_of(there, header),
                || Stream::new(there, header),
            );
            if let Some(stream) = stream {
                stream.add(at, header);
            }
        }
        let behind = rtp.map_or(payload, |(_, rest)| rest);
        if let Ok(probe) = Probe::parse(behind) {
            let probes = series.find(
                &mut self.probes,
                |probes| probes.is_of(&probe),
                || Probes::new(&probe),
            );
            if let Some(probes) = probes {
                probes.add(there, at, &probe, length);
            }
        }
    }

    /// Makes the server the client.
    fn turn_round(&mut self) {
        std::mem::swap(&mut self.client, &mut self.server);
        std::mem::swap(&mut self.there, &mut self.back);
        for stream in &mut self.streams {
            stream.there = !stream.there;
        }
        for probes in &mut self.probes {
            probes.turn_round();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::packets::Segment;

    fn ends() -> (SocketAddr, SocketAddr) {
        (([10, 0, 0, 1], 4000).into(), ([10, 0, 0, 2], 80).into())
    }

    fn segment(from: SocketAddr, to: SocketAddr, segment: Segment) -> Packet<'static> {
        Packet {
            at: Duration::ZERO,
            from,
            to,
            transport: Transport::Tcp(segment),
        }
    }

    fn syn(sequence: u32) -> Segment {
        Segment {
            sequence,
            acknowledgment: 0,
            length: 0,
            syn: true,
            ack: false,
            fin: false,
            rst: false,
        }
    }

    fn data(sequence: u32, length: u32) -> Segment {
        Segment {
            length,
            syn: false,
            ack: true,
            ..syn(sequence)
        }
    }

    #[test]
    fn another_connection_between_the_same_ports_is_another() {
        let (client, server) = ends();
        let mut all = Conversations::default();
        // The first SYN is sent twice. The sequence numbers of the second connection, begun by the
        // other end, lie behind those of the first.
        for sent in [syn(5000), syn(5000), data(5001, 100)] {
            all.add(&segment(client, server, sent));
        }
        for sent in [syn(3_000_000_000), data(3_000_000_001, 100)] {
            all.add(&segment(server, client, sent));
        }
        all.add(&segment(client, server, data(9, 0)));
        let seen: Vec<_> = all
            .tcp()
            .iter()
            .map(|tcp| (tcp.client, tcp.there.packets, tcp.back.packets))
            .collect();
        assert_eq!(seen, [(client, 3, 0), (server, 2, 1)]);
        assert!(all.tcp().iter().all(|tcp| tcp.there.retransmitted == 0));
        assert!(all.tcp().iter().all(|tcp| tcp.there.new_bytes == 100));
    }

    #[test]
    fn who_sends_the_syn_is_the_client_whatever_the_capture_begins_with() {
        let (client, server) = ends();
        let mut syn_ack = syn(7);
        (syn_ack.ack, syn_ack.acknowledgment) = (true, 5001);
        // What is left of a connection before; a SYN-ACK that came before its SYN in the file.
        for (first, connections) in [(data(77, 0), 2), (syn_ack, 1)] {
            let mut all = Conversations::default();
            all.add(&segment(server, client, first));
            all.add(&segment(client, server, syn(5000)));
            all.add(&segment(client, server, data(5001, 10)));
            assert_eq!(all.tcp().len(), connections);
            let last = all.tcp().last().map(|tcp| (tcp.client, tcp.there.packets));
            assert_eq!(last, Some((client, 2)));
        }
    }

    #[test]
    fn connections_between_the_same_ports_are_bounded_too() {
        let (client, server) = ends();
        let mut all = Conversations::default();
        for n in 0..MAX_CONVERSATIONS as u32 + 3 {
            all.add(&segment(client, server, syn(n)));
        }
        all.add(&segment(server, client, data(1, 1)));
        assert_eq!((all.tcp().len(), all.beyond), (MAX_CONVERSATIONS, 4));
    }

    #[test]
    fn what_looks_like_rtp_leaves_room_for_probes_and_what_is_left_out_is_counted() {
        let (from, to) = ends();
        let mut all = Conversations::default();
        let mut add = |payload: &[u8]| {
            all.add(&Packet {
                at: Duration::ZERO,
                from,
                to,
                transport: Transport::Udp {
                    payload,
                    length: payload.len(),
                },
            });
        };
        for ssrc in 0..MAX_SERIES as u32 + 2 {
            let rtp = [&[0x80, 33, 0, 0, 0, 0, 0, 0], &ssrc.to_be_bytes()[..]].concat();
            add(&rtp);
        }
        let mut datagram = vec![0; 40];
        let probe = Probe {
            run: 1,
            nonce: 2,
            sequence: 0,
            stamps: false,
        };
        probe.encode(&mut datagram).unwrap();
        add(&datagram);
        assert_eq!((all.streams.beyond, all.series.beyond), (2, 0));
        let udp = &all.udp()[0];
        assert_eq!((udp.streams.len(), udp.probes.len()), (MAX_SERIES, 1));
    }

    #[test]
    fn a_rate_is_of_what_came_after_the_first() {
        // 100 bytes open the interval; 200 and 300 come within the two seconds after it.
        let mut direction = Direction::default();
        for (second, bytes) in [(10, 100), (11, 200), (12, 300)] {
            direction.add(Duration::from_secs(second), bytes);
        }
        assert_eq!(direction.bps(), Some(500.0 * 8.0 / 2.0));
        let mut one = Direction::default();
        one.add(Duration::ZERO, 100);
        assert_eq!(one.bps(), None);
    }

    #[test]
    fn who_sends_the_probes_is_the_client_when_the_capture_begins_with_an_answer() {
        let (client, server) = ends();
        let mut all = Conversations::default();
        let mut add = |from, to, sequence| {
            let mut payload = vec![0; 40];
            let probe = Probe {
                run: 1,
                nonce: 2,
                sequence,
                stamps: false,
            };
            probe.encode(&mut payload).unwrap();
            all.add(&Packet {
                at: Duration::from_millis(u64::from(sequence)),
                from,
                to,
                transport: Transport::Udp {
                    payload: &payload,
                    length: payload.len(),
                },
            });
        };
        add(server, client, 0);
        for sequence in 1..4 {
            add(client, server, sequence);
            add(server, client, sequence);
        }
        all.settle();
        let udp = &all.udp()[0];
        assert_eq!((udp.client, udp.server), (client, server));
        assert_eq!((udp.there.packets, udp.back.packets), (3, 4));
    }
}
