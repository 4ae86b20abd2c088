//! The cache as clients see it, over real sockets, before an origin that counts what it is asked.
use std::time::Duration;

use crate::lab::{Client, Lab, Reply, proxy};
use testkit::origin::Answer;

const FRESH: &str = "Cache-Control: max-age=60\r\n";

#[test]
fn the_second_request_is_a_hit_whose_age_grows() {
    let lab = Lab::start(|_| Answer::ok("Cache-Control: max-age=60\r\nETag: \"a\"\r\n", "hello"));
    let miss = lab.get("/");
    assert_eq!((miss.status, miss.text().as_str()), (200, "hello"));
    assert_eq!(miss.cache(), "fwd=uri-miss; stored");
    assert_eq!(miss.field("age"), None);
    assert_eq!(miss.field("via"), Some("1.1 proxyd"));

    let hit = lab.get("/");
    assert_eq!((hit.status, hit.text().as_str()), (200, "hello"));
    assert!(hit.cache().starts_with("hit; ttl="), "{}", hit.cache());
    assert_eq!(
        hit.field("date"),
        miss.field("date"),
        "Date is never rewritten"
    );
    let age: u64 = hit.field("age").unwrap().parse().unwrap();

    std::thread::sleep(Duration::from_millis(1300));
    let later = lab.get("/");
    let later_age: u64 = later.field("age").unwrap().parse().unwrap();
    assert!(later_age > age, "{later_age} s after {age} s");
    // Both are cut down to whole seconds of what adds up to 60.
    let ttl: u64 = later.cache().rsplit('=').next().unwrap().parse().unwrap();
    assert_eq!(later_age + ttl, 59);
    assert_eq!(lab.origin.count("/"), 1);
    assert_eq!(lab.labels(3), ["MISS", "HIT", "HIT"]);
}

#[test]
fn the_key_is_host_and_target_in_one_spelling() {
    let lab = Lab::start(|_| Answer::ok(FRESH, "x"));
    let ask = |target: &str, host: &str| {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let reply = Reply::of(&lab.send(request).received);
        reply.cache().starts_with("hit")
    };
    assert!(!ask("/a", "example.com"));
    assert!(ask("/a", "EXAMPLE.com:80"));
    assert!(!ask("/a", "other"));
    assert!(!ask("/a?", "example.com"));
    assert!(!ask("/A", "example.com"));
}

#[test]
fn a_stored_http_url_does_not_answer_for_another_scheme() {
    let lab = Lab::start(|_| Answer::ok(FRESH, "x"));
    lab.send("GET /a HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n");
    assert_eq!(lab.get("https://example.com/a").status, 501);
    assert_eq!(lab.get("ftp://example.com/a").status, 501);
}

#[test]
fn what_must_not_be_stored_is_asked_for_each_time() {
    // Fields of the request, status and fields of the answer, why it is not stored.
    let cases = [
        ("", "200 OK", "Cache-Control: no-store", "no-store"),
        (
            "",
            "200 OK",
            "Cache-Control: private, max-age=60",
            "private",
        ),
        ("", "200 OK", "Cache-Control: max-age=60\r\nVary: *", "vary"),
        ("", "200 OK", "Set-Cookie: a=b", "no-freshness"),
        (
            "",
            "200 OK",
            "ETag: \"a\"\r\nSet-Cookie: a=b",
            "no-freshness",
        ),
        ("", "206 Partial", "Cache-Control: max-age=60", "partial"),
        (
            "Cache-Control: no-store\r\n",
            "200 OK",
            "Cache-Control: max-age=60",
            "request-no-store",
        ),
        (
            "Authorization: Basic YQ==\r\n",
            "200 OK",
            "Cache-Control: max-age=60",
            "authorization",
        ),
        (
            "If-Match: \"a\"\r\n",
            "200 OK",
            "Cache-Control: max-age=60",
            "needs-origin",
        ),
    ];
    let lab = Lab::start(move |seen| {
        let number: usize = seen.target()[1..].parse().unwrap();
        let (_, status, fields, _) = cases[number];
        Answer::raw(format!(
            "HTTP/1.1 {status}\r\n{fields}\r\nContent-Length: 1\r\n\r\nx"
        ))
    });
    for (number, (request, _, fields, why)) in cases.iter().enumerate() {
        let target = format!("/{number}");
        for _ in 0..2 {
            let reply = lab.ask("GET", &target, request);
            let detail = reply.cache().split("; ").last().unwrap().to_owned();
            assert_eq!(detail, format!("detail={why}"), "{request} {fields}");
            assert!(!reply.cache().contains("stored"));
        }
        assert_eq!(lab.origin.count(&target), 2, "{request} {fields}");
    }
}

