//! Answers that are stored without the whole of their content: parts of it, and heads.
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::lab::{Lab, Reply};
use testkit::origin::{Answer, Seen};

/// What is asked for in parts: each letter stands at its number.
const CONTENT: &str = "abcdefghijklmnopqrstuvwxyz";

/// The parts of [`CONTENT`] that are asked for, or the whole, with this tag.
fn serve(seen: &Seen, tag: &str, more: &str) -> Answer {
    let fields = format!("Cache-Control: max-age=60\r\nETag: {tag}\r\n{more}");
    let range = seen.field("range");
    let bounds = range.as_deref().and_then(|range| {
        let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
        let last = last.parse().unwrap_or(CONTENT.len() - 1);
        Some((first.parse::<usize>().ok()?, last))
    });
    let Some((first, last)) = bounds else {
        return Answer::ok(&fields, CONTENT);
    };
    let part = &CONTENT[first..=last];
    Answer::raw(format!(
        "HTTP/1.1 206 Partial Content\r\n{fields}Content-Range: bytes {first}-{last}/26\r\n\
         Content-Length: {}\r\n\r\n{part}",
        part.len()
    ))
}

fn lab() -> Lab {
    Lab::start(|seen| serve(seen, "\"a\"", "Content-Type: text/plain\r\n"))
}

fn part(lab: &Lab, range: &str) -> Reply {
    lab.ask("GET", "/", &format!("Range: bytes={range}\r\n"))
}

#[test]
fn ranges_of_a_stored_part_are_answered_from_it_and_no_others() {
    let lab = lab();
    let miss = part(&lab, "5-14");
    assert_eq!((miss.status, miss.text().as_str()), (206, "fghijklmno"));
    assert_eq!(miss.cache(), "fwd=uri-miss; stored");
    for (range, text) in [("5-14", "fghijklmno"), ("7-9", "hij"), ("-16", "")] {
        let reply = part(&lab, range);
        if text.is_empty() {
            assert!(reply.cache().starts_with("fwd=partial"), "{range}");
            continue;
        }
        assert_eq!((reply.status, reply.text().as_str()), (206, text));
        assert!(reply.cache().starts_with("hit"), "{}", reply.cache());
        let range = format!("bytes {range}/26");
        assert_eq!(reply.field("content-range"), Some(&*range));
        assert_eq!(reply.field("content-type"), Some("text/plain"));
        assert!(reply.field("age").is_some());
    }
}

#[test]
fn several_ranges_of_stored_parts_come_as_multipart() {
    let lab = lab();
    part(&lab, "5-9");
    part(&lab, "10-14");
    let reply = part(&lab, "5-5,14-14");
    // Near ones are joined (RFC 9110 §15.3.7.2), and then reach over both parts.
    assert_eq!((reply.status, reply.text().as_str()), (206, "fghijklmno"));
    assert!(reply.cache().starts_with("hit"), "{}", reply.cache());
    assert_eq!(lab.origin.count("/"), 2);
}

#[test]
fn parts_of_one_representation_are_combined_to_the_whole() {
    let lab = lab();
    for range in ["20-25", "0-9", "8-21"] {
        let reply = part(&lab, range);
        assert!(reply.cache().ends_with("; stored"), "{}", reply.cache());
    }
    let whole = lab.get("/");
    assert_eq!((whole.status, whole.text().as_str()), (200, CONTENT));
    assert!(whole.cache().starts_with("hit"), "{}", whole.cache());
    assert_eq!(whole.field("content-length"), Some("26"));
    assert_eq!(whole.field("content-range"), None);
    assert_eq!(lab.origin.count("/"), 3);
    // Nothing lacks, so that a 416 and a HEAD can be answered, too.
    assert_eq!(part(&lab, "26-").status, 416);
    assert_eq!(lab.ask("HEAD", "/", "").status, 200);
    assert_eq!(lab.origin.count("/"), 3);
}

#[test]
fn who_wants_the_whole_of_stored_parts_gets_it_of_the_origin_and_then_it_is_stored() {
    let lab = lab();
    part(&lab, "0-9");
    for (method, text) in [("HEAD", ""), ("GET", CONTENT)] {
        let reply = lab.ask(method, "/", "");
        assert_eq!((reply.status, reply.text().as_str()), (200, text));
        assert!(
            reply.cache().starts_with("fwd=partial"),
            "{}",
            reply.cache()
        );
    }
    assert!(lab.get("/").cache().starts_with("hit"));
    assert!(part(&lab, "20-25").cache().starts_with("hit"));
}

#[test]
fn parts_of_another_representation_take_the_place_of_what_is_stored() {
    let version = Arc::new(AtomicU8::new(b'a'));
    let told = Arc::clone(&version);
    let lab = Lab::start(move |seen| {
        let tag = char::from(told.load(Ordering::SeqCst));
        serve(seen, &format!("\"{tag}\""), "")
    });
    part(&lab, "0-12");
    version.store(b'b', Ordering::SeqCst);
    assert!(part(&lab, "0-12").cache().starts_with("hit"));
    part(&lab, "13-25");
    // Of the two halves neither is of the other.
    assert_eq!(lab.get("/").cache(), "fwd=partial; stored");
    assert_eq!(lab.origin.count("/"), 3);
}

