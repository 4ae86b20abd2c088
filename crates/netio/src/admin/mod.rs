//! The admin endpoint of a daemon: /healthz says that it runs, /metrics what it has counted,
//! /status.json how it stands, and routes of the program's own change it while it runs. What a
//! program shows there it puts on a [`panel`]. `browser` keeps web pages out, and [`mod@check`] is the
//! other side: what a container's health check calls.

mod browser;
mod check;
pub mod panel;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use netproto::http::limits::Limits;
use netproto::http::method::Method;
use netproto::http::status::StatusCode;

pub use check::{CheckError, check};
pub use panel::{Answer, Asked, Panel};

use crate::http::body::{ReadBodyError, RequestBody};
use crate::http::buffer::Buffers;
use crate::http::door::{Door, DoorRules};
use crate::http::response::Response;
use crate::http::server::{Request, Server, Service, Settings, serve};
use crate::shutdown::Stop;
use crate::telemetry::HttpCounters;
use crate::watch::Watch;

/// How many connections the endpoint holds: it serves operators, not the public.
const CONNECTIONS: usize = 64;
/// How long a body may be: what is set here is a few lines.
const BODY_BYTES: u64 = 64 * 1024;

/// Serves the endpoint until `stop`.
pub async fn run(listener: TcpListener, panel: Panel, stop: Stop) -> io::Result<()> {
    let watch = Watch::new();
    let server = Rc::new(Server {
        service: Admin {
            panel: Rc::new(panel),
            address: listener.local_addr()?,
        },
        settings: Settings {
            limits: Limits {
                body_bytes: BODY_BYTES,
                ..Limits::DEFAULT
            },
            door: Arc::new(Door::new(DoorRules {
                connections: CONNECTIONS,
                ..DoorRules::default()
            })),
            stop_grace: Duration::ZERO,
            ..Settings::default()
        },
        watch: Rc::clone(&watch),
        buffers: Buffers::default(),
        counters: Arc::new(HttpCounters::default()),
        log: None,
    });
    let (served, ()) = tokio::join!(
        serve(vec![listener], server, stop.clone()),
        watch.keep(stop)
    );
    served
}

#[derive(Debug)]
struct Admin {
    panel: Rc<Panel>,
    address: SocketAddr,
}

impl Service for Admin {
    fn at_once(&self, request: &Request<'_>) -> Option<Response> {
        Some(self.answer(request, &[]))
    }

    async fn exchange(&self, request: &Request<'_>, body: &mut RequestBody<'_>) -> Response {
        // Refused before the body is waited for: it is left unread.
        if let Some(refusal) = self.refusal(request) {
            return refusal;
        }
        let mut read = Vec::new();
        loop {
            match body.chunk().await {
                Ok(Some(chunk)) => read.extend_from_slice(&chunk),
                Ok(None) => return self.answer(request, &read),
                Err(ReadBodyError::Malformed(error)) => {
                    return Response::text(error.status(), format!("{error}\n")).and_close();
                }
                Err(error) => {
                    let late = StatusCode::REQUEST_TIMEOUT;
                    return Response::text(late, format!("{error}\n")).and_close();
                }
            }
        }
    }
}

impl Admin {
    /// The answer to a request that a web page may have made a browser send.
    fn refusal(&self, request: &Request<'_>) -> Option<Response> {
        let head = request.head;
        let admitted = browser::admit(&head.method, head.host, &head.fields, self.address.ip());
        let why = admitted.err()?;
        Some(Response::text(StatusCode::FORBIDDEN, format!("{why}\n")))
    }

    fn answer(&self, request: &Request<'_>, body: &[u8]) -> Response {
        if let Some(refusal) = self.refusal(request) {
            return refusal;
        }
        let target = &request.head.target;
        // HEAD is answered as GET is; the connection leaves the body out.
        let method = match request.head.method {
            Method::Head => Method::Get,
            other => other,
        };
        let asked = Asked::new(target.query(), body);
        self.panel
            .answer(&method, target.path().unwrap_or("*"), &asked)
    }
}
