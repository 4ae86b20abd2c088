//! The origins of the command line: which of them is asked next, and which are left out for a while.
//! All workers share what is known of them.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::Server;

/// For how long an origin is left out that has failed; each further failure doubles it.
const OUT_FOR: Duration = Duration::from_secs(1);
/// The longest.
const OUT_AT_MOST: Duration = Duration::from_secs(30);
/// For how long one request tries an origin whose time is over, while the others still keep away.
const TRIAL: Duration = Duration::from_secs(5);

/// How requests are spread over several origins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Balance {
    /// Each in its turn.
    #[default]
    RoundRobin,
    /// The one that has the fewest requests under way.
    LeastConnections,
}

impl FromStr for Balance {
    type Err = String;

    fn from_str(name: &str) -> Result<Balance, String> {
        match name {
            "round-robin" => Ok(Balance::RoundRobin),
            "least-connections" => Ok(Balance::LeastConnections),
            _ => Err("expected round-robin or least-connections".to_owned()),
        }
    }
}

/// The origins, and how they do.
#[derive(Debug)]
pub struct Origins {
    all: Vec<Origin>,
    balance: Balance,
    turn: AtomicUsize,
    since: Instant,
}

#[derive(Debug)]
struct Origin {
    server: Server,
    /// Requests under way.
    busy: AtomicUsize,
    asked: AtomicU64,
    failed: AtomicU64,
    /// How often it has failed since it last did well.
    failures: AtomicU32,
    /// When it last did, in milliseconds from `since`.
    failed_at: AtomicU64,
    /// Until when it is left out, in milliseconds from `since`.
    out_until: AtomicU64,
    /// What the last health check said, if there are any.
    fails_checks: AtomicBool,
}

/// What decides whether an origin is asked.
#[derive(Debug, Clone, Copy)]
struct Standing {
    busy: usize,
    out_until: u64,
    fails_checks: bool,
}

/// Counts a request among those that an origin has under way, as long as it lives.
#[derive(Debug)]
pub struct Busy {
    origins: Arc<Origins>,
    number: usize,
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.origins.all[self.number].busy.fetch_sub(1, Relaxed);
    }
}

/// How an origin does, as /status.json shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    url: String,
    /// `in`, `out` for a while after a failure, or `unhealthy` by its last check.
    state: &'static str,
    requests_open: usize,
    requests: u64,
    failures: u64,
}

