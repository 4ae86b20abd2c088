//! CSV: of a trace a row for each probe, of a report a row for each hop. Changes of the path and
//! refusals of this host go to standard error.

use std::io::{self, Write};
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use netio::icmp::open::words;
use netproto::icmp::Version;
use serde::Serialize;

use super::begun::Begun;
use super::extras::Extras;
use super::face::{Face, Tells};
use super::json::Ending;
use super::{comparison, confirmation, extension};
use crate::compare::Comparison;
use crate::confirming::Confirmation;
use crate::rounds::{Change, Rounds, Shared};
use crate::session::{Fate, MtuNote, Session};
use crate::silence::Suspect;
use crate::tracing::Event;

/// A probe; one that nobody answered has no address.
#[derive(Debug, Default, Serialize)]
struct ProbeRow {
    ttl: u8,
    /// Of the hop's, from 1.
    probe: u8,
    address: Option<IpAddr>,
    name: Option<String>,
    autonomous_systems: Option<String>,
    rtt_ms: Option<String>,
    mark: Option<String>,
    returned_ttl: Option<u8>,
    seen_traffic_class: Option<u8>,
    extensions: Option<String>,
    mtu_octets: Option<u32>,
}

/// A hop of a report.
#[derive(Debug, Serialize)]
struct HopRow {
    ttl: u8,
    address: Option<IpAddr>,
    name: Option<String>,
    autonomous_systems: Option<String>,
    mark: Option<String>,
    sent: u64,
    answered: u64,
    late: u64,
    loss_pct: Option<String>,
    last_ms: Option<String>,
    mean_ms: Option<String>,
    best_ms: Option<String>,
    worst_ms: Option<String>,
    stdev_ms: Option<String>,
    jitter_ms: Option<String>,
}

/// Writes the rows, below their names.
#[derive(Debug)]
pub struct Csv<W: Write> {
    out: csv::Writer<W>,
    extras: Extras,
    begun: Begun,
    /// Which of its hop's the latest probe was, from 1.
    probe: u8,
}

impl<W: Write> Csv<W> {
    /// Rows to `out` about a run that began then.
    pub fn new(extras: Extras, begun: Begun, out: W) -> Csv<W> {
        Csv {
            out: csv::Writer::from_writer(out),
            extras,
            begun,
            probe: 0,
        }
    }

    fn probe(&mut self, fate: &Fate) -> ProbeRow {
        self.probe = if fate.first_of_hop { 1 } else { self.probe + 1 };
        let row = ProbeRow {
            ttl: fate.ttl,
            probe: self.probe,
            mtu_octets: match fate.note {
                Some(MtuNote::Told { mtu, .. }) => Some(mtu),
                Some(MtuNote::Found { mtu }) => Some(u32::from(mtu)),
                None => fate.too_large_here,
            },
            ..ProbeRow::default()
        };
        let Some(answer) = &fate.answer else {
            return row;
        };
        let (name, autonomous_systems) = self.extras.known(answer.from);
        let told = &answer.told;
        let extensions = (!told.extensions.is_empty()).then(|| extension::line(&told.extensions));
        ProbeRow {
            address: Some(answer.from),
            name: name.map(no_formula),
            autonomous_systems,
            rtt_ms: ms(Some(answer.rtt)),
            mark: answer.mark.sign(Version::of(answer.from)),
            returned_ttl: told.ttl,
            seen_traffic_class: told.quote.map(|quote| quote.traffic_class),
            extensions: extensions.map(no_formula),
            ..row
        }
    }

    fn hops(&mut self, rounds: &Rounds) -> io::Result<()> {
        for (ttl, hop) in rounds.hops() {
            let address = hop.address();
            let known = address.map(|address| self.extras.known(address));
            let (name, autonomous_systems) = known.unwrap_or_default();
            let figures = &hop.figures;
            self.out.serialize(HopRow {
                ttl,
                address,
                name: name.map(no_formula),
                autonomous_systems,
                mark: address.and_then(|it| hop.mark?.sign(Version::of(it))),
                sent: figures.sent(),
                answered: figures.answers(),
                late: figures.late_answers(),
                loss_pct: figures.loss_pct().map(three_decimals),
                last_ms: ms(figures.last()),
                mean_ms: figures.mean_ms().map(three_decimals),
                best_ms: ms(figures.best()),
                worst_ms: ms(figures.worst()),
                stdev_ms: figures.stdev_ms().map(three_decimals),
                jitter_ms: ms(figures.jitter()),
            })?;
        }
        self.out.flush()
    }
}

