//! What is asked, of whom, and whether it may be.

use netio::http::response::{Body, Head, Response};
use netio::http::server::Request;
use netproto::http::head::RequestHead;
use netproto::http::method::Method;
use netproto::http::status::StatusCode;
use netproto::http::target::Target;

use crate::answer::internal;
use crate::cache::key::Key;
use crate::config::Origin;
use crate::fields;

/// Under what the answer to a request is stored: `None` for what never is.
pub fn key(head: &RequestHead<'_, '_>, origin: &Origin) -> Option<Key> {
    Key::of(head, &origin.authority)
}

/// The host that the origin is asked for: in the spelling of the key, as an answer that repeats
/// another one would be stored for all.
pub fn host<'r>(key: Option<&'r Key>, head: &RequestHead<'r, 'r>, origin: &'r Origin) -> &'r str {
    match (key, head.host) {
        (Some(key), _) => key.authority(),
        (None, "") => &origin.authority,
        (None, host) => host,
    }
}

/// What the proxy answers itself, without asking anybody: `None` for what it passes on.
pub fn refuse(request: &Request<'_>) -> Option<Response> {
    let head = request.head;
    let refusal = match head.method {
        Method::Connect => Response::text(
            StatusCode::NOT_IMPLEMENTED,
            "this proxy stands before one origin and opens no tunnels\n",
        )
        .and_close(),
        // RFC 9110 §9.3.8: it would show fields that are not the client's to see.
        Method::Trace => allow(Response::text(
            StatusCode::METHOD_NOT_ALLOWED,
            "TRACE is not answered here\n",
        )),
        _ if !is_plain_http(request) => Response::text(
            StatusCode::NOT_IMPLEMENTED,
            "only http URLs can be asked for here\n",
        ),
        Method::Options if fields::max_forwards(request) == Some(0) => allow(Response::new(
            Head::build(StatusCode::OK).finish(),
            Body::Empty,
        )),
        _ => return None,
    };
    Some(refusal)
}

fn allow(response: Response) -> Response {
    response
        .with_field("Allow", "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH")
        .unwrap_or_else(|error| internal(&error))
}

fn is_plain_http(request: &Request<'_>) -> bool {
    match request.head.target {
        Target::Absolute { scheme, .. } => scheme.eq_ignore_ascii_case("http"),
        _ => true,
    }
}
