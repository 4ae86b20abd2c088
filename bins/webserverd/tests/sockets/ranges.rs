//! Preconditions and ranges (RFC 9110 §13, §14) over real sockets: every combination, and bodies
//! of several parts.

use std::fs;
use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, SystemTime};

use crate::site::{Answer, PATIENCE, Site};

/// Sun, 06 Nov 1994 08:49:37 GMT, the date of RFC 9110 §5.6.7.
const MODIFIED: u64 = 784_111_777;
const SAME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

/// A site with `letters.txt`, 10,000 bytes of running digits, last changed at [`MODIFIED`].
fn site() -> (Site, Vec<u8>) {
    let site = Site::start();
    let content: Vec<u8> = (0..2500)
        .flat_map(|n| format!("{n:04}").into_bytes())
        .collect();
    fs::write(site.path("letters.txt"), &content).unwrap();
    site.edit("letters.txt")
        .set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(MODIFIED))
        .unwrap();
    (site, content)
}

/// The parts of a multipart body: the value of Content-Range, and the bytes. Read as RFC 2046
/// §5.1.1 says, by nothing of the server's.
fn parts(answer: &Answer) -> Vec<(String, Vec<u8>)> {
    let content_type = answer.field("Content-Type").unwrap();
    let boundary = content_type
        .strip_prefix("multipart/byteranges; boundary=")
        .unwrap();
    let delimiter = format!("\r\n--{boundary}").into_bytes();
    let mut rest = [b"\r\n", answer.body.as_slice()].concat();
    let mut parts = Vec::new();
    while let Some(at) = find(&rest, &delimiter) {
        let text = rest[..at].to_vec();
        rest = rest[at + delimiter.len()..].to_vec();
        if !parts.is_empty() || !text.is_empty() {
            let head_end = find(&text, b"\r\n\r\n").unwrap();
            let head = String::from_utf8(text[..head_end].to_vec()).unwrap();
            let range = head
                .lines()
                .find_map(|line| line.strip_prefix("Content-Range: "));
            assert!(
                head.contains("Content-Type: text/plain; charset=utf-8"),
                "{head}"
            );
            parts.push((range.unwrap().to_owned(), text[head_end + 4..].to_vec()));
        }
    }
    assert_eq!(rest, b"--\r\n", "nothing stands behind the last delimiter");
    parts
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

#[test]
fn several_ranges_come_as_the_parts_of_one_body_in_the_order_asked_for() {
    let (site, content) = site();
    fs::write(site.path("big.txt"), content.repeat(100)).unwrap();
    for (target, length) in [("/letters.txt", 10_000), ("/big.txt", 1_000_000)] {
        for (ranges, wanted) in [
            // RFC 9110 §14.1.2: the first and the last byte.
            ("0-0,-1", vec![(0, 1), (length - 1, length)]),
            (
                "0-999, 4500-5499, -1000",
                vec![(0, 1000), (4500, 5500), (length - 1000, length)],
            ),
            ("5000-5099,0-99,50-149", vec![(5000, 5100), (0, 150)]),
            ("9000-9099,0-99,99999999-", vec![(9000, 9100), (0, 100)]),
        ] {
            let answer = site.ask("GET", target, &format!("Range: bytes={ranges}\r\n"));
            assert_eq!(answer.status, 206, "{ranges}");
            assert_eq!(answer.field("Content-Range"), None, "RFC 9110 §15.3.7.2");
            assert_eq!(
                answer.field("Content-Length"),
                Some(answer.body.len().to_string().as_str())
            );
            assert!(answer.field("ETag").is_some() && answer.field("Last-Modified").is_some());
            let wanted: Vec<_> = wanted
                .into_iter()
                .map(|(start, end): (usize, usize)| {
                    let bytes = (start..end).map(|at| content[at % content.len()]).collect();
                    (format!("bytes {start}-{}/{length}", end - 1), bytes)
                })
                .collect();
            assert!(parts(&answer) == wanted, "{target} {ranges}");
        }
    }
}

#[test]
fn many_or_overlapping_ranges_cost_no_more_than_the_whole() {
    let (site, content) = site();
    let ask = |ranges: &str| site.ask("GET", "/letters.txt", &format!("Range: bytes={ranges}\r\n"));
    let many: Vec<String> = (0..17).map(|n| format!("{0}-{0}", n * 500)).collect();
    let answer = ask(&many.join(","));
    assert!(
        answer.status == 200 && answer.body == content,
        "17 are not served as ranges"
    );
    let answer = ask(&many[1..].join(","));
    assert_eq!((answer.status, parts(&answer).len()), (206, 16));
    // The attack of 2011 on Apache (CVE-2011-3192): 0-, 5-0, 5-1 ... and as far as it is well formed.
    let answer = ask(&["0-"; 16].join(","));
    assert_eq!(answer.field("Content-Range"), Some("bytes 0-9999/10000"));
    assert_eq!(answer.body.len(), 10_000);
    assert_eq!(ask("0-,5-0,5-1,5-2").status, 200, "5-0 is not well formed");
    let tiny: Vec<String> = (0..16).map(|n| format!("{0}-{0}", n * 2)).collect();
    assert_eq!(
        ask(&tiny.join(",")).field("Content-Range"),
        Some("bytes 0-30/10000")
    );
}

/// RFC 9110 §13.2.2 step by step, from what each field is known to say.
fn expected(is_get: bool, fields: [&str; 6]) -> u16 {
    let [
        if_match,
        if_unmodified,
        if_none_match,
        if_modified,
        range,
        if_range,
    ] = fields;
    // 1 and 2.
    match if_match {
        "none" => {
            if if_unmodified == "older" {
                return 412;
            }
        }
        "true" => {}
        _ => return 412,
    }
    // 3 and 4.
    match if_none_match {
        "none" => {
            if if_modified == "same or later" {
                return 304;
            }
        }
        "true" => {}
        _ => return 304,
    }
    // 5.
    if is_get && range != "none" && if_range != "false" {
        return match range {
            "satisfiable" => 206,
            "unsatisfiable" => 416,
            _ => 200,
        };
    }
    // 6.
    200
}

/// 2 methods, 5 × 5 × 5 × 5 preconditions, 5 ranges, 6 If-Range.
#[test]
fn all_preconditions_with_all_ranges_are_decided_as_the_rfc_says() {
    let (site, content) = site();
    let etag = site.get("/letters.txt").field("ETag").unwrap().to_owned();
    let weak = format!("W/{etag}");
    let tag = |truth, value: &str| (truth, value.to_owned());
    let date = |truth, value: &str| (truth, value.to_owned());
    let if_match = [
        tag("none", ""),
        tag("true", &etag),
        tag("true", "*"),
        tag("false", "\"other\""),
        // Strong comparison (§13.1.1).
        tag("false", &weak),
    ];
    let if_none_match = [
        tag("none", ""),
        tag("false", &etag),
        tag("false", "*"),
        tag("true", "\"other\""),
        // Weak comparison (§13.1.2).
        tag("false", &weak),
    ];
    let if_unmodified = [
        date("none", ""),
        date("older", BEFORE),
        date("same", SAME),
        date("later", AFTER),
        date("ignored", "yesterday"),
    ];
    let if_modified = [
        date("none", ""),
        date("older", BEFORE),
        date("same or later", SAME),
        date("same or later", AFTER),
        date("ignored", "yesterday"),
    ];
    let range = [
        ("none", String::new()),
        ("satisfiable", "bytes=0-9".to_owned()),
        ("satisfiable", "bytes=0-9,5000-5009".to_owned()),
        ("unsatisfiable", "bytes=10000-".to_owned()),
        ("malformed", "bytes=9-0".to_owned()),
    ];
    let if_range = [
        ("none", String::new()),
        ("true", etag.clone()),
        ("false", "\"other\"".to_owned()),
        ("false", weak.clone()),
        ("true", SAME.to_owned()),
        ("false", AFTER.to_owned()),
    ];
    let stream = TcpStream::connect(site.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut writer, mut reader) = (stream.try_clone().unwrap(), BufReader::new(stream));
    let mut seen = 0;
    for is_get in [true, false] {
        for a in &if_match {
            for b in &if_unmodified {
                for c in &if_none_match {
                    let mut requests = String::new();
                    let mut wanted = Vec::new();
                    for d in &if_modified {
                        for e in &range {
                            for f in &if_range {
                                let all = [a, b, c, d, e, f];
                                requests += &request(is_get, all.map(|(_, value)| value.as_str()));
                                let truths = all.map(|(truth, _)| *truth);
                                wanted.push((expected(is_get, truths), truths));
                            }
                        }
                    }
                    writer.write_all(requests.as_bytes()).unwrap();
                    for (status, truths) in wanted {
                        let (seen_status, body) = read_answer(&mut reader, is_get);
                        assert_eq!(seen_status, status, "GET: {is_get}, {truths:?}");
                        if status == 200 && is_get {
                            assert!(body == content, "{truths:?}");
                        }
                        seen += 1;
                    }
                }
            }
        }
    }
    assert_eq!(seen, 2 * 5 * 5 * 5 * 5 * 5 * 6);
}

fn request(is_get: bool, values: [&str; 6]) -> String {
    let names = [
        "If-Match",
        "If-Unmodified-Since",
        "If-None-Match",
        "If-Modified-Since",
        "Range",
        "If-Range",
    ];
    let method = if is_get { "GET" } else { "HEAD" };
    let mut text = format!("{method} /letters.txt HTTP/1.1\r\nHost: lab\r\n");
    for (name, value) in names.iter().zip(values) {
        if !value.is_empty() {
            text.extend([name, ": ", value, "\r\n"]);
        }
    }
    text + "\r\n"
}

/// One of several answers on a connection: its status and its body.
fn read_answer(reader: &mut impl Read, has_body: bool) -> (u16, Vec<u8>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        reader.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let status: u16 = head[9..12].parse().unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: "));
    let length = match length {
        Some(length) if has_body => length.parse().unwrap(),
        _ => 0,
    };
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    (status, body)
}

#[test]
fn head_is_answered_as_get_but_for_the_body_and_ignores_ranges() {
    let (site, _) = site();
    let etag = site.get("/letters.txt").field("ETag").unwrap().to_owned();
    for fields in [
        String::new(),
        format!("If-None-Match: {etag}\r\n"),
        "If-Match: \"other\"\r\n".to_owned(),
        format!("If-Modified-Since: {SAME}\r\n"),
        format!("If-Unmodified-Since: {BEFORE}\r\n"),
    ] {
        let get = site.ask("GET", "/letters.txt", &fields);
        let head = site.ask("HEAD", "/letters.txt", &fields);
        assert_eq!(
            get.head_without_date(),
            head.head_without_date(),
            "{fields}"
        );
        assert!(head.body.is_empty(), "{fields}");
    }
    // RFC 9110 §14.2: GET is the only method that ranges are defined for, and a server must
    // ignore them with others.
    let whole = site.ask("HEAD", "/letters.txt", "");
    for range in ["0-9", "0-9,500-", "99999-"] {
        let head = site.ask("HEAD", "/letters.txt", &format!("Range: bytes={range}\r\n"));
        assert_eq!(
            head.head_without_date(),
            whole.head_without_date(),
            "{range}"
        );
    }
}
