//! The rules held against RFC 9111: each row is a request, a response and what the clause named in
//! the row says of the two. Ages and lifetimes were worked out by hand.

use std::time::{Duration, Instant};

use netproto::http::Status;
use netproto::http::cache_status::Forwarded;
use netproto::http::date;
use netproto::http::fields::FieldSlots;
use netproto::http::head::{RequestHead, ResponseHead};
use netproto::http::limits::Limits;
use netproto::http::method::Method;

use super::demands::Demands;
use super::freshness::Journey;
use super::reuse::{self, Reuse};
use super::selecting::Selecting;
use super::storing::{self, Refusal, Validity};

/// Sun, 06 Nov 1994 08:49:37 GMT (RFC 9110 §5.6.7), when every response of this file comes.
const NOW: u64 = 784_111_777;

fn demands(fields: &str) -> Demands {
    let (method, fields) = match fields.split_once(' ') {
        Some((method @ ("HEAD" | "POST"), rest)) => (method, rest),
        _ => ("GET", fields),
    };
    let bytes = format!("{method} / HTTP/1.1\r\nHost: a\r\n{}\r\n", lines(fields));
    let mut slots = FieldSlots::new();
    match RequestHead::parse(bytes.as_bytes(), &mut slots, &Limits::DEFAULT) {
        Ok(Status::Complete(head)) => Demands::of(&head),
        other => panic!("{bytes:?}: {other:?}"),
    }
}

/// `a: b | c: d` as field lines.
fn lines(fields: &str) -> String {
    let lines = fields.split(" | ").filter(|line| !line.is_empty());
    lines.map(|line| format!("{line}\r\n")).collect()
}

fn journey(start: Instant, delay: u64) -> Journey {
    Journey {
        request_time: start,
        response_time: start + Duration::from_secs(delay),
        response_unix: NOW,
    }
}

/// What becomes of a response of `STATUS | fields`, asked for with `request`.
fn judged(request: &str, response: &str, journey: &Journey) -> Result<Validity, Refusal> {
    let (status, fields) = response.split_once(" | ").unwrap_or((response, ""));
    let bytes = format!("HTTP/1.1 {status} \r\n{}\r\n", lines(fields));
    let mut slots = FieldSlots::new();
    let head = ResponseHead::parse(bytes.as_bytes(), &mut slots, &Limits::DEFAULT, &Method::Get);
    let Ok(Status::Complete(head)) = head else {
        panic!("{bytes:?}: {head:?}");
    };
    storing::judge(&demands(request), head.status, &head.fields, journey)
}

