//! The trace as JSON, an object a line: `start`, a `hop` for each, `finding`s, and a `summary` in
//! every ending; of repeated probing `change`s and `hop_report`s instead. The schema is in docs/traceroute.schema.json.

mod line;

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use netio::icmp::open::words;
use netproto::icmp::Version;

pub use self::line::{Ending, Start, VERSION};
use self::line::{Experiment, Line, Probability, Row, Seen, changed, kind, thousandths};
use super::begun::Begun;
use super::extras::Extras;
use super::face::{Face, Tells};
use super::{confirmation, extension};
use crate::compare::Comparison;
use crate::confirming::{Confirmation, PACE};
use crate::diagnose::{Diagnosis, Finding, What};
use crate::mark::Mark;
use crate::multipath::Graph;
use crate::probe::Answer;
use crate::rounds::{Change, Rounds, Shared};
use crate::session::{Fate, MtuNote, Session};
use crate::silence::Suspect;
use crate::silence::hypotheses::Hypothesis;
use crate::tracing::Event;

/// Writes the lines.
#[derive(Debug)]
pub struct Json<'a, W> {
    start: Start<'a>,
    begun: Begun,
    out: W,
    extras: Extras,
    diagnosis: Diagnosis,
    findings: Vec<Finding>,
    rows: Vec<Row>,
    ttl: u8,
    reached: bool,
    probes: u64,
    answered: u64,
    /// Of every path: whether no limit ended the search.
    all_paths: Option<bool>,
}

impl<'a, W: Write> Json<'a, W> {
    /// A report to `out` about probes that leave with this DSCP and ECN.
    pub fn new(
        start: Start<'a>,
        begun: Begun,
        extras: Extras,
        traffic_class: u8,
        out: W,
    ) -> Json<'a, W> {
        Json {
            start,
            begun,
            out,
            extras,
            diagnosis: Diagnosis::new(traffic_class),
            findings: Vec::new(),
            rows: Vec::new(),
            ttl: 0,
            reached: false,
            probes: 0,
            answered: 0,
            all_paths: None,
        }
    }

    /// What it was written to.
    pub fn into_out(self) -> W {
        self.out
    }

    /// Of repeated probing: a line for each hop.
    fn hops(&mut self, rounds: &Rounds) -> io::Result<()> {
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
                late: figures.late_answers(),
                latest_ms: ms(figures.latest()),
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

    /// A line for each hop on which experiments were made.
    fn confirmations(&mut self, confirmations: &[Confirmation]) -> io::Result<()> {
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
    pub fn graph(&mut self, graph: Option<&Graph>) -> io::Result<()> {
        self.begin()?;
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

    fn not_sent(&mut self, error: &io::Error) -> io::Result<()> {
        self.line(&Line::NotSent {
            reason: words(error),
        })
    }

    fn line(&mut self, line: &Line<'_>) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, line)?;
        self.out.write_all(b"\n")?;
        self.out.flush()
    }
}

impl<W: Write> Face for Json<'_, W> {
    fn begin(&mut self) -> io::Result<()> {
        let start = self.start;
        self.line(&Line::Start {
            version: VERSION,
            start: &start,
        })
    }

    fn confirmed(&mut self, found: &[Confirmation], _: usize) -> io::Result<()> {
        self.confirmations(found)
    }

    fn compared(&mut self, comparison: &Comparison, _: &Path) -> io::Result<()> {
        for difference in &comparison.differences {
            self.line(&Line::Difference {
                kind: difference.kind(),
                is_of_the_path: difference.is_of_the_path(),
                text: difference.to_string(),
            })?;
        }
        Ok(())
    }

    fn end(&mut self, ending: Ending) -> io::Result<()> {
        self.summary(ending)
    }

    fn take_extras(&mut self) -> Extras {
        std::mem::take(&mut self.extras)
    }
}

impl<W: Write> Tells<Session> for Json<'_, W> {
    fn tell(&mut self, events: Vec<Event<Fate>>) -> io::Result<()> {
        for event in events {
            match event {
                Event::Heard(address) => self.extras.ask(address),
                Event::NotSent(error) => self.not_sent(&error)?,
                Event::Told(fate) => {
                    if fate.first_of_hop {
                        self.hop()?;
                        self.ttl = fate.ttl;
                    }
                    self.findings.extend(self.diagnosis.watch(&fate));
                    let row = self.row(fate);
                    self.rows.push(row);
                }
            }
        }
        Ok(())
    }

    fn may_wait(&self) -> bool {
        self.extras.may_wait()
    }

    fn conclude(&mut self, _: &Session) -> io::Result<()> {
        self.hop()?;
        let mut findings = std::mem::take(&mut self.findings);
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

    fn suspects(&self, _: &Session) -> Vec<Suspect> {
        self.diagnosis.suspects()
    }
}

impl<W: Write> Tells<&Shared> for Json<'_, W> {
    fn tell(&mut self, events: Vec<Event<Change>>) -> io::Result<()> {
        for event in events {
            match event {
                Event::Heard(address) => self.extras.ask(address),
                Event::NotSent(error) => self.not_sent(&error)?,
                Event::Told(change) => self.line(&changed(&change, self.begun))?,
            }
        }
        Ok(())
    }

    fn may_wait(&self) -> bool {
        self.extras.may_wait()
    }

    fn conclude(&mut self, rounds: &&Shared) -> io::Result<()> {
        self.hops(&rounds.lock())
    }

    fn suspects(&self, rounds: &&Shared) -> Vec<Suspect> {
        rounds.lock().suspects()
    }
}
