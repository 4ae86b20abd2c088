//! A proxy with its admin endpoint.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::peer::{Exchange, exchange};
use testkit::program::Program;

/// How long something may take that is to come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// It, running.
pub(crate) struct Lab {
    program: Program,
    admin: SocketAddr,
}

/// One answer.
pub(crate) struct Answered {
    pub(crate) status: u16,
    exchange: Exchange,
}

impl Lab {
    pub(crate) fn start(more: &[&str]) -> Lab {
        let mut args = vec!["--port", "0", "--udp-port", "0", "--admin", "127.0.0.1:0"];
        args.extend(["--workers", "2"]);
        args.extend(more);
        let mut program = Program::start(env!("CARGO_BIN_EXE_proxyd"), args).unwrap();
        let admin = program.listening("admin").unwrap();
        Lab { program, admin }
    }

    /// Asks the admin endpoint.
    pub(crate) fn ask(&self, request: &str, body: &str) -> Answered {
        let (address, length) = (self.admin, body.len());
        let message = format!(
            "{request} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n{body}"
        );
        let exchange = exchange(address, message.as_bytes(), PATIENCE).unwrap();
        Answered {
            status: exchange.status().unwrap(),
            exchange,
        }
    }

    pub(crate) fn get(&self, target: &str) -> Answered {
        self.ask(&format!("GET {target}"), "")
    }

    pub(crate) fn put(&self, target: &str, body: &str) -> Answered {
        self.ask(&format!("PUT {target}"), body)
    }

    /// Waits until /metrics has this line.
    pub(crate) fn eventually(&self, line: &str) {
        let end = Instant::now() + PATIENCE;
        loop {
            let page = self.get("/metrics").text();
            if page.lines().any(|found| found == line) {
                return;
            }
            assert!(Instant::now() < end, "no {line} in\n{page}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// A client of the relay.
    pub(crate) fn udp_client(&self) -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.connect(self.address("udp")).unwrap();
        socket
    }

    pub(crate) fn address(&self, what: &str) -> SocketAddr {
        let stderr = self.program.stderr();
        let line = format!("listening {what} ");
        let address = stderr.lines().find_map(|found| found.strip_prefix(&line));
        address.unwrap().parse().unwrap()
    }
}

impl Answered {
    /// The value of a field.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let text = self.exchange.text();
        let head = text.split("\r\n\r\n").next().unwrap_or_default();
        head.lines().skip(1).find_map(|line| {
            let (sent, value) = line.split_once(": ")?;
            sent.eq_ignore_ascii_case(name).then(|| value.to_owned())
        })
    }

    /// The body.
    pub(crate) fn text(&self) -> String {
        let text = self.exchange.text();
        let end = text.find("\r\n\r\n").unwrap();
        text[end + 4..].to_owned()
    }

    /// The body, if it is JSON.
    pub(crate) fn json(&self) -> Value {
        let text = self.text();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }
}
