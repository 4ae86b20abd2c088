//! From a request and what is known of a file to the response: no file is touched here.

use netio::http::response::{Body, Piece, Response};
use netio::http::server::Request;
use netproto::http::byteranges;
use netproto::http::conditional::{self, EntityTag, Outcome, Validators};
use netproto::http::fields::Fields;
use netproto::http::range::{self, ByteRange, ContentRange, Selection};
use netproto::http::status::StatusCode;
use netproto::http::write::SerializeError;

use crate::page;
use crate::representation::Representation;
use crate::rules::Rules;

/// Answers a GET or HEAD of a file: conditions first, then ranges (RFC 9110 §13.2.2).
pub fn file(selected: &Representation, request: &Request<'_>, rules: &Rules) -> Response {
    if !is_special(&request.head.fields) {
        return whole(selected);
    }
    special(selected, request, rules).unwrap_or_else(|refused| page::broken(&refused))
}

/// Whether a request asks for anything but the whole file whatever its state.
fn is_special(fields: &Fields<'_, '_>) -> bool {
    fields.iter().any(|(name, _)| match name.as_bytes() {
        [b'i' | b'I', b'f' | b'F', b'-', ..] => true,
        name => name.eq_ignore_ascii_case(b"range"),
    })
}

fn special(
    selected: &Representation,
    request: &Request<'_>,
    rules: &Rules,
) -> Result<Response, SerializeError> {
    let document = &selected.document;
    let (method, fields, now) = (
        &request.head.method,
        &request.head.fields,
        request.unix_seconds,
    );
    let validators = Validators {
        etag: EntityTag::parse(document.etag().as_bytes()),
        last_modified: Some(document.modified()),
    };
    match conditional::evaluate(method, fields, Some(&validators), now) {
        Outcome::NotModified => return Ok(Response::new(document.not_modified()?, Body::Empty)),
        Outcome::PreconditionFailed => {
            let cause = "the file is not in the state asked for";
            return Ok(page::error(rules, StatusCode::PRECONDITION_FAILED, cause));
        }
        Outcome::Proceed => {}
    }
    if !conditional::range_applies(method, fields, &validators, now) {
        return Ok(whole(selected));
    }
    match selection(fields, document.length()) {
        Selection::Unsatisfiable => unsatisfiable(document.length(), rules),
        Selection::Parts(parts) => match parts[..] {
            [range] => part(selected, range),
            _ => several(selected, &parts),
        },
        Selection::Whole => Ok(whole(selected)),
    }
}

/// What the only Range field selects.
fn selection(fields: &Fields<'_, '_>, length: u64) -> Selection {
    let mut values = fields.all("range");
    match (values.next(), values.next()) {
        (Some(value), None) => range::select(value, length),
        _ => Selection::Whole,
    }
}

fn whole(selected: &Representation) -> Response {
    let Representation { document, content } = selected;
    let body = content.piece(0, document.length()).into();
    Response::new(document.ok().clone(), body)
}

fn part(selected: &Representation, range: ByteRange) -> Result<Response, SerializeError> {
    let Representation { document, content } = selected;
    let head = document.part(ContentRange::Part {
        range,
        complete: Some(document.length()),
    })?;
    let body = content.piece(range.first, range.last + 1).into();
    Ok(Response::new(head, body))
}

/// 206 with several parts in one body (RFC 9110 §15.3.7.2).
fn several(selected: &Representation, parts: &[ByteRange]) -> Result<Response, SerializeError> {
    let boundary = format!("{:032x}", rand::random::<u128>());
    let (head, body) = selected.document.parts(boundary)?;
    let pieces = body.pieces(parts).into_iter().map(|piece| match piece {
        byteranges::Piece::Text(text) => Piece::Bytes(text.into()),
        byteranges::Piece::Part(range) => selected.content.piece(range.first, range.last + 1),
    });
    Ok(Response::new(head, Body::Pieces(pieces.collect())))
}

fn unsatisfiable(complete: u64, rules: &Rules) -> Result<Response, SerializeError> {
    let cause = "the file has no such bytes";
    let content_range = ContentRange::Unsatisfied { complete };
    page::error(rules, StatusCode::RANGE_NOT_SATISFIABLE, cause)
        .with_field("Content-Range", content_range.to_string())
}
