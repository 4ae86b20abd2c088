//! What a head that breaks no rule says. What is refused stands in `http_hostile.rs`.

use netproto::http::Status;
use netproto::http::body::BodyFraming;
use netproto::http::fields::FieldSlots;
use netproto::http::head::{HeadError, RequestHead, ResponseHead};
use netproto::http::limits::Limits;
use netproto::http::method::Method;
use netproto::http::status::StatusCode;
use netproto::http::target::{Target, TargetError, file_path};
use netproto::http::version::Version;

fn request<T>(
    text: &str,
    look: impl FnOnce(RequestHead<'_, '_>) -> T,
) -> Result<Status<T>, HeadError> {
    let mut slots = FieldSlots::new();
    match RequestHead::parse(text.as_bytes(), &mut slots, &Limits::DEFAULT)? {
        Status::Complete(head) => Ok(Status::Complete(look(head))),
        Status::Partial => Ok(Status::Partial),
    }
}

#[test]
fn a_request_says_what_was_sent() {
    let text = "\r\nGET /a/b?c=d?e HTTP/1.1\r\nHost: example.org:8080\r\nAccept:  a, b \t\r\n\
                X-Empty:\r\nacCept: \"c,\\\"d\",,e\r\n\r\nnext";
    request(text, |head| {
        assert_eq!(head.method, Method::Get);
        assert_eq!(
            head.target,
            Target::Origin {
                path: "/a/b",
                query: Some("c=d?e")
            }
        );
        assert_eq!(head.version, Version::Http11);
        assert_eq!(head.host, "example.org:8080");
        assert_eq!(head.framing, BodyFraming::None);
        assert!(head.persistent && !head.expects_continue);
        assert_eq!(head.len, text.len() - "next".len());
        assert_eq!(head.fields.len(), 4);
        assert_eq!(head.fields.first("ACCEPT"), Some(&b"a, b"[..]));
        assert_eq!(head.fields.first("x-empty"), Some(&b""[..]));
        let members: Vec<_> = head.fields.members("accept").collect();
        assert_eq!(
            members,
            [&b"a"[..], &b"b"[..], &b"\"c,\\\"d\""[..], &b"e"[..]]
        );
    })
    .unwrap()
    .complete()
    .unwrap();
}

#[test]
fn persistence_follows_version_and_connection() {
    for (version, connection, persistent) in [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: foo, CLOSE\r\n", false),
        (
            "1.1",
            "Connection: keep-alive\r\nConnection: close\r\n",
            false,
        ),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
        ("1.7", "", true),
    ] {
        let text = format!("GET / HTTP/{version}\r\nHost: a\r\n{connection}\r\n");
        let seen = request(&text, |head| head.persistent).unwrap();
        assert_eq!(seen, Status::Complete(persistent), "{text}");
    }
}

#[test]
fn the_host_is_that_of_the_target_where_it_has_one() {
    for (line, host, target_host) in [
        ("GET / HTTP/1.1", "a.example", "a.example"),
        (
            "GET http://b.example:81/x HTTP/1.1",
            "a.example",
            "b.example:81",
        ),
        ("GET http://b.example HTTP/1.1", "a.example", "b.example"),
        ("OPTIONS * HTTP/1.1", "[::1]:80", "[::1]:80"),
        (
            "CONNECT c.example:443 HTTP/1.1",
            "a.example",
            "c.example:443",
        ),
        (
            "CONNECT [2001:db8::1]:443 HTTP/1.1",
            "a.example",
            "[2001:db8::1]:443",
        ),
    ] {
        let text = format!("{line}\r\nHost: {host}\r\n\r\n");
        assert_eq!(
            request(&text, |head| head.host.to_owned()),
            Ok(Status::Complete(target_host.to_owned())),
        );
    }
    assert_eq!(
        request("GET / HTTP/1.0\r\n\r\n", |head| head.host.is_empty()),
        Ok(Status::Complete(true))
    );
}

