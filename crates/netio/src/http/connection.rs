//! One connection of a server: its requests in their order, each answered once.
//!
//! What can be answered from memory is: all requests that wait in the buffer are answered with one
//! write. What cannot goes through [`exchange`], one at a time, and through [`duplex`] if it is answered
//! before it has come whole. [`refusal`] is for those that are not answered at all, [`read`] waits for
//! the next. Over TLS it begins with [`encrypt`].

mod duplex;
mod encrypt;
mod exchange;
mod read;
mod refusal;

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::time::Instant;

use netproto::http::Status;
use netproto::http::body::BodyFraming;
use netproto::http::fields::FieldSlots;
use netproto::http::head::{HeadError, HeadScan, RequestHead};
use netproto::http::method::Method;
use netproto::http::version::Version;

use super::door::Pass;
use super::response::{Body, BodyStream, Framing, Piece, Response, Wire};
use super::server::{Request, Server, Service};
use super::stream::Stream;
use super::tcp::Tcp;
use super::toxic::ToxicSource;
use super::transport::Transport;
use super::tunnel::Tunnel;
use crate::access_log::Entry;
use crate::watch::Sentry;

/// Answers that wait to be written before more requests of the same buffer are answered.
const OUTPUT_HIGH: u64 = 256 * 1024;

/// Serves a client to its end, over TLS if the server speaks that.
#[expect(
    clippy::manual_async_fn,
    reason = "an async fn would hold its arguments twice as long as the connection is open"
)]
pub(super) fn run<S: Service>(
    server: Rc<Server<S>>,
    tcp: TcpStream,
    client: SocketAddr,
    sentry: Sentry,
    pass: Pass,
) -> impl Future<Output = ()> {
    async move {
        let server = &*server;
        // Boxed: one that is not encrypted need not be as large.
        if let Some(tls) = &server.settings.tls {
            Box::pin(encrypt::run(server, tls, tcp, client, sentry)).await;
        } else {
            let mut connection =
                Connection::new(server, Stream::Plain(Tcp::Fresh(tcp)), client, sentry);
            let end = connection.serve().await;
            connection.end(end).await;
        }
        server.counters.open.subtract(1);
        drop(pass);
    }
}

/// What the first request of the buffer turned out to be; `head` is the length of its head.
#[expect(
    clippy::large_enum_variant,
    reason = "made and taken apart at once, never stored"
)]
enum Look {
    Partial,
    Refused(HeadError),
    Exchange {
        head: usize,
    },
    Answer {
        head: usize,
        asked: Asked,
        response: Response,
        entry: Option<Entry>,
    },
}

struct Connection<'s, S> {
    server: &'s Server<S>,
    transport: Transport,
    client: SocketAddr,
    /// How far the head at the front of the buffer has been looked through.
    scan: HeadScan,
    /// How many requests have come.
    served: u64,
    /// Whether the client is one that may ask.
    is_admitted: bool,
    /// Since when the head at the front of the buffer is waited for, if it did not come at once.
    head_began: Option<Instant>,
    /// Whether stopping has begun, and with it the last deadline.
    stop_runs: bool,
    /// Requests whose answers are not yet written, for the access log.
    entries: Vec<Entry>,
}

/// How a connection ends.
enum End {
    /// There is nobody left to talk to.
    Gone,
    /// The last answer is written, and the client has said that it sends nothing more (RFC 9112
    /// §9.6).
    Done,
    /// The last answer is written; the client may be sending still, and has not read it perhaps.
    Linger,
}

/// What is to be done after the requests in the buffer were looked at.
enum Next {
    /// The rest of the buffer is no whole request.
    Read,
    /// So much is to be written that the rest of the buffer waits.
    Write,
    /// The first request of the buffer, whose head is so long, takes more than memory.
    Exchange { head: usize },
    /// The last answer is rendered, and the connection ends so.
    Close(End),
}

impl<'s, S: Service> Connection<'s, S> {
    fn new(server: &'s Server<S>, stream: Stream, client: SocketAddr, sentry: Sentry) -> Self {
        let stream = match server.settings.toxics.as_ref().and_then(ToxicSource::draw) {
            Some(toxics) => stream.impaired(toxics),
            None => stream,
        };
        Connection {
            server,
            transport: Transport::new(stream, &server.buffers, sentry),
            client,
            scan: HeadScan::new(),
            served: 0,
            is_admitted: server.settings.door.admits(client.ip()),
            head_began: None,
            stop_runs: false,
            entries: Vec::new(),
        }
    }

