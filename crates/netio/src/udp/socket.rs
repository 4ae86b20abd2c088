//! UDP sockets that never block: bound, alone or as several that share one port, or connected.

use std::cell::Cell;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use socket2::{Domain, Protocol, Type};
use tokio::io::unix::AsyncFd;

use crate::listen::ListenError;

/// What a bound socket asks the kernel to keep of datagrams that nobody read yet, in bytes (the
/// system's `net.core.rmem_max` may allow less). All clients share it, so it takes more than the
/// default's three datagrams of the largest size.
const RECEIVE_BUFFER: usize = 4 << 20;

/// The same of a connected socket, which one peer fills.
const CONNECTED_RECEIVE_BUFFER: usize = 1 << 20;

/// A UDP socket that never blocks.
#[derive(Debug)]
pub struct Socket {
    inner: socket2::Socket,
    local: SocketAddr,
    /// Whether the kernel cuts one message into several datagrams (UDP_SEGMENT, since Linux 4.18)
    /// on the way out of this socket.
    segments: Cell<bool>,
    /// The kernel's count of drops, which wraps: as last told, and as last taken.
    kernel_drops: Cell<(u32, u32)>,
}

/// A socket alone on its address. Port 0 lets the system choose.
pub fn bind(address: SocketAddr) -> Result<Socket, ListenError> {
    let failed = |cause| ListenError::new("UDP", address, cause);
    Socket::bound(address, false).map_err(failed)
}

/// `count` sockets on one address, among which the kernel spreads the sources (SO_REUSEPORT): the
/// datagrams of one source always come to the same socket. Port 0 is resolved by the first, and the
/// others take its port.
pub fn bind_group(address: SocketAddr, count: usize) -> Result<Vec<Socket>, ListenError> {
    let failed = |cause| ListenError::new("UDP", address, cause);
    let mut sockets = Vec::with_capacity(count);
    if count > 0 {
        // The first binds alone, which fails when anybody holds the port, even another process of
        // this user that would share it. Only then is it opened to the others.
        let first = Socket::bound(address, false).map_err(failed)?;
        first.inner.set_reuse_port(true).map_err(failed)?;
        let address = first.local;
        sockets.push(first);
        for _ in 1..count {
            sockets.push(Socket::bound(address, true).map_err(failed)?);
        }
    }
    Ok(sockets)
}

/// A socket on a port of its own that sends to `target` and receives from nobody else.
pub fn connect(target: SocketAddr) -> io::Result<Socket> {
    let inner = Socket::open(target)?;
    inner.set_recv_buffer_size(CONNECTED_RECEIVE_BUFFER)?;
    inner.connect(&target.into())?;
    Socket::ready(inner)
}

impl Socket {
    fn open(address: SocketAddr) -> io::Result<socket2::Socket> {
        let kind = Type::DGRAM.nonblocking().cloexec();
        let socket = socket2::Socket::new(Domain::for_address(address), kind, Some(Protocol::UDP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        Ok(socket)
    }

    fn bound(address: SocketAddr, shared: bool) -> io::Result<Socket> {
        let inner = Socket::open(address)?;
        inner.set_recv_buffer_size(RECEIVE_BUFFER)?;
        inner.set_reuse_port(shared)?;
        inner.bind(&address.into())?;
        Socket::listening(inner)
    }

    /// One that somebody else has bound, made ready for use as if by [`bind`].
    ///
    /// # Errors
    /// It is not bound to an IP address, or the system refuses what its use takes.
    pub fn adopt(descriptor: OwnedFd) -> io::Result<Socket> {
        let inner = socket2::Socket::from(descriptor);
        inner.set_nonblocking(true)?;
        inner.set_recv_buffer_size(RECEIVE_BUFFER)?;
        Socket::listening(inner)
    }

    /// Takes over a bound socket.
    fn listening(inner: socket2::Socket) -> io::Result<Socket> {
        let socket = Socket::ready(inner)?;
        let address = socket.local;
        // An answer must leave from the address that was asked. Only a socket bound to all of them
        // has to be told which one that was.
        if address.ip() == Ipv4Addr::UNSPECIFIED {
            socket.set_option(libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?;
        } else if address.ip() == Ipv6Addr::UNSPECIFIED {
            socket.set_option(libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?;
        }
        Ok(socket)
    }

    fn ready(inner: socket2::Socket) -> io::Result<Socket> {
        let local = inner
            .local_addr()?
            .as_socket()
            .ok_or_else(|| io::Error::other("not an IP socket"))?;
        let socket = Socket {
            inner,
            local,
            segments: Cell::new(false),
            kernel_drops: Cell::default(),
        };
        socket.set_option(libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1)?;
        // A kernel that does not know UDP_SEGMENT would send the whole train as one datagram, so it
        // is asked. One that does not know UDP_GRO hands over datagrams one by one.
        let segments = socket.set_option(libc::SOL_UDP, libc::UDP_SEGMENT, 0);
        socket.segments.set(segments.is_ok());
        let _ = socket.set_option(libc::SOL_UDP, libc::UDP_GRO, 1);
        Ok(socket)
    }

    /// Registers it with the tokio runtime of this thread, which must be one with I/O enabled.
    pub fn register(self) -> io::Result<AsyncFd<Socket>> {
        // SAFETY: the socket owns its descriptor, which nothing closes or replaces before it is
        // dropped, so `as_raw_fd` names the same open descriptor for as long.
        unsafe { AsyncFd::register(self) }.map_err(io::Error::from)
    }

    /// A second one for the same port, so that one thread may send while another receives. Each
    /// counts drops of its own.
    pub fn try_clone(&self) -> io::Result<Socket> {
        Ok(Socket {
            inner: self.inner.try_clone()?,
            local: self.local,
            segments: self.segments.clone(),
            kernel_drops: Cell::default(),
        })
    }

    /// The address that it is bound to, with the port that the system chose.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// How many more datagrams the kernel has dropped since the last call, because this socket's
    /// queue was full, as far as was told with what was received.
    pub fn new_kernel_drops(&self) -> u32 {
        let (told, taken) = self.kernel_drops.get();
        self.kernel_drops.set((told, told));
        told.wrapping_sub(taken)
    }

    /// Asks for [`Train::hop_limit`](super::Train::hop_limit) of what is received.
    pub fn report_hop_limit(&self) -> io::Result<()> {
        if self.local.is_ipv4() {
            self.set_option(libc::IPPROTO_IP, libc::IP_RECVTTL, 1)
        } else {
            self.set_option(libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT, 1)
        }
    }

    pub(super) fn note_kernel_drops(&self, drops: u32) {
        self.kernel_drops.set((drops, self.kernel_drops.get().1));
    }

    pub(super) fn segments(&self) -> bool {
        self.segments.get()
    }

    pub(super) fn disable_segments(&self) {
        self.segments.set(false);
    }

    fn set_option(&self, level: i32, name: i32, value: i32) -> io::Result<()> {
        // SAFETY: the descriptor is open, and the pointer and the length are those of `value`.
        let result = unsafe {
            libc::setsockopt(
                self.as_raw_fd(),
                level,
                name,
                (&raw const value).cast(),
                size_of_val(&value) as libc::socklen_t,
            )
        };
        if result == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

impl AsRawFd for Socket {
    fn as_raw_fd(&self) -> RawFd {
        self.inner.as_raw_fd()
    }
}
