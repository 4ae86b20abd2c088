//! A file and a folder as clients see them: status, fields, conditions, one range.

use std::fs;
use std::time::{Duration, SystemTime};

use crate::site::Site;

#[test]
fn a_file_is_answered_with_its_bytes_type_and_validators() {
    let site = Site::start();
    let answer = site.get("/ten.txt");
    assert_eq!((answer.status, answer.text().as_str()), (200, "0123456789"));
    for (name, value) in [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", "10"),
        ("Cache-Control", "max-age=60"),
        ("X-Content-Type-Options", "nosniff"),
        ("Connection", "close"),
    ] {
        assert_eq!(answer.field(name), Some(value), "{name}");
    }
    let etag = answer.field("ETag").unwrap();
    assert!(etag.starts_with('"') && etag.ends_with('"'), "{etag}");
    assert!(answer.field("Last-Modified").unwrap().ends_with(" GMT"));
    assert!(answer.field("Date").unwrap().ends_with(" GMT"));
}

#[test]
fn head_is_get_without_the_body() {
    let site = Site::start();
    for target in ["/ten.txt", "/big.bin", "/absent", "/sub%20folder"] {
        let (get, head) = (site.get(target), site.ask("HEAD", target, ""));
        assert_eq!(
            get.head_without_date(),
            head.head_without_date(),
            "{target}"
        );
        assert!(head.body.is_empty(), "{target}");
    }
}

#[test]
fn each_target_gets_its_status() {
    let site = Site::start();
    for (method, target, status) in [
        ("GET", "/", 200),
        ("GET", "/index.html", 200),
        ("GET", "/?query=1", 200),
        ("GET", "http://lab/ten.txt", 200),
        ("GET", "/sub%20folder/", 200),
        ("GET", "/sub%20folder", 301),
        ("GET", "/empty/", 404),
        ("GET", "/absent", 404),
        ("GET", "/ten.txt/", 404),
        ("GET", "/.secret", 404),
        ("GET", "/%2esecret", 404),
        ("GET", "/link.txt", 403),
        ("GET", "/a/../ten.txt", 200),
        ("GET", "/%2e%2e/outside.txt", 400),
        ("GET", "/../outside.txt", 400),
        ("GET", "/..%2foutside.txt", 400),
        ("GET", "/..%5coutside.txt", 400),
        ("GET", "/..\\outside.txt", 400),
        ("GET", "/%252e%252e/outside.txt", 404),
        ("GET", "/%c0%ae%c0%ae/outside.txt", 400),
        ("GET", "/sub%20folder/../../outside.txt", 400),
        ("GET", "/../../etc/passwd", 400),
        ("GET", "/%2e%2e/%2e%2e/etc/passwd", 400),
        ("GET", "/.%2e/%2e./etc/passwd", 400),
        ("GET", "//etc/passwd", 404),
        ("GET", "/ten.txt%00.html", 400),
        ("OPTIONS", "/ten.txt", 204),
        ("OPTIONS", "*", 204),
        ("POST", "/ten.txt", 405),
        ("DELETE", "/ten.txt", 405),
        ("TRACE", "/ten.txt", 405),
        ("BREW", "/ten.txt", 501),
    ] {
        let answer = site.ask(method, target, "");
        assert_eq!(answer.status, status, "{method} {target}: {answer:?}");
        assert!(!answer.text().contains("outside"), "{target}");
        assert!(!answer.text().contains("root:"), "{target}");
    }
}

#[test]
fn what_is_missing_gets_the_sites_own_page_and_a_wrong_method_is_told_the_right_ones() {
    let site = Site::start();
    assert_eq!(site.get("/absent").text(), "<h1>not here</h1>");
    assert_eq!(
        site.ask("PUT", "/ten.txt", "").field("Allow"),
        Some("GET, HEAD, OPTIONS")
    );
}

#[test]
fn a_folder_is_redirected_below_the_same_host() {
    let site = Site::start();
    let location = |target| site.get(target).field("Location").map(str::to_owned);
    assert_eq!(
        location("/sub%20folder?a=1").as_deref(),
        Some("./sub%20folder/?a=1")
    );
    // Of "//empty/" a browser would make the host "empty".
    assert_eq!(location("//empty").as_deref(), Some("./empty/"));
}

