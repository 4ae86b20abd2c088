//! Under what a response is stored: the URL that was asked for, in one spelling.

use netproto::http::head::RequestHead;
use netproto::http::target::{Authority, Target};
use smallvec::SmallVec;

/// A key up to this length is made without the heap.
const ON_STACK: usize = 192;
/// The port that a URL does not name (RFC 9110 §4.2.1).
const HTTP_PORT: u16 = 80;
const SCHEME: &str = "http";
/// What stands before the URLs that are asked of the servers they name. The others are asked of
/// the origins, which say of any host what they like.
const FORWARD: &str = "forward:";

/// A URL: scheme, host in lower case, port unless it is the default, then path and query exactly
/// as they were sent. Two spellings of one path are two keys: only the origin knows better.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    url: SmallVec<[u8; ON_STACK]>,
    /// Where the authority begins, behind `://`.
    authority: usize,
    /// Where the path begins.
    path: usize,
}

impl Key {
    /// The key of a request to the origins; `default_host` stands in where an HTTP/1.0 client sent no Host. `None`
    /// if nothing is named that could be stored (`OPTIONS *`, CONNECT, a scheme other than http).
    pub fn of(head: &RequestHead<'_, '_>, default_host: &str) -> Option<Key> {
        Key::of_request(head, default_host, "")
    }

    /// The key of a request to the server that its absolute-form target names.
    pub fn forward(head: &RequestHead<'_, '_>) -> Option<Key> {
        Key::of_request(head, "", FORWARD)
    }

    /// The key of a URL that an operator writes, marked as [`Key::as_bytes`] is if it is one of the
    /// forward proxy. `None` if it is no http URL.
    pub fn of_url(url: &str) -> Option<Key> {
        let (mark, url) = match url.strip_prefix(FORWARD) {
            Some(url) => (FORWARD, url),
            None => ("", url),
        };
        let (scheme, rest) = url.split_once("://")?;
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return None;
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let mut key = Key::of_host(&rest[..end], mark)?;
        let path = rest[end..].split('#').next().unwrap_or_default();
        if !path.starts_with('/') {
            key.url.push(b'/');
        }
        key.url.extend_from_slice(path.as_bytes());
        Some(key)
    }

    fn of_request(head: &RequestHead<'_, '_>, default_host: &str, mark: &str) -> Option<Key> {
        let (path, query) = match head.target {
            Target::Absolute { scheme, .. } if !scheme.eq_ignore_ascii_case(SCHEME) => return None,
            Target::Origin { path, query } | Target::Absolute { path, query, .. } => (path, query),
            Target::Authority { .. } | Target::Asterisk => return None,
        };
        let host = if head.host.is_empty() {
            default_host
        } else {
            head.host
        };
        let mut key = Key::of_host(host, mark)?;
        key.url.extend_from_slice(path.as_bytes());
        if let Some(query) = query {
            key.url.push(b'?');
            key.url.extend_from_slice(query.as_bytes());
        }
        Some(key)
    }

    /// The key of what `reference` (RFC 3986 §4.1) names when it stands in an answer to this
    /// request. `None` unless it is an http URL of the same host and port.
    pub fn refer(&self, reference: &str) -> Option<Key> {
        let reference = reference.split('#').next().unwrap_or_default();
        let rest = match reference.split_once(':') {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case(SCHEME) => rest,
            _ => reference,
        };
        if let Some(rest) = rest.strip_prefix("//") {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            let key = Key::of_host(&rest[..end], self.mark())?;
            return (key.origin() == self.origin()).then(|| self.with_path("", &rest[end..]));
        }
        let has_scheme = rest
            .find(':')
            .is_some_and(|colon| !rest[..colon].contains(['/', '?']));
        if has_scheme {
            return None;
        }
        let base = str::from_utf8(&self.url[self.path..]).unwrap_or("/");
        let base = base.split('?').next().unwrap_or_default();
        Some(match rest.chars().next() {
            None => self.clone(),
            Some('/') => self.with_path("", rest),
            Some('?') => self.with_path(base, rest),
            Some(_) => self.with_path(&base[..=base.rfind('/').unwrap_or(0)], rest),
        })
    }

    /// Its host, and its port unless that is the default: what Host says of it.
    pub fn authority(&self) -> &str {
        str::from_utf8(&self.url[self.authority..self.path]).unwrap_or_default()
    }

    /// The URL, marked if it is asked of the server that it names.
    pub fn as_bytes(&self) -> &[u8] {
        &self.url
    }

    /// The URL as text: it is visible ASCII.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.url).unwrap_or_default()
    }

    fn mark(&self) -> &'static str {
        if self.url.starts_with(FORWARD.as_bytes()) {
            FORWARD
        } else {
            ""
        }
    }

    fn of_host(authority: &str, mark: &str) -> Option<Key> {
        let Authority { host, port } = Authority::parse(authority)?;
        let mut url = SmallVec::new();
        url.extend_from_slice(mark.as_bytes());
        url.extend_from_slice(SCHEME.as_bytes());
        url.extend_from_slice(b"://");
        let authority = url.len();
        url.extend_from_slice(host.as_bytes());
        url[authority..].make_ascii_lowercase();
        if let Some(port) = port
            && port != HTTP_PORT
        {
            url.push(b':');
            url.extend_from_slice(itoa::Buffer::new().format(port).as_bytes());
        }
        let path = url.len();
        Some(Key {
            url,
            authority,
            path,
        })
    }

    fn origin(&self) -> &[u8] {
        &self.url[..self.path]
    }

    /// The same origin with the path `folder` + `rest`, its dot segments resolved (RFC 3986
    /// §5.2.4).
    fn with_path(&self, folder: &str, rest: &str) -> Key {
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        let whole = [folder, path].concat();
        let mut segments: Vec<&str> = Vec::new();
        let mut parts = whole.split('/').skip(1).peekable();
        while let Some(part) = parts.next() {
            let is_last = parts.peek().is_none();
            match part {
                "." if is_last => segments.push(""),
                "." => {}
                ".." => {
                    segments.pop();
                    if is_last {
                        segments.push("");
                    }
                }
                name => segments.push(name),
            }
        }
        let mut key = Key {
            url: SmallVec::from_slice(self.origin()),
            authority: self.authority,
            path: self.path,
        };
        if segments.is_empty() {
            key.url.push(b'/');
        }
        for segment in segments {
            key.url.push(b'/');
            key.url.extend_from_slice(segment.as_bytes());
        }
        if let Some(query) = query {
            key.url.push(b'?');
            key.url.extend_from_slice(query.as_bytes());
        }
        key
    }
}

