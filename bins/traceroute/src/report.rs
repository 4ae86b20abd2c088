//! The text output, which is that of the Linux traceroute.
//!
//! It runs beside the probing, and so do the look-ups of names, which begin when an address is
//! first heard.

use std::io::{self, Write};
use std::net::IpAddr;
use std::sync::mpsc::Receiver;

use netio::icmp::names::Names;
use netio::icmp::open::words;

use crate::session::Fate;

/// What happened to a trace.
#[derive(Debug)]
pub enum Event {
    /// An address answered; it may be printed later.
    Heard(IpAddr),
    /// The next probe in order, and what became of it.
    Fate(Fate),
    /// This host refused to send a probe.
    NotSent(io::Error),
}

/// Writes the hops.
#[derive(Debug)]
pub struct Report<W> {
    out: W,
    names: Option<Names>,
    /// The address printed last on this line.
    printed: Option<IpAddr>,
}

impl<W: Write> Report<W> {
    /// A report to `out`, with names unless `numeric`.
    pub fn new(numeric: bool, out: W) -> Report<W> {
        Report {
            out,
            names: (!numeric).then(Names::default),
            printed: None,
        }
    }

    /// The first line.
    pub fn banner(
        &mut self,
        host: &str,
        target: IpAddr,
        max_ttl: u8,
        packet_len: usize,
    ) -> io::Result<()> {
        write!(
            self.out,
            "traceroute to {host} ({target}), {max_ttl} hops max, {packet_len} byte packets"
        )?;
        self.out.flush()
    }

    /// Writes what the events say until there are no more.
    pub fn run(mut self, events: &Receiver<Event>) -> io::Result<()> {
        for event in events {
            match event {
                Event::Heard(address) => {
                    if let Some(names) = &mut self.names {
                        names.ask(address);
                    }
                }
                Event::Fate(fate) => self.fate(&fate)?,
                Event::NotSent(error) => {
                    self.out.flush()?;
                    writeln!(io::stderr(), "\ntraceroute: send: {}", words(&error))?;
                }
            }
        }
        writeln!(self.out)?;
        self.out.flush()
    }

    fn fate(&mut self, fate: &Fate) -> io::Result<()> {
        if fate.first_of_hop {
            self.printed = None;
            write!(self.out, "\n{:2} ", fate.ttl)?;
        }
        let Some(answer) = fate.answer else {
            write!(self.out, " *")?;
            return self.out.flush();
        };
        if self.printed != Some(answer.from) {
            self.address(answer.from)?;
            self.printed = Some(answer.from);
        }
        let ms = answer.rtt.as_secs_f64() * 1000.0;
        write!(self.out, "  {ms:.3} ms{}", answer.mark)?;
        self.out.flush()
    }

    fn address(&mut self, address: IpAddr) -> io::Result<()> {
        let Some(names) = &mut self.names else {
            return write!(self.out, " {address}");
        };
        match names.name(address) {
            Some(name) => write!(self.out, " {name} ({address})"),
            None => write!(self.out, " {address} ({address})"),
        }
    }
}
