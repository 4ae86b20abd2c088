//! What a program shows and lets be changed on its admin endpoint.

use std::borrow::Cow;
use std::fmt::{self, Display, Write};
use std::time::Instant;

use bytes::Bytes;
use netproto::http::method::Method;
use netproto::http::status::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::http::response::{Body, Head, Response};
use crate::telemetry::Metrics;

/// The version of what /status.json says. A member that is added does not change it; one that
/// goes, or comes to mean something else, does.
const STATUS_VERSION: u32 = 1;

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
/// What Prometheus asks for.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The pages of one daemon's admin endpoint.
///
/// Everything on it runs on the thread that also waits for signals, never on a worker: a page may
/// take a lock that workers take for moments, and must not wait for anything else.
pub struct Panel {
    program: &'static str,
    version: &'static str,
    started: Instant,
    pub(crate) metrics: Metrics,
    sections: Vec<(&'static str, Box<Section>)>,
    routes: Vec<Route>,
}

type Section = dyn Fn() -> Result<Value, serde_json::Error>;

struct Route {
    method: Method<'static>,
    path: &'static str,
    answer: Box<dyn Fn(&Asked<'_>) -> Answer>,
}

impl Panel {
    /// A panel with /healthz, /metrics and /status.json on it. `program` and `version` are what
    /// /status.json says of who answers.
    pub fn new(program: &'static str, version: &'static str, metrics: Metrics) -> Panel {
        Panel {
            program,
            version,
            started: Instant::now(),
            metrics,
            sections: Vec::new(),
            routes: Vec::new(),
        }
    }

    /// Adds a member to /status.json; `read` says how things stand now. Names in it carry their
    /// units (`memory_bytes`).
    pub fn section<T: Serialize>(&mut self, name: &'static str, read: impl Fn() -> T + 'static) {
        let read = move || serde_json::to_value(read());
        self.sections.push((name, Box::new(read)));
    }

    /// Has `answer` asked for `method` on `path`, to the letter and without its query. A route for
    /// GET serves HEAD too. A body is at most 64 KiB long (413 beyond that).
    pub fn route(
        &mut self,
        method: Method<'static>,
        path: &'static str,
        answer: impl Fn(&Asked<'_>) -> Answer + 'static,
    ) {
        self.routes.push(Route {
            method,
            path,
            answer: Box::new(answer),
        });
    }

    pub(super) fn answer(&self, method: &Method<'_>, path: &str, asked: &Asked<'_>) -> Response {
        let answer = match (method, path) {
            (Method::Get, "/healthz") => Answer::text(StatusCode::OK, "ok"),
            (Method::Get, "/metrics") => self.metrics_page(),
            (Method::Get, "/status.json") => self.status(),
            _ => match self.routes.iter().find(|route| route.is(method, path)) {
                Some(route) => (route.answer)(asked),
                None => return self.no_route(path),
            },
        };
        answer.into_response()
    }

    fn metrics_page(&self) -> Answer {
        match self.metrics.render() {
            Ok(page) => Answer {
                status: StatusCode::OK,
                content_type: OPENMETRICS,
                body: page.into(),
            },
            Err(error) => Answer::text(StatusCode::INTERNAL_SERVER_ERROR, error),
        }
    }

    fn status(&self) -> Answer {
        let mut status = Map::new();
        status.insert("version".into(), json!(STATUS_VERSION));
        status.insert("program".into(), json!(self.program));
        status.insert("program_version".into(), json!(self.version));
        let uptime = self.started.elapsed().as_secs();
        status.insert("uptime_seconds".into(), json!(uptime));
        for (name, read) in &self.sections {
            match read() {
                Ok(value) => status.insert((*name).into(), value),
                Err(error) => return Answer::text(StatusCode::INTERNAL_SERVER_ERROR, error),
            };
        }
        Answer::json(StatusCode::OK, &status)
    }

    /// Every method and path, in the order in which they are told.
    fn all(&self) -> impl Iterator<Item = (Method<'static>, &'static str)> {
        let own = self.routes.iter().map(|route| (route.method, route.path));
        ["/healthz", "/metrics", "/status.json"]
            .map(|path| (Method::Get, path))
            .into_iter()
            .chain(own)
    }

    /// 405 for a path that has other methods (RFC 9110 §15.5.6), else 404 with what there is.
    fn no_route(&self, path: &str) -> Response {
        let mut allow = String::new();
        for (method, _) in self.all().filter(|(_, of)| *of == path) {
            let head = if method == Method::Get { ", HEAD" } else { "" };
            let comma = if allow.is_empty() { "" } else { ", " };
            // Writing to a String cannot fail.
            let _ = write!(allow, "{comma}{method}{head}");
        }
        if allow.is_empty() {
            let mut there_is = "there is nothing at this path; there are:\n".to_owned();
            for (method, path) in self.all() {
                let _ = writeln!(there_is, "{method} {path}");
            }
            return Answer::text(StatusCode::NOT_FOUND, there_is.trim_end()).into_response();
        }
        let refusal = format!("this path takes {allow}");
        Answer::text(StatusCode::METHOD_NOT_ALLOWED, refusal)
            .into_response()
            .with_field("Allow", &allow)
            .unwrap_or_else(|error| Response::text(StatusCode::NOT_FOUND, error.to_string()))
    }
}

impl Route {
    fn is(&self, method: &Method<'_>, path: &str) -> bool {
        self.method == *method && self.path == path
    }
}

impl fmt::Debug for Panel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Panel")
            .field("program", &self.program)
            .field("routes", &self.all().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// What a route is asked.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'r> {
    query: &'r str,
    /// The whole body; empty where there was none.
    pub body: &'r [u8],
}

impl<'r> Asked<'r> {
    pub(super) fn new(query: Option<&'r str>, body: &'r [u8]) -> Asked<'r> {
        Asked {
            query: query.unwrap_or_default(),
            body,
        }
    }

