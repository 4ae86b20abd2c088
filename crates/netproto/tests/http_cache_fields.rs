//! Cache-Control, structured fields and Cache-Status against RFC 9111, 5861, 9651 and 9211.

use std::borrow::Cow;

use netproto::http::cache_control::{
    Delta, MaxStale, RequestDirectives, ResponseDirectives, Scope,
};
use netproto::http::cache_status::{self, CacheStatus, Forwarded};
use netproto::http::structured::{BareItem, Item, parse_dictionary, parse_list, write_string};

fn response<'b>(lines: &'b [&str]) -> ResponseDirectives<'b> {
    ResponseDirectives::parse(lines.iter().map(|line| line.as_bytes()))
}

fn request(line: &str) -> RequestDirectives {
    RequestDirectives::parse(std::iter::once(line.as_bytes()))
}

#[test]
fn what_is_wrong_about_freshness_is_not_fresh() {
    for (line, max_age) in [
        ("max-age=60", Delta::Seconds(60)),
        ("MAX-AGE=60", Delta::Seconds(60)),
        ("max-age=\"60\"", Delta::Seconds(60)),
        ("max-age=0060", Delta::Seconds(60)),
        ("public,,max-age=60,", Delta::Seconds(60)),
        ("x=\"max-age=1\", max-age=60", Delta::Seconds(60)),
        // RFC 9111 §1.2.2
        ("max-age=2147483648", Delta::Seconds(2_147_483_648)),
        (
            "max-age=99999999999999999999999999",
            Delta::Seconds(2_147_483_648),
        ),
        ("max-age", Delta::Invalid),
        ("max-age=", Delta::Invalid),
        ("max-age=-1", Delta::Invalid),
        ("max-age=+1", Delta::Invalid),
        ("max-age=1.5", Delta::Invalid),
        ("max-age=1s", Delta::Invalid),
        ("max-age='60'", Delta::Invalid),
        ("max-age=\"60", Delta::Invalid),
        ("max-age = 60", Delta::Invalid),
        ("max-age =60", Delta::Invalid),
        ("max-age= 60", Delta::Invalid),
        ("max-age=60, max-age=60", Delta::Invalid),
        ("max-age=60, max-age=x", Delta::Invalid),
        ("x-max-age=60", Delta::Absent),
        ("max-age60", Delta::Absent),
        ("", Delta::Absent),
    ] {
        assert_eq!(response(&[line]).max_age, max_age, "{line}");
    }
    let two_lines = response(&["max-age=60", "s-maxage=5, max-age=7"]);
    assert_eq!(two_lines.max_age, Delta::Invalid);
    assert_eq!(two_lines.s_maxage, Delta::Seconds(5));
}

#[test]
fn restrictions_are_read_with_their_scope() {
    let names = |scope: Scope<'_>| -> Vec<String> {
        scope
            .field_names()
            .map(|name| String::from_utf8(name.to_vec()).unwrap())
            .collect()
    };
    let found = response(&["private=\"set-cookie, x-user\", no-cache=authorization"]);
    assert_eq!(names(found.private), ["set-cookie", "x-user"]);
    assert_eq!(names(found.no_cache), ["authorization"]);
    for line in [
        "no-cache",
        "no-cache=",
        "no-cache=\"\"",
        "no-cache=\"a",
        "no-cache=\"a\\\"b\"",
        "no-cache, no-cache=\"a\"",
        "no-cache=\"a\", no-cache",
        "no-cache=\"a\", no-cache=\"b\"",
    ] {
        assert_eq!(response(&[line]).no_cache, Scope::Whole, "{line}");
    }
    let flags = response(&[
        "No-Store, must-revalidate, proxy-revalidate, must-understand, foo=\"bar\"",
        "public, immutable, no-transform, stale-while-revalidate=30, stale-if-error=600",
    ]);
    assert!(flags.no_store && flags.must_revalidate && flags.proxy_revalidate);
    assert!(flags.must_understand && flags.public && flags.immutable && flags.no_transform);
    assert_eq!(flags.stale_while_revalidate.seconds(), Some(30));
    assert_eq!(flags.stale_if_error.seconds(), Some(600));
    assert_eq!(
        response(&["foo, bar=\"no-store, public\""]),
        ResponseDirectives::default()
    );
}

