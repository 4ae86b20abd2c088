//! Many requests, each on a connection of its own: at a rate that does not wait for answers (open
//! loop), or one after the other by so many clients (closed loop).
//!
//! In an open loop the latency of a request counts from when it was due. A server that stalls for a
//! second delays every request that was due in that second, and each of them shows it, also those
//! that could only be sent when an earlier one had ended. Counted from when they were sent, the
//! stall would show in one request alone: that mistake is known as coordinated omission, and the
//! difference between the two figures shows its size.

use std::io;
use std::ops::RangeInclusive;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use netstats::summary::Summary;

use super::{CacheVerdict, Plan, fetch};
use crate::clock;
use crate::interrupt::Interrupt;
use crate::target::{Endpoint, Unreachable};

/// The most requests of a series: each leaves three numbers.
pub const MAX_REQUESTS: u32 = 1_000_000;
/// The most requests under way: each has a thread and a connection.
pub const MAX_CLIENTS: u32 = 512;
/// Requests under way at most in an open loop, when nothing is said.
const OPEN_LOOP_CLIENTS: u32 = 256;
/// The lowest rate, a request in 17 minutes, and the highest.
const RATES: RangeInclusive<f64> = 0.001..=100_000.0;
/// A client's buffers are on the heap.
const STACK: usize = 256 * 1024;
/// The longest sleep between two looks at the stop flag.
const NAP: Duration = Duration::from_millis(50);
/// From the start to the first request, so that all clients are there.
const LEAD: Duration = Duration::from_millis(20);

/// What is asked for, how often.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Each request.
    pub request: Plan,
    requests: u32,
    pace: Pace,
    clients: u32,
}

/// When a request is due.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// So many a second, whatever comes back.
    Open(f64),
    /// When the client's last has ended.
    Closed,
}

/// A value outside its bounds; the message names the bounds.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum SeriesError {
    /// No requests, or more than can be held.
    #[error("a series has 1 to {MAX_REQUESTS} requests, not {0}")]
    Requests(u64),
    /// None, or more than threads are for.
    #[error("1 to {MAX_CLIENTS} requests can be under way at once, not {0}")]
    Clients(u64),
    /// Not a rate that can be kept.
    #[error(
        "a rate is {low} to {high} requests a second, not {0}",
        low = RATES.start(),
        high = RATES.end()
    )]
    Rate(f64),
}

impl Series {
    /// So many of these requests, by one client or by `clients`, or at a rate.
    pub fn new(
        request: Plan,
        requests: u64,
        rate: Option<f64>,
        clients: Option<u64>,
    ) -> Result<Series, SeriesError> {
        let (pace, usual) = match rate {
            Some(rate) if RATES.contains(&rate) => (Pace::Open(rate), OPEN_LOOP_CLIENTS),
            Some(rate) => return Err(SeriesError::Rate(rate)),
            None => (Pace::Closed, 1),
        };
        let within = |n: u64, most: u32| u32::try_from(n).ok().filter(|n| (1..=most).contains(n));
        let clients = clients.unwrap_or(usual.into());
        Ok(Series {
            request,
            requests: within(requests, MAX_REQUESTS).ok_or(SeriesError::Requests(requests))?,
            pace,
            clients: within(clients, MAX_CLIENTS).ok_or(SeriesError::Clients(clients))?,
        })
    }

    /// How many requests.
    pub fn requests(&self) -> u32 {
        self.requests
    }

    /// When each is due.
    pub fn pace(&self) -> Pace {
        self.pace
    }

    /// How many may be under way at once.
    pub fn clients(&self) -> u32 {
        self.clients.min(self.requests)
    }
}

/// What a series showed.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Requests made.
    pub made: u32,
    /// Answered in full, whatever the status.
    pub answered: u32,
    /// Of the answers, those with a status of 400 and above.
    pub refused: u32,
    /// By the answers' own word.
    pub hits: u32,
    /// By the answers' own word.
    pub misses: u32,
    /// From when a request was due to the last byte of its answer.
    pub latency: Summary,
    /// From when it was sent to the last byte of its answer.
    pub service: Summary,
    /// Bytes of all bodies, without chunk framing.
    pub body_bytes: u64,
    /// Bits of these a second, over the same time as `rate_rps`.
    pub goodput_bps: Option<f64>,
    /// Answers a second, from the first request's due time to the last answer.
    pub rate_rps: Option<f64>,
    /// The first of what went wrong.
    pub error: Option<String>,
    /// Whether the user ended it.
    pub interrupted: bool,
}

/// One answer.
struct Sample {
    latency: Duration,
    service: Duration,
    status: u16,
    cache: CacheVerdict,
    body_bytes: u64,
}

