//! The property that every parser of HTTP here has: however the bytes are split, the outcome is the
//! same. Used by the tests beside this folder and by the fuzz targets in `fuzz/`.

#![expect(
    unreachable_pub,
    reason = "each test that takes this module in is a crate of its own"
)]

use netproto::http::body::{BodyDecoder, BodyError, BodyFraming};
use netproto::http::fields::FieldSlots;
use netproto::http::head::{HeadError, HeadScan, RequestHead, ResponseHead};
use netproto::http::limits::Limits;
use netproto::http::method::Method;

/// What was made of a head: everything it says and its length, an error, or `None` if it is not
/// complete.
pub type HeadOutcome = Result<Option<(String, usize)>, HeadError>;

/// What was made of a body: its payload, how many bytes it took, and whether it is complete.
pub type BodyOutcome = Result<(Vec<u8>, usize, bool), BodyError>;

/// Limits small enough that short inputs come to break them.
pub const SMALL: Limits = Limits {
    method_bytes: 8,
    target_bytes: 24,
    field_bytes: 40,
    fields_bytes: 100,
    fields: 6,
    body_bytes: 64,
    chunk_extension_bytes: 16,
};

/// Parses the front of `bytes` as a request head, given in pieces of `step` bytes.
pub fn request(bytes: &[u8], step: usize, limits: &Limits) -> HeadOutcome {
    in_pieces(bytes, step, |scan, buf| {
        let mut slots = FieldSlots::new();
        let status = RequestHead::resume(scan, buf, &mut slots, limits)?;
        Ok(status
            .complete()
            .map(|head| (format!("{head:?}"), head.len)))
    })
}

/// Parses the front of `bytes` as a response head, given in pieces of `step` bytes.
pub fn response(bytes: &[u8], step: usize, limits: &Limits) -> HeadOutcome {
    in_pieces(bytes, step, |scan, buf| {
        let mut slots = FieldSlots::new();
        let status = ResponseHead::resume(scan, buf, &mut slots, limits, &Method::Get)?;
        Ok(status
            .complete()
            .map(|head| (format!("{head:?}"), head.len)))
    })
}

fn in_pieces(
    bytes: &[u8],
    step: usize,
    mut parse: impl FnMut(&mut HeadScan, &[u8]) -> HeadOutcome,
) -> HeadOutcome {
    let mut scan = HeadScan::new();
    let mut end = 0;
    while end < bytes.len() {
        end = bytes.len().min(end + step);
        if let Some(complete) = parse(&mut scan, &bytes[..end])? {
            return Ok(Some(complete));
        }
    }
    Ok(None)
}

/// Decodes the body at the front of `bytes`, given in pieces of `step` bytes.
pub fn body(framing: BodyFraming, bytes: &[u8], step: usize, limits: &Limits) -> BodyOutcome {
    let mut decoder = BodyDecoder::new(framing, limits)?;
    let (mut payload, mut position, mut end) = (Vec::new(), 0, 0);
    while end < bytes.len() && !decoder.is_done() {
        end = bytes.len().min(end + step);
        while position < end && !decoder.is_done() {
            let decoded = decoder.decode(&bytes[position..end])?;
            assert!(decoded.consumed <= end - position);
            assert!(decoded.data.end <= decoded.consumed);
            assert!(decoded.consumed > 0 || decoded.done, "no progress");
            assert_eq!(decoded.done, decoder.is_done());
            payload.extend_from_slice(&bytes[position..end][decoded.data]);
            position += decoded.consumed;
        }
    }
    Ok((payload, position, decoder.is_done()))
}

/// Holds a request to the property, in the pieces that matter: one byte at a time, `step` bytes,
/// and all at once; with the usual limits and with small ones.
pub fn check_request(bytes: &[u8], step: usize) -> HeadOutcome {
    check_head(request, bytes, step)
}

/// The same of a response.
pub fn check_response(bytes: &[u8], step: usize) -> HeadOutcome {
    check_head(response, bytes, step)
}

fn check_head(
    parse: fn(&[u8], usize, &Limits) -> HeadOutcome,
    bytes: &[u8],
    step: usize,
) -> HeadOutcome {
    for limits in [&SMALL, &Limits::DEFAULT] {
        let whole = parse(bytes, usize::MAX, limits);
        for step in [1, step.max(1)] {
            assert_eq!(parse(bytes, step, limits), whole, "in pieces of {step}");
        }
        if let Ok(Some((said, len))) = &whole {
            assert!(*len <= bytes.len());
            // What follows a head changes nothing, and a head cut short is not complete.
            let alone = parse(&bytes[..*len], usize::MAX, limits);
            assert_eq!(alone, Ok(Some((said.clone(), *len))));
            assert_eq!(parse(&bytes[..len - 1], usize::MAX, limits), Ok(None));
        }
    }
    parse(bytes, usize::MAX, &Limits::DEFAULT)
}

/// The same of a chunked body.
pub fn check_chunked(bytes: &[u8], step: usize) -> BodyOutcome {
    for limits in [&SMALL, &Limits::DEFAULT] {
        let whole = body(BodyFraming::Chunked, bytes, usize::MAX, limits);
        for step in [1, step.max(1)] {
            let split = body(BodyFraming::Chunked, bytes, step, limits);
            assert_eq!(split, whole, "in pieces of {step}");
        }
        if let Ok((payload, _, _)) = &whole {
            assert!(payload.len() as u64 <= limits.body_bytes);
        }
    }
    body(BodyFraming::Chunked, bytes, usize::MAX, &Limits::DEFAULT)
}
