//! Response heads (RFC 9112 §4). A proxy answers 502 for any that is refused here.

use super::error::HeadError;
use super::framing::Framing;
use super::locate::locate;
use super::scan::{HeadScan, StartLine, without_final_cr};
use crate::http::Status;
use crate::http::body::BodyFraming;
use crate::http::fields::{FieldSlots, Fields};
use crate::http::grammar::{is_field_value, parse_digits};
use crate::http::limits::Limits;
use crate::http::method::Method;
use crate::http::status::StatusCode;
use crate::http::version::{self, Version, VersionError};

/// The head of a response that broke no rule. Everything in it borrows from the buffer.
#[derive(Debug, Clone, Copy)]
pub struct ResponseHead<'h, 'b> {
    /// 1.1 for every later 1.x.
    pub version: Version,
    /// 100 to 999. After a 1xx but 101, another head follows.
    pub status: StatusCode,
    /// As sent, often empty, not always UTF-8. No client should act on it.
    pub reason: &'b [u8],
    /// All fields as sent.
    pub fields: Fields<'h, 'b>,
    /// How the body's end is known.
    pub framing: BodyFraming,
    /// Whether the connection may be used again after the body.
    pub persistent: bool,
    /// How many bytes of the buffer the head is.
    pub len: usize,
}

impl<'h, 'b> ResponseHead<'h, 'b> {
    /// The head at the front of `buf`, which answers a request with `request_method`. Searches
    /// `buf` from its beginning; see [`ResponseHead::resume`].
    #[inline]
    pub fn parse(
        buf: &'b [u8],
        slots: &'h mut FieldSlots<'b>,
        limits: &Limits,
        request_method: &Method<'_>,
    ) -> Result<Status<ResponseHead<'h, 'b>>, HeadError> {
        ResponseHead::resume(&mut HeadScan::new(), buf, slots, limits, request_method)
    }

    /// The head at the front of `buf`, whose bytes `scan` has seen as far as they were there at
    /// the last call. After an error the connection must not be used again.
    #[inline]
    pub fn resume(
        scan: &mut HeadScan,
        buf: &'b [u8],
        slots: &'h mut FieldSlots<'b>,
        limits: &Limits,
        request_method: &Method<'_>,
    ) -> Result<Status<ResponseHead<'h, 'b>>, HeadError> {
        let Some(layout) = locate(scan, buf, slots, STATUS_LINE, limits)? else {
            return Ok(Status::Partial);
        };
        let line = StatusLine::parse(layout.start_line_of(buf), limits)?;
        let fields = slots.filled(layout.field_lines);
        let framing = Framing::read(&fields, line.version)?;
        let body = body_framing(line.status, request_method, &framing)?;
        Ok(Status::Complete(ResponseHead {
            version: line.version,
            status: line.status,
            reason: line.reason,
            fields,
            framing: body,
            persistent: framing.persistent(line.version) && body != BodyFraming::UntilClose,
            len: layout.len,
        }))
    }
}

const STATUS_LINE: StartLine = StartLine {
    may_follow_crlf: false,
    measure: |line, limits| measure(without_final_cr(line), limits),
    check: |line, limits| StatusLine::parse(line, limits).map(drop),
};

/// `HTTP/1.1 200 ` without the reason phrase.
const FIXED_BYTES: usize = 13;

/// Refuses what can be refused of a beginning.
fn measure(line: &[u8], limits: &Limits) -> Result<(), HeadError> {
    // So that a peer that speaks another protocol is found out before its line ends.
    let name_len = line.len().min(5);
    if line[..name_len] != b"HTTP/"[..name_len] || line.len() > FIXED_BYTES + limits.target_bytes {
        return Err(HeadError::StatusLine);
    }
    Ok(())
}

struct StatusLine<'b> {
    version: Version,
    status: StatusCode,
    reason: &'b [u8],
}

impl<'b> StatusLine<'b> {
    /// `HTTP-version SP status-code SP [ reason-phrase ]` (RFC 9112 §4). The second space is
    /// often left out with the phrase, and nothing depends on it: taken.
    fn parse(line: &'b [u8], limits: &Limits) -> Result<StatusLine<'b>, HeadError> {
        measure(line, limits)?;
        let (version, rest) = line.split_at_checked(8).ok_or(HeadError::StatusLine)?;
        let version = version::parse(version).map_err(|error| match error {
            VersionError::Malformed => HeadError::StatusLine,
            VersionError::Unsupported => HeadError::Version,
        })?;
        let rest = rest.strip_prefix(b" ").ok_or(HeadError::StatusLine)?;
        let (code, rest) = rest.split_at_checked(3).ok_or(HeadError::StatusLine)?;
        let status = parse_digits(code)
            .and_then(|code| StatusCode::new(code as u16))
            .ok_or(HeadError::StatusLine)?;
        let reason = match rest {
            [] => rest,
            [b' ', reason @ ..] if reason.iter().copied().all(is_field_value) => reason,
            _ => return Err(HeadError::StatusLine),
        };
        Ok(StatusLine {
            version,
            status,
            reason,
        })
    }
}

/// The cases of RFC 9112 §6.3, in its order.
fn body_framing(
    status: StatusCode,
    request_method: &Method<'_>,
    framing: &Framing<'_>,
) -> Result<BodyFraming, HeadError> {
    // Case 1. In a HEAD or 304 response the fields describe the body that a GET would have had.
    if *request_method == Method::Head || status == StatusCode::NOT_MODIFIED {
        return Ok(BodyFraming::None);
    }
    if status.is_bodiless() {
        // A server must not announce a body here; peers disagree on what follows if it does.
        // `Content-Length: 0` is common, and harmless.
        return match framing.announced {
            None | Some(BodyFraming::Length(0)) => Ok(BodyFraming::None),
            Some(_) => Err(HeadError::UnexpectedBody),
        };
    }
    // Case 2: what follows is the tunnel.
    if *request_method == Method::Connect && status.is_success() {
        return Ok(BodyFraming::None);
    }
    Ok(framing.announced.unwrap_or(BodyFraming::UntilClose))
}
