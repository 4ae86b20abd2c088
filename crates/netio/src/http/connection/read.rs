//! Waiting for the next request: how long, and what becomes of one that does not come.

use std::io;
use std::time::Instant;

use netproto::http::status::StatusCode;

use super::{Connection, End};
use crate::http::server::Service;

impl<S: Service> Connection<'_, S> {
    /// Reads more of the next request. What is rendered when it ends is to be written.
    pub(super) async fn read(&mut self) -> io::Result<Option<End>> {
        let is_idle = self.transport.input.is_empty();
        if is_idle {
            self.transport.rest();
        }
        self.set_deadline(is_idle);
        match self.fill().await {
            Ok(0) => Ok(Some(End::Gone)),
            Ok(_) => Ok(None),
            Err(error) if error.kind() != io::ErrorKind::TimedOut => Err(error),
            Err(_) if is_idle => Ok(Some(End::Linger)),
            Err(_) => {
                self.server.counters.late.add(1);
                let why = "the request head did not come in time";
                self.refuse(StatusCode::REQUEST_TIMEOUT, why);
                Ok(Some(End::Linger))
            }
        }
    }

    /// A head may take so long from its first byte to its last, and a connection may be idle so
    /// long before that.
    fn set_deadline(&mut self, is_idle: bool) {
        let settings = &self.server.settings;
        let patience = match (is_idle, self.served > 0) {
            _ if self.stop_runs || self.head_began.is_some() => return,
            (true, true) => settings.idle,
            (true, false) => settings.head,
            (false, _) => {
                self.head_began = Some(Instant::now());
                settings.head
            }
        };
        self.transport.sentry.allow(patience);
    }

    /// Reads. When stopping begins, a request may be on its way: it is waited for a little.
    async fn fill(&mut self) -> io::Result<usize> {
        let settings = &self.server.settings;
        let limit = settings.limits.head_bytes();
        if !self.stop_runs {
            if let Some(count) = self.transport.fill_unless_stopping(limit).await? {
                return Ok(count);
            }
            self.stop_runs = true;
            self.transport.sentry.allow(settings.stop_grace);
        }
        self.transport.fill(limit).await
    }
}
