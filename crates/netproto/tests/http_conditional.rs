//! Ranges and preconditions against the examples and rules of RFC 9110 §13 and §14.

use netproto::http::Status;
use netproto::http::byteranges::{ByteRanges, Piece};
use netproto::http::conditional::{
    Comparison, EntityTag, Outcome, Validators, evaluate, range_applies,
};
use netproto::http::fields::FieldSlots;
use netproto::http::head::RequestHead;
use netproto::http::limits::Limits;
use netproto::http::range::{ByteRange, ContentRange, MAX_RANGES, Selection, select};

#[test]
fn ranges_are_resolved_against_the_length() {
    let part = |first, last| vec![(first, last)];
    for (value, length, wanted) in [
        // RFC 9110 §14.1.2, for a representation of 10000 bytes.
        ("bytes=0-499", 10000, part(0, 499)),
        ("bytes=500-999", 10000, part(500, 999)),
        ("bytes=-500", 10000, part(9500, 9999)),
        ("bytes=9500-", 10000, part(9500, 9999)),
        ("bytes=0-0,-1", 10000, vec![(0, 0), (9999, 9999)]),
        (
            "bytes= 0-999, 4500-5499, -1000",
            10000,
            vec![(0, 999), (4500, 5499), (9000, 9999)],
        ),
        ("bytes=500-600,601-999", 10000, part(500, 999)),
        ("bytes=500-700,601-999", 10000, part(500, 999)),
        // Less than a part's own fields between them; and not less.
        ("bytes=0-99,200-299", 10000, part(0, 299)),
        ("bytes=0-99,900-999", 10000, vec![(0, 99), (900, 999)]),
        // In the order asked for; what is joined stands where its first range was asked for.
        (
            "bytes=5000-5099,0-99,9000-9099,50-149",
            10000,
            vec![(5000, 5099), (0, 149), (9000, 9099)],
        ),
        (
            "bytes=0-99,9000-9099,2000-2099,0-9999",
            10000,
            part(0, 9999),
        ),
        ("bytes=0-,0-,0-,0-,0-,0-", 10000, part(0, 9999)),
        ("BYTES=1-2", 10, part(1, 2)),
        ("bytes=,1-2,,", 10, part(1, 2)),
        // Longer than there is.
        ("bytes=5-99", 10, part(5, 9)),
        ("bytes=-99", 10, part(0, 9)),
        ("bytes=0-99999999999999999999999", 10, part(0, 9)),
        // One of two is satisfiable.
        ("bytes=10-20,2-3", 10, part(2, 3)),
    ] {
        let Selection::Parts(parts) = select(value.as_bytes(), length) else {
            panic!("{value} has no parts");
        };
        let parts: Vec<_> = parts.iter().map(|part| (part.first, part.last)).collect();
        assert_eq!(parts, wanted, "{value}");
    }
    for (value, length) in [
        ("bytes=10-", 10),
        ("bytes=99-100", 10),
        ("bytes=-0", 10),
        ("bytes=0-", 0),
    ] {
        assert_eq!(
            select(value.as_bytes(), length),
            Selection::Unsatisfiable,
            "{value}"
        );
    }
    let many = format!("bytes={}", "0-0,".repeat(MAX_RANGES + 1));
    for value in [
        "bytes=2-1",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=1",
        "bytes 1-2",
        "bytes =1-2",
        "lines=1-2",
        "bytes=1-2;3-4",
        "bytes=+1-2",
        "bytes=1--2",
        "bytes=0x1-2",
        "bytes=1 - 2",
        &many,
    ] {
        assert_eq!(select(value.as_bytes(), 10), Selection::Whole, "{value}");
    }
    assert_eq!(select(b"bytes=-5", 0), Selection::Whole);
}

#[test]
fn parts_in_one_body_look_as_in_the_rfc() {
    // RFC 9110 §15.3.7.2.
    let body = ByteRanges::new("THIS_STRING_SEPARATES".to_owned(), 8000)
        .and_then(|body| body.field("Content-Type", b"application/pdf"))
        .unwrap();
    assert_eq!(
        body.content_type(),
        "multipart/byteranges; boundary=THIS_STRING_SEPARATES"
    );
    let range = |first, last| ByteRange { first, last };
    let text: String = body
        .pieces(&[range(500, 999), range(7000, 7999)])
        .into_iter()
        .map(|piece| match piece {
            Piece::Text(text) => String::from_utf8(text).unwrap(),
            Piece::Part(part) if part == range(500, 999) => "...the first range...".to_owned(),
            Piece::Part(part) if part == range(7000, 7999) => "...the second range".to_owned(),
            Piece::Part(part) => panic!("{part:?}"),
        })
        .collect();
    let lines = [
        "--THIS_STRING_SEPARATES",
        "Content-Type: application/pdf",
        "Content-Range: bytes 500-999/8000",
        "",
        "...the first range...",
        "--THIS_STRING_SEPARATES",
        "Content-Type: application/pdf",
        "Content-Range: bytes 7000-7999/8000",
        "",
        "...the second range",
        "--THIS_STRING_SEPARATES--",
        "",
    ];
    assert_eq!(text, lines.join("\r\n"));
    assert!(ByteRanges::new("a b".to_owned(), 1).is_err());
    assert!(ByteRanges::new(String::new(), 1).is_err());
}

