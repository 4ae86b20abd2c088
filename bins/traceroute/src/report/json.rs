//! The trace as JSON, an object a line: `start`, a `hop` for each, `finding`s, and a `summary` in
//! every ending; of repeated probing `change`s and `hop_report`s instead. The schema is in docs/traceroute.schema.json.

use std::io::{self, Write};
use std::net::IpAddr;
use std::time::Duration;

use netio::icmp::open::words;
use netproto::icmp::Version;
use serde::Serialize;

use super::rounds::Begun;
use super::text::Extras;
use super::{confirmation, extension};
use crate::compare::Comparison;
use crate::confirming::{Confirmation, PACE};
use crate::diagnose::{Diagnosis, Finding, What};
use crate::mark::Mark;
use crate::multipath::Graph;
use crate::probe::Answer;
use crate::rounds::{Change, Rounds, change};
use crate::session::{Fate, MtuNote};
use crate::silence::hypotheses::Hypothesis;
use crate::silence::{Silence, Suspect};
use crate::tracing::{self, Event};

/// Of the format; rises when a field changes its meaning or goes.
pub const VERSION: u32 = 1;

/// What is known before the first probe.
#[derive(Debug, Serialize)]
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
enum Line<'a> {
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
struct Seen {
    address: IpAddr,
    answered: u64,
}

#[derive(Debug, Serialize)]
struct Row {
    address: Option<IpAddr>,
    name: Option<String>,
    origin: Option<String>,
    rtt_ms: Option<f64>,
    mark: Option<String>,
    returned_ttl: Option<u8>,
    seen_traffic_class: Option<u8>,
    extensions: Option<String>,
    mtu_octets: Option<u32>,
}

/// Why a hop's silence is no loss.
#[derive(Debug, Serialize)]
struct SilenceFigures {
    sent: u64,
    answered: u64,
    burst: Option<usize>,
    interval_ms: Option<f64>,
    interval_least_ms: Option<f64>,
    interval_most_ms: Option<f64>,
    beyond_ttl: Option<u8>,
    beyond_sent: Option<u64>,
    beyond_answered: Option<u64>,
    chance: f64,
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
struct Probability {
    name: &'static str,
    probability: f64,
}

/// What an experiment on a hop's silence came to.
#[derive(Debug, Serialize)]
struct Experiment {
    name: &'static str,
    interval_ms: f64,
    sent: u64,
    answered: u64,
}

/// Writes the lines.
#[derive(Debug)]
pub struct Json<W> {
    out: W,
    extras: Extras,
    diagnosis: Diagnosis,
    rows: Vec<Row>,
    ttl: u8,
    reached: bool,
    probes: u64,
    answered: u64,
    /// Of every path: whether no limit ended the search.
    all_paths: Option<bool>,
}

impl<W: Write> Json<W> {
    /// A report to `out` about probes that leave with this DSCP and ECN.
    pub fn new(extras: Extras, traffic_class: u8, out: W) -> Json<W> {
        Json {
            out,
            extras,
            diagnosis: Diagnosis::new(traffic_class),
            rows: Vec::new(),
            ttl: 0,
            reached: false,
            probes: 0,
            answered: 0,
            all_paths: None,
        }
    }

    /// What knows names, for another report; this one tells no more addresses.
    pub fn take_extras(&mut self) -> Extras {
        std::mem::take(&mut self.extras)
    }

    /// What it was written to.
    pub fn into_out(self) -> W {
        self.out
    }

    /// Writes the first line, and what the events say until there are no more.
    pub fn run(
        &mut self,
        start: &Start<'_>,
        events: impl IntoIterator<Item = Event<Fate>>,
    ) -> io::Result<()> {
        self.line(&Line::Start {
            version: VERSION,
            start,
        })?;
        let mut findings = Vec::new();
        for event in events {
            match event {
                Event::Heard(address) => self.extras.ask(address),
                Event::NotSent(error) => self.line(&Line::NotSent {
                    reason: words(&error),
                })?,
                Event::Told(fate) => {
                    if fate.first_of_hop {
                        self.hop()?;
                        self.ttl = fate.ttl;
                    }
                    findings.extend(self.diagnosis.watch(&fate));
                    let row = self.row(fate);
                    self.rows.push(row);
                }
            }
        }
        self.hop()?;
        findings.extend(self.diagnosis.conclude());
        for finding in findings {
            self.line(&Line::Finding {
                ttl: finding.ttl,
                kind: kind(&finding),
                text: finding.line(),
                figures: match &finding.what {
                    What::Silence(silence) => Some(silence.into()),
                    _ => None,
                },
            })?;
        }
        Ok(())
    }

