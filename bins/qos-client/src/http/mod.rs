//! One HTTP request, timed: connection, first byte and body apart.

pub mod cache;

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use netproto::http::Status;
use netproto::http::body::{BodyDecoder, BodyError};
use netproto::http::fields::{FieldSlots, Fields};
use netproto::http::head::ResponseHead;
use netproto::http::limits::Limits;
use netproto::http::method::Method;
use netproto::http::write;
use netstats::throughput::Throughput;

use crate::clock;
use crate::interrupt::Interrupt;
use crate::target::{Endpoint, Unreachable};
pub use cache::CacheVerdict;

/// The characters of a body that are kept to be shown.
pub const PREVIEW_CHARS: usize = 500;
/// A character has at most four bytes in UTF-8.
const PREVIEW_BYTES: usize = 4 * PREVIEW_CHARS;
/// A body is counted and not kept, so that this only bounds the time.
const MAX_BODY_BYTES: u64 = 1 << 30;
/// Informational responses (1xx) before the real one.
const MAX_INFORMATIONAL: usize = 8;
/// The longest wait between two looks at the deadline and the stop flag.
const TICK: Duration = Duration::from_millis(100);
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
    let addresses = endpoint.resolve()?;
    let begun = clock::now();
    let mut connection = Connection {
        endpoint,
        allowed: plan.timeout,
        deadline: begun + plan.timeout,
        interrupt,
    };
    let (mut stream, address) = connection.open(&addresses)?;
    let connected = clock::now();

    let request = request(&endpoint.authority(), &plan.path)
        .map_err(|error| connection.io("write a request for")(io::Error::other(error)))?;
    connection.arm(&stream, "take the request")?;
    stream
        .write_all(&request)
        .map_err(|error| connection.failed(error, "take the request", "write to"))?;
    let requested = clock::now();

    let mut answer = Answer::default();
    let mut chunk = vec![0; CHUNK];
    while !answer.complete() {
        let length = connection.read(&mut stream, &mut chunk)?;
        let at = clock::now();
        let result = match chunk.get(..length).unwrap_or_default() {
            [] => answer.end_of_input(),
            bytes => answer.take(bytes, at),
        };
        result.map_err(|cause| Unreachable::NotHttp {
            endpoint: endpoint.clone(),
            cause,
        })?;
    }
    let first_byte_at = answer.first_byte_at.unwrap_or(requested);
    let ended = answer.last_byte_at.unwrap_or(first_byte_at);
    let Some(head) = answer.head else {
        return Err(Unreachable::NotHttp {
            endpoint: endpoint.clone(),
            cause: "it closed the connection without an answer".to_owned(),
        });
    };
    Ok(Exchange {
        address,
        preview: is_text(head.content_type.as_deref()).then(|| preview(&answer.kept)),
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
    })
}

fn request(authority: &str, path: &str) -> Result<Vec<u8>, write::SerializeError> {
    let mut request = Vec::new();
    write::request_line(&mut request, &Method::Get, path)?;
    let agent = concat!("qos-client/", env!("CARGO_PKG_VERSION"));
    for (name, value) in [
        ("Host", authority),
        ("User-Agent", agent),
        ("Accept", "*/*"),
        ("Connection", "close"),
    ] {
        write::field(&mut request, name, value.as_bytes())?;
    }
    write::end_of_head(&mut request);
    Ok(request)
}

/// The connection's waits, none of which outlasts the deadline.
struct Connection<'a> {
    endpoint: &'a Endpoint,
    allowed: Duration,
    deadline: Duration,
    interrupt: &'a Interrupt,
}

impl Connection<'_> {
    /// Connects to the first address that accepts.
    fn open(&mut self, addresses: &[SocketAddr]) -> Result<(TcpStream, SocketAddr), Unreachable> {
        const STEP: &str = "accept the connection";
        let mut last = self.timed_out(STEP);
        for address in addresses {
            let left = self.left(STEP)?;
            match TcpStream::connect_timeout(address, left) {
                Ok(stream) => {
                    // One small write: nothing to gather.
                    let _ = stream.set_nodelay(true);
                    return Ok((stream, *address));
                }
                Err(error) => last = self.failed(error, STEP, "connect to"),
            }
        }
        Err(last)
    }

    /// Bounds the next call on the stream.
    fn arm(&self, stream: &TcpStream, step: &'static str) -> Result<(), Unreachable> {
        let left = self.left(step)?;
        stream
            .set_write_timeout(Some(left))
            .and_then(|()| stream.set_read_timeout(Some(left.min(TICK))))
            .map_err(self.io("set a timeout for"))
    }

    fn read(&mut self, stream: &mut TcpStream, chunk: &mut [u8]) -> Result<usize, Unreachable> {
        const STEP: &str = "answer in full";
        loop {
            if self.interrupt.asked() {
                return Err(Unreachable::Interrupted {
                    endpoint: self.endpoint.clone(),
                });
            }
            self.arm(stream, STEP)?;
            match stream.read(chunk) {
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock
                            | io::ErrorKind::TimedOut
                            | io::ErrorKind::Interrupted
                    ) => {}
                result => return result.map_err(|error| self.failed(error, STEP, "read from")),
            }
        }
    }

    fn left(&self, step: &'static str) -> Result<Duration, Unreachable> {
        match self.deadline.saturating_sub(clock::now()) {
            Duration::ZERO => Err(self.timed_out(step)),
            left => Ok(left),
        }
    }

    fn failed(&self, error: io::Error, waiting: &'static str, step: &'static str) -> Unreachable {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Unreachable::Refused {
                endpoint: self.endpoint.clone(),
            },
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => self.timed_out(waiting),
            _ => self.io(step)(error),
        }
    }

    fn timed_out(&self, step: &'static str) -> Unreachable {
        Unreachable::TimedOut {
            endpoint: self.endpoint.clone(),
            step,
            allowed: self.allowed,
        }
    }

    fn io(&self, step: &'static str) -> impl FnOnce(io::Error) -> Unreachable + use<'_> {
        let endpoint = self.endpoint.clone();
        move |source| Unreachable::Io {
            endpoint,
            step,
            source,
        }
    }
}

