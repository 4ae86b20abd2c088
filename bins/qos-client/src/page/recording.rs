//! The events of one test, read back from what `--json` wrote.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::grade::Graded;

/// Lines that are read of a file: a million probes, and what tells of their progress.
const MAX_LINES: usize = 2_000_000;
/// Bytes of one line: the figures of a thousand clients take about three million.
const MAX_LINE_BYTES: u64 = 16 << 20;

/// Parts of one run.
const MAX_PARTS: usize = 16;

/// Why a file gives no recording.
#[derive(Debug, thiserror::Error)]
#[error("cannot make a report of {}: {reason}", .path.display())]
pub struct RecordingError {
    path: PathBuf,
    reason: Reason,
}

#[derive(Debug, thiserror::Error)]
enum Reason {
    #[error("{0}; make one with: qos-client udp --json > {default}", default = super::DEFAULT_EVENTS)]
    Unreadable(io::Error),
    #[error(
        "line {0} is no event of qos-client; a report needs what `qos-client udp --json` prints (a CSV file has no samples)"
    )]
    NoEvent(usize),
    #[error("it has more than one test (line {0}); keep each test in a file of its own")]
    SecondTest(usize),
    #[error("it has more than {MAX_LINES} lines")]
    TooManyLines,
    #[error("line {0} begins a further part of a run that has {MAX_PARTS}")]
    TooManyParts(usize),
    #[error("line {0} is longer than {MAX_LINE_BYTES} bytes")]
    LongLine(usize),
    #[error("it has no figures: the test did not end, or this is the analysis of a capture")]
    NoEnd,
}

/// What is used of a line. The rest of each event is for other readers.
#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Event {
    Start(Start),
    Sample(Sample),
    End(End),
    Interval,
    Capture,
    Flow,
    Compared,
}

/// What was ordered.
#[derive(Debug, Default, Deserialize)]
pub struct Start {
    /// `udp`, `http`, …
    pub command: String,
    /// RFC 3339.
    pub time_utc: String,
    /// 16 hexadecimal digits.
    pub run_id: String,
    /// As it was asked for.
    pub target: String,
    /// Name and version of the program that measured.
    pub tool: String,
}

/// One probe.
#[derive(Debug, Deserialize)]
pub struct Sample {
    /// Of which client.
    pub client: u32,
    /// In which part of the run, where it has several.
    #[serde(default)]
    pub phase: Option<String>,
    /// Which of its probes.
    pub sequence: u32,
    /// Not counted.
    pub warmup: bool,
    /// Since the first probe of the client left; of several parts of a run, since that of the first.
    pub sent_ns: Option<u64>,
    /// What became of it.
    pub fate: Fate,
    /// Of one that came back.
    pub rtt_ns: Option<u64>,
}

/// What became of a probe; as `figures::trace::Fate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It never left.
    Unsent,
    /// It came back in time.
    Answered,
    /// It came back too late: a loss.
    Late,
    /// It did not come back.
    Lost,
    /// Undecided when the test ended.
    InFlight,
}

impl Fate {
    /// Whether it counts as a loss; `None` when that is undecided.
    pub fn is_loss(self) -> Option<bool> {
        match self {
            Fate::Answered => Some(false),
            Fate::Late | Fate::Lost => Some(true),
            Fate::Unsent | Fate::InFlight => None,
        }
    }
}

/// How it ended.
#[derive(Debug, Default, Deserialize)]
pub struct End {
    /// One for each client.
    pub results: Vec<Outcome>,
    /// Of several clients.
    pub fairness_jain: Option<f64>,
    /// What was asserted.
    pub assertions: Vec<Asserted>,
}

/// The result of one client.
#[derive(Debug, Deserialize)]
pub struct Outcome {
    /// Figures in their classes.
    #[serde(default)]
    pub grades: Vec<Graded>,
    /// By the names of the CSV columns, times in nanoseconds.
    pub figures: Map<String, Value>,
    /// Why the run says less than it seems to.
    pub limits: Vec<String>,
    /// What else a reader must know.
    pub notes: Vec<String>,
    /// What went wrong.
    pub errors: Vec<String>,
}

impl Outcome {
    /// The number of this name.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.figures.get(name)?.as_f64()
    }
}

/// An assertion and its outcome.
#[derive(Debug, Deserialize)]
pub struct Asserted {
    /// As it was written.
    pub assertion: String,
    /// Whether it holds.
    pub holds: bool,
}

/// The parts of a run, told one after the other.
#[derive(Debug, Default)]
struct Parts {
    names: Vec<Option<String>>,
    /// When the part began, and the last probe so far left, in nanoseconds.
    began: u64,
    last: u64,
}

impl Parts {
    /// Puts a probe behind those of earlier parts, and says of which part it is; `None` beyond what
    /// a run can have.
    fn place(&mut self, sample: &mut Sample) -> Option<usize> {
        let known = self.names.iter().position(|name| *name == sample.phase);
        let part = match known {
            Some(part) => part,
            None if self.names.len() >= MAX_PARTS => return None,
            None => {
                self.names.push(sample.phase.clone());
                self.began = self.last;
                self.names.len() - 1
            }
        };
        sample.sent_ns = sample.sent_ns.map(|sent| sent.saturating_add(self.began));
        self.last = self.last.max(sample.sent_ns.unwrap_or_default());
        Some(part)
    }
}

