//! traceroute: finds the routers between here and a host.
//!
//! Read in this order: [`config`], [`probe`] (what is sent, what comes back), [`prober`] and
//! [`session`] (which probe is in what state; pure), [`wire`] (probes and answers as bytes; pure),
//! [`mark`] (what an answer says about the way), [`diagnose`] (what all answers say about the path;
//! pure), [`multipath`] (every path instead of one; pure), [`rounds`] (one path again and
//! again; pure), [`silence`] (what unanswered probes mean; pure), `sockets` and [`tracing`] (the
//! loop), [`confirming`] (experiments on silence), [`report`] (what is written).

pub mod args;
pub mod assertion;
pub mod config;
pub mod confirming;
pub mod diagnose;
pub mod mark;
pub mod multipath;
pub mod networks;
pub mod probe;
pub mod prober;
pub mod report;
pub mod rounds;
pub mod session;
pub mod silence;
mod sockets;
pub mod tracing;
pub mod wire;

use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use anyhow::{Context, Result};
use netio::icmp::names::{Names, resolve};
use netio::icmp::wait::Signals;
use netproto::icmp::Version;

use crate::config::{AllPaths, Config, Cycles};
use crate::confirming::Confirmation;
use crate::diagnose::Diagnosis;
use crate::multipath::Multipath;
use crate::networks::Origins;
use crate::prober::Prober;
use crate::report::confirmation;
use crate::report::json::{self, Json, Start};
use crate::report::live::Live;
use crate::report::rounds::Table;
use crate::report::text::{Extras, Report};
use crate::rounds::{Rounds, Shared};
use crate::session::{Plan, Session};
use crate::silence::Suspect;
use crate::sockets::Sockets;
use crate::tracing::Event;

/// How many events may wait for the report; a full queue makes the probing wait.
const WAITING_EVENTS: usize = 4096;
/// With `--report`: how many hops behind the farthest that answered are probed, if nothing else is
/// asked for.
const HOPS_LOOKED_AHEAD: u8 = 5;

/// Traces as `config` says and writes to standard output. Whether all bounds were kept.
pub fn run(config: &Config) -> Result<bool> {
    let signals = Signals::catch().context("cannot catch signals")?;
    let target = resolve(&config.host, config.version)?;
    let mut sockets = Sockets::open(config, target)?;
    if let Some(all_paths) = &config.all_paths {
        find_all_paths(config, all_paths, target, &mut sockets, &signals)?;
        return Ok(true);
    }
    if let Some(cycles) = &config.cycles {
        return repeat(config, cycles, target, &mut sockets, &signals);
    }
    trace(config, target, &mut sockets, &signals)?;
    Ok(true)
}

/// The ordinary trace.
fn trace(
    config: &Config,
    target: SocketAddr,
    sockets: &mut Sockets,
    signals: &Signals,
) -> Result<()> {
    let plan = config.plan_for(Version::of(target.ip()));
    let extras = extras(config)?;
    let traffic_class = config.traffic_class.unwrap_or(0);
    let out = BufWriter::new(io::stdout());
    if config.json {
        let start = start(config, target, &plan);
        let mut session = Session::new(plan);
        let mut report = Json::new(extras, traffic_class, out);
        let traced = beside(sockets, &mut session, signals, |told| {
            report.run(&start, told)
        });
        let suspects = report.suspects();
        let ending = confirm(config, sockets, signals, traced, &suspects, |found| {
            report.confirmations(found)
        });
        or_nobody_reads(report.summary(json::Ending::of(&ending)))?;
        return ending.map(|_| ());
    }
    let diagnosis = config.diagnose.then(|| Diagnosis::new(traffic_class));
    let mut report = Report::new(extras, diagnosis, out);
    report.banner(&config.host, target.ip(), plan.max_ttl, plan.packet_len)?;
    let mut session = Session::new(plan);
    let traced = beside(sockets, &mut session, signals, |told| report.run(told));
    let suspects = report.suspects();
    confirm(config, sockets, signals, traced, &suspects, |found| {
        confirmation::text(&mut io::stdout(), found, suspects.len())
    })
    .map(|_| ())
}

/// With `--confirm`, after probing that came to its end: makes the experiments and has them told.
fn confirm(
    config: &Config,
    sockets: &mut Sockets,
    signals: &Signals,
    probed: Result<tracing::Ending>,
    suspects: &[Suspect],
    tell: impl FnOnce(&[Confirmation]) -> io::Result<()>,
) -> Result<tracing::Ending> {
    let ending = probed?;
    if !config.confirm || ending == tracing::Ending::Interrupted {
        return Ok(ending);
    }
    let Some(found) = confirming::confirm(config, sockets, signals, suspects)? else {
        return Ok(tracing::Ending::Interrupted);
    };
    or_nobody_reads(tell(&found))?;
    Ok(ending)
}

