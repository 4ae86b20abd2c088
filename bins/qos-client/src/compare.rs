//! The way past the proxy against the way through it, measured in turns.
//!
//! Both UDP tests run at once with the same schedule, one half an interval behind the other, so that
//! what else happens on the machines happens to both; the n-th probes are a pair. Requests go
//! directly, to the proxy's cache, and past the cache (with a query of their own), in an order that
//! turns from round to round; the requests of a round are paired. Whether a cache answered is what
//! the answer says.

use std::io;
use std::thread;
use std::time::Duration;

use netstats::paired::MedianInterval;
use netstats::summary::Summary;

use crate::clock;
use crate::figures::trace::Fate;
use crate::http::{self, CacheVerdict};
use crate::interrupt::Interrupt;
use crate::target::{Service, Target, Unreachable};
use crate::udp::{self, Measurement, Pace, Progress, Run, Test};

/// The most rounds of requests: each leaves three times.
const MAX_ROUNDS: u32 = 10_000;
/// The thread of the direct test has little on its stack.
const STACK: usize = 256 * 1024;

/// What is done on each way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The server's own TCP port.
    pub direct_port: u16,
    /// The server's own UDP port.
    pub direct_udp_port: u16,
    /// The UDP test of each way.
    pub udp: udp::Plan,
    /// Each request.
    pub http: http::Plan,
    rounds: u32,
}

impl Default for Plan {
    /// 200 pairs of stamped probes, one every 20 ms; 50 rounds of requests; webserverd's ports.
    fn default() -> Plan {
        let udp = udp::Plan::default();
        Plan {
            direct_port: 8000,
            direct_udp_port: 9000,
            udp: udp
                .with_packets(200)
                .and_then(|plan| plan.with_interval(Duration::from_millis(20)))
                .and_then(udp::Plan::with_stamps)
                .unwrap_or(udp),
            http: http::Plan::default(),
            rounds: 50,
        }
    }
}

/// No rounds, or more than are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("1 to {MAX_ROUNDS} rounds of requests can be made, not {0}")]
pub struct RoundsError(pub u64);

impl Plan {
    /// With so many rounds of three requests.
    pub fn with_rounds(self, rounds: u64) -> Result<Plan, RoundsError> {
        match u32::try_from(rounds) {
            Ok(rounds @ 1..=MAX_ROUNDS) => Ok(Plan { rounds, ..self }),
            _ => Err(RoundsError(rounds)),
        }
    }

    /// How many rounds of requests.
    pub fn rounds(&self) -> u32 {
        self.rounds
    }

    /// The server itself, on the host of the proxy.
    pub fn direct(&self, proxied: &Target) -> Target {
        Target {
            host: proxied.host.clone(),
            tcp_port: self.direct_port,
            udp_port: self.direct_udp_port,
        }
    }
}

/// What the two ways showed.
#[derive(Debug)]
pub struct Comparison {
    /// Past the proxy.
    pub direct: Way,
    /// Through it.
    pub proxied: Way,
    /// Round-trip time through the proxy less that past it, of probes of the same number.
    pub rtt: Option<MedianInterval>,
    /// An answer from the cache less a direct one of the same round.
    pub hit: Option<MedianInterval>,
    /// An answer that the cache did not have less a direct one.
    pub miss: Option<MedianInterval>,
    /// One that the cache did not have less one that it had.
    pub miss_over_hit: Option<MedianInterval>,
    /// Requests of the two kinds that the answers did not bear out.
    pub not_as_asked: usize,
    /// Whole requests that the cache answered.
    pub hits: Summary,
    /// Whole requests that it did not.
    pub misses: Summary,
}

/// One way.
#[derive(Debug)]
pub struct Way {
    /// Its UDP test.
    pub udp: Measurement,
    /// Whole requests: of the proxied way all that were made.
    pub requests: Summary,
}

/// The requests of one round; none where it failed or was not what was asked for.
#[derive(Debug, Default, Clone, Copy)]
struct Round {
    direct: Option<Duration>,
    hit: Option<Duration>,
    miss: Option<Duration>,
}

/// Measures both ways.
///
/// # Errors
/// One of them does not answer.
pub fn run(
    proxied: &Target,
    plan: &Plan,
    run: Run,
    interrupt: &Interrupt,
    tell: &mut dyn FnMut(Progress),
) -> Result<Comparison, Unreachable> {
    let direct = plan.direct(proxied);
    let (past, through) = probe(&direct, proxied, plan, run, interrupt, tell)?;
    let asker = Asker {
        direct: &direct,
        proxied,
        plan,
        run,
        interrupt,
    };
    let (rounds, not_as_asked) = if interrupt.asked() {
        // What the probes have shown is shown.
        (Vec::new(), 0)
    } else {
        asker.ask()?
    };
    let column = |of: fn(&Round) -> Option<Duration>| Summary::of(rounds.iter().filter_map(of));
    let (hits, misses) = (column(|round| round.hit), column(|round| round.miss));
    let less = |of: fn(&Round) -> Option<Duration>, than: fn(&Round) -> Option<Duration>| {
        MedianInterval::of(
            rounds
                .iter()
                .filter_map(|round| Some(difference(of(round)?, than(round)?))),
        )
    };
    let through_rtts = answered(&through);
    let pairs = answered(&past).into_iter().zip(through_rtts);
    Ok(Comparison {
        rtt: MedianInterval::of(
            pairs.filter_map(|(past, through)| Some(difference(through?, past?))),
        ),
        hit: less(|round| round.hit, |round| round.direct),
        miss: less(|round| round.miss, |round| round.direct),
        miss_over_hit: less(|round| round.miss, |round| round.hit),
        direct: Way {
            udp: past,
            requests: column(|round| round.direct),
        },
        proxied: Way {
            udp: through,
            requests: Summary::of(rounds.iter().flat_map(|r| [r.hit, r.miss]).flatten()),
        },
        not_as_asked,
        hits,
        misses,
    })
}

