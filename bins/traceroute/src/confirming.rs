//! `--confirm`: the experiments that tell why a hop leaves probes unanswered, made with sockets.
//!
//! The hops that are in doubt are probed beside each other: first again and through them to later
//! ones, then in other flows, then their routers directly, and last slowly, for as long as that
//! is needed to tell. What the figures say is judged in `silence::hypotheses`.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::Result;
use netio::icmp::wait::Signals;
use netproto::icmp::Version;

use crate::config::{Config, Method};
use crate::silence::hypotheses::{Experiments, Verdict};
use crate::silence::steady::{Run, Steady, Stream};
use crate::silence::{Bucket, Record, Suspect, Tally};
use crate::sockets::Sockets;
use crate::tracing::{self, Ending};

/// The pace of all experiments but the slow one.
pub const PACE: Duration = Duration::from_millis(50);
/// Probes of a hop at that pace, and of its router directly.
const BRISK: u16 = 60;
/// Flows besides that of the trace, and probes in each.
const FLOWS: [u16; 4] = [1, 2, 3, 4];
const IN_EACH_FLOW: u16 = 30;
/// So many slow probes are sent before it is asked whether they are enough, and so often.
const SLOW: u16 = 5;
const SLOW_ROUNDS: u16 = 4;
/// The slow pace where no interval of a bucket is known, and its bounds: slower than Linux limits by
/// default, and not so slow that nobody would wait for it.
const SLOW_PACE: Duration = Duration::from_millis(1500);
const SLOWEST_PACE: Duration = Duration::from_secs(10);
/// The slow pace in intervals of a bucket.
const SLOWER_THAN_INTERVAL: f64 = 1.5;
/// More hops than these are not confirmed, the first of those in doubt.
pub const MOST_CONFIRMED: usize = 8;
/// The numbers of these probes are those of the trace no more.
const FIRST_NUMBER: u16 = 0x8000;
/// With how many hops to go echo requests are sent to a router.
const DIRECT_TTL: u8 = 64;

/// The experiments on one hop, and what they say.
#[derive(Debug, Clone, PartialEq)]
pub struct Confirmation {
    /// The hop in doubt.
    pub suspect: Suspect,
    /// The figures.
    pub experiments: Experiments,
    /// How far apart the slow probes were.
    pub slow_pace: Duration,
    /// What they say.
    pub verdict: Verdict,
}

/// Makes the experiments on each hop in doubt; nothing if a signal ended them.
pub(crate) fn confirm(
    config: &Config,
    sockets: &mut Sockets,
    signals: &Signals,
    suspects: &[Suspect],
) -> Result<Option<Vec<Confirmation>>> {
    let Some(first) = suspects.first() else {
        return Ok(Some(Vec::new()));
    };
    let version = Version::of(first.address);
    let mut laboratory = Laboratory {
        config,
        sockets,
        signals,
        packet_len: config.plan_for(version).packet_len,
        number: FIRST_NUMBER,
    };
    let mut confirmations: Vec<Confirmation> = suspects[..suspects.len().min(MOST_CONFIRMED)]
        .iter()
        .map(|suspect| Confirmation {
            suspect: *suspect,
            experiments: Experiments::default(),
            slow_pace: slow_pace(suspect.interval),
            verdict: Experiments::default().weigh(),
        })
        .collect();
    for experiment in [
        Laboratory::again_and_beyond,
        Laboratory::in_other_flows,
        Laboratory::directly,
        Laboratory::slower,
    ] {
        if experiment(&mut laboratory, &mut confirmations)? == Ending::Interrupted {
            return Ok(None);
        }
    }
    Ok(Some(confirmations))
}

fn slow_pace(interval: Option<Duration>) -> Duration {
    interval
        .map_or(SLOW_PACE, |it| it.mul_f64(SLOWER_THAN_INTERVAL))
        .clamp(PACE, SLOWEST_PACE)
}

/// What experiments are made with.
struct Laboratory<'a> {
    config: &'a Config,
    sockets: &'a mut Sockets,
    signals: &'a Signals,
    packet_len: u16,
    number: u16,
}