    /// Of repeated probing: the first line, and a line for each change until the probing ends.
    pub fn watch(
        &mut self,
        start: &Start<'_>,
        begun: Begun,
        events: impl IntoIterator<Item = Event<Change>>,
    ) -> io::Result<()> {
        self.line(&Line::Start {
            version: VERSION,
            start,
        })?;
        for event in events {
            match event {
                Event::Heard(address) => self.extras.ask(address),
                Event::NotSent(error) => self.line(&Line::NotSent {
                    reason: words(&error),
                })?,
                Event::Told(change) => {
                    self.line(&changed(&change, begun))?;
                }
            }
        }
        Ok(())
    }

    /// Of repeated probing: a line for each hop.
    pub fn hops(&mut self, rounds: &Rounds) -> io::Result<()> {
        self.reached = rounds.target().is_some();
        for (ttl, hop) in rounds.hops() {
            let address = hop.address();
            let (name, origin) = address.map_or((None, None), |it| self.extras.known(it));
            let figures = &hop.figures;
            let ms =
                |duration: Option<Duration>| duration.map(|it| thousandths(it.as_secs_f64() * 1e3));
            let addresses = hop.addresses().iter().map(|seen| Seen {
                address: seen.address,
                answered: seen.answers,
            });
            let addresses = addresses.collect();
            self.ttl = ttl;
            self.probes += figures.sent();
            self.answered += figures.answers();
            self.line(&Line::HopReport {
                ttl,
                address,
                name,
                origin,
                mark: address.and_then(|it| hop.mark?.sign(Version::of(it))),
                sent: figures.sent(),
                answered: figures.answers(),
                loss_pct: figures.loss_pct().map(thousandths),
                last_ms: ms(figures.last()),
                mean_ms: figures.mean_ms().map(thousandths),
                best_ms: ms(figures.best()),
                worst_ms: ms(figures.worst()),
                stdev_ms: figures.stdev_ms().map(thousandths),
                jitter_ms: ms(figures.jitter()),
                addresses,
            })?;
        }
        for silence in rounds.silences() {
            self.line(&Line::Finding {
                ttl: silence.ttl,
                kind: silence.kind(),
                text: silence.line(),
                figures: Some((&silence).into()),
            })?;
        }
        Ok(())
    }

    /// The hops whose silence is worth an experiment.
    pub fn suspects(&self) -> Vec<Suspect> {
        self.diagnosis.suspects()
    }

    /// A line for each hop on which experiments were made.
    pub fn confirmations(&mut self, confirmations: &[Confirmation]) -> io::Result<()> {
        for confirmation in confirmations {
            let Confirmation {
                suspect,
                slow_pace,
                verdict,
                ..
            } = confirmation;
            let experiment = |(name, _, tally): confirmation::Row| {
                let tally = tally?;
                let interval = if name == "slower" { *slow_pace } else { PACE };
                Some(Experiment {
                    name,
                    interval_ms: thousandths(interval.as_secs_f64() * 1e3),
                    sent: tally.sent,
                    answered: tally.answered,
                })
            };
            let hypotheses = verdict.probabilities.into_iter().flat_map(|probabilities| {
                let probability = |(it, probability): (Hypothesis, f64)| Probability {
                    name: it.name(),
                    probability,
                };
                Hypothesis::ALL
                    .into_iter()
                    .zip(probabilities)
                    .map(probability)
            });
            self.line(&Line::Confirmation {
                ttl: suspect.ttl,
                address: suspect.address,
                survivor: verdict.survivor().map(Hypothesis::name),
                hypotheses: hypotheses.collect(),
                experiments: confirmation::rows(confirmation)
                    .into_iter()
                    .filter_map(experiment)
                    .collect(),
            })?;
        }
        Ok(())
    }

