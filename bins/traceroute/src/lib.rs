//! traceroute: finds the routers between here and a host.
//!
//! Read in this order: [`config`], [`probe`] (what is sent, what comes back), [`prober`] and
//! [`session`] (which probe is in what state; pure), [`wire`] (probes and answers as bytes; pure),
//! [`mark`] (what an answer says about the way), [`diagnose`] (what all answers say about the path;
//! pure), [`multipath`] (every path instead of one; pure), [`rounds`] (one path again and
//! again; pure), [`silence`] (what unanswered probes mean; pure), `sockets` and [`tracing`] (the
//! loop), [`confirming`] (experiments on silence), [`report`] (what is written), [`compare`] (a path
//! held against a saved one; pure).

pub mod args;
pub mod assertion;
pub mod compare;
pub mod config;
pub mod confirming;
pub mod diagnose;
mod keeping;
pub mod mark;
pub mod multipath;
pub mod networks;
pub mod probe;
pub mod prober;
pub mod report;
pub mod rounds;
mod save;
pub mod session;
pub mod silence;
mod sockets;
pub mod tracing;
pub mod wire;

use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result};
use netio::icmp::names::{Names, resolve};
use netio::icmp::wait::Signals;
use netio::usage::complain;
use netproto::icmp::Version;

use crate::compare::Comparison;
use crate::config::{AllPaths, Config, Cycles};
use crate::confirming::Confirmation;
use crate::diagnose::Diagnosis;
use crate::keeping::Keeping;
use crate::multipath::Multipath;
use crate::networks::Origins;
use crate::prober::Prober;
use crate::report::confirmation;
use crate::report::csv::Csv;
use crate::report::json::{self, Json, Start};
use crate::report::live::Live;
use crate::report::record::Record;
use crate::report::rounds::{Begun, Table};
use crate::report::text::{Extras, Report};
use crate::rounds::{Change, Rounds, Shared};
use crate::session::{Fate, Plan, Session};
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
    trace(config, target, &mut sockets, &signals)
}