#[test]
fn content_range_is_read_and_written() {
    let range = |first, last| ByteRange { first, last };
    for (text, read) in [
        // RFC 9110 §14.4
        (
            "bytes 42-1233/1234",
            ContentRange::Part {
                range: range(42, 1233),
                complete: Some(1234),
            },
        ),
        (
            "bytes 42-1233/*",
            ContentRange::Part {
                range: range(42, 1233),
                complete: None,
            },
        ),
        ("bytes */1234", ContentRange::Unsatisfied { complete: 1234 }),
        (
            "bytes 0-0/1",
            ContentRange::Part {
                range: range(0, 0),
                complete: Some(1),
            },
        ),
    ] {
        assert_eq!(ContentRange::parse(text.as_bytes()), Some(read));
        assert_eq!(read.to_string(), text);
    }
    for text in [
        "bytes 2-1/3",
        "bytes 0-3/3",
        "bytes 0-1",
        "bytes */*",
        "bytes -1/3",
        "bytes 0-/3",
        "bytes=0-1/3",
        "lines 0-1/3",
        "bytes 0-1/+3",
        "bytes  0-1/3",
        "",
    ] {
        assert_eq!(ContentRange::parse(text.as_bytes()), None, "{text}");
    }
    assert_eq!(range(42, 1233).len(), 1192);
}

#[test]
fn entity_tags_compare_as_in_the_rfc() {
    // The table of RFC 9110 §8.8.3.2.
    for (one, other, strong, weak) in [
        ("W/\"1\"", "W/\"1\"", false, true),
        ("W/\"1\"", "W/\"2\"", false, false),
        ("W/\"1\"", "\"1\"", false, true),
        ("\"1\"", "\"1\"", true, true),
    ] {
        let one = EntityTag::parse(one.as_bytes()).unwrap();
        let other = EntityTag::parse(other.as_bytes()).unwrap();
        assert_eq!(one.matches(&other, Comparison::Strong), strong);
        assert_eq!(one.matches(&other, Comparison::Weak), weak);
    }
    assert_eq!(
        EntityTag::parse(b"\"a\\\"").map(|tag| tag.opaque),
        Some(&b"a\\"[..])
    );
    for text in [
        "", "1", "\"1", "1\"", "w/\"1\"", "W/1", "W/ \"1\"", "\"a b\"", "\"1\"x", " \"1\"",
    ] {
        assert_eq!(EntityTag::parse(text.as_bytes()), None, "{text}");
    }
}

const NOW: u64 = 1_795_305_600;
/// Sun, 06 Nov 1994 08:49:37 GMT
const MODIFIED: u64 = 784_111_777;
const SAME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

fn with_request<T>(
    method: &str,
    fields: &[(&str, &str)],
    look: impl FnOnce(RequestHead<'_, '_>) -> T,
) -> T {
    let mut text = format!("{method} / HTTP/1.1\r\nHost: a\r\n");
    for (name, value) in fields {
        text.extend([name, ": ", value, "\r\n"]);
    }
    text.push_str("\r\n");
    let mut slots = FieldSlots::new();
    let parsed = RequestHead::parse(text.as_bytes(), &mut slots, &Limits::DEFAULT);
    let Ok(Status::Complete(head)) = parsed else {
        panic!("{parsed:?}");
    };
    look(head)
}

