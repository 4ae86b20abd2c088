//! Several clients at once: each makes one or many HTTP requests and a UDP test, all from the same
//! moment.

use std::io;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;

use netstats::fairness;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::http::series::{self, Series};
use crate::http::{self, Exchange};
use crate::interrupt::Interrupt;
use crate::report::events::Outcome;
use crate::report::row::Row;
use crate::target::{Endpoint, Service, Target, Unreachable};
use crate::udp::{self, Measurement, Pace, Progress, Run, Test};

/// The most clients: each has up to four threads, and two sockets.
pub const MAX_CLIENTS: u32 = 1000;
/// A client's threads are small: what is large is on the heap.
const STACK: usize = 256 * 1024;
/// Files that the program has open beside its clients' sockets.
const OTHER_FILES: u64 = 32;
/// With more clients than this on one core, spinning would take time from each other's senders.
const SPINNING_CLIENTS_PER_CORE: usize = 1;

/// What each of how many clients does.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    count: u32,
    /// What it asks for.
    pub http: Asking,
    /// Its UDP test.
    pub udp: udp::Plan,
}

/// What a client does by HTTP.
#[derive(Debug, Clone, PartialEq)]
pub enum Asking {
    /// One request.
    Once(http::Plan),
    /// Many, one at a time, each client at its own pace.
    Often(Series),
}

/// What it found.
#[derive(Debug)]
pub enum Asked {
    /// By one request.
    Once(Exchange),
    /// By many.
    Often(series::Outcome),
}

impl Asking {
    fn ask(&self, endpoint: &Endpoint, interrupt: &Interrupt) -> Result<Asked, Unreachable> {
        match self {
            Asking::Once(plan) => http::fetch(endpoint, plan, interrupt).map(Asked::Once),
            Asking::Often(series) => series::run(endpoint, series, interrupt).map(Asked::Often),
        }
    }

    /// Each request.
    pub fn request(&self) -> &http::Plan {
        match self {
            Asking::Once(plan) => plan,
            Asking::Often(series) => &series.request,
        }
    }
}

impl Default for Plan {
    /// Five clients with the default request and the default test.
    fn default() -> Plan {
        Plan {
            count: 5,
            http: Asking::Once(http::Plan::default()),
            udp: udp::Plan::default(),
        }
    }
}

/// No clients, or more than can be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("1 to {MAX_CLIENTS} clients can be run, not {0}")]
pub struct CountError(pub u64);

impl Plan {
    /// With this many clients.
    pub fn with_count(self, count: u64) -> Result<Plan, CountError> {
        match u32::try_from(count) {
            Ok(count @ 1..=MAX_CLIENTS) => Ok(Plan { count, ..self }),
            _ => Err(CountError(count)),
        }
    }

    /// How many clients.
    pub fn count(&self) -> u32 {
        self.count
    }
}

/// What one client measured.
#[derive(Debug)]
pub struct Client {
    /// Counted from one.
    pub number: u32,
    /// What it asked for.
    pub http: Result<Asked, Unreachable>,
    /// Its UDP test.
    pub udp: Result<Measurement, Unreachable>,
}

impl Client {
    /// What it leaves for programs, beside its row.
    pub fn outcome<'a>(&'a self, row: &'a Row) -> Outcome<'a> {
        let measured = self.udp.as_ref().ok();
        Outcome {
            figures: row,
            grades: &row.grades,
            limits: measured.map_or(&[], |measured| &measured.limits),
            notes: measured.map_or(&[], |measured| &measured.notes),
            errors: self.errors(),
        }
    }

    /// What went wrong, where anything did.
    pub fn errors(&self) -> Vec<String> {
        let http = match &self.http {
            Ok(Asked::Once(_)) => None,
            Ok(Asked::Often(shown)) => shown.error.clone(),
            Err(error) => Some(error.to_string()),
        };
        let udp = self.udp.as_ref().err().map(ToString::to_string);
        http.into_iter().chain(udp).collect()
    }
}

