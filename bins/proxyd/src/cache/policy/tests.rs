//! The rules held against the vectors beside this file. `#` begins a remark; `|` parts fields.

use std::time::{Duration, Instant};

use netproto::http::Status;
use netproto::http::fields::FieldSlots;
use netproto::http::head::{RequestHead, ResponseHead};
use netproto::http::limits::Limits;
use netproto::http::method::Method;

use super::demands::Demands;
use super::freshness::Journey;
use super::partial;
use super::reuse::{self, Aged, Reuse, Trouble};
use super::selecting::Selecting;
use super::storing::{self, Refusal, Validity};

/// Sun, 06 Nov 1994 08:49:37 GMT (RFC 9110 §5.6.7), when every response comes.
const NOW: u64 = 784_111_777;

/// The vectors of a file, each as its line and its columns.
fn vectors<const COLUMNS: usize>(text: &str) -> Vec<(&str, [&str; COLUMNS])> {
    let is_vector = |line: &&str| !line.is_empty() && !line.starts_with('#');
    let vectors: Vec<_> = text
        .lines()
        .filter(is_vector)
        .map(|line| {
            let columns: Vec<&str> = line.split("=>").map(str::trim).collect();
            (line, columns.try_into().unwrap())
        })
        .collect();
    assert!(!vectors.is_empty());
    vectors
}

/// `METHOD | name: value | name: value` as a head.
fn request(text: &str) -> Vec<u8> {
    let (method, fields) = text.split_once('|').unwrap_or((text, ""));
    head(&format!("{} / HTTP/1.1\r\nHost: a", method.trim()), fields)
}

/// `STATUS | name: value | name: value` as a head.
fn response(text: &str) -> Vec<u8> {
    let (status, fields) = text.split_once('|').unwrap_or((text, ""));
    head(&format!("HTTP/1.1 {} ", status.trim()), fields)
}

fn head(start: &str, fields: &str) -> Vec<u8> {
    let mut lines = vec![start];
    lines.extend(
        fields
            .split('|')
            .map(str::trim)
            .filter(|field| !field.is_empty()),
    );
    (lines.join("\r\n") + "\r\n\r\n").into_bytes()
}

fn with_request<T>(text: &str, read: impl FnOnce(&RequestHead<'_, '_>) -> T) -> T {
    let (bytes, mut slots) = (request(text), FieldSlots::new());
    match RequestHead::parse(&bytes, &mut slots, &Limits::DEFAULT) {
        Ok(Status::Complete(head)) => read(&head),
        other => panic!("{text}: {other:?}"),
    }
}

fn with_response<T>(text: &str, read: impl FnOnce(&ResponseHead<'_, '_>) -> T) -> T {
    let (bytes, mut slots) = (response(text), FieldSlots::new());
    match ResponseHead::parse(&bytes, &mut slots, &Limits::DEFAULT, &Method::Get) {
        Ok(Status::Complete(head)) => read(&head),
        other => panic!("{text}: {other:?}"),
    }
}

fn judged(request: &str, response: &str, journey: &Journey) -> Result<Validity, Refusal> {
    let demands = with_request(request, Demands::of);
    with_response(response, |head| {
        storing::judge(&demands, head.status, &head.fields, journey)
    })
}

/// A journey of `delay` seconds that ends now.
fn journey(delay: u64) -> Journey {
    let request_time = Instant::now();
    Journey {
        request_time,
        response_time: request_time + Duration::from_secs(delay),
        response_unix: NOW,
    }
}

fn seconds(text: &str) -> Duration {
    Duration::from_secs(text.parse().unwrap())
}

#[test]
fn a_response_is_stored_only_where_the_rfc_allows_it() {
    for (line, [request, response, verdict]) in vectors(include_str!("vectors/storing.txt")) {
        let found = judged(request, response, &journey(0)).map_or_else(Refusal::name, |_| "stored");
        assert_eq!(found, verdict, "{line}");
    }
}

#[test]
fn age_and_lifetime_are_those_of_section_4_2() {
    for (line, [fields, delay, resident, age, left]) in vectors(include_str!("vectors/age.txt")) {
        let journey = journey(delay.parse().unwrap());
        let validity = judged("GET", &format!("200 | {fields}"), &journey).unwrap();
        let now = journey.response_time + seconds(resident);
        assert_eq!(validity.freshness.age(now), seconds(age), "{line}");
        let found = match validity.freshness.remaining(now) {
            Ok(left) => format!("fresh {}", left.as_secs()),
            Err(staleness) => format!("stale {}", staleness.as_secs()),
        };
        assert_eq!(found, left, "{line}");
    }
}

