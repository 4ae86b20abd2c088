//! Small requests beside the load, each on a connection of its own: the draft's foreign probes.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use crate::clock;
use crate::http;
use crate::interrupt::Interrupt;
use crate::target::{Endpoint, Unreachable};

/// So often, whatever comes back. The draft allows a hundred a second; this many leave a narrow
/// link to the load.
const EVERY: Duration = Duration::from_millis(50);
/// So many may be under way; behind a long queue there are fewer in a second.
const AT_ONCE: usize = 8;
/// The longest that one may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest sleep between two looks at whether to end.
const NAP: Duration = Duration::from_millis(50);
/// Their stacks hold little.
const STACK: usize = 256 * 1024;

/// What the requests showed.
#[derive(Debug, Default)]
pub struct Requests {
    /// How long connecting took: the draft's `tcp_f`.
    pub connect: Vec<Duration>,
    /// From the request to the whole answer: `http_f`.
    pub request: Vec<Duration>,
    /// Requests that failed.
    pub failed: usize,
    /// The first reason.
    pub error: Option<String>,
}

/// What makes the requests.
pub(super) struct Asker<'a> {
    pub(super) endpoint: &'a Endpoint,
    pub(super) path: &'a str,
    pub(super) counted_from: Duration,
    pub(super) end: &'a Interrupt,
}

impl Asker<'_> {
    /// Asks until told to end.
    pub(super) fn run(&self) -> Requests {
        let (next, found) = (AtomicU32::new(0), Mutex::new(Requests::default()));
        thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                // With fewer threads there are fewer at once.
                let _ = thread::Builder::new()
                    .stack_size(STACK)
                    .spawn_scoped(scope, || self.ask_in_turn(&next, &found));
            }
        });
        found.into_inner().unwrap_or_default()
    }

    fn ask_in_turn(&self, next: &AtomicU32, found: &Mutex<Requests>) {
        let plan = http::Plan {
            path: self.path.to_owned(),
            timeout: TIMEOUT,
        };
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let due = self.counted_from + EVERY * number;
            while clock::now() < due && !self.end.asked() {
                clock::sleep_until(due.min(clock::now() + NAP));
            }
            if self.end.asked() {
                return;
            }
            let made = http::fetch(self.endpoint, &plan, self.end);
            let Ok(mut found) = found.lock() else { return };
            match made {
                Ok(exchange) => {
                    found.connect.push(exchange.connect);
                    found.request.push(exchange.first_byte + exchange.transfer);
                }
                Err(Unreachable::Interrupted { .. }) => {}
                Err(error) => {
                    found.failed += 1;
                    found.error.get_or_insert(error.to_string());
                }
            }
        }
    }
}
