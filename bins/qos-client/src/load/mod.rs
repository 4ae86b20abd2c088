//! Latency while the path is busy: idle, then under download, upload and both, or under a stream of
//! datagrams.
//!
//! [`plan`] is what is ordered; [`server`] finds out what the server offers to be loaded with;
//! `requests` makes small requests beside the load; a [`stage`] is what was measured meanwhile;
//! [`findings`] compares the stages. The load itself is [`crate::http::bulk`], or a UDP test; the
//! round-trip times are those of a UDP test.

pub mod findings;
pub mod plan;
mod requests;
pub mod server;
pub mod stage;

use std::io;
use std::thread;
use std::time::Duration;

use crate::clock;
use crate::http::bulk::{Flow, Way};
use crate::interrupt::Interrupt;
use crate::target::{Endpoint, Service, Target, Unreachable};
use crate::udp::{self, Measurement, Pace, Progress, Run, Test};

pub use findings::Findings;
pub use plan::Plan;
use plan::{RAMP, With};
pub use requests::Requests;
pub use server::Paths;
pub use stage::{Phase, Stage};

/// Threads of a stage have little on their stacks.
const STACK: usize = 256 * 1024;
/// Beyond the stage itself, how long a flow may still wait for its end.
const GRACE: Duration = Duration::from_secs(5);

/// Runs the stages in turn; those that Ctrl-C came before are left out.
///
/// # Errors
/// The target gives no round-trip time even while nothing loads it.
pub fn run(
    target: &Target,
    paths: Option<&Paths>,
    plan: &Plan,
    run: Run,
    interrupt: &Interrupt,
    tell: &mut dyn FnMut(Phase, Progress),
) -> Result<Vec<Stage>, Unreachable> {
    let bench = Bench {
        tcp: target.endpoint(Service::Tcp),
        udp: target.endpoint(Service::Udp),
        paths,
        plan,
        run,
        interrupt,
    };
    let mut stages = Vec::new();
    for phase in phases(plan, paths) {
        if interrupt.asked() {
            break;
        }
        let stage = bench.stage(phase, &mut |progress| tell(phase, progress))?;
        match stage.probes {
            Err(error) if phase == Phase::Idle => return Err(error),
            _ => stages.push(stage),
        }
    }
    Ok(stages)
}

/// Idle first, so that there is something to compare with.
pub fn phases(plan: &Plan, paths: Option<&Paths>) -> Vec<Phase> {
    if matches!(plan.with(), With::Datagrams(_)) {
        return vec![Phase::Idle, Phase::Datagrams];
    }
    let (down, up) = paths.map_or((false, false), |paths| {
        (paths.download.is_some(), paths.upload.is_some())
    });
    [
        (Phase::Idle, true),
        (Phase::Download, down),
        (Phase::Upload, up),
        (Phase::Both, down && up),
    ]
    .into_iter()
    .filter_map(|(phase, wanted)| wanted.then_some(phase))
    .collect()
}

struct Bench<'a> {
    tcp: Endpoint,
    udp: Endpoint,
    paths: Option<&'a Paths>,
    plan: &'a Plan,
    run: Run,
    interrupt: &'a Interrupt,
}

impl Bench<'_> {
    fn stage(&self, phase: Phase, tell: &mut dyn FnMut(Progress)) -> Result<Stage, Unreachable> {
        let probing = self.plan.probes();
        let end = Interrupt::manual();
        let counted_from = clock::now() + RAMP;
        let allowed = RAMP + self.plan.duration() + probing.loss_deadline() + GRACE;
        let flows: Vec<Flow<'_>> = self
            .flow_paths(phase)
            .map(|(way, path)| Flow {
                endpoint: &self.tcp,
                way,
                path,
                counted_from,
                allowed,
                end: &end,
            })
            .collect();
        thread::scope(|scope| {
            let start = |name: &str| {
                thread::Builder::new()
                    .name(name.to_owned())
                    .stack_size(STACK)
            };
            let started = || -> io::Result<_> {
                let mut loading = Vec::new();
                for flow in &flows {
                    loading.push(start("load").spawn_scoped(scope, || flow.run())?);
                }
                let datagrams = match (phase, self.plan.load_of_datagrams()) {
                    (Phase::Datagrams, Some(load)) => {
                        let end = &end;
                        let stream = start("datagram-load");
                        Some(stream.spawn_scoped(scope, move || self.stream(&load, end))?)
                    }
                    _ => None,
                };
                let asking = match self.paths {
                    Some(paths) => {
                        let asker = requests::Asker {
                            endpoint: &self.tcp,
                            path: &paths.small,
                            counted_from,
                            end: &end,
                        };
                        Some(start("requests").spawn_scoped(scope, move || asker.run())?)
                    }
                    None => None,
                };
                Ok((loading, datagrams, asking))
            };
            let started = started();
            let probes = match &started {
                Ok(_) => self.probe(&probing, tell),
                // What did start is told to end below; nothing was measured.
                Err(_) => Err(Unreachable::Interrupted {
                    endpoint: self.udp.clone(),
                }),
            };
            end.ask();
            let (loading, datagrams, asking) = started.map_err(|source| Unreachable::Io {
                endpoint: self.tcp.clone(),
                step: "start a thread to load",
                source,
            })?;
            let carried = loading
                .into_iter()
                .zip(&flows)
                .map(|(thread, flow)| (flow.way, thread.join().unwrap_or_default()))
                .collect();
            let streamed = datagrams.map(|thread| {
                thread.join().unwrap_or_else(|_| {
                    Err(Unreachable::Interrupted {
                        endpoint: self.udp.clone(),
                    })
                })
            });
            let requests = asking.map(|thread| thread.join().unwrap_or_default());
            Ok(stage::gather(phase, probes, requests, carried, streamed))
        })
    }

    /// The ways and paths of the loading connections.
    fn flow_paths(&self, phase: Phase) -> impl Iterator<Item = (Way, &str)> {
        let count = match self.plan.with() {
            With::Http { connections } => connections as usize,
            With::Datagrams(_) => 0,
        };
        phase.ways().iter().flat_map(move |way| {
            let path = self.paths.and_then(|paths| match way {
                Way::Download => paths.download.as_deref(),
                Way::Upload => paths.upload.as_deref(),
            });
            path.into_iter()
                .flat_map(move |path| std::iter::repeat_n((*way, path), count))
        })
    }

    fn probe(
        &self,
        plan: &udp::Plan,
        tell: &mut dyn FnMut(Progress),
    ) -> Result<Measurement, Unreachable> {
        let test = Test {
            endpoint: &self.udp,
            plan,
            run: self.run,
            // The load needs the processors too.
            pace: Pace::Shared,
            interrupt: self.interrupt,
        };
        test.measure(tell).map(Measurement::of)
    }

    fn stream(&self, plan: &udp::Plan, end: &Interrupt) -> Result<Measurement, Unreachable> {
        let test = Test {
            endpoint: &self.udp,
            plan,
            run: Run::new(),
            pace: Pace::Shared,
            interrupt: end,
        };
        test.measure(&mut |_| {}).map(Measurement::of)
    }
}