/// RFC 9110 §13.2.2: which condition decides, in order.
#[test]
fn conditions_are_evaluated_in_the_order_of_the_rfc() {
    let site = Site::start();
    let first = site.get("/ten.txt");
    let etag = first.field("ETag").unwrap();
    let modified = first.field("Last-Modified").unwrap();
    let (old, new) = (
        "Sat, 01 Jan 2000 00:00:00 GMT",
        "Thu, 01 Jan 2037 00:00:00 GMT",
    );
    for (fields, status) in [
        (format!("If-None-Match: {etag}\r\n"), 304),
        (format!("If-None-Match: W/{etag}\r\n"), 304),
        (format!("If-None-Match: \"x\", {etag}\r\n"), 304),
        ("If-None-Match: *\r\n".to_owned(), 304),
        ("If-None-Match: \"x\"\r\n".to_owned(), 200),
        (format!("If-Modified-Since: {modified}\r\n"), 304),
        (format!("If-Modified-Since: {old}\r\n"), 200),
        ("If-Modified-Since: yesterday\r\n".to_owned(), 200),
        (
            format!("If-None-Match: \"x\"\r\nIf-Modified-Since: {new}\r\n"),
            200,
        ),
        (format!("If-Match: {etag}\r\n"), 200),
        (format!("If-Match: W/{etag}\r\n"), 412),
        ("If-Match: \"x\"\r\n".to_owned(), 412),
        ("If-Match: *\r\n".to_owned(), 200),
        (format!("If-Unmodified-Since: {old}\r\n"), 412),
        (format!("If-Unmodified-Since: {new}\r\n"), 200),
        (
            format!("If-Match: {etag}\r\nIf-Unmodified-Since: {old}\r\n"),
            200,
        ),
        (
            format!("If-Match: {etag}\r\nIf-None-Match: {etag}\r\n"),
            304,
        ),
        (format!("If-Match: \"x\"\r\nIf-None-Match: {etag}\r\n"), 412),
    ] {
        let answer = site.ask("GET", "/ten.txt", &fields);
        assert_eq!(answer.status, status, "{fields}");
        if status == 304 {
            assert!(answer.body.is_empty());
            assert_eq!(answer.field("ETag"), Some(etag));
            assert_eq!(answer.field("Content-Length"), None);
        }
    }
}

#[test]
fn a_single_range_is_answered_and_one_that_cannot_be_is_refused() {
    let site = Site::start();
    let etag = site.get("/ten.txt").field("ETag").unwrap().to_owned();
    for (fields, status, body, content_range) in [
        ("Range: bytes=0-0", 206, "0", Some("bytes 0-0/10")),
        ("Range: bytes=2-5", 206, "2345", Some("bytes 2-5/10")),
        ("Range: bytes=7-", 206, "789", Some("bytes 7-9/10")),
        ("Range: bytes=-3", 206, "789", Some("bytes 7-9/10")),
        ("Range: bytes=-99", 206, "0123456789", Some("bytes 0-9/10")),
        ("Range: bytes=5-99", 206, "56789", Some("bytes 5-9/10")),
        ("Range: bytes=5-2", 200, "0123456789", None),
        ("Range: lines=1-2", 200, "0123456789", None),
        // Nearer than the head of another part: one.
        ("Range: bytes=0-1,4-5", 206, "012345", Some("bytes 0-5/10")),
        (
            "Range: bytes=8-,0-1,0-3",
            206,
            "0123456789",
            Some("bytes 0-9/10"),
        ),
        (
            "If-Range: \"x\"\r\nRange: bytes=0-0",
            200,
            "0123456789",
            None,
        ),
    ] {
        let answer = site.ask("GET", "/ten.txt", &format!("{fields}\r\n"));
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (status, body),
            "{fields}"
        );
        assert_eq!(answer.field("Content-Range"), content_range, "{fields}");
    }
    let matching = format!("If-Range: {etag}\r\nRange: bytes=0-0\r\n");
    assert_eq!(site.ask("GET", "/ten.txt", &matching).status, 206);
    let beyond = site.ask("GET", "/ten.txt", "Range: bytes=10-\r\n");
    assert_eq!(
        (beyond.status, beyond.field("Content-Range")),
        (416, Some("bytes */10"))
    );
    let large = site.ask("GET", "/big.bin", "Range: bytes=1000000-1999999\r\n");
    assert_eq!((large.status, large.body.len()), (206, 1_000_000));
}

#[test]
fn spellings_of_one_large_file_do_not_hold_a_descriptor_each() {
    let site = Site::start();
    let spelled = |dots| format!("HEAD {}/big.bin HTTP/1.1\r\nHost: a\r\n", "/.".repeat(dots));
    let requests: Vec<String> = (0..500).map(spelled).collect();
    let requests = requests.join("\r\n") + "\r\n" + &spelled(0) + "Connection: close\r\n\r\n";
    let answers = site.send(requests);
    assert_eq!(answers.text().matches("HTTP/1.1 200 OK").count(), 501);
    let open = fs::read_dir(format!("/proc/{}/fd", site.program.id())).unwrap();
    let big = open
        .filter_map(|entry| fs::read_link(entry.unwrap().path()).ok())
        .filter(|target| target.ends_with("big.bin"))
        .count();
    assert!(big <= 1, "{big}");
}

#[test]
fn a_change_in_the_future_is_told_as_now() {
    let site = Site::start();
    let file = site.edit("ten.txt");
    file.set_modified(SystemTime::now() + Duration::from_hours(1_000_000))
        .unwrap();
    let answer = site.get("/ten.txt");
    let (modified, now) = (
        answer.field("Last-Modified").unwrap(),
        answer.field("Date").unwrap(),
    );
    assert_eq!(modified[..16], now[..16], "RFC 9110 §8.8.2.1");
}
