//! An origin that records every byte it gets and answers as it is told to, byte by byte: what no
//! well-behaved server would send, a proxy must be shown too.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long the origin waits for a byte before it gives a connection up.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running origin. It ends when it is dropped.
#[derive(Debug)]
pub struct Origin {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    stops: Arc<AtomicBool>,
}

/// One request, or the beginning of one.
#[derive(Debug, Clone)]
pub struct Seen {
    /// On which connection it came, counted from 0.
    pub connection: usize,
    /// Every byte, framing included.
    pub bytes: Vec<u8>,
    /// Whether it came to its end.
    pub is_whole: bool,
}

impl Seen {
    /// The request line and the fields.
    pub fn head(&self) -> String {
        let end = head_end(&self.bytes).unwrap_or(self.bytes.len());
        String::from_utf8_lossy(&self.bytes[..end]).into_owned()
    }

    /// What follows the head, framing included.
    pub fn body(&self) -> &[u8] {
        &self.bytes[head_end(&self.bytes).unwrap_or(self.bytes.len())..]
    }

    /// The request target.
    pub fn target(&self) -> String {
        let head = self.head();
        head.split(' ').nth(1).unwrap_or_default().to_owned()
    }

    /// The value of the first field called `name`.
    pub fn field(&self, name: &str) -> Option<String> {
        let head = self.head();
        head.lines().skip(1).find_map(|line| {
            let (sent, value) = line.split_once(':')?;
            sent.eq_ignore_ascii_case(name)
                .then(|| value.trim().to_owned())
        })
    }
}

/// What the origin does with a request.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    pieces: Vec<(Duration, Vec<u8>)>,
    closes: bool,
}

impl Answer {
    /// These bytes, and nothing added.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Answer {
        Answer::default().and(Duration::ZERO, bytes)
    }

    /// A 200 with these field lines (each ended by CRLF) and a body of known length.
    pub fn ok(fields: &str, body: &str) -> Answer {
        Answer::raw(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{fields}\r\n{body}",
            body.len()
        ))
    }

    /// More bytes, after a pause.
    #[must_use]
    pub fn and(mut self, pause: Duration, bytes: impl Into<Vec<u8>>) -> Answer {
        self.pieces.push((pause, bytes.into()));
        self
    }

    /// Then the connection is closed.
    #[must_use]
    pub fn and_close(mut self) -> Answer {
        self.closes = true;
        self
    }
}

impl Origin {
    /// Starts one. `answer` is asked as soon as the head of a request has come; the body is read
    /// before its answer is sent.
    pub fn start(answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Origin {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        Origin::on(listener, true, answer)
    }

    /// One at an address of the test's choice.
    pub fn at(
        address: SocketAddr,
        answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
    ) -> Origin {
        let listener = TcpListener::bind(address).expect("a port that was free a moment ago");
        Origin::on(listener, true, answer)
    }

    /// One that answers before it has read the body, and reads none of it.
    pub fn hasty(answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Origin {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        Origin::on(listener, false, answer)
    }

    fn on(
        listener: TcpListener,
        reads_bodies: bool,
        answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static,
    ) -> Origin {
        let origin = Origin {
            address: listener.local_addr().expect("an address"),
            seen: Arc::default(),
            stops: Arc::default(),
        };
        let (seen, stops) = (Arc::clone(&origin.seen), Arc::clone(&origin.stops));
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                if stops.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { return };
                let mut connection = Connection {
                    stream,
                    number,
                    seen: Arc::clone(&seen),
                    reads_bodies,
                };
                let answer = Arc::clone(&answer);
                std::thread::spawn(move || connection.serve(&*answer));
            }
        });
        origin
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every request so far, in the order in which they came to their end.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no holder panics").clone()
    }

    /// How many requests came for each target.
    pub fn count(&self, target: &str) -> usize {
        let seen = self.seen.lock().expect("no holder panics");
        let mut counts: HashMap<String, usize> = HashMap::new();
        for request in seen.iter() {
            *counts.entry(request.target()).or_default() += 1;
        }
        counts.remove(target).unwrap_or(0)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.stops.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, which then sees that it is to end.
        drop(TcpStream::connect(self.address));
    }
}

struct Connection {
    stream: TcpStream,
    number: usize,
    seen: Arc<Mutex<Vec<Seen>>>,
    reads_bodies: bool,
}

impl Connection {
    fn serve(&mut self, answer: &dyn Fn(&Seen) -> Answer) {
        let _ = self.stream.set_read_timeout(Some(PATIENCE));
        let _ = self.stream.set_nodelay(true);
        let mut input = Vec::new();
        while let Some(request) = self.request(&mut input) {
            let answer = answer(&request);
            self.seen.lock().expect("no holder panics").push(request);
            for (pause, bytes) in answer.pieces {
                std::thread::sleep(pause);
                if self.stream.write_all(&bytes).is_err() {
                    return;
                }
            }
            if answer.closes {
                let _ = self.stream.shutdown(Shutdown::Both);
                return;
            }
        }
    }

    /// The next request; `None` when the connection has ended before one began.
    fn request(&mut self, input: &mut Vec<u8>) -> Option<Seen> {
        loop {
            let length = match (head_end(input), self.reads_bodies) {
                (Some(_), true) => request_length(input),
                (head_end, _) => head_end,
            };
            if let Some(length) = length
                && length <= input.len()
            {
                return Some(self.seen(input.drain(..length).collect(), true));
            }
            let mut chunk = [0; 16 * 1024];
            match self.stream.read(&mut chunk) {
                Ok(count) if count > 0 => input.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                _ => {
                    if !input.is_empty() {
                        let part = self.seen(std::mem::take(input), false);
                        self.seen.lock().expect("no holder panics").push(part);
                    }
                    return None;
                }
            }
        }
    }

    fn seen(&self, bytes: Vec<u8>, is_whole: bool) -> Seen {
        Seen {
            connection: self.number,
            bytes,
            is_whole,
        }
    }
}

fn head_end(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    Some(end + 4)
}

/// The length of the request at the front, head and body; `None` while that is not known. Reads
/// framing as the plainest of servers would: what a proxy forwards must leave no room for doubt.
fn request_length(bytes: &[u8]) -> Option<usize> {
    let head = head_end(bytes)?;
    let request = Seen {
        connection: 0,
        bytes: bytes[..head].to_vec(),
        is_whole: true,
    };
    if let Some(length) = request.field("content-length") {
        return Some(head + length.parse::<usize>().ok()?);
    }
    if request.field("transfer-encoding").is_none() {
        return Some(head);
    }
    let mut at = head;
    loop {
        let line = bytes[at..].windows(2).position(|pair| pair == b"\r\n")?;
        let size = str::from_utf8(&bytes[at..at + line]).ok()?;
        let size = usize::from_str_radix(size, 16).ok()?;
        at += line + 2 + size + 2;
        if at > bytes.len() {
            return None;
        }
        if size == 0 {
            return Some(at);
        }
    }
}
