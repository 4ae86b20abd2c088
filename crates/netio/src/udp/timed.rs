//! The socket of a measurement: one datagram a call, stamped by the kernel as it arrives, so that
//! how late the program wakes is no part of a delay.

use std::io;
use std::mem::zeroed;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, Protocol, Type};

use super::control::{self, Control};
use crate::stamp::{KernelClock, Reading, Stamp, software_stamp};

/// Asked of the kernel for each direction, so that a burst is held and not dropped here.
const BUFFER: usize = 1 << 20;
/// The longest that a send may wait for room in the socket's buffer.
const SEND_PATIENCE: Duration = Duration::from_millis(500);

/// A UDP socket connected to the target of a measurement. One thread may send while another
/// receives.
#[derive(Debug)]
pub struct TimedSocket {
    inner: socket2::Socket,
    local: SocketAddr,
}

/// A datagram, beside its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrived {
    /// Its length, also where the buffer was too short for all of it.
    pub length: usize,
    /// When.
    pub stamp: Stamp,
    /// The octet of its IP header that holds DSCP and ECN, where the kernel tells it.
    pub traffic_class: Option<u8>,
}

/// The receiving side of a [`TimedSocket`].
#[derive(Debug)]
pub struct Receiver<'s> {
    socket: &'s TimedSocket,
    clock: KernelClock,
    control: Control,
    drops: u32,
}

impl TimedSocket {
    /// Connects to `target`: the kernel then keeps the datagrams of others away, and ICMP errors
    /// come back. What is sent carries `traffic_class`, DSCP and ECN.
    pub fn connect(target: SocketAddr, traffic_class: u8) -> io::Result<TimedSocket> {
        let inner = socket2::Socket::new(
            Domain::for_address(target),
            Type::DGRAM.cloexec(),
            Some(Protocol::UDP),
        )?;
        // A smaller buffer than asked for is no reason not to measure.
        let _ = inner.set_recv_buffer_size(BUFFER);
        let _ = inner.set_send_buffer_size(BUFFER);
        inner.set_write_timeout(Some(SEND_PATIENCE))?;
        let (any, class) = (u32::from(traffic_class), traffic_class != 0);
        let local: SocketAddr = if target.is_ipv4() {
            if class {
                inner.set_tos_v4(any)?;
            }
            inner.set_recv_tos_v4(true)?;
            (Ipv4Addr::UNSPECIFIED, 0).into()
        } else {
            if class {
                inner.set_tclass_v6(any)?;
            }
            inner.set_recv_tclass_v6(true)?;
            (Ipv6Addr::UNSPECIFIED, 0).into()
        };
        let socket = TimedSocket { inner, local };
        socket.set_option(
            libc::SO_TIMESTAMPING,
            (libc::SOF_TIMESTAMPING_SOFTWARE | libc::SOF_TIMESTAMPING_RX_SOFTWARE).cast_signed(),
        )?;
        socket.set_option(libc::SO_RXQ_OVFL, 1)?;
        socket.inner.bind(&local.into())?;
        socket.inner.connect(&target.into())?;
        let local = socket.inner.local_addr()?.as_socket().unwrap_or(local);
        Ok(TimedSocket { local, ..socket })
    }

    /// The address that it sends from.
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Sends one datagram.
    ///
    /// # Errors
    /// What an ICMP message reported of an earlier datagram (`ConnectionRefused`; nothing was sent
    /// then), or that there was no room for this one.
    pub fn send(&self, datagram: &[u8]) -> io::Result<()> {
        self.inner.send(datagram).map(|_| ())
    }

