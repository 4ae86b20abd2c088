//! What is asked, of whom, and whether it may be.

use std::net::SocketAddr;
use std::sync::Arc;

use netio::http::response::{Body, Head, Response};
use netio::http::server::Request;
use netproto::http::fields::Fields;
use netproto::http::head::RequestHead;
use netproto::http::method::Method;
use netproto::http::status::StatusCode;
use netproto::http::target::{Authority, Target};

use crate::access::{Access, Denial};
use crate::answer::internal;
use crate::cache::key::Key;
use crate::fields;
use crate::hop::Hop;
use crate::upstream::origins::Origins;
use crate::upstream::{Failure, Server, Unanswered};

/// The port that an http URL does not name (RFC 9110 §4.2.1).
const HTTP_PORT: u16 = 80;

/// The rules by which one worker routes.
#[derive(Debug)]
pub struct Router {
    /// Who are asked for what names nobody else.
    pub origins: Arc<Origins>,
    /// What is forwarded beside that, and for whom.
    pub access: Arc<Access>,
    /// How a request is known that has been here before.
    pub hop: Arc<Hop>,
}

/// Where a request goes that may go anywhere.
#[derive(Debug, PartialEq, Eq)]
pub enum Route {
    /// A server is asked.
    Ask(Server),
    /// A connection to the server is all that is wanted (CONNECT).
    Tunnel(Server),
}

/// Why a request goes nowhere.
#[derive(Debug)]
pub enum Refusal {
    /// The proxy answers it itself.
    Answered(Box<Response>),
    /// A rule denies it.
    Denied(Unanswered),
}

impl Router {
    /// Under what the answer to a request is stored: `None` for what never is, and for what this
    /// client may not ask.
    pub fn key(&self, request: &Request<'_>) -> Option<Key> {
        let head = request.head;
        if !self.is_forwarded(head) {
            return Key::of(head, self.default_host());
        }
        self.access.of_client(request.client.ip()).ok()?;
        Key::forward(head)
    }

    /// Where a request goes, or what its client is told instead.
    pub fn route(&self, request: &Request<'_>) -> Result<Route, Refusal> {
        let head = request.head;
        if let Some(answer) = answered_here(request) {
            return Err(Refusal::Answered(Box::new(answer)));
        }
        let route = match head.target {
            Target::Authority { host, port, .. } => self.tunnel(request.client, host, port)?,
            Target::Absolute { authority, .. } if self.is_forwarded(head) => {
                self.forward(request.client, authority)?
            }
            _ => Route::Ask(self.origin()),
        };
        self.not_seen_before(&route, &head.fields)?;
        Ok(route)
    }

    /// The host that a server is asked for: in the spelling of the key, as an answer that repeats
    /// another one would be stored for all.
    pub fn host<'r>(&'r self, key: Option<&'r Key>, head: &RequestHead<'r, 'r>) -> &'r str {
        match (key, head.host) {
            (Some(key), _) => key.authority(),
            (None, "") => self.default_host(),
            (None, host) => host,
        }
    }

    /// The first origin, in whose place another may be asked.
    fn origin(&self) -> Server {
        self.origins.server(0).cloned().unwrap_or_else(|| Server {
            authority: "".into(),
            is_named_by_client: false,
        })
    }

    fn default_host(&self) -> &str {
        let first = self.origins.server(0);
        first.map_or("", |origin| &origin.authority)
    }

    /// Whether the server is asked that the target names, and not an origin.
    fn is_forwarded(&self, head: &RequestHead<'_, '_>) -> bool {
        matches!(head.target, Target::Absolute { .. }) && !self.access.is_reverse_only
    }

    fn forward(&self, client: SocketAddr, authority: &str) -> Result<Route, Refusal> {
        // It was valid when the head was parsed.
        let Some(Authority { host, port }) = Authority::parse(authority) else {
            let text = "an invalid authority\n";
            let answer = Response::text(StatusCode::BAD_REQUEST, text);
            return Err(Refusal::Answered(Box::new(answer)));
        };
        let server = named(host, port.unwrap_or(HTTP_PORT));
        match self.access.of_client(client.ip()) {
            Ok(()) => Ok(Route::Ask(server)),
            Err(denial) => Err(denied(server, denial)),
        }
    }

    fn tunnel(&self, client: SocketAddr, host: &str, port: u16) -> Result<Route, Refusal> {
        let server = named(host, port);
        if self.access.is_reverse_only {
            let text = "this proxy stands before its origins and opens no tunnels\n";
            let answer = Response::text(StatusCode::NOT_IMPLEMENTED, text);
            return Err(Refusal::Answered(Box::new(answer.and_close())));
        }
        let verdict = self.access.of_client(client.ip());
        match verdict.and_then(|()| self.access.of_port(port)) {
            Ok(()) => Ok(Route::Tunnel(server)),
            Err(denial) => Err(denied(server, denial)),
        }
    }

    fn not_seen_before(&self, route: &Route, fields: &Fields<'_, '_>) -> Result<(), Refusal> {
        if !self.hop.has_seen(fields) {
            return Ok(());
        }
        let (Route::Ask(server) | Route::Tunnel(server)) = route;
        Err(denied(server.clone(), Denial::Loop))
    }
}

fn named(host: &str, port: u16) -> Server {
    Server {
        authority: format!("{host}:{port}").into(),
        is_named_by_client: true,
    }
}

fn denied(server: Server, denial: Denial) -> Refusal {
    let failure = Failure::Denied(denial);
    Refusal::Denied(Unanswered { server, failure })
}

/// What the proxy answers itself, without asking anybody: `None` for what it passes on.
fn answered_here(request: &Request<'_>) -> Option<Response> {
    let head = request.head;
    let answer = match head.method {
        // RFC 9110 §9.3.8: it would show fields that are not the client's to see.
        Method::Trace => allow(Response::text(
            StatusCode::METHOD_NOT_ALLOWED,
            "TRACE is not answered here\n",
        )),
        _ if !is_plain_http(request) => Response::text(
            StatusCode::NOT_IMPLEMENTED,
            "only http URLs can be asked for here; https goes through CONNECT\n",
        ),
        Method::Options if fields::max_forwards(request) == Some(0) => allow(Response::new(
            Head::build(StatusCode::OK).finish(),
            Body::Empty,
        )),
        _ => return None,
    };
    Some(answer)
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
