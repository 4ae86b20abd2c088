//! What repeated probing found, as `mtr --report` lays it out: a line for each change of the path
//! when it is seen, a table at the end.

use std::io::{self, Write};
use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use netio::icmp::open::words;
use netproto::icmp::Version;

use super::text::Extras;
use crate::rounds::{Change, Rounds};
use crate::tracing::Event;

const SECONDS_A_DAY: u64 = 86_400;

/// When a run began, by both clocks; what happens later is told by the one that never steps.
#[derive(Debug, Clone, Copy)]
pub struct Begun {
    instant: Instant,
    wall: SystemTime,
}

impl Begun {
    /// Now.
    pub fn now() -> Begun {
        Begun {
            instant: Instant::now(),
            wall: SystemTime::now(),
        }
    }

    /// How long after the beginning, and the seconds since 1970 that it was then.
    pub fn when(&self, at: Instant) -> (Duration, f64) {
        let after = at.saturating_duration_since(self.instant);
        let unix = self.wall.duration_since(UNIX_EPOCH).unwrap_or_default() + after;
        (after, unix.as_secs_f64())
    }

    /// What changed, with its time.
    pub fn line(&self, change: &Change) -> String {
        let (after, unix) = self.when(change.at);
        format!(
            "{} UTC, after {:.1} s: {}",
            time_of_day(unix as u64),
            after.as_secs_f64(),
            change.what
        )
    }

    /// The time of day.
    pub fn clock(&self, at: Instant) -> String {
        format!("{} UTC", time_of_day(self.when(at).1 as u64))
    }
}

/// Writes the text.
#[derive(Debug)]
pub struct Table<W> {
    out: W,
    pub(super) extras: Extras,
    pub(super) begun: Begun,
}

impl<W: Write> Table<W> {
    /// A report to `out` about a run that began then.
    pub fn new(extras: Extras, begun: Begun, out: W) -> Table<W> {
        Table { out, extras, begun }
    }

    /// What knows names, for another report.
    pub fn into_extras(self) -> Extras {
        self.extras
    }

    /// The first line.
    pub fn banner(
        &mut self,
        host: &str,
        target: IpAddr,
        cycles: Option<u32>,
        packet_len: u16,
    ) -> io::Result<()> {
        write!(self.out, "traceroute to {host} ({target}), ")?;
        if let Some(cycles) = cycles {
            let s = if cycles == 1 { "" } else { "s" };
            write!(self.out, "{cycles} cycle{s}, ")?;
        }
        writeln!(self.out, "{packet_len} byte packets")?;
        self.out.flush()
    }

    /// A line between the first and the table.
    pub(super) fn line(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.out, "{line}")?;
        self.out.flush()
    }

    /// Writes what changes until the probing ends.
    pub fn run(&mut self, events: impl IntoIterator<Item = Event<Change>>) -> io::Result<()> {
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

    /// The table.
    pub fn table(&mut self, rounds: &Rounds) -> io::Result<()> {
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
            rows.push((
                ttl,
                String::from_utf8_lossy(&host).into_owned(),
                &hop.figures,
            ));
        }
        let width = rows.iter().map(|(_, host, _)| host.chars().count()).max();
        let width = width.unwrap_or(0);
        writeln!(
            self.out,
            "   {:width$}   Loss%    Snt     Last      Avg     Best     Wrst    StDev   Jitter",
            " ms"
        )?;
        let ms = |duration: Option<Duration>| duration.map(|it| it.as_secs_f64() * 1e3);
        for (ttl, host, figures) in rows {
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
        }
        for silence in &silences {
            writeln!(self.out, "{}", silence.line())?;
        }
        self.out.flush()
    }
}

/// Hours, minutes and seconds of UTC.
fn time_of_day(unix: u64) -> String {
    let second = unix % SECONDS_A_DAY;
    format!(
        "{:02}:{:02}:{:02}",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_counts_the_cycles_as_one_speaks() {
        let target: IpAddr = [192, 0, 2, 1].into();
        for (cycles, counted) in [(None, ""), (Some(1), "1 cycle, "), (Some(2), "2 cycles, ")] {
            let mut written = Vec::new();
            let mut table = Table::new(Extras::default(), Begun::now(), &mut written);
            table.banner("a.example", target, cycles, 60).unwrap();
            let line = format!("traceroute to a.example (192.0.2.1), {counted}60 byte packets\n");
            assert_eq!(String::from_utf8(written).unwrap(), line);
        }
    }

    #[test]
    fn the_time_of_day_is_that_of_date() {
        // date -u -d @1234567890
        assert_eq!(time_of_day(1_234_567_890), "23:31:30");
        assert_eq!(time_of_day(86_400), "00:00:00");
    }
}