    /// How it differs from a trace that was saved.
    pub fn comparison(&mut self, comparison: &Comparison) -> io::Result<()> {
        for difference in &comparison.differences {
            self.line(&Line::Difference {
                kind: difference.kind(),
                is_of_the_path: difference.is_of_the_path(),
                text: difference.to_string(),
            })?;
        }
        Ok(())
    }

    /// The last line.
    pub fn summary(&mut self, ending: Ending) -> io::Result<()> {
        self.line(&Line::Summary {
            ending,
            reached: self.reached,
            last_ttl: self.ttl,
            probes: self.probes,
            answered: self.answered,
            all_paths: self.all_paths,
        })
    }

    /// Of every path: the first line, the routers and which follow which; or the first line only,
    /// where a signal came before that was known.
    pub fn graph(&mut self, start: &Start<'_>, graph: Option<&Graph>) -> io::Result<()> {
        self.line(&Line::Start {
            version: VERSION,
            start,
        })?;
        let Some(graph) = graph else {
            return Ok(());
        };
        for ((ttl, address), node) in &graph.nodes {
            self.ttl = *ttl;
            self.answered += u64::from(node.answered);
            self.reached |= node.mark == Mark::Arrived;
            self.line(&Line::Router {
                ttl: *ttl,
                address: *address,
                answered: node.answered,
                unanswered: node.unanswered,
                best_ms: thousandths(node.least_rtt.as_secs_f64() * 1e3),
                mark: node.mark.sign(Version::of(*address)),
                balances_packets: graph.per_packet.contains(ttl),
            })?;
        }
        for (ttl, from, to) in &graph.edges {
            self.line(&Line::Edge {
                ttl: *ttl,
                from: *from,
                to: *to,
            })?;
        }
        self.probes = graph.probes as u64;
        self.all_paths = Some(!graph.incomplete);
        Ok(())
    }

    fn hop(&mut self) -> io::Result<()> {
        let probes = std::mem::take(&mut self.rows);
        if probes.is_empty() {
            return Ok(());
        }
        self.line(&Line::Hop {
            ttl: self.ttl,
            probes: &probes,
        })
    }

    fn row(&mut self, fate: Fate) -> Row {
        self.probes += 1;
        let mtu_octets = match fate.note {
            Some(MtuNote::Told { mtu, .. }) => Some(mtu),
            Some(MtuNote::Found { mtu }) => Some(u32::from(mtu)),
            None => fate.too_large_here,
        };
        let Some(Answer {
            from,
            rtt,
            mark,
            told,
        }) = fate.answer
        else {
            return Row {
                address: None,
                name: None,
                origin: None,
                rtt_ms: None,
                mark: None,
                returned_ttl: None,
                seen_traffic_class: None,
                extensions: None,
                mtu_octets,
            };
        };
        self.answered += 1;
        self.reached |= mark == Mark::Arrived;
        let (name, origin) = self.extras.known(from);
        Row {
            address: Some(from),
            name,
            origin,
            rtt_ms: Some(thousandths(rtt.as_secs_f64() * 1e3)),
            mark: mark.sign(Version::of(from)),
            returned_ttl: told.ttl,
            seen_traffic_class: told.quote.map(|quote| quote.traffic_class),
            extensions: (!told.extensions.is_empty()).then(|| extension::line(&told.extensions)),
            mtu_octets,
        }
    }

    fn line(&mut self, line: &Line<'_>) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, line)?;
        self.out.write_all(b"\n")?;
        self.out.flush()
    }
}

fn changed(change: &Change, begun: Begun) -> Line<'static> {
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
fn thousandths(figure: f64) -> f64 {
    (figure * 1e3).round() / 1e3
}

fn kind(finding: &Finding) -> &'static str {
    match finding.what {
        What::Nat(_) => "nat",
        What::TrafficClass { .. } => "traffic_class",
        What::Mtu { .. } => "mtu",
        What::BlackHole { .. } => "black_hole",
        What::WayBack { .. } => "way_back",
        What::Silence(silence) => silence.kind(),
    }
}
