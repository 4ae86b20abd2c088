//! Load for a path: bodies down or up one connection after another, until told to end, and what of
//! them was carried.
//!
//! A download counts as it is read. An upload counts as the kernel says that the other side has
//! acknowledged it: what only waits in this machine's buffers has not crossed the path.

use std::time::Duration;

use netio::tcp_info::TcpInfo;
use netproto::http::method::Method;
use netstats::throughput::Throughput;

use super::answer::Answer;
use super::connection::{Connection, Patience};
use super::{CHUNK, request};
use crate::clock;
use crate::interrupt::Interrupt;
use crate::target::{Endpoint, Unreachable};

/// Of one upload: as much as proxyd takes unless told otherwise.
const UPLOAD_BYTES: usize = 16 << 20;
/// Written at once.
const PIECE: usize = 16 * 1024;
/// How often the kernel is asked how a connection does.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Which way bodies go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the server.
    Download,
    /// To the server.
    Upload,
}

impl Way {
    /// As it is written in messages.
    pub fn word(self) -> &'static str {
        match self {
            Way::Download => "download",
            Way::Upload => "upload",
        }
    }
}

/// One connection's worth of load.
#[derive(Debug)]
pub struct Flow<'a> {
    /// Whom to ask.
    pub endpoint: &'a Endpoint,
    /// Which way.
    pub way: Way,
    /// For what.
    pub path: &'a str,
    /// What was carried before this time is not counted.
    pub counted_from: Duration,
    /// The longest that all of it may take.
    pub allowed: Duration,
    /// Set when it is to end.
    pub end: &'a Interrupt,
}

/// What a flow has carried.
#[derive(Debug, Default)]
pub struct Carried {
    /// Of the bodies.
    pub throughput: Throughput,
    /// The round-trip time of the connection as TCP estimated it, looked at again and again.
    pub round_trips: Vec<Duration>,
    /// Why it ended before it was told to.
    pub error: Option<Unreachable>,
}

/// How a flow is doing.
struct Ledger<'a> {
    flow: &'a Flow<'a>,
    throughput: Throughput,
    round_trips: Vec<Duration>,
    looked: Duration,
    /// Bytes that the other side of this connection has acknowledged.
    acknowledged: u64,
}

impl Flow<'_> {
    /// Carries until the end is asked for or something fails.
    pub fn run(&self) -> Carried {
        let mut ledger = Ledger {
            flow: self,
            throughput: Throughput::new(),
            round_trips: Vec::new(),
            looked: Duration::ZERO,
            acknowledged: 0,
        };
        let deadline = clock::now() + self.allowed;
        let mut outcome = Ok(());
        while outcome.is_ok() && !self.end.asked() {
            outcome = self.exchange(&mut ledger, deadline);
        }
        Carried {
            throughput: ledger.throughput,
            round_trips: ledger.round_trips,
            error: outcome.err().filter(|error| !is_end(error)),
        }
    }

    /// One request on a connection of its own.
    fn exchange(&self, ledger: &mut Ledger<'_>, deadline: Duration) -> Result<(), Unreachable> {
        let patience = Patience {
            endpoint: self.endpoint,
            allowed: self.allowed,
            deadline,
            interrupt: self.end,
        };
        let mut connection = Connection::open(patience, self.endpoint.resolve()?)?;
        ledger.acknowledged = 0;
        let (method, length) = match self.way {
            Way::Download => (Method::Get, None),
            Way::Upload => (Method::Post, Some(UPLOAD_BYTES)),
        };
        let head = request(&method, &self.endpoint.authority(), self.path, length)
            .map_err(|error| self.not_http(error.to_string()))?;
        connection.send(&head)?;
        let mut answer = Answer::default();
        let sent = match length {
            Some(bytes) => upload(&mut connection, ledger, bytes),
            None => Ok(()),
        };
        // Who refuses an upload may say so, and close, before it has come whole.
        let answered = self.read(&mut connection, ledger, &mut answer);
        if let Some(head) = &answer.head
            && !(200..300).contains(&head.status)
        {
            return Err(Unreachable::Refusal {
                endpoint: self.endpoint.clone(),
                request: format!("{} {}", method.as_str(), self.path),
                status: head.status,
            });
        }
        sent.and(answered)
    }

    fn read(
        &self,
        connection: &mut Connection<'_>,
        ledger: &mut Ledger<'_>,
        answer: &mut Answer,
    ) -> Result<(), Unreachable> {
        let mut chunk = vec![0; CHUNK];
        while !answer.complete() {
            let length = connection.read(&mut chunk)?;
            let before = answer.body_bytes;
            match chunk.get(..length).unwrap_or_default() {
                [] => answer.end_of_input(),
                bytes => answer.take(bytes, clock::now()),
            }
            .map_err(|cause| self.not_http(cause))?;
            if self.way == Way::Download {
                ledger.carried(answer.body_bytes - before);
            }
            ledger.look(connection);
        }
        Ok(())
    }

    fn not_http(&self, cause: String) -> Unreachable {
        Unreachable::NotHttp {
            endpoint: self.endpoint.clone(),
            cause,
        }
    }
}

fn upload(
    connection: &mut Connection<'_>,
    ledger: &mut Ledger<'_>,
    mut left: usize,
) -> Result<(), Unreachable> {
    // Drawn once for all: a link that compresses must find nothing to compress.
    let mut piece = [0; PIECE];
    rand::fill(&mut piece[..]);
    while left > 0 {
        let length = left.min(PIECE);
        connection.send(piece.get(..length).unwrap_or_default())?;
        left -= length;
        ledger.look(connection);
    }
    Ok(())
}

/// Whether a wait ended because the flow was told to end.
fn is_end(error: &Unreachable) -> bool {
    matches!(error, Unreachable::Interrupted { .. })
}

impl Ledger<'_> {
    fn carried(&mut self, bytes: u64) {
        let now = clock::now();
        if now >= self.flow.counted_from && bytes > 0 {
            self.throughput.received(now, bytes);
        }
    }

    /// Asks the kernel how the connection does, if that is due.
    fn look(&mut self, connection: &Connection<'_>) {
        let now = clock::now();
        if now < self.looked + LOOK_EVERY {
            return;
        }
        self.looked = now;
        let Some(info) = connection.tcp_info() else {
            return;
        };
        let round_trip = match self.flow.way {
            // Who receives estimates from the timestamps that come back; its own small requests
            // say nothing of the loaded direction.
            Way::Download => info.receive_round_trip,
            Way::Upload => info.round_trip,
        };
        if self.flow.way == Way::Upload {
            let TcpInfo {
                bytes_acknowledged, ..
            } = info;
            let new = bytes_acknowledged.saturating_sub(self.acknowledged);
            self.acknowledged = bytes_acknowledged;
            self.carried(new);
        }
        if now >= self.flow.counted_from {
            self.round_trips.extend(round_trip);
        }
    }
}
