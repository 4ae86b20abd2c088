//! A connection that is encrypted before anything else.

use std::pin::pin;

use tokio::net::TcpStream;

use crate::http::server::Server;
use crate::http::stream::Stream;
use crate::tls::{HandshakeError, Tls};
use crate::watch::Sentry;

/// Opens a connection over TLS; what speaks something else is given back. `None` when there is
/// nobody to talk to. A handshake may take as long as a head, and once stopping has begun as long
/// as a request that may be on its way.
pub(super) async fn encrypt<S>(
    server: &Server<S>,
    tls: &Tls,
    tcp: TcpStream,
    sentry: &Sentry,
) -> Option<Result<Stream, TcpStream>> {
    let Server {
        settings, counters, ..
    } = server;
    sentry.allow(settings.head);
    let mut stop_runs = false;
    let mut accepting = pin!(tls.accept(tcp));
    let accepted = sentry.wait(|context| {
        let polled = accepting.as_mut().poll(context).map(Ok);
        if polled.is_pending() && !stop_runs && server.watch.is_stopping() {
            stop_runs = true;
            sentry.allow(settings.stop_grace);
        }
        polled
    });
    match accepted.await {
        Ok(Ok(stream)) => Some(Ok(stream.into())),
        Ok(Err(HandshakeError::NotTls(tcp))) => {
            counters.tls_failed.add(1);
            Some(Err(tcp))
        }
        Ok(Err(HandshakeError::Broken)) => {
            counters.tls_failed.add(1);
            None
        }
        Err(_) => {
            counters.late.add(1);
            None
        }
    }
}