impl Origins {
    /// These, in this order; all are thought well of.
    pub fn new(authorities: impl IntoIterator<Item = String>, balance: Balance) -> Origins {
        let origin = |authority: String| Origin {
            server: Server {
                authority: authority.into(),
                is_named_by_client: false,
            },
            busy: AtomicUsize::new(0),
            asked: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            failures: AtomicU32::new(0),
            failed_at: AtomicU64::new(0),
            out_until: AtomicU64::new(0),
            fails_checks: AtomicBool::new(false),
        };
        Origins {
            all: authorities.into_iter().map(origin).collect(),
            balance,
            turn: AtomicUsize::new(0),
            since: Instant::now(),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// One of them, counted from 0.
    pub fn server(&self, number: usize) -> Option<&Server> {
        self.all.get(number).map(|origin| &origin.server)
    }

    /// Which of them is asked next by who has `tried` those in vain.
    pub(super) fn choose(self: &Arc<Self>, tried: &[usize], now: Instant) -> Option<Busy> {
        let now = self.milliseconds(now);
        let standing = |origin: &Origin| Standing {
            busy: origin.busy.load(Relaxed),
            out_until: origin.out_until.load(Relaxed),
            fails_checks: origin.fails_checks.load(Relaxed),
        };
        let turn = self.turn.fetch_add(1, Relaxed);
        let all = self.all.len();
        let standing = |number: usize| standing(&self.all[number]);
        let untried = (0..all)
            .map(|step| (turn.wrapping_add(step)) % all)
            .filter(|number| !tried.contains(number));
        let number = pick(untried, standing, self.balance, now)?;
        let origin = &self.all[number];
        if origin.failures.load(Relaxed) > 0 {
            let trial = now + TRIAL.as_millis() as u64;
            origin.out_until.store(trial, Relaxed);
        }
        origin.busy.fetch_add(1, Relaxed);
        origin.asked.fetch_add(1, Relaxed);
        Some(Busy {
            origins: Arc::clone(self),
            number,
        })
    }

    /// What the last check of an origin said. Returns whether that is news.
    pub(super) fn checked(&self, number: usize, is_well: bool) -> bool {
        let Some(origin) = self.all.get(number) else {
            return false;
        };
        if is_well {
            origin.forget_failures();
        }
        origin.fails_checks.swap(!is_well, Relaxed) == is_well
    }

    /// How all of them do.
    pub fn states(&self, now: Instant) -> Vec<Report> {
        let now = self.milliseconds(now);
        let state = |origin: &Origin| Report {
            url: format!("http://{}", origin.server.authority),
            state: if origin.fails_checks.load(Relaxed) {
                "unhealthy"
            } else if origin.failures.load(Relaxed) > 0 && origin.out_until.load(Relaxed) > now {
                "out"
            } else {
                "in"
            },
            requests_open: origin.busy.load(Relaxed),
            requests: origin.asked.load(Relaxed),
            failures: origin.failed.load(Relaxed),
        };
        self.all.iter().map(state).collect()
    }

    /// How many of them may be asked.
    pub fn count_in(&self, now: Instant) -> u64 {
        let states = self.states(now);
        states.iter().filter(|state| state.state == "in").count() as u64
    }

    fn milliseconds(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.since).as_millis() as u64
    }
}

impl Origin {
    fn forget_failures(&self) {
        if self.failures.load(Relaxed) > 0 {
            self.failures.store(0, Relaxed);
            self.out_until.store(0, Relaxed);
        }
    }
}

impl Busy {
    /// Which of the origins it is.
    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// Who is asked.
    pub(super) fn server(&self) -> &Server {
        &self.origins.all[self.number].server
    }

    /// It has answered.
    pub(super) fn succeeded(&self) {
        self.origins.all[self.number].forget_failures();
    }

    /// It has not, to a request that was begun at `asked`. Of all that were under way when it
    /// failed, the first counts.
    pub(super) fn failed(&self, asked: Instant, now: Instant) {
        let origin = &self.origins.all[self.number];
        origin.failed.fetch_add(1, Relaxed);
        let milliseconds = |at| self.origins.milliseconds(at);
        let failures = origin.failures.load(Relaxed);
        if failures > 0 && milliseconds(asked) < origin.failed_at.load(Relaxed) {
            return;
        }
        let failures = failures.saturating_add(1);
        let out_until = milliseconds(now + out_for(failures));
        origin.failed_at.store(milliseconds(now), Relaxed);
        origin.out_until.store(out_until, Relaxed);
        origin.failures.store(failures, Relaxed);
    }
}

/// After so many failures in a row.
fn out_for(failures: u32) -> Duration {
    let doubled = 1u32
        .checked_shl(failures.saturating_sub(1))
        .unwrap_or(u32::MAX);
    OUT_FOR.saturating_mul(doubled).min(OUT_AT_MOST)
}

/// The next of `numbers`, which stand in the order of their turns. One that is left out is asked
/// only if all are: then the one whose time is over first.
fn pick(
    numbers: impl Iterator<Item = usize> + Clone,
    standing: impl Fn(usize) -> Standing,
    balance: Balance,
    now: u64,
) -> Option<usize> {
    let mut well = numbers.clone().filter(|number| {
        let standing = standing(*number);
        !standing.fails_checks && standing.out_until <= now
    });
    let chosen = match balance {
        Balance::RoundRobin => well.next(),
        // The first of several that are least, so that they take turns.
        Balance::LeastConnections => well.min_by_key(|number| standing(*number).busy),
    };
    chosen.or_else(|| {
        numbers.min_by_key(|number| {
            let standing = standing(*number);
            (standing.fails_checks, standing.out_until)
        })
    })
}

#[cfg(test)]
mod tests;