#[test]
fn a_request_says_what_it_takes() {
    let found =
        request("max-age=0, min-fresh=\"5\", only-if-cached, no-store, no-transform, no-cache");
    assert_eq!(found.max_age, Delta::Seconds(0));
    assert_eq!(found.min_fresh, Delta::Seconds(5));
    assert!(found.only_if_cached && found.no_store && found.no_transform && found.no_cache);
    for (line, max_stale) in [
        ("max-stale", MaxStale::Any),
        ("max-stale=60", MaxStale::By(60)),
        ("max-stale=x", MaxStale::Fresh),
        ("max-stale=60, max-stale=61", MaxStale::Fresh),
        ("max-stale, max-stale=61", MaxStale::Fresh),
        ("", MaxStale::Fresh),
    ] {
        assert_eq!(request(line).max_stale, max_stale, "{line}");
    }
}

#[test]
fn structured_fields_are_read_strictly() {
    // RFC 9651 §3.1, §3.1.2, §3.2 and §4.2.
    let list = parse_list(b"sugar, tea, rum;a=1.25;b;c=?0 ,\t\"a \\\"b\\\\\";  x=-7").unwrap();
    let values: Vec<_> = list.iter().map(|item| item.value.clone()).collect();
    assert_eq!(
        values,
        [
            BareItem::Token("sugar"),
            BareItem::Token("tea"),
            BareItem::Token("rum"),
            BareItem::String(Cow::Borrowed("a \"b\\")),
        ]
    );
    assert_eq!(list[2].parameter("a"), Some(&BareItem::Decimal(1250)));
    assert_eq!(list[2].parameter("b"), Some(&BareItem::Boolean(true)));
    assert_eq!(list[2].parameter("c"), Some(&BareItem::Boolean(false)));
    assert_eq!(list[3].parameter("x"), Some(&BareItem::Integer(-7)));
    assert_eq!(parse_list(b"  "), Some(Vec::new()));

    let dictionary = parse_dictionary(b"max-age=600, must-revalidate;q=1, max-age=60").unwrap();
    let keys: Vec<_> = dictionary.iter().map(|(key, _)| *key).collect();
    assert_eq!(keys, ["max-age", "must-revalidate"]);
    assert_eq!(dictionary[0].1.value, BareItem::Integer(60));
    assert_eq!(dictionary[1].1.value, BareItem::Boolean(true));

    for text in [
        "a,",
        ",a",
        "a,,b",
        "a b",
        "\"a",
        "\"\\a\"",
        "\"\u{e9}\"",
        "?2",
        "?",
        "-",
        "1.",
        ".5",
        "1.2345",
        "1234567890123456",
        "1234567890123.1",
        "a;",
        "a;B",
        "a;b=",
        "a; ;b",
        "(a b",
        "(a,b)",
        "()(",
        ":YQ=",
        ":Y!==:",
        "@1.5",
        "@a",
        "%\"%e4\"",
        "%\"%C3%A4\"",
        "%\"a",
        "=a",
    ] {
        assert_eq!(parse_list(text.as_bytes()), None, "{text}");
    }
    for text in ["A=1", "a=1,", "a=", "a=1 b=2", "1=1"] {
        assert_eq!(parse_dictionary(text.as_bytes()), None, "{text}");
    }
    // The examples of RFC 9651 §3.1.1, §3.3.5, §3.3.7 and §3.3.8: of types that no field here has.
    for text in [
        "(\"foo\"; a=1;b=2);lvl=5",
        "()",
        ":cHJldGVuZCB0aGlzIGlzIGJpbmFyeSBjb250ZW50Lg==:",
        "::",
        "@1659578233",
        "%\"This is intended for display to %c3%bcsers.\"",
    ] {
        let list = parse_list(text.as_bytes()).unwrap();
        assert_eq!(list.len(), 1, "{text}");
        assert_eq!(list[0].value, BareItem::Other, "{text}");
        let member = format!("a={text}, max-age=60");
        let dictionary = parse_dictionary(member.as_bytes()).unwrap();
        assert_eq!(dictionary[0].1.value, BareItem::Other, "{text}");
        assert_eq!(dictionary[1].1.value, BareItem::Integer(60), "{text}");
    }
    // As much as every parser has to take (§3.1, §3.1.2, §3.2), and no more.
    for (begin, separator, most) in [("", ",", 1024), ("a;", ";", 256)] {
        for (count, is_taken) in [(most, true), (most + 1, false)] {
            let keys: Vec<_> = (0..count).map(|key| format!("a{key}")).collect();
            let text = format!("{begin}{}", keys.join(separator));
            let (list, dictionary) = (
                parse_list(text.as_bytes()),
                parse_dictionary(text.as_bytes()),
            );
            assert_eq!(list.is_some(), is_taken, "{count}");
            assert_eq!(dictionary.is_some(), is_taken, "{count}");
        }
    }
    // The last of one key counts, with nothing of the one before.
    let twice = parse_dictionary(b"a=1;x, b, a=(1 2);y").unwrap();
    assert_eq!(twice[0], ("a", Item::default()));
    assert_eq!(twice.len(), 2);

    let mut out = Vec::new();
    assert_eq!(write_string("a\r\nb", &mut out), None);
    assert_eq!(write_string("\u{e9}", &mut out), None);
    assert!(out.is_empty());
    write_string("a\"b\\", &mut out).unwrap();
    assert_eq!(out, b"\"a\\\"b\\\\\"");
}

