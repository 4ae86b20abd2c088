//! One connection of a server: its requests in their order, each answered once.
//!
//! What can be answered from memory is: all requests that wait in the buffer are answered with one
//! write. What cannot goes through [`Connection::exchange`], one at a time.

use std::io;
use std::net::SocketAddr;
use std::task::Poll;
use std::time::Instant;

use bytes::Bytes;
use netproto::http::Status;
use netproto::http::body::{BodyDecoder, BodyFraming};
use netproto::http::fields::FieldSlots;
use netproto::http::head::{HeadError, HeadScan, RequestHead};
use netproto::http::method::Method;
use netproto::http::status::StatusCode;
use netproto::http::version::Version;
use tokio::net::TcpStream;

use super::body::RequestBody;
use super::response::{Body, BodyStream, Framing, Response, Wire};
use super::server::{Request, Server, Service};
use super::transport::Transport;
use crate::access_log::Entry;

/// Answers that wait to be written before more requests of the same buffer are answered.
const OUTPUT_HIGH: u64 = 256 * 1024;

/// Serves `stream` to its end.
pub(super) async fn run<S: Service>(server: &Server<S>, stream: TcpStream, client: SocketAddr) {
    let transport = Transport::new(stream, &server.buffers, server.watch.post());
    let mut connection = Connection {
        server,
        transport,
        client,
        scan: HeadScan::new(),
        has_served: false,
        head_runs: false,
        entries: Vec::new(),
    };
    match connection.serve().await {
        Ok(End::Gone) => {}
        Ok(End::Linger) => {
            let settings = &server.settings;
            Box::pin(
                connection
                    .transport
                    .linger(settings.drained_bytes, settings.linger),
            )
            .await;
        }
        Err(error) if error.kind() == io::ErrorKind::TimedOut => server.counters.late.add(1),
        Err(_) => server.counters.broken.add(1),
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
    /// Whether a request has been answered.
    has_served: bool,
    /// Whether the deadline of the head at the front of the buffer runs.
    head_runs: bool,
    /// Requests whose answers are not yet written, for the access log.
    entries: Vec<Entry>,
}

/// How a connection ends.
enum End {
    /// There is nobody left to talk to.
    Gone,
    /// The last answer is written; the client may not have read it.
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
    /// The last answer is rendered.
    Close,
}

impl<S: Service> Connection<'_, S> {
    async fn serve(&mut self) -> io::Result<End> {
        loop {
            match self.answer_at_once() {
                Next::Read => {
                    self.flush().await?;
                    if let Some(end) = self.read().await? {
                        return Ok(end);
                    }
                }
                Next::Write => self.flush().await?,
                Next::Exchange { head } => {
                    self.flush().await?;
                    // Boxed: a connection that waits for its next request need not be as large as
                    // one that waits for its answer.
                    if !Box::pin(self.exchange(head)).await? {
                        return Ok(End::Linger);
                    }
                }
                Next::Close => {
                    self.flush().await?;
                    return Ok(End::Linger);
                }
            }
        }
    }

    /// Reads more of the next request.
    async fn read(&mut self) -> io::Result<Option<End>> {
        let settings = &self.server.settings;
        let limit = settings.limits.head_bytes();
        if !self.transport.input.is_empty() {
            if !self.head_runs {
                self.head_runs = true;
                self.transport.sentry.allow(settings.head);
            }
            return match self.transport.fill(limit).await {
                Ok(0) => Ok(Some(End::Gone)),
                Ok(_) => Ok(None),
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    self.server.counters.late.add(1);
                    let text = "the request head did not come in time\n";
                    self.refuse(StatusCode::REQUEST_TIMEOUT, text);
                    self.flush().await?;
                    Ok(Some(End::Linger))
                }
                Err(error) => Err(error),
            };
        }
        self.transport.rest();
        let patience = if self.has_served {
            settings.idle
        } else {
            settings.head
        };
        self.transport.sentry.allow(patience);
        let count = match self.transport.fill_unless_stopping(limit).await {
            Ok(Some(count)) => count,
            Ok(None) => {
                // A request may be on its way: it is waited for a little, and answered.
                self.transport.sentry.allow(settings.stop_grace);
                match self.transport.fill(limit).await {
                    Ok(count) => count,
                    Err(_) => return Ok(Some(End::Linger)),
                }
            }
            Err(error) if error.kind() == io::ErrorKind::TimedOut => return Ok(Some(End::Linger)),
            Err(error) => return Err(error),
        };
        if count == 0 {
            return Ok(Some(End::Gone));
        }
        Ok(None)
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
                    return Next::Close;
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
                        return Next::Close;
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
        self.head_runs = false;
        self.has_served = true;
        if head.framing != BodyFraming::None || head.expects_continue {
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

    /// Answers one request that takes waiting. Returns whether another may follow.
    async fn exchange(&mut self, head_length: usize) -> io::Result<bool> {
        let settings = &self.server.settings;
        let bytes = Bytes::copy_from_slice(&self.transport.input.filled()[..head_length]);
        self.transport.input.consume(head_length);
        let mut slots = FieldSlots::new();
        let head = match RequestHead::parse(&bytes, &mut slots, &settings.limits) {
            Ok(Status::Complete(head)) => head,
            // The same bytes were a whole head a moment ago.
            Ok(Status::Partial) => return Ok(false),
            Err(error) => {
                self.refuse_head(error);
                self.flush().await?;
                return Ok(false);
            }
        };
        let decoder = match BodyDecoder::new(head.framing, &settings.limits) {
            Ok(decoder) => decoder,
            Err(error) => {
                self.refuse(error.status(), &format!("{error}\n"));
                self.flush().await?;
                return Ok(false);
            }
        };
        let request = self.request(&head);
        let asked = Asked::of(&head);
        let entry = self.entry(&request);
        let mut body = RequestBody::new(
            &mut self.transport,
            decoder,
            head.framing,
            head.expects_continue,
            settings.body_stall,
        );
        let mut response = self.server.service.exchange(&request, &mut body).await;
        let mut unread = body.leave();
        if let Err(error) = unread.drop_what_came(&mut self.transport.input) {
            self.server.counters.refused.add(1);
            response = Response::text(error.status(), format!("{error}\n")).and_close();
        }
        let mut wire = self.wire(&asked, &response);
        wire.persists &= unread.can_be_drained();
        if let Some(stream) = self.start(&asked, &wire, response, entry) {
            self.stream(stream, wire.framing).await?;
        }
        self.flush().await?;
        if !wire.persists {
            return Ok(false);
        }
        let (bytes, stall) = (settings.drained_bytes, settings.body_stall);
        Ok(unread.drain(&mut self.transport, bytes, stall).await)
    }

    /// Writes a body as its pieces come. A piece that is ready goes out with what was rendered
    /// before it; nothing rendered waits for a piece that is not.
    async fn stream(&mut self, mut stream: BodyStream, framing: Framing) -> io::Result<()> {
        let stall = self.server.settings.write_stall;
        let mut sent = 0;
        let result = loop {
            let ready = std::future::poll_fn(|context| {
                Poll::Ready(match stream.as_mut().poll_next(context) {
                    Poll::Ready(item) => Some(item),
                    Poll::Pending => None,
                })
            })
            .await;
            let item = if let Some(item) = ready {
                item
            } else {
                self.transport.flush(stall).await?;
                std::future::poll_fn(|context| stream.as_mut().poll_next(context)).await
            };
            match item {
                Some(Ok(chunk)) => {
                    sent += chunk.len() as u64;
                    if matches!(framing, Framing::Length(length) if sent > length) {
                        break Err(io::Error::other("the body is longer than was said"));
                    }
                    framing.wrap(chunk, &mut self.transport.output);
                    if self.transport.output.pending() >= OUTPUT_HIGH {
                        self.transport.flush(stall).await?;
                    }
                }
                Some(Err(error)) => break Err(error),
                None if matches!(framing, Framing::Length(length) if sent < length) => {
                    break Err(io::Error::from(io::ErrorKind::UnexpectedEof));
                }
                None => break Ok(()),
            }
        };
        if let Some(entry) = self.entries.last_mut() {
            entry.bytes = sent;
        }
        // Cut short: what there is goes out, and the connection ends without the body's end, so
        // that the client sees the cut.
        if result.is_ok() {
            framing.end(&mut self.transport.output);
        }
        self.flush().await?;
        result
    }

    /// Renders a response. Returns its body if that is yet to come.
    fn start(
        &mut self,
        asked: &Asked,
        wire: &Wire,
        response: Response,
        entry: Option<Entry>,
    ) -> Option<BodyStream> {
        let counters = &self.server.counters;
        counters.answered(response.status());
        let output = &mut self.transport.output;
        let before = output.pending();
        output.render(|rendered| response.render_head(rendered, wire));
        let head_end = output.pending();
        let (status, label) = (response.status(), response.label());
        let mut stream = None;
        if !asked.is_head && wire.framing != Framing::None {
            match response.into_body() {
                Body::Empty | Body::Omitted { .. } => {}
                Body::Bytes(bytes) => output.push(bytes),
                Body::File { file, range } => output.push_file(file, range),
                Body::Stream { stream: pieces, .. } => stream = Some(pieces),
            }
        }
        counters.bytes_sent.add(output.pending() - before);
        if let Some(mut entry) = entry {
            entry.status = status;
            entry.label = label;
            entry.bytes = output.pending() - head_end;
            self.entries.push(entry);
        }
        stream
    }

    fn wire(&self, asked: &Asked, response: &Response) -> Wire {
        let framing = Framing::of(response.status(), response.body(), asked.version);
        let until_close = framing == Framing::UntilClose && !asked.is_head;
        Wire {
            framing,
            version: asked.version,
            persists: asked.persists
                && !response.closes()
                && !until_close
                && !self.server.watch.is_stopping(),
            date: self.server.watch.date(),
        }
    }

    fn request<'r>(&self, head: &'r RequestHead<'r, 'r>) -> Request<'r> {
        Request {
            head,
            client: self.client,
            now: self.server.watch.now(),
            unix_seconds: self.server.watch.unix_seconds(),
        }
    }

    fn entry(&self, request: &Request<'_>) -> Option<Entry> {
        let log = self.server.log.as_ref()?;
        Some(Entry::new(request, Instant::now(), log))
    }

    fn refuse_head(&mut self, error: HeadError) {
        self.refuse(error.status(), &format!("{error}\n"));
    }

    /// Renders the last answer of a connection whose requests can no longer be told apart.
    fn refuse(&mut self, status: StatusCode, text: &str) {
        self.server.counters.refused.add(1);
        let response = Response::text(status, text).and_close();
        let asked = Asked {
            is_head: false,
            version: Version::Http11,
            persists: false,
        };
        let entry = self
            .server
            .log
            .as_ref()
            .map(|_| Entry::unreadable(self.client, Instant::now()));
        let wire = self.wire(&asked, &response);
        self.start(&asked, &wire, response, entry);
    }

    /// Writes what is rendered, then logs what it answered.
    async fn flush(&mut self) -> io::Result<()> {
        let result = self.transport.flush(self.server.settings.write_stall).await;
        if let Some(log) = &self.server.log {
            for entry in self.entries.drain(..) {
                log.write(&entry);
            }
        }
        result
    }
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
}
