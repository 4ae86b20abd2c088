//! Results for programs: one JSON object a line of standard output (NDJSON), each an event.
//!
//! `start` says what is ordered; `interval` how it stands, about once a second; `sample` what became
//! of one probe; `capture` what is in a file, `flow` what it has of one conversation; `compared` one
//! figure by three observers; `end` has the figures, by the names of the CSV columns, with times in
//! integer nanoseconds: `rtt_mean_ms` is `rtt_mean_ns` here. The schema is
//! `bins/qos-client/schema/events-v1.schema.json`.

use std::io::{self, Write};
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::flow::{Capture, Flow};
use super::row::{Cell, Row};
use crate::assertion::Checked;
use crate::capture::verify::{self, Value};
use crate::figures::trace::{Fate, Trace};
use crate::grade::Graded;
use crate::load;
use crate::load::plan::With;
use crate::udp::flood;
use crate::udp::{Plan, Progress, Run};

/// One line.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event<'a> {
    /// A test begins.
    Start(Start<'a>),
    /// A test goes on.
    Interval(Interval),
    /// One probe's fate.
    Sample(Sample),
    /// A test has ended.
    End(End<'a>),
    /// A capture.
    Capture(Capture),
    /// A conversation of a capture.
    Flow(Flow),
    /// A figure of `verify`.
    Compared(Compared),
}

/// What is ordered.
#[derive(Debug, Serialize)]
pub struct Start<'a> {
    /// `udp`, `http`, …
    pub command: &'a str,
    /// RFC 3339, by the wall clock.
    pub time_utc: String,
    /// 16 hexadecimal digits.
    pub run_id: String,
    /// As it was asked for.
    pub target: String,
    /// Name and version of the program.
    pub tool: &'static str,
    /// The UDP test, where there is one.
    pub udp: Option<Ordered>,
    /// The load, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<LoadOrder>,
    /// The flood, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flood: Option<Flooded>,
}

/// An ordered load.
#[derive(Debug, Serialize)]
pub struct LoadOrder {
    duration_ns: u64,
    interval_ns: u64,
    connections: Option<u32>,
    datagrams_bps: Option<u64>,
    download: Option<String>,
    upload: Option<String>,
}

impl LoadOrder {
    /// That of a plan, with what is asked for.
    pub fn of(plan: &load::Plan, paths: Option<&load::Paths>) -> LoadOrder {
        let (connections, datagrams_bps) = match plan.with() {
            With::Http { connections } => (Some(connections), None),
            With::Datagrams(rate) => (None, Some(rate)),
        };
        LoadOrder {
            duration_ns: nanos(plan.duration()),
            interval_ns: nanos(plan.interval()),
            connections,
            datagrams_bps,
            download: paths.and_then(|paths| paths.download.clone()),
            upload: paths.and_then(|paths| paths.upload.clone()),
        }
    }
}

/// An ordered flood.
#[derive(Debug, Serialize)]
pub struct Flooded {
    duration_ns: u64,
    payload_bytes: usize,
    bitrate_bps: Option<u64>,
    dscp: u8,
}

impl Flooded {
    /// That of a plan.
    pub fn of(plan: &flood::Plan) -> Flooded {
        Flooded {
            duration_ns: nanos(plan.duration()),
            payload_bytes: plan.payload(),
            bitrate_bps: plan.bitrate(),
            dscp: plan.dscp(),
        }
    }
}

/// An ordered UDP test.
#[derive(Debug, Serialize)]
pub struct Ordered {
    packets: u32,
    warmup_packets: u32,
    payload_bytes: usize,
    interval_ns: u64,
    loss_deadline_ns: u64,
    pattern: String,
    seed: u64,
    dscp: u8,
    stamps: bool,
}

impl Ordered {
    /// That of a plan.
    pub fn of(plan: &Plan) -> Ordered {
        Ordered {
            packets: plan.packets(),
            warmup_packets: plan.warmup(),
            payload_bytes: plan.payload(),
            interval_ns: nanos(plan.interval()),
            loss_deadline_ns: nanos(plan.loss_deadline()),
            pattern: plan.pattern().to_string(),
            seed: plan.seed(),
            dscp: plan.dscp(),
            stamps: plan.stamps(),
        }
    }
}

impl<'a> Start<'a> {
    /// Of a run that began at `at`.
    pub fn new(command: &'a str, at: jiff::Timestamp, run: Run, target: String) -> Start<'a> {
        Start {
            command,
            time_utc: format!("{at:.9}"),
            run_id: format!("{:016x}", run.id),
            target,
            tool: concat!("qos-client ", env!("CARGO_PKG_VERSION")),
            udp: None,
            load: None,
            flood: None,
        }
    }
}

/// How it stands.
#[derive(Debug, Serialize)]
pub struct Interval {
    #[serde(skip_serializing_if = "Option::is_none")]
    phase: Option<&'static str>,
    since_start_ns: u64,
    sent: u32,
    answered: u32,
    /// `None` for a flood, which has a duration and no number.
    of: Option<u32>,
    new_answers: u32,
    new_bytes: u64,
    rtt_min_ns: Option<u64>,
    rtt_mean_ns: Option<u64>,
    rtt_max_ns: Option<u64>,
}

impl Interval {
    /// That of a running test.
    pub fn of(progress: &Progress) -> Interval {
        let second = &progress.second;
        Interval {
            phase: None,
            since_start_ns: nanos(progress.since_start),
            sent: progress.sent,
            answered: progress.answered,
            of: Some(progress.of),
            new_answers: second.answers,
            new_bytes: second.bytes,
            rtt_min_ns: second.rtt_min.map(nanos),
            rtt_mean_ns: second.rtt_mean().map(nanos),
            rtt_max_ns: second.rtt_max.map(nanos),
        }
    }

