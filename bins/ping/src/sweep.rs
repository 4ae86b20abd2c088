//! Many targets at once: one socket (one more where both IP versions occur), one pace. A pace that
//! is too fast for one core is kept by several lanes, each with its share of the targets.
//!
//! Read in this order: [`targets`], [`session`] (pure), `lane` (the loop between it and the
//! sockets), and what is told at the end, `report`.

mod lane;
mod report;
pub mod session;
pub mod targets;

use std::io::{self, BufWriter};
use std::num::NonZero;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::thread::{self, available_parallelism};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use netio::icmp::privileges::Privileges;
use netio::icmp::wait::Signals;
use netio::usage::complain;
use netproto::icmp::Version;

use self::lane::{Lane, Socket, Telling};
use self::session::{Plan, Session};
use self::targets::Cidr;
use crate::config::{Config, Format};
use crate::report::failure;

/// Probes that follow each other sooner are more than one core can send and hear: they are shared
/// among all that there are.
const LANES_BELOW: Duration = Duration::from_micros(20);
/// Fewer targets are not worth a thread.
const TARGETS_A_LANE: usize = 256;
const MOST_LANES: usize = 8;
/// How many probes a sweep may send in all; each is remembered.
const MOST_PROBES: u64 = 1 << 22;

/// A sweep.
#[derive(Debug, Clone)]
pub struct Sweep {
    /// Whom to probe.
    pub sources: Sources,
    /// How fast, how often, how long.
    pub plan: Plan,
    /// Of which targets to tell.
    pub show: Show,
}

/// Where targets come from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Names and addresses.
    pub hosts: Vec<String>,
    /// Networks, of which every host is a target.
    pub networks: Vec<Cidr>,
    /// A file with a name or address a line; `-` for standard input.
    pub file: Option<PathBuf>,
    /// Whether every address of a name is a target, not only the first.
    pub all_addresses: bool,
}

/// Of which targets to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// Of each, with its figures.
    All,
    /// The names of those that answered, as they do.
    Alive,
    /// The names of those that did not.
    Unreachable,
}

/// Sweeps. Whether every target answered and kept all bounds.
pub fn run(config: &Config, sweep: &Sweep, privileges: Privileges) -> Result<bool> {
    let most = if sweep.plan.spacing < LANES_BELOW && config.identifier.is_none() {
        available_parallelism()
            .map_or(1, NonZero::get)
            .min(MOST_LANES)
    } else {
        1
    };
    // Caught before names are looked up; each lane is woken by its own.
    let signals: Vec<Signals> = (0..most)
        .map(|_| Signals::catch())
        .collect::<io::Result<_>>()
        .context("cannot catch signals")?;
    let (targets, unknown) = targets::gather(&sweep.sources, config.version)?;
    let mut out = BufWriter::new(io::stdout());
    for error in &unknown {
        complain("ping", error);
        if config.output.format == Format::Json {
            failure(&mut out, error.host(), error.to_string())?;
        }
    }
    ensure!(!targets.is_empty(), "no targets");
    let probes = targets.len() as u64 * u64::from(sweep.plan.count.unwrap_or(1));
    ensure!(
        probes <= MOST_PROBES,
        "more than {MOST_PROBES} probes in one sweep"
    );

    let versions = [Version::V4, Version::V6].into_iter().filter(|version| {
        let mut all = targets.iter().map(|target| target.address.ip());
        all.any(|address| Version::of(address) == *version)
    });
    let versions: Vec<Version> = versions.collect();
    let count = signals.len().min(targets.len() / TARGETS_A_LANE).max(1);
    privileges.take_up().context("cannot take up privileges")?;
    let sockets: Vec<Vec<Socket>> = (0..count)
        .map(|_| {
            let open = |version| Socket::open(config, sweep, version);
            versions.iter().copied().map(open).collect()
        })
        .collect::<Result<_>>()?;
    privileges.give_up().context("cannot drop capabilities")?;

    let telling = Telling::new(config, sweep, out);
    let begin = Instant::now();
    let lanes = sockets.into_iter().zip(&signals).enumerate();
    let mut lanes: Vec<Lane<'_>> = lanes
        .map(|(nth, (sockets, signals))| {
            let mine = targets.iter().skip(nth).step_by(count).collect();
            let turn = nth as u32 * sweep.plan.spacing;
            let plan = Plan {
                spacing: count as u32 * sweep.plan.spacing,
                ..sweep.plan.clone()
            };
            Lane::new(sockets, mine, plan, begin + turn, signals, &telling)
        })
        .collect();
    let swept = run_all(&mut lanes).and_then(|()| {
        let sessions: Vec<&Session> = lanes.iter().map(|lane| &lane.session).collect();
        report::write(&mut *telling.out(), config, sweep.show, &targets, &sessions)
    });
    match swept {
        // Nobody reads any more, as behind `ping | head`: not an error of this program.
        Err(error) if is_broken_pipe(&error) => Ok(false),
        Ok(_) if !unknown.is_empty() => {
            anyhow::bail!("{} of the names lead nowhere", unknown.len())
        }
        swept => swept,
    }
}

/// Runs the lanes beside each other, the first of them on this thread, until all are over.
fn run_all(lanes: &mut [Lane<'_>]) -> Result<()> {
    let Some((first, others)) = lanes.split_first_mut() else {
        return Ok(());
    };
    thread::scope(|scope| {
        let others: Vec<_> = others
            .iter_mut()
            .map(|lane| scope.spawn(|| lane.run()))
            .collect();
        let mut ended = first.run();
        for other in others {
            let other = other.join();
            ended = ended.and(other.unwrap_or_else(|panic| resume_unwind(panic)));
        }
        ended
    })
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    kind == Some(io::ErrorKind::BrokenPipe)
}
