//! The lines of iputils.

use std::io::{self, Write};
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use netio::icmp::names::Names;
use netproto::icmp::Version;

use super::quality::write_quality;
use super::{Destination, Event, Reply, ReplyFate};
use crate::config::{Config, Output};
use crate::session::{Loss, Summary};
use crate::wire::Damage;
use crate::words::{describe, interface_words, state_words};

/// Writes iputils' lines.
#[derive(Debug)]
pub(super) struct Text<W> {
    out: W,
    output: Output,
    host: String,
    target: Destination,
    identifier: u16,
    names: Option<Names>,
}

impl<W: Write> Text<W> {
    pub(super) fn new(config: &Config, target: Destination, identifier: u16, out: W) -> Text<W> {
        let mut names = (!config.numeric()).then(Names::default);
        if let Some(names) = &mut names {
            // The answer is likely to be there when the first reply needs it.
            names.ask(target.address);
        }
        Text {
            out,
            output: config.output,
            host: config.host.clone(),
            target,
            identifier,
            names,
        }
    }

    /// The first line.
    pub(super) fn banner(&mut self, config: &Config, source: Option<IpAddr>) -> io::Result<()> {
        if !config.pattern.is_empty() && !self.output.quiet {
            write!(self.out, "PATTERN: 0x")?;
            for octet in &config.pattern {
                write!(self.out, "{octet:02x}")?;
            }
            writeln!(self.out)?;
        }
        let address = self.zoned(self.target.address);
        if let Some(query) = &config.probe {
            let interface = interface_words(query);
            writeln!(self.out, "PROBE {} ({address}) {interface}", self.host)?;
            return self.out.flush();
        }
        write!(self.out, "PING {} ({address}) ", self.host)?;
        if let Some(source) = source {
            let interface = config.binding.interface.as_deref().unwrap_or_default();
            write!(self.out, "from {source} {interface}: ")?;
        }
        let size = config.size;
        match Version::of(self.target.address) {
            // The data, and the datagram with its IP and ICMP headers.
            Version::V4 => writeln!(self.out, "{size}({}) bytes of data.", size + 28)?,
            Version::V6 => writeln!(self.out, "{size} data bytes")?,
        }
        self.out.flush()
    }

    /// A line of another face.
    pub(super) fn line(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.out, "{line}")
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    pub(super) fn event(&mut self, event: &Event) -> io::Result<()> {
        let Output { quiet, flood, .. } = self.output;
        match event {
            Event::Sent if flood && !quiet => write!(self.out, "."),
            Event::NotSent(_) if flood && !quiet => write!(self.out, "E"),
            Event::NotSent(why) if !quiet => {
                self.out.flush()?;
                writeln!(io::stderr(), "ping: {why}")
            }
            Event::Reply(reply) if flood && !quiet => match reply.damage {
                Some(Damage::Checksum) => write!(self.out, "\u{8}C"),
                _ => write!(self.out, "\u{8} \u{8}"),
            },
            Event::Reply(reply) if !quiet => self.reply(reply),
            Event::Error { .. } if flood && !quiet => write!(self.out, "\u{8}E"),
            Event::Error {
                wall,
                from,
                sequence,
                reason,
            } if !quiet => {
                self.wall_clock(*wall)?;
                let from = self.address(*from);
                let what = describe(Version::of(self.target.address), *reason);
                writeln!(self.out, "From {from} icmp_seq={sequence} {what}")
            }
            Event::Outstanding { wall, sequence } if !quiet => {
                self.wall_clock(*wall)?;
                writeln!(self.out, "no answer yet for icmp_seq={sequence}")
            }
            Event::Status(summary) => {
                self.out.flush()?;
                writeln!(io::stderr(), "\r{}", status_line(summary))
            }
            Event::End(summary) => self.summary(summary),
            _ => Ok(()),
        }
    }

    fn reply(&mut self, reply: &Reply) -> io::Result<()> {
        self.wall_clock(reply.wall)?;
        let from = self.address(reply.from);
        let Reply { len, sequence, .. } = reply;
        write!(self.out, "{len} bytes from {from}: icmp_seq={sequence}")?;
        if self.output.verbose {
            write!(self.out, " ident={}", self.identifier)?;
        }
        if let Some(ttl) = reply.ttl {
            write!(self.out, " ttl={ttl}")?;
        }
        if reply.damage == Some(Damage::Truncated) {
            return writeln!(self.out, " (truncated)");
        }
        if let Some(state) = reply.interface {
            write!(self.out, " {}", state_words(state))?;
        }
        if let Some(trip) = reply.trip {
            let time = if self.output.precise {
                three_decimals(trip.rtt)
            } else {
                shrinking_ms(trip.rtt)
            };
            write!(self.out, " time={time} ms")?;
        }
        // As iputils, nobody is told that of a group more than one answers.
        if reply.fate == ReplyFate::Duplicate && !self.target.address.is_multicast() {
            write!(self.out, " (DUP!)")?;
        }
        if reply.damage == Some(Damage::Checksum) {
            write!(self.out, " (BAD CHECKSUM!)")?;
        }
        if reply.from != self.target.address && !self.target.of_many {
            write!(self.out, " (DIFFERENT ADDRESS!)")?;
        }
        if let Some(Damage::Data { at, sent, received }) = reply.damage {
            write!(
                self.out,
                "\nwrong data byte #{at} should be 0x{sent:x} but was 0x{received:x}"
            )?;
        }
        if self.output.audible {
            write!(self.out, "\u{7}")?;
        }
        writeln!(self.out)
    }

    fn wall_clock(&mut self, wall: SystemTime) -> io::Result<()> {
        if !self.output.wall_clock {
            return Ok(());
        }
        let since = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (seconds, us) = (since.as_secs(), since.subsec_micros());
        write!(self.out, "[{seconds}.{us:06}] ")
    }

