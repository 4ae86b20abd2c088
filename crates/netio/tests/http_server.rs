//! A server's connections over real sockets: deadlines, bounds, framing, and the end.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says why and fails"
)]

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_core::Stream;
use netio::http::body::RequestBody;
use netio::http::buffer::Buffers;
use netio::http::door::{Door, DoorRules};
use netio::http::response::{Body, Head, Response};
use netio::http::server::{Request, Server, Service, Settings, serve};
use netio::listen;
use netio::shutdown::{self, Stopper};
use netio::telemetry::HttpCounters;
use netio::watch::Watch;
use netproto::http::method::Method;
use netproto::http::status::StatusCode;
use testkit::peer::{exchange, read_to_end};
use tokio::runtime::{Builder, LocalOptions};

const PATIENCE: Duration = Duration::from_secs(5);

/// Answers as its paths say.
struct Paths;

impl Service for Paths {
    fn at_once(&self, request: &Request<'_>) -> Option<Response> {
        let head = Head::build(StatusCode::OK).finish();
        match request.head.target.path()? {
            "/large" => Some(Response::new(
                head,
                Body::Bytes(vec![b'x'; 64 << 20].into()),
            )),
            "/small" => Some(Response::new(
                head,
                Body::Bytes(Bytes::from_static(b"small")),
            )),
            _ => None,
        }
    }

    async fn exchange(&self, request: &Request<'_>, body: &mut RequestBody<'_>) -> Response {
        let head = Head::build(StatusCode::OK).finish();
        let pieces = |pieces: &[&'static str], length| Body::Stream {
            stream: Pieces::of(pieces.iter().map(|&piece| Ok(piece.into())).collect()),
            length,
        };
        let body = match request.head.target.path().unwrap() {
            "/pieces" => pieces(&["one, ", "two"], None),
            "/short" => pieces(&["one"], Some(10)),
            "/long" => pieces(&["one, two"], Some(3)),
            "/broken" => Body::Stream {
                stream: Pieces::of(vec![
                    Ok("one".into()),
                    Err(io::Error::other("the origin broke")),
                ]),
                length: None,
            },
            "/read" => {
                let mut read = Vec::new();
                while let Ok(Some(chunk)) = body.chunk().await {
                    read.extend_from_slice(&chunk);
                }
                Body::Bytes(read.into())
            }
            "/slow" => {
                tokio::time::sleep(Duration::from_millis(300)).await;
                Body::Bytes(Bytes::from_static(b"slow"))
            }
            "/none" if request.head.method == Method::Head => Body::Omitted { length: Some(42) },
            _ => Body::Empty,
        };
        Response::new(head, body)
    }
}

/// Each item after the task has been away once, as pieces from a socket come.
struct Pieces {
    items: Vec<io::Result<Bytes>>,
    was_away: bool,
}

impl Pieces {
    fn of(items: Vec<io::Result<Bytes>>) -> Pin<Box<Pieces>> {
        Box::pin(Pieces {
            items,
            was_away: false,
        })
    }
}

impl Stream for Pieces {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.was_away = !self.was_away;
        if self.was_away {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready((!self.items.is_empty()).then(|| self.items.remove(0)))
    }
}

/// A door that holds so many connections.
fn holding(connections: usize) -> Arc<Door> {
    Arc::new(Door::new(DoorRules {
        connections,
        ..DoorRules::default()
    }))
}

struct Running {
    address: SocketAddr,
    counters: Arc<HttpCounters>,
    stopper: Stopper,
    thread: JoinHandle<()>,
}

impl Running {
    fn start() -> Running {
        Running::with(Settings {
            head: Duration::from_millis(500),
            idle: Duration::from_millis(600),
            body_stall: Duration::from_millis(500),
            write_stall: Duration::from_millis(500),
            drained_bytes: 100_000,
            linger: Duration::from_millis(500),
            ..Settings::default()
        })
    }

    fn with(settings: Settings) -> Running {
        let listener = listen::tcp("127.0.0.1:0".parse().unwrap(), 1)
            .unwrap()
            .pop()
            .unwrap();
        let address = listener.local_addr().unwrap();
        let counters = Arc::new(HttpCounters::default());
        let of_thread = Arc::clone(&counters);
        let (stopper, stop) = shutdown::channel();
        let thread = std::thread::spawn(move || {
            let options = LocalOptions::default();
            let runtime = Builder::new_current_thread()
                .enable_all()
                .build_local(options)
                .unwrap();
            runtime.block_on(async {
                let watch = Watch::new();
                let server = Rc::new(Server {
                    service: Paths,
                    settings,
                    watch: Rc::clone(&watch),
                    buffers: Buffers::default(),
                    counters: of_thread,
                    log: None,
                });
                let (served, ()) = tokio::join!(
                    serve(vec![listener], server, stop.clone()),
                    watch.keep(stop)
                );
                served.unwrap();
            });
        });
        Running {
            address,
            counters,
            stopper,
            thread,
        }
    }

