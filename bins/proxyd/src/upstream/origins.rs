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
mod tests {
    use super::*;

    const NOW: u64 = 1000;

    fn standing(busy: usize, out_until: u64, fails_checks: bool) -> Standing {
        Standing {
            busy,
            out_until,
            fails_checks,
        }
    }

    #[test]
    fn the_next_is_one_that_does_well_and_if_none_does_the_one_that_may_be_back_first() {
        use Balance::{LeastConnections, RoundRobin};
        let well = |busy| standing(busy, 0, false);
        let out = |until| standing(0, until, false);
        let unhealthy = standing(0, 0, true);
        // How they stand, in the order of their turns; which is asked.
        let cases = [
            (RoundRobin, vec![well(9), well(0)], Some(0)),
            (LeastConnections, vec![well(9), well(0)], Some(1)),
            (LeastConnections, vec![well(3), well(3), well(4)], Some(0)),
            (RoundRobin, vec![out(NOW + 1), well(0)], Some(1)),
            (RoundRobin, vec![out(NOW), well(0)], Some(0)),
            (LeastConnections, vec![out(NOW + 1), well(5)], Some(1)),
            (RoundRobin, vec![unhealthy, well(0)], Some(1)),
            (RoundRobin, vec![out(NOW + 9), out(NOW + 5)], Some(1)),
            (RoundRobin, vec![unhealthy, out(NOW + 5)], Some(1)),
            (RoundRobin, vec![unhealthy], Some(0)),
            (RoundRobin, vec![], None),
        ];
        for (balance, all, expected) in cases {
            let picked = pick(0..all.len(), |number| all[number], balance, NOW);
            assert_eq!(picked, expected, "{balance:?} {all:?}");
        }
    }

    fn two() -> (Arc<Origins>, Instant) {
        let names = ["a:80", "b:80"].map(str::to_owned);
        let origins = Arc::new(Origins::new(names, Balance::RoundRobin));
        let start = origins.since;
        (origins, start)
    }

    #[test]
    fn each_has_its_turn_and_who_was_tried_is_not_tried_again() {
        let (origins, start) = two();
        let turns: Vec<_> = (0..4)
            .map(|_| origins.choose(&[], start).unwrap().number())
            .collect();
        assert_eq!(turns, [0, 1, 0, 1]);
        for _ in 0..2 {
            assert_eq!(origins.choose(&[0], start).unwrap().number(), 1);
        }
        assert!(origins.choose(&[0, 1], start).is_none());
    }

    #[test]
    fn who_fails_is_left_out_for_longer_each_time_until_it_does_well() {
        let (origins, start) = two();
        let mut now = start;
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            let busy = origins.choose(&[1], now).unwrap();
            busy.failed(now, now);
            let almost = now + Duration::from_millis(seconds * 1000 - 1);
            for _ in 0..2 {
                assert_eq!(origins.choose(&[], almost).unwrap().number(), 1);
            }
            assert_eq!(origins.states(almost)[0].state, "out");
            now += Duration::from_secs(seconds);
            assert_eq!(origins.states(now)[0].state, "in");
        }
        origins.choose(&[1], now).unwrap().succeeded();
        origins.choose(&[1], now).unwrap().failed(now, now);
        assert_eq!(
            origins.states(now + OUT_FOR)[0].state,
            "in",
            "from the beginning"
        );
    }

    #[test]
    fn all_that_was_under_way_when_it_failed_is_one_failure() {
        let (origins, start) = two();
        let later = start + Duration::from_millis(5);
        let under_way: Vec<_> = (0..100)
            .map(|_| origins.choose(&[1], start).unwrap())
            .collect();
        for busy in under_way {
            busy.failed(start, later);
        }
        assert_eq!(origins.states(later + OUT_FOR)[0].state, "in");
        assert_eq!(origins.states(later)[0].failures, 100);
    }

    #[test]
    fn one_request_tries_it_when_its_time_is_over_while_others_keep_away() {
        let (origins, start) = two();
        origins.choose(&[1], start).unwrap().failed(start, start);
        let back = start + OUT_FOR;
        let numbers: Vec<_> = (0..4)
            .map(|_| origins.choose(&[], back).unwrap().number())
            .collect();
        assert_eq!(numbers.iter().filter(|number| **number == 0).count(), 1);
    }

    #[test]
    fn a_check_that_fails_keeps_it_out_and_one_that_passes_brings_it_back_at_once() {
        let (origins, start) = two();
        assert!(origins.checked(0, false), "that is news");
        assert!(!origins.checked(0, false));
        assert_eq!(origins.count_in(start), 1);
        for _ in 0..3 {
            assert_eq!(origins.choose(&[], start).unwrap().number(), 1);
        }
        origins.choose(&[1], start).unwrap().failed(start, start);
        assert!(origins.checked(0, true));
        assert_eq!(origins.count_in(start), 2);
    }
}