#[test]
fn a_client_that_waits_for_100_is_seen() {
    for (version, fields, expects) in [
        ("1.1", "Content-Length: 5\r\nExpect: 100-Continue\r\n", true),
        (
            "1.1",
            "Transfer-Encoding: Chunked\r\nExpect: 100-continue\r\n",
            true,
        ),
        // Nothing to wait for.
        ("1.1", "Expect: 100-continue\r\n", false),
        // RFC 9110 §10.1.1: ignored in a 1.0 request.
        (
            "1.0",
            "Content-Length: 5\r\nExpect: 100-continue\r\n",
            false,
        ),
    ] {
        let text = format!("POST / HTTP/{version}\r\nHost: a\r\n{fields}\r\n");
        assert_eq!(
            request(&text, |head| head.expects_continue),
            Ok(Status::Complete(expects)),
            "{text}"
        );
    }
}

#[test]
fn a_response_says_how_its_body_ends() {
    use BodyFraming::{Chunked, Length, None, UntilClose};
    for (method, text, framing, persistent) in [
        (
            Method::Get,
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
            Length(5),
            true,
        ),
        (
            Method::Get,
            "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
            Length(0),
            true,
        ),
        (
            Method::Get,
            "HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n",
            Chunked,
            true,
        ),
        (Method::Get, "HTTP/1.1 200 OK\r\n\r\n", UntilClose, false),
        (
            Method::Get,
            "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n",
            UntilClose,
            false,
        ),
        (
            Method::Get,
            "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n",
            Length(1),
            false,
        ),
        (
            Method::Head,
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
            None,
            true,
        ),
        (
            Method::Head,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            None,
            true,
        ),
        (
            Method::Get,
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
            None,
            true,
        ),
        (
            Method::Get,
            "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
            None,
            true,
        ),
        (Method::Get, "HTTP/1.1 100 Continue\r\n\r\n", None, true),
        (
            Method::Connect,
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
            None,
            true,
        ),
        (
            Method::Connect,
            "HTTP/1.1 403 No\r\nContent-Length: 5\r\n\r\n",
            Length(5),
            true,
        ),
        (
            Method::Get,
            "HTTP/1.1 299 \u{e9}t\u{e9}\r\nContent-Length: 5\r\n\r\n",
            Length(5),
            true,
        ),
    ] {
        let mut slots = FieldSlots::new();
        let head = ResponseHead::parse(text.as_bytes(), &mut slots, &Limits::DEFAULT, &method)
            .unwrap()
            .complete()
            .unwrap();
        assert_eq!(
            (head.framing, head.persistent),
            (framing, persistent),
            "{text}"
        );
        assert_eq!(head.len, text.len());
        assert_eq!(
            head.status,
            StatusCode::new(text[9..12].parse().unwrap()).unwrap()
        );
    }
}

#[test]
fn a_path_names_a_file_below_the_root() {
    for (path, file) in [
        ("/", Ok("/")),
        ("/a/b.html", Ok("/a/b.html")),
        ("/a/", Ok("/a/")),
        ("/a%20b/%C3%A9.txt", Ok("/a b/é.txt")),
        ("/a/./b", Ok("/a/b")),
        ("/a/../b", Ok("/b")),
        ("/a/b/..", Ok("/a/")),
        ("/a/.", Ok("/a/")),
        ("/a/b/%2e%2E/c", Ok("/a/c")),
        ("//a///b//", Ok("/a/b/")),
        ("/.well-known/x", Ok("/.well-known/x")),
        ("/...", Ok("/...")),
        ("/a.b/..c/d..", Ok("/a.b/..c/d..")),
        // Decoded once only.
        ("/%252e%252e/x", Ok("/%2e%2e/x")),
        ("/..", Err(TargetError::AboveRoot)),
        ("/../../etc/passwd", Err(TargetError::AboveRoot)),
        ("/a/../../b", Err(TargetError::AboveRoot)),
        ("/%2e%2e/etc/passwd", Err(TargetError::AboveRoot)),
        ("//../etc/passwd", Err(TargetError::AboveRoot)),
        ("/..%2fetc/passwd", Err(TargetError::Slash)),
        ("/..%5Cetc", Err(TargetError::Slash)),
        ("/..\\etc", Err(TargetError::Slash)),
        ("/%00", Err(TargetError::Escape)),
        ("/%zz", Err(TargetError::Escape)),
        ("/%4", Err(TargetError::Escape)),
        ("/%FF", Err(TargetError::NotUtf8)),
    ] {
        assert_eq!(file_path(path).as_deref(), file.as_ref().copied(), "{path}");
    }
}