#[test]
fn preconditions_are_evaluated_in_order() {
    use Outcome::{NotModified, PreconditionFailed, Proceed};
    let current = Validators {
        etag: EntityTag::parse(b"\"x\""),
        last_modified: Some(MODIFIED),
    };
    for (method, fields, outcome) in [
        ("GET", vec![], Proceed),
        ("GET", vec![("If-None-Match", "\"x\"")], NotModified),
        ("HEAD", vec![("If-None-Match", "W/\"x\"")], NotModified),
        (
            "GET",
            vec![("If-None-Match", "\"a\", W/\"b,\" ,\"x\"")],
            NotModified,
        ),
        (
            "GET",
            vec![("If-None-Match", "\"a\""), ("If-None-Match", "\"x\"")],
            NotModified,
        ),
        ("GET", vec![("If-None-Match", "*")], NotModified),
        ("GET", vec![("If-None-Match", "\"y\"")], Proceed),
        ("GET", vec![("If-None-Match", "x")], Proceed),
        (
            "GET",
            vec![("If-None-Match", "\"y\\\", \"x\"")],
            NotModified,
        ),
        ("PUT", vec![("If-None-Match", "*")], PreconditionFailed),
        // Step 4 only without If-None-Match, whatever that says.
        (
            "GET",
            vec![("If-None-Match", "\"y\""), ("If-Modified-Since", SAME)],
            Proceed,
        ),
        ("GET", vec![("If-Modified-Since", SAME)], NotModified),
        ("GET", vec![("If-Modified-Since", AFTER)], NotModified),
        ("GET", vec![("If-Modified-Since", BEFORE)], Proceed),
        ("GET", vec![("If-Modified-Since", "yesterday")], Proceed),
        (
            "GET",
            vec![("If-Modified-Since", SAME), ("If-Modified-Since", SAME)],
            Proceed,
        ),
        ("POST", vec![("If-Modified-Since", SAME)], Proceed),
        ("PUT", vec![("If-Match", "\"x\"")], Proceed),
        ("PUT", vec![("If-Match", "\"y\", \"x\"")], Proceed),
        ("PUT", vec![("If-Match", "W/\"x\"")], PreconditionFailed),
        ("PUT", vec![("If-Match", "\"y\"")], PreconditionFailed),
        ("PUT", vec![("If-Match", "nonsense")], PreconditionFailed),
        ("PUT", vec![("If-Match", "*")], Proceed),
        ("PUT", vec![("If-Unmodified-Since", SAME)], Proceed),
        (
            "PUT",
            vec![("If-Unmodified-Since", BEFORE)],
            PreconditionFailed,
        ),
        ("PUT", vec![("If-Unmodified-Since", "nonsense")], Proceed),
        // Step 2 only without If-Match.
        (
            "PUT",
            vec![("If-Match", "\"x\""), ("If-Unmodified-Since", BEFORE)],
            Proceed,
        ),
        // Steps 1 and 2 before 3 and 4.
        (
            "GET",
            vec![("If-Match", "\"y\""), ("If-None-Match", "\"x\"")],
            PreconditionFailed,
        ),
        (
            "GET",
            vec![("If-Match", "\"x\""), ("If-None-Match", "\"x\"")],
            NotModified,
        ),
    ] {
        let seen = with_request(method, &fields, |head| {
            evaluate(&head.method, &head.fields, Some(&current), NOW)
        });
        assert_eq!(seen, outcome, "{method} {fields:?}");
    }
}

#[test]
fn without_a_representation_only_if_match_fails() {
    for (fields, outcome) in [
        (vec![("If-Match", "*")], Outcome::PreconditionFailed),
        (vec![("If-Match", "\"x\"")], Outcome::PreconditionFailed),
        (vec![("If-None-Match", "*")], Outcome::Proceed),
        (vec![("If-Unmodified-Since", SAME)], Outcome::Proceed),
        (vec![("If-Modified-Since", SAME)], Outcome::Proceed),
    ] {
        let seen = with_request("PUT", &fields, |head| {
            evaluate(&head.method, &head.fields, None, NOW)
        });
        assert_eq!(seen, outcome, "{fields:?}");
    }
}

#[test]
fn a_range_counts_only_for_what_the_client_has() {
    let strong = Validators {
        etag: EntityTag::parse(b"\"x\""),
        last_modified: Some(MODIFIED),
    };
    let weak = Validators {
        etag: EntityTag::parse(b"W/\"x\""),
        ..strong
    };
    for (method, value, current, now, applies) in [
        ("GET", None, &strong, NOW, true),
        // RFC 9110 §14.2: defined for GET only.
        ("HEAD", None, &strong, NOW, false),
        ("GET", Some("\"x\""), &strong, NOW, true),
        ("GET", Some("\"y\""), &strong, NOW, false),
        ("GET", Some("W/\"x\""), &strong, NOW, false),
        ("GET", Some("W/\"x\""), &weak, NOW, false),
        ("GET", Some("\"x\", \"x\""), &strong, NOW, false),
        ("GET", Some(SAME), &strong, NOW, true),
        ("GET", Some(BEFORE), &strong, NOW, false),
        ("GET", Some(AFTER), &strong, NOW, false),
        // It may change again within this second.
        ("GET", Some(SAME), &strong, MODIFIED, false),
        ("GET", Some("*"), &strong, NOW, false),
    ] {
        let fields: Vec<_> = value.iter().map(|value| ("If-Range", *value)).collect();
        let seen = with_request(method, &fields, |head| {
            range_applies(&head.method, &head.fields, current, now)
        });
        assert_eq!(seen, applies, "{method} {value:?}");
    }
}
