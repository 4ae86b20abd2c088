//! What a program answers. The connection adds the framing, Date and Connection fields itself, so
//! that a head can be shared between answers and can never contradict its body.

use std::fmt;
use std::io;
use std::pin::Pin;

use bytes::Bytes;
use futures_core::Stream;
use netproto::http::body::LAST_CHUNK;
use netproto::http::status::StatusCode;
use netproto::http::version::Version;
use netproto::http::write::{self, SerializeError};
use smallvec::SmallVec;

use super::file::FilePart;
use super::tunnel::Tunnel;
use crate::watch::DATE_BYTES;

/// The fields that only the connection writes (RFC 9110 §7.6.1, RFC 9112 §6).
const OWNED_BY_CONNECTION: [&str; 5] = [
    "connection",
    "content-length",
    "transfer-encoding",
    "keep-alive",
    "trailer",
];

fn is_owned_by_connection(name: &str) -> bool {
    OWNED_BY_CONNECTION
        .iter()
        .any(|owned| name.eq_ignore_ascii_case(owned))
}

/// A status line and fields, rendered once and shared by every response that carries them.
#[derive(Clone, Debug)]
pub struct Head {
    status: StatusCode,
    rendered: Bytes,
    has_date: bool,
}

impl Head {
    /// Starts a head.
    pub fn build(status: StatusCode) -> HeadBuilder {
        let mut rendered = Vec::with_capacity(256);
        write::status_line(&mut rendered, status);
        HeadBuilder {
            status,
            rendered,
            has_date: false,
        }
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The status line and the fields, without the empty line.
    pub fn rendered(&self) -> &Bytes {
        &self.rendered
    }

    /// The bytes it holds: the status line and the fields, without the empty line.
    pub fn len(&self) -> usize {
        self.rendered.len()
    }

    /// Never: there is always a status line.
    pub fn is_empty(&self) -> bool {
        self.rendered.is_empty()
    }
}

/// A [`Head`] in the making.
#[derive(Debug)]
pub struct HeadBuilder {
    status: StatusCode,
    rendered: Vec<u8>,
    has_date: bool,
}

impl HeadBuilder {
    /// Appends a field. Those that the connection writes itself (Connection, Content-Length,
    /// Transfer-Encoding, Keep-Alive, Trailer) are passed over.
    ///
    /// # Errors
    /// The name is not a token, or the value holds CR, LF or NUL.
    pub fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Result<Self, SerializeError> {
        if is_owned_by_connection(name) {
            return Ok(self);
        }
        self.has_date |= name.eq_ignore_ascii_case("date");
        write::field(&mut self.rendered, name, value.as_ref())?;
        Ok(self)
    }

    /// The finished head.
    pub fn finish(self) -> Head {
        Head {
            status: self.status,
            rendered: self.rendered.into(),
            has_date: self.has_date,
        }
    }
}

/// One answer.
#[derive(Debug)]
pub struct Response {
    head: Head,
    /// Fields of this answer alone.
    own: SmallVec<[u8; 128]>,
    body: Body,
    closes: bool,
    label: &'static str,
}

impl Response {
    /// An answer with this head and body.
    pub fn new(head: Head, body: Body) -> Response {
        Response {
            head,
            own: SmallVec::new(),
            body,
            closes: false,
            label: "",
        }
    }

    /// A short answer in plain text, as errors are given.
    pub fn text(status: StatusCode, text: impl Into<String>) -> Response {
        let mut head = Head::build(status);
        // Both are fixed and valid; a value that could fail would be left out.
        for (name, value) in [
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Cache-Control", "no-store"),
        ] {
            let _ = write::field(&mut head.rendered, name, value.as_bytes());
        }
        Response::new(head.finish(), Body::Bytes(text.into().into()))
    }

    /// Adds a field that only this answer carries; those that the connection writes itself are
    /// passed over.
    ///
    /// # Errors
    /// As [`HeadBuilder::field`].
    pub fn with_field(
        mut self,
        name: &str,
        value: impl AsRef<[u8]>,
    ) -> Result<Response, SerializeError> {
        if is_owned_by_connection(name) {
            return Ok(self);
        }
        let value = value.as_ref();
        write::check_field(name, value)?;
        self.head.has_date |= name.eq_ignore_ascii_case("date");
        for part in [name.as_bytes(), b": ", value, write::CRLF] {
            self.own.extend_from_slice(part);
        }
        Ok(self)
    }

    /// The connection ends after this answer.
    #[must_use]
    pub fn and_close(mut self) -> Response {
        self.closes = true;
        self
    }

    /// What the access log says of it beside the status: HIT, MISS.
    #[must_use]
    pub fn labelled(mut self, label: &'static str) -> Response {
        self.label = label;
        self
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.head.status
    }

    pub(super) fn label(&self) -> &'static str {
        self.label
    }

    pub(super) fn closes(&self) -> bool {
        self.closes
    }

    pub(super) fn into_body(self) -> Body {
        self.body
    }

    pub(super) fn body(&self) -> &Body {
        &self.body
    }

