//! Request heads (RFC 9112 §3).

use super::error::HeadError;
use super::framing::Framing;
use super::locate::locate;
use super::scan::{HeadScan, StartLine, without_final_cr};
use crate::http::Status;
use crate::http::body::BodyFraming;
use crate::http::fields::{FieldSlots, Fields};
use crate::http::grammar::is_tchar;
use crate::http::limits::Limits;
use crate::http::method::Method;
use crate::http::target::{Authority, Target};
use crate::http::version::{self, Version, VersionError};

/// The head of a request that broke no rule. Everything in it borrows from the buffer.
#[derive(Debug, Clone, Copy)]
pub struct RequestHead<'h, 'b> {
    /// What to do. Whether the resource has the method is for the server to say; TRACE too parses.
    pub method: Method<'b>,
    /// With what.
    pub target: Target<'b>,
    /// 1.1 for every later 1.x.
    pub version: Version,
    /// All fields as sent.
    pub fields: Fields<'h, 'b>,
    /// The authority asked for: of the target where that has one (CONNECT, absolute-form), else of
    /// Host. Valid; empty only for an HTTP/1.0 request without a Host field.
    pub host: &'b str,
    /// How the body's end is known. Never [`BodyFraming::UntilClose`].
    pub framing: BodyFraming,
    /// Whether the client would send another request on this connection.
    pub persistent: bool,
    /// The client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// How many bytes of the buffer the head is, with the CRLF that may stand before it.
    pub len: usize,
    /// Those bytes: they are parsed again into the same head.
    pub bytes: &'b [u8],
}

impl<'h, 'b> RequestHead<'h, 'b> {
    /// The head at the front of `buf`. Searches `buf` from its beginning; a connection that may
    /// have to come back with more bytes uses [`RequestHead::resume`].
    #[inline]
    pub fn parse(
        buf: &'b [u8],
        slots: &'h mut FieldSlots<'b>,
        limits: &Limits,
    ) -> Result<Status<RequestHead<'h, 'b>>, HeadError> {
        RequestHead::resume(&mut HeadScan::new(), buf, slots, limits)
    }

    /// The head at the front of `buf`, whose bytes `scan` has seen as far as they were there at
    /// the last call. A breach of the limits, or a wrong request line, is told before the head is
    /// complete. After an error the connection has no use but to carry the answer.
    #[inline]
    pub fn resume(
        scan: &mut HeadScan,
        buf: &'b [u8],
        slots: &'h mut FieldSlots<'b>,
        limits: &Limits,
    ) -> Result<Status<RequestHead<'h, 'b>>, HeadError> {
        let Some(layout) = locate(scan, buf, slots, REQUEST_LINE, limits)? else {
            return Ok(Status::Partial);
        };
        let line = RequestLine::parse(layout.start_line_of(buf), limits)?;
        let fields = slots.filled(layout.field_lines);
        let framing = Framing::read(&fields, line.version)?;
        let host = host(&line, &framing)?;
        let body = body_framing(&line.method, &framing)?;
        let expects_continue = framing.has_expect
            && expects_continue(&fields)?
            && line.version == Version::Http11
            && body != BodyFraming::None;
        Ok(Status::Complete(RequestHead {
            method: line.method,
            target: line.target,
            version: line.version,
            fields,
            host,
            framing: body,
            persistent: framing.persistent(line.version),
            expects_continue,
            len: layout.len,
            bytes: &buf[..layout.len],
        }))
    }
}

const REQUEST_LINE: StartLine = StartLine {
    may_follow_crlf: true,
    measure: |line, limits| Parts::split(without_final_cr(line), limits).map(drop),
    check: |line, limits| RequestLine::parse(line, limits).map(drop),
};

/// The version's length: `HTTP/1.1`.
const VERSION_BYTES: usize = 8;

/// A request line, or the beginning of one, divided at its first two spaces.
struct Parts<'b> {
    method: &'b [u8],
    target: Option<&'b [u8]>,
    version: Option<&'b [u8]>,
}

