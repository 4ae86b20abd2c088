//! Content negotiation against the examples and rules of RFC 9110 §12.

use netproto::http::Status;
use netproto::http::accept::{codings, media_type};
use netproto::http::fields::{FieldSlots, Fields};
use netproto::http::head::RequestHead;
use netproto::http::limits::Limits;

fn with_field<T>(name: &str, value: Option<&str>, look: impl FnOnce(&Fields<'_, '_>) -> T) -> T {
    let field = value.map(|value| format!("{name}: {value}\r\n"));
    let text = format!(
        "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
        field.unwrap_or_default()
    );
    let mut slots = FieldSlots::new();
    match RequestHead::parse(text.as_bytes(), &mut slots, &Limits::DEFAULT) {
        Ok(Status::Complete(head)) => look(&head.fields),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_coding_has_the_weight_that_it_or_the_asterisk_is_given() {
    for (value, name, weight) in [
        // RFC 9110 §12.5.3.
        (Some("compress, gzip"), "gzip", Some(1000)),
        (Some("compress, gzip"), "br", None),
        (Some(""), "gzip", None),
        (Some("*"), "br", Some(1000)),
        (Some("compress;q=0.5, gzip;q=1.0"), "compress", Some(500)),
        (Some("compress;q=0.5, gzip;q=1.0"), "gzip", Some(1000)),
        (
            Some("gzip;q=1.0, identity; q=0.5, *;q=0"),
            "identity",
            Some(500),
        ),
        (Some("gzip;q=1.0, identity; q=0.5, *;q=0"), "br", Some(0)),
        (None, "gzip", None),
        // What a coding is told itself counts more than the asterisk, wherever it stands.
        (Some("*;q=0, gzip;q=0.1"), "gzip", Some(100)),
        (Some("gzip;q=0, *"), "gzip", Some(0)),
        (Some("GZIP ; Q=0.25"), "gzip", Some(250)),
        (Some("x-gzip"), "gzip", Some(1000)),
        (Some("x-br"), "br", None),
        (Some("gzip;q=0.001"), "gzip", Some(1)),
        (Some("gzip;q=1.000"), "gzip", Some(1000)),
        // Malformed: as if it were not there.
        (Some("gzip;q=1.001"), "gzip", None),
        (Some("gzip;q=2"), "gzip", None),
        (Some("gzip;q=-1"), "gzip", None),
        (Some("gzip;q=0.1234"), "gzip", None),
        (Some("gzip;q="), "gzip", None),
        (Some("gzip;q=a, br"), "br", Some(1000)),
        (Some("identity;q=0"), "identity", Some(0)),
    ] {
        let seen = with_field("Accept-Encoding", value, |fields| {
            codings(fields, [name])[0]
        });
        assert_eq!(seen, weight, "{name} of {value:?}");
    }
}

#[test]
fn several_codings_are_weighted_at_once() {
    let value = Some("gzip;q=1.0, identity; q=0.5, *;q=0.2");
    let names = ["br", "zstd", "gzip", "identity"];
    let seen = with_field("Accept-Encoding", value, |fields| codings(fields, names));
    assert_eq!(seen, [Some(200), Some(200), Some(1000), Some(500)]);
}

#[test]
fn a_media_type_has_the_weight_of_the_range_that_names_it_most_closely() {
    let of_rfc = "text/*;q=0.3, text/plain;q=0.7, text/plain;format=flowed, \
                  text/plain;format=fixed;q=0.4, */*;q=0.5";
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";
    for (value, kind, subtype, weight) in [
        // RFC 9110 §12.5.1, where its parameters do not matter.
        (Some(of_rfc), "text", "html", 300),
        (Some(of_rfc), "text", "plain", 700),
        (Some(of_rfc), "image", "jpeg", 500),
        (Some("audio/*; q=0.2, audio/basic"), "audio", "basic", 1000),
        (Some("audio/*; q=0.2, audio/basic"), "audio", "mpeg", 200),
        (Some(browser), "text", "html", 1000),
        (Some(browser), "application", "json", 800),
        (Some("application/json"), "text", "html", 0),
        (Some("*/*, text/html;q=0"), "text", "html", 0),
        (Some("TEXT/HTML"), "text", "html", 1000),
        (Some("nonsense"), "text", "html", 0),
        (None, "text", "html", 1000),
    ] {
        let seen = with_field("Accept", value, |fields| media_type(fields, kind, subtype));
        assert_eq!(seen, weight, "{kind}/{subtype} of {value:?}");
    }
}
