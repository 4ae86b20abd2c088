//! NDJSON: an object a line, the last of them a summary. `schema/ping-v1.schema.json` says what
//! they hold.

use std::io::{self, Write};
use std::net::IpAddr;
use std::time::Duration;

use netproto::icmp::Version;
use netproto::icmp::extended_echo::InterfaceState;
use serde::Serialize;

use super::{Event, Reply, sent_word, source_word, unix_seconds};
use crate::config::Config;
use crate::history::Outage;
use crate::session::Summary;
use crate::wire::Damage;
use crate::words::{describe, state_words};

/// Rises when a field changes its meaning or goes away; new fields do not raise it.
const VERSION: u32 = 1;

#[derive(Debug)]
pub(super) struct Json<W> {
    out: W,
    host: String,
    target: IpAddr,
}

#[derive(Serialize)]
struct Line<'a> {
    version: u32,
    target: &'a str,
    address: Option<IpAddr>,
    #[serde(flatten)]
    what: What<'a>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum What<'a> {
    Reply {
        time_unix_s: f64,
        sequence: u16,
        state: &'a str,
        from: IpAddr,
        bytes: usize,
        ttl: Option<u8>,
        damage: Option<&'a str>,
        interface: Option<Interface>,
        rtt_ms: Option<f64>,
        queued_ms: Option<f64>,
        sent_clock: Option<&'a str>,
        received_clock: &'a str,
    },
    Error {
        time_unix_s: f64,
        sequence: u16,
        from: IpAddr,
        error: String,
    },
    NotSent {
        error: &'a str,
    },
    Unanswered {
        sequence: u16,
        state: &'a str,
    },
    Summary(Box<Figures>),
}

/// What a host says of its interface; `active`, `ipv4` and `ipv6` where it has it.
#[derive(Serialize)]
struct Interface {
    state: String,
    active: bool,
    ipv4: bool,
    ipv6: bool,
}

#[derive(Default, Serialize)]
struct Figures {
    /// Why nothing was probed.
    error: Option<String>,
    success: bool,
    transmitted: u64,
    received: u64,
    lost: u64,
    in_flight: u64,
    duplicates: u64,
    reordered: u64,
    late: u64,
    corrupted: u64,
    damaged: u64,
    errors: u64,
    loss_pct: Option<f64>,
    loss_low_pct: Option<f64>,
    loss_high_pct: Option<f64>,
    elapsed_ms: f64,
    rtt_min_ms: Option<f64>,
    rtt_mean_ms: Option<f64>,
    rtt_max_ms: Option<f64>,
    rtt_mdev_ms: Option<f64>,
    rtt_p50_ms: Option<f64>,
    rtt_p90_ms: Option<f64>,
    rtt_p95_ms: Option<f64>,
    rtt_p99_ms: Option<f64>,
    queued_mean_ms: Option<f64>,
    queued_max_ms: Option<f64>,
    jitter_rfc3550_ms: Option<f64>,
    jitter_mean_ms: Option<f64>,
    outage_count: u64,
    outages: Vec<OutageLine>,
}

#[derive(Serialize)]
struct OutageLine {
    first: u64,
    probes: u64,
    began_ms: f64,
    lasted_ms: f64,
}

