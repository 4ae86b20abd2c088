//! What can go wrong on the way to a server, and what its client is told.

use std::io;

use netio::http::body::ReadBodyError;
use netio::http::client::ClientError;
use netio::http::response::Response;
use netio::resolve::LookupError;
use netproto::http::head::HeadError;
use netproto::http::status::StatusCode;
use thiserror::Error;

use super::Server;
use crate::access::Denial;
use crate::answer::internal;
use crate::hop::PSEUDONYM;

/// Why there is no answer from a server.
#[derive(Debug, Error)]
pub enum Failure {
    /// The rules of the forward proxy do not let it be asked.
    #[error("{0}")]
    Denied(Denial),
    /// Its name has no address.
    #[error("its name has no address: {0}")]
    Unknown(LookupError),
    /// Its name was not resolved in time.
    #[error("its name was not resolved in time")]
    LookupLate,
    /// No address of it takes a connection.
    #[error("cannot connect: {}", plain(.0))]
    Unreachable(io::Error),
    /// It did not take the connection in time.
    #[error("it did not take the connection in time")]
    ConnectLate,
    /// It did not answer in time.
    #[error("it did not answer in time")]
    Late,
    /// It ended the connection instead of answering.
    #[error("it closed the connection without an answer")]
    Closed,
    /// It ended the connection within the head of its answer.
    #[error("it closed the connection within the head of its answer")]
    Incomplete,
    /// The connection broke.
    #[error("the connection broke: {}", plain(.0))]
    Broken(io::Error),
    /// Its answer breaks a rule of HTTP.
    #[error("its answer is malformed: {0}")]
    Malformed(HeadError),
    /// It sent interim answers and never a final one.
    #[error("it sent too many interim answers")]
    Interim,
    /// It switched protocols though nobody asked for that.
    #[error("it switched protocols unasked")]
    Switched,
    /// Not the server's fault: the client's body did not come whole.
    #[error("the body of the request did not come whole: {0}")]
    Client(ReadBodyError),
}

impl Failure {
    /// What the client is answered.
    pub fn status(&self) -> StatusCode {
        match self {
            Failure::Denied(Denial::Loop) => StatusCode::BAD_GATEWAY,
            Failure::Denied(_) => StatusCode::FORBIDDEN,
            Failure::LookupLate | Failure::ConnectLate | Failure::Late => {
                StatusCode::GATEWAY_TIMEOUT
            }
            Failure::Client(ReadBodyError::Malformed(error)) => error.status(),
            Failure::Client(ReadBodyError::Broken(_)) => StatusCode::BAD_REQUEST,
            _ => StatusCode::BAD_GATEWAY,
        }
    }

    /// Whether it says something of the server, and not of the client or of the rules.
    pub fn is_of_server(&self) -> bool {
        !matches!(
            self,
            Failure::Denied(_) | Failure::Client(_) | Failure::Switched
        )
    }

    /// Whether nothing of the request had been sent.
    pub fn comes_before_request(&self) -> bool {
        matches!(
            self,
            Failure::Unknown(_)
                | Failure::LookupLate
                | Failure::Unreachable(_)
                | Failure::ConnectLate
        )
    }

    /// Whether the connection ended before there was an answer.
    pub fn comes_before_answer(&self) -> bool {
        matches!(
            self,
            Failure::Closed | Failure::Incomplete | Failure::Broken(_)
        )
    }

    /// Its type in Proxy-Status (RFC 9209 §2.3).
    pub fn proxy_error(&self) -> &'static str {
        match self {
            Failure::Denied(Denial::Loop) => "proxy_loop_detected",
            Failure::Denied(Denial::Target { .. } | Denial::Own(_)) => "destination_ip_prohibited",
            Failure::Denied(_) => "http_request_denied",
            Failure::Unknown(_) => "dns_error",
            Failure::LookupLate => "dns_timeout",
            Failure::Unreachable(cause) => match cause.kind() {
                io::ErrorKind::ConnectionRefused => "connection_refused",
                io::ErrorKind::TimedOut => "connection_timeout",
                io::ErrorKind::ConnectionReset => "connection_terminated",
                _ => "destination_ip_unroutable",
            },
            Failure::ConnectLate => "connection_timeout",
            Failure::Late => "http_response_timeout",
            Failure::Closed | Failure::Broken(_) => "connection_terminated",
            Failure::Incomplete => "http_response_incomplete",
            Failure::Malformed(error) => match error {
                HeadError::FieldTooLong => "http_response_header_size",
                HeadError::FieldsTooLong | HeadError::TooManyFields => {
                    "http_response_header_section_size"
                }
                HeadError::UnknownTransferCoding => "http_response_transfer_coding",
                _ => "http_protocol_error",
            },
            Failure::Interim => "http_protocol_error",
            Failure::Switched => "http_upgrade_failed",
            Failure::Client(_) => "http_request_error",
        }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        match error {
            ClientError::Connect(cause) => Failure::Unreachable(cause),
            ClientError::Closed => Failure::Closed,
            ClientError::Broken(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => {
                Failure::Incomplete
            }
            ClientError::Broken(cause) => Failure::Broken(cause),
            ClientError::Late => Failure::Late,
            ClientError::Malformed(error) => Failure::Malformed(error),
            ClientError::Interim => Failure::Interim,
        }
    }
}

/// What an error is, without its number.
fn plain(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(_) => error.kind().to_string(),
        None => error.to_string(),
    }
}

/// A request without an answer: who was asked, and what went wrong.
#[derive(Debug)]
pub struct Unanswered {
    /// Who was asked.
    pub server: Server,
    /// What went wrong.
    pub failure: Failure,
}

impl Unanswered {
    /// What the client is told.
    pub fn response(&self) -> Response {
        let Unanswered { server, failure } = self;
        let status = failure.status();
        let reason = status.reason();
        let text = match failure {
            Failure::Client(_) => format!("{failure}\n"),
            Failure::Denied(denial) => {
                format!("{status} {reason}: {server} is not asked: {denial}\n")
            }
            _ => format!("{status} {reason}: no answer from {server}: {failure}\n"),
        };
        let error = failure.proxy_error();
        // An authority holds neither a quote nor a backslash.
        let proxy_status = format!(
            "{PSEUDONYM}; error={error}; next-hop=\"{}\"",
            server.authority
        );
        let response = Response::text(status, text)
            .with_field("Proxy-Status", proxy_status)
            .unwrap_or_else(|error| internal(&error));
        match failure {
            // Where the next request would begin is not known.
            Failure::Client(_) => response.and_close(),
            _ => response,
        }
    }
}
