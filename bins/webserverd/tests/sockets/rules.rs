//! What the operator has said of all answers, over real sockets.

use std::fs;

use crate::site::Site;

#[test]
fn files_are_fresh_as_long_as_the_rules_say() {
    let site = Site::start_with(&[
        "--cache-control",
        "index.html=no-cache",
        "--cache-control",
        "sub folder/**=public, max-age=31536000, immutable",
        "--cache-control",
        "*.bin=no-store",
    ]);
    for (target, value) in [
        ("/", "no-cache"),
        ("/sub%20folder/", "no-cache"),
        ("/big.bin", "no-store"),
        ("/ten.txt", "max-age=60"),
    ] {
        assert_eq!(
            site.get(target).field("Cache-Control"),
            Some(value),
            "{target}"
        );
        let etag = site.get(target).field("ETag").unwrap().to_owned();
        let fields = format!("If-None-Match: {etag}\r\n");
        let answer = site.ask("GET", target, &fields);
        assert_eq!(
            (answer.status, answer.field("Cache-Control")),
            (304, Some(value))
        );
    }
    assert_eq!(site.get("/absent").field("Cache-Control"), Some("no-store"));
}

#[test]
fn a_page_elsewhere_can_read_that_it_may_not_ask_or_not_so_often() {
    for (refusal, status) in [
        (["--allow", "192.0.2.0/24"], 403),
        (["--request-rate", "1:1"], 429),
    ] {
        let rules = ["--header", "X-A: b", "--cors", "https://a.example"];
        let site = Site::start_with(&[&rules[..], &refusal].concat());
        let ask = || site.ask("GET", "/ten.txt", "Origin: https://a.example\r\n");
        ask();
        let answer = ask();
        assert_eq!(answer.status, status);
        for (name, value) in [
            ("X-A", "b"),
            ("Vary", "Origin"),
            ("Access-Control-Allow-Origin", "https://a.example"),
        ] {
            assert_eq!(answer.field(name), Some(value), "{}", answer.head);
        }
    }
}

#[test]
fn given_fields_and_secure_ones_stand_on_every_answer() {
    let site = Site::start_with(&[
        "--header",
        "X-Robots-Tag: noindex",
        "--header",
        "Referrer-Policy: no-referrer",
        "--secure-headers",
    ]);
    for (method, target, fields) in [
        ("GET", "/ten.txt", ""),
        ("HEAD", "/ten.txt", ""),
        ("GET", "/ten.txt", "If-None-Match: *\r\n"),
        ("GET", "/ten.txt", "If-Match: \"x\"\r\n"),
        ("GET", "/ten.txt", "Range: bytes=1-2\r\n"),
        ("GET", "/big.bin", "Range: bytes=1-2,10000-10001\r\n"),
        ("GET", "/ten.txt", "Range: bytes=10-\r\n"),
        ("GET", "/absent", ""),
        ("GET", "/sub%20folder", ""),
        ("GET", "/link.txt", ""),
        ("GET", "/%00", ""),
        ("POST", "/ten.txt", ""),
        ("OPTIONS", "*", ""),
    ] {
        let answer = site.ask(method, target, fields);
        for (name, value) in [
            ("X-Robots-Tag", "noindex"),
            ("X-Frame-Options", "SAMEORIGIN"),
            // What is given counts.
            ("Referrer-Policy", "no-referrer"),
        ] {
            let values = answer.head.lines().filter(|line| line.starts_with(name));
            let line = format!("{name}: {value}");
            // A head that breaks a rule is refused before anybody knows whose it is.
            if target != "/%00" {
                assert_eq!(
                    values.collect::<Vec<_>>(),
                    [line],
                    "{method} {target} {fields}"
                );
            }
        }
    }
    let plain = site.get("/ten.txt");
    assert_eq!(plain.field("Strict-Transport-Security"), None, "no TLS");
    let nosniff = Site::start();
    for target in ["/ten.txt", "/absent", "/link.txt"] {
        let answer = nosniff.get(target);
        assert_eq!(
            answer.field("X-Content-Type-Options"),
            Some("nosniff"),
            "{target}"
        );
    }
}

/// The Fetch standard, §3.3 "CORS protocol".
#[test]
fn every_site_may_read_what_is_open_to_all() {
    let site = Site::start_with(&["--cors", "*"]);
    for fields in ["", "Origin: https://a.example\r\n"] {
        let answer = site.ask("GET", "/ten.txt", fields);
        assert_eq!(answer.field("Access-Control-Allow-Origin"), Some("*"));
        assert_eq!(answer.field("Vary"), None, "it is the same for all");
        assert!(
            answer
                .field("Access-Control-Expose-Headers")
                .unwrap()
                .contains("ETag")
        );
    }
    let preflight = site.ask("OPTIONS", "/ten.txt", PREFLIGHT);
    assert_eq!(preflight.status, 204);
    assert_eq!(preflight.field("Access-Control-Allow-Origin"), Some("*"));
    assert_eq!(
        preflight.field("Access-Control-Allow-Headers"),
        Some("range,x-lab")
    );
}

const PREFLIGHT: &str = "Origin: https://a.example\r\nAccess-Control-Request-Method: GET\r\n\
                         Access-Control-Request-Headers: range,x-lab\r\n";

#[test]
fn only_the_sites_that_are_named_may_read_the_rest() {
    let args = [
        "--cors",
        "https://a.example",
        "--cors",
        "http://localhost:3000",
    ];
    let site = Site::start_with(&args);
    fs::write(site.path("page.html"), "text ".repeat(1000)).unwrap();
    for (origin, granted) in [
        ("https://a.example", true),
        ("http://localhost:3000", true),
        ("https://b.example", false),
        ("https://a.example.evil", false),
        ("http://a.example", false),
        ("null", false),
    ] {
        for (target, fields, vary) in [
            ("/ten.txt", "", "Origin"),
            (
                "/page.html",
                "Accept-Encoding: br\r\n",
                "Accept-Encoding, Origin",
            ),
            ("/ten.txt", "If-None-Match: *\r\n", "Origin"),
            ("/absent", "", "Origin"),
        ] {
            // Twice: from the disk, and from memory.
            for _ in 0..2 {
                let answer = site.ask("GET", target, &format!("Origin: {origin}\r\n{fields}"));
                let seen = answer.field("Access-Control-Allow-Origin");
                assert_eq!(seen, granted.then_some(origin), "{target}");
                assert_eq!(answer.field("Vary"), Some(vary), "{target}");
            }
        }
    }
    let answer = site.get("/ten.txt");
    assert_eq!(answer.field("Access-Control-Allow-Origin"), None);
    assert_eq!(
        answer.field("Vary"),
        Some("Origin"),
        "also of one without an Origin"
    );

    let granted = site.ask("OPTIONS", "/ten.txt", PREFLIGHT);
    for (name, value) in [
        ("Access-Control-Allow-Origin", "https://a.example"),
        ("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS"),
        ("Access-Control-Allow-Headers", "range,x-lab"),
        ("Access-Control-Max-Age", "86400"),
    ] {
        assert_eq!(granted.field(name), Some(value), "{name}");
    }
    let refused = site.ask("OPTIONS", "/ten.txt", &PREFLIGHT.replace("a.ex", "b.ex"));
    assert_eq!(refused.status, 204);
    assert!(
        !refused.head.contains("Access-Control-Allow"),
        "{}",
        refused.head
    );
    // Without --cors nobody is told anything.
    let closed = Site::start().ask("OPTIONS", "/ten.txt", PREFLIGHT);
    assert!(!closed.head.contains("Access-Control"), "{}", closed.head);
}
