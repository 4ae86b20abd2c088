//! Why a head is refused, and the status that says so.

use crate::http::status::StatusCode;
use crate::http::target::TargetError;

/// A head that breaks a rule. The connection that it came on ends after the answer: where the next
/// message would begin is no longer certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// RFC 9112 §2.2: a recipient may take a bare LF as a line end; this one does not.
    #[error("a line ends with a bare LF")]
    BareLf,
    /// RFC 9112 §2.2
    #[error("a CR that is not part of a line end")]
    BareCr,
    /// A byte that is not a token's in front of the first space.
    #[error("the method is not a token")]
    Method,
    /// Longer than any method that could be known (RFC 9112 §3).
    #[error("the method is too long")]
    MethodTooLong,
    /// Not exactly three parts with one space between each, or a version that is not one.
    #[error("a malformed request line")]
    RequestLine,
    /// Not a version, a space, three digits, a space and a reason.
    #[error("a malformed status line")]
    StatusLine,
    /// A request line without a version: HTTP/0.9.
    #[error("a request without a version")]
    NoVersion,
    /// A major version other than 1.
    #[error("an HTTP version that is not 1.x")]
    Version,
    /// The request target.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// RFC 9112 §3
    #[error("the request target is too long")]
    TargetTooLong,
    /// Not a token, no colon, a blank in front of the colon, or a folded line (RFC 9112 §5).
    #[error("a malformed field name")]
    FieldName,
    /// A control byte in a value (RFC 9110 §5.5).
    #[error("a control byte in a field value")]
    FieldValue,
    /// One field line.
    #[error("a field is too long")]
    FieldTooLong,
    /// All field lines together.
    #[error("the fields are too long")]
    FieldsTooLong,
    /// The number of field lines.
    #[error("too many fields")]
    TooManyFields,
    /// RFC 9112 §3.2: HTTP/1.1 needs exactly one.
    #[error("no Host field")]
    NoHost,
    /// RFC 9112 §3.2
    #[error("more than one Host field")]
    SeveralHosts,
    /// RFC 9112 §3.2
    #[error("an invalid Host field")]
    Host,
    /// Not 1*DIGIT within 64 bits, or more than one, even if equal (RFC 9112 §6.3).
    #[error("an invalid or repeated Content-Length")]
    ContentLength,
    /// RFC 9112 §6.3: how a smuggled request begins.
    #[error("Transfer-Encoding and Content-Length together")]
    TransferEncodingWithContentLength,
    /// RFC 9112 §6.1: an HTTP/1.0 sender knows no Transfer-Encoding.
    #[error("Transfer-Encoding in an HTTP/1.0 message")]
    TransferEncodingOn10,
    /// Empty, chunked more than once, or chunked not last (RFC 9112 §6.3).
    #[error("an invalid Transfer-Encoding")]
    TransferEncoding,
    /// A transfer coding other than chunked (RFC 9112 §6.1).
    #[error("a transfer coding that is not implemented")]
    UnknownTransferCoding,
    /// A body where there is none: in CONNECT (RFC 9110 §9.3.6), or announced by a 1xx or 204
    /// response (RFC 9112 §6.1, RFC 9110 §8.6).
    #[error("a body where there can be none")]
    UnexpectedBody,
    /// RFC 9110 §10.1.1: an expectation other than 100-continue.
    #[error("an expectation that cannot be met")]
    Expectation,
}

impl HeadError {
    /// What a server answers. A proxy answers 502 when it was a response that broke the rule.
    pub fn status(&self) -> StatusCode {
        match self {
            HeadError::TargetTooLong => StatusCode::URI_TOO_LONG,
            HeadError::FieldTooLong | HeadError::FieldsTooLong | HeadError::TooManyFields => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            HeadError::Expectation => StatusCode::EXPECTATION_FAILED,
            HeadError::MethodTooLong | HeadError::UnknownTransferCoding => {
                StatusCode::NOT_IMPLEMENTED
            }
            HeadError::Version => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

impl From<httparse::Error> for HeadError {
    fn from(error: httparse::Error) -> HeadError {
        match error {
            httparse::Error::HeaderValue => HeadError::FieldValue,
            httparse::Error::NewLine => HeadError::BareCr,
            httparse::Error::TooManyHeaders => HeadError::TooManyFields,
            _ => HeadError::FieldName,
        }
    }
}
