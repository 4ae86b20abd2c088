//! One HTTP request, timed: connection, first byte and body apart.
//!
//! `connection` waits, never past the deadline; `answer` takes the bytes apart; [`cache`] says
//! hit or miss. [`series`] makes many of them, [`bulk`] such as load the path.

mod answer;
pub mod bulk;
pub mod cache;
mod connection;
pub mod series;

use std::net::SocketAddr;
use std::time::Duration;

use netproto::http::method::Method;
use netproto::http::write;

use crate::clock;
use crate::interrupt::Interrupt;
use crate::target::{Endpoint, Unreachable};
use answer::Answer;
use connection::{Connection, Patience};

pub use cache::CacheVerdict;

/// Read at once.
const CHUNK: usize = 64 * 1024;
/// The bounds of the longest that a request may take.
pub const TIMEOUTS: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_mins(10);

/// A GET to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Origin form: begins with `/`, visible ASCII.
    pub path: String,
    /// The longest that all of it may take.
    pub timeout: Duration,
}

impl Default for Plan {
    /// `/`, in at most ten seconds.
    fn default() -> Plan {
        Plan {
            path: "/".to_owned(),
            timeout: Duration::from_secs(10),
        }
    }
}

/// Why a text is no path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a path begins with / and holds no blanks or control characters (write them as %20); not {0:?}"
)]
pub struct PathError(pub String);

impl Plan {
    /// For this path.
    pub fn with_path(self, path: &str) -> Result<Plan, PathError> {
        if path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic()) {
            let path = path.to_owned();
            Ok(Plan { path, ..self })
        } else {
            Err(PathError(path.to_owned()))
        }
    }
}

/// What a request showed.
#[derive(Debug, Clone, PartialEq)]
pub struct Exchange {
    /// Who answered.
    pub address: SocketAddr,
    /// 100 to 599.
    pub status: u16,
    /// As sent, made fit to show.
    pub reason: String,
    /// What the answer says of caches on its way.
    pub cache: CacheVerdict,
    /// The Via field (RFC 9110 §7.6.3), if there is one.
    pub via: Option<String>,
    /// The Content-Type field, if there is one.
    pub content_type: Option<String>,
    /// Bytes of payload, without chunk framing.
    pub body_bytes: u64,
    /// Its first characters, fit to show; `None` for a body that is not text.
    pub preview: Option<String>,
    /// From the first SYN to the connection.
    pub connect: Duration,
    /// From the request's last byte to the answer's first.
    pub first_byte: Duration,
    /// From the answer's first byte to its last.
    pub transfer: Duration,
    /// All of it.
    pub total: Duration,
    /// Of the body: bytes after the first read, by the time from then to the last. `None` for a
    /// body that came in one piece.
    pub throughput_bps: Option<f64>,
}

/// Makes the request on a connection of its own.
pub fn fetch(
    endpoint: &Endpoint,
    plan: &Plan,
    interrupt: &Interrupt,
) -> Result<Exchange, Unreachable> {
    exchange(endpoint, plan, interrupt, Answer::default()).map(|(exchange, _)| exchange)
}

/// The same, with at most so many bytes of the body.
pub(crate) fn fetch_document(
    endpoint: &Endpoint,
    plan: &Plan,
    interrupt: &Interrupt,
    most: usize,
) -> Result<(Exchange, Vec<u8>), Unreachable> {
    exchange(endpoint, plan, interrupt, Answer::keeping(most))
}

fn exchange(
    endpoint: &Endpoint,
    plan: &Plan,
    interrupt: &Interrupt,
    mut answer: Answer,
) -> Result<(Exchange, Vec<u8>), Unreachable> {
    let not_http = |cause| Unreachable::NotHttp {
        endpoint: endpoint.clone(),
        cause,
    };
    let addresses = endpoint.resolve()?;
    let begun = clock::now();
    let patience = Patience {
        endpoint,
        allowed: plan.timeout,
        deadline: begun + plan.timeout,
        interrupt,
    };
    let mut connection = Connection::open(patience, addresses)?;
    let connected = clock::now();

    let request = request(&Method::Get, &endpoint.authority(), &plan.path, None)
        .map_err(|error| not_http(error.to_string()))?;
    connection.send(&request)?;
    let requested = clock::now();

    let mut chunk = vec![0; CHUNK];
    while !answer.complete() {
        let length = connection.read(&mut chunk)?;
        let at = clock::now();
        match chunk.get(..length).unwrap_or_default() {
            [] => answer.end_of_input(),
            bytes => answer.take(bytes, at),
        }
        .map_err(not_http)?;
    }
    let first_byte_at = answer.first_byte_at.unwrap_or(requested);
    let ended = answer.last_byte_at.unwrap_or(first_byte_at);
    let preview = answer.preview();
    let Some(head) = answer.head else {
        return Err(not_http(answer::NO_ANSWER.to_owned()));
    };
    let exchange = Exchange {
        address: connection.address,
        preview,
        status: head.status,
        reason: head.reason,
        cache: head.cache,
        via: head.via,
        content_type: head.content_type,
        body_bytes: answer.body_bytes,
        connect: connected.saturating_sub(begun),
        first_byte: first_byte_at.saturating_sub(requested),
        transfer: ended.saturating_sub(first_byte_at),
        total: ended.saturating_sub(begun),
        throughput_bps: answer.throughput.bps(),
    };
    Ok((exchange, answer.kept))
}

/// A request, with a body of so many bytes behind it.
fn request(
    method: &Method<'_>,
    authority: &str,
    path: &str,
    length: Option<usize>,
) -> Result<Vec<u8>, write::SerializeError> {
    let mut request = Vec::new();
    write::request_line(&mut request, method, path)?;
    let agent = concat!("qos-client/", env!("CARGO_PKG_VERSION"));
    for (name, value) in [
        ("Host", authority),
        ("User-Agent", agent),
        ("Accept", "*/*"),
        ("Connection", "close"),
    ] {
        write::field(&mut request, name, value.as_bytes())?;
    }
    if let Some(length) = length {
        write::field(&mut request, "Content-Type", b"application/octet-stream")?;
        write::field(
            &mut request,
            "Content-Length",
            length.to_string().as_bytes(),
        )?;
    }
    write::end_of_head(&mut request);
    Ok(request)
}

#[cfg(test)]
mod tests;