    async fn end(&mut self, end: io::Result<End>) {
        self.log();
        let Server {
            settings, counters, ..
        } = self.server;
        match end {
            Ok(End::Done) if self.transport.may_be_dropped() => {}
            // Who has left TCP has left; TLS wants an answer to its farewell (RFC 8446 §6.1).
            Ok(End::Gone) if settings.tls.is_none() => {}
            Ok(End::Gone | End::Done | End::Linger) => {
                let (bytes, patience) = (settings.drained_bytes, settings.linger);
                Box::pin(self.transport.linger(bytes, patience)).await;
            }
            Err(error) if error.kind() == io::ErrorKind::TimedOut => counters.late.add(1),
            Err(_) => counters.broken.add(1),
        }
    }

    async fn serve(&mut self) -> io::Result<End> {
        loop {
            match self.answer_at_once() {
                Next::Read => {
                    self.flush().await?;
                    if let Some(end) = self.read().await? {
                        self.flush().await?;
                        return Ok(end);
                    }
                }
                Next::Write => self.flush().await?,
                Next::Exchange { head } => {
                    self.flush().await?;
                    // Boxed: a connection that waits for its next request need not be as large as
                    // one that waits for its answer.
                    if let Some(end) = Box::pin(self.exchange(head)).await? {
                        return Ok(end);
                    }
                }
                Next::Close(end) => {
                    if matches!(end, End::Done) && self.transport.may_be_dropped() {
                        self.transport.output.end_behind();
                    }
                    self.flush().await?;
                    return Ok(end);
                }
            }
        }
    }

    /// Answers the requests in the buffer for as long as that takes no waiting.
    fn answer_at_once(&mut self) -> Next {
        loop {
            if self.transport.output.pending() >= OUTPUT_HIGH {
                return Next::Write;
            }
            if self.transport.input.is_empty() {
                return Next::Read;
            }
            match self.look() {
                Look::Partial => return Next::Read,
                Look::Refused(error) => {
                    self.refuse_head(error);
                    return Next::Close(End::Linger);
                }
                Look::Exchange { head } => return Next::Exchange { head },
                Look::Answer {
                    head,
                    asked,
                    response,
                    entry,
                } => {
                    let wire = self.wire(&asked, &response);
                    self.start(&asked, &wire, response, entry);
                    self.transport.input.consume(head);
                    if !wire.persists {
                        return Next::Close(asked.end());
                    }
                }
            }
        }
    }

    /// Looks at the first request of the buffer, and asks for its answer.
    fn look(&mut self) -> Look {
        let Server {
            service, settings, ..
        } = self.server;
        let mut scan = std::mem::take(&mut self.scan);
        let mut slots = FieldSlots::new();
        let filled = self.transport.input.filled();
        let head = match RequestHead::resume(&mut scan, filled, &mut slots, &settings.limits) {
            Ok(Status::Complete(head)) => head,
            Ok(Status::Partial) => {
                self.scan = scan;
                return Look::Partial;
            }
            Err(error) => return Look::Refused(error),
        };
        self.head_began = None;
        self.served += 1;
        let has_body = head.framing != BodyFraming::None || head.expects_continue;
        if let Some(refusal) = self.turn_away(has_body) {
            let request = self.request(&head);
            return Look::Answer {
                head: head.len,
                asked: Asked::of(&head),
                entry: self.entry(&request),
                response: service.dress(&request, refusal),
            };
        }
        if has_body {
            return Look::Exchange { head: head.len };
        }
        let request = self.request(&head);
        match service.at_once(&request) {
            None => Look::Exchange { head: head.len },
            Some(response) => Look::Answer {
                head: head.len,
                asked: Asked::of(&head),
                entry: self.entry(&request),
                response,
            },
        }
    }

    /// Renders a response. Returns what of it is yet to come.
    fn start(
        &mut self,
        asked: &Asked,
        wire: &Wire,
        response: Response,
        entry: Option<Entry>,
    ) -> Rest {
        let counters = &self.server.counters;
        counters.answered(response.status());
        let output = &mut self.transport.output;
        let before = output.pending();
        output.render(|rendered| response.render_head(rendered, wire));
        let head_end = output.pending();
        let (status, label) = (response.status(), response.label());
        let mut rest = Rest::Nothing;
        if wire.is_tunnel || (!asked.is_head && wire.framing != Framing::None) {
            match response.into_body() {
                Body::Empty | Body::Omitted { .. } => {}
                Body::Tunnel(tunnel) => rest = Rest::Tunnel(tunnel),
                Body::Bytes(bytes) => output.push(bytes),
                Body::File(part) => output.push_file(part),
                Body::Pieces(pieces) => {
                    for piece in pieces {
                        match piece {
                            Piece::Bytes(bytes) => output.push(bytes),
                            Piece::File(part) => output.push_file(part),
                        }
                    }
                }
                Body::Stream { stream, .. } => rest = Rest::Stream(stream),
            }
        }
        counters.bytes_sent.add(output.pending() - before);
        if let Some(mut entry) = entry {
            entry.status = status;
            entry.label = label;
            entry.bytes = output.pending() - head_end;
            self.entries.push(entry);
        }
        rest
    }

