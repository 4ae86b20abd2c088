//! The server of a responsiveness test (draft-ietf-ippm-responsiveness-08, "Responsiveness Test
//! Server"): where a client is told what to ask, an answer of one byte, one that is larger than
//! anybody waits for, and a place for uploads, which are dropped as they come.

use std::io;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};

use bytes::Bytes;
use netio::http::body::{ReadBodyError, RequestBody};
use netio::http::response::{Body, Head, Response};
use netio::http::server::Request;
use netproto::http::method::Method;
use netproto::http::status::StatusCode;
use netproto::http::write::SerializeError;
use rand::RngCore as _;
use serde_json::json;

use crate::page;
use crate::rules::Rules;

/// Where clients begin (RFC 8615).
const DISCOVERY: &str = "/.well-known/nq";
const SMALL: &str = "/nq/small";
const LARGE: &str = "/nq/large";
const UPLOAD: &str = "/nq/upload";
/// The draft's 8 GB.
const LARGE_BYTES: u64 = 8_000_000_000;
/// Sent again and again: random, so that no link can make it smaller.
const PIECE_BYTES: usize = 256 * 1024;

/// What of the test is asked for.
#[derive(Clone, Copy, Debug)]
pub enum Part {
    /// What there is to ask.
    Discovery,
    /// One byte.
    Small,
    /// More than is waited for.
    Large,
    /// Takes everything.
    Upload,
}

impl Part {
    /// What stands at this path.
    pub fn at(path: &str) -> Option<Part> {
        match path {
            DISCOVERY => Some(Part::Discovery),
            SMALL => Some(Part::Small),
            LARGE => Some(Part::Large),
            UPLOAD => Some(Part::Upload),
            _ => None,
        }
    }

    fn allow(self) -> &'static str {
        match self {
            Part::Upload => "POST, PUT, OPTIONS",
            _ => "GET, HEAD, OPTIONS",
        }
    }
}

/// Answers a request for a part of the test.
pub async fn answer(
    part: Part,
    request: &Request<'_>,
    body: &mut RequestBody<'_>,
    rules: &Rules,
) -> Response {
    let taken = match (part, request.head.method) {
        (Part::Upload, Method::Post | Method::Put) => drop_all(body).await,
        (Part::Discovery | Part::Small | Part::Large, Method::Get | Method::Head) => Ok(()),
        (_, Method::Options) => return allowed(part, StatusCode::NO_CONTENT, rules),
        _ => return allowed(part, StatusCode::METHOD_NOT_ALLOWED, rules),
    };
    if let Err(error) = taken {
        let status = match &error {
            ReadBodyError::Malformed(error) => error.status(),
            ReadBodyError::Broken(_) => StatusCode::BAD_REQUEST,
        };
        return page::error(rules, status, "the upload did not come whole").and_close();
    }
    let scheme = if request.is_tls { "https" } else { "http" };
    let base = format!("{scheme}://{}", request.head.host);
    let (content_type, content) = match part {
        Part::Discovery => (
            "application/json",
            Body::Bytes(description(&base).to_string().into()),
        ),
        Part::Small => (
            "application/octet-stream",
            Body::Bytes(Bytes::from_static(b"x")),
        ),
        Part::Large => (
            "application/octet-stream",
            Body::Stream {
                stream: Box::pin(Endless { left: LARGE_BYTES }),
                length: Some(LARGE_BYTES),
            },
        ),
        Part::Upload => ("application/octet-stream", Body::Empty),
    };
    head(StatusCode::OK, &[("Content-Type", content_type)], rules).map_or_else(
        |refused| page::broken(&refused),
        |head| Response::new(head, content),
    )
}

fn description(base: &str) -> serde_json::Value {
    json!({
        "version": 1,
        "urls": {
            "small_download_url": format!("{base}{SMALL}"),
            "large_download_url": format!("{base}{LARGE}"),
            "upload_url": format!("{base}{UPLOAD}"),
        },
    })
}

async fn drop_all(body: &mut RequestBody<'_>) -> Result<(), ReadBodyError> {
    while body.chunk().await?.is_some() {}
    Ok(())
}

fn allowed(part: Part, status: StatusCode, rules: &Rules) -> Response {
    head(status, &[("Allow", part.allow())], rules).map_or_else(
        |refused| page::broken(&refused),
        |head| Response::new(head, Body::Empty),
    )
}

/// Nothing of a test may come from a cache: it would not have crossed the path.
fn head(
    status: StatusCode,
    fields: &[(&str, &str)],
    rules: &Rules,
) -> Result<Head, SerializeError> {
    let mut head = Head::build(status).field("Cache-Control", "no-store")?;
    for (name, value) in fields {
        head = head.field(name, value)?;
    }
    Ok(rules.fields.append(head, &[])?.finish())
}

/// The same random piece until so many bytes have gone.
struct Endless {
    left: u64,
}

impl futures_core::Stream for Endless {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        static PIECE: OnceLock<Bytes> = OnceLock::new();
        let piece = PIECE.get_or_init(|| {
            let mut piece = vec![0; PIECE_BYTES];
            rand::rng().fill_bytes(&mut piece);
            piece.into()
        });
        let length = usize::try_from(self.left).map_or(PIECE_BYTES, |left| left.min(PIECE_BYTES));
        self.left -= length as u64;
        Poll::Ready((length > 0).then(|| Ok(piece.slice(..length))))
    }
}