#[test]
fn cache_status_is_read_and_written() {
    // The examples of RFC 9211 §3.
    let read = |text: &'static str| cache_status::parse(text.as_bytes()).unwrap();
    let cache = |name: &'static str| CacheStatus {
        cache: Cow::Borrowed(name),
        ..CacheStatus::default()
    };
    assert_eq!(
        read("ExampleCache; hit"),
        [CacheStatus {
            hit: true,
            ..cache("ExampleCache")
        }]
    );
    assert_eq!(
        read("ExampleCache; fwd=stale; fwd-status=304"),
        [CacheStatus {
            fwd: Some(Forwarded::Stale),
            fwd_status: Some(304),
            ..cache("ExampleCache")
        }]
    );
    assert_eq!(
        read("ExampleCache; hit; ttl=-412"),
        [CacheStatus {
            hit: true,
            ttl: Some(-412),
            ..cache("ExampleCache")
        }]
    );
    assert_eq!(
        read("OriginCache; hit; ttl=1100, \"CDN Company Here\"; fwd=uri-miss"),
        [
            CacheStatus {
                hit: true,
                ttl: Some(1100),
                ..cache("OriginCache")
            },
            CacheStatus {
                fwd: Some(Forwarded::UriMiss),
                ..cache("CDN Company Here")
            },
        ]
    );
    assert_eq!(cache_status::parse(b"ExampleCache; hit="), None);
    assert_eq!(cache_status::parse(b"12; hit"), None);
    assert!(!read("a; hit=yes; fwd=\"miss\"; ttl=x")[0].hit);

    let mut out = Vec::new();
    CacheStatus {
        fwd: Some(Forwarded::UriMiss),
        fwd_status: Some(200),
        ttl: Some(60),
        stored: true,
        collapsed: true,
        key: Some(Cow::Borrowed("http://a/\"b")),
        detail: Some(Cow::Borrowed("EVIL\r\nX: y")),
        ..cache("proxyd")
    }
    .write(&mut out);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "proxyd; fwd=uri-miss; fwd-status=200; ttl=60; stored; collapsed; key=\"http://a/\\\"b\""
    );
}

#[test]
fn a_targeted_field_is_a_dictionary_or_does_not_count() {
    let targeted = |lines: &[&'static str]| {
        ResponseDirectives::targeted(lines.iter().map(|line| line.as_bytes()))
    };
    // RFC 9213 §2.1: empty, or not parsed: it must be ignored.
    for line in [
        "",
        "  ",
        "max-age=60, &&&",
        "max-age=60,",
        "No-Store",
        "max-age= 60",
    ] {
        assert_eq!(targeted(&[line]), None, "{line}");
    }
    assert_eq!(targeted(&[]), None);
    for (line, max_age) in [
        ("max-age=60", Delta::Seconds(60)),
        ("max-age=60;x=y", Delta::Seconds(60)),
        ("max-age=1, max-age=60", Delta::Seconds(60)),
        ("max-age=999999999999999", Delta::Seconds(2_147_483_648)),
        ("max-age=\"60\"", Delta::Invalid),
        ("max-age=60.0", Delta::Invalid),
        ("max-age=-1", Delta::Invalid),
        ("max-age", Delta::Invalid),
        ("foo, bar=?0", Delta::Absent),
    ] {
        let found = targeted(&[line]).unwrap();
        assert_eq!(found.max_age, max_age, "{line}");
        assert!(found.is_targeted);
    }
    let lines = [
        "max-age=60, private=\"set-cookie\", no-cache",
        "max-age=5, no-store, must-revalidate",
    ];
    let found = targeted(&lines).unwrap();
    assert_eq!(found.max_age, Delta::Seconds(5));
    assert_eq!(found.private, Scope::Fields(b"set-cookie"));
    assert_eq!(found.no_cache, Scope::Whole);
    assert!(found.no_store && found.must_revalidate && !found.public);
    // A value of a wrong type restricts, and allows nothing.
    let odd = targeted(&["no-store=1, must-revalidate=?0, public=1, immutable=x"]).unwrap();
    assert!(odd.no_store && !odd.must_revalidate && !odd.public && !odd.immutable);
}
