//! Asking a daemon's admin endpoint whether it is well.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use netproto::http::Status;
use netproto::http::fields::FieldSlots;
use netproto::http::head::ResponseHead;
use netproto::http::limits::Limits;
use netproto::http::method::Method;
use netproto::http::status::StatusCode;
use thiserror::Error;

/// How long a check waits for each step.
const CHECK_PATIENCE: Duration = Duration::from_secs(2);
/// How much of an answer a check reads.
const CHECK_BYTES: usize = 4096;

/// Why a daemon is not healthy.
#[derive(Debug, Error)]
pub enum CheckError {
    /// Nobody answered.
    #[error("no daemon answers on the admin address {address}: {cause}")]
    Unreachable {
        /// Where it was asked.
        address: SocketAddr,
        /// What the system said.
        cause: io::Error,
    },
    /// It answered, but not with 200.
    #[error("the daemon on the admin address {address} is not healthy")]
    Unhealthy {
        /// Where it was asked.
        address: SocketAddr,
    },
}

/// Asks the daemon whose admin endpoint is `address` whether it is well.
pub fn check(address: SocketAddr) -> Result<(), CheckError> {
    let answer = ask(address).map_err(|cause| CheckError::Unreachable { address, cause })?;
    let mut slots = FieldSlots::new();
    match ResponseHead::parse(&answer, &mut slots, &Limits::DEFAULT, &Method::Get) {
        Ok(Status::Complete(head)) if head.status == StatusCode::OK => Ok(()),
        _ => Err(CheckError::Unhealthy { address }),
    }
}

fn ask(address: SocketAddr) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&address, CHECK_PATIENCE)?;
    stream.set_read_timeout(Some(CHECK_PATIENCE))?;
    stream.set_write_timeout(Some(CHECK_PATIENCE))?;
    write!(
        stream,
        "GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.take(CHECK_BYTES as u64).read_to_end(&mut answer)?;
    Ok(answer)
}
