//! The lines: what each has, in the names of the schema.

use std::net::IpAddr;
use std::time::Duration;

use netproto::icmp::Version;
use serde::Serialize;

use crate::diagnose::{Finding, What};
use crate::report::begun::Begun;
use crate::rounds::{Change, change};
use crate::silence::Silence;
use crate::tracing;

/// Of the format; rises when a field changes its meaning or goes.
pub const VERSION: u32 = 1;

/// What is known before the first probe.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Start<'a> {
    /// As the user named it.
    pub host: &'a str,
    /// Its address.
    pub target: IpAddr,
    /// What the probes are.
    pub method: &'static str,
    /// The last TTL.
    pub max_hops: u8,
    /// Probes a hop.
    pub queries: u8,
    /// The first probe's datagram.
    pub packet_octets: u16,
    /// When it began, in seconds since 1970.
    pub at_unix_s: f64,
    /// How often each hop is probed, where that is repeated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cycles: Option<u32>,
    /// Of every path: how sure it is, in percent, that all next hops of a router are found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence_pct: Option<f64>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Line<'a> {
    Start {
        version: u32,
        #[serde(flatten)]
        start: &'a Start<'a>,
    },
    Hop {
        ttl: u8,
        probes: &'a [Row],
    },
    Change {
        ttl: u8,
        from: IpAddr,
        to: IpAddr,
        cycle: u32,
        after_s: f64,
        at_unix_s: f64,
    },
    Shared {
        ttl: u8,
        address: IpAddr,
        other: IpAddr,
        cycle: u32,
        after_s: f64,
        at_unix_s: f64,
    },
    EndChange {
        from_ttl: u8,
        from_mark: Option<String>,
        to_ttl: u8,
        to_mark: Option<String>,
        cycle: u32,
        after_s: f64,
        at_unix_s: f64,
    },
    HopReport {
        ttl: u8,
        address: Option<IpAddr>,
        name: Option<String>,
        origin: Option<String>,
        mark: Option<String>,
        sent: u64,
        answered: u64,
        late: u64,
        latest_ms: Option<f64>,
        loss_pct: Option<f64>,
        last_ms: Option<f64>,
        mean_ms: Option<f64>,
        best_ms: Option<f64>,
        worst_ms: Option<f64>,
        stdev_ms: Option<f64>,
        jitter_ms: Option<f64>,
        addresses: Vec<Seen>,
    },
    Finding {
        ttl: u8,
        kind: &'static str,
        text: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        figures: Option<SilenceFigures>,
    },
    Confirmation {
        ttl: u8,
        address: IpAddr,
        survivor: Option<&'static str>,
        hypotheses: Vec<Probability>,
        experiments: Vec<Experiment>,
    },
    Difference {
        kind: &'static str,
        is_of_the_path: bool,
        text: String,
    },
    Router {
        ttl: u8,
        address: IpAddr,
        answered: u32,
        unanswered: u32,
        best_ms: f64,
        mark: Option<String>,
        balances_packets: bool,
    },
    Edge {
        ttl: u8,
        from: IpAddr,
        to: IpAddr,
    },
    NotSent {
        reason: String,
    },
    Summary {
        ending: Ending,
        reached: bool,
        last_ttl: u8,
        probes: u64,
        answered: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        all_paths: Option<bool>,
    },
}

/// How a trace ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Everything was told.
    Complete,
    /// A signal came.
    Interrupted,
    /// This host could not go on; stderr says why.
    Failed,
}

impl Ending {
    /// That of this run.
    pub fn of<E>(run: &Result<tracing::Ending, E>) -> Ending {
        match run {
            Ok(tracing::Ending::Complete) => Ending::Complete,
            Ok(tracing::Ending::Interrupted) => Ending::Interrupted,
            Err(_) => Ending::Failed,
        }
    }
}