/// The same path again and again. Whether all bounds were kept.
fn repeat(
    config: &Config,
    cycles: &Cycles,
    target: SocketAddr,
    sockets: &mut Sockets,
    signals: &Signals,
) -> Result<bool> {
    let plan = config.plan_for(Version::of(target.ip()));
    let extras = extras(config)?;
    let rounds = Rounds::new(rounds::Plan {
        first_ttl: plan.first_ttl,
        max_ttl: plan.max_ttl,
        cycles: cycles.count,
        interval: cycles.interval,
        waits: plan.waits,
        packet_len: plan.packet_len,
        gap: plan.gap.unwrap_or(HOPS_LOOKED_AHEAD),
    });
    let rounds = Shared::new(rounds);
    let mut probing = &rounds;
    let out = BufWriter::new(io::stdout());
    if config.json {
        let start = Start {
            queries: 1,
            cycles: cycles.count,
            ..start(config, target, &plan)
        };
        let mut report = Json::new(extras, config.traffic_class.unwrap_or(0), out);
        let probed = beside(sockets, &mut probing, signals, |told| {
            report.watch(&start, told)
        });
        or_nobody_reads(report.hops(&rounds.lock()))?;
        let suspects = rounds.lock().suspects();
        let ending = confirm(config, sockets, signals, probed, &suspects, |found| {
            report.confirmations(found)
        });
        or_nobody_reads(report.summary(json::Ending::of(&ending)))?;
        ending?;
    } else {
        let mut report = Table::new(extras, out);
        or_nobody_reads(report.banner(&config.host, target.ip(), cycles.count, plan.packet_len))?;
        let probed = if cycles.live {
            let title = title(config, target, &plan);
            let remote = signals.remote().context("cannot wake the probing")?;
            let mut live = Live::new(title, report, &rounds, remote);
            let probed = beside(sockets, &mut probing, signals, |told| {
                live.run(cycles.interval, told)
            })?;
            report = live.into_table();
            probed
        } else {
            beside(sockets, &mut probing, signals, |told| report.run(told))?
        };
        or_nobody_reads(report.table(&rounds.lock()))?;
        let suspects = rounds.lock().suspects();
        confirm(config, sockets, signals, Ok(probed), &suspects, |found| {
            confirmation::text(&mut io::stdout(), found, suspects.len())
        })?;
    }
    let rounds = rounds.lock();
    let mut kept = true;
    for assertion in &cycles.assertions {
        if let Err(broken) = assertion.check(&rounds) {
            eprintln!("traceroute: {broken}");
            kept = false;
        }
    }
    Ok(kept)
}

/// The line above what is shown live.
fn title(config: &Config, target: SocketAddr, plan: &Plan) -> String {
    format!(
        "traceroute to {} ({}) by {}, {} byte packets",
        config.host,
        target.ip(),
        config.method.name(),
        plan.packet_len
    )
}

fn extras(config: &Config) -> Result<Extras> {
    Ok(Extras {
        names: (!config.numeric).then(Names::default),
        origins: config.networks.as_ref().map(Origins::open).transpose()?,
        back: config.back,
        extensions: config.extensions,
    })
}

fn start<'a>(config: &'a Config, target: SocketAddr, plan: &Plan) -> Start<'a> {
    Start {
        host: &config.host,
        target: target.ip(),
        method: config.method.name(),
        max_hops: plan.max_ttl,
        queries: plan.queries,
        packet_octets: plan.packet_len,
        cycles: None,
    }
}

/// Every path instead of one.
fn find_all_paths(
    config: &Config,
    asked: &AllPaths,
    target: SocketAddr,
    sockets: &mut Sockets,
    signals: &Signals,
) -> Result<()> {
    let plan = config.plan_for(Version::of(target.ip()));
    let mut multipath = Multipath::new(multipath::Plan {
        first_ttl: plan.first_ttl,
        max_ttl: plan.max_ttl,
        window: plan.window,
        wait: plan.waits.max,
        packet_len: plan.packet_len,
        confidence: asked.confidence_pct / 100.0,
    });
    let (events, told) = sync_channel(WAITING_EVENTS);
    let graph = thread::scope(|scope| {
        let heard = scope.spawn(move || {
            told.iter().fold(None, |found, event| match event {
                Event::Told(graph) => Some(graph),
                Event::Heard(_) | Event::NotSent(_) => found,
            })
        });
        let traced = tracing::drive(sockets, &mut multipath, signals, &events);
        drop(events);
        match heard.join() {
            Ok(graph) => traced.map(|_| graph),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })?;
    let Some(graph) = graph else {
        anyhow::bail!("stopped before all paths were known");
    };
    let mut out = io::stdout();
    let told = if asked.dot {
        graph.dot()
    } else {
        format!(
            "paths to {} ({}), {} % sure of each router's next hops, {} probes\n{}",
            config.host,
            target.ip(),
            asked.confidence_pct,
            graph.probes,
            graph.text()
        )
    };
    or_nobody_reads(out.write_all(told.as_bytes()))
}

/// Traces, and reports in a thread beside it.
fn beside<P: Prober<Event: Send>>(
    sockets: &mut Sockets,
    prober: &mut P,
    signals: &Signals,
    report: impl FnOnce(&Receiver<Event<P::Event>>) -> io::Result<()> + Send,
) -> Result<tracing::Ending> {
    let (events, told) = sync_channel(WAITING_EVENTS);
    thread::scope(|scope| {
        let reporting = scope.spawn(move || report(&told));
        let traced = tracing::drive(sockets, prober, signals, &events);
        drop(events);
        match reporting.join() {
            Ok(written) => or_nobody_reads(written)?,
            Err(panic) => std::panic::resume_unwind(panic),
        }
        traced
    })
}

/// That nobody reads any more, as behind `traceroute | head`, is not an error of this program.
fn or_nobody_reads(written: io::Result<()>) -> Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write"),
    }
}
