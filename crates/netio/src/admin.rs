//! The admin endpoint of a daemon: /healthz says that it runs, /metrics what it has counted.
//! And the other side: [`check`], which a container's health check calls.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use netproto::http::Status;
use netproto::http::fields::FieldSlots;
use netproto::http::head::ResponseHead;
use netproto::http::limits::Limits;
use netproto::http::method::Method;
use netproto::http::status::StatusCode;
use thiserror::Error;

use crate::http::body::RequestBody;
use crate::http::buffer::Buffers;
use crate::http::response::{Body, Head, Response};
use crate::http::server::{Request, Server, Service, Settings, serve};
use crate::shutdown::Stop;
use crate::telemetry::{HttpCounters, Metrics};
use crate::watch::Watch;

/// How many connections the endpoint holds: it serves operators, not the public.
const CONNECTIONS: usize = 64;
/// How long a check waits for each step.
const CHECK_PATIENCE: Duration = Duration::from_secs(2);
/// How much of an answer a check reads.
const CHECK_BYTES: usize = 4096;

/// Serves the endpoint until `stop`.
pub async fn run(listener: TcpListener, metrics: Metrics, stop: Stop) -> io::Result<()> {
    let watch = Watch::new();
    let server = Rc::new(Server {
        service: Admin { metrics },
        settings: Settings {
            connections: CONNECTIONS,
            stop_grace: Duration::ZERO,
            ..Settings::default()
        },
        watch: Rc::clone(&watch),
        buffers: Buffers::default(),
        counters: Arc::new(HttpCounters::default()),
        log: None,
    });
    let (served, ()) = tokio::join!(serve(listener, server, stop.clone()), watch.keep(stop));
    served
}

#[derive(Debug)]
struct Admin {
    metrics: Metrics,
}

impl Service for Admin {
    fn at_once(&self, request: &Request<'_>) -> Option<Response> {
        Some(self.answer(request))
    }

    async fn exchange(&self, request: &Request<'_>, _body: &mut RequestBody<'_>) -> Response {
        self.answer(request)
    }
}

impl Admin {
    fn answer(&self, request: &Request<'_>) -> Response {
        if !matches!(request.head.method, Method::Get | Method::Head) {
            let refusal = Response::text(StatusCode::METHOD_NOT_ALLOWED, "GET and HEAD only\n");
            return refusal
                .with_field("Allow", "GET, HEAD")
                .unwrap_or_else(internal);
        }
        match request.head.target.path() {
            Some("/healthz") => Response::text(StatusCode::OK, "ok\n"),
            Some("/metrics") => self.metrics_page().unwrap_or_else(internal),
            _ => Response::text(StatusCode::NOT_FOUND, "there are /healthz and /metrics\n"),
        }
    }

    fn metrics_page(&self) -> Result<Response, Box<dyn std::error::Error>> {
        const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        let page = self.metrics.render()?;
        let head = Head::build(StatusCode::OK)
            .field("Content-Type", OPENMETRICS)?
            .field("Cache-Control", "no-store")?
            .finish();
        Ok(Response::new(head, Body::Bytes(page.into())))
    }
}

fn internal(error: impl std::fmt::Display) -> Response {
    Response::text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n"))
}

/// Why a daemon is not healthy.
#[derive(Debug, Error)]
pub enum CheckError {
    /// Nobody answered.
    #[error("no daemon answers on the admin address {address}: {cause}")]
    Unreachable {
        /// Where it was asked.
        address: SocketAddr,
        /// What the system said.
        cause: io::Error,
    },
    /// It answered, but not with 200.
    #[error("the daemon on the admin address {address} is not healthy")]
    Unhealthy {
        /// Where it was asked.
        address: SocketAddr,
    },
}

/// Asks the daemon whose admin endpoint is `address` whether it is well.
pub fn check(address: SocketAddr) -> Result<(), CheckError> {
    let answer = ask(address).map_err(|cause| CheckError::Unreachable { address, cause })?;
    let mut slots = FieldSlots::new();
    match ResponseHead::parse(&answer, &mut slots, &Limits::DEFAULT, &Method::Get) {
        Ok(Status::Complete(head)) if head.status == StatusCode::OK => Ok(()),
        _ => Err(CheckError::Unhealthy { address }),
    }
}

fn ask(address: SocketAddr) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&address, CHECK_PATIENCE)?;
    stream.set_read_timeout(Some(CHECK_PATIENCE))?;
    stream.set_write_timeout(Some(CHECK_PATIENCE))?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(CHECK_BYTES as u64).read_to_end(&mut answer)?;
    Ok(answer)
}