    fn address(&mut self, address: IpAddr) -> String {
        match self.names.as_mut().and_then(|names| names.name(address)) {
            Some(name) => {
                let name = name.to_owned();
                format!("{name} ({})", self.zoned(address))
            }
            None => self.zoned(address),
        }
    }

    /// The address, if it is a link-local one with the interface that it is on.
    fn zoned(&self, address: IpAddr) -> String {
        let link_local = match address {
            IpAddr::V4(_) => false,
            IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.is_multicast(),
        };
        match &self.target.zone {
            Some(zone) if link_local => format!("{address}%{zone}"),
            _ => address.to_string(),
        }
    }

    fn summary(&mut self, summary: &Summary) -> io::Result<()> {
        let tally = summary.tally;
        writeln!(self.out, "\n--- {} ping statistics ---", self.host)?;
        write!(
            self.out,
            "{} packets transmitted, {} received",
            summary.transmitted, tally.received
        )?;
        for (count, what) in [
            (tally.duplicates, "duplicates"),
            (tally.corrupted, "corrupted"),
            (tally.errors, "errors"),
        ] {
            if count > 0 {
                write!(self.out, ", +{count} {what}")?;
            }
        }
        if summary.transmitted > 0 {
            match told_apart(summary) {
                0 => {}
                in_flight => write!(self.out, ", {in_flight} in flight")?,
            }
            write!(
                self.out,
                ", {}% packet loss, time {}ms",
                six_digits(summary.loss().percent),
                (summary.elapsed + Duration::from_micros(500)).as_millis()
            )?;
        }
        writeln!(self.out)?;
        let mut figures = Vec::new();
        if let Some(rtt) = summary.rtt {
            let [min, mean, max, mdev] = [rtt.min, rtt.mean, rtt.max, rtt.mdev].map(three_decimals);
            figures.push(format!(
                "rtt min/avg/max/mdev = {min}/{mean}/{max}/{mdev} ms"
            ));
        }
        if summary.pipe > 1 {
            figures.push(format!("pipe {}", summary.pipe));
        }
        if let (Some(gap), Some(rtt)) = (summary.gap, summary.rtt) {
            let [gap, ewma] = [gap, rtt.ewma].map(three_decimals);
            figures.push(format!("ipg/ewma {gap}/{ewma} ms"));
        }
        writeln!(self.out, "{}", figures.join(", "))?;
        if self.output.statistics {
            write_quality(&mut self.out, summary)?;
        }
        self.out.flush()
    }
}

/// Probes in flight, where they would change the percentage.
fn told_apart(summary: &Summary) -> u64 {
    // Leaving some out changes nothing only if all or none of the rest were lost.
    let Loss { lost, known, .. } = summary.loss();
    let changes_nothing = summary.in_flight == 0 || (lost == known && known > 0);
    if changes_nothing {
        0
    } else {
        summary.in_flight
    }
}

fn status_line(summary: &Summary) -> String {
    let received = summary.tally.received;
    let percent = summary.loss().percent as u64;
    let rtt = summary.rtt.map_or_else(String::new, |rtt| {
        let [min, mean, ewma, max] = [rtt.min, rtt.mean, rtt.ewma, rtt.max].map(three_decimals);
        format!(", min/avg/ewma/max = {min}/{mean}/{ewma}/{max} ms")
    });
    let transmitted = summary.transmitted;
    format!("{received}/{transmitted} packets, {percent}% loss{rtt}")
}

/// Milliseconds with three decimals, two from 1 ms on, one from 10 ms on, none from 100 ms on.
fn shrinking_ms(rtt: Duration) -> String {
    let us = rtt.as_micros();
    let (decimals, unit) = match us {
        99_950.. => (0, 1000),
        9_995.. => (1, 100),
        1_000.. => (2, 10),
        _ => (3, 1),
    };
    // Rounded half up to the last digit shown.
    let rounded = (us + unit / 2) / unit * unit;
    format!("{:.decimals$}", rounded as f64 / 1000.0)
}

pub(crate) fn three_decimals(duration: Duration) -> String {
    let us = duration.as_micros();
    format!("{}.{:03}", us / 1000, us % 1000)
}

/// As C's `%g`: six significant digits, no zeros at the end.
fn six_digits(percent: f64) -> String {
    let whole_digits = if percent >= 100.0 {
        3
    } else if percent >= 10.0 {
        2
    } else {
        1
    };
    let text = format!("{percent:.*}", 6 - whole_digits);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_shrink_at_1_10_and_100_milliseconds() {
        for (us, text) in [
            (0, "0.000"),
            (48, "0.048"),
            (999, "0.999"),
            (1_000, "1.00"),
            (1_004, "1.00"),
            (1_005, "1.01"),
            (9_994, "9.99"),
            (9_995, "10.0"),
            (10_049, "10.0"),
            (10_050, "10.1"),
            (99_949, "99.9"),
            (99_950, "100"),
            (100_499, "100"),
            (100_500, "101"),
            (1_234_567, "1235"),
        ] {
            assert_eq!(shrinking_ms(Duration::from_micros(us)), text, "{us} us");
        }
    }

    #[test]
    fn percentages_are_printed_as_by_percent_g() {
        for (lost, of, text) in [
            (0, 3, "0"),
            (1, 3, "33.3333"),
            (2, 3, "66.6667"),
            (1, 2, "50"),
            (1, 30, "3.33333"),
            (3, 3, "100"),
            (1, 1000, "0.1"),
        ] {
            assert_eq!(six_digits(f64::from(lost) * 100.0 / f64::from(of)), text);
        }
    }
}
