//! A proxy before a scripted origin, and a client that takes answers apart.
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use testkit::origin::{Answer, Origin, Seen};
use testkit::peer::{Exchange, exchange};
use testkit::program::Program;

/// How long an answer may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// The two, running.
pub(crate) struct Lab {
    pub(crate) origin: Origin,
    pub(crate) program: Program,
    pub(crate) address: SocketAddr,
}

impl Lab {
    /// A proxy before an origin that answers so.
    pub(crate) fn start(answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Lab {
        Lab::before(Origin::start(answer))
    }

    pub(crate) fn before(origin: Origin) -> Lab {
        Lab::with(origin, &[])
    }

    /// With these flags beside.
    pub(crate) fn with(origin: Origin, more: &[&str]) -> Lab {
        let (program, address) = proxy(&origin.address().to_string(), more);
        Lab {
            origin,
            program,
            address,
        }
    }

    /// Sends bytes on a new connection and reads until it closes.
    pub(crate) fn send(&self, bytes: impl AsRef<[u8]>) -> Exchange {
        exchange(self.address, bytes.as_ref(), PATIENCE).unwrap()
    }

    /// One request with these field lines, on a connection that ends with it.
    pub(crate) fn ask(&self, method: &str, target: &str, fields: &str) -> Reply {
        let request =
            format!("{method} {target} HTTP/1.1\r\nHost: lab\r\n{fields}Connection: close\r\n\r\n");
        Reply::of(&self.send(request).received)
    }

    pub(crate) fn get(&self, target: &str) -> Reply {
        self.ask("GET", target, "")
    }

    /// The last column of the first `count` lines of the access log, which is written a little
    /// after the answers are.
    pub(crate) fn labels(&self, count: usize) -> Vec<String> {
        let end = Instant::now() + PATIENCE;
        loop {
            let log = self.program.stdout();
            if log.lines().count() >= count || Instant::now() > end {
                let last = |line: &str| line.split(' ').next_back().map(str::to_owned);
                return log.lines().filter_map(last).collect();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A proxy before `origin` (`host:port`), on one worker so that its connections are one pool.
pub(crate) fn proxy(origin: &str, more: &[&str]) -> (Program, SocketAddr) {
    let origin = format!("http://{origin}");
    let mut args = vec!["--origin", &origin, "--udp-port", "0"];
    if !more.contains(&"--workers") {
        args.extend(["--workers", "1"]);
    }
    if !more.contains(&"--port") {
        args.extend(["--port", "0"]);
    }
    if !more.contains(&"--admin") {
        args.extend(["--admin", "off"]);
    }
    args.extend(more);
    let mut program = Program::start(env!("CARGO_BIN_EXE_proxyd"), args).unwrap();
    let address = program.listening("tcp").unwrap();
    (program, address)
}

/// One answer, taken apart.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    /// With its chunk framing, if it has any.
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn of(bytes: &[u8]) -> Reply {
        let text = String::from_utf8_lossy(bytes);
        let end = text
            .find("\r\n\r\n")
            .unwrap_or_else(|| panic!("no head in {text:?}"))
            + 4;
        Reply {
            status: text[9..12].parse().unwrap(),
            head: text[..end].to_owned(),
            body: bytes[end..].to_vec(),
        }
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (sent, value) = line.split_once(": ")?;
            sent.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// What this proxy's member of Cache-Status says behind the name.
    pub(crate) fn cache(&self) -> &str {
        let status = self.field("cache-status").unwrap_or_default();
        status.strip_prefix("proxyd; ").unwrap_or(status)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A client that keeps its connection.
pub(crate) struct Client(TcpStream);

impl Client {
    pub(crate) fn connect(to: SocketAddr) -> Client {
        let stream = TcpStream::connect(to).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client(stream)
    }

    pub(crate) fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).unwrap();
    }

    /// Reads one answer whose length is told by Content-Length.
    pub(crate) fn read(&mut self) -> Reply {
        let mut reply = self.read_head();
        let length = reply
            .field("content-length")
            .map_or(0, |length| length.parse().unwrap());
        reply.body = self.read_exact(length);
        reply
    }

    pub(crate) fn read_head(&mut self) -> Reply {
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n\r\n") {
            bytes.extend(self.read_exact(1));
        }
        Reply::of(&bytes)
    }

    pub(crate) fn read_exact(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }

    pub(crate) fn get(&mut self, target: &str) -> Reply {
        self.write(format!("GET {target} HTTP/1.1\r\nHost: lab\r\n\r\n"));
        self.read()
    }

    /// As [`Client::get`], of an admin endpoint: it answers to no names but localhost.
    pub(crate) fn get_admin(&mut self, target: &str) -> Reply {
        self.write(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        self.read()
    }
}