impl Laboratory<'_> {
    /// Sends the streams beside each other.
    fn run(&mut self, streams: Vec<Stream>) -> Result<(Vec<Run>, Ending)> {
        let steady = Steady::new(streams, self.packet_len, self.number, Instant::now());
        let (runs, number, ending) = drive(self.sockets, steady, self.signals)?;
        self.number = number;
        Ok((runs, ending))
    }

    fn again_and_beyond(&mut self, hops: &mut [Confirmation]) -> Result<Ending> {
        // A later hop of several is probed for all of them at once.
        let mut ttls: Vec<u8> = hops.iter().map(|it| it.suspect.ttl).collect();
        ttls.extend(hops.iter().filter_map(|it| it.suspect.beyond));
        ttls.sort_unstable();
        ttls.dedup();
        let stream = |ttl: &u8| Stream {
            ttl: *ttl,
            flows: vec![0],
            count: BRISK,
            pace: PACE,
        };
        let (runs, ending) = self.run(ttls.iter().map(stream).collect())?;
        let of = |ttl: u8| {
            let at = ttls.iter().position(|it| *it == ttl)?;
            runs.get(at).map(|run| &run.record)
        };
        for hop in hops {
            if let Some(record) = of(hop.suspect.ttl) {
                hop.experiments.again = record.tally();
                // The trace may have been too short to show an interval.
                let bucket = Bucket::of(&record.outcomes());
                let interval = bucket.and_then(|it| it.gaps).map(|gaps| gaps.mean);
                if hop.suspect.interval.is_none() && interval.is_some_and(|it| it > SLOW_PACE) {
                    hop.slow_pace = slow_pace(interval);
                }
            }
            hop.experiments.beyond = hop.suspect.beyond.and_then(of).map(Record::tally);
            hop.verdict = hop.experiments.weigh();
        }
        Ok(ending)
    }

    fn in_other_flows(&mut self, hops: &mut [Confirmation]) -> Result<Ending> {
        let mut in_doubt = silent(hops);
        let stream = |hop: &&mut Confirmation| Stream {
            ttl: hop.suspect.ttl,
            flows: FLOWS.to_vec(),
            count: IN_EACH_FLOW * FLOWS.len() as u16,
            pace: PACE,
        };
        let (runs, ending) = self.run(in_doubt.iter().map(stream).collect())?;
        for (hop, run) in in_doubt.iter_mut().zip(runs) {
            // What another router does with a flow says nothing about this one.
            let same_router = |(tally, from): &(Tally, Option<IpAddr>)| {
                from.is_none_or(|it| it == hop.suspect.address)
                    .then_some(*tally)
            };
            hop.experiments.flows = run.flows.values().filter_map(same_router).collect();
        }
        Ok(ending)
    }

    fn directly(&mut self, hops: &mut [Confirmation]) -> Result<Ending> {
        for hop in silent(hops) {
            let echo = Config {
                method: Method::Icmp,
                source_port: None,
                gateways: Vec::new(),
                ..self.config.clone()
            };
            // A link-local address is none to ask without its link; what cannot be asked at all
            // leaves one experiment out.
            let Ok(mut sockets) = Sockets::open(&echo, SocketAddr::new(hop.suspect.address, 0))
            else {
                continue;
            };
            let stream = Stream {
                ttl: DIRECT_TTL,
                flows: vec![0],
                count: BRISK,
                pace: PACE,
            };
            let steady = Steady::new(vec![stream], self.packet_len, 0, Instant::now());
            let (runs, _, ending) = drive(&mut sockets, steady, self.signals)?;
            let tally = runs.first().map(|run| run.record.tally());
            hop.experiments.directly = tally.filter(|it| it.answered > 0);
            if ending == Ending::Interrupted {
                return Ok(ending);
            }
        }
        Ok(Ending::Complete)
    }

    /// Slowly, until that has told enough.
    fn slower(&mut self, hops: &mut [Confirmation]) -> Result<Ending> {
        for _ in 0..SLOW_ROUNDS {
            let mut in_doubt = silent(hops);
            in_doubt.retain(|hop| !hop.has_gone_slowly() || !hop.verdict.is_settled());
            let stream = |hop: &&mut Confirmation| Stream {
                ttl: hop.suspect.ttl,
                flows: vec![0],
                count: SLOW,
                pace: hop.slow_pace,
            };
            let (runs, ending) = self.run(in_doubt.iter().map(stream).collect())?;
            for (hop, run) in in_doubt.iter_mut().zip(runs) {
                hop.experiments.slower = hop.experiments.slower + run.record.tally();
                hop.verdict = hop.experiments.weigh();
            }
            if ending == Ending::Interrupted {
                return Ok(ending);
            }
        }
        Ok(Ending::Complete)
    }
}

impl Confirmation {
    fn has_gone_slowly(&self) -> bool {
        self.experiments.slower.sent > 0
    }
}

/// Those whose silence came again.
fn silent(hops: &mut [Confirmation]) -> Vec<&mut Confirmation> {
    let silent = |hop: &&mut Confirmation| hop.experiments.again.lost() > 0;
    hops.iter_mut().filter(silent).collect()
}

/// Sends what is to be sent, and gives what came of it and the number after the last.
fn drive(
    sockets: &mut Sockets,
    mut steady: Steady,
    signals: &Signals,
) -> Result<(Vec<Run>, u16, Ending)> {
    // Only what they come to is of interest.
    let ending = tracing::drive(sockets, &mut steady, signals, |_| true)?;
    let (runs, number) = steady.finish();
    Ok((runs, number, ending))
}
