//! Properties of the codec, on inputs that chance makes.

mod split;

use netproto::http::body::{BodyFraming, CHUNK_END, LAST_CHUNK, chunk_size_line};
use netproto::http::date;
use netproto::http::fields::FieldSlots;
use netproto::http::head::{RequestHead, ResponseHead};
use netproto::http::limits::Limits;
use netproto::http::method::Method;
use netproto::http::status::StatusCode;
use netproto::http::write;
use proptest::prelude::*;
use testkit::vectors;

/// A vector with a few bytes changed, put in or taken out.
fn mutated(vectors: Vec<vectors::Vector>) -> impl Strategy<Value = Vec<u8>> {
    let short: Vec<Vec<u8>> = vectors
        .into_iter()
        .map(|vector| vector.bytes)
        .filter(|bytes| bytes.len() < 500)
        .collect();
    let telling = prop::sample::select(b"\r\n\0 \t:,;=%/\\\"0aHx\x7f\xff".to_vec());
    let edit = (any::<prop::sample::Index>(), 0..3, telling);
    (
        prop::sample::select(short),
        prop::collection::vec(edit, 0..4),
    )
        .prop_map(|(mut bytes, edits)| {
            for (index, kind, byte) in edits {
                let at = index.index(bytes.len() + 1);
                match kind {
                    0 => bytes.insert(at, byte),
                    1 if at < bytes.len() => bytes[at] = byte,
                    _ if at < bytes.len() => drop(bytes.remove(at)),
                    _ => {}
                }
            }
            bytes
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_request_in_pieces_fares_as_it_does_whole(
        bytes in mutated(vectors::requests()),
        step in 1_usize..80,
    ) {
        if let Ok(Some((_, len))) = split::check_request(&bytes, step) {
            let _ = split::check_chunked(&bytes[len..], step);
        }
    }

    #[test]
    fn a_response_in_pieces_fares_as_it_does_whole(
        bytes in mutated(vectors::responses()),
        step in 1_usize..80,
    ) {
        let _ = split::check_response(&bytes, step);
    }
}

/// Names and values as they may stand in a head, without blanks around the values.
fn fields() -> impl Strategy<Value = Vec<(String, String)>> {
    prop::collection::vec(
        (
            "X-[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}",
            "([!-~é]([ \t!-~é]{0,20}[!-~é])?)?",
        ),
        0..30,
    )
}

proptest! {
    #[test]
    fn what_is_written_as_a_request_reads_the_same(
        method in "[A-Z]{1,12}",
        target in "/[!$-\\[\\]-~&&[^%\\\\#]]{0,40}",
        fields in fields(),
    ) {
        let method = match method.as_str() {
            "CONNECT" => Method::Get,
            other => Method::Other(other),
        };
        let mut bytes = Vec::new();
        write::request_line(&mut bytes, &method, &target).unwrap();
        write::field(&mut bytes, "Host", b"example.org").unwrap();
        for (name, value) in &fields {
            write::field(&mut bytes, name, value.as_bytes()).unwrap();
        }
        write::end_of_head(&mut bytes);

        let mut slots = FieldSlots::new();
        let head = RequestHead::parse(&bytes, &mut slots, &Limits::DEFAULT)
            .unwrap()
            .complete()
            .unwrap();
        prop_assert_eq!(head.method.as_str(), method.as_str());
        let (path, query) = (head.target.path().unwrap(), head.target.query());
        let read = query.map_or(path.to_owned(), |query| format!("{path}?{query}"));
        prop_assert_eq!(read, target);
        prop_assert_eq!(head.len, bytes.len());
        let read: Vec<_> = head.fields.iter().skip(1)
            .map(|(name, value)| (name.to_owned(), String::from_utf8(value.to_vec()).unwrap()))
            .collect();
        prop_assert_eq!(read, fields);
    }

    #[test]
    fn what_is_written_as_a_response_reads_the_same(
        code in 100_u16..1000,
        fields in fields(),
    ) {
        let status = StatusCode::new(code).unwrap();
        let mut bytes = Vec::new();
        write::status_line(&mut bytes, status);
        for (name, value) in &fields {
            write::field(&mut bytes, name, value.as_bytes()).unwrap();
        }
        write::end_of_head(&mut bytes);

        let mut slots = FieldSlots::new();
        let head = ResponseHead::parse(&bytes, &mut slots, &Limits::DEFAULT, &Method::Get)
            .unwrap()
            .complete()
            .unwrap();
        prop_assert_eq!(head.status, status);
        prop_assert_eq!(head.reason, status.reason().as_bytes());
        let read: Vec<_> = head.fields.iter()
            .map(|(name, value)| (name.to_owned(), String::from_utf8(value.to_vec()).unwrap()))
            .collect();
        prop_assert_eq!(read, fields);
    }

    #[test]
    fn no_value_ends_its_line(name in ".{0,8}", value in prop::collection::vec(any::<u8>(), 0..20)) {
        let mut out = Vec::new();
        if write::field(&mut out, &name, &value).is_ok() {
            let line = &out[..out.len() - 2];
            prop_assert!(!line.iter().any(|byte| b"\r\n\0".contains(byte)));
            prop_assert!(!name.contains(':') && !name.is_empty());
        } else {
            prop_assert!(out.is_empty());
        }
    }

    #[test]
    fn a_chunked_body_decodes_to_what_was_encoded(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..8),
        step in 1_usize..400,
        follows in prop::collection::vec(any::<u8>(), 0..10),
    ) {
        let mut encoded = Vec::new();
        for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
            chunk_size_line(piece.len(), &mut encoded);
            encoded.extend_from_slice(piece);
            encoded.extend_from_slice(CHUNK_END);
        }
        encoded.extend_from_slice(LAST_CHUNK);
        let len = encoded.len();
        encoded.extend_from_slice(&follows);
        let decoded = split::body(BodyFraming::Chunked, &encoded, step, &Limits::DEFAULT);
        prop_assert_eq!(decoded, Ok((pieces.concat(), len, true)));
    }

    #[test]
    fn a_date_reads_as_it_was_written(seconds in 0..=253_402_300_799_u64, now in 0..=u64::MAX) {
        prop_assert_eq!(date::parse(&date::write(seconds), now), Some(seconds));
    }

    #[test]
    fn no_bytes_break_the_date_parser(
        bytes in "(Sun|Sunday|.{0,3})[, ]{0,2}[0-9A-Za-z: ,-]{0,30}(GMT)?",
        now in 0..=u64::MAX,
    ) {
        let _ = date::parse(bytes.as_bytes(), now);
    }
}
