//! Content codings over real sockets: what is sent to whom, and that no validator of one coding
//! stands for another.

use std::fs;
use std::io::Read;
use std::time::{Duration, SystemTime};

use crate::site::{Answer, NOTICED, Site};

/// Some text that shortens well, with a number that tells one state from another.
fn text(state: u32, lines: usize) -> String {
    (0..lines).fold(String::new(), |text, line| {
        text + &format!("state {state}, line {line}: the quick brown fox\n")
    })
}

fn decoded(answer: &Answer) -> Vec<u8> {
    let mut bytes = Vec::new();
    let body = answer.body.as_slice();
    match answer.field("Content-Encoding") {
        Some("br") => brotli::Decompressor::new(body, 4096)
            .read_to_end(&mut bytes)
            .unwrap(),
        Some("gzip") => flate2::read::GzDecoder::new(body)
            .read_to_end(&mut bytes)
            .unwrap(),
        Some("zstd") => return zstd::decode_all(body).unwrap(),
        None => return body.to_vec(),
        Some(other) => panic!("{other}"),
    };
    bytes
}

fn ask(site: &Site, target: &str, accept_encoding: &str) -> Answer {
    site.ask(
        "GET",
        target,
        &format!("Accept-Encoding: {accept_encoding}\r\n"),
    )
}

fn set_modified(site: &Site, name: &str, seconds: u64) {
    let file = site.edit(name);
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    file.set_modified(time).unwrap();
}

const BROWSER: &str = "gzip, deflate, br, zstd";

#[test]
fn a_file_is_sent_in_the_coding_that_the_request_wants_most() {
    let site = Site::start();
    let content = text(1, 200);
    fs::write(site.path("page.html"), &content).unwrap();
    for (accept_encoding, coding) in [
        ("", None),
        ("identity", None),
        (BROWSER, Some("br")),
        ("gzip", Some("gzip")),
        ("x-gzip", Some("gzip")),
        ("zstd, gzip", Some("zstd")),
        ("br;q=0.1, gzip;q=0.9", Some("gzip")),
        ("gzip;q=0.5, identity", None),
        ("gzip;q=0", None),
        ("deflate", None),
        ("*", Some("br")),
        ("br;q=0, *", Some("zstd")),
        ("identity;q=0, gzip", Some("gzip")),
        ("*;q=0, gzip;q=0.1", Some("gzip")),
    ] {
        let answer = ask(&site, "/page.html", accept_encoding);
        assert_eq!(answer.status, 200, "{accept_encoding}");
        assert_eq!(
            answer.field("Content-Encoding"),
            coding,
            "{accept_encoding}"
        );
        assert_eq!(
            answer.field("Vary"),
            Some("Accept-Encoding"),
            "{accept_encoding}"
        );
        assert_eq!(
            answer.field("Content-Type"),
            Some("text/html; charset=utf-8")
        );
        assert_eq!(decoded(&answer), content.as_bytes(), "{accept_encoding}");
        assert!(coding.is_none() || answer.body.len() < content.len() / 3);
        let length = answer.body.len().to_string();
        assert_eq!(answer.field("Content-Length"), Some(length.as_str()));
    }
    assert_eq!(
        site.get("/page.html").field("Vary"),
        Some("Accept-Encoding")
    );
    // RFC 9110 §12.5.3: without a coding only if identity is not refused.
    for accept_encoding in ["identity;q=0", "*;q=0", "identity;q=0, deflate"] {
        let answer = ask(&site, "/page.html", accept_encoding);
        assert_eq!(answer.status, 406, "{accept_encoding}");
        assert_eq!(answer.field("Vary"), Some("Accept-Encoding"));
    }
}

#[test]
fn what_is_short_or_compressed_in_itself_or_too_long_is_sent_as_it_is() {
    let site = Site::start();
    fs::write(site.path("short.css"), "a".repeat(1023)).unwrap();
    fs::write(site.path("just.css"), "a".repeat(1024)).unwrap();
    fs::write(site.path("photo.jpg"), "a".repeat(5000)).unwrap();
    fs::write(site.path("long.txt"), "a".repeat(8 * 1024 * 1024 + 1)).unwrap();
    let noise: Vec<u8> = (0..20_000).map(|_| rand::random()).collect();
    fs::write(site.path("noise.txt"), &noise).unwrap();
    for (target, coding, vary) in [
        ("/short.css", None, None),
        ("/just.css", Some("br"), Some("Accept-Encoding")),
        ("/photo.jpg", None, None),
        ("/long.txt", None, None),
        // Another request may still get it otherwise: that it is of no use is found out.
        ("/noise.txt", None, Some("Accept-Encoding")),
    ] {
        let answer = ask(&site, target, BROWSER);
        assert_eq!(answer.field("Content-Encoding"), coding, "{target}");
        assert_eq!(answer.field("Vary"), vary, "{target}");
    }
    let off = Site::start_with(&["--no-compression"]);
    fs::write(off.path("page.html"), text(1, 200)).unwrap();
    let answer = ask(&off, "/page.html", BROWSER);
    assert_eq!(
        (answer.field("Content-Encoding"), answer.field("Vary")),
        (None, None)
    );
}