#[test]
fn a_variant_is_kept_for_each_value_that_vary_names() {
    let lab = Lab::start(|seen| {
        let language = seen.field("accept-language").unwrap_or_default();
        Answer::ok(&format!("{FRESH}Vary: Accept-Language\r\n"), &language)
    });
    for language in ["de", "en", "fr"] {
        let reply = lab.ask("GET", "/", &format!("Accept-Language: {language}\r\n"));
        assert_eq!(reply.text(), language);
        let why = if language == "de" {
            "uri-miss"
        } else {
            "vary-miss"
        };
        assert_eq!(reply.cache(), format!("fwd={why}; stored"));
    }
    for language in ["fr", "de", "en"] {
        let reply = lab.ask("GET", "/", &format!("accept-language:  {language}\r\n"));
        assert_eq!(reply.text(), language);
        assert!(reply.cache().starts_with("hit"), "{}", reply.cache());
    }
    assert_eq!(lab.origin.count("/"), 3);
}

#[test]
fn of_variants_too_large_for_one_key_the_newest_are_kept() {
    // A key has a quarter of the store: room for two of these.
    let origin = testkit::origin::Origin::start(|_| {
        Answer::ok(&format!("{FRESH}Vary: Accept\r\n"), &"x".repeat(900_000))
    });
    let (program, address) = proxy(&origin.address().to_string(), &["--cache-size", "8MiB"]);
    let lab = Lab {
        origin,
        program,
        address,
    };
    let is_hit = |accept: &str| {
        let reply = lab.ask("GET", "/", &format!("Accept: {accept}\r\n"));
        reply.cache().starts_with("hit")
    };
    for (accept, expected) in [
        ("a", false),
        ("b", false),
        ("c", false),
        ("c", true),
        ("b", true),
        ("a", false),
        ("a", true),
        ("c", true),
    ] {
        assert_eq!(is_hit(accept), expected, "{accept}");
    }
}

#[test]
fn a_body_cut_short_is_seen_as_cut_and_not_stored() {
    let whole = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n";
    let lab = Lab::start(move |seen| match seen.target().as_str() {
        "/length" => Answer::raw(format!("{whole}Content-Length: 10\r\n\r\nhello")).and_close(),
        _ => Answer::raw(format!(
            "{whole}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
        ))
        .and_close(),
    });
    for _ in 0..2 {
        let cut = lab.get("/length");
        assert_eq!(cut.field("content-length"), Some("10"));
        assert_eq!(cut.text(), "hello");
        let cut = lab.get("/chunked");
        assert_eq!(cut.field("transfer-encoding"), Some("chunked"));
        assert_eq!(cut.text(), "5\r\nhello\r\n", "no last chunk");
    }
    assert_eq!(lab.origin.count("/length"), 2);
    assert_eq!(lab.origin.count("/chunked"), 2);
}

#[test]
fn a_body_that_ends_with_its_connection_is_passed_on_and_not_stored() {
    let lab = Lab::start(|_| {
        Answer::raw("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n\r\nhello").and_close()
    });
    for _ in 0..2 {
        let reply = lab.get("/");
        assert_eq!(reply.text(), "5\r\nhello\r\n0\r\n\r\n");
        assert_eq!(reply.cache(), "fwd=uri-miss; detail=open-ended");
    }
}

#[test]
fn a_chunked_answer_is_stored_and_sent_with_its_length() {
    let lab = Lab::start(|_| {
        let head =
            "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n";
        Answer::raw(head)
            .and(Duration::from_millis(20), "5;x=y\r\nhello\r\n")
            .and(
                Duration::from_millis(20),
                "6\r\n world\r\n0\r\nTrailer: x\r\n\r\n",
            )
    });
    assert_eq!(
        lab.get("/").text(),
        "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
    );
    let hit = lab.get("/");
    assert_eq!(hit.field("content-length"), Some("11"));
    assert_eq!(hit.text(), "hello world");
}

