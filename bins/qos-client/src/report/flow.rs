//! A capture and its conversations as events.

use std::path::Path;

use serde::{Serialize, Serializer};

use super::events::{self, nanos};
use super::row::Row;
use crate::capture::analysis::{Analysis, Conversation};
use crate::capture::conversations::Direction;
use crate::capture::tcp::{Connection, Half};

/// A whole capture, and what of it no figure has.
#[derive(Debug, Serialize)]
pub struct Capture {
    file: String,
    packets: u64,
    udp_conversations: usize,
    tcp_conversations: usize,
    left_out: LeftOut,
    /// What is wrong with the rest of the file.
    damaged: Option<String>,
}

/// Packets by the reason; those of `probes` and `rtp` are counted in their conversations.
#[derive(Debug, Serialize)]
struct LeftOut {
    other_protocol: u64,
    fragments: u64,
    malformed: u64,
    unknown_link: u64,
    conversations: u64,
    probes: u64,
    rtp: u64,
}

impl Capture {
    /// That of a file.
    pub fn of(path: &Path, read: &Analysis) -> Capture {
        let (ended, conversations) = (&read.ended, &read.conversations);
        Capture {
            file: path.display().to_string(),
            packets: ended.packets,
            udp_conversations: conversations.udp().len(),
            tcp_conversations: conversations.tcp().len(),
            left_out: LeftOut {
                other_protocol: ended.skipped.other_protocol,
                fragments: ended.skipped.fragments,
                malformed: ended.skipped.malformed,
                unknown_link: ended.skipped.unknown_link,
                conversations: conversations.beyond,
                probes: conversations.series.beyond,
                rtp: conversations.streams.beyond,
            },
            damaged: ended.damaged.clone(),
        }
    }
}

/// One conversation.
#[derive(Debug, Serialize)]
pub struct Flow {
    protocol: &'static str,
    client: String,
    server: String,
    there: Way,
    back: Way,
    /// Series of qos-client's probes in it.
    probes: Vec<Series>,
    /// RTP streams in it.
    rtp: Vec<Rtp>,
    handshake_ns: Option<u64>,
    reset: bool,
}

#[derive(Debug, Serialize)]
struct Way {
    packets: u64,
    payload_bytes: u64,
    payload_bps: Option<f64>,
    retransmitted: Option<u64>,
    out_of_order: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Series {
    run_id: String,
    /// Probes that have their answers before them.
    mistimed: u32,
    #[serde(serialize_with = "figures")]
    figures: Row,
}

#[derive(Debug, Serialize)]
struct Rtp {
    direction: &'static str,
    ssrc: u32,
    payload_type: u8,
    packets: u64,
    expected: u64,
    lost: i64,
    jitter_mean_ns: Option<u64>,
    jitter_max_ns: Option<u64>,
}

/// All of a capture, UDP first.
pub fn flows<'a>(
    udp: &'a [Conversation<'a>],
    tcp: &'a [Connection],
) -> impl Iterator<Item = Flow> + 'a {
    udp.iter().map(of_udp).chain(tcp.iter().map(of_tcp))
}

fn of_udp(conversation: &Conversation<'_>) -> Flow {
    let udp = conversation.udp;
    let way = |direction: &Direction| Way {
        packets: direction.packets,
        payload_bytes: direction.bytes,
        payload_bps: direction.bps(),
        retransmitted: None,
        out_of_order: None,
    };
    let probes = conversation.series.iter().map(|series| {
        let mut figures = Row::default();
        figures.add_figures(&series.figures);
        Series {
            run_id: format!("{:016x}", series.run.id),
            mistimed: series.mistimed,
            figures,
        }
    });
    let rtp = udp.streams.iter().map(|stream| Rtp {
        direction: if stream.there { "there" } else { "back" },
        ssrc: stream.ssrc,
        payload_type: stream.payload_type,
        packets: stream.packets,
        expected: stream.expected(),
        lost: stream.lost(),
        jitter_mean_ns: stream.jitter.mean().map(nanos),
        jitter_max_ns: stream.jitter.max.map(nanos),
    });
    Flow {
        protocol: "udp",
        client: udp.client.to_string(),
        server: udp.server.to_string(),
        there: way(&udp.there),
        back: way(&udp.back),
        probes: probes.collect(),
        rtp: rtp.collect(),
        handshake_ns: None,
        reset: false,
    }
}

fn of_tcp(tcp: &Connection) -> Flow {
    let way = |half: &Half| Way {
        packets: half.packets,
        payload_bytes: half.bytes,
        payload_bps: half.rate.bps(),
        retransmitted: Some(half.retransmitted),
        out_of_order: Some(half.out_of_order),
    };
    Flow {
        protocol: "tcp",
        client: tcp.client.to_string(),
        server: tcp.server.to_string(),
        there: way(&tcp.there),
        back: way(&tcp.back),
        probes: Vec::new(),
        rtp: Vec::new(),
        handshake_ns: tcp.handshake.map(nanos),
        reset: tcp.reset,
    }
}

fn figures<S: Serializer>(row: &Row, serializer: S) -> Result<S::Ok, S::Error> {
    events::figures(row, serializer)
}
