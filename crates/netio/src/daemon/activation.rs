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
        "descriptor {descriptor} (called {name:?}) was handed over, and cannot be used as a TCP listener or as a bound UDP socket: {cause}"
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
                    if self.admin.is_some() {
                        return Err(io::Error::other(
                            "there is one admin endpoint, and another listener is its",
                        ));
                    }
                    self.admin = Some(listener);
                } else {
                    sockopt::set_tcp_nodelay(&listener, true)?;
                    self.http.push(listener);
                }
            }
            SocketType::DGRAM => {
                let socket = udp::Socket::adopt(owned)?;
                if socket.local_addr().port() == 0 {
                    return Err(io::Error::other("it is not bound"));
                }
                self.udp.push(socket);
            }
            _ => return Err(io::Error::other("it does not listen")),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::IntoRawFd;

    use rustix::net::socket;

    use super::*;

    #[test]
    fn what_is_not_bound_or_has_no_use_is_refused_and_not_dropped() {
        let listener = || TcpListener::bind("127.0.0.1:0").unwrap().into_raw_fd();
        let unbound = |kind| {
            let made = socket(AddressFamily::INET, kind, None).unwrap();
            made.into_raw_fd()
        };
        let mut handed = Handed::default();
        handed.add(listener(), "admin").unwrap();
        handed.add(listener(), "http").unwrap();
        handed.add(listener(), "http").unwrap();
        for (descriptor, name, cause) in [
            (listener(), "admin", "one admin endpoint"),
            (unbound(SocketType::DGRAM), "echo", "not bound"),
            (unbound(SocketType::STREAM), "http", "does not listen"),
        ] {
            let error = handed.add(descriptor, name).unwrap_err().to_string();
            assert!(error.contains(cause), "{error}");
        }
        assert!(handed.admin.is_some());
        assert_eq!((handed.http.len(), handed.udp.len()), (2, 0));
    }
}