    /// Writes the head with everything the connection adds.
    pub(super) fn render_head(&self, out: &mut Vec<u8>, wire: &Wire) {
        out.extend_from_slice(&self.head.rendered);
        out.extend_from_slice(&self.own);
        match wire.framing {
            Framing::None | Framing::UntilClose => {}
            Framing::Length(length) => {
                out.extend_from_slice(b"Content-Length: ");
                out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
                out.extend_from_slice(b"\r\n");
            }
            Framing::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        }
        if !self.head.has_date {
            out.extend_from_slice(b"Date: ");
            out.extend_from_slice(&wire.date);
            out.extend_from_slice(b"\r\n");
        }
        match (wire.persists, wire.version) {
            _ if wire.is_tunnel => {
                // RFC 9110 §7.8. CONNECT's answer says nothing of the connection: it is no more.
                if self.status() == StatusCode::SWITCHING_PROTOCOLS {
                    out.extend_from_slice(b"Connection: upgrade\r\n");
                }
            }
            (true, Version::Http11) => {}
            (true, Version::Http10) => out.extend_from_slice(b"Connection: keep-alive\r\n"),
            (false, _) => out.extend_from_slice(b"Connection: close\r\n"),
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// What the connection knows and the program does not.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) framing: Framing,
    pub(super) version: Version,
    pub(super) persists: bool,
    /// What follows the head is no HTTP.
    pub(super) is_tunnel: bool,
    pub(super) date: [u8; DATE_BYTES],
}

/// How the end of a response body is told (RFC 9112 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is no body, and nothing says how long it would be.
    None,
    Length(u64),
    Chunked,
    UntilClose,
}

impl Framing {
    pub(super) fn of(status: StatusCode, body: &Body, version: Version) -> Framing {
        if status.is_informational() || matches!(status.as_u16(), 204 | 304) {
            return Framing::None;
        }
        match body.length() {
            None if matches!(body, Body::Tunnel(_)) => Framing::None,
            Some(length) => Framing::Length(length),
            None if matches!(body, Body::Omitted { .. }) => Framing::None,
            None if version == Version::Http11 => Framing::Chunked,
            None => Framing::UntilClose,
        }
    }

    /// Appends one piece of a body of unknown length.
    pub(super) fn wrap(self, chunk: Bytes, out: &mut super::outbox::Outbox) {
        if self == Framing::Chunked {
            out.render(|rendered| netproto::http::body::chunk_size_line(chunk.len(), rendered));
            out.push(chunk);
            out.render(|rendered| rendered.extend_from_slice(b"\r\n"));
        } else {
            out.push(chunk);
        }
    }

    /// Appends what ends the body.
    pub(super) fn check_end(self, sent: u64) -> io::Result<()> {
        match self {
            Framing::Length(length) if sent < length => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// Renders the end.
    pub(super) fn end(self, out: &mut super::outbox::Outbox) {
        if self == Framing::Chunked {
            out.render(|rendered| rendered.extend_from_slice(LAST_CHUNK));
        }
    }
}

/// What streams a body: each item a piece that is not empty, an error when it is cut short.
pub type BodyStream = Pin<Box<dyn Stream<Item = io::Result<Bytes>>>>;

/// The body of an answer.
pub enum Body {
    /// No bytes.
    Empty,
    /// Bytes in memory.
    Bytes(Bytes),
    /// A part of a file, sent by the kernel.
    File(FilePart),
    /// Bytes and parts of files, one behind the other.
    Pieces(Vec<Piece>),
    /// Pieces as they come, with their total length where it is known.
    Stream {
        /// The pieces.
        stream: BodyStream,
        /// How many bytes they add up to.
        length: Option<u64>,
    },
    /// No body: what follows is no HTTP any more, and goes to another connection. Only for 101, and
    /// for what answers CONNECT.
    Tunnel(Tunnel),
    /// The answer to a HEAD that was passed on: the length that a GET would have had.
    Omitted {
        /// What Content-Length says, if anything.
        length: Option<u64>,
    },
}

/// One of several pieces of a body.
#[derive(Clone, Debug)]
pub enum Piece {
    /// Bytes in memory.
    Bytes(Bytes),
    /// A part of a file, sent by the kernel.
    File(FilePart),
}

impl Piece {
    fn length(&self) -> u64 {
        match self {
            Piece::Bytes(bytes) => bytes.len() as u64,
            Piece::File(part) => part.length(),
        }
    }
}

impl From<Piece> for Body {
    fn from(piece: Piece) -> Body {
        match piece {
            Piece::Bytes(bytes) => Body::Bytes(bytes),
            Piece::File(part) => Body::File(part),
        }
    }
}

impl Body {
    /// How many bytes a GET is answered with, where that is known.
    pub fn length(&self) -> Option<u64> {
        match self {
            Body::Empty => Some(0),
            Body::Bytes(bytes) => Some(bytes.len() as u64),
            Body::File(part) => Some(part.length()),
            Body::Pieces(pieces) => Some(pieces.iter().map(Piece::length).sum()),
            Body::Stream { length, .. } | Body::Omitted { length } => *length,
            Body::Tunnel(_) => None,
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Body::Empty => "Empty",
            Body::Bytes(_) => "Bytes",
            Body::File(_) => "File",
            Body::Pieces(_) => "Pieces",
            Body::Stream { .. } => "Stream",
            Body::Omitted { .. } => "Omitted",
            Body::Tunnel(_) => "Tunnel",
        };
        write!(f, "{kind}({:?} bytes)", self.length())
    }
}
