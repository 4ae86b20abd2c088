//! Which fields are passed on, which are not, and which the proxy writes itself (RFC 9110 §7.6).

use netio::http::response::Head;
use netio::http::server::Request;
use netproto::http::body::BodyFraming;
use netproto::http::date;
use netproto::http::fields::{Fields, Members};
use netproto::http::head::{RequestHead, ResponseHead};
use netproto::http::method::Method;
use netproto::http::target::Target;
use netproto::http::version::Version;
use netproto::http::write::{self, SerializeError};

use crate::hop::{Hop, PSEUDONYM, protocol};

/// Fields that concern one connection only, whether Connection lists them or not.
const HOP_BY_HOP: [&str; 11] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    // Belongs to the framing, which is written anew.
    "content-length",
];

/// Request fields that the proxy writes itself. What a client sends in them is not believed.
const REWRITTEN: [&str; 8] = [
    "host",
    "expect",
    "via",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "max-forwards",
];

/// What makes a request conditional or partial (RFC 9110 §13.1, §14.2).
const CONDITIONS: [&str; 4] = ["if-none-match", "if-modified-since", "if-range", "range"];

/// The validators of a stored response, to ask the origin whether it still stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Condition {
    /// For If-None-Match.
    pub etag: Option<Vec<u8>>,
    /// For If-Modified-Since.
    pub last_modified: Option<Vec<u8>>,
}

/// Renders the head of the request that goes to a server, which asks it for `host`. `condition`
/// takes the place of the client's own conditions and ranges; `upgrade` names the protocols that
/// the connection may switch to.
pub fn render_request(
    request: &Request<'_>,
    hop: &Hop,
    host: &str,
    condition: Option<&Condition>,
    upgrade: Option<&Upgrade>,
) -> Result<Vec<u8>, SerializeError> {
    let head = request.head;
    let mut out = Vec::with_capacity(head.len + 256);
    request_line(&mut out, &head.method, &head.target)?;
    write::field(&mut out, "Host", host.as_bytes())?;
    for (name, value) in passed_on(&head.fields) {
        let is_replaced = condition.is_some() && is_one_of(&CONDITIONS, name);
        if !is_one_of(&REWRITTEN, name) && !is_replaced {
            write::field(&mut out, name, value)?;
        }
    }
    if let Some(condition) = condition {
        for (name, value) in [
            ("If-None-Match", &condition.etag),
            ("If-Modified-Since", &condition.last_modified),
        ] {
            if let Some(value) = value {
                write::field(&mut out, name, value)?;
            }
        }
    }
    if let Some(hops) = max_forwards(request).and_then(|hops| hops.checked_sub(1)) {
        write::field_number(&mut out, "Max-Forwards", hops)?;
    }
    if head.expects_continue {
        write::field(&mut out, "Expect", b"100-continue")?;
    }
    match head.framing {
        BodyFraming::Length(length) => write::field_number(&mut out, "Content-Length", length)?,
        BodyFraming::Chunked => write::field(&mut out, "Transfer-Encoding", b"chunked")?,
        BodyFraming::None | BodyFraming::UntilClose => {}
    }
    if let Some(Upgrade(protocols)) = upgrade {
        write::field(&mut out, "Connection", b"upgrade")?;
        write::field(&mut out, "Upgrade", protocols)?;
    }
    hop.via(&mut out, &head.fields, head.version)?;
    hop.forwarded(&mut out, request, host)?;
    write::end_of_head(&mut out);
    Ok(out)
}

/// The protocols that a client would switch to (RFC 9110 §7.8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade(Vec<u8>);

impl Upgrade {
    /// Those that a request names and that are passed on. HTTP itself is not among them: what is
    /// said in a tunnel goes past every rule of this proxy, and a server that speaks h2c in it takes
    /// requests that nobody has judged.
    pub fn of(head: &RequestHead<'_, '_>) -> Option<Upgrade> {
        let is_meant =
            head.version == Version::Http11 && head.fields.has_member("connection", "upgrade");
        if !is_meant {
            return None;
        }
        let mut protocols = Vec::new();
        for protocol in head.fields.members("upgrade") {
            let name = protocol.split(|byte| *byte == b'/').next();
            let is_http = name.is_none_or(|name| {
                [&b"h2c"[..], b"h2", b"http", b"tls"]
                    .iter()
                    .any(|known| name.eq_ignore_ascii_case(known))
            });
            if !is_http {
                if !protocols.is_empty() {
                    protocols.extend_from_slice(b", ");
                }
                protocols.extend_from_slice(protocol);
            }
        }
        (!protocols.is_empty()).then_some(Upgrade(protocols))
    }

    /// Whether a 101 with these fields switches to nothing but what was asked for.
    pub fn allows(&self, fields: &Fields<'_, '_>) -> bool {
        let mut chosen = fields.members("upgrade").peekable();
        chosen.peek().is_some()
            && chosen
                .all(|chosen| Members::of(&self.0).any(|asked| asked.eq_ignore_ascii_case(chosen)))
    }
}

/// The Max-Forwards of an OPTIONS request, if it has a valid one (RFC 9110 §7.6.2).
pub fn max_forwards(request: &Request<'_>) -> Option<u64> {
    let head = request.head;
    if head.method != Method::Options {
        return None;
    }
    str::from_utf8(head.fields.first("max-forwards")?)
        .ok()?
        .parse()
        .ok()
}

/// The head of an answer, as far as it is for every client: without Age, with Via, and with a Date.
/// `leave_out` names further fields that are not passed on.
pub fn response_head(
    head: &ResponseHead<'_, '_>,
    unix_seconds: u64,
    leave_out: impl Fn(&str) -> bool,
) -> Result<Head, SerializeError> {
    let mut built = Head::build(head.status);
    for (name, value) in passed_on(&head.fields) {
        if !name.eq_ignore_ascii_case("age") && !leave_out(name) {
            built = built.field(name, value)?;
        }
    }
    if head.fields.first("date").is_none() {
        built = built.field("Date", date::write(unix_seconds))?;
    }
    let received = protocol(head.version);
    Ok(built
        .field("Via", [received, " ", PSEUDONYM].concat())?
        .finish())
}

/// The head of an interim answer, as far as it is not for one connection only.
pub fn interim_head(head: &ResponseHead<'_, '_>) -> Result<Head, SerializeError> {
    let built = Head::build(head.status);
    let built =
        passed_on(&head.fields).try_fold(built, |built, (name, value)| built.field(name, value))?;
    Ok(built.finish())
}

/// The fields that are not for one connection only.
pub fn passed_on<'h, 'b>(
    fields: &Fields<'h, 'b>,
) -> impl Iterator<Item = (&'b str, &'b [u8])> + use<'h, 'b> {
    let fields = *fields;
    let has_connection = fields.first("connection").is_some();
    fields.iter().filter(move |(name, _)| {
        let is_listed = has_connection && fields.has_member("connection", name);
        !is_listed && !is_one_of(&HOP_BY_HOP, name)
    })
}

fn is_one_of(names: &[&str], name: &str) -> bool {
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

fn request_line(
    out: &mut Vec<u8>,
    method: &Method<'_>,
    target: &Target<'_>,
) -> Result<(), SerializeError> {
    match (target.path(), target.query()) {
        (Some(path), None) => write::request_line(out, method, path),
        (Some(path), Some(query)) => write::request_line(out, method, &format!("{path}?{query}")),
        (None, _) => write::request_line(out, method, "*"),
    }
}