#[test]
fn a_response_is_stored_only_where_the_rfc_allows_it() {
    use Refusal as R;
    let fresh = "200 | cache-control: max-age=60";
    let cases: &[(&str, &str, Option<R>)] = &[
        // §3: GET, a final status, explicit freshness.
        ("", fresh, None),
        ("HEAD ", fresh, Some(R::Method)),
        ("POST ", fresh, Some(R::Method)),
        ("content-length: 0", fresh, Some(R::Method)),
        ("", "200", Some(R::NoFreshness)),
        ("", "206 | cache-control: max-age=60", Some(R::Status)),
        ("", "304 | cache-control: max-age=60", Some(R::Status)),
        ("", "599 | cache-control: max-age=60", None),
        ("", "404 | cache-control: max-age=60", None),
        ("", "302 | cache-control: max-age=60", None),
        ("", "302", Some(R::NoFreshness)),
        // §3 with §4.3: a validator alone, for the statuses of RFC 9110 §15.1.
        ("", "200 | etag: \"a\"", None),
        ("", "302 | etag: \"a\"", Some(R::NoFreshness)),
        ("", "302 | etag: \"a\" | cache-control: public", None),
        (
            "",
            "200 | last-modified: Sun, 06 Nov 1994 08:00:00 GMT",
            None,
        ),
        // §5.2.2.5, §5.2.1.5: no-store of either side.
        (
            "",
            "200 | cache-control: max-age=60, no-store",
            Some(R::NoStore),
        ),
        (
            "",
            "200 | cache-control: No-Store | etag: \"a\"",
            Some(R::NoStore),
        ),
        (
            "",
            "200 | cache-control: max-age=60 | cache-control: no-store",
            Some(R::NoStore),
        ),
        ("cache-control: no-store", fresh, Some(R::RequestNoStore)),
        ("cache-control: no-cache", fresh, None),
        // §5.2.2.7: private; with field names, the rest may be stored.
        (
            "",
            "200 | cache-control: max-age=60, private",
            Some(R::Private),
        ),
        (
            "",
            "200 | cache-control: max-age=60, private=\"set-cookie\"",
            None,
        ),
        // §5.2.2.4: no-cache may be stored, if there is something to ask with or it is fresh.
        ("", "200 | cache-control: max-age=60, no-cache", None),
        // §5.2.2.3: must-understand.
        (
            "",
            "200 | cache-control: max-age=60, must-understand, no-store",
            None,
        ),
        (
            "",
            "299 | cache-control: max-age=60, must-understand, no-store",
            Some(R::NotUnderstood),
        ),
        // §3.5: with credentials only what says so.
        ("authorization: Basic Zm9v", fresh, Some(R::Authorization)),
        (
            "authorization: Basic Zm9v",
            "200 | cache-control: max-age=60, public",
            None,
        ),
        (
            "authorization: Basic Zm9v",
            "200 | cache-control: max-age=60, must-revalidate",
            None,
        ),
        (
            "authorization: Basic Zm9v",
            "200 | cache-control: s-maxage=60",
            None,
        ),
        (
            "authorization: Basic Zm9v",
            "200 | cache-control: max-age=60, proxy-revalidate",
            Some(R::Authorization),
        ),
        // §4.1: Vary.
        ("", "200 | cache-control: max-age=60 | vary: accept", None),
        (
            "",
            "200 | cache-control: max-age=60 | vary: *",
            Some(R::Vary),
        ),
        (
            "",
            "200 | cache-control: max-age=60 | vary: accept | vary: foo, *",
            Some(R::Vary),
        ),
        (
            "",
            "200 | cache-control: max-age=60 | vary: X-Forwarded-For",
            Some(R::Vary),
        ),
        // §4.2.1: freshness that is wrong is none.
        ("", "200 | cache-control: max-age=0", Some(R::NoFreshness)),
        ("", "200 | cache-control: max-age=x", Some(R::NoFreshness)),
        (
            "",
            "200 | cache-control: max-age=60, max-age=60",
            Some(R::NoFreshness),
        ),
        ("", "200 | cache-control: max-age=-1", Some(R::NoFreshness)),
        ("", "200 | cache-control: max-age=\"60\"", None),
        ("", "200 | expires: 0", Some(R::NoFreshness)),
        ("", "200 | expires: Sun, 06 Nov 1994 08:50:37 GMT", None),
        (
            "",
            "200 | expires: Sun, 06 Nov 1994 08:49:37 GMT",
            Some(R::NoFreshness),
        ),
        (
            "",
            "200 | expires: Sun, 06 Nov 1994 08:50:37 UTC",
            Some(R::NoFreshness),
        ),
        (
            "",
            "200 | expires: Sun, 06 Nov 1994 08:50:37 GMT | expires: Sun, 06 Nov 1994 08:50:37 GMT",
            Some(R::NoFreshness),
        ),
        // It came older than it may become.
        (
            "",
            "200 | cache-control: max-age=60 | age: 60",
            Some(R::NoFreshness),
        ),
        // Set-Cookie with explicit freshness.
        (
            "",
            "200 | cache-control: max-age=60 | set-cookie: a=b",
            None,
        ),
        // Preconditions for the origin, and fields that the connection takes away.
        ("if-match: \"a\"", fresh, Some(R::NeedsOrigin)),
        (
            "if-unmodified-since: Sun, 06 Nov 1994 08:49:37 GMT",
            fresh,
            Some(R::NeedsOrigin),
        ),
        (
            "connection: x-user | x-user: a",
            fresh,
            Some(R::NeedsOrigin),
        ),
        ("connection: Keep-Alive, TE", fresh, None),
    ];
    let journey = journey(Instant::now(), 0);
    for (request, response, refusal) in cases {
        let found = judged(request, response, &journey).err();
        assert_eq!(found, *refusal, "{request:?} → {response:?}");
    }
}