#[test]
fn a_body_larger_than_the_store_takes_streams_through() {
    const BYTES: usize = 3_000_000;
    let origin = testkit::origin::Origin::start(|_| Answer::ok(FRESH, &"x".repeat(BYTES)));
    let (program, address) = proxy(&origin.address().to_string(), &["--cache-size", "1MiB"]);
    let lab = Lab {
        origin,
        program,
        address,
    };
    for _ in 0..2 {
        let reply = lab.get("/");
        assert_eq!(reply.body.len(), BYTES);
        assert_eq!(reply.cache(), "fwd=uri-miss; detail=too-large");
    }
}

#[test]
fn a_clients_own_condition_is_answered_from_the_store() {
    let lab = Lab::start(|_| {
        let fields = "ETag: \"v1\"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
                      Content-Type: text/plain\r\n";
        Answer::ok(&format!("{FRESH}{fields}"), "body")
    });
    lab.get("/");
    let cases = [
        ("If-None-Match: \"v1\"\r\n", 304),
        ("If-None-Match: \"x\", W/\"v1\"\r\n", 304),
        ("If-None-Match: *\r\n", 304),
        ("If-None-Match: \"v2\"\r\n", 200),
        ("If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 304),
        ("If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n", 200),
        // RFC 9110 §13.1.3: the tag comes before the date.
        (
            "If-None-Match: \"v2\"\r\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
            200,
        ),
    ];
    for (fields, status) in cases {
        let reply = lab.ask("GET", "/", fields);
        assert_eq!(reply.status, status, "{fields}");
        assert!(reply.cache().starts_with("hit"), "{}", reply.cache());
        assert_eq!(reply.field("etag"), Some("\"v1\""));
        if status == 304 {
            assert_eq!(reply.body, b"");
            assert_eq!(reply.field("content-type"), None);
        }
    }
    assert_eq!(lab.origin.count("/"), 1);
}

#[test]
fn a_part_comes_from_the_stored_whole() {
    let lab = Lab::start(|_| Answer::ok(&format!("{FRESH}ETag: \"v1\"\r\n"), "0123456789"));
    lab.get("/");
    let cases = [
        ("Range: bytes=2-4\r\n", 206, "234", Some("bytes 2-4/10")),
        ("Range: bytes=-3\r\n", 206, "789", Some("bytes 7-9/10")),
        (
            "Range: bytes=7-\r\nIf-Range: \"v1\"\r\n",
            206,
            "789",
            Some("bytes 7-9/10"),
        ),
        (
            "Range: bytes=7-\r\nIf-Range: \"v2\"\r\n",
            200,
            "0123456789",
            None,
        ),
        ("Range: lines=1-2\r\n", 200, "0123456789", None),
    ];
    for (fields, status, body, range) in cases {
        let reply = lab.ask("GET", "/", fields);
        let found = (reply.status, reply.text(), reply.field("content-range"));
        assert_eq!(found, (status, body.to_owned(), range), "{fields}");
        assert!(reply.cache().starts_with("hit"));
    }
    let beyond = lab.ask("GET", "/", "Range: bytes=10-\r\n");
    assert_eq!(beyond.status, 416);
    assert_eq!(beyond.field("content-range"), Some("bytes */10"));
    assert_eq!(lab.origin.count("/"), 1);
}

#[test]
fn a_stored_head_of_many_fields_is_as_good_as_one_of_few() {
    let many = (0..30).map(|number| format!("X-{number}: y\r\n"));
    let many = many.collect::<Vec<_>>().concat();
    let lab = Lab::start(move |_| Answer::ok(&format!("{FRESH}ETag: \"v1\"\r\n{many}"), "0123"));
    lab.get("/");
    let part = lab.ask("GET", "/", "Range: bytes=1-2\r\n");
    assert_eq!((part.status, part.text().as_str()), (206, "12"));
    assert_eq!(part.field("x-29"), Some("y"));
    let unchanged = lab.ask("GET", "/", "If-None-Match: \"v1\"\r\n");
    assert_eq!(unchanged.status, 304);
    assert_eq!(unchanged.field("etag"), Some("\"v1\""));
    assert_eq!(lab.origin.count("/"), 1);
}

#[test]
fn head_is_answered_from_a_stored_get() {
    let lab = Lab::start(|_| Answer::ok(FRESH, "hello"));
    lab.get("/");
    let head = lab.ask("HEAD", "/", "");
    assert_eq!(head.field("content-length"), Some("5"));
    assert_eq!(head.body, b"");
    assert!(head.cache().starts_with("hit"));
    let fresh = lab.ask("HEAD", "/other", "");
    assert_eq!(fresh.cache(), "fwd=uri-miss; stored");
    assert_eq!(lab.origin.count("/"), 1);
}

#[test]
fn a_request_can_insist_on_the_origin_or_on_the_store() {
    let lab = Lab::start(|_| Answer::ok(FRESH, "x"));
    let only = lab.ask("GET", "/", "Cache-Control: only-if-cached\r\n");
    assert_eq!(only.status, 504);
    assert_eq!(only.cache(), "fwd=uri-miss; detail=only-if-cached");
    lab.get("/");
    let only = lab.ask("GET", "/", "Cache-Control: only-if-cached\r\n");
    assert_eq!(only.status, 200);
    for fields in [
        "Cache-Control: no-cache\r\n",
        "Pragma: no-cache\r\n",
        "Cache-Control: max-age=0\r\n",
    ] {
        let anew = lab.ask("GET", "/", fields);
        assert_eq!(anew.cache(), "fwd=request; stored", "{fields}");
    }
    assert_eq!(lab.origin.count("/"), 4);
}

#[test]
fn pipelined_hits_and_misses_are_answered_in_order() {
    let lab = Lab::start(|seen| Answer::ok(FRESH, &seen.target()));
    let mut client = Client::connect(lab.address);
    client.get("/a");
    let targets = ["/a", "/b", "/a", "/c", "/b"];
    let requests = targets.map(|target| format!("GET {target} HTTP/1.1\r\nHost: lab\r\n\r\n"));
    client.write(requests.concat());
    for target in targets {
        assert_eq!(client.read().text(), target);
    }
    assert_eq!(lab.origin.seen().len(), 3);
}

#[test]
fn several_ranges_of_what_is_stored_come_as_multipart() {
    let body = format!("01{}89", "x".repeat(996));
    let lab = Lab::start(move |_| {
        let fields = "ETag: \"v1\"\r\nContent-Type: text/plain\r\n";
        Answer::ok(&format!("{FRESH}{fields}"), &body)
    });
    lab.get("/");
    let reply = lab.ask("GET", "/", "Range: bytes=0-1,-2\r\n");
    assert_eq!(reply.status, 206);
    let content_type = reply.field("content-type").unwrap();
    let boundary = content_type.strip_prefix("multipart/byteranges; boundary=");
    let boundary = boundary.unwrap();
    // RFC 9110 §14.6, §15.3.7.2.
    let part = |range: &str, bytes: &str| {
        format!(
            "--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes {range}/1000\r\n\r\n{bytes}\r\n"
        )
    };
    let end = format!("--{boundary}--\r\n");
    let expected = [part("0-1", "01"), part("998-999", "89"), end];
    assert_eq!(reply.text(), expected.concat());
    assert_eq!(reply.field("etag"), Some("\"v1\""));
    assert_eq!(reply.field("content-range"), None);
    assert!(reply.cache().starts_with("hit"));
    assert_eq!(lab.origin.count("/"), 1);
}

#[test]
fn ranges_of_more_than_is_copied_for_one_answer_get_the_whole() {
    let lab = Lab::start(|_| Answer::ok(FRESH, &"x".repeat(3_000_000)));
    lab.get("/");
    let much = lab.ask("GET", "/", "Range: bytes=0-599999,1000000-1599999\r\n");
    assert_eq!((much.status, much.body.len()), (200, 3_000_000));
    let little = lab.ask("GET", "/", "Range: bytes=0-499999,1000000-1499999\r\n");
    assert_eq!(little.status, 206);
}
