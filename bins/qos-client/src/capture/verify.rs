//! A test held against its own capture: what the client counted, what is read back from the file,
//! and what tshark makes of it.

use std::io;
use std::path::Path;
use std::time::Duration;

use netproto::probe::rtp::Rtp;

use super::analysis::Analysis;
use super::conversations::Udp;
use super::packets::CaptureError;
use super::rtp::{Jitter, Stream};
use super::tshark::{self, Opinion};
use super::write::{self, WriteError};
use crate::figures::{Carrier, Figures};
use crate::udp::{Measurement, Record};

/// Half of the last digit that tshark prints, and as much for its own arithmetic: times of its
/// jitter are rounded to a microsecond.
const JITTER_ROUNDING: Duration = Duration::from_nanos(1500);
/// As many probes can be told apart by the header of RTP (RFC 3550 §5.1).
const RTP_SEQUENCE_NUMBERS: u32 = 1 << 16;
/// The times of a capture are in nanoseconds, like those of the record.
const TIME_ROUNDING: Duration = Duration::from_nanos(1);

/// Why there is nothing to compare.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The file could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The file could not be read back.
    #[error(transparent)]
    Read(#[from] CaptureError),
    /// The file has no conversation of this test.
    #[error("the capture {0} does not hold the probes of this test")]
    Missing(String),
    /// tshark is there and does not work.
    #[error("cannot ask tshark: {0}")]
    Tshark(#[from] io::Error),
}

/// One figure by three observers.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// What it is, for people.
    pub name: &'static str,
    /// What it is, for programs: with the unit, where it is a time.
    pub key: &'static str,
    /// By the client, as it measured.
    pub client: Value,
    /// From the file, by this program.
    pub file: Value,
    /// From the file, by tshark; blank where it is not installed or has no such figure.
    pub tshark: Value,
    /// How far they may be apart.
    pub rounding: Duration,
}

/// A figure of any kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// Not given.
    Blank,
    /// A number of things.
    Count(u64),
    /// A duration.
    Time(Duration),
}

impl Value {
    fn time(time: Option<Duration>) -> Value {
        time.map_or(Value::Blank, Value::Time)
    }

    fn agrees(self, other: Value, rounding: Duration) -> bool {
        match (self, other) {
            (Value::Time(a), Value::Time(b)) => a.abs_diff(b) <= rounding,
            (a, b) => a == b,
        }
    }
}

impl Compared {
    /// Whether the file has the client's figure, or neither has one, and tshark the same where it has
    /// an opinion.
    pub fn agrees(&self) -> bool {
        let pair = |a: Value, b: Value| a.agrees(b, self.rounding);
        let by_tshark = |own| self.tshark == Value::Blank || pair(own, self.tshark);
        pair(self.client, self.file) && by_tshark(self.client) && by_tshark(self.file)
    }
}

/// What the three say.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    /// Figure by figure.
    pub figures: Vec<Compared>,
    /// Whether tshark was asked.
    pub tshark: bool,
}

/// Writes the capture of a test and holds the three against each other.
pub fn verify(measured: &Measurement, path: &Path) -> Result<Verified, VerifyError> {
    let record = &measured.record;
    write::write(path, record)?;
    let analysis = Analysis::of(path)?;
    let missing = || VerifyError::Missing(path.display().to_string());
    let udp = analysis.conversations.udp().first().ok_or_else(missing)?;
    let probes = udp.probes.iter().find(|series| series.run == record.run.id);
    let probes = probes.ok_or_else(missing)?;
    let (mut trace, _) = probes.trace(record.plan.loss_deadline(), record.plan.warmup());
    // A file does not tell how long somebody waited; the record does.
    trace.ended_at = record.wall.label(record.trace.ended_at);
    let figures = Figures::of(&trace, Carrier::of(record.address));
    let opinion = tshark::ask(path, record.local.port(), record.address.port())?;
    let mut compared = counts(measured, udp, &figures, opinion.as_ref());
    compared.extend(times(&measured.figures, &figures));
    if let Some(client) = rtp_of(record) {
        let file = udp.streams.iter().find(|stream| !stream.there);
        let file = file.map(|stream| stream.jitter).unwrap_or_default();
        compared.extend(rtp_jitter(client.jitter, file, opinion.as_ref()));
    }
    Ok(Verified {
        figures: compared,
        tshark: opinion.is_some(),
    })
}