/// An answer as it comes in.
#[derive(Default)]
struct Answer {
    /// What has come of the head, until it is whole.
    buffer: Vec<u8>,
    head: Option<Head>,
    body: Option<BodyDecoder>,
    informational: usize,
    body_bytes: u64,
    kept: Vec<u8>,
    throughput: Throughput,
    first_byte_at: Option<Duration>,
    last_byte_at: Option<Duration>,
}

/// What is wanted of a head.
struct Head {
    status: u16,
    reason: String,
    cache: CacheVerdict,
    via: Option<String>,
    content_type: Option<String>,
}

impl Answer {
    fn complete(&self) -> bool {
        self.body.as_ref().is_some_and(BodyDecoder::is_done)
    }

    fn take(&mut self, bytes: &[u8], at: Duration) -> Result<(), String> {
        self.first_byte_at.get_or_insert(at);
        self.last_byte_at = Some(at);
        if self.body.is_some() {
            return self.take_body(bytes, at);
        }
        self.buffer.extend_from_slice(bytes);
        while self.body.is_none() {
            let Some(length) = self.read_head()? else {
                return Ok(());
            };
            self.buffer.drain(..length);
        }
        let rest = std::mem::take(&mut self.buffer);
        self.take_body(&rest, at)
    }

    /// Reads one head from the buffer, if it is whole, and gives its length.
    fn read_head(&mut self) -> Result<Option<usize>, String> {
        let limits = Limits {
            body_bytes: MAX_BODY_BYTES,
            ..Limits::DEFAULT
        };
        let mut slots = FieldSlots::new();
        let parsed = ResponseHead::parse(&self.buffer, &mut slots, &limits, &Method::Get)
            .map_err(|error| error.to_string())?;
        let Status::Complete(head) = parsed else {
            return Ok(None);
        };
        if head.status.is_informational() {
            self.informational += 1;
            if self.informational > MAX_INFORMATIONAL {
                return Err("it sends informational responses without end".to_owned());
            }
            return Ok(Some(head.len));
        }
        self.body = Some(BodyDecoder::new(head.framing, &limits).map_err(describe)?);
        self.head = Some(Head {
            status: head.status.as_u16(),
            reason: shown(head.reason),
            cache: CacheVerdict::of(&head.fields),
            via: joined(&head.fields, "via"),
            content_type: joined(&head.fields, "content-type"),
        });
        Ok(Some(head.len))
    }

    fn take_body(&mut self, mut bytes: &[u8], at: Duration) -> Result<(), String> {
        let Some(body) = &mut self.body else {
            return Ok(());
        };
        let before = self.body_bytes;
        while !bytes.is_empty() && !body.is_done() {
            let decoded = body.decode(bytes).map_err(describe)?;
            let data = bytes.get(decoded.data.clone()).unwrap_or_default();
            self.body_bytes += data.len() as u64;
            let room = PREVIEW_BYTES - self.kept.len();
            self.kept.extend(data.iter().take(room));
            bytes = bytes.get(decoded.consumed..).unwrap_or_default();
        }
        if self.body_bytes > before {
            self.throughput.received(at, self.body_bytes - before);
        }
        Ok(())
    }

    fn end_of_input(&mut self) -> Result<(), String> {
        match &mut self.body {
            Some(body) => body.end_of_input().map_err(describe),
            None if self.buffer.is_empty() => {
                Err("it closed the connection without an answer".to_owned())
            }
            None => Err("it closed the connection in the middle of the head".to_owned()),
        }
    }
}

fn describe(error: BodyError) -> String {
    match error {
        BodyError::TooLarge => format!("its body is larger than {MAX_BODY_BYTES} bytes"),
        error => error.to_string(),
    }
}

/// All field lines of this name as one (RFC 9110 §5.3), fit to show.
fn joined(fields: &Fields<'_, '_>, name: &str) -> Option<String> {
    let values: Vec<_> = fields.all(name).map(shown).collect();
    (!values.is_empty()).then(|| values.join(", "))
}

fn is_text(content_type: Option<&str>) -> bool {
    content_type.is_none_or(|content_type| {
        let content_type = content_type.to_ascii_lowercase();
        content_type.starts_with("text/")
            || ["json", "xml", "javascript"]
                .iter()
                .any(|word| content_type.contains(word))
    })
}

fn preview(kept: &[u8]) -> String {
    let text = String::from_utf8_lossy(kept);
    text.chars().take(PREVIEW_CHARS).map(harmless).collect()
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .chars()
        .map(harmless)
        .collect()
}

/// What comes from the network must not steer the terminal.
fn harmless(character: char) -> char {
    if character.is_control() && !matches!(character, '\n' | '\t') {
        char::REPLACEMENT_CHARACTER
    } else {
        character
    }
}

#[cfg(test)]
mod tests;
