//! What is written: iputils' lines, JSON, CSV or a chart.
//!
//! A report runs beside the probing and is told what happened by [`Event`]s, so that neither a slow
//! terminal nor a slow name server delays a probe.

mod chart;
mod csv;
mod graph;
mod json;
mod quality;
mod text;

use std::io::{self, Write};
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Instant, SystemTime};

use netio::icmp::StampSource;
use netproto::icmp::Reason;
use netproto::icmp::extended_echo::InterfaceState;

use self::chart::Chart;
use self::csv::Csv;
use self::json::Json;
pub use self::json::{failure, write_summary};
pub(crate) use self::quality::write_quality;
use self::text::Text;
pub(crate) use self::text::three_decimals;
use crate::config::{Config, Format};
use crate::session::{RoundTrip, Summary};
use crate::wire::Damage;

/// What happened to a session.
#[derive(Debug)]
pub enum Event {
    /// A probe was sent.
    Sent,
    /// A probe could not be sent.
    NotSent(String),
    /// A reply came.
    Reply(Reply),
    /// An ICMP error came for a probe.
    Error {
        /// When, by the wall clock.
        wall: SystemTime,
        /// Who sent the error.
        from: IpAddr,
        /// The probe.
        sequence: u16,
        /// What it says.
        reason: Reason,
    },
    /// The probe before the next is unanswered.
    Outstanding {
        /// When, by the wall clock.
        wall: SystemTime,
        /// The probe.
        sequence: u16,
    },
    /// At the end, a probe without an answer.
    Unanswered {
        /// The probe.
        sequence: u16,
        /// Whether one may still come.
        in_flight: bool,
    },
    /// The user asked how it stands.
    Status(Summary),
    /// It is over.
    End(Summary),
}

/// A reply, as far as its line needs it.
#[derive(Debug)]
pub struct Reply {
    /// When, by the wall clock.
    pub wall: SystemTime,
    /// Who sent it.
    pub from: IpAddr,
    /// The octets of the ICMP message.
    pub len: usize,
    /// Its sequence number.
    pub sequence: u16,
    /// Its TTL or hop limit.
    pub ttl: Option<u8>,
    /// How long it took; none for a reply whose checksum is wrong.
    pub trip: Option<RoundTrip>,
    /// Who took the time of its arrival.
    pub stamped_by: StampSource,
    /// What it is to its probe.
    pub fate: ReplyFate,
    /// What is wrong with it.
    pub damage: Option<Damage>,
    /// What it says of the interface that was asked about.
    pub interface: Option<InterfaceState>,
}

/// What a reply is to its probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyFate {
    /// The first answer, in time and in order.
    Answered,
    /// The first answer, when the probe would have counted as lost.
    Late,
    /// The first answer, after that to a later probe.
    Reordered,
    /// A further answer.
    Duplicate,
    /// None, for its checksum is wrong.
    Corrupt,
}

impl ReplyFate {
    const fn word(self) -> &'static str {
        match self {
            ReplyFate::Answered => "answered",
            ReplyFate::Late => "late",
            ReplyFate::Reordered => "reordered",
            ReplyFate::Duplicate => "duplicate",
            ReplyFate::Corrupt => "corrupt",
        }
    }
}

const fn source_word(source: StampSource) -> &'static str {
    match source {
        StampSource::Kernel => "kernel",
        StampSource::Program => "program",
    }
}

/// Who said when the probe left.
const fn sent_word(trip: RoundTrip) -> &'static str {
    match trip.queued {
        Some(_) => "kernel",
        None => "program",
    }
}

fn unix_seconds(wall: SystemTime) -> f64 {
    wall.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64()
}

/// Where the probes go.
#[derive(Debug, Clone)]
pub struct Destination {
    /// The address.
    pub address: IpAddr,
    /// The interface on which link-local addresses mean something.
    pub zone: Option<String>,
    /// Whether several hosts may answer: a broadcast or multicast address.
    pub of_many: bool,
}

/// Writes what the events say.
#[derive(Debug)]
pub struct Report<W: Write> {
    face: Face<W>,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one, made once")]
enum Face<W: Write> {
    Text(Text<W>),
    Json(Json<W>),
    Csv(Csv<W>),
    Chart(Chart<W>),
}

impl<W: Write> Report<W> {
    /// A report on the probing of `destination`.
    pub fn new(config: &Config, destination: Destination, identifier: u16, out: W) -> Report<W> {
        let target = destination.address;
        let face = match config.output.format {
            Format::Text => Face::Text(Text::new(config, destination, identifier, out)),
            Format::Graph => {
                let text = Text::new(config, destination, identifier, out);
                Face::Chart(Chart::new(config, target, text))
            }
            Format::Json => Face::Json(Json::new(config, target, out)),
            Format::Csv => Face::Csv(Csv::new(target, out)),
        };
        Report { face }
    }

    /// What stands before the first probe.
    pub fn banner(&mut self, config: &Config, source: Option<IpAddr>) -> io::Result<()> {
        match &mut self.face {
            Face::Text(text) => text.banner(config, source),
            Face::Json(_) => Ok(()),
            Face::Csv(csv) => csv.header(),
            Face::Chart(chart) => chart.banner(config, source),
        }
    }

    /// Writes what the events say until the last of them.
    pub fn run(mut self, events: &Receiver<Vec<Event>>) -> io::Result<()> {
        loop {
            let batch = match events.try_recv() {
                Ok(batch) => batch,
                Err(TryRecvError::Empty) => {
                    // Nothing to do: now is the time to show what there is.
                    self.flush()?;
                    match self.wait(events) {
                        Ok(batch) => batch,
                        Err(RecvTimeoutError::Timeout) => Vec::new(),
                        Err(RecvTimeoutError::Disconnected) => return Ok(()),
                    }
                }
                Err(TryRecvError::Disconnected) => return self.flush(),
            };
            for event in &batch {
                match &mut self.face {
                    Face::Text(text) => text.event(event)?,
                    Face::Json(json) => json.event(event)?,
                    Face::Csv(csv) => csv.event(event)?,
                    Face::Chart(chart) => chart.event(event)?,
                }
            }
            if let Face::Chart(chart) = &mut self.face {
                let now = Instant::now();
                if now >= chart.due() {
                    chart.tick(now)?;
                }
            }
        }
    }

    /// The next batch; only a chart has something to do without one.
    fn wait(&self, events: &Receiver<Vec<Event>>) -> Result<Vec<Event>, RecvTimeoutError> {
        match &self.face {
            Face::Chart(chart) => {
                let left = chart.due().saturating_duration_since(Instant::now());
                events.recv_timeout(left)
            }
            _ => events.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.face {
            Face::Text(text) => text.flush(),
            Face::Json(json) => json.flush(),
            Face::Csv(csv) => csv.flush(),
            Face::Chart(chart) => chart.flush(),
        }
    }
}