    fn send(&self, request: &str) -> testkit::peer::Exchange {
        exchange(self.address, request.as_bytes(), PATIENCE).unwrap()
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}

#[test]
fn a_head_that_trickles_in_is_answered_408_at_its_deadline() {
    let server = Running::start();
    let mut stream = server.connect();
    let started = Instant::now();
    let mut writer = stream.try_clone().unwrap();
    // Each byte comes well before any deadline that would begin anew with it.
    std::thread::spawn(move || {
        for byte in b"GET /small HTTP/1.1\r\nHost: a\r\nX-Pad: "
            .iter()
            .chain([b'x'; 200].iter())
        {
            if writer.write_all(&[*byte]).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let answer = read_to_end(&mut stream).unwrap();
    assert_eq!(answer.status(), Some(408), "{}", answer.text());
    assert!(answer.closed);
    assert!(
        started.elapsed() < Duration::from_secs(3),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let server = Running::start();
    for first in ["", "GET /small HTTP/1.1\r\nHost: a\r\n\r\n"] {
        let exchange = server.send(first);
        assert!(exchange.closed);
        assert!(!exchange.text().contains("408"));
    }
}

#[test]
fn a_client_that_takes_nothing_of_its_answer_is_let_go() {
    let server = Running::start();
    let mut stream = server.connect();
    stream
        .write_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    let end = Instant::now() + PATIENCE;
    while server.counters.accepted.value() == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    while server.counters.open.value() > 0 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(server.counters.late.value(), 1);
    assert_eq!(server.counters.open.value(), 0);
}

#[test]
fn a_client_that_reads_slowly_but_steadily_gets_all_of_its_answer() {
    const PIECE: usize = 16_000;
    let server = Running::with(Settings {
        write_stall: Duration::from_secs(1),
        ..Settings::default()
    });
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    // Small, so that the window opens often: what the other side has read shows by nothing else.
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    socket.connect(&server.address.into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
        .write_all(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .unwrap();
    // 160 kB a second: a third of the server's send buffer, 2.5 MB and more, takes seconds.
    let end = Instant::now() + Duration::from_secs(5);
    let mut received = 0;
    while Instant::now() < end {
        stream.read_exact(&mut [0; PIECE]).unwrap();
        received += PIECE;
        std::thread::sleep(Duration::from_millis(100));
    }
    let rest = read_to_end(&mut stream).unwrap();
    received += rest.received.len();
    assert!(received > 64 << 20, "cut after {received} bytes");
    assert_eq!(server.counters.late.value(), 0);
}

#[test]
fn a_body_of_unknown_length_is_chunked_or_ends_with_the_connection() {
    let server = Running::start();
    let chunked = server.send("GET /pieces HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    assert!(
        chunked
            .text()
            .contains("\r\nTransfer-Encoding: chunked\r\n")
    );
    assert!(
        chunked
            .text()
            .ends_with("\r\n\r\n5\r\none, \r\n3\r\ntwo\r\n0\r\n\r\n"),
        "{}",
        chunked.text()
    );
    let old = server.send("GET /pieces HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert!(old.text().ends_with("\r\n\r\none, two"), "{}", old.text());
    assert!(!old.text().contains("chunked"));
    assert!(old.closed);
}

#[test]
fn a_body_that_breaks_off_is_visibly_cut_and_nothing_follows() {
    let server = Running::start();
    for path in ["/short", "/long", "/broken"] {
        let request =
            format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\nGET /small HTTP/1.1\r\nHost: a\r\n\r\n");
        let answer = server.send(&request);
        assert!(answer.closed, "{path}");
        assert!(
            !answer.text().contains("small"),
            "{path}: {}",
            answer.text()
        );
        assert!(
            !answer.text().contains("0\r\n\r\n") || path != "/broken",
            "{}",
            answer.text()
        );
    }
}

#[test]
fn a_body_that_only_the_end_of_the_connection_would_end_is_cut_by_a_reset() {
    let server = Running::start();
    let mut stream = server.connect();
    stream.write_all(b"GET /broken HTTP/1.0\r\n\r\n").unwrap();
    let error = stream.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[test]
fn a_refusal_of_head_has_no_content() {
    let server = Running::start();
    for (fields, status) in [
        ("Content-Length: 99999999999", 413),
        ("Expect: miracles", 417),
    ] {
        let answer = server.send(&format!(
            "HEAD /small HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n"
        ));
        assert_eq!(answer.status(), Some(status));
        assert!(answer.text().ends_with("\r\n\r\n"), "{}", answer.text());
    }
}

#[test]
fn the_answer_to_head_has_the_length_and_no_body() {
    let server = Running::start();
    let request = "HEAD /none HTTP/1.1\r\nHost: a\r\n\r\nHEAD /small HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answers = server.send(request).text();
    assert!(answers.contains("\r\nContent-Length: 42\r\n"), "{answers}");
    assert!(answers.contains("\r\nContent-Length: 5\r\n"), "{answers}");
    assert!(!answers.contains("small"), "{answers}");
}

#[test]
fn the_last_answer_comes_whole_whoever_makes_it_the_last() {
    let server = Running::start();
    for request in [
        // The connection is closed at once: nothing more can come.
        "GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET /large HTTP/1.0\r\n\r\n",
        "POST /small HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi",
        // Something has come: closed at once, the connection would be reset.
        "GET /small HTTP/1.0\r\n\r\nGET /small HTTP/1.0\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        // An end, and not a reset.
        stream.read_to_end(&mut answer).unwrap();
        let head = answer.windows(4).position(|end| end == b"\r\n\r\n");
        let body = answer.len() - head.unwrap() - 4;
        let length = format!("\r\nContent-Length: {body}\r\n");
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.contains(&length), "{request}: {body} bytes of body");
    }
}

#[test]
fn a_body_can_be_read_left_or_refused_and_the_next_request_is_found() {
    let server = Running::start();
    let requests = "POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\
                    POST /read HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n\
                    POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\
                    GET /small HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answers = server.send(requests).text();
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 4, "{answers}");
    assert!(answers.contains("hello") && answers.contains("abc") && answers.ends_with("small"));

    let large = format!(
        "POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n{}",
        "x".repeat(200_000)
    );
    let answer = server.send(&format!("{large}GET /small HTTP/1.1\r\nHost: a\r\n\r\n"));
    assert!(
        answer.closed && !answer.text().contains("small"),
        "{}",
        answer.text()
    );
}

#[test]
fn a_client_that_waits_to_be_told_is_told_to_continue() {
    let server = Running::start();
    let mut stream = server.connect();
    stream
        .write_all(b"POST /read HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut interim = [0; 25];
    stream.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"hello").unwrap();
    assert!(read_to_end(&mut stream).unwrap().text().ends_with("hello"));
}

#[test]
fn a_malformed_request_gets_its_status_and_the_connection_ends() {
    let server = Running::start();
    for (request, status) in [
        ("GET / HTTP/1.1\nHost: a\n\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (
            "POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
        ),
    ] {
        let answer = server.send(&format!("{request}GET /small HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(answer.status(), Some(status), "{request}");
        assert!(
            answer.text().contains("\r\nConnection: close\r\n"),
            "{request}"
        );
        assert!(
            answer.closed && !answer.text().contains("small"),
            "{request}"
        );
    }
}

#[test]
fn stopping_answers_what_is_under_way_and_what_is_just_coming_then_ends() {
    let server = Running::with(Settings::default());
    let mut busy = server.connect();
    busy.write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    let mut idle = server.connect();
    let _silent = server.connect();
    std::thread::sleep(Duration::from_millis(100));
    server.stopper.request();
    std::thread::sleep(Duration::from_millis(100));
    idle.write_all(b"GET /small HTTP/1.1\r\nHost: a\r\n\r\n")
        .unwrap();
    for (stream, body) in [(&mut busy, "slow"), (&mut idle, "small")] {
        let answer = read_to_end(stream).unwrap();
        assert!(
            answer.text().contains("\r\nConnection: close\r\n"),
            "{}",
            answer.text()
        );
        assert!(answer.text().ends_with(body), "{}", answer.text());
    }
    let stopped = Instant::now();
    server.thread.join().unwrap();
    assert!(stopped.elapsed() < Duration::from_secs(4));
    assert!(TcpStream::connect(server.address).is_err());
}

#[test]
fn connections_that_wait_for_room_are_answered_when_stopping_begins() {
    let server = Running::with(Settings {
        door: holding(2),
        ..Settings::default()
    });
    let held: Vec<TcpStream> = (0..2).map(|_| server.connect()).collect();
    let mut waiting: Vec<TcpStream> = (0..300).map(|_| server.connect()).collect();
    for stream in &mut waiting {
        stream
            .write_all(b"GET /small HTTP/1.1\r\nHost: a\r\n\r\n")
            .unwrap();
    }
    server.stopper.request();
    for stream in &mut waiting {
        assert!(read_to_end(stream).unwrap().text().ends_with("small"));
    }
    drop(held);
    server.thread.join().unwrap();
}

#[test]
fn a_client_that_never_ends_its_request_does_not_hold_up_the_end() {
    let server = Running::with(Settings::default());
    let mut body = server.connect();
    body.write_all(b"POST /unread HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n")
        .unwrap();
    let mut head = server.connect();
    head.write_all(b"GET /small HT").unwrap();
    std::thread::sleep(Duration::from_millis(200));
    server.stopper.request();
    let stopped = Instant::now();
    // The last answer may still linger for its two seconds.
    server.thread.join().unwrap();
    assert!(
        stopped.elapsed() < Duration::from_secs(5),
        "{:?}",
        stopped.elapsed()
    );
}

#[test]
fn connections_beyond_the_bound_wait_until_there_is_room() {
    let server = Running::with(Settings {
        door: holding(2),
        ..Settings::default()
    });
    let held: Vec<TcpStream> = (0..2).map(|_| server.connect()).collect();
    std::thread::sleep(Duration::from_millis(100));
    let mut third = server.connect();
    third
        .write_all(b"GET /small HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .unwrap();
    third
        .set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    assert!(
        third.read(&mut [0]).is_err(),
        "answered although there was no room"
    );
    drop(held);
    third.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(read_to_end(&mut third).unwrap().text().ends_with("small"));
}