/// The ordinary trace. Whether the path is that of `--compare`.
fn trace(
    config: &Config,
    target: SocketAddr,
    sockets: &mut Sockets,
    signals: &Signals,
) -> Result<bool> {
    let plan = config.plan_for(Version::of(target.ip()));
    let keeping = Keeping::open(config)?;
    let mut record = Record::new(keeping.is_wanted());
    let extras = extras(config)?;
    let traffic_class = config.traffic_class.unwrap_or(0);
    let start = start(config, target, &plan);
    let again = |extras, record: Record<Fate>, ending| {
        let mut again = Json::new(extras, traffic_class, Vec::new());
        again.run(&start, record.into_events())?;
        again.summary(ending)?;
        Ok(again.into_out())
    };
    let out = BufWriter::new(io::stdout());
    if config.json {
        let mut session = Session::new(plan);
        let mut report = Json::new(extras, traffic_class, out);
        let traced = beside(sockets, &mut session, signals, |told| {
            report.run(&start, told.iter().inspect(|event| record.keep(event)))
        });
        let ending = json::Ending::of(&traced);
        let suspects = report.suspects();
        let traced = confirm(config, sockets, signals, traced, &suspects, |found| {
            report.confirmations(found)
        });
        let compared = keeping.finish(ending, || again(report.take_extras(), record, ending));
        return end_json(report, traced, compared);
    }
    if config.csv {
        let mut session = Session::new(plan);
        let mut report = Csv::new(extras, out);
        let traced = beside(sockets, &mut session, signals, |told| {
            report.trace(told.iter().inspect(|event| record.keep(event)))
        });
        let ending = json::Ending::of(&traced);
        traced?;
        let compared = keeping.finish(ending, || again(report.into_extras(), record, ending))?;
        return tell_comparison(config, compared);
    }
    let diagnosis = config.diagnose.then(|| Diagnosis::new(traffic_class));
    let mut report = Report::new(extras, diagnosis, out);
    report.banner(&config.host, target.ip(), plan.max_ttl, plan.packet_len)?;
    let mut session = Session::new(plan);
    let traced = beside(sockets, &mut session, signals, |told| {
        report.run(told.iter().inspect(|event| record.keep(event)))
    });
    let ending = json::Ending::of(&traced);
    let suspects = report.suspects();
    confirm(config, sockets, signals, traced, &suspects, |found| {
        confirmation::text(&mut io::stdout(), found, suspects.len())
    })?;
    let compared = keeping.finish(ending, || again(report.into_extras(), record, ending))?;
    tell_comparison(config, compared)
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

/// The same path again and again. Whether all bounds were kept and the path is that of
/// `--compare`.
fn repeat(
    config: &Config,
    cycles: &Cycles,
    target: SocketAddr,
    sockets: &mut Sockets,
    signals: &Signals,
) -> Result<bool> {
    let plan = config.plan_for(Version::of(target.ip()));
    let keeping = Keeping::open(config)?;
    let mut record = Record::new(keeping.is_wanted());
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
    let begun = Begun::now();
    let start = Start {
        queries: 1,
        cycles: cycles.count,
        ..start(config, target, &plan)
    };
    let traffic_class = config.traffic_class.unwrap_or(0);
    let again = |extras, record: Record<Change>, ending| {
        let mut again = Json::new(extras, traffic_class, Vec::new());
        again.watch(&start, begun, record.into_events())?;
        again.hops(&rounds.lock())?;
        again.summary(ending)?;
        Ok(again.into_out())
    };
    let out = BufWriter::new(io::stdout());
    let is_the_path = if config.json {
        let mut report = Json::new(extras, traffic_class, out);
        let probed = beside(sockets, &mut probing, signals, |told| {
            report.watch(
                &start,
                begun,
                told.iter().inspect(|event| record.keep(event)),
            )
        });
        or_nobody_reads(report.hops(&rounds.lock()))?;
        let ending = json::Ending::of(&probed);
        let suspects = rounds.lock().suspects();
        let probed = confirm(config, sockets, signals, probed, &suspects, |found| {
            report.confirmations(found)
        });
        let compared = keeping.finish(ending, || again(report.take_extras(), record, ending));
        end_json(report, probed, compared)?
    } else if config.csv {
        let mut report = Csv::new(extras, out);
        let probed = beside(sockets, &mut probing, signals, |told| {
            report.watch(begun, told.iter().inspect(|event| record.keep(event)))
        });
        let ending = json::Ending::of(&probed);
        probed?;
        or_nobody_reads(report.hops(&rounds.lock()))?;
        let compared = keeping.finish(ending, || again(report.into_extras(), record, ending))?;
        tell_comparison(config, compared)?
    } else {
        let mut report = Table::new(extras, begun, out);
        or_nobody_reads(report.banner(&config.host, target.ip(), cycles.count, plan.packet_len))?;
        let probed = if cycles.live {
            let title = title(config, target, &plan);
            let remote = signals.remote().context("cannot wake the probing")?;
            let mut live = Live::new(title, report, &rounds, remote);
            let probed = beside(sockets, &mut probing, signals, |told| {
                live.run(cycles.interval, told, &mut record)
            });
            report = live.into_table();
            probed
        } else {
            beside(sockets, &mut probing, signals, |told| {
                report.run(told.iter().inspect(|event| record.keep(event)))
            })
        };
        let ending = json::Ending::of(&probed);
        let probed = probed?;
        or_nobody_reads(report.table(&rounds.lock()))?;
        let suspects = rounds.lock().suspects();
        confirm(config, sockets, signals, Ok(probed), &suspects, |found| {
            confirmation::text(&mut io::stdout(), found, suspects.len())
        })?;
        let compared = keeping.finish(ending, || again(report.into_extras(), record, ending))?;
        tell_comparison(config, compared)?
    };
    let rounds = rounds.lock();
    let mut kept = is_the_path;
    for assertion in &cycles.assertions {
        if let Err(broken) = assertion.check(&rounds) {
            complain("traceroute", broken);
            kept = false;
        }
    }
    Ok(kept)
}

/// The last lines, in every ending. Whether the path is that of `--compare`.
fn end_json(
    mut report: Json<impl Write>,
    probed: Result<tracing::Ending>,
    compared: Result<Option<Comparison>>,
) -> Result<bool> {
    let told = match &compared {
        Ok(Some(comparison)) => report.comparison(comparison),
        _ => Ok(()),
    };
    or_nobody_reads(told.and_then(|()| report.summary(json::Ending::of(&probed))))?;
    probed?;
    Ok(compared?.is_none_or(|comparison| !comparison.is_another_path()))
}

/// The comparison in words. Whether the path is that of `--compare`.
fn tell_comparison(config: &Config, compared: Option<Comparison>) -> Result<bool> {
    let (Some(comparison), Some(file)) = (compared, &config.compare) else {
        return Ok(true);
    };
    let mut text = format!("compared with {}:", file.display());
    if comparison.differences.is_empty() {
        text.push_str(" no difference");
    }
    for difference in &comparison.differences {
        text.push('\n');
        text.push_str(&difference.to_string());
    }
    text.push('\n');
    // Between rows of CSV it would be none.
    let told = if config.csv {
        io::stderr().write_all(text.as_bytes())
    } else {
        io::stdout().write_all(text.as_bytes())
    };
    or_nobody_reads(told)?;
    Ok(!comparison.is_another_path())
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
        at_unix_s: Begun::now().when(Instant::now()).1,
        cycles: None,
        confidence_pct: None,
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
    let mut found = None;
    let traced = beside(sockets, &mut multipath, signals, |told| {
        for event in told {
            if let Event::Told(graph) = event {
                found = Some(graph);
            }
        }
        Ok(())
    });
    if config.json {
        let start = Start {
            queries: 1,
            confidence_pct: Some(asked.confidence_pct),
            ..start(config, target, &plan)
        };
        let mut report = Json::new(Extras::default(), 0, BufWriter::new(io::stdout()));
        let told = report.graph(&start, found.as_ref());
        or_nobody_reads(told.and_then(|()| report.summary(json::Ending::of(&traced))))?;
        return traced.map(|_| ());
    }
    traced?;
    let Some(graph) = found else {
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