    /// The members of the query in their order, decoded as those of a form are.
    pub fn parameters(&self) -> impl Iterator<Item = (Cow<'r, str>, Cow<'r, str>)> {
        form_urlencoded::parse(self.query.as_bytes())
    }

    /// The value of the first member of the query that is called `name`.
    pub fn parameter(&self, name: &str) -> Option<Cow<'r, str>> {
        self.parameters()
            .find_map(|(key, value)| (key == name).then_some(value))
    }
}

/// What a route answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// What its body is.
    pub content_type: &'static str,
    /// Its body.
    pub body: Bytes,
}

impl Answer {
    /// A value as JSON, on lines of their own for who reads it in a terminal.
    pub fn json(status: StatusCode, value: &impl Serialize) -> Answer {
        match serde_json::to_vec_pretty(value) {
            Ok(mut body) => {
                body.push(b'\n');
                Answer {
                    status,
                    content_type: JSON,
                    body: body.into(),
                }
            }
            Err(error) => Answer::text(StatusCode::INTERNAL_SERVER_ERROR, error),
        }
    }

    /// One or more lines of plain text; the last line break is added.
    pub fn text(status: StatusCode, text: impl Display) -> Answer {
        Answer {
            status,
            content_type: TEXT,
            body: format!("{text}\n").into(),
        }
    }

    /// It is done, and there is nothing to say of it (204).
    pub fn done() -> Answer {
        Answer {
            status: StatusCode::NO_CONTENT,
            content_type: TEXT,
            body: Bytes::new(),
        }
    }

    fn into_response(self) -> Response {
        let mut head = Head::build(self.status).field("Cache-Control", "no-store");
        if self.status != StatusCode::NO_CONTENT {
            head = head
                .and_then(|head| head.field("Content-Type", self.content_type))
                .and_then(|head| head.field("X-Content-Type-Options", "nosniff"));
        }
        match head {
            Ok(head) => Response::new(head.finish(), Body::Bytes(self.body)),
            Err(error) => Response::text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        }
    }
}
