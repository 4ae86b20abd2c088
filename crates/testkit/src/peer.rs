//! A raw TCP peer: writes the bytes it is told to, in the pieces it is told to, and reads what
//! comes back, so that a test can say what no well-behaved client would.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Sends `bytes` on a new connection and returns everything that came back before the other side
/// closed, or before `patience` passed without a byte.
pub fn exchange(to: SocketAddr, bytes: &[u8], patience: Duration) -> std::io::Result<Exchange> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(patience))?;
    // The other side may refuse and close before all of a hostile request is written.
    let _ = stream.write_all(bytes);
    read_to_end(&mut stream)
}

/// Reads until the other side closes or the stream's read timeout passes.
pub fn read_to_end(stream: &mut TcpStream) -> std::io::Result<Exchange> {
    let mut received = Vec::new();
    let mut chunk = [0; 16 * 1024];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => {
                return Ok(Exchange {
                    received,
                    closed: true,
                });
            }
            Ok(n) => received.extend_from_slice(&chunk[..n]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {
                return Ok(Exchange {
                    received,
                    closed: true,
                });
            }
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) =>
            {
                return Ok(Exchange {
                    received,
                    closed: false,
                });
            }
            Err(error) => return Err(error),
        }
    }
}

/// What came back.
#[derive(Debug)]
pub struct Exchange {
    /// Every byte read.
    pub received: Vec<u8>,
    /// Whether the other side ended the connection (else the patience ran out).
    pub closed: bool,
}

impl Exchange {
    /// What came back, as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.received).into_owned()
    }

    /// The status of the first response, if there is one.
    pub fn status(&self) -> Option<u16> {
        let text = self.text();
        text.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
    }
}
