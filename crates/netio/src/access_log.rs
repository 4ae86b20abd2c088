//! The access log: one line a request, formatted by the worker and written by a thread of its own,
//! so that a slow terminal or a full pipe never holds a worker. Lines that the queue has no room
//! for are counted, not waited for.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Instant;

use jiff::Zoned;
use netproto::http::status::StatusCode;
use serde::Serialize;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};

use crate::http::server::Request;

/// How many lines wait for the writer before more are dropped. With [`TEXT_BYTES`] of each of the
/// client's texts, escaped, it bounds what the queue holds to some tens of megabytes.
const QUEUED_LINES: usize = 4 * 1024;

/// How much of a target, a referer or a user agent is logged.
const TEXT_BYTES: usize = 1024;

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For a person at a terminal: time, client, method, target, status, bytes, milliseconds.
    Human,
    /// The Common Log Format.
    Common,
    /// Common, with referer and user agent behind it.
    Combined,
    /// One JSON object a line.
    Json,
    /// No log at all.
    Off,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Format, String> {
        match name {
            "human" => Ok(Format::Human),
            "common" => Ok(Format::Common),
            "combined" => Ok(Format::Combined),
            "json" => Ok(Format::Json),
            "off" => Ok(Format::Off),
            _ => Err("expected human, common, combined, json or off".into()),
        }
    }
}

/// Where the workers write. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AccessLog {
    format: Format,
    lines: NonBlocking,
}

/// Keeps the writer alive; dropping it writes what is queued.
#[derive(Debug)]
pub struct Writer {
    _guard: WorkerGuard,
    dropped: ErrorCounter,
}

impl Writer {
    /// Tells how many lines were dropped because the writer could not keep up.
    pub fn dropped_counter(&self) -> impl Fn() -> u64 + Send + Sync + 'static {
        let dropped = self.dropped.clone();
        move || dropped.dropped_lines() as u64
    }
}

/// Opens a log that ends in `target`; `None` for [`Format::Off`].
pub fn open(
    format: Format,
    target: impl io::Write + Send + 'static,
) -> (Option<AccessLog>, Option<Writer>) {
    if format == Format::Off {
        return (None, None);
    }
    let (lines, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(QUEUED_LINES)
        .lossy(true)
        .thread_name("access-log")
        .finish(target);
    let writer = Writer {
        dropped: lines.error_counter(),
        _guard: guard,
    };
    (Some(AccessLog { format, lines }), Some(writer))
}

/// One request and what became of it.
#[derive(Debug)]
pub struct Entry {
    client: SocketAddr,
    method: String,
    target: String,
    version: &'static str,
    referer: Option<String>,
    agent: Option<String>,
    started: Instant,
    pub(crate) status: StatusCode,
    pub(crate) bytes: u64,
    pub(crate) label: &'static str,
    /// Whether the client got less than all of it.
    pub(crate) is_cut: bool,
    /// Of a tunnel: how many bytes came from the client.
    pub(crate) up_bytes: Option<u64>,
}

/// At most [`TEXT_BYTES`] of it, with a sign that more stood there.
fn shortened(text: &[u8]) -> String {
    match text.get(..TEXT_BYTES) {
        Some(start) if start.len() < text.len() => format!("{}…", String::from_utf8_lossy(start)),
        _ => String::from_utf8_lossy(text).into_owned(),
    }
}

impl Entry {
    pub(crate) fn new(request: &Request<'_>, started: Instant, log: &AccessLog) -> Entry {
        let head = request.head;
        let text = |name| Some(shortened(head.fields.first(name)?));
        let wants_agent = matches!(log.format, Format::Combined | Format::Json);
        Entry {
            client: request.client,
            method: head.method.as_str().to_owned(),
            target: shortened(head.target.to_string().as_bytes()),
            version: head.version.as_str(),
            referer: wants_agent.then(|| text("referer")).flatten(),
            agent: wants_agent.then(|| text("user-agent")).flatten(),
            started,
            status: StatusCode::OK,
            bytes: 0,
            label: "",
            is_cut: false,
            up_bytes: None,
        }
    }

    /// A request that could not be read: its line is not repeated into the log.
    pub(crate) fn unreadable(client: SocketAddr, started: Instant) -> Entry {
        Entry {
            client,
            method: "-".to_owned(),
            target: "-".to_owned(),
            version: "-",
            referer: None,
            agent: None,
            started,
            status: StatusCode::BAD_REQUEST,
            bytes: 0,
            label: "",
            is_cut: false,
            up_bytes: None,
        }
    }
}

#[derive(Serialize)]
struct JsonLine<'e> {
    time: String,
    client: SocketAddr,
    method: &'e str,
    target: &'e str,
    version: &'e str,
    status: u16,
    body_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    up_bytes: Option<u64>,
    duration_ms: f64,
    complete: bool,
    #[serde(skip_serializing_if = "str::is_empty")]
    cache: &'e str,
    #[serde(skip_serializing_if = "Option::is_none")]
    referer: Option<&'e str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<&'e str>,
}

impl AccessLog {
    /// Hands one line to the writer.
    pub(crate) fn write(&self, entry: &Entry) {
        let line = self.line(entry, &Zoned::now());
        // Lossy: it fails for no reason that the counter does not tell.
        let _ = self.lines.clone().write_all(line.as_bytes());
    }

