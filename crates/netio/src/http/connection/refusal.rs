//! Requests that the program is not asked about: their client may not ask, or not now, or they
//! cannot be read.

use std::fmt;
use std::time::Instant;

use netproto::http::head::HeadError;
use netproto::http::status::StatusCode;
use netproto::http::version::Version;

use super::{Asked, Connection};
use crate::access_log::Entry;
use crate::http::door;
use crate::http::response::Response;
use crate::http::server::Service;

impl<S: Service> Connection<'_, S> {
    /// The answer to a client that may not ask, or not now.
    #[inline]
    pub(super) fn turn_away(&self, has_body: bool) -> Option<Response> {
        if !self.is_admitted {
            self.server.counters.forbidden.add(1);
            return Some(door::forbidden());
        }
        let wait = self.server.settings.door.ask(self.client.ip()).err()?;
        self.server.counters.rate_limited.add(1);
        let refusal = door::too_many_requests(wait);
        // A body that comes behind it would be taken for the next request.
        Some(if has_body {
            refusal.and_close()
        } else {
            refusal
        })
    }

    pub(super) fn refuse_head(&mut self, error: HeadError) {
        self.refuse(error.status(), error);
    }

    /// Renders the last answer of a connection whose requests can no longer be told apart.
    pub(super) fn refuse(&mut self, status: StatusCode, why: impl fmt::Display) {
        let response = self.refusal(status, why);
        let asked = Asked {
            is_head: self.transport.input.filled().starts_with(b"HEAD "),
            version: Version::Http11,
            persists: false,
        };
        let began = self.head_began.unwrap_or_else(Instant::now);
        let log = self.server.log.as_ref();
        let entry = log.map(|_| Entry::unreadable(self.client, began));
        let wire = self.wire(&asked, &response);
        self.start(&asked, &wire, response, entry);
    }

    pub(super) fn refusal(&self, status: StatusCode, why: impl fmt::Display) -> Response {
        self.server.counters.refused.add(1);
        Response::text(status, format!("{why}\n")).and_close()
    }
}
