//! From a request and what is known of a file to the response: no file is touched here.

use netio::http::response::{Body, Head, Piece, Response};
use netio::http::server::Request;
use netproto::http::byteranges::{self, ByteRanges};
use netproto::http::conditional::{self, EntityTag, Outcome, Validators};
use netproto::http::date;
use netproto::http::fields::Fields;
use netproto::http::range::{self, ByteRange, ContentRange, Selection};
use netproto::http::status::StatusCode;
use netproto::http::write::SerializeError;

use crate::files::Identity;
use crate::memory::Stored;

/// What the server can be asked to do with a file.
const ALLOW: &str = "GET, HEAD, OPTIONS";
/// How long an answer may be reused: a proxy in front serves the second request itself.
const CACHE_CONTROL: &str = "max-age=60";

/// What is said of a file, whoever asks.
#[derive(Debug)]
pub struct Document {
    length: u64,
    content_type: String,
    etag: String,
    modified: u64,
    /// The head of a whole answer, rendered once.
    ok: Head,
}

impl Document {
    /// What is said of the file `name` in the state `identity`. A time of change that is yet to come
    /// is given as `now` (RFC 9110 §8.8.2.1).
    ///
    /// # Errors
    /// A field could not be written; none of them holds anything of the client's.
    pub fn of(name: &str, identity: &Identity, now: u64) -> Result<Document, SerializeError> {
        let content_type = content_type(name);
        let etag = etag(identity);
        let modified = identity.modified.0.max(0).unsigned_abs().min(now);
        let ok = Head::build(StatusCode::OK)
            .field("Content-Type", &content_type)?
            .field("ETag", &etag)?
            .field("Last-Modified", date::write(modified))?
            .field("Cache-Control", CACHE_CONTROL)?
            .field("Accept-Ranges", "bytes")?
            .field("X-Content-Type-Options", "nosniff")?
            .finish();
        Ok(Document {
            length: identity.length,
            content_type,
            etag,
            modified,
            ok,
        })
    }
}

fn content_type(name: &str) -> String {
    let guess = mime_guess::from_path(name).first_or_octet_stream();
    let essence = guess.essence_str();
    let is_text = guess.type_() == "text"
        || matches!(
            essence,
            "application/javascript" | "application/json" | "image/svg+xml"
        );
    if is_text {
        format!("{essence}; charset=utf-8")
    } else {
        essence.to_owned()
    }
}

/// Strong: another content has another (RFC 9110 §8.8.3), as size, time of change to the
/// nanosecond and inode tell.
fn etag(identity: &Identity) -> String {
    let (seconds, nanoseconds) = identity.modified;
    format!(
        "\"{:x}-{seconds:x}.{nanoseconds:x}-{:x}\"",
        identity.length, identity.inode
    )
}

/// Answers a GET or HEAD of a file: conditions first, then ranges (RFC 9110 §13.2.2).
pub fn file(stored: &Stored, request: &Request<'_>) -> Response {
    let document = &stored.document;
    if !is_special(&request.head.fields) {
        return whole(stored);
    }
    let (method, fields, now) = (
        &request.head.method,
        &request.head.fields,
        request.unix_seconds,
    );
    let validators = Validators {
        etag: EntityTag::parse(document.etag.as_bytes()),
        last_modified: Some(document.modified),
    };
    let special = match conditional::evaluate(method, fields, Some(&validators), now) {
        Outcome::NotModified => document.not_modified(),
        Outcome::PreconditionFailed => Ok(error(
            StatusCode::PRECONDITION_FAILED,
            "the file is not in the state asked for",
        )),
        Outcome::Proceed if conditional::range_applies(method, fields, &validators, now) => {
            match selection(fields, document.length) {
                Selection::Unsatisfiable => document.unsatisfiable(),
                Selection::Parts(parts) => match parts[..] {
                    [part] => document.part(stored, part),
                    _ => document.parts(stored, &parts),
                },
                Selection::Whole => Ok(whole(stored)),
            }
        }
        Outcome::Proceed => Ok(whole(stored)),
    };
    special.unwrap_or_else(|refused| error(StatusCode::INTERNAL_SERVER_ERROR, &refused.to_string()))
}

/// Whether a request asks for anything but the whole file whatever its state.
fn is_special(fields: &Fields<'_, '_>) -> bool {
    fields.iter().any(|(name, _)| match name.as_bytes() {
        [b'i' | b'I', b'f' | b'F', b'-', ..] => true,
        name => name.eq_ignore_ascii_case(b"range"),
    })
}

/// What the only Range field selects.
fn selection(fields: &Fields<'_, '_>, length: u64) -> Selection {
    let mut values = fields.all("range");
    match (values.next(), values.next()) {
        (Some(value), None) => range::select(value, length),
        _ => Selection::Whole,
    }
}

fn whole(stored: &Stored) -> Response {
    let document = &stored.document;
    Response::new(document.ok.clone(), stored.piece(0, document.length).into())
}