/// What the clients share.
#[derive(Default)]
struct Shared {
    /// The number of the next request that nobody has taken.
    next: AtomicU32,
    /// Requests that were due and were made: one that is waited for when the user ends the series
    /// never was.
    made: AtomicU32,
    samples: Mutex<Vec<Sample>>,
    failures: Mutex<Vec<Unreachable>>,
    ended: Mutex<Duration>,
}

/// Failures that are kept; one is shown.
const FAILURES_KEPT: usize = 16;

/// Makes the requests. Answers only with an outcome that has at least one answer.
pub fn run(
    endpoint: &Endpoint,
    series: &Series,
    interrupt: &Interrupt,
) -> Result<Outcome, Unreachable> {
    // A name is looked up by every request; one that does not resolve need not be tried often.
    endpoint.resolve()?;
    let shared = Shared::default();
    let start = clock::now() + LEAD;
    let started = thread::scope(|scope| {
        let mut started = 0;
        for number in 1..=series.clients() {
            let client = thread::Builder::new()
                .name(format!("http-client-{number}"))
                .stack_size(STACK)
                .spawn_scoped(scope, || {
                    ask_in_turn(endpoint, series, interrupt, start, &shared);
                });
            match client {
                Ok(_) => started += 1,
                // Fewer clients make the same requests, and the latency shows it.
                Err(error) if started == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(started)
    });
    let io = |source: io::Error| Unreachable::Io {
        endpoint: endpoint.clone(),
        step: "start a client for",
        source,
    };
    started.map_err(io)?;
    let samples = shared.samples.into_inner().unwrap_or_default();
    let mut failures = shared.failures.into_inner().unwrap_or_default();
    if samples.is_empty() {
        let interrupted = || Unreachable::Interrupted {
            endpoint: endpoint.clone(),
        };
        return Err(failures.pop().unwrap_or_else(interrupted));
    }
    let count = |wanted: fn(&Sample) -> bool| samples.iter().filter(|s| wanted(s)).count() as u32;
    let ended = shared.ended.into_inner().unwrap_or_default();
    let seconds = ended.saturating_sub(start).as_secs_f64();
    let body_bytes: u64 = samples.iter().map(|sample| sample.body_bytes).sum();
    Ok(Outcome {
        made: shared.made.into_inner(),
        answered: samples.len() as u32,
        refused: count(|sample| sample.status >= 400),
        hits: count(|sample| matches!(sample.cache, CacheVerdict::Hit { .. })),
        misses: count(|sample| matches!(sample.cache, CacheVerdict::Miss { .. })),
        latency: Summary::of(samples.iter().map(|sample| sample.latency)),
        service: Summary::of(samples.iter().map(|sample| sample.service)),
        body_bytes,
        goodput_bps: (seconds > 0.0).then(|| body_bytes as f64 * 8.0 / seconds),
        rate_rps: (seconds > 0.0).then(|| samples.len() as f64 / seconds),
        error: failures.first().map(ToString::to_string),
        interrupted: interrupt.asked(),
    })
}

/// One client: takes the next request that nobody has taken, waits until it is due, and makes it.
fn ask_in_turn(
    endpoint: &Endpoint,
    series: &Series,
    interrupt: &Interrupt,
    start: Duration,
    shared: &Shared,
) {
    loop {
        if interrupt.asked() {
            return;
        }
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        if number >= series.requests() {
            return;
        }
        let due = match series.pace() {
            Pace::Open(rate) => start + Duration::from_secs_f64(f64::from(number) / rate),
            Pace::Closed => start.max(clock::now()),
        };
        while clock::now() < due {
            if interrupt.asked() {
                return;
            }
            clock::sleep_until(due.min(clock::now() + NAP));
        }
        shared.made.fetch_add(1, Ordering::Relaxed);
        let sent = clock::now();
        let fetched = fetch(endpoint, &series.request, interrupt);
        let ended = clock::now();
        if let Ok(mut last) = shared.ended.lock() {
            *last = ended.max(*last);
        }
        match fetched {
            Ok(exchange) => {
                let sample = Sample {
                    latency: ended.saturating_sub(due),
                    service: ended.saturating_sub(sent),
                    status: exchange.status,
                    cache: exchange.cache,
                    body_bytes: exchange.body_bytes,
                };
                if let Ok(mut samples) = shared.samples.lock() {
                    samples.push(sample);
                }
            }
            Err(error) => {
                if let Ok(mut failures) = shared.failures.lock()
                    && failures.len() < FAILURES_KEPT
                {
                    failures.push(error);
                }
            }
        }
    }
}