impl<W: Write> Face for Csv<W> {
    fn begin(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// On standard error: between rows it would be none.
    fn confirmed(&mut self, found: &[Confirmation], in_doubt: usize) -> io::Result<()> {
        confirmation::text(&mut io::stderr(), found, in_doubt)
    }

    /// On standard error as well.
    fn compared(&mut self, comparison: &Comparison, file: &Path) -> io::Result<()> {
        comparison::text(&mut io::stderr(), comparison, file)
    }

    fn end(&mut self, _: Ending) -> io::Result<()> {
        Ok(())
    }

    fn take_extras(&mut self) -> Extras {
        std::mem::take(&mut self.extras)
    }
}

impl<W: Write> Tells<Session> for Csv<W> {
    fn tell(&mut self, events: Vec<Event<Fate>>) -> io::Result<()> {
        for event in events {
            match event {
                Event::Heard(address) => self.extras.ask(address),
                Event::NotSent(error) => not_sent(&error)?,
                Event::Told(fate) => {
                    let row = self.probe(&fate);
                    self.out.serialize(row)?;
                }
            }
        }
        self.out.flush()
    }

    fn may_wait(&self) -> bool {
        self.extras.may_wait()
    }

    fn conclude(&mut self, _: &Session) -> io::Result<()> {
        Ok(())
    }

    /// None: nobody watches.
    fn suspects(&self, _: &Session) -> Vec<Suspect> {
        Vec::new()
    }
}

impl<W: Write> Tells<&Shared> for Csv<W> {
    fn tell(&mut self, events: Vec<Event<Change>>) -> io::Result<()> {
        for event in events {
            match event {
                Event::Heard(address) => self.extras.ask(address),
                Event::NotSent(error) => not_sent(&error)?,
                Event::Told(change) => writeln!(io::stderr(), "{}", self.begun.line(&change))?,
            }
        }
        Ok(())
    }

    fn may_wait(&self) -> bool {
        self.extras.may_wait()
    }

    fn conclude(&mut self, rounds: &&Shared) -> io::Result<()> {
        let rounds = rounds.lock();
        if rounds.has_begun() {
            self.hops(&rounds)?;
        }
        Ok(())
    }

    fn suspects(&self, rounds: &&Shared) -> Vec<Suspect> {
        rounds.lock().suspects()
    }
}

fn not_sent(error: &io::Error) -> io::Result<()> {
    writeln!(io::stderr(), "traceroute: send: {}", words(error))
}

fn ms(duration: Option<Duration>) -> Option<String> {
    duration.map(|it| three_decimals(it.as_secs_f64() * 1e3))
}

fn three_decimals(figure: f64) -> String {
    format!("{figure:.3}")
}

/// Text that a spreadsheet will not take for a formula: names come from strangers.
fn no_formula(text: String) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{text}")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mark::Mark;
    use crate::probe::{Answer, Extension, Told};

    #[test]
    fn a_row_for_each_probe_has_what_was_told_and_no_formula() {
        let interface = Extension::Other {
            class: 2,
            kind: 6,
            payload: vec![0xab],
        };
        let answer = Answer {
            from: [10, 0, 0, 2].into(),
            rtt: Duration::from_micros(1_234),
            mark: Mark::Passing,
            told: Told {
                ttl: Some(64),
                quote: None,
                extensions: vec![interface],
            },
        };
        let fate = |answer, first_of_hop| Fate {
            ttl: 1,
            first_of_hop,
            answer,
            too_large_here: None,
            note: None,
            sent: None,
        };
        let events = [fate(Some(answer), true), fate(None, false)].map(Event::Told);
        let mut csv = Csv::new(Extras::default(), Begun::now(), Vec::new());
        Tells::<Session>::tell(&mut csv, events.into()).unwrap();
        let text = String::from_utf8(csv.out.into_inner().unwrap()).unwrap();
        assert_eq!(
            text,
            "ttl,probe,address,name,autonomous_systems,rtt_ms,mark,returned_ttl,\
             seen_traffic_class,extensions,mtu_octets\n\
             1,1,10.0.0.2,,,1.234,,64,,2/6:ab,\n\
             1,2,,,,,,,,,\n"
        );
        for (name, cell) in [("=1+1", "'=1+1"), ("-x", "'-x"), ("a.example", "a.example")] {
            assert_eq!(no_formula(name.to_owned()), cell);
        }
    }
}
