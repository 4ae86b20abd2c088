//! The conversations of a capture as events.

use std::time::Duration;

use serde::{Serialize, Serializer};

use super::events::{self, nanos};
use super::row::Row;
use crate::capture::analysis::{self, Analysis};
use crate::capture::conversations::{Direction, Udp};
use crate::capture::tcp::{Connection, Half};

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
pub fn flows(read: &Analysis, loss_deadline: Duration) -> impl Iterator<Item = Flow> + '_ {
    let udp = read.conversations.udp().iter();
    let tcp = read.conversations.tcp().iter();
    udp.map(move |udp| of_udp(udp, loss_deadline))
        .chain(tcp.map(of_tcp))
}

fn of_udp(udp: &Udp, loss_deadline: Duration) -> Flow {
    let way = |direction: &Direction| Way {
        packets: direction.packets,
        payload_bytes: direction.bytes,
        payload_bps: direction.bps(),
        retransmitted: None,
        out_of_order: None,
    };
    let probes = udp.probes.iter().map(|probes| {
        let mut figures = Row::default();
        figures.add_figures(&analysis::figures(udp, probes, loss_deadline));
        Series {
            run_id: format!("{:016x}", probes.run),
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
