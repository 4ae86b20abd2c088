//! What a request asks of a cache: everything in its head that decides whether a stored response
//! may answer it, found in one pass.

use netproto::http::body::BodyFraming;
use netproto::http::cache_control::RequestDirectives;
use netproto::http::fields::Members;
use netproto::http::head::RequestHead;
use netproto::http::method::Method;

/// The options of Connection that concern nothing but the connection (RFC 9110 §7.6.1). Any other
/// takes a field away on the way, so that the origin answers another request than the one held
/// against the store.
const CONNECTION_OPTIONS: [&str; 7] = [
    "close",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "http2-settings",
    "proxy-connection",
];

/// What a request asks of a cache.
#[derive(Debug, Clone, Copy, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is there or not, independent of the others"
)]
pub struct Demands {
    /// Cache-Control, or what Pragma says in its place (RFC 9111 §5.4).
    pub directives: RequestDirectives,
    /// GET or HEAD without a body: a stored response can answer it.
    pub reads: bool,
    /// GET without a body: its answer can be stored with its content.
    pub is_get: bool,
    /// Only the origin can answer: a precondition that a cache must not judge (RFC 9111 §4.3.2), or
    /// a field that the connection takes away.
    pub needs_origin: bool,
    /// It has a condition that a stored response can answer.
    pub is_conditional: bool,
    /// It would have the connection switched to another protocol (RFC 9110 §7.8).
    pub wants_upgrade: bool,
    /// Its client has a part, and asks for another of the same or for the whole (RFC 9110 §13.1.5).
    pub has_if_range: bool,
    /// It asks for a part.
    pub wants_range: bool,
    /// It has credentials (RFC 9111 §3.5).
    pub has_authorization: bool,
}

impl Demands {
    /// Those of this request.
    pub fn of(head: &RequestHead<'_, '_>) -> Demands {
        let is_get = head.method == Method::Get && head.framing == BodyFraming::None;
        let is_head = head.method == Method::Head && head.framing == BodyFraming::None;
        let mut demands = Demands {
            reads: is_get || is_head,
            is_get,
            ..Demands::default()
        };
        let mut pragma = None;
        let mut has_cache_control = false;
        // Lengths sort out nearly every other name before it is compared.
        for (name, value) in head.fields.iter() {
            let is = |known: &str| name.eq_ignore_ascii_case(known);
            match name.len() {
                5 if is("range") => demands.wants_range = true,
                7 if is("upgrade") => demands.wants_upgrade = true,
                6 if is("pragma") => pragma = Some(value),
                8 if is("if-match") => demands.needs_origin = true,
                8 if is("if-range") => {
                    demands.has_if_range = true;
                    demands.is_conditional = true;
                }
                10 if is("connection") => demands.needs_origin |= takes_fields_away(value),
                13 if is("cache-control") => has_cache_control = true,
                13 if is("authorization") => demands.has_authorization = true,
                13 if is("if-none-match") => demands.is_conditional = true,
                17 if is("if-modified-since") => demands.is_conditional = true,
                19 if is("if-unmodified-since") => demands.needs_origin = true,
                _ => {}
            }
        }
        demands.needs_origin |= demands.wants_upgrade;
        if has_cache_control {
            demands.directives = RequestDirectives::parse(head.fields.all("cache-control"));
        } else if let Some(pragma) = pragma {
            demands.directives.no_cache =
                Members::of(pragma).any(|member| member.eq_ignore_ascii_case(b"no-cache"));
        }
        demands
    }
}

fn takes_fields_away(connection: &[u8]) -> bool {
    Members::of(connection).any(|option| {
        !CONNECTION_OPTIONS
            .iter()
            .any(|known| option.eq_ignore_ascii_case(known.as_bytes()))
    })
}
