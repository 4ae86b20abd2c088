//! ping: sends ICMP echo requests and reports what came back.
//!
//! Read in this order: [`config`], [`session`] (which probe is in what state; pure), [`history`]
//! (what all of them amount to; pure), [`wire`] (probes and answers as bytes; pure), `probing` (the
//! loop between session and socket), [`report`] (the lines, JSON, CSV); [`sweep`] is the same for many
//! targets.

pub mod args;
pub mod assertion;
pub mod config;
pub mod history;
mod probing;
pub mod report;
pub mod session;
pub mod statistics;
pub mod sweep;
pub mod wire;
mod words;

use std::collections::VecDeque;
use std::io::{self, BufWriter};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result};
use netio::icmp::OpenError;
use netio::icmp::Tuning;
use netio::icmp::names::{resolve, zone};
use netio::icmp::open;
use netio::icmp::privileges::Privileges;
use netio::icmp::route;
use netio::icmp::wait::Signals;
use netio::usage::complain;
use netproto::icmp::Version;

use crate::config::{Config, Format};
use crate::probing::Probing;
use crate::report::{Destination, Report, failure};
use crate::session::{Session, Summary};
use crate::wire::Wire;

/// How many batches of events may wait for the report; a full queue makes the probing wait.
const WAITING_BATCHES: usize = 64;

/// Pings as `config` says and writes to standard output. Whether the host answered and all bounds
/// were kept.
pub fn run(config: &Config) -> Result<bool> {
    let privileges = Privileges::set_aside().context("cannot set privileges aside")?;
    if let Some(sweep) = &config.sweep {
        return sweep::run(config, sweep, privileges);
    }
    let probed = probe(config, privileges);
    if let Err(error) = &probed
        && config.output.format == Format::Json
    {
        // Whoever reads the objects gets a summary in any case; of an output that is gone, the
        // error itself tells.
        let _ = failure(&mut io::stdout(), &config.host, format!("{error:#}"));
    }
    let summary = probed?;
    let mut kept = true;
    for assertion in &config.assertions {
        if let Err(broken) = assertion.check(&summary) {
            complain("ping", broken);
            kept = false;
        }
    }
    Ok(summary.success && kept)
}

fn probe(config: &Config, privileges: Privileges) -> Result<Summary> {
    let signals = Signals::catch().context("cannot catch signals")?;
    let target = resolve(&config.host, config.version)?;
    let version = Version::of(target.ip());
    let (source, is_broadcast) = match route::source_for(target, &config.binding) {
        Err(OpenError::Broadcast(_)) if config.broadcast => {
            (route::source_for_broadcast(target, &config.binding)?, true)
        }
        Err(error @ OpenError::Broadcast(_)) => {
            return Err(error).context("give -b to ping all hosts of a network");
        }
        source => (source?, false),
    };
    let mut binding = config.binding.clone();
    if config.sticky {
        binding.source = Some(source);
    }
    privileges.take_up().context("cannot take up privileges")?;
    let mut endpoint = open::icmp_with_identifier(version, &binding, config.identifier)?;
    let tuning = Tuning {
        broadcast: is_broadcast,
        ..config.tuning
    };
    endpoint.tune(&tuning)?;
    privileges.give_up().context("cannot drop capabilities")?;
    if let Some(ttl) = config.ttl {
        endpoint.set_ttl(ttl).context("cannot set the TTL")?;
    }
    if config.output.user_latency {
        endpoint.ignore_departures().context("socket options")?;
    }
    let identifier = endpoint.identifier();
    let nonce = rand::random::<u64>().to_be_bytes();
    let wire = match &config.probe {
        Some(query) => Wire::of_interface(version, identifier, query.clone()),
        None => Wire::new(version, identifier, config.size, &config.pattern, nonce),
    };

    let out = BufWriter::new(io::stdout());
    let destination = Destination {
        address: target.ip(),
        zone: zone(target).or_else(|| binding.interface.clone()),
        of_many: is_broadcast || target.ip().is_multicast(),
    };
    if is_broadcast {
        complain("ping", "WARNING: pinging broadcast address");
    }
    let of_many = destination.of_many;
    let mut report = Report::new(config, destination, identifier, out);
    let bound = binding.interface.is_some() || binding.source.is_some();
    report.banner(config, bound.then_some(source))?;

    let (events, reported) = sync_channel(WAITING_BATCHES);
    thread::scope(|scope| {
        let reporting = scope.spawn(move || report.run(&reported));
        let probing = Probing {
            endpoint,
            target,
            of_many,
            binding: binding.clone(),
            wire,
            session: Session::new(config.plan.clone(), Instant::now()),
            signals: &signals,
            events,
            output: config.output,
            departing: VecDeque::new(),
            request: Vec::new(),
            untold: Vec::new(),
        };
        let summary = probing.run();
        match reporting.join() {
            // Nobody reads any more, as behind `ping | head`: not an error of this program.
            Ok(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Ok(written) => written.context("cannot write")?,
            Err(panic) => std::panic::resume_unwind(panic),
        }
        summary
    })
}