#[test]
fn head_is_answered_as_get_in_every_coding() {
    let site = Site::start();
    fs::write(site.path("page.html"), text(1, 200)).unwrap();
    for accept_encoding in ["br", "zstd", "gzip", "identity", "identity;q=0"] {
        let fields = format!("Accept-Encoding: {accept_encoding}\r\n");
        // HEAD first: nothing is compressed yet.
        let head = site.ask("HEAD", "/page.html", &fields);
        let get = site.ask("GET", "/page.html", &fields);
        assert_eq!(head.head_without_date(), get.head_without_date());
        assert!(head.body.is_empty());
    }
}

#[test]
fn a_validator_of_one_coding_never_stands_for_another() {
    let site = Site::start();
    fs::write(site.path("page.html"), text(1, 200)).unwrap();
    let codings = ["identity", "br", "zstd", "gzip"];
    let answers = codings.map(|coding| ask(&site, "/page.html", coding));
    let tags = answers
        .each_ref()
        .map(|answer| answer.field("ETag").unwrap().to_owned());
    for (at, coding) in codings.iter().enumerate() {
        for (other, tag) in tags.iter().enumerate() {
            let same = at == other;
            assert!(same || tags[at] != *tag, "{tags:?}");
            let asked = |fields: &str| {
                let fields = format!("Accept-Encoding: {coding}\r\n{fields}");
                site.ask("GET", "/page.html", &fields)
            };
            let answer = asked(&format!("If-None-Match: {tag}\r\n"));
            assert_eq!(
                answer.status,
                if same { 304 } else { 200 },
                "{coding} {tag}"
            );
            assert_eq!(answer.field("Vary"), Some("Accept-Encoding"));
            assert_eq!(answer.field("ETag"), Some(tags[at].as_str()));
            let answer = asked(&format!("If-Match: {tag}\r\n"));
            assert_eq!(
                answer.status,
                if same { 200 } else { 412 },
                "{coding} {tag}"
            );
            let answer = asked(&format!("Range: bytes=10-19\r\nIf-Range: {tag}\r\n"));
            assert_eq!(
                answer.status,
                if same { 206 } else { 200 },
                "{coding} {tag}"
            );
            let whole = &answers[at].body;
            let wanted = if same { &whole[10..20] } else { whole };
            assert_eq!(answer.body, wanted, "the bytes of {coding}");
        }
    }
    // A browser that holds several is told by all of their tags at once.
    let all = format!(
        "Accept-Encoding: gzip\r\nIf-None-Match: {}\r\n",
        tags.join(", ")
    );
    let answer = site.ask("GET", "/page.html", &all);
    assert_eq!(
        (answer.status, answer.field("ETag")),
        (304, Some(tags[3].as_str()))
    );
}

#[test]
fn a_range_is_one_of_the_coded_bytes() {
    let site = Site::start();
    fs::write(site.path("page.html"), text(1, 2000)).unwrap();
    let whole = ask(&site, "/page.html", "gzip");
    let length = whole.body.len();
    let fields = "Accept-Encoding: gzip\r\nRange: bytes=0-9,-10\r\n";
    let parts = site.ask("GET", "/page.html", fields);
    assert_eq!((parts.status, parts.field("Content-Encoding")), (206, None));
    // RFC 9110 §15.3.7.2: what describes the file stands on its parts.
    let text = parts.text();
    assert_eq!(
        text.matches("Content-Encoding: gzip\r\n").count(),
        2,
        "{text}"
    );
    assert!(text.contains(&format!("bytes 0-9/{length}")), "{text}");
    assert!(
        parts
            .body
            .windows(10)
            .any(|window| *window == whole.body[length - 10..])
    );
    let one = site.ask(
        "GET",
        "/page.html",
        "Accept-Encoding: gzip\r\nRange: bytes=5-\r\n",
    );
    assert_eq!(one.field("Content-Encoding"), Some("gzip"));
    assert_eq!(one.body, whole.body[5..]);
    let beyond = format!("Accept-Encoding: gzip\r\nRange: bytes={length}-\r\n");
    let beyond = site.ask("GET", "/page.html", &beyond);
    let told = format!("bytes */{length}");
    assert_eq!(
        (beyond.status, beyond.field("Content-Range")),
        (416, Some(told.as_str()))
    );
}

