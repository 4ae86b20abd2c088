//! The orders in force, which all workers share and which may change while the relay runs.
//!
//! A session gets its number when its first datagram comes under the orders in force: 0 for the first
//! client, 1 for the next, whichever worker serves them. So the fates are the same with any number of
//! workers, and new orders begin every count anew.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use netio::http::toxic::Toxics;
use netproto::http::status::StatusCode;

use super::draw::{Draws, Purpose};
use super::http::HttpFaults;
use super::link::Link;
use super::schedule::Schedule;
use super::{Direction, Impairment};

/// What tells the draws of HTTP from those of datagrams, whose place is that of their direction.
const HTTP: u64 = 2;

/// What is ordered, from when it is in force until the next orders are.
#[derive(Debug)]
pub struct Orders {
    /// The faults of datagrams.
    pub impairment: Impairment,
    /// Those of answers over HTTP.
    pub http: HttpFaults,
    /// What the draws are drawn from.
    pub seed: u64,
    /// How many orders there were before.
    generation: u64,
    sessions: AtomicU64,
    connections: AtomicU64,
    requests: AtomicU64,
    /// The beginning of the links' time.
    since: Instant,
    links: [Mutex<Link>; Direction::ALL.len()],
}

impl Orders {
    fn new(impairment: Impairment, http: HttpFaults, seed: u64, generation: u64) -> Orders {
        Orders {
            impairment,
            http,
            seed,
            generation,
            sessions: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            since: Instant::now(),
            links: Default::default(),
        }
    }

    /// Gives the next session its number, and with it its fates.
    fn number_session(&self) -> Fates {
        let session = self.sessions.fetch_add(1, Ordering::Relaxed);
        Fates {
            generation: self.generation,
            schedules: Direction::ALL.map(|direction| Schedule::new(self.seed, session, direction)),
        }
    }

    /// The fates of a session that has `fates` from before, or none.
    pub fn fates<'f>(&self, fates: &'f mut Option<Fates>) -> &'f mut Fates {
        if fates
            .as_ref()
            .is_some_and(|fates| fates.generation != self.generation)
        {
            *fates = None;
        }
        fates.get_or_insert_with(|| self.number_session())
    }

    /// What the answers on the next connection meet, if anything.
    pub fn toxics_of_connection(&self) -> Option<Toxics> {
        let connection = self.connections.fetch_add(1, Ordering::Relaxed);
        self.http.toxics(Draws::new(self.seed, [connection, HTTP]))
    }

    /// Whether the next request fails, and with what status.
    pub fn failure(&self) -> Option<StatusCode> {
        let fail = self.http.fail?;
        let request = self.requests.fetch_add(1, Ordering::Relaxed);
        let draws = Draws::new(self.seed, [HTTP]);
        draws
            .happens(fail.probability, Purpose::Fail, request)
            .then_some(fail.status)
    }

    /// When an IP packet of so many bytes that came at `now` has had its turn on the link of its
    /// direction: at once if no rate is ordered, never if the queue is full.
    pub fn turn(&self, direction: Direction, bytes: u64, now: Instant) -> Option<Instant> {
        let Some(rate) = &self.impairment.of(direction).rate else {
            return Some(now);
        };
        let mut link = lock(&self.links[direction as usize]);
        let leaves = link.offer(rate, bytes, now.saturating_duration_since(self.since))?;
        self.since.checked_add(leaves)
    }
}

/// Where one session is in its schedules.
#[derive(Clone, Debug)]
pub struct Fates {
    generation: u64,
    schedules: [Schedule; Direction::ALL.len()],
}

impl Fates {
    /// The schedule of one direction.
    pub fn of(&mut self, direction: Direction) -> &mut Schedule {
        &mut self.schedules[direction as usize]
    }
}

/// The place where the orders in force are, for whoever gives them and for every worker.
#[derive(Debug)]
pub struct Live {
    /// The generation of `orders`, so that a worker sees without a lock that its own are still those.
    generation: AtomicU64,
    orders: Mutex<Arc<Orders>>,
}

impl Live {
    /// The first orders.
    pub fn new(impairment: Impairment, http: HttpFaults, seed: u64) -> Live {
        Live {
            generation: AtomicU64::new(0),
            orders: Mutex::new(Arc::new(Orders::new(impairment, http, seed, 0))),
        }
    }

    /// The orders in force.
    pub fn orders(&self) -> Arc<Orders> {
        Arc::clone(&lock(&self.orders))
    }

    /// Puts others in force. What is on its way arrives as it would have.
    pub fn replace(&self, impairment: Impairment, http: HttpFaults, seed: u64) {
        let mut orders = lock(&self.orders);
        let generation = orders.generation + 1;
        *orders = Arc::new(Orders::new(impairment, http, seed, generation));
        self.generation.store(generation, Ordering::Release);
    }

    /// Makes `known` the orders in force, if they are no longer.
    pub fn refresh(&self, known: &mut Arc<Orders>) {
        if self.generation.load(Ordering::Acquire) != known.generation {
            *known = self.orders();
        }
    }
}

impl Default for Live {
    /// No faults.
    fn default() -> Live {
        Live::new(Impairment::default(), HttpFaults::default(), 0)
    }
}

/// Nothing that is done under these locks leaves them in a state that is not whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