impl<'b> Parts<'b> {
    /// Refuses what can be refused of a beginning, so that the whole line is refused for the same
    /// reason: a byte that is not a method's, and parts that are too long.
    #[inline]
    fn split(line: &'b [u8], limits: &Limits) -> Result<Parts<'b>, HeadError> {
        let mut method_end = 0;
        loop {
            match line.get(method_end) {
                None => {
                    return Ok(Parts {
                        method: line,
                        target: None,
                        version: None,
                    });
                }
                Some(b' ') => break,
                Some(&byte) if !is_tchar(byte) => return Err(HeadError::Method),
                Some(_) if method_end == limits.method_bytes => {
                    return Err(HeadError::MethodTooLong);
                }
                Some(_) => method_end += 1,
            }
        }
        let (method, rest) = (&line[..method_end], &line[method_end + 1..]);
        let target_end = memchr::memchr(b' ', rest);
        let target = &rest[..target_end.unwrap_or(rest.len())];
        if target.len() > limits.target_bytes {
            return Err(HeadError::TargetTooLong);
        }
        let version = target_end.map(|end| &rest[end + 1..]);
        if version.is_some_and(|version| version.len() > VERSION_BYTES) {
            return Err(HeadError::RequestLine);
        }
        Ok(Parts {
            method,
            target: Some(target),
            version,
        })
    }
}

struct RequestLine<'b> {
    method: Method<'b>,
    target: Target<'b>,
    version: Version,
}

impl<'b> RequestLine<'b> {
    /// `method SP request-target SP HTTP-version` (RFC 9112 §3).
    #[inline]
    fn parse(line: &'b [u8], limits: &Limits) -> Result<RequestLine<'b>, HeadError> {
        let parts = Parts::split(line, limits)?;
        if parts.method.is_empty() {
            return Err(HeadError::Method);
        }
        let target = parts.target.ok_or(HeadError::RequestLine)?;
        if target.is_empty() {
            return Err(HeadError::RequestLine);
        }
        let version = version::parse(parts.version.ok_or(HeadError::NoVersion)?).map_err(
            |error| match error {
                VersionError::Malformed => HeadError::RequestLine,
                VersionError::Unsupported => HeadError::Version,
            },
        )?;
        let method = Method::from_token(parts.method).ok_or(HeadError::Method)?;
        let target = Target::parse(target, &method)?;
        Ok(RequestLine {
            method,
            target,
            version,
        })
    }
}

/// The authority asked for (RFC 9112 §3.2, §3.3). A Host field must be right even where it does
/// not count.
fn host<'b>(line: &RequestLine<'b>, framing: &Framing<'b>) -> Result<&'b str, HeadError> {
    let sent = match framing.host {
        Some(value) => {
            let text = str::from_utf8(value).map_err(|_| HeadError::Host)?;
            Authority::parse(text).ok_or(HeadError::Host)?;
            text
        }
        None if line.version == Version::Http10 => "",
        None => return Err(HeadError::NoHost),
    };
    match line.target {
        Target::Absolute { authority, .. } | Target::Authority { authority, .. } => Ok(authority),
        Target::Origin { .. } | Target::Asterisk => Ok(sent),
    }
}

fn body_framing(method: &Method<'_>, framing: &Framing<'_>) -> Result<BodyFraming, HeadError> {
    // RFC 9112 §6.3: a request's body never ends with its connection.
    let body = framing.announced.unwrap_or(BodyFraming::None);
    match (method, body) {
        // What follows is tunnelled: a body in front of it would be taken for it.
        (Method::Connect, BodyFraming::None | BodyFraming::Length(0)) => Ok(BodyFraming::None),
        (Method::Connect, _) => Err(HeadError::UnexpectedBody),
        _ => Ok(body),
    }
}

/// Whether 100-continue is expected; another expectation is an error (RFC 9110 §10.1.1).
fn expects_continue(fields: &Fields<'_, '_>) -> Result<bool, HeadError> {
    let mut expected = false;
    for expectation in fields.members("expect") {
        if !expectation.eq_ignore_ascii_case(b"100-continue") {
            return Err(HeadError::Expectation);
        }
        expected = true;
    }
    Ok(expected)
}