impl Document {
    /// 304 with the fields that a 200 would have told the cache (RFC 9110 §15.4.5).
    fn not_modified(&self) -> Result<Response, SerializeError> {
        let head = Head::build(StatusCode::NOT_MODIFIED)
            .field("ETag", &self.etag)?
            .field("Last-Modified", date::write(self.modified))?
            .field("Cache-Control", CACHE_CONTROL)?
            .finish();
        Ok(Response::new(head, Body::Empty))
    }

    fn part(&self, stored: &Stored, range: ByteRange) -> Result<Response, SerializeError> {
        let content_range = ContentRange::Part {
            range,
            complete: Some(self.length),
        };
        let head = Head::build(StatusCode::PARTIAL_CONTENT)
            .field("Content-Type", &self.content_type)?
            .field("Content-Range", content_range.to_string())?
            .field("ETag", &self.etag)?
            .field("Last-Modified", date::write(self.modified))?
            .field("Cache-Control", CACHE_CONTROL)?
            .field("X-Content-Type-Options", "nosniff")?
            .finish();
        Ok(Response::new(
            head,
            stored.piece(range.first, range.last + 1).into(),
        ))
    }

    /// 206 with several parts in one body (RFC 9110 §15.3.7.2).
    fn parts(&self, stored: &Stored, parts: &[ByteRange]) -> Result<Response, SerializeError> {
        let boundary = format!("{:032x}", rand::random::<u128>());
        let body = ByteRanges::new(boundary, self.length)?
            .field("Content-Type", self.content_type.as_bytes())?;
        let head = Head::build(StatusCode::PARTIAL_CONTENT)
            .field("Content-Type", body.content_type())?
            .field("ETag", &self.etag)?
            .field("Last-Modified", date::write(self.modified))?
            .field("Cache-Control", CACHE_CONTROL)?
            .field("X-Content-Type-Options", "nosniff")?
            .finish();
        let pieces = body.pieces(parts).into_iter().map(|piece| match piece {
            byteranges::Piece::Text(text) => Piece::Bytes(text.into()),
            byteranges::Piece::Part(range) => stored.piece(range.first, range.last + 1),
        });
        Ok(Response::new(head, Body::Pieces(pieces.collect())))
    }

    fn unsatisfiable(&self) -> Result<Response, SerializeError> {
        let content_range = ContentRange::Unsatisfied {
            complete: self.length,
        };
        error(
            StatusCode::RANGE_NOT_SATISFIABLE,
            "the file has no such bytes",
        )
        .with_field("Content-Range", content_range.to_string())
    }
}

/// Answers with the site's own page for what is missing.
pub fn missing(page: &Stored) -> Response {
    let document = &page.document;
    Head::build(StatusCode::NOT_FOUND)
        .field("Content-Type", &document.content_type)
        .and_then(|head| head.field("Cache-Control", "no-store"))
        .map_or_else(
            |refused| error(StatusCode::NOT_FOUND, &refused.to_string()),
            |head| Response::new(head.finish(), page.piece(0, document.length).into()),
        )
}

/// Redirects to the same folder with the slash that its relative links need. The reference is
/// relative to the last segment: one that began with the whole path could be taken for another
/// host's (`//host/`).
pub fn to_folder(path: &str, query: Option<&str>) -> Response {
    let segment = path.rsplit('/').next().unwrap_or_default();
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    let location = format!("./{segment}/{query}");
    Response::text(
        StatusCode::MOVED_PERMANENTLY,
        format!("this folder is at {location}\n"),
    )
    .with_field("Location", &location)
    .unwrap_or_else(|refused| error(StatusCode::NOT_FOUND, &refused.to_string()))
}

/// Says what the server can be asked to do.
pub fn options() -> Response {
    with_allow(Response::new(
        Head::build(StatusCode::NO_CONTENT).finish(),
        Body::Empty,
    ))
}

/// Refuses a method that no file has (RFC 9110 §15.5.6).
pub fn method_not_allowed() -> Response {
    with_allow(error(
        StatusCode::METHOD_NOT_ALLOWED,
        "files can be read, not changed",
    ))
}

fn with_allow(response: Response) -> Response {
    response
        .with_field("Allow", ALLOW)
        .unwrap_or_else(|refused| error(StatusCode::INTERNAL_SERVER_ERROR, &refused.to_string()))
}

/// A short page that says what is wrong. `cause` is ours, never the client's words.
pub fn error(status: StatusCode, cause: &str) -> Response {
    let (code, reason) = (status.as_u16(), status.reason());
    let page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{code} {reason}\
         </title>\n<h1>{code} {reason}</h1>\n<p>{cause}</p>\n</html>\n"
    );
    Head::build(status)
        .field("Content-Type", "text/html; charset=utf-8")
        .and_then(|head| head.field("Cache-Control", "no-store"))
        .and_then(|head| head.field("X-Content-Type-Options", "nosniff"))
        .map_or_else(
            |refused| Response::text(status, refused.to_string()),
            |head| Response::new(head.finish(), Body::Bytes(page.into())),
        )
}