#[test]
fn a_part_that_its_client_says_it_knows_only_adds_to_what_is_stored() {
    let lab = Lab::start(|seen| {
        let more = if seen.field("if-range").is_some() {
            ""
        } else {
            "Content-Type: text/plain\r\n"
        };
        serve(seen, "\"a\"", more)
    });
    let known = "If-Range: \"a\"\r\n";
    let first = lab.ask("GET", "/", &format!("Range: bytes=0-9\r\n{known}"));
    assert_eq!(first.cache(), "fwd=uri-miss; detail=partial");
    part(&lab, "0-9");
    let rest = lab.ask("GET", "/", &format!("Range: bytes=10-25\r\n{known}"));
    assert_eq!(rest.cache(), "fwd=partial; stored");
    let whole = lab.get("/");
    assert!(whole.cache().starts_with("hit"), "{}", whole.cache());
    assert_eq!(whole.text(), CONTENT);
    assert_eq!(whole.field("content-type"), Some("text/plain"));
}

#[test]
fn a_part_that_is_not_what_it_says_is_not_stored() {
    let cases = [
        // A byte too few, told and untold.
        "Content-Range: bytes 0-9/26\r\nContent-Length: 9\r\n\r\nabcdefghi",
        "Content-Range: bytes 0-9/26\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabcdefghi\r\n0\r\n\r\n",
        // Cut.
        "Content-Range: bytes 0-9/26\r\nContent-Length: 10\r\n\r\nabc",
    ];
    for text in cases {
        let lab = Lab::start(move |_| {
            Answer::raw(format!(
                "HTTP/1.1 206 Partial Content\r\nCache-Control: max-age=60\r\nETag: \"a\"\r\n{text}"
            ))
            .and_close()
        });
        for asked in 1..=2 {
            part(&lab, "0-9");
            assert_eq!(lab.origin.count("/"), asked, "{text}");
        }
    }
}

#[test]
fn stored_parts_are_removed_and_confirmed_like_any_answer() {
    let lab = Lab::start(|seen| {
        if seen.field("if-none-match").is_some() {
            return Answer::raw("HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n");
        }
        serve(seen, "\"a\"", "")
    });
    part(&lab, "0-9");
    let reload = "Cache-Control: no-cache\r\nRange: bytes=2-3\r\n";
    let confirmed = lab.ask("GET", "/", reload);
    assert_eq!((confirmed.status, confirmed.text().as_str()), (206, "cd"));
    assert_eq!(confirmed.cache(), "fwd=request; fwd-status=304; stored");
    let known = lab.ask("GET", "/", "Range: bytes=2-3\r\nIf-None-Match: \"a\"\r\n");
    assert_eq!(known.status, 304);
    lab.ask("PURGE", "/", "");
    assert_eq!(part(&lab, "0-9").cache(), "fwd=uri-miss; stored");
}

#[test]
fn an_error_for_head_takes_the_place_of_no_content() {
    let lab = Lab::start(|seen| {
        if seen.head().starts_with("HEAD ") {
            return Answer::raw("HTTP/1.1 503 No\r\nCache-Control: max-age=60\r\n\r\n");
        }
        serve(seen, "\"a\"", "")
    });
    lab.get("/");
    // Not one for which the stored answer would stand in.
    let reload = "Cache-Control: no-cache\r\n";
    assert_eq!(lab.ask("HEAD", "/", reload).status, 503);
    let hit = lab.get("/");
    assert_eq!((hit.status, hit.text().as_str()), (200, CONTENT));
    assert!(hit.cache().starts_with("hit"), "{}", hit.cache());
}

#[test]
fn a_head_that_was_asked_for_answers_head_until_the_content_is_stored() {
    let lab = Lab::start(|seen| {
        if seen.head().starts_with("HEAD ") {
            let fields = "Cache-Control: max-age=60\r\nETag: \"a\"\r\nContent-Length: 26";
            return Answer::raw(format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n"));
        }
        serve(seen, "\"a\"", "")
    });
    assert_eq!(lab.ask("HEAD", "/", "").cache(), "fwd=uri-miss; stored");
    let hit = lab.ask("HEAD", "/", "");
    assert!(hit.cache().starts_with("hit"), "{}", hit.cache());
    assert_eq!(hit.field("content-length"), Some("26"));
    let known = lab.ask("HEAD", "/", "If-None-Match: \"a\"\r\n");
    assert_eq!(known.status, 304);

    let get = lab.get("/");
    assert_eq!(
        (get.text().as_str(), get.cache()),
        (CONTENT, "fwd=partial; stored")
    );
    assert!(lab.get("/").cache().starts_with("hit"));
    assert!(lab.ask("HEAD", "/", "").cache().starts_with("hit"));
}