    fn line(&self, entry: &Entry, now: &Zoned) -> String {
        let milliseconds = entry.started.elapsed().as_secs_f64() * 1e3;
        let mut line = String::with_capacity(128);
        // Writing to a String cannot fail.
        let _ = match self.format {
            Format::Human => human(&mut line, entry, now, milliseconds),
            Format::Common | Format::Combined => {
                common(&mut line, entry, now, self.format == Format::Combined)
            }
            Format::Json => {
                line = json(entry, now, milliseconds);
                Ok(())
            }
            Format::Off => return line,
        };
        line.push('\n');
        line
    }
}

fn human(line: &mut String, entry: &Entry, now: &Zoned, milliseconds: f64) -> std::fmt::Result {
    let Entry {
        client,
        method,
        target,
        status,
        bytes,
        label,
        ..
    } = entry;
    write!(
        line,
        "{} {} {method} {target} {} {bytes} B {milliseconds:.2} ms",
        now.strftime("%Y-%m-%d %H:%M:%S.%3f"),
        client.ip(),
        status.as_u16(),
    )?;
    if !label.is_empty() {
        write!(line, " {label}")?;
    }
    if let Some(bytes) = entry.up_bytes {
        write!(line, " {bytes} B up")?;
    }
    if entry.is_cut {
        line.push_str(" CUT");
    }
    Ok(())
}

fn common(line: &mut String, entry: &Entry, now: &Zoned, combined: bool) -> std::fmt::Result {
    let Entry {
        client,
        method,
        target,
        version,
        status,
        bytes,
        ..
    } = entry;
    write!(
        line,
        "{} - - [{}] \"{method} {} {version}\" {} {bytes}",
        client.ip(),
        now.strftime("%d/%b/%Y:%H:%M:%S %z"),
        quoted(target),
        status.as_u16(),
    )?;
    if combined {
        let field = |value: &Option<String>| quoted(value.as_deref().unwrap_or("-"));
        write!(
            line,
            " \"{}\" \"{}\"",
            field(&entry.referer),
            field(&entry.agent)
        )?;
    }
    Ok(())
}

/// Escapes what would end a quoted part of a line.
fn quoted(value: &str) -> String {
    let mut safe = String::with_capacity(value.len());
    for character in value.chars() {
        match character {
            '"' | '\\' => safe.extend(['\\', character]),
            other if other.is_control() => safe.extend(other.escape_default()),
            other => safe.push(other),
        }
    }
    safe
}

fn json(entry: &Entry, now: &Zoned, milliseconds: f64) -> String {
    let line = JsonLine {
        time: now.strftime("%Y-%m-%dT%H:%M:%S.%3f%:z").to_string(),
        client: entry.client,
        method: &entry.method,
        target: &entry.target,
        version: entry.version,
        status: entry.status.as_u16(),
        body_bytes: entry.bytes,
        up_bytes: entry.up_bytes,
        duration_ms: (milliseconds * 1e3).round() / 1e3,
        complete: !entry.is_cut,
        cache: entry.label,
        referer: entry.referer.as_deref(),
        user_agent: entry.agent.as_deref(),
    };
    // Strings and numbers only: nothing in it can fail to be written.
    serde_json::to_string(&line).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry {
            client: "192.0.2.7:51000".parse().unwrap(),
            method: "GET".into(),
            target: "/a\"b".into(),
            version: "HTTP/1.1",
            referer: None,
            agent: Some("curl\" -x".into()),
            started: Instant::now(),
            status: StatusCode::OK,
            bytes: 1024,
            label: "HIT",
            is_cut: false,
            up_bytes: None,
        }
    }

    fn line(format: Format) -> String {
        let (log, _writer) = open(format, io::sink());
        let instant: jiff::Timestamp = "2026-11-22T11:00:00.125Z".parse().unwrap();
        let noon = instant.to_zoned(jiff::tz::TimeZone::fixed(jiff::tz::offset(1)));
        log.unwrap().line(&entry(), &noon)
    }

    #[test]
    fn a_human_line_has_time_client_request_status_bytes_duration_and_cache() {
        let line = line(Format::Human);
        let start = "2026-11-22 12:00:00.125 192.0.2.7 GET /a\"b 200 1024 B ";
        assert!(line.starts_with(start), "{line}");
        assert!(line.ends_with(" ms HIT\n"), "{line}");
    }

    #[test]
    fn a_quote_in_a_request_cannot_end_a_quoted_part() {
        let expected = "192.0.2.7 - - [22/Nov/2026:12:00:00 +0100] \
                        \"GET /a\\\"b HTTP/1.1\" 200 1024 \"-\" \"curl\\\" -x\"\n";
        assert_eq!(line(Format::Combined), expected);
    }

    #[test]
    fn a_json_line_is_json_with_units_in_its_names() {
        let value: serde_json::Value = serde_json::from_str(&line(Format::Json)).unwrap();
        assert_eq!(value["target"], "/a\"b");
        assert_eq!(value["body_bytes"], 1024);
        assert_eq!(value["time"], "2026-11-22T12:00:00.125+01:00");
        assert!(value["duration_ms"].is_number());
    }
}
