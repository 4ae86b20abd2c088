//! The text output, which is that of the Linux traceroute.

use std::io::{self, Write};
use std::net::IpAddr;
use std::path::Path;

use netio::icmp::open::words;
use netproto::icmp::Version;

use super::extras::Extras;
use super::face::{Face, Tells};
use super::json::{Ending, Start};
use super::{comparison, confirmation, extension};
use crate::compare::Comparison;
use crate::confirming::Confirmation;
use crate::diagnose::{Diagnosis, Finding};
use crate::probe::{Answer, Extension};
use crate::session::{Fate, MtuNote, Session};
use crate::silence::Suspect;
use crate::tracing::Event;

/// Writes the hops.
#[derive(Debug)]
pub struct Report<'a, W> {
    start: Start<'a>,
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

impl<'a, W: Write> Report<'a, W> {
    /// A report to `out`.
    pub fn new(
        start: Start<'a>,
        extras: Extras,
        diagnosis: Option<Diagnosis>,
        out: W,
    ) -> Report<'a, W> {
        Report {
            start,
            out,
            extras,
            printed: None,
            diagnosis,
            findings: Vec::new(),
        }
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
        Ok(())
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

impl<W: Write> Face for Report<'_, W> {
    fn begin(&mut self) -> io::Result<()> {
        let Start {
            host,
            target,
            max_hops,
            packet_octets,
            ..
        } = self.start;
        write!(
            self.out,
            "traceroute to {host} ({target}), {max_hops} hops max, {packet_octets} byte packets"
        )?;
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

impl<W: Write> Tells<Session> for Report<'_, W> {
    fn tell(&mut self, events: Vec<Event<Fate>>) -> io::Result<()> {
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
        self.out.flush()
    }

    fn may_wait(&self) -> bool {
        self.extras.may_wait()
    }

    fn conclude(&mut self, _: &Session) -> io::Result<()> {
        writeln!(self.out)?;
        if let Some(diagnosis) = &self.diagnosis {
            self.findings.extend(diagnosis.conclude());
        }
        for finding in &self.findings {
            writeln!(self.out, "{}", finding.line())?;
        }
        self.out.flush()
    }

    fn suspects(&self, _: &Session) -> Vec<Suspect> {
        let watched = self.diagnosis.as_ref();
        watched.map(Diagnosis::suspects).unwrap_or_default()
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
