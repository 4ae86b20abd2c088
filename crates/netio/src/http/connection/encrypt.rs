//! A connection that is encrypted before anything else.

use std::net::{SocketAddr, TcpStream};
use std::pin::pin;

use netproto::http::status::StatusCode;

use super::{Connection, End};
use crate::http::server::{Server, Service};
use crate::http::stream::Stream;
use crate::tls::{HandshakeError, Tls};
use crate::watch::Sentry;

/// Serves a client over TLS to its end.
pub(super) async fn run<S: Service>(
    server: &Server<S>,
    tls: &Tls,
    tcp: TcpStream,
    client: SocketAddr,
    sentry: Sentry,
) {
    // Boxed: a connection that is open need not be as large as one that is being opened.
    let Some(opened) = Box::pin(encrypt(server, tls, tcp, &sentry)).await else {
        return;
    };
    let (stream, is_understood) = match opened {
        Ok(stream) => (stream, true),
        Err(tcp) => (tcp.into(), false),
    };
    let mut connection = Connection::new(server, stream, client, sentry);
    let end = if is_understood {
        connection.serve().await
    } else {
        let why = "only https is spoken at this port";
        connection.refuse(StatusCode::BAD_REQUEST, why);
        connection.flush().await.map(|()| End::Linger)
    };
    connection.end(end).await;
}

/// Opens a connection over TLS; what speaks something else is given back. `None` when there is
/// nobody to talk to. A handshake may take as long as a head, and once stopping has begun as long
/// as a request that may be on its way.
async fn encrypt<S>(
    server: &Server<S>,
    tls: &Tls,
    tcp: TcpStream,
    sentry: &Sentry,
) -> Option<Result<Stream, tokio::net::TcpStream>> {
    let Server {
        settings, counters, ..
    } = server;
    let Ok(tcp) = tokio::net::TcpStream::from_std(tcp) else {
        counters.broken.add(1);
        return None;
    };
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