fn counts(
    measured: &Measurement,
    udp: &Udp,
    file: &Figures,
    opinion: Option<&Opinion>,
) -> Vec<Compared> {
    let (record, own) = (&measured.record, &measured.figures);
    let (sent, sent_bytes) = sizes(record.trace.sent.iter().flatten().map(|sent| sent.bytes));
    let answered = record.trace.answers.iter();
    let answered = answered.filter_map(|answer| record.trace.departure(answer.sequence));
    let (answers, answer_bytes) = sizes(answered.map(|sent| sent.bytes));
    let lost = |figures: &Figures| u64::from(figures.lost + figures.late);
    // tshark knows neither a warm-up nor a deadline; and of the probes only the sequence number of
    // RTP, whose 16 bits begin anew.
    let numbered = record.plan.rtp() && record.plan.probes() <= RTP_SEQUENCE_NUMBERS;
    let decided = own.late == 0 && own.in_flight == 0;
    let comparable = numbered && decided && record.plan.warmup() == 0;
    let count = |(name, key), client, file, tshark: Option<u64>| Compared {
        name,
        key,
        client: Value::Count(client),
        file: Value::Count(file),
        tshark: tshark.map_or(Value::Blank, Value::Count),
        rounding: Duration::ZERO,
    };
    let o = opinion;
    vec![
        count(
            ("packets sent", "packets_sent"),
            sent,
            udp.there.packets,
            o.map(|o| o.sent),
        ),
        count(
            ("bytes sent", "bytes_sent"),
            sent_bytes,
            udp.there.bytes,
            o.map(|o| o.sent_bytes),
        ),
        count(
            ("answers", "answers"),
            answers,
            udp.back.packets,
            o.map(|o| o.answers),
        ),
        count(
            ("bytes of answers", "answer_bytes"),
            answer_bytes,
            udp.back.bytes,
            o.map(|o| o.answer_bytes),
        ),
        count(
            ("lost", "packets_lost"),
            lost(own),
            lost(file),
            o.filter(|_| comparable).map(|o| o.lost),
        ),
        count(
            ("duplicates", "duplicates"),
            own.duplicates,
            file.duplicates,
            None,
        ),
        count(
            ("reordered", "reordered"),
            own.reordered.into(),
            file.reordered.into(),
            None,
        ),
    ]
}

fn times(own: &Figures, file: &Figures) -> [Compared; 5] {
    let time = |name, key, client, file| Compared {
        name,
        key,
        client: Value::time(client),
        file: Value::time(file),
        tshark: Value::Blank,
        rounding: TIME_ROUNDING,
    };
    [
        time("RTT min", "rtt_min_ns", own.rtt.min(), file.rtt.min()),
        time("RTT mean", "rtt_mean_ns", own.rtt.mean(), file.rtt.mean()),
        time("RTT max", "rtt_max_ns", own.rtt.max(), file.rtt.max()),
        time(
            "jitter, mean |ΔRTT|",
            "ipdv_abs_mean_ns",
            own.ipdv_abs_mean,
            file.ipdv_abs_mean,
        ),
        time(
            "jitter, RFC 3550",
            "jitter_rfc3550_ns",
            own.jitter,
            file.jitter,
        ),
    ]
}

fn rtp_jitter(client: Jitter, file: Jitter, opinion: Option<&Opinion>) -> [Compared; 2] {
    let jitter = |(name, key), client, file, tshark: Option<Option<Duration>>| Compared {
        name,
        key,
        client: Value::time(client),
        file: Value::time(file),
        tshark: Value::time(tshark.flatten()),
        rounding: JITTER_ROUNDING,
    };
    let (mean, max) = (
        ("RTP jitter of the answers, mean", "rtp_jitter_mean_ns"),
        ("RTP jitter of the answers, max", "rtp_jitter_max_ns"),
    );
    [
        jitter(
            mean,
            client.mean(),
            file.mean(),
            opinion.map(|o| o.jitter_mean),
        ),
        jitter(max, client.max, file.max, opinion.map(|o| o.jitter_max)),
    ]
}

fn sizes(bytes: impl Iterator<Item = u16>) -> (u64, u64) {
    bytes.fold((0, 0), |(n, total), bytes| {
        (n + 1, total + u64::from(bytes))
    })
}

/// The stream of the answers as an RTP receiver in the client's place would have seen it.
fn rtp_of(record: &Record) -> Option<Stream> {
    let mut stream: Option<Stream> = None;
    for answer in record.plan.rtp().then_some(&record.trace.answers)? {
        let sent = record.trace.departure(answer.sequence)?;
        let rtp = Rtp::of_probe(answer.sequence, sent.at, record.nonce);
        let stream = stream.get_or_insert_with(|| Stream::new(false, &rtp));
        stream.add(record.wall.label(answer.at), &rtp);
    }
    stream
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_that_the_file_lacks_is_different_and_tshark_may_have_no_opinion() {
        let us = |us| Value::Time(Duration::from_micros(us));
        for (client, file, tshark, agree) in [
            (Value::Count(3), Value::Count(3), Value::Count(3), true),
            (Value::Count(3), Value::Count(3), Value::Blank, true),
            (Value::Count(3), Value::Count(4), Value::Blank, false),
            (Value::Blank, Value::Blank, Value::Blank, true),
            (us(10), Value::Blank, Value::Blank, false),
            (us(10), Value::Blank, us(10), false),
            (Value::Blank, us(10), us(10), false),
            (Value::Count(3), Value::Count(3), Value::Count(4), false),
            (us(10), us(10), us(11), true),
            (us(10), us(10), us(12), false),
        ] {
            let compared = Compared {
                name: "",
                key: "",
                client,
                file,
                tshark,
                rounding: JITTER_ROUNDING,
            };
            assert_eq!(compared.agrees(), agree, "{compared:?}");
        }
    }
}
