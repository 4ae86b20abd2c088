//! Connections that carry something other than HTTP: asked for by CONNECT, or by Upgrade and a 101.

use netio::http::response::{Body, Head, Response};
use netproto::http::cache_status::CacheStatus;
use netproto::http::head::ResponseHead;
use netproto::http::status::StatusCode;

use super::{Errand, Proxy};
use crate::answer::internal;
use crate::fields;
use crate::upstream::{Answer, Failure, Server, Unanswered};

impl Proxy {
    /// Connects a client to a server (RFC 9110 §9.3.6).
    pub(super) async fn tunnel(&self, server: Server) -> Response {
        let connection = match self.upstream.connect(&server).await {
            Ok(connection) => connection,
            Err(failure) => {
                return self.unanswered(&Unanswered { server, failure });
            }
        };
        let tunnel = connection.into_tunnel(self.tunnel_idle, &self.counters.tunnels);
        let head = Head::build(StatusCode::OK).finish();
        Response::new(head, Body::Tunnel(tunnel)).labelled(TUNNEL)
    }

    /// Passes a 101 on, and then whatever the two say.
    pub(super) fn switched(
        &self,
        errand: &Errand<'_>,
        answer: Answer,
        head: &ResponseHead<'_, '_>,
    ) -> Result<Response, Failure> {
        let allows = |upgrade: &fields::Upgrade| upgrade.allows(&head.fields);
        let is_asked_for = errand.upgrade.as_ref().is_some_and(allows);
        // Behind a request that was not read to its end nobody can tell what is meant for whom.
        if !is_asked_for || !answer.is_in_order {
            return Err(Failure::Switched);
        }
        let tunnel = answer
            .connection
            .into_tunnel(self.tunnel_idle, &self.counters.tunnels)
            // The origin has it under way until the tunnel ends.
            .holding(answer.busy);
        let response = fields::response_head(head, errand.request.unix_seconds, |_| false)
            .and_then(|passed_on| {
                head.fields.all("upgrade").try_fold(
                    Response::new(passed_on, Body::Tunnel(tunnel)),
                    |response, value| response.with_field("Upgrade", value),
                )
            })
            .unwrap_or_else(|error| internal(&error));
        let told = self.told(errand, response, CacheStatus::default());
        Ok(told.labelled(TUNNEL))
    }
}

/// In the access log, in the place of what the cache did.
const TUNNEL: &str = "TUNNEL";
