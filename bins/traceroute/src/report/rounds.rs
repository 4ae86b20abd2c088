//! What repeated probing found, as `mtr --report` lays it out: a line for each change of the path
//! when it is seen, a table at the end.

use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use netio::icmp::open::words;
use netproto::icmp::Version;

use super::begun::Begun;
use super::extras::Extras;
use super::face::{Face, Tells};
use super::json::{Ending, Start};
use super::{comparison, confirmation};
use crate::compare::Comparison;
use crate::confirming::Confirmation;
use crate::rounds::{Change, Rounds, Shared};
use crate::silence::Suspect;
use crate::tracing::Event;

/// Writes the text.
#[derive(Debug)]
pub struct Table<'a, W> {
    start: Start<'a>,
    out: W,
    pub(super) extras: Extras,
    pub(super) begun: Begun,
}

impl<'a, W: Write> Table<'a, W> {
    /// A report to `out` about a run that began then.
    pub fn new(start: Start<'a>, extras: Extras, begun: Begun, out: W) -> Table<'a, W> {
        Table {
            start,
            out,
            extras,
            begun,
        }
    }

    /// What is probed, in a line.
    pub(super) fn title(&self) -> String {
        let Start {
            host,
            target,
            method,
            packet_octets,
            ..
        } = self.start;
        format!("traceroute to {host} ({target}) by {method}, {packet_octets} byte packets")
    }

    /// A line between the first and the table.
    pub(super) fn line(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.out, "{line}")?;
        self.out.flush()
    }

    fn table(&mut self, rounds: &Rounds) -> io::Result<()> {
        let silences = rounds.silences();
        let mut rows = Vec::new();
        for (ttl, hop) in rounds.hops() {
            let mut host = Vec::new();
            match hop.address() {
                Some(address) => self.extras.address(&mut host, address)?,
                None => host.extend_from_slice(b" *"),
            }
            if let (Some(address), Some(mark)) = (hop.address(), hop.mark)
                && let Some(sign) = mark.sign(Version::of(address))
            {
                write!(host, " {sign}")?;
            }
            if let Some(silence) = silences.iter().find(|it| it.ttl == ttl) {
                write!(host, " {}", silence.mark())?;
            }
            let mut others = Vec::new();
            for seen in hop.addresses() {
                if Some(seen.address) != hop.address() {
                    let mut also = Vec::from(*b"  ");
                    self.extras.address(&mut also, seen.address)?;
                    others.push((String::from_utf8_lossy(&also).into_owned(), seen.answers));
                }
            }
            let host = String::from_utf8_lossy(&host).into_owned();
            rows.push((ttl, host, &hop.figures, others));
        }
        let hosts = rows.iter().flat_map(|(_, host, _, others)| {
            std::iter::once(host).chain(others.iter().map(|(host, _)| host))
        });
        let width = hosts.map(|host| host.chars().count()).max();
        let width = width.unwrap_or(0);
        writeln!(
            self.out,
            "   {:width$}   Loss%    Snt     Last      Avg     Best     Wrst    StDev   Jitter",
            " ms"
        )?;
        let ms = |duration: Option<Duration>| duration.map(|it| it.as_secs_f64() * 1e3);
        for (ttl, host, figures, others) in &rows {
            write!(self.out, "{ttl:2} {host:width$}")?;
            match figures.loss_pct() {
                Some(loss) => write!(self.out, "  {loss:5.1}%")?,
                None => write!(self.out, "  {:>6}", "-")?,
            }
            write!(self.out, " {:6}", figures.sent())?;
            for figure in [
                ms(figures.last()),
                figures.mean_ms(),
                ms(figures.best()),
                ms(figures.worst()),
                figures.stdev_ms(),
                ms(figures.jitter()),
            ] {
                match figure {
                    Some(figure) => write!(self.out, " {figure:8.3}")?,
                    None => write!(self.out, " {:>8}", "-")?,
                }
            }
            writeln!(self.out)?;
            for (host, answers) in others {
                writeln!(self.out, "   {host:width$}  answered {answers}")?;
            }
        }
        for (ttl, _, figures, _) in &rows {
            if let Some(latest) = figures.latest() {
                let (late, after) = (figures.late_answers(), latest.as_secs_f64());
                let s = if late == 1 { "" } else { "s" };
                writeln!(
                    self.out,
                    "hop {ttl}: {late} answer{s} came too late and count as lost, the latest after {after:.1} s"
                )?;
            }
        }
        for silence in &silences {
            writeln!(self.out, "{}", silence.line())?;
        }
        self.out.flush()
    }
}

impl<W: Write> Face for Table<'_, W> {
    fn begin(&mut self) -> io::Result<()> {
        let Start { host, target, .. } = self.start;
        write!(self.out, "traceroute to {host} ({target}), ")?;
        if let Some(cycles) = self.start.cycles {
            let s = if cycles == 1 { "" } else { "s" };
            write!(self.out, "{cycles} cycle{s}, ")?;
        }
        writeln!(self.out, "{} byte packets", self.start.packet_octets)?;
        self.out.flush()
    }

    fn confirmed(&mut self, found: &[Confirmation], in_doubt: usize) -> io::Result<()> {
        confirmation::text(&mut self.out, found, in_doubt)
    }

    fn compared(&mut self, comparison: &Comparison, file: &Path) -> io::Result<()> {
        comparison::text(&mut self.out, comparison, file)
    }

    fn end(&mut self, _: Ending) -> io::Result<()> {
        Ok(())
    }

    fn take_extras(&mut self) -> Extras {
        std::mem::take(&mut self.extras)
    }
}

impl<W: Write> Tells<&Shared> for Table<'_, W> {
    fn tell(&mut self, events: Vec<Event<Change>>) -> io::Result<()> {
        for event in events {
            match event {
                Event::Heard(address) => self.extras.ask(address),
                Event::Told(change) => {
                    let line = self.begun.line(&change);
                    self.line(&line)?;
                }
                Event::NotSent(error) => {
                    writeln!(io::stderr(), "traceroute: send: {}", words(&error))?;
                }
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
            self.table(&rounds)?;
        }
        Ok(())
    }

    fn suspects(&self, rounds: &&Shared) -> Vec<Suspect> {
        rounds.lock().suspects()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_counts_the_cycles_as_one_speaks() {
        for (cycles, counted) in [(None, ""), (Some(1), "1 cycle, "), (Some(2), "2 cycles, ")] {
            let mut written = Vec::new();
            let start = Start {
                host: "a.example",
                target: [192, 0, 2, 1].into(),
                method: "udp",
                max_hops: 30,
                queries: 1,
                packet_octets: 60,
                at_unix_s: 0.0,
                cycles,
                confidence_pct: None,
            };
            let mut table = Table::new(start, Extras::default(), Begun::now(), &mut written);
            table.begin().unwrap();
            let line = format!("traceroute to a.example (192.0.2.1), {counted}60 byte packets\n");
            assert_eq!(String::from_utf8(written).unwrap(), line);
        }
    }
}
