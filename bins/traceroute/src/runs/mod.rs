//! A run from its first probe to its last line: what all kinds have in common. Each kind has a file:
//! `trace` (the ordinary one), `repeated` (`--report`, `--live`), `all_paths` (`--mda`).

mod all_paths;
mod repeated;
mod trace;

use std::io::{self, BufWriter, Stdout};
use std::net::SocketAddr;
use std::sync::mpsc::sync_channel;
use std::thread;

use anyhow::{Context, Result, anyhow};
use netio::icmp::names::{Names, resolve};
use netio::icmp::open::words;
use netio::icmp::wait::Signals;
use netproto::icmp::Version;

use crate::config::Config;
use crate::confirming::{self, Confirmation};
use crate::keeping::Keeping;
use crate::networks::Origins;
use crate::prober::Prober;
use crate::report::begun::Begun;
use crate::report::extras::Extras;
use crate::report::face::{Face, Tells};
use crate::report::json::{self, Json, Start};
use crate::report::record::Record;
use crate::session::Plan;
use crate::silence::Suspect;
use crate::sockets::Sockets;
use crate::tracing::{self, Ending, Event, Events};

/// How often the report may fall behind by all that one moment brought; a full queue makes the
/// probing wait.
const WAITING_EVENTS: usize = 1024;

/// What a run is made with.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    config: &'a Config,
    target: SocketAddr,
    plan: Plan,
    begun: Begun,
    sockets: Sockets,
    signals: Signals,
}

impl<'a> Run<'a> {
    /// As `config` says; nothing is probed yet.
    pub(crate) fn open(config: &'a Config) -> Result<Run<'a>> {
        let signals = Signals::catch().context("cannot catch signals")?;
        let target = resolve(&config.host, config.version)?;
        Ok(Run {
            config,
            target,
            plan: config.plan_for(Version::of(target.ip())),
            begun: Begun::now(),
            sockets: Sockets::open(config, target)?,
            signals,
        })
    }

    /// Probes and writes to standard output. Whether all bounds were kept.
    pub(crate) fn go(mut self) -> Result<bool> {
        if let Some(asked) = &self.config.all_paths {
            self.find_all_paths(asked)?;
            return Ok(true);
        }
        match &self.config.cycles {
            Some(cycles) => self.repeat(cycles),
            None => self.trace(),
        }
    }

    /// Probes, and has `face` tell it. Whether the path is that of `--compare`.
    fn told_by<P, F>(&mut self, prober: &mut P, face: &mut F, start: Start<'a>) -> Result<bool>
    where
        P: Prober<Event: Clone + Send>,
        F: Tells<P> + Send,
        Json<'a, Vec<u8>>: Tells<P>,
    {
        let keeping = Keeping::open(self.config)?;
        let mut record = Record::new(keeping.is_wanted());
        or_nobody_reads(face.begin())?;
        let probed = if face.may_wait() {
            self.beside(prober, &mut record, |events| face.listen(events))
        } else {
            self.in_turn(prober, &mut record, |events| face.tell(events))
        };
        or_nobody_reads(face.conclude(prober))?;
        let suspects = face.suspects(prober);
        let confirmed = probed.and_then(|ending| self.confirm(ending, &suspects));
        let (probed, found) = match confirmed {
            Ok((ending, found)) => (Ok(ending), found),
            Err(error) => (Err(error), None),
        };
        if let Some(found) = &found {
            or_nobody_reads(face.confirmed(found, suspects.len()))?;
        }
        let ending = json::Ending::of(&probed);
        let compared = keeping.finish(ending, || {
            let mut again = self.json(start, face.take_extras(), Vec::new());
            again.begin()?;
            again.tell(record.into_events())?;
            again.conclude(prober)?;
            if let Some(found) = &found {
                again.confirmed(found, suspects.len())?;
            }
            again.end(ending)?;
            Ok(again.into_out())
        });
        if let (Ok(Some(comparison)), Some(file)) = (&compared, &self.config.compare) {
            or_nobody_reads(face.compared(comparison, file))?;
        }
        or_nobody_reads(face.end(ending))?;
        probed?;
        Ok(compared?.is_none_or(|comparison| !comparison.is_another_path()))
    }

    /// Probes, and reports in between: no thread is started, and none waited for.
    fn in_turn<P: Prober<Event: Clone>>(
        &mut self,
        prober: &mut P,
        record: &mut Record<P::Event>,
        mut report: impl FnMut(Vec<Event<P::Event>>) -> io::Result<()>,
    ) -> Result<Ending> {
        let mut written = Ok(());
        let tell = |batch: Vec<_>| {
            record.keep(&batch);
            written = report(batch);
            written.is_ok()
        };
        let probed = tracing::drive(&mut self.sockets, prober, &self.signals, tell);
        or_nobody_reads(written)?;
        probed
    }

    /// Probes, and reports in a thread beside it.
    fn beside<P: Prober<Event: Clone + Send>>(
        &mut self,
        prober: &mut P,
        record: &mut Record<P::Event>,
        report: impl FnOnce(&Events<P::Event>) -> io::Result<()> + Send,
    ) -> Result<Ending> {
        let (batches, events) = sync_channel(WAITING_EVENTS);
        thread::scope(|scope| {
            let reporting = scope.spawn(move || report(&events));
            let tell = |batch: Vec<_>| {
                record.keep(&batch);
                batches.send(batch).is_ok()
            };
            let probed = tracing::drive(&mut self.sockets, prober, &self.signals, tell);
            drop(batches);
            match reporting.join() {
                Ok(written) => or_nobody_reads(written)?,
                Err(panic) => std::panic::resume_unwind(panic),
            }
            probed
        })
    }

    /// With `--confirm`, after probing that came to its end: makes the experiments.
    fn confirm(
        &mut self,
        ending: Ending,
        suspects: &[Suspect],
    ) -> Result<(Ending, Option<Vec<Confirmation>>)> {
        if !self.config.confirm || ending == Ending::Interrupted {
            return Ok((ending, None));
        }
        let found = confirming::confirm(self.config, &mut self.sockets, &self.signals, suspects)?;
        let ending = found.as_ref().map_or(Ending::Interrupted, |_| ending);
        Ok((ending, found))
    }

    /// What is known before the first probe.
    fn start(&self) -> Start<'a> {
        Start {
            host: &self.config.host,
            target: self.target.ip(),
            method: self.config.method.name(),
            max_hops: self.plan.max_ttl,
            queries: self.plan.queries,
            packet_octets: self.plan.packet_len,
            at_unix_s: self.begun.unix(),
            cycles: None,
            confidence_pct: None,
        }
    }

    fn extras(&self) -> Result<Extras> {
        let networks = self.config.networks.as_ref();
        Ok(Extras {
            names: (!self.config.numeric).then(Names::default),
            origins: networks.map(Origins::open).transpose()?,
            back: self.config.back,
            extensions: self.config.extensions,
        })
    }

    fn json<W: io::Write>(&self, start: Start<'a>, extras: Extras, out: W) -> Json<'a, W> {
        Json::new(start, self.begun, extras, self.traffic_class(), out)
    }

    fn traffic_class(&self) -> u8 {
        self.config.traffic_class.unwrap_or(0)
    }
}

/// Where a run is told.
fn out() -> BufWriter<Stdout> {
    BufWriter::new(io::stdout())
}

/// That nobody reads any more, as behind `traceroute | head`, is not an error of this program.
fn or_nobody_reads(written: io::Result<()>) -> Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| anyhow!("cannot write: {}", words(&error))),
    }
}
