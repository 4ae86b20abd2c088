//! The text output, which is that of the Linux traceroute.

use std::io::{self, Write};
use std::net::IpAddr;

use netio::icmp::names::Names;
use netio::icmp::open::words;
use netproto::icmp::Version;

use super::extension;
use crate::diagnose::{Diagnosis, Finding};
use crate::networks::Origins;
use crate::probe::{Answer, Extension};
use crate::session::{Fate, MtuNote};
use crate::silence::Suspect;
use crate::tracing::Event;

/// What is told besides addresses and times.
#[derive(Debug, Default)]
pub struct Extras {
    /// Names, unless nobody asks for them.
    pub names: Option<Names>,
    /// Autonomous systems, if somebody asks for them.
    pub origins: Option<Origins>,
    /// Whether the length of the way back is told where it differs.
    pub back: bool,
    /// Whether what routers append is told.
    pub extensions: bool,
}

/// Writes the hops.
#[derive(Debug)]
pub struct Report<W> {
    out: W,
    extras: Extras,
    /// What stands for the answer that was printed last on this line.
    printed: Option<Shown>,
    /// Watches the answers, if somebody wants to know.
    diagnosis: Option<Diagnosis>,
    findings: Vec<Finding>,
}

/// By what two answers on a line differ.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    from: IpAddr,
    extensions: Vec<Extension>,
    back: Option<u8>,
}

impl<W: Write> Report<W> {
    /// A report to `out`.
    pub fn new(extras: Extras, diagnosis: Option<Diagnosis>, out: W) -> Report<W> {
        Report {
            out,
            extras,
            printed: None,
            diagnosis,
            findings: Vec::new(),
        }
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
        max_ttl: u8,
        packet_len: u16,
    ) -> io::Result<()> {
        write!(
            self.out,
            "traceroute to {host} ({target}), {max_ttl} hops max, {packet_len} byte packets"
        )?;
        self.out.flush()
    }

    /// Writes what the events say until there are no more.
    pub fn run(&mut self, events: impl IntoIterator<Item = Event<Fate>>) -> io::Result<()> {
        for event in events {
            match event {
                Event::Heard(address) => self.extras.ask(address),
                Event::Told(fate) => {
                    if let Some(diagnosis) = &mut self.diagnosis {
                        self.findings.extend(diagnosis.watch(&fate));
                    }
                    self.fate(&fate)?;
                }
                Event::NotSent(error) => {
                    self.out.flush()?;
                    writeln!(io::stderr(), "\ntraceroute: send: {}", words(&error))?;
                }
            }
        }
        writeln!(self.out)?;
        if let Some(diagnosis) = &self.diagnosis {
            self.findings.extend(diagnosis.conclude());
        }
        for finding in &self.findings {
            writeln!(self.out, "{}", finding.line())?;
        }
        self.out.flush()
    }

    /// The hops whose silence is worth an experiment; none where nobody watched.
    pub fn suspects(&self) -> Vec<Suspect> {
        self.diagnosis
            .as_ref()
            .map(Diagnosis::suspects)
            .unwrap_or_default()
    }

    fn fate(&mut self, fate: &Fate) -> io::Result<()> {
        if fate.first_of_hop {
            self.printed = None;
            write!(self.out, "\n{:2} ", fate.ttl)?;
        }
        match (&fate.answer, fate.too_large_here) {
            (Some(answer), _) => self.answer(fate.ttl, answer)?,
            // The time that the Linux traceroute takes to hear it from its own kernel.
            (None, Some(mtu)) => write!(self.out, " *  0.000 ms !F-{mtu}")?,
            (None, None) => write!(self.out, " *")?,
        }
        match fate.note {
            Some(MtuNote::Told { mtu, .. }) => write!(self.out, " F={mtu}")?,
            Some(MtuNote::Found { mtu }) => write!(self.out, " F~{mtu}")?,
            None => {}
        }
        self.out.flush()
    }

    fn answer(&mut self, ttl: u8, answer: &Answer) -> io::Result<()> {
        let shown = Shown {
            from: answer.from,
            extensions: if self.extras.extensions {
                answer.told.extensions.clone()
            } else {
                Vec::new()
            },
            back: answer.told.ttl.filter(|_| self.extras.back),
        };
        if self.printed.as_ref() != Some(&shown) {
            self.extras.address(&mut self.out, shown.from)?;
            if !shown.extensions.is_empty() {
                write!(self.out, " <{}>", extension::line(&shown.extensions))?;
            }
            if let Some(hops) = shown.back.map(hops_back)
                && hops != u16::from(ttl)
            {
                write!(self.out, " '-{hops}'")?;
            }
            self.printed = Some(shown);
        }
        let ms = answer.rtt.as_secs_f64() * 1000.0;
        write!(self.out, "  {ms:.3} ms")?;
        match answer.mark.sign(Version::of(answer.from)) {
            Some(sign) => write!(self.out, " {sign}"),
            None => Ok(()),
        }
    }
}

/// How many hops an answer came, if it set out with a TTL of 64, 128 or 255 as most do.
pub fn hops_back(ttl: u8) -> u16 {
    let initial = match ttl {
        0..=64 => 64,
        65..=128 => 128,
        129.. => 255,
    };
    initial - u16::from(ttl) + 1
}

impl Extras {
    /// Begins to look up what will be asked for.
    pub fn ask(&mut self, address: IpAddr) {
        if let Some(names) = &mut self.names {
            names.ask(address);
        }
        if let Some(origins) = &mut self.origins {
            origins.ask(address);
        }
    }

    /// Name and systems of an address, as far as they are asked for and known.
    pub fn known(&mut self, address: IpAddr) -> (Option<String>, Option<String>) {
        let name = self.names.as_mut().and_then(|names| names.name(address));
        let name = name.map(str::to_owned);
        let origins = self.origins.as_mut();
        let origins = origins.and_then(|origins| origins.of(address));
        (name, origins.map(str::to_owned))
    }

    /// The same as far as it is known by now, without waiting.
    pub fn known_by_now(&mut self, address: IpAddr) -> (Option<String>, Option<String>) {
        let name = self.names.as_mut().and_then(|names| names.peek(address));
        let name = name.cloned();
        let origins = self.origins.as_mut();
        let origins = origins.and_then(|origins| origins.by_now(address));
        (name, origins.map(str::to_owned))
    }

    /// Writes an address as it is shown: with a name and its systems as far as they are asked for.
    pub(super) fn address(&mut self, out: &mut impl Write, address: IpAddr) -> io::Result<()> {
        match &mut self.names {
            None => write!(out, " {address}")?,
            Some(names) => match names.name(address) {
                Some(name) => write!(out, " {name} ({address})")?,
                None => write!(out, " {address} ({address})")?,
            },
        }
        match &mut self.origins {
            None => Ok(()),
            Some(origins) => match origins.of(address) {
                Some(numbers) => write!(out, " [{numbers}]"),
                None => write!(out, " [*]"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_is_counted_from_the_next_usual_ttl() {
        for (ttl, hops) in [
            (64, 1),
            (60, 5),
            (65, 64),
            (128, 1),
            (250, 6),
            (255, 1),
            (1, 64),
        ] {
            assert_eq!(hops_back(ttl), hops, "{ttl}");
        }
    }
}
