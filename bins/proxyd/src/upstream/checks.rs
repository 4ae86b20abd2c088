//! Asking the origins whether they are well, before a client has to find out.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use netio::http::client::Patience;
use netproto::http::method::Method;
use netproto::http::write::{self, SerializeError};
use tracing::{info, warn};

use super::origins::Origins;
use super::{Failure, LIMITS, Server, Upstream};

/// How often each origin is asked.
const CHECK_EVERY: Duration = Duration::from_secs(2);
/// How long it may take, to connect and to answer.
const CHECK_PATIENCE: Duration = Duration::from_secs(2);

/// What was wrong.
#[derive(Debug, thiserror::Error)]
enum Unwell {
    #[error("{0}")]
    Failed(#[from] Failure),
    #[error("it answered {0}")]
    Answered(u16),
}

/// Asks each origin for `path`, for ever. A 2xx or 3xx says that it is well.
pub async fn run(upstream: Upstream, origins: Arc<Origins>, path: String) {
    let upstream = Rc::new(upstream.with_patience(Patience {
        connect: CHECK_PATIENCE,
        answer: CHECK_PATIENCE,
        stall: CHECK_PATIENCE,
    }));
    let checks = (0..origins.len()).map(|number| {
        let (upstream, origins) = (Rc::clone(&upstream), Arc::clone(&origins));
        let path = path.clone();
        tokio::task::spawn_local(async move {
            while let Some(server) = origins.server(number) {
                let outcome = check(&upstream, server, &path).await;
                if origins.checked(number, outcome.is_ok()) {
                    match outcome {
                        Ok(()) => info!("{server} is well again"),
                        Err(cause) => warn!("{server} is unwell and not asked: {cause}"),
                    }
                }
                tokio::time::sleep(CHECK_EVERY).await;
            }
        })
    });
    let mut running = Running(checks.collect());
    for check in &mut running.0 {
        // It ends with this future, or has panicked.
        let _ = check.await;
    }
}

/// The checks of all origins, which end when they are no longer waited for.
struct Running(Vec<tokio::task::JoinHandle<()>>);

impl Drop for Running {
    fn drop(&mut self) {
        for check in &self.0 {
            check.abort();
        }
    }
}

async fn check(upstream: &Upstream, server: &Server, path: &str) -> Result<(), Unwell> {
    let mut connection = upstream.connect(server).await?;
    let head =
        request(server, path).map_err(|error| Failure::Broken(std::io::Error::other(error)))?;
    connection.push(head.into());
    connection.flush().await.map_err(Failure::from)?;
    loop {
        let heard = connection.next_head(&Method::Get, &LIMITS).await;
        let heard = heard.map_err(Failure::from)?;
        match heard.status.as_u16() {
            _ if heard.is_interim() => {}
            200..=399 => return Ok(()),
            status => return Err(Unwell::Answered(status)),
        }
    }
}

fn request(server: &Server, path: &str) -> Result<Vec<u8>, SerializeError> {
    let mut out = Vec::new();
    write::request_line(&mut out, &Method::Get, path)?;
    write::field(&mut out, "Host", server.authority.as_bytes())?;
    write::field(&mut out, "User-Agent", b"proxyd (health check)")?;
    write::field(&mut out, "Connection", b"close")?;
    write::end_of_head(&mut out);
    Ok(out)
}
