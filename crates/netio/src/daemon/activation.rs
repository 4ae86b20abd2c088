//! Sockets that a service manager has bound and hands over (sd_listen_fds(3)): the daemon needs no
//! right to bind them, and no connection is refused while it starts anew.

#![expect(
    unsafe_code,
    reason = "a descriptor that is known by its number has no owner yet"
)]

use std::io;
use std::net::TcpListener;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};

use rustix::net::{AddressFamily, SocketType, sockopt};
use thiserror::Error;

use crate::udp;

/// What the admin endpoint's listener is called (systemd.socket(5), FileDescriptorName).
const ADMIN: &str = "admin";

/// What was handed over; nothing, unless a service manager started the process.
#[derive(Debug, Default)]
pub(super) struct Handed {
    /// TCP listeners for HTTP.
    pub(super) http: Vec<TcpListener>,
    /// The TCP listener called `admin`.
    pub(super) admin: Option<TcpListener>,
    /// UDP sockets.
    pub(super) udp: Vec<udp::Socket>,
}

/// Why what was handed over cannot be used.
#[derive(Debug, Error)]
pub enum ActivationError {
    /// The environment does not say what was handed over.
    #[error("the service manager's LISTEN_… variables make no sense: {0}")]
    Environment(io::Error),
    /// A descriptor is nothing that can be served.
    #[error(
        "descriptor {descriptor} (called {name:?}) was handed over, and is neither a TCP listener nor a bound UDP socket: {cause}"
    )]
    Unusable {
        /// Its number.
        descriptor: RawFd,
        /// Its name.
        name: String,
        /// What it is.
        cause: io::Error,
    },
}

impl Handed {
    /// Takes what was handed over to this process. To be called once.
    pub(super) fn take() -> Result<Handed, ActivationError> {
        let mut handed = Handed::default();
        let descriptors =
            sd_notify::listen_fds_with_names().map_err(ActivationError::Environment)?;
        for (descriptor, name) in descriptors {
            handed
                .add(descriptor, &name)
                .map_err(|cause| ActivationError::Unusable {
                    descriptor,
                    name,
                    cause,
                })?;
        }
        Ok(handed)
    }

    fn add(&mut self, descriptor: RawFd, name: &str) -> io::Result<()> {
        // SAFETY: it is only asked what it is. If the environment lies and it is not open, the
        // system says so; sd_notify has set an option on it, and failed if it is not.
        let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
        let family = sockopt::socket_domain(borrowed)?;
        if family != AddressFamily::INET && family != AddressFamily::INET6 {
            return Err(io::Error::other("it is not of the internet"));
        }
        let kind = sockopt::socket_type(borrowed)?;
        let listens = sockopt::socket_acceptconn(borrowed)?;
        // SAFETY: it is an open socket that the service manager has left to this process (its pid is
        // in LISTEN_PID), and this is called once: nothing else owns it.
        let owned = unsafe { OwnedFd::from_raw_fd(descriptor) };
        match kind {
            SocketType::STREAM if listens => {
                let listener = TcpListener::from(owned);
                listener.set_nonblocking(true)?;
                if name == ADMIN {
                    self.admin = Some(listener);
                } else {
                    sockopt::set_tcp_nodelay(&listener, true)?;
                    self.http.push(listener);
                }
            }
            SocketType::DGRAM => self.udp.push(udp::Socket::adopt(owned)?),
            _ => return Err(io::Error::other("it does not listen")),
        }
        Ok(())
    }
}
