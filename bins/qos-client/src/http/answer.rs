//! An answer as it comes in: its head is parsed, its body counted and not kept.

use std::time::Duration;

use netproto::http::Status;
use netproto::http::body::{BodyDecoder, BodyError};
use netproto::http::fields::{FieldSlots, Fields};
use netproto::http::head::ResponseHead;
use netproto::http::limits::Limits;
use netproto::http::method::Method;
use netstats::throughput::Throughput;

use super::cache::CacheVerdict;

/// The characters of a body that are kept to be shown.
pub(super) const PREVIEW_CHARS: usize = 500;
/// A character has at most four bytes in UTF-8.
pub(super) const PREVIEW_BYTES: usize = 4 * PREVIEW_CHARS;
/// A body is counted and not kept, so that this only bounds the time.
const MAX_BODY_BYTES: u64 = 1 << 40;
/// Informational responses (1xx) before the real one.
const MAX_INFORMATIONAL: usize = 8;

/// An answer as it comes in.
pub(super) struct Answer {
    /// How many bytes of the body are kept.
    keep: usize,
    /// What has come of the head, until it is whole.
    buffer: Vec<u8>,
    pub(super) head: Option<Head>,
    body: Option<BodyDecoder>,
    informational: usize,
    pub(super) body_bytes: u64,
    pub(super) kept: Vec<u8>,
    pub(super) throughput: Throughput,
    pub(super) first_byte_at: Option<Duration>,
    pub(super) last_byte_at: Option<Duration>,
}

/// What is wanted of a head.
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) reason: String,
    pub(super) cache: CacheVerdict,
    pub(super) via: Option<String>,
    pub(super) content_type: Option<String>,
}

impl Default for Answer {
    /// One of whose body as much is kept as is shown.
    fn default() -> Answer {
        Answer::keeping(PREVIEW_BYTES)
    }
}

impl Answer {
    /// One of whose body so many bytes are kept.
    pub(super) fn keeping(keep: usize) -> Answer {
        Answer {
            keep,
            buffer: Vec::new(),
            head: None,
            body: None,
            informational: 0,
            body_bytes: 0,
            kept: Vec::new(),
            throughput: Throughput::default(),
            first_byte_at: None,
            last_byte_at: None,
        }
    }

    /// Whether its last byte has come.
    pub(super) fn complete(&self) -> bool {
        self.body.as_ref().is_some_and(BodyDecoder::is_done)
    }

    /// Takes the next bytes, which came at `at`.
    pub(super) fn take(&mut self, bytes: &[u8], at: Duration) -> Result<(), String> {
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
            let room = self.keep - self.kept.len();
            self.kept.extend(data.iter().take(room));
            bytes = bytes.get(decoded.consumed..).unwrap_or_default();
        }
        if self.body_bytes > before {
            self.throughput.received(at, self.body_bytes - before);
        }
        Ok(())
    }

    /// The first characters of the body, fit to show, if it is text.
    pub(super) fn preview(&self) -> Option<String> {
        let content_type = self.head.as_ref()?.content_type.as_deref();
        is_text(content_type).then(|| preview(&self.kept))
    }

    /// The connection has ended.
    pub(super) fn end_of_input(&mut self) -> Result<(), String> {
        match &mut self.body {
            Some(body) => body.end_of_input().map_err(describe),
            None if self.buffer.is_empty() => Err(NO_ANSWER.to_owned()),
            None => Err("it closed the connection in the middle of the head".to_owned()),
        }
    }
}

/// Said of a server that hangs up.
pub(super) const NO_ANSWER: &str = "it closed the connection without an answer";

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

pub(super) fn preview(kept: &[u8]) -> String {
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