/// `a` less `b`, in nanoseconds.
fn difference(a: Duration, b: Duration) -> i64 {
    let ns = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
    ns(a).saturating_sub(ns(b))
}

/// The round-trip time of each probe that counts, where it was answered in time.
fn answered(measured: &Measurement) -> Vec<Option<Duration>> {
    let trace = &measured.record.trace;
    let counted = trace.fates().into_iter().skip(trace.warmup as usize);
    counted
        .map(|fate| match fate {
            Fate::Answered(rtt) => Some(rtt),
            _ => None,
        })
        .collect()
}

/// The two UDP tests, past the proxy and through it.
fn probe(
    direct: &Target,
    proxied: &Target,
    plan: &Plan,
    run: Run,
    interrupt: &Interrupt,
    tell: &mut dyn FnMut(Progress),
) -> Result<(Measurement, Measurement), Unreachable> {
    let (past, through) = (
        direct.endpoint(Service::Udp),
        proxied.endpoint(Service::Udp),
    );
    let test = |endpoint| Test {
        endpoint,
        plan: &plan.udp,
        run,
        // Two senders that spin would take each other's time.
        pace: Pace::Shared,
        interrupt,
    };
    let of_thread = |source: io::Error| Unreachable::Io {
        endpoint: past.clone(),
        step: "start a test of",
        source,
    };
    thread::scope(|scope| {
        let behind = test(&past);
        let thread = thread::Builder::new()
            .name("direct-test".to_owned())
            .stack_size(STACK)
            .spawn_scoped(scope, move || {
                clock::sleep_until(clock::now() + plan.udp.interval() / 2);
                behind.measure(&mut |_| {})
            })
            .map_err(&of_thread)?;
        let through = test(&through).measure(tell);
        let past = thread
            .join()
            .map_err(|_| of_thread(io::Error::other("the test panicked")))?;
        Ok((Measurement::of(past?), Measurement::of(through?)))
    })
}

struct Asker<'a> {
    direct: &'a Target,
    proxied: &'a Target,
    plan: &'a Plan,
    run: Run,
    interrupt: &'a Interrupt,
}

/// One of the three requests of a round.
#[derive(Clone, Copy)]
enum Kind {
    Direct,
    Hit,
    Miss,
}

impl Asker<'_> {
    fn ask(&self) -> Result<(Vec<Round>, usize), Unreachable> {
        // What there is to hit, and what the first requests would find cold.
        self.fetch(Kind::Direct, 0)?;
        self.fetch(Kind::Hit, 0)?;
        let (mut rounds, mut not_as_asked) = (Vec::new(), 0);
        for number in 1..=self.plan.rounds {
            let mut round = Round::default();
            let mut kinds = [Kind::Direct, Kind::Hit, Kind::Miss];
            kinds.rotate_left(number as usize % 3);
            for kind in kinds {
                if self.interrupt.asked() {
                    return Ok((rounds, not_as_asked));
                }
                let (total, cache) = self.fetch(kind, number)?;
                match (kind, cache) {
                    (Kind::Direct, _) => round.direct = Some(total),
                    (Kind::Hit, CacheVerdict::Hit { .. }) => round.hit = Some(total),
                    (Kind::Miss, CacheVerdict::Miss { .. }) => round.miss = Some(total),
                    _ => not_as_asked += 1,
                }
            }
            rounds.push(round);
        }
        Ok((rounds, not_as_asked))
    }

    fn fetch(&self, kind: Kind, number: u32) -> Result<(Duration, CacheVerdict), Unreachable> {
        let (target, path) = match kind {
            Kind::Direct => (self.direct, self.plan.http.path.clone()),
            Kind::Hit => (self.proxied, self.plan.http.path.clone()),
            // Nobody has asked for this before.
            Kind::Miss => {
                let path = &self.plan.http.path;
                let mark = if path.contains('?') { '&' } else { '?' };
                let query = format!("compare={:016x}-{number}", self.run.id);
                (self.proxied, format!("{path}{mark}{query}"))
            }
        };
        let plan = http::Plan {
            path,
            timeout: self.plan.http.timeout,
        };
        let exchange = http::fetch(&target.endpoint(Service::Tcp), &plan, self.interrupt)?;
        Ok((exchange.total, exchange.cache))
    }
}