    /// That of a flood.
    pub fn of_flood(progress: &flood::Progress) -> Interval {
        Interval {
            since_start_ns: nanos(progress.since_start),
            sent: progress.sent,
            answered: progress.answered,
            of: None,
            new_answers: progress.new_answers,
            new_bytes: progress.new_bytes,
            phase: None,
            rtt_min_ns: None,
            rtt_mean_ns: None,
            rtt_max_ns: None,
        }
    }
}

impl Interval {
    /// Of this part of a run.
    #[must_use]
    pub fn in_phase(self, phase: &'static str) -> Interval {
        Interval {
            phase: Some(phase),
            ..self
        }
    }
}

/// One probe.
#[derive(Debug, Serialize)]
pub struct Sample {
    #[serde(skip_serializing_if = "Option::is_none")]
    phase: Option<&'static str>,
    client: u32,
    sequence: u32,
    warmup: bool,
    /// Since the first probe left; `None` for one that never did.
    sent_ns: Option<u64>,
    bytes: Option<u16>,
    fate: &'static str,
    rtt_ns: Option<u64>,
}

/// The samples of a trace, by sequence number.
pub fn samples(
    client: u32,
    phase: Option<&'static str>,
    trace: &Trace,
) -> impl Iterator<Item = Sample> {
    let first = trace.sent.iter().flatten().map(|sent| sent.at).min();
    let fates = trace.fates();
    (0..)
        .zip(trace.sent.iter().zip(fates))
        .map(move |(sequence, (sent, fate))| {
            let (fate, rtt) = match fate {
                Fate::Unsent => ("unsent", None),
                Fate::Answered(rtt) => ("answered", Some(rtt)),
                Fate::Late(rtt) => ("late", Some(rtt)),
                Fate::Lost => ("lost", None),
                Fate::InFlight => ("in_flight", None),
            };
            Sample {
                phase,
                client,
                sequence,
                warmup: sequence < trace.warmup,
                sent_ns: sent.map(|sent| nanos(sent.at.saturating_sub(first.unwrap_or_default()))),
                bytes: sent.map(|sent| sent.bytes),
                fate,
                rtt_ns: rtt.map(nanos),
            }
        })
}

/// How it ended.
#[derive(Debug, Serialize)]
pub struct End<'a> {
    /// As in [`Start`].
    pub command: &'a str,
    /// As in [`Start`].
    pub run_id: String,
    /// One for each client.
    pub results: Vec<Outcome<'a>>,
    /// Jain's index of the clients' goodput, where there are several.
    pub fairness_jain: Option<f64>,
    /// The same of what they got by HTTP, where each made many requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_fairness_jain: Option<f64>,
    /// What was asserted, and whether it held.
    pub assertions: &'a [Checked],
}

/// The result of one client.
#[derive(Debug, Serialize)]
pub struct Outcome<'a> {
    /// By the names of the CSV columns, times in nanoseconds.
    #[serde(serialize_with = "figures")]
    pub figures: &'a Row,
    /// The figures in their classes, where a profile was asked for.
    #[serde(skip_serializing_if = "<[Graded]>::is_empty")]
    pub grades: &'a [Graded],
    /// Why the run says less than it seems to.
    pub limits: &'a [String],
    /// What else a reader must know.
    pub notes: &'a [String],
    /// What went wrong, if anything did.
    pub errors: Vec<String>,
}

/// A figure by three observers.
#[derive(Debug, Serialize)]
pub struct Compared {
    /// With its unit, where it is a time.
    figure: &'static str,
    client: Option<u64>,
    capture: Option<u64>,
    tshark: Option<u64>,
    agree: bool,
}

impl Compared {
    /// That of a verification.
    pub fn of(compared: &verify::Compared) -> Compared {
        let number = |value| match value {
            Value::Blank => None,
            Value::Count(count) => Some(count),
            Value::Time(time) => Some(nanos(time)),
        };
        Compared {
            figure: compared.key,
            client: number(compared.client),
            capture: number(compared.file),
            tshark: number(compared.tshark),
            agree: compared.agrees(),
        }
    }
}

/// Writes an event.
pub fn write(out: &mut dyn Write, event: &Event<'_>) -> io::Result<()> {
    serde_json::to_writer(&mut *out, event).map_err(io::Error::from)?;
    writeln!(out)
}

pub(super) fn figures<S: Serializer>(row: &Row, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(
        row.named()
            .map(|(name, cell)| (name_of(name), OfCell(cell))),
    )
}

/// What ends in milliseconds is in nanoseconds here.
fn name_of(column: &str) -> String {
    match column.strip_suffix("_ms") {
        Some(stem) => format!("{stem}_ns"),
        None => column.to_owned(),
    }
}

struct OfCell<'a>(&'a Cell);

impl Serialize for OfCell<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Cell::Blank => serializer.serialize_none(),
            Cell::Text(text) => serializer.serialize_str(text),
            Cell::Count(count) => serializer.serialize_u64(*count),
            Cell::Difference(ns) => serializer.serialize_i64(*ns),
            Cell::Ms(duration) => serializer.serialize_u64(nanos(*duration)),
            Cell::Pct(value) | Cell::Bps(value) | Cell::Mean(value) => {
                serializer.serialize_f64(*value)
            }
        }
    }
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