#[test]
fn a_coded_file_beside_a_file_is_sent_unless_it_is_older() {
    let site = Site::start();
    fs::write(site.path("index.html"), text(1, 5)).unwrap();
    // Not what compressing it would give, so that it shows where it comes from.
    let beside = zstd::encode_all("prepared".as_bytes(), 1).unwrap();
    fs::write(site.path("index.html.zst"), &beside).unwrap();
    set_modified(&site, "index.html", 1_000_000_000);
    set_modified(&site, "index.html.zst", 1_000_000_000);
    for target in ["/", "/index.html"] {
        let answer = ask(&site, target, BROWSER);
        assert_eq!(answer.field("Content-Encoding"), Some("zstd"), "{target}");
        assert_eq!(
            answer.field("Content-Type"),
            Some("text/html; charset=utf-8")
        );
        assert_eq!(decoded(&answer), b"prepared");
        assert_eq!(answer.field("Vary"), Some("Accept-Encoding"));
        assert_eq!(decoded(&ask(&site, target, "gzip")), text(1, 5).as_bytes());
        assert_eq!(site.get(target).field("Vary"), Some("Accept-Encoding"));
    }
    // It is a file of its own too.
    let itself = site.get("/index.html.zst");
    assert_eq!(
        (itself.field("Content-Encoding"), &itself.body),
        (None, &beside)
    );

    // The file is edited, the one beside it forgotten.
    fs::write(site.path("index.html"), text(2, 5)).unwrap();
    std::thread::sleep(NOTICED);
    let answer = ask(&site, "/", BROWSER);
    assert_eq!(answer.field("Content-Encoding"), None);
    assert_eq!(answer.text(), text(2, 5));

    // A large one is sent from the disk; one that vanishes is missed within a second.
    let large: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    let coded = zstd::encode_all(large.as_slice(), 1).unwrap();
    assert!(coded.len() > 64 * 1024);
    fs::write(site.path("index.html.zst"), &coded).unwrap();
    std::thread::sleep(NOTICED);
    let answer = ask(&site, "/", BROWSER);
    assert!(answer.field("Content-Encoding") == Some("zstd") && answer.body == coded);
    let range = "Accept-Encoding: zstd\r\nRange: bytes=1-5,100000-100004\r\n";
    assert_eq!(site.ask("GET", "/", range).status, 206);
    fs::remove_file(site.path("index.html.zst")).unwrap();
    std::thread::sleep(NOTICED);
    assert_eq!(ask(&site, "/", BROWSER).text(), text(2, 5));
}

#[test]
fn an_edited_file_is_coded_anew_within_a_second() {
    let site = Site::start();
    for state in 1..4 {
        for lines in [100, 20_000] {
            let content = text(state, lines);
            fs::write(site.path("page.txt"), &content).unwrap();
            std::thread::sleep(NOTICED);
            for accept_encoding in ["br", "zstd", "gzip", ""] {
                let answer = ask(&site, "/page.txt", accept_encoding);
                assert!(
                    decoded(&answer) == content.as_bytes(),
                    "{state} {accept_encoding}"
                );
            }
        }
    }
}

/// How long the times of a file may hide a change, on the coarsest file system, and a little more.
const SETTLED: Duration = Duration::from_millis(2_100);

#[test]
fn a_crowd_that_wants_the_same_gets_it_compressed_once() {
    let mut site = Site::start_with(&["--admin", "127.0.0.1:0"]);
    let content = text(1, 100_000);
    fs::write(site.path("large.json"), &content).unwrap();
    // What is made of a file that changed a moment ago is not kept: its times may hide a change.
    std::thread::sleep(SETTLED);
    std::thread::scope(|scope| {
        for _ in 0..30 {
            scope.spawn(|| {
                let answer = ask(&site, "/large.json", "gzip");
                assert_eq!(answer.field("Content-Encoding"), Some("gzip"));
                assert!(decoded(&answer) == content.as_bytes());
            });
        }
    });
    let metrics = site.admin("/metrics");
    assert!(
        metrics.contains("webserverd_compressed_files_total 1\n"),
        "{metrics}"
    );
    let bytes = format!("webserverd_compressed_bytes_in_total {}\n", content.len());
    assert!(metrics.contains(&bytes), "{metrics}");
}
