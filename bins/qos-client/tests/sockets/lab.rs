//! A server to be measured: HTTP to load it with, and an echo behind a link of a known rate.
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jsonschema::JSONSchema;
use serde_json::Value;

pub(crate) fn qos_client(arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_qos-client"))
        .args(arguments.split_whitespace())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// The events on standard output, each of which the schema allows.
pub(crate) fn events(output: &Output) -> Vec<Value> {
    let schema = include_str!("../../schema/events-v1.schema.json");
    let schema = JSONSchema::compile(&serde_json::from_str(schema).unwrap()).unwrap();
    let events = serde_json::Deserializer::from_slice(&output.stdout).into_iter();
    let events: Vec<Value> = events.map(Result::unwrap).collect();
    for event in &events {
        let errors = schema.validate(event).err().into_iter().flatten();
        let errors: Vec<String> = errors.map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{event}: {errors:?}");
    }
    assert!(!events.is_empty(), "{output:?}");
    events
}

/// A rate and the queue before it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Link {
    pub(crate) bits_per_second: f64,
    pub(crate) queue_bytes: f64,
}

/// An echo. It ends when dropped.
pub(crate) struct Responder {
    pub(crate) address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Responder {
    /// At this address; with a link, what comes waits for its turn on it, or is dropped.
    pub(crate) fn start(at: SocketAddr, link: Option<Link>) -> Responder {
        Responder::limited(at, link, None)
    }

    /// One that falls silent after so long, but goes on listening.
    pub(crate) fn that_ends(at: SocketAddr, after: Duration) -> Responder {
        Responder::limited(at, None, Some(after))
    }

    fn limited(at: SocketAddr, link: Option<Link>, silent_after: Option<Duration>) -> Responder {
        let socket = UdpSocket::bind(at).unwrap();
        let address = socket.local_addr().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            // Answers wait in the order in which they leave, so that one queue holds them.
            let mut waiting = std::collections::VecDeque::<(Instant, SocketAddr, Vec<u8>)>::new();
            let mut begun = None;
            let mut buffer = vec![0; 65_536];
            while !stopped.load(Ordering::Relaxed) {
                let now = Instant::now();
                while let Some((due, to, _)) = waiting.front()
                    && *due <= now
                {
                    let to = *to;
                    if let Some((_, _, datagram)) = waiting.pop_front() {
                        let _ = socket.send_to(&datagram, to);
                    }
                }
                let next = waiting
                    .front()
                    .map_or(Duration::from_millis(10), |(due, ..)| {
                        due.saturating_duration_since(now)
                    });
                let wait = next.clamp(Duration::from_micros(100), Duration::from_millis(10));
                socket.set_read_timeout(Some(wait)).unwrap();
                let Ok((length, from)) = socket.recv_from(&mut buffer) else {
                    continue;
                };
                let now = Instant::now();
                let begun = *begun.get_or_insert(now);
                if silent_after.is_some_and(|after| now > begun + after) {
                    continue;
                }
                let due = match link {
                    None => now,
                    Some(link) => {
                        let free = waiting.back().map_or(now, |(due, ..)| *due).max(now);
                        let queued = (free - now).as_secs_f64() * link.bits_per_second / 8.0;
                        if queued + length as f64 > link.queue_bytes {
                            continue;
                        }
                        let takes = length as f64 * 8.0 / link.bits_per_second;
                        free + Duration::from_secs_f64(takes)
                    }
                };
                waiting.push_back((due, from, buffer[..length].to_vec()));
            }
        });
        Responder {
            address,
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A web server that can be loaded. Its threads end with the test's process.
pub(crate) struct Web {
    pub(crate) address: SocketAddr,
}

impl Web {
    /// One that says what it offers.
    pub(crate) fn start(at: SocketAddr) -> Web {
        Web::serve(at, true)
    }

    /// One that does not.
    pub(crate) fn bare(at: SocketAddr) -> Web {
        Web::serve(at, false)
    }

    fn serve(at: SocketAddr, offers: bool) -> Web {
        let listener = TcpListener::bind(at).unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || answer(stream, offers));
            }
        });
        Web { address }
    }
}

/// One request, whose connection ends with it. Who leaves early is no matter.
fn answer(stream: TcpStream, offers: bool) -> Option<()> {
    let mut input = BufReader::new(stream.try_clone().ok()?);
    let mut output = stream;
    let (mut first, mut length) = (String::new(), 0);
    input.read_line(&mut first).ok()?;
    loop {
        let mut line = String::new();
        input.read_line(&mut line).ok()?;
        if let Some(value) = line.strip_prefix("Content-Length: ") {
            length = value.trim().parse().ok()?;
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let target = first.split(' ').nth(1)?;
    let (status, body) = match target {
        "/.well-known/nq" if offers => (
            "200 OK",
            r#"{"version":1,"urls":{"small_download_url":"http://a/small",
               "large_download_url":"http://a/large","upload_url":"http://a/upload"}}"#,
        ),
        "/small" | "/" => ("200 OK", "x"),
        "/upload" => {
            std::io::copy(&mut input.take(length), &mut std::io::sink()).ok()?;
            ("200 OK", "")
        }
        "/large" => {
            output
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 8000000000\r\n\r\n")
                .ok()?;
            let piece = vec![0x55; 64 * 1024];
            while output.write_all(&piece).is_ok() {}
            return None;
        }
        _ => ("404 Not Found", ""),
    };
    let length = body.len();
    write!(
        output,
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .ok()
}
