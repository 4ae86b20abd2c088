//! One connection to a server, no wait on which outlasts the deadline of the request.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use netio::tcp_info::TcpInfo;

use crate::clock;
use crate::interrupt::Interrupt;
use crate::target::{Endpoint, Unreachable};

/// The longest wait between two looks at the deadline and the stop flag.
const TICK: Duration = Duration::from_millis(100);

/// The waits of one request.
pub(super) struct Patience<'a> {
    pub(super) endpoint: &'a Endpoint,
    /// All the time that was allowed, for messages.
    pub(super) allowed: Duration,
    pub(super) deadline: Duration,
    pub(super) interrupt: &'a Interrupt,
}

/// An open connection.
pub(super) struct Connection<'a> {
    patience: Patience<'a>,
    stream: TcpStream,
    /// Who accepted.
    pub(super) address: SocketAddr,
}

impl<'a> Connection<'a> {
    /// Connects to the first address that accepts.
    pub(super) fn open(
        patience: Patience<'a>,
        addresses: Vec<SocketAddr>,
    ) -> Result<Connection<'a>, Unreachable> {
        const STEP: &str = "accept the connection";
        let mut last = patience.timed_out(STEP);
        for address in addresses {
            match TcpStream::connect_timeout(&address, patience.left(STEP)?) {
                Ok(stream) => {
                    // One small write: nothing to gather.
                    let _ = stream.set_nodelay(true);
                    return Ok(Connection {
                        patience,
                        stream,
                        address,
                    });
                }
                Err(error) => last = patience.failed(error, STEP, "connect to"),
            }
        }
        Err(last)
    }

    /// Writes all of a request.
    pub(super) fn send(&mut self, request: &[u8]) -> Result<(), Unreachable> {
        const STEP: &str = "take the request";
        let mut left = request;
        while !left.is_empty() {
            let wait = self.patience.tick(STEP)?;
            let written = self
                .stream
                .set_write_timeout(Some(wait))
                .and_then(|()| self.stream.write(left));
            match written {
                Ok(count) => left = left.get(count..).unwrap_or_default(),
                Err(error) if is_wait_over(&error) => {}
                Err(error) => return Err(self.patience.failed(error, STEP, "write to")),
            }
        }
        Ok(())
    }

    /// What the kernel knows of it.
    pub(super) fn tcp_info(&self) -> Option<TcpInfo> {
        TcpInfo::of(&self.stream)
    }

    /// Reads what has come; nothing at the end of the stream.
    pub(super) fn read(&mut self, chunk: &mut [u8]) -> Result<usize, Unreachable> {
        const STEP: &str = "answer in full";
        loop {
            let wait = self.patience.tick(STEP)?;
            let read = self
                .stream
                .set_read_timeout(Some(wait))
                .and_then(|()| self.stream.read(chunk));
            match read {
                Err(error) if is_wait_over(&error) => {}
                read => {
                    return read.map_err(|error| self.patience.failed(error, STEP, "read from"));
                }
            }
        }
    }
}

impl Patience<'_> {
    fn left(&self, step: &'static str) -> Result<Duration, Unreachable> {
        match self.deadline.saturating_sub(clock::now()) {
            Duration::ZERO => Err(self.timed_out(step)),
            left => Ok(left),
        }
    }

    /// How long to wait before the next look, unless it is to end.
    fn tick(&self, step: &'static str) -> Result<Duration, Unreachable> {
        if self.interrupt.asked() {
            return Err(Unreachable::Interrupted {
                endpoint: self.endpoint.clone(),
            });
        }
        Ok(self.left(step)?.min(TICK))
    }

    fn timed_out(&self, step: &'static str) -> Unreachable {
        Unreachable::TimedOut {
            endpoint: self.endpoint.clone(),
            step,
            allowed: self.allowed,
        }
    }

    fn failed(&self, error: io::Error, waited: &'static str, step: &'static str) -> Unreachable {
        let endpoint = self.endpoint.clone();
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Unreachable::Refused { endpoint },
            _ if is_wait_over(&error) => self.timed_out(waited),
            _ => Unreachable::Io {
                endpoint,
                step,
                source: error,
            },
        }
    }
}

fn is_wait_over(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
    )
}
