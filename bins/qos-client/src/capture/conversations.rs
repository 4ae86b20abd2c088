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
/// Series of probes and RTP streams that are kept in all; those of further ones only count as
/// datagrams.
pub const MAX_SERIES: usize = 1024;

/// Everything of a capture that figures are made from.
#[derive(Debug, Default)]
pub struct Conversations {
    udp: Vec<Udp>,
    tcp: Vec<Connection>,
    places: HashMap<(bool, SocketAddr, SocketAddr), usize>,
    /// Packets of conversations beyond [`MAX_CONVERSATIONS`].
    pub beyond: u64,
    /// Series and streams so far.
    series: usize,
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

/// A UDP conversation. The client is who spoke first.
#[derive(Debug)]
pub struct Udp {
    /// Who spoke first.
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
        let known = self.places.get(&key(packet.from, packet.to));
        let known = known.or_else(|| self.places.get(&key(packet.to, packet.from)));
        let place = match known {
            Some(place) => *place,
            None if self.places.len() >= MAX_CONVERSATIONS => return self.beyond += 1,
            None => {
                let place = if is_tcp {
                    self.tcp.len()
                } else {
                    self.udp.len()
                };
                match packet.transport {
                    Transport::Tcp(_) => {
                        self.tcp.push(Connection::new(packet.from, packet.to));
                    }
                    Transport::Udp { .. } => self.udp.push(Udp::new(packet.from, packet.to)),
                }
                self.places.insert(key(packet.from, packet.to), place);
                place
            }
        };
        match packet.transport {
            Transport::Udp { payload, length } => {
                if let Some(udp) = self.udp.get_mut(place) {
                    udp.add(packet, payload, length, &mut self.series);
                }
            }
            Transport::Tcp(segment) => {
                if let Some(tcp) = self.tcp.get_mut(place) {
                    tcp.add(packet.from, packet.at, &segment);
                }
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

    fn add(&mut self, packet: &Packet<'_>, payload: &[u8], length: usize, series: &mut usize) {
        let (at, there) = (packet.at, packet.from == self.client);
        let direction = if there {
            &mut self.there
        } else {
            &mut self.back
        };
        direction.add(at, length as u64);
        let rtp = Rtp::parse(payload);
        if let Some((header, _)) = &rtp {
            let streams = &mut self.streams;
            let place = streams.iter().position(|s| s.is_of(there, header));
            let place = place.or_else(|| begin(streams, series, || Stream::new(there, header)));
            if let Some(stream) = place.and_then(|place| streams.get_mut(place)) {
                stream.add(at, header);
            }
        }
        let behind = rtp.map_or(payload, |(_, rest)| rest);
        if let Ok(probe) = Probe::parse(behind) {
            let probes = &mut self.probes;
            let place = probes.iter().position(|series| series.is_of(&probe));
            let place = place.or_else(|| begin(probes, series, || Probes::new(&probe)));
            if let Some(series) = place.and_then(|place| probes.get_mut(place)) {
                series.add(there, at, &probe, length);
            }
        }
    }
}

/// Begins another series while there is room for it.
fn begin<T>(all: &mut Vec<T>, series: &mut usize, new: impl FnOnce() -> T) -> Option<usize> {
    if *series >= MAX_SERIES {
        return None;
    }
    *series += 1;
    all.push(new());
    Some(all.len() - 1)
}