impl<W: Write> Json<W> {
    pub(super) fn new(config: &Config, target: IpAddr, out: W) -> Json<W> {
        Json {
            out,
            host: config.host.clone(),
            target,
        }
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    pub(super) fn event(&mut self, event: &Event) -> io::Result<()> {
        let what = match event {
            Event::Sent | Event::Outstanding { .. } | Event::Status(_) => return Ok(()),
            Event::NotSent(error) => What::NotSent { error },
            Event::Reply(reply) => reply_line(reply),
            Event::Error {
                wall,
                from,
                sequence,
                reason,
            } => What::Error {
                time_unix_s: unix_seconds(*wall),
                sequence: *sequence,
                from: *from,
                error: describe(Version::of(self.target), *reason),
            },
            Event::Unanswered {
                sequence,
                in_flight,
            } => What::Unanswered {
                sequence: *sequence,
                state: if *in_flight { "in_flight" } else { "lost" },
            },
            Event::End(summary) => What::Summary(Box::new(Figures::of(summary))),
        };
        write(&mut self.out, &self.host, Some(self.target), what)
    }
}

/// The summary of a run that came to nothing, as for a name that nobody knows.
pub fn failure(out: &mut impl Write, host: &str, error: String) -> io::Result<()> {
    let figures = Figures {
        error: Some(error),
        ..Figures::default()
    };
    write(out, host, None, What::Summary(Box::new(figures)))?;
    out.flush()
}

/// The summary of a target of a sweep.
pub fn write_summary(
    out: &mut impl Write,
    host: &str,
    address: IpAddr,
    summary: &Summary,
) -> io::Result<()> {
    let what = What::Summary(Box::new(Figures::of(summary)));
    write(out, host, Some(address), what)
}

fn write(
    out: &mut impl Write,
    target: &str,
    address: Option<IpAddr>,
    what: What<'_>,
) -> io::Result<()> {
    let line = Line {
        version: VERSION,
        target,
        address,
        what,
    };
    serde_json::to_writer(&mut *out, &line)?;
    writeln!(out)
}

fn reply_line(reply: &Reply) -> What<'static> {
    What::Reply {
        time_unix_s: unix_seconds(reply.wall),
        sequence: reply.sequence,
        state: reply.fate.word(),
        from: reply.from,
        bytes: reply.len,
        ttl: reply.ttl,
        damage: reply.damage.map(Damage::word),
        interface: reply.interface.map(Interface::of),
        rtt_ms: reply.trip.map(|trip| ms(trip.rtt)),
        queued_ms: reply.trip.and_then(|trip| trip.queued).map(ms),
        sent_clock: reply.trip.map(sent_word),
        received_clock: source_word(reply.stamped_by),
    }
}

impl Interface {
    fn of(state: InterfaceState) -> Interface {
        let (active, ipv4, ipv6) = match state {
            InterfaceState::Found { active, ipv4, ipv6 } => (active, ipv4, ipv6),
            _ => (false, false, false),
        };
        Interface {
            state: state_words(state),
            active,
            ipv4,
            ipv6,
        }
    }
}

impl Figures {
    fn of(summary: &Summary) -> Figures {
        let loss = summary.loss();
        let tally = summary.tally;
        let quality = &summary.quality;
        let rtt = summary.rtt;
        Figures {
            error: None,
            success: summary.success,
            transmitted: summary.transmitted,
            received: tally.received,
            lost: loss.lost,
            in_flight: summary.in_flight,
            duplicates: tally.duplicates,
            reordered: tally.reordered,
            late: tally.late,
            corrupted: tally.corrupted,
            damaged: tally.damaged,
            errors: tally.errors,
            loss_pct: (loss.known > 0).then_some(loss.percent),
            loss_low_pct: loss.interval.map(|interval| interval.low * 100.0),
            loss_high_pct: loss.interval.map(|interval| interval.high * 100.0),
            elapsed_ms: ms(summary.elapsed),
            rtt_min_ms: rtt.map(|rtt| ms(rtt.min)),
            rtt_mean_ms: rtt.map(|rtt| ms(rtt.mean)),
            rtt_max_ms: rtt.map(|rtt| ms(rtt.max)),
            rtt_mdev_ms: rtt.map(|rtt| ms(rtt.mdev)),
            rtt_p50_ms: quality.p50.map(ms),
            rtt_p90_ms: quality.p90.map(ms),
            rtt_p95_ms: quality.p95.map(ms),
            rtt_p99_ms: quality.p99.map(ms),
            queued_mean_ms: summary.queued.map(|queued| ms(queued.mean)),
            queued_max_ms: summary.queued.map(|queued| ms(queued.max)),
            jitter_rfc3550_ms: quality.jitter.map(ms),
            jitter_mean_ms: quality.ipdv.map(ms),
            outage_count: quality.outage_count,
            outages: quality.outages.iter().map(OutageLine::of).collect(),
        }
    }
}

impl OutageLine {
    fn of(outage: &Outage) -> OutageLine {
        OutageLine {
            first: outage.first,
            probes: outage.probes,
            began_ms: ms(outage.began),
            lasted_ms: ms(outage.lasted),
        }
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_nanos() as f64 / 1e6
}