#[test]
fn age_and_lifetime_are_those_of_section_4_2() {
    // Response, response_delay, seconds in the store; current_age and what is left.
    let cases: &[(&str, u64, u64, u64, Result<u64, u64>)] = &[
        // Date is now, no Age: age is resident_time.
        (
            "date: Sun, 06 Nov 1994 08:49:37 GMT | cache-control: max-age=60",
            0,
            10,
            10,
            Ok(50),
        ),
        // apparent_age = 37 - 7 = 30.
        (
            "date: Sun, 06 Nov 1994 08:49:07 GMT | cache-control: max-age=60",
            0,
            10,
            40,
            Ok(20),
        ),
        // corrected_age_value = 20 + 2 = 22 < apparent_age 30.
        (
            "date: Sun, 06 Nov 1994 08:49:07 GMT | age: 20 | cache-control: max-age=60",
            2,
            0,
            30,
            Ok(30),
        ),
        // corrected_age_value = 40 + 2 = 42 > apparent_age 30; 5 in the store.
        (
            "date: Sun, 06 Nov 1994 08:49:07 GMT | age: 40 | cache-control: max-age=60",
            2,
            5,
            47,
            Ok(13),
        ),
        // A Date in the future makes no negative age.
        (
            "date: Sun, 06 Nov 1994 08:59:37 GMT | cache-control: max-age=60",
            0,
            1,
            1,
            Ok(59),
        ),
        // No Date: as if it had been sent when it came.
        ("cache-control: max-age=60", 0, 0, 0, Ok(60)),
        // s-maxage before max-age before Expires (§4.2.1).
        (
            "cache-control: max-age=60, s-maxage=10 | expires: Sun, 06 Nov 1994 09:49:37 GMT",
            0,
            0,
            0,
            Ok(10),
        ),
        (
            "cache-control: max-age=60 | expires: Sun, 06 Nov 1994 09:49:37 GMT",
            0,
            0,
            0,
            Ok(60),
        ),
        // expires_value - date_value = 08:59:07 - 08:49:07 = 600; age 30.
        (
            "date: Sun, 06 Nov 1994 08:49:07 GMT | expires: Sun, 06 Nov 1994 08:59:07 GMT",
            0,
            0,
            30,
            Ok(570),
        ),
        (
            "date: Sun, 06 Nov 1994 08:49:07 GMT | expires: Sun Nov  6 08:59:07 1994",
            0,
            0,
            30,
            Ok(570),
        ),
        // Fresh only while lifetime > age (§4.2).
        ("cache-control: max-age=60", 0, 60, 60, Err(0)),
        ("cache-control: max-age=60", 0, 75, 75, Err(15)),
        // Age: its first member, digits only (§5.1).
        ("age: 20, 99 | cache-control: max-age=60", 0, 0, 20, Ok(40)),
        ("age: +20 | cache-control: max-age=60", 0, 0, 0, Ok(60)),
        ("age: 2.5 | cache-control: max-age=60", 0, 0, 0, Ok(60)),
        // §1.2.2: what cannot be held is 2^31.
        (
            "age: 99999999999999999999999 | etag: \"a\"",
            0,
            0,
            1 << 31,
            Err(1 << 31),
        ),
        (
            "cache-control: max-age=99999999999999999999999",
            0,
            1,
            1,
            Ok((1 << 31) - 1),
        ),
    ];
    assert_eq!(
        date::parse(b"Sun, 06 Nov 1994 08:49:37 GMT", NOW),
        Some(NOW)
    );
    for (response, delay, resident, age, remaining) in cases {
        let journey = journey(Instant::now(), *delay);
        let validity = judged("", &format!("200 | {response}"), &journey).unwrap();
        let now = journey.response_time + Duration::from_secs(*resident);
        let seconds = |time: Duration| time.as_secs();
        assert_eq!(validity.freshness.age(now).as_secs(), *age, "{response}");
        let found = validity.freshness.remaining(now);
        assert_eq!(
            found.map(seconds).map_err(seconds),
            *remaining,
            "{response}"
        );
    }
}