/// One test.
#[derive(Debug, Default)]
pub struct Recording {
    /// What was ordered.
    pub start: Start,
    /// The probes of each client, and of each part of a run, that count, by sequence number.
    pub series: BTreeMap<(usize, u32), Vec<Sample>>,
    /// How it ended.
    pub end: End,
}

impl Recording {
    /// Reads a file of events.
    pub fn read(path: &Path) -> Result<Recording, RecordingError> {
        File::open(path)
            .map_err(Reason::Unreadable)
            .and_then(|file| Recording::of(BufReader::new(file)))
            .map_err(|reason| RecordingError {
                path: path.to_owned(),
                reason,
            })
    }

    fn of(mut input: BufReader<impl io::Read>) -> Result<Recording, Reason> {
        let (mut start, mut end) = (None, None);
        let mut series: BTreeMap<(usize, u32), Vec<Sample>> = BTreeMap::new();
        let mut parts = Parts::default();
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            let read = (&mut input)
                .take(MAX_LINE_BYTES)
                .read_until(b'\n', &mut line)
                .map_err(Reason::Unreadable)?;
            if read == 0 {
                break;
            }
            if number > MAX_LINES {
                return Err(Reason::TooManyLines);
            }
            if read as u64 == MAX_LINE_BYTES {
                return Err(Reason::LongLine(number));
            }
            match serde_json::from_slice(&line).map_err(|_| Reason::NoEvent(number))? {
                Event::Start(new) if start.is_none() => start = Some(new),
                Event::End(new) if end.is_none() => end = Some(new),
                Event::Start(_) | Event::End(_) => return Err(Reason::SecondTest(number)),
                Event::Sample(mut sample) => {
                    let part = parts
                        .place(&mut sample)
                        .ok_or(Reason::TooManyParts(number))?;
                    if !sample.warmup {
                        series
                            .entry((part, sample.client))
                            .or_default()
                            .push(sample);
                    }
                }
                Event::Interval | Event::Capture | Event::Flow | Event::Compared => {}
            }
        }
        let (Some(start), Some(end)) = (start, end) else {
            return Err(Reason::NoEnd);
        };
        for samples in series.values_mut() {
            samples.sort_by_key(|sample| sample.sequence);
        }
        Ok(Recording { start, series, end })
    }

    /// Every probe that counts.
    pub fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.series.values().flatten()
    }

    /// How many probes count as lost.
    pub fn losses(&self) -> usize {
        let lost = |sample: &&Sample| sample.fate.is_loss() == Some(true);
        self.samples().filter(lost).count()
    }

    /// The lengths of runs of losses, each with how often it came (RFC 3357). An undecided probe
    /// neither ends nor lengthens a run.
    pub fn loss_runs(&self) -> BTreeMap<u32, u32> {
        let mut runs = BTreeMap::new();
        for samples in self.series.values() {
            let mut length = 0;
            let fates = samples.iter().filter_map(|sample| sample.fate.is_loss());
            for lost in fates.chain([false]) {
                if lost {
                    length += 1;
                } else if length > 0 {
                    *runs.entry(length).or_default() += 1;
                    length = 0;
                }
            }
        }
        runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Recording, Reason> {
        Recording::of(BufReader::new(text.as_bytes()))
    }

    const START: &str = r#"{"event":"start","command":"udp","time_utc":"t","run_id":"r","target":"x","tool":"q","udp":null}"#;
    const END: &str = r#"{"event":"end","command":"udp","run_id":"r","results":[],"fairness_jain":null,"assertions":[]}"#;

    fn sample(sequence: u32, fate: &str) -> String {
        format!(
            r#"{{"event":"sample","client":1,"sequence":{sequence},"warmup":false,"sent_ns":0,"bytes":28,"fate":"{fate}","rtt_ns":null}}"#
        )
    }

    #[test]
    fn runs_of_losses_are_counted_by_length_and_end_with_the_test() {
        // Hand count: lost+late is a run of two, one alone, and two around one in flight.
        let fates = [
            "lost",
            "late",
            "answered",
            "lost",
            "answered",
            "lost",
            "in_flight",
            "lost",
        ];
        let samples: Vec<String> = (0..).zip(fates).map(|(n, fate)| sample(n, fate)).collect();
        let text = format!("{START}\n{}\n{END}\n", samples.join("\n"));
        let recording = read(&text).unwrap();
        assert_eq!(recording.losses(), 5);
        assert_eq!(recording.loss_runs(), BTreeMap::from([(1, 1), (2, 2)]));
    }

    #[test]
    fn what_is_not_one_whole_test_is_refused_with_its_line() {
        for (text, said) in [
            (
                "timestamp_utc,packets_sent\r\n".to_owned(),
                "line 1 is no event",
            ),
            (
                format!("{START}\n{{\"event\":\"sample\"}}"),
                "line 2 is no event",
            ),
            (
                format!("{START}\n{END}\n{START}\n"),
                "more than one test (line 3)",
            ),
            (format!("{START}\n"), "no figures"),
            (END.to_owned(), "no figures"),
            (String::new(), "no figures"),
        ] {
            let reason = read(&text).unwrap_err().to_string();
            assert!(reason.contains(said), "{text}: {reason}");
        }
    }

    #[test]
    fn an_input_without_end_is_left_at_a_bound() {
        let endless = Recording::of(BufReader::new(io::repeat(b' ')));
        assert!(matches!(endless, Err(Reason::LongLine(1))));
    }
}