#[test]
fn a_request_gets_what_is_stored_only_as_it_wants_it() {
    for (line, [request, fields, resident, decision]) in vectors(include_str!("vectors/reuse.txt"))
    {
        let journey = journey(0);
        let validity = judged("GET", &format!("200 | {fields}"), &journey).unwrap();
        let now = journey.response_time + seconds(resident);
        let asked = with_request(request, Demands::of).directives;
        let found = match reuse::decide(&validity, &asked, now) {
            Reuse::Answer(aged) => format!("answer {}", told(aged)),
            Reuse::AnswerWhileRevalidating(aged) => format!("revalidate {}", told(aged)),
            Reuse::Forward(why) => format!("forward {}", why.as_str()),
        };
        assert_eq!(found, decision, "{line}");
    }
}

fn told(aged: Aged) -> String {
    match aged.ttl {
        Ok(left) => format!("{} fresh {left}", aged.age),
        Err(over) => format!("{} stale {over}", aged.age),
    }
}

#[test]
fn a_response_is_sent_instead_of_the_origins_only_where_nothing_forbids_it() {
    for (line, [request, fields, resident, trouble, expected]) in
        vectors(include_str!("vectors/instead.txt"))
    {
        let journey = journey(0);
        let validity = judged("GET", &format!("200 | {fields}"), &journey).unwrap();
        let now = journey.response_time + seconds(resident);
        let asked = with_request(request, Demands::of).directives;
        let trouble = match trouble {
            "unreachable" => Trouble::Unreachable,
            "error" => Trouble::Error,
            other => panic!("{other}"),
        };
        let found = reuse::instead(&validity, &asked, now, trouble)
            .map_or("no".to_owned(), |aged| format!("answer {}", told(aged)));
        assert_eq!(found, expected, "{line}");
    }
}

#[test]
fn an_answer_to_post_is_stored_for_get_only_with_explicit_freshness() {
    let post = "POST | content-length: 1";
    for (fields, verdict) in [
        ("cache-control: max-age=60", "stored"),
        ("expires: Sun, 06 Nov 1994 08:50:37 GMT", "stored"),
        ("cache-control: max-age=0 | etag: \"a\"", "no-freshness"),
        (
            "last-modified: Sun, 06 Nov 1994 08:00:00 GMT",
            "no-freshness",
        ),
        ("etag: \"a\"", "no-freshness"),
        ("cache-control: max-age=60, no-store", "no-store"),
    ] {
        let demands = with_request(post, Demands::of);
        let found = with_response(&format!("200 | {fields}"), |head| {
            storing::judge_post(&demands, head.status, &head.fields, &journey(0))
        });
        let found = found.map_or_else(Refusal::name, |_| "stored");
        assert_eq!(found, verdict, "{fields}");
    }
}

#[test]
fn a_response_that_selects_by_more_fields_than_can_be_looked_for_is_not_stored() {
    for (names, verdict) in [(32, "stored"), (33, "vary")] {
        let names: Vec<_> = (0..names).map(|name| format!("x-{name}")).collect();
        let response = format!(
            "200 | cache-control: max-age=60 | vary: {}",
            names.join(", ")
        );
        let found = judged("GET", &response, &journey(0)).map_or_else(Refusal::name, |_| "stored");
        assert_eq!(found, verdict, "{response}");
    }
}

#[test]
fn of_more_members_than_are_sorted_the_order_counts() {
    for (count, is_same) in [(64, true), (65, false)] {
        let mut members: Vec<_> = (0..count).map(|member| format!("l{member}")).collect();
        let forth = format!("GET | accept-language: {}", members.join(","));
        members.reverse();
        let back = format!("GET | accept-language: {}", members.join(","));
        let selecting = with_response("200 | vary: accept-language", |response| {
            with_request(&forth, |request| {
                Selecting::of(&response.fields, &request.fields)
            })
        });
        assert!(with_request(&forth, |head| selecting.matches(&head.fields)));
        let found = with_request(&back, |head| selecting.matches(&head.fields));
        assert_eq!(found, is_same, "{count}");
    }
}

#[test]
fn parts_are_held_together_only_if_they_are_of_one_representation() {
    for (line, [stored, newer, verdict]) in vectors(include_str!("vectors/combining.txt")) {
        let are_of_one = with_response(&format!("206 | {stored}"), |stored| {
            with_response(&format!("206 | {newer}"), |newer| {
                partial::are_of_one(&stored.fields, &newer.fields, NOW)
            })
        });
        let found = if are_of_one { "one" } else { "another" };
        assert_eq!(found, verdict, "{line}");
    }
}

#[test]
fn a_response_stands_for_requests_with_the_same_selecting_fields() {
    for (line, [vary, first, second, verdict]) in vectors(include_str!("vectors/selecting.txt")) {
        let selecting = with_response(&format!("200 | vary: {vary}"), |response| {
            with_request(first, |request| {
                Selecting::of(&response.fields, &request.fields)
            })
        });
        let stands_for = |request| with_request(request, |head| selecting.matches(&head.fields));
        assert!(stands_for(first), "{line}");
        let found = if stands_for(second) {
            "same"
        } else {
            "another"
        };
        assert_eq!(found, verdict, "{line}");
    }
}