#[test]
fn a_request_gets_what_is_stored_only_as_it_wants_it() {
    let answer = |age, ttl| Reuse::Answer { age, ttl };
    let (request, stale) = (
        Reuse::Forward(Forwarded::Request),
        Reuse::Forward(Forwarded::Stale),
    );
    let fresh = "cache-control: max-age=60";
    let strict = "cache-control: max-age=60, must-revalidate";
    // Request, response, seconds in the store.
    let cases: &[(&str, &str, u64, Reuse)] = &[
        ("", fresh, 10, answer(10, Ok(50))),
        ("", fresh, 59, answer(59, Ok(1))),
        ("", fresh, 60, stale),
        // §5.2.2.4
        ("", "cache-control: max-age=60, no-cache", 0, stale),
        (
            "",
            "cache-control: max-age=60, no-cache=\"set-cookie\"",
            0,
            answer(0, Ok(60)),
        ),
        // §5.2.1.4, §5.4
        ("cache-control: no-cache", fresh, 0, request),
        ("pragma: no-cache", fresh, 0, request),
        (
            "pragma: no-cache | cache-control: max-age=50",
            fresh,
            10,
            answer(10, Ok(50)),
        ),
        // §5.2.1.1
        ("cache-control: max-age=10", fresh, 10, answer(10, Ok(50))),
        ("cache-control: max-age=10", fresh, 11, request),
        ("cache-control: max-age=0", fresh, 0, request),
        ("cache-control: max-age=x", fresh, 0, request),
        // §5.2.1.3
        ("cache-control: min-fresh=50", fresh, 10, answer(10, Ok(50))),
        ("cache-control: min-fresh=51", fresh, 10, request),
        // §5.2.1.2
        (
            "cache-control: max-stale",
            fresh,
            600,
            answer(600, Err(540)),
        ),
        (
            "cache-control: max-stale=15",
            fresh,
            75,
            answer(75, Err(15)),
        ),
        ("cache-control: max-stale=14", fresh, 75, stale),
        ("cache-control: max-stale, min-fresh=1", fresh, 75, stale),
        // §5.2.2.2, §5.2.2.8, §5.2.2.10: never stale, whoever asks.
        ("cache-control: max-stale", strict, 61, stale),
        (
            "cache-control: max-stale",
            "cache-control: max-age=60, proxy-revalidate",
            61,
            stale,
        ),
        (
            "cache-control: max-stale",
            "cache-control: s-maxage=60",
            61,
            stale,
        ),
        // only-if-cached changes nothing about what may be used.
        (
            "cache-control: only-if-cached",
            fresh,
            10,
            answer(10, Ok(50)),
        ),
        // no-store forbids storing, not answering (§5.2.1.5).
        ("cache-control: no-store", fresh, 10, answer(10, Ok(50))),
    ];
    let journey = journey(Instant::now(), 0);
    for (asked, response, resident, expected) in cases {
        let validity = judged("", &format!("200 | {response}"), &journey).unwrap();
        let now = journey.response_time + Duration::from_secs(*resident);
        let found = reuse::decide(&validity, &demands(asked).directives, now);
        assert_eq!(
            found, *expected,
            "{asked:?} after {resident} s of {response:?}"
        );
    }
}

#[test]
fn a_response_stands_for_requests_with_the_same_selecting_fields() {
    // Vary, the request it answered, another request; whether it stands for that too (§4.1).
    let cases = [
        ("", "accept: a", "accept: b", true),
        ("accept", "accept: a", "accept: a", true),
        ("accept", "accept: a", "accept: b", false),
        ("Accept", "ACCEPT: a", "accept: a", true),
        ("accept", "accept: a", "", false),
        ("accept", "", "", true),
        ("accept", "", "accept:", false),
        ("accept", "accept: a", "accept: A", false),
        // White space about commas and several lines do not count.
        ("accept", "accept: a, b", "accept: a,b", true),
        ("accept", "accept: a, b", "accept: a | accept:  b", true),
        ("accept", "accept: a, b", "accept: b, a", false),
        (
            "accept, foo",
            "accept: a | foo: 1",
            "foo: 1 | accept: a",
            true,
        ),
        (
            "accept, foo",
            "accept: a | foo: 1",
            "foo: 2 | accept: a",
            false,
        ),
        ("accept, accept", "accept: a", "accept: a", true),
    ];
    for (vary, first, second, expected) in cases {
        let bytes = format!("HTTP/1.1 200 \r\nvary: {vary}\r\n\r\n");
        let mut slots = FieldSlots::new();
        let head =
            ResponseHead::parse(bytes.as_bytes(), &mut slots, &Limits::DEFAULT, &Method::Get);
        let response = head.unwrap().complete().unwrap().fields;
        let (first, second) = [first, second]
            .map(|fields| format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", lines(fields)))
            .into();
        let mut slots = [FieldSlots::new(), FieldSlots::new()];
        let [of_first, of_second] = &mut slots;
        let first = RequestHead::parse(first.as_bytes(), of_first, &Limits::DEFAULT);
        let second = RequestHead::parse(second.as_bytes(), of_second, &Limits::DEFAULT);
        let first = first.unwrap().complete().unwrap().fields;
        let second = second.unwrap().complete().unwrap().fields;
        let selecting = Selecting::of(&response, &first);
        assert_eq!(
            selecting.matches(&second),
            expected,
            "{vary}: {first:?}, {second:?}"
        );
        assert!(selecting.matches(&first));
    }
}