    fn wire(&self, asked: &Asked, response: &Response) -> Wire {
        let framing = Framing::of(response.status(), response.body(), asked.version);
        // The length of a body that is not there would make the next answer a part of it.
        let is_omitted = matches!(response.body(), Body::Omitted { .. });
        let ends_it = (framing == Framing::UntilClose || is_omitted) && !asked.is_head;
        Wire {
            framing,
            version: asked.version,
            is_tunnel: matches!(response.body(), Body::Tunnel(_)),
            persists: asked.persists
                && !response.closes()
                && !ends_it
                && self.served < self.server.settings.requests
                && !self.server.watch.is_stopping(),
            date: self.server.watch.date(),
        }
    }

    fn request<'r>(&self, head: &'r RequestHead<'r, 'r>) -> Request<'r> {
        Request {
            head,
            client: self.client,
            is_tls: self.server.settings.tls.is_some(),
            now: self.server.watch.now(),
            unix_seconds: self.server.watch.unix_seconds(),
        }
    }

    fn entry(&self, request: &Request<'_>) -> Option<Entry> {
        let log = self.server.log.as_ref()?;
        Some(Entry::new(request, Instant::now(), log))
    }

    /// Writes what is rendered, then logs what it answered.
    async fn flush(&mut self) -> io::Result<()> {
        self.transport
            .flush(self.server.settings.write_stall)
            .await?;
        self.log();
        Ok(())
    }

    /// Logs the requests that were answered. What could not be written is taken from the last of
    /// them, as if heads had no length.
    fn log(&mut self) {
        let Some(log) = &self.server.log else {
            return;
        };
        let mut unwritten = self.transport.output.pending();
        for entry in self.entries.iter_mut().rev() {
            let lost = unwritten.min(entry.bytes);
            entry.is_cut |= unwritten > 0;
            entry.bytes -= lost;
            unwritten -= lost;
        }
        for entry in self.entries.drain(..) {
            log.write(&entry);
        }
    }
}

/// What of a response is not yet rendered.
enum Rest {
    Nothing,
    Stream(BodyStream),
    Tunnel(Tunnel),
}

/// What of a request decides how its answer is framed.
struct Asked {
    is_head: bool,
    version: Version,
    persists: bool,
}

impl Asked {
    fn of(head: &RequestHead<'_, '_>) -> Asked {
        Asked {
            is_head: head.method == Method::Head,
            version: head.version,
            persists: head.persistent,
        }
    }

    /// How the connection ends if the answer is its last, and nothing of the request is unread.
    fn end(&self) -> End {
        if self.persists {
            End::Linger
        } else {
            End::Done
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use netproto::http::status::StatusCode;

    use super::*;
    use crate::http::body::RequestBody;
    use crate::http::buffer::Buffers;
    use crate::http::server::Settings;
    use crate::telemetry::HttpCounters;
    use crate::watch::Watch;

    struct Silent;

    impl Service for Silent {
        fn at_once(&self, _: &Request<'_>) -> Option<Response> {
            None
        }

        async fn exchange(&self, _: &Request<'_>, _: &mut RequestBody<'_>) -> Response {
            Response::text(StatusCode::NO_CONTENT, "")
        }
    }

    #[test]
    fn ten_thousand_connections_take_less_than_seven_megabytes_of_tasks() {
        let server = Rc::new(Server {
            service: Silent,
            settings: Settings::default(),
            watch: Watch::new(),
            buffers: Buffers::default(),
            counters: Arc::new(HttpCounters::default()),
            log: None,
        });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let tcp = TcpStream::connect(address).unwrap();
        let (sentry, door) = (server.watch.post(), Arc::clone(&server.settings.door));
        let pass = door.enter(address.ip()).unwrap();
        let connection = run(server, tcp, address, sentry, pass);
        assert!(size_of_val(&connection) <= 700);
    }
}
