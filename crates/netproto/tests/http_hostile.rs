//! The vectors of `vectors/`: what each message gets, whole and in pieces.

mod split;

use netproto::http::Status;
use netproto::http::body::{BodyDecoder, BodyError, BodyFraming};
use netproto::http::fields::FieldSlots;
use netproto::http::head::{HeadError, RequestHead, ResponseHead};
use netproto::http::limits::Limits;
use netproto::http::method::Method;
use netproto::http::status::StatusCode;
use netproto::http::target::{TargetError, file_path};
use testkit::vectors::{self, SeenBy};

/// What is wrong with a message, and who says so.
#[derive(Debug, PartialEq)]
enum Refusal {
    Head(HeadError),
    Body(BodyError),
    File(TargetError),
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Refusal::Head(error) => error.status(),
            Refusal::Body(error) => error.status(),
            Refusal::File(error) => HeadError::Target(*error).status(),
        }
    }

    fn seen_by(&self) -> SeenBy {
        match self {
            Refusal::Head(_) => SeenBy::Head,
            Refusal::Body(_) => SeenBy::Body,
            Refusal::File(_) => SeenBy::File,
        }
    }
}

/// Reads a request as a server does. `true` if all of it was there.
fn serve(bytes: &[u8]) -> Result<bool, Refusal> {
    let mut slots = FieldSlots::new();
    let head = RequestHead::parse(bytes, &mut slots, &Limits::DEFAULT).map_err(Refusal::Head)?;
    let Status::Complete(head) = head else {
        return Ok(false);
    };
    if let Some(path) = head.target.path() {
        file_path(path).map_err(Refusal::File)?;
    }
    let (_, len, done) = decode(head.framing, &bytes[head.len..])?;
    assert!(!done || head.len + len == bytes.len() || head.method == Method::Other("PRI"));
    Ok(done)
}

fn decode(framing: BodyFraming, bytes: &[u8]) -> Result<(Vec<u8>, usize, bool), Refusal> {
    split::body(framing, bytes, usize::MAX, &Limits::DEFAULT).map_err(Refusal::Body)
}

#[test]
fn each_request_gets_its_status() {
    let vectors = vectors::requests();
    assert!(vectors.len() > 150, "only {} were read", vectors.len());
    for vector in vectors {
        let outcome = serve(&vector.bytes);
        match (vector.status, vector.seen_by) {
            (Some(408), _) => assert_eq!(outcome, Ok(false), "{}", vector.why),
            (None, _) | (_, SeenBy::Server) => assert_eq!(outcome, Ok(true), "{}", vector.why),
            (Some(status), seen_by) => {
                let refusal = outcome.expect_err(&vector.why);
                assert_eq!(
                    refusal.status().as_u16(),
                    status,
                    "{}: {refusal:?}",
                    vector.why
                );
                assert_eq!(refusal.seen_by(), seen_by, "{}: {refusal:?}", vector.why);
            }
        }
    }
}

#[test]
fn each_response_is_taken_or_refused() {
    for vector in vectors::responses() {
        let mut slots = FieldSlots::new();
        let parsed = ResponseHead::parse(&vector.bytes, &mut slots, &Limits::DEFAULT, &Method::Get);
        let head = match parsed {
            Err(error) => {
                assert_eq!(vector.seen_by, SeenBy::Head, "{}: {error}", vector.why);
                assert_eq!(vector.status, Some(502), "{}: {error}", vector.why);
                continue;
            }
            Ok(status) => status.complete().expect(&vector.why),
        };
        let body = &vector.bytes[head.len..];
        match split::body(head.framing, body, usize::MAX, &Limits::DEFAULT) {
            Err(error) => {
                assert_eq!(vector.seen_by, SeenBy::Body, "{}: {error}", vector.why);
                assert_eq!(vector.status, Some(502), "{}: {error}", vector.why);
            }
            Ok((payload, _, done)) => {
                assert_eq!(vector.status, None, "{}", vector.why);
                assert!(done || head.framing == BodyFraming::UntilClose);
                assert!(vector.seen_by == SeenBy::Head || payload == b"hello");
            }
        }
    }
}

#[test]
fn a_vector_in_pieces_fares_as_it_does_whole() {
    for vector in vectors::requests() {
        for step in [2, 7, 64, 1000] {
            let whole = split::check_request(&vector.bytes, step);
            if let Ok(Some((_, len))) = whole {
                let _ = split::check_chunked(&vector.bytes[len..], step);
            }
        }
    }
    for vector in vectors::responses() {
        for step in [2, 7, 64, 1000] {
            let _ = split::check_response(&vector.bytes, step);
        }
    }
}

#[test]
fn a_head_within_the_limits_fits_the_buffer_that_they_name() {
    // The longest head that is not refused, one byte short of its end.
    let limits = Limits::DEFAULT;
    let mut text = format!("\r\n{} /{} HTTP/1.1\r\n", "M".repeat(32), "a".repeat(8191));
    let fields_begin = text.len();
    text.push_str("Host: a\r\n");
    while text.len() - fields_begin + 8192 + 2 < limits.fields_bytes {
        text.extend(["X: ", &"y".repeat(8192 - 3), "\r\n"]);
    }
    let rest = limits.fields_bytes - (text.len() - fields_begin);
    text.extend(["X: ", &"y".repeat(rest - 3), "\r\n\r\n"]);
    assert_eq!(text.len(), limits.head_bytes());
    let whole = split::request(text.as_bytes(), usize::MAX, &limits);
    assert!(
        matches!(whole, Ok(Some((_, len))) if len == text.len()),
        "{whole:?}"
    );
    let short = split::request(&text.as_bytes()[..text.len() - 1], usize::MAX, &limits);
    assert_eq!(short, Ok(None));
}

#[test]
fn a_length_above_the_limit_is_refused_before_the_body_is_sent() {
    let over = BodyFraming::Length(Limits::DEFAULT.body_bytes + 1);
    assert_eq!(
        BodyDecoder::new(over, &Limits::DEFAULT).err(),
        Some(BodyError::TooLarge)
    );
}