#[cfg(test)]
mod tests {
    use netproto::http::Status;
    use netproto::http::fields::FieldSlots;
    use netproto::http::limits::Limits;

    use super::*;

    fn key(target: &str, host: &str) -> Key {
        try_key(target, host).unwrap()
    }

    fn try_key(target: &str, host: &str) -> Option<Key> {
        let bytes = format!("OPTIONS {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let mut slots = FieldSlots::new();
        let head = RequestHead::parse(bytes.as_bytes(), &mut slots, &Limits::DEFAULT);
        let Ok(Status::Complete(head)) = head else {
            panic!("{target} {host}: {head:?}");
        };
        Key::of(&head, "default.example")
    }

    #[test]
    fn only_http_urls_have_a_key() {
        let cases = [
            ("HTTP://a/", true),
            ("https://a/", false),
            ("ftp://a/", false),
            ("*", false),
        ];
        for (target, has_key) in cases {
            assert_eq!(try_key(target, "a").is_some(), has_key, "{target}");
        }
    }

    #[test]
    fn one_url_has_one_key_and_another_path_another() {
        let cases = [
            ("/a", "example.com", "http://example.com/a"),
            ("/a", "EXAMPLE.com:80", "http://example.com/a"),
            ("/a", "example.com:", "http://example.com/a"),
            ("/a", "example.com:8080", "http://example.com:8080/a"),
            ("/a?", "example.com", "http://example.com/a?"),
            ("/A?b=C", "example.com", "http://example.com/A?b=C"),
            ("/%61", "example.com", "http://example.com/%61"),
            ("/a", "[::1]:8080", "http://[::1]:8080/a"),
            // RFC 9112 §3.2.2: the target's authority comes before Host.
            ("http://example.com/a", "other", "http://example.com/a"),
            ("http://example.com", "other", "http://example.com/"),
        ];
        for (target, host, expected) in cases {
            assert_eq!(key(target, host).as_str(), expected, "{target} {host}");
        }
    }

    #[test]
    fn what_is_asked_of_the_origins_and_of_the_server_that_is_named_are_two_keys() {
        let bytes = b"GET http://Example.com:80/a?b HTTP/1.1\r\nHost: other\r\n\r\n";
        let mut slots = FieldSlots::new();
        let head = RequestHead::parse(bytes, &mut slots, &Limits::DEFAULT);
        let Ok(Status::Complete(head)) = head else {
            panic!("{head:?}");
        };
        let (origins, named) = (Key::of(&head, "").unwrap(), Key::forward(&head).unwrap());
        assert_eq!(origins.as_str(), "http://example.com/a?b");
        assert_eq!(named.as_str(), "forward:http://example.com/a?b");
        assert_eq!(named.authority(), "example.com");
        // What an answer of either names stays with it.
        let sibling = named.refer("http://EXAMPLE.com/c").unwrap();
        assert_eq!(sibling.as_str(), "forward:http://example.com/c");
        assert_eq!(
            named.refer("../d").unwrap().as_str(),
            "forward:http://example.com/d"
        );
        assert_eq!(
            origins.refer("/d").unwrap().as_str(),
            "http://example.com/d"
        );
    }

    #[test]
    fn a_reference_names_a_key_of_the_same_origin_only() {
        let base = key("/b/c/d?q", "example.com:8080");
        // The normal and abnormal examples of RFC 3986 §5.4, as far as they are of one origin.
        let cases = [
            ("g", Some("/b/c/g")),
            ("./g", Some("/b/c/g")),
            ("g/", Some("/b/c/g/")),
            ("/g", Some("/g")),
            ("?y", Some("/b/c/d?y")),
            ("g?y", Some("/b/c/g?y")),
            ("g#s", Some("/b/c/g")),
            ("", Some("/b/c/d?q")),
            (".", Some("/b/c/")),
            ("./", Some("/b/c/")),
            ("..", Some("/b/")),
            ("../g", Some("/b/g")),
            ("../..", Some("/")),
            ("../../../g", Some("/g")),
            ("/./g", Some("/g")),
            ("g;x=1/../y", Some("/b/c/y")),
            ("//example.com:8080/x", Some("/x")),
            ("HTTP://EXAMPLE.com:8080/x", Some("/x")),
            ("http://example.com:8080", Some("/")),
            ("http://example.com/x", None),
            ("https://example.com:8080/x", None),
            ("//other/x", None),
            ("mailto:x", None),
        ];
        for (reference, path) in cases {
            let expected = path.map(|path| format!("http://example.com:8080{path}"));
            let referred = base.refer(reference);
            let found = referred.as_ref().map(Key::as_str);
            assert_eq!(found, expected.as_deref(), "{reference}");
        }
    }
}
