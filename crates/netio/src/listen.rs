//! Listening sockets: one a worker on the same address, spread by the kernel.

#![expect(
    unsafe_code,
    reason = "tokio takes a socket that is not its own only by a promise"
)]

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};

use rustix::net::{SocketFlags, acceptfrom_with};
use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;
use tokio::io::unix::AsyncFd;

/// How many connections the kernel keeps that no worker has accepted yet.
const BACKLOG: i32 = 4096;

/// An address that could not be listened on.
#[derive(Debug, Error)]
#[error("cannot listen on {protocol} {address}: {cause}{}", cure(.cause))]
pub struct ListenError {
    protocol: &'static str,
    address: SocketAddr,
    cause: io::Error,
}

impl ListenError {
    /// What the system said when `protocol` was to listen on `address`.
    pub(crate) fn new(protocol: &'static str, address: SocketAddr, cause: io::Error) -> Self {
        ListenError {
            protocol,
            address,
            cause,
        }
    }
}

fn cure(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::AddrInUse => "; choose another port, or end the program that holds it",
        io::ErrorKind::PermissionDenied => "; choose a port above 1023",
        io::ErrorKind::AddrNotAvailable => "; choose an address of this machine",
        _ => "",
    }
}

/// `count` TCP listeners on one address, non-blocking, with TCP_NODELAY for what they accept. Port
/// 0 is resolved by the first, and the others take its port.
pub fn tcp(address: SocketAddr, count: usize) -> Result<Vec<TcpListener>, ListenError> {
    let failed = |cause| ListenError::new("TCP", address, cause);
    let sockets = bind_group(address, count).map_err(failed)?;
    let listen = |socket: Socket| {
        socket.listen(BACKLOG)?;
        Ok(TcpListener::from(socket))
    };
    sockets
        .into_iter()
        .map(listen)
        .collect::<io::Result<_>>()
        .map_err(failed)
}

/// The first socket is bound alone, which fails when anybody holds the port, even another process
/// of this user that would share it. Only then is it opened to the others.
fn bind_group(address: SocketAddr, count: usize) -> io::Result<Vec<Socket>> {
    let mut sockets = Vec::with_capacity(count);
    if count > 0 {
        let first = bind(address, false)?;
        first.set_reuse_port(true)?;
        let address = first.local_addr()?;
        let address = address
            .as_socket()
            .ok_or_else(|| io::Error::other("not an IP socket"))?;
        sockets.push(first);
        for _ in 1..count {
            sockets.push(bind(address, true)?);
        }
    }
    Ok(sockets)
}

/// Registers a listener with the tokio runtime of this thread, which must be one with I/O enabled.
///
/// # Errors
/// The runtime cannot take it.
pub(crate) fn register(listener: TcpListener) -> io::Result<AsyncFd<TcpListener>> {
    // SAFETY: the listener owns its descriptor, which nothing closes or replaces before it is
    // dropped, so `as_raw_fd` names the same open descriptor for as long.
    unsafe { AsyncFd::register(listener) }.map_err(io::Error::from)
}

/// The next connection that waits, non-blocking, and who made it. The runtime, which tokio's own
/// listener would tell of it, does not know it yet.
///
/// # Errors
/// `WouldBlock` when none waits; the system's own.
pub(crate) fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let (descriptor, peer) = acceptfrom_with(listener, flags)?;
    let peer = peer.ok_or(io::ErrorKind::ConnectionAborted)?;
    Ok((descriptor.into(), peer.try_into()?))
}

fn bind(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Raises the limit of open files to what the system allows, and returns it: a server that may hold
/// 10,000 connections needs more than the 1,024 of a login shell.
pub fn raise_file_limit() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_held_is_refused_even_to_the_same_user() {
        let held = tcp("127.0.0.1:0".parse().unwrap(), 2).unwrap();
        let address = held[0].local_addr().unwrap();
        assert_eq!(address, held[1].local_addr().unwrap());
        let error = tcp(address, 1).unwrap_err().to_string();
        assert!(error.contains(&address.to_string()), "{error}");
        assert!(error.contains("end the program that holds it"), "{error}");
    }
}