    /// The receiving side; one for a socket.
    pub fn receiver(&self) -> Receiver<'_> {
        Receiver {
            socket: self,
            clock: KernelClock::default(),
            control: Control::default(),
            drops: 0,
        }
    }

    fn set_option(&self, name: i32, value: i32) -> io::Result<()> {
        // SAFETY: the descriptor is open, and the pointer and the length are those of `value`.
        let result = unsafe {
            libc::setsockopt(
                self.inner.as_raw_fd(),
                libc::SOL_SOCKET,
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

impl Receiver<'_> {
    /// The next datagram, or `None` when `wait` has passed without one.
    ///
    /// # Errors
    /// What an ICMP message reported of a datagram sent (`ConnectionRefused`).
    pub fn receive(&mut self, buffer: &mut [u8], wait: Duration) -> io::Result<Option<Arrived>> {
        match self.receive_now(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            result => return result.map(Some),
        }
        let timeout = Timespec {
            tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: wait.subsec_nanos().into(),
        };
        let mut polled = [PollFd::from_borrowed_fd(
            self.socket.inner.as_fd(),
            PollFlags::IN,
        )];
        match poll(&mut polled, Some(&timeout)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(None),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        match self.receive_now(buffer) {
            // What woke us was damaged, and the kernel has thrown it away.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
            result => result.map(Some),
        }
    }

    /// Datagrams that the kernel dropped because this socket's queue was full, as far as was told
    /// with those received.
    pub fn kernel_drops(&self) -> u32 {
        self.drops
    }

    /// As [`Receiver::kernel_drops`], with those of which no datagram could tell any more.
    pub fn kernel_drops_by_now(&mut self) -> u32 {
        const DROPS: usize = libc::SK_MEMINFO_DROPS as usize;
        let mut figures = [0_u32; DROPS + 1];
        let mut length = size_of_val(&figures) as libc::socklen_t;
        // SAFETY: the descriptor is open, and the pointer and the length are those of `figures`.
        let result = unsafe {
            libc::getsockopt(
                self.socket.inner.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_MEMINFO,
                figures.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        // A kernel that does not tell leaves it at what is known.
        if result == 0 && length as usize == size_of_val(&figures) {
            self.drops = figures[DROPS];
        }
        self.drops
    }

    fn receive_now(&mut self, buffer: &mut [u8]) -> io::Result<Arrived> {
        let mut part = libc::iovec {
            iov_base: buffer.as_mut_ptr().cast(),
            iov_len: buffer.len(),
        };
        // SAFETY: a C structure of integers and pointers, for which all zeroes is valid.
        let mut header: libc::msghdr = unsafe { zeroed() };
        header.msg_iov = &raw mut part;
        header.msg_iovlen = 1;
        header.msg_control = self.control.as_mut_ptr();
        header.msg_controllen = Control::CAPACITY as _;
        // SAFETY: the descriptor is open; the header points to one part, which is `buffer`, and to
        // the control buffer, with their lengths; both outlive the call and are borrowed mutably.
        let length = unsafe {
            libc::recvmsg(
                self.socket.inner.as_raw_fd(),
                &raw mut header,
                libc::MSG_DONTWAIT | libc::MSG_TRUNC,
            )
        };
        let Ok(length) = usize::try_from(length) else {
            return Err(io::Error::last_os_error());
        };
        let now = Reading::now();
        let (mut stamp, mut traffic_class) = (None, None);
        for (level, kind, data) in self.control.messages(header.msg_controllen as _) {
            match (level, kind) {
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPING) => stamp = software_stamp(data),
                (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => {
                    self.drops = control::int(data).map_or(self.drops, i32::cast_unsigned);
                }
                // One octet in IPv4, an int in IPv6.
                (libc::IPPROTO_IP, libc::IP_TOS) => traffic_class = data.first().copied(),
                (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
                    traffic_class = control::int(data).and_then(|class| u8::try_from(class).ok());
                }
                _ => {}
            }
        }
        Ok(Arrived {
            length,
            stamp: self.clock.place(stamp, now),
            traffic_class,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stamp::StampSource;
    use std::net::UdpSocket;
    use std::time::Instant;

    const PATIENCE: Duration = Duration::from_secs(5);

    fn pair(peer: &str, traffic_class: u8) -> io::Result<(TimedSocket, UdpSocket)> {
        let other = UdpSocket::bind(peer)?;
        let socket = TimedSocket::connect(other.local_addr()?, traffic_class)?;
        Ok((socket, other))
    }

    #[test]
    fn a_datagram_has_the_time_at_which_it_came_and_not_the_time_at_which_it_was_read() {
        let (socket, other) = pair("127.0.0.1:0", 0).unwrap();
        let to = socket.local_addr();
        let mut receiver = socket.receiver();
        let mut buffer = [0; 16];
        // The kernel begins to stamp a moment after it was asked to, if nobody had before.
        let asked = Instant::now();
        loop {
            other.send_to(b"early", to).unwrap();
            let early = receiver.receive(&mut buffer, PATIENCE).unwrap().unwrap();
            if early.stamp.source == StampSource::Kernel {
                break;
            }
            assert!(asked.elapsed() < PATIENCE, "no stamp of the kernel's");
        }
        let before = Instant::now();
        other.send_to(b"hello", to).unwrap();
        let after = Instant::now();
        std::thread::sleep(Duration::from_millis(60));
        let arrived = receiver.receive(&mut buffer, PATIENCE).unwrap().unwrap();
        assert_eq!(&buffer[..arrived.length], b"hello");
        assert_eq!(arrived.stamp.source, StampSource::Kernel);
        // The stamp's age was read off two clocks, so a little tolerance on either side.
        let slack = Duration::from_millis(5);
        let at = arrived.stamp.at;
        assert!(at + slack >= before && at <= after + slack, "{arrived:?}");
    }

    #[test]
    fn the_traffic_class_goes_out_and_that_of_what_came_is_told() {
        for any in ["127.0.0.1:0", "[::1]:0"] {
            let Ok((first, other)) = pair(any, 0xb8) else {
                eprintln!("left out: the traffic class from {any} (no such address here)");
                continue;
            };
            // Another socket of this kind takes the place of the peer, and is sent to.
            let there = other.local_addr().unwrap();
            drop(other);
            let second =
                socket2::Socket::new(Domain::for_address(there), Type::DGRAM, None).unwrap();
            second.bind(&there.into()).unwrap();
            second.connect(&first.local_addr().into()).unwrap();
            let second = TimedSocket {
                inner: second,
                local: there,
            };
            let class_told = |socket: &TimedSocket| {
                let receiver = &mut socket.receiver();
                let arrived = receiver.receive(&mut [0; 4], PATIENCE).unwrap();
                arrived.unwrap().traffic_class
            };
            if there.is_ipv4() {
                second.inner.set_recv_tos_v4(true).unwrap();
                second.inner.set_tos_v4(0x28).unwrap();
            } else {
                second.inner.set_recv_tclass_v6(true).unwrap();
                second.inner.set_tclass_v6(0x28).unwrap();
            }
            first.send(b"!").unwrap();
            assert_eq!(class_told(&second), Some(0xb8), "{any}");
            second.send(b"!").unwrap();
            assert_eq!(class_told(&first), Some(0x28), "{any}");
        }
    }

    #[test]
    fn nothing_within_the_wait_is_no_datagram_and_a_closed_port_is_refused() {
        let (socket, other) = pair("127.0.0.1:0", 0).unwrap();
        let mut receiver = socket.receiver();
        let wait = Duration::from_millis(20);
        assert_eq!(receiver.receive(&mut [0; 4], wait).unwrap(), None);
        drop(other);
        socket.send(b"?").unwrap();
        let error = receiver.receive(&mut [0; 4], PATIENCE).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn a_datagram_longer_than_the_buffer_keeps_its_length() {
        let (socket, other) = pair("127.0.0.1:0", 0).unwrap();
        other.send_to(&[7; 100], socket.local_addr()).unwrap();
        let mut buffer = [0; 10];
        let arrived = socket.receiver().receive(&mut buffer, PATIENCE).unwrap();
        assert_eq!(arrived.unwrap().length, 100);
        assert_eq!(buffer, [7; 10]);
    }

    #[test]
    fn what_the_kernel_dropped_for_a_full_queue_is_told() {
        let (socket, other) = pair("127.0.0.1:0", 0).unwrap();
        socket.inner.set_recv_buffer_size(4096).unwrap();
        let to = socket.local_addr();
        for _ in 0..200 {
            other.send_to(&[0; 1000], to).unwrap();
        }
        let mut receiver = socket.receiver();
        let (mut received, wait) = (0, Duration::from_millis(20));
        while receiver.receive(&mut [0; 1000], wait).unwrap().is_some() {
            received += 1;
        }
        // With what was received before the drops, nothing was told of them.
        assert_eq!(received + receiver.kernel_drops_by_now(), 200);
        let mut receiver = socket.receiver();
        // The count comes with what is received after them.
        other.send_to(&[1], to).unwrap();
        receiver.receive(&mut [0; 1000], PATIENCE).unwrap().unwrap();
        assert_eq!(received + receiver.kernel_drops(), 200);
        assert!(receiver.kernel_drops() > 0);
    }
}