/// One of the addresses of a hop.
#[derive(Debug, Serialize)]
pub(super) struct Seen {
    pub(super) address: IpAddr,
    pub(super) answered: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct Row {
    pub(super) address: Option<IpAddr>,
    pub(super) name: Option<String>,
    pub(super) origin: Option<String>,
    pub(super) rtt_ms: Option<f64>,
    pub(super) mark: Option<String>,
    pub(super) returned_ttl: Option<u8>,
    pub(super) seen_traffic_class: Option<u8>,
    pub(super) extensions: Option<String>,
    pub(super) mtu_octets: Option<u32>,
}

/// Why a hop's silence is no loss.
#[derive(Debug, Serialize)]
pub(super) struct SilenceFigures {
    pub(super) sent: u64,
    pub(super) answered: u64,
    pub(super) burst: Option<usize>,
    pub(super) interval_ms: Option<f64>,
    pub(super) interval_least_ms: Option<f64>,
    pub(super) interval_most_ms: Option<f64>,
    pub(super) beyond_ttl: Option<u8>,
    pub(super) beyond_sent: Option<u64>,
    pub(super) beyond_answered: Option<u64>,
    pub(super) chance: f64,
}

impl From<&Silence> for SilenceFigures {
    fn from(silence: &Silence) -> SilenceFigures {
        let gaps = silence.bucket.and_then(|it| it.gaps);
        let ms = |it: Duration| thousandths(it.as_secs_f64() * 1e3);
        SilenceFigures {
            sent: silence.here.sent,
            answered: silence.here.answered,
            burst: silence.bucket.map(|it| it.burst),
            interval_ms: gaps.map(|it| ms(it.mean)),
            interval_least_ms: gaps.map(|it| ms(it.least)),
            interval_most_ms: gaps.map(|it| ms(it.most)),
            beyond_ttl: silence.beyond.and_then(|it| it.ttl),
            beyond_sent: silence.beyond.map(|it| it.probes.sent),
            beyond_answered: silence.beyond.map(|it| it.probes.answered),
            chance: silence.chance(),
        }
    }
}

/// How probable an explanation of a hop's silence is.
#[derive(Debug, Serialize)]
pub(super) struct Probability {
    pub(super) name: &'static str,
    pub(super) probability: f64,
}

/// What an experiment on a hop's silence came to.
#[derive(Debug, Serialize)]
pub(super) struct Experiment {
    pub(super) name: &'static str,
    pub(super) interval_ms: f64,
    pub(super) sent: u64,
    pub(super) answered: u64,
}

pub(super) fn changed(change: &Change, begun: Begun) -> Line<'static> {
    let (after, at_unix_s) = begun.when(change.at);
    let (cycle, after_s) = (change.cycle, after.as_secs_f64());
    let sign = |end: change::End| end.mark.sign(Version::of(end.by));
    match change.what {
        change::What::Router { ttl, from, to } => Line::Change {
            ttl,
            from,
            to,
            cycle,
            after_s,
            at_unix_s,
        },
        change::What::Shared { ttl, with, other } => Line::Shared {
            ttl,
            address: with,
            other,
            cycle,
            after_s,
            at_unix_s,
        },
        change::What::End { from, to } => Line::EndChange {
            from_ttl: from.ttl,
            from_mark: sign(from),
            to_ttl: to.ttl,
            to_mark: sign(to),
            cycle,
            after_s,
            at_unix_s,
        },
    }
}

/// Rounded: to microseconds where it is milliseconds.
pub(super) fn thousandths(figure: f64) -> f64 {
    (figure * 1e3).round() / 1e3
}

pub(super) fn kind(finding: &Finding) -> &'static str {
    match finding.what {
        What::Nat(_) | What::NatOfTarget => "nat",
        What::TrafficClass { .. } => "traffic_class",
        What::Mtu { .. } => "mtu",
        What::BlackHole { .. } => "black_hole",
        What::WayBack { .. } => "way_back",
        What::Silence(silence) => silence.kind(),
    }
}