/// Runs all clients to their end. Progress is that of the first client.
pub fn run(
    target: &Target,
    plan: &Plan,
    run: Run,
    interrupt: &Interrupt,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> io::Result<Vec<Client>> {
    allow_open_files(u64::from(plan.count) * 2 + OTHER_FILES);
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let pace = if plan.count as usize <= cores * SPINNING_CLIENTS_PER_CORE {
        Pace::Exact
    } else {
        Pace::Shared
    };
    let tcp = target.endpoint(Service::Tcp);
    let udp = target.endpoint(Service::Udp);
    let gate = Gate::default();
    let mut progress = Some(progress);
    thread::scope(|scope| {
        let mut started = Vec::new();
        let mut refused = None;
        for number in 1..=plan.count {
            let (gate, tcp, udp) = (&gate, &tcp, &udp);
            let mut progress = progress.take();
            let asks = thread::Builder::new()
                .name(format!("client-{number}-http"))
                .stack_size(STACK)
                .spawn_scoped(scope, move || {
                    gate.passed().then(|| plan.http.ask(tcp, interrupt))
                });
            let probes = thread::Builder::new()
                .name(format!("client-{number}-udp"))
                .stack_size(STACK)
                .spawn_scoped(scope, move || {
                    let mut tell = |at: Progress| {
                        if let Some(progress) = &mut progress {
                            progress(at);
                        }
                    };
                    gate.passed().then(|| {
                        let test = Test {
                            endpoint: udp,
                            plan: &plan.udp,
                            run,
                            pace,
                            interrupt,
                        };
                        test.measure(&mut tell).map(Measurement::of)
                    })
                });
            match (asks, probes) {
                (Ok(asks), Ok(probes)) => started.push((number, asks, probes)),
                (Err(error), _) | (_, Err(error)) => {
                    refused = Some(error);
                    break;
                }
            }
        }
        gate.open(refused.is_none());
        let mut clients = Vec::new();
        for (number, asks, probes) in started {
            if let (Ok(Some(http)), Ok(Some(udp))) = (asks.join(), probes.join()) {
                clients.push(Client { number, http, udp });
            } else {
                refused.get_or_insert_with(|| io::Error::other("a client's thread panicked"));
            }
        }
        match refused {
            Some(error) => Err(error),
            None => Ok(clients),
        }
    })
}

/// Jain's index of the UDP throughput; a client that got no answer has a share of nothing.
pub fn fairness(clients: &[Client]) -> Option<f64> {
    let shares: Vec<f64> = clients
        .iter()
        .map(|client| {
            let measured = client.udp.as_ref().ok();
            measured.and_then(|m| m.figures.goodput_bps).unwrap_or(0.0)
        })
        .collect();
    fairness::jain(&shares)
}

/// Jain's index of what the clients got by HTTP; `None` where each made one request, whose body may
/// be too small for a rate.
pub fn http_fairness(clients: &[Client]) -> Option<f64> {
    let mut rates = false;
    let shares: Vec<f64> = clients
        .iter()
        .map(|client| match &client.http {
            Ok(Asked::Often(shown)) => {
                rates = true;
                shown.goodput_bps.unwrap_or(0.0)
            }
            Ok(Asked::Once(_)) | Err(_) => 0.0,
        })
        .collect();
    fairness::jain(&shares).filter(|_| rates)
}

/// Two sockets a client; the usual soft limit of 1,024 files holds only 500 clients.
fn allow_open_files(needed: u64) {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < needed) {
        let current = limit.maximum.map_or(needed, |maximum| maximum.min(needed));
        // Where it is refused, the clients that get no socket say so.
        let _ = setrlimit(
            Resource::Nofile,
            Rlimit {
                current: Some(current),
                maximum: limit.maximum,
            },
        );
    }
}

/// Holds every client back until all are there. Unlike a barrier it also opens when one of them
/// could not be started.
#[derive(Default)]
struct Gate {
    go: Mutex<Option<bool>>,
    opened: Condvar,
}

impl Gate {
    fn open(&self, go: bool) {
        *self.go.lock().unwrap_or_else(PoisonError::into_inner) = Some(go);
        self.opened.notify_all();
    }

    /// Waits, and says whether to go on.
    fn passed(&self) -> bool {
        let go = self.go.lock().unwrap_or_else(PoisonError::into_inner);
        let go = self
            .opened
            .wait_while(go, |go| go.is_none())
            .unwrap_or_else(PoisonError::into_inner);
        *go == Some(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_clients_has_bounds() {
        for count in [0, 1001, u64::MAX] {
            assert_eq!(Plan::default().with_count(count), Err(CountError(count)));
        }
        assert_eq!(Plan::default().with_count(1000).unwrap().count(), 1000);
    }
}
