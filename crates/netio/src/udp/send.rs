//! Many datagrams in one system call, and neighbours for the same peer in one pass through the
//! kernel's stack.

use std::io;
use std::iter::Peekable;
use std::mem::zeroed;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;

use super::address::RawAddress;
use super::control::Control;
use super::{BATCH, Local, MAX_PAYLOAD_V4, Socket, Train};

/// How many datagrams the kernel cuts one message into at most (UDP_MAX_SEGMENTS of Linux before
/// 6.9; later ones take 128).
const MAX_SEGMENTS: usize = 64;

/// The largest datagrams that are sent as one message: those that fit an Ethernet frame. The kernel
/// refuses segments that the path would have to fragment, and larger datagrams gain little.
const MAX_SEGMENT_SIZE: usize = 1472;

/// Arrays for one call of sendmmsg. Payloads are not copied.
#[derive(Debug)]
pub struct SendBatch {
    messages: Box<[Message]>,
    headers: Box<[libc::mmsghdr]>,
    /// The payloads of all messages, those of each message in a row.
    pieces: Box<[libc::iovec]>,
    loaded: usize,
    loaded_pieces: usize,
    /// Whether the socket is one of IPv6.
    ipv6: bool,
}

/// One message: a datagram, or several to the same peer that the kernel cuts apart.
#[derive(Clone, Copy, Debug)]
struct Message {
    address: RawAddress,
    control: Control,
    control_used: usize,
    /// The first of its pieces.
    first_piece: usize,
    pieces: usize,
    bytes: usize,
    segment_size: usize,
    datagrams: usize,
}

/// What became of datagrams handed over to be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Datagrams that the kernel took.
    pub datagrams: u64,
    /// Their payloads in bytes.
    pub bytes: u64,
    /// Earlier datagrams on a connected socket of which ICMP has reported that nobody listens.
    pub refused: u64,
    /// Datagrams not sent because the socket's send queue was full.
    pub queue_full: u64,
    /// Datagrams not sent for another reason (no route, a firewall, too long for the protocol).
    pub failed: u64,
}

impl SendBatch {
    /// Empty arrays.
    #[expect(clippy::new_without_default, reason = "a pair to ReceiveBatch::new")]
    pub fn new() -> SendBatch {
        // SAFETY: both are C structures of integers and pointers, for which all zeroes is valid.
        let (header, piece): (libc::mmsghdr, libc::iovec) = unsafe { (zeroed(), zeroed()) };
        let message = Message {
            address: RawAddress::default(),
            control: Control::default(),
            control_used: 0,
            first_piece: 0,
            pieces: 0,
            bytes: 0,
            segment_size: 0,
            datagrams: 0,
        };
        SendBatch {
            messages: vec![message; BATCH].into_boxed_slice(),
            headers: vec![header; BATCH].into_boxed_slice(),
            pieces: vec![piece; BATCH].into_boxed_slice(),
            loaded: 0,
            loaded_pieces: 0,
            ipv6: false,
        }
    }

    /// Sends every train, waiting when the socket's send queue is full.
    pub async fn send<'d>(
        &mut self,
        socket: &AsyncFd<Socket>,
        trains: impl Iterator<Item = Train<'d>>,
    ) -> io::Result<Sent> {
        let mut sent = Sent::default();
        let mut trains = self.prepare(socket.get_ref(), trains);
        while self.load(&mut trains) {
            let mut done = 0;
            while !self.flush(socket.get_ref(), &mut done, &mut sent) {
                let mut ready = socket.writable().await?;
                if !self.flush(socket.get_ref(), &mut done, &mut sent) {
                    ready.clear_ready();
                }
            }
        }
        Ok(sent)
    }

    /// Sends every train, waiting in this thread when the socket's send queue is full, each time for
    /// so long at most; what has no room then is dropped and counted as [`Sent::queue_full`].
    ///
    /// # Errors
    /// The system refuses the wait.
    pub fn send_waiting<'d>(
        &mut self,
        socket: &Socket,
        trains: impl Iterator<Item = Train<'d>>,
        patience: Duration,
    ) -> io::Result<Sent> {
        let timeout = Timespec {
            tv_sec: i64::try_from(patience.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: patience.subsec_nanos().into(),
        };
        let mut sent = Sent::default();
        let mut trains = self.prepare(socket, trains);
        while self.load(&mut trains) {
            let mut done = 0;
            while !self.flush(socket, &mut done, &mut sent) {
                let mut polled = [PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::OUT)];
                match poll(&mut polled, Some(&timeout)) {
                    Ok(0) => {
                        self.drop_rest(done, &mut sent);
                        break;
                    }
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(sent)
    }

    /// Sends every train that the socket takes at once; the rest is dropped and counted as
    /// [`Sent::queue_full`].
    pub fn try_send<'d>(
        &mut self,
        socket: &Socket,
        trains: impl Iterator<Item = Train<'d>>,
    ) -> Sent {
        let mut sent = Sent::default();
        let mut trains = self.prepare(socket, trains);
        while self.load(&mut trains) {
            let mut done = 0;
            if !self.flush(socket, &mut done, &mut sent) {
                self.drop_rest(done, &mut sent);
            }
        }
        sent
    }

    /// Counts the loaded messages from `done` on as dropped.
    fn drop_rest(&self, done: usize, sent: &mut Sent) {
        let rest = &self.messages[done..self.loaded];
        sent.queue_full += rest.iter().map(|m| m.datagrams as u64).sum::<u64>();
    }

    /// Trains of at most as many datagrams as `socket` sends in one message.
    fn prepare<'d, T: Iterator<Item = Train<'d>>>(
        &mut self,
        socket: &Socket,
        trains: T,
    ) -> Peekable<impl Iterator<Item = Train<'d>> + use<'d, T>> {
        self.ipv6 = socket.local_addr().is_ipv6();
        let segments = socket.segments();
        let parts = trains.flat_map(move |train| {
            let whole = segments && train.segment_size <= MAX_SEGMENT_SIZE;
            train.split(if whole { MAX_SEGMENTS } else { 1 })
        });
        parts.peekable()
    }

    /// Takes as many trains as fit; false if there are none left.
    fn load<'d>(&mut self, trains: &mut Peekable<impl Iterator<Item = Train<'d>>>) -> bool {
        self.loaded = 0;
        self.loaded_pieces = 0;
        let mut previous: Option<Train<'d>> = None;
        while self.loaded_pieces < self.pieces.len()
            && let Some(train) = trains.peek()
        {
            let joined = previous.is_some_and(|previous| self.join(&previous, train));
            if !joined && !self.begin(train) {
                break;
            }
            previous = trains.next();
        }
        self.loaded > 0
    }

    /// Appends `train` to the last message, if the kernel would cut it apart again where it must.
    fn join(&mut self, previous: &Train<'_>, train: &Train<'_>) -> bool {
        let Some(message) = self.messages[..self.loaded].last_mut() else {
            return false;
        };
        let fits = message.segment_size <= MAX_SEGMENT_SIZE
            && message.segment_size > 0
            // All but the last datagram have the same length, and none is empty.
            && message.bytes.is_multiple_of(message.segment_size)
            && !train.payload.is_empty()
            && (train.segment_size == message.segment_size
                || train.payload.len() < message.segment_size)
            && message.datagrams + train.count() <= MAX_SEGMENTS
            && message.bytes + train.payload.len() <= MAX_PAYLOAD_V4
            && previous.peer == train.peer
            && previous.local == train.local
            && previous.hop_limit == train.hop_limit;
        if fits {
            message.pieces += 1;
            message.bytes += train.payload.len();
            message.datagrams += train.count();
            self.push_piece(train.payload);
        }
        fits
    }

    /// Begins a message with `train`; false if there is no room.
    fn begin(&mut self, train: &Train<'_>) -> bool {
        let Some(message) = self.messages.get_mut(self.loaded) else {
            return false;
        };
        message.first_piece = self.loaded_pieces;
        message.pieces = 1;
        message.bytes = train.payload.len();
        message.segment_size = train.segment_size;
        message.datagrams = train.count();
        let mut used = 0;
        if let Some(local) = train.local {
            used = push_local(&mut message.control, used, local);
        }
        if let Some(hops) = train.hop_limit {
            let (level, kind) = if self.ipv6 {
                (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT)
            } else {
                (libc::IPPROTO_IP, libc::IP_TTL)
            };
            let hops = i32::from(hops).to_ne_bytes();
            used = message.control.push(used, level, kind, &hops);
        }
        message.control_used = used;
        let name_len = train.peer.map_or(0, |peer| message.address.set(&peer));
        self.headers[self.loaded].msg_hdr.msg_namelen = name_len as _;
        self.loaded += 1;
        self.push_piece(train.payload);
        true
    }

    fn push_piece(&mut self, payload: &[u8]) {
        self.pieces[self.loaded_pieces] = libc::iovec {
            // The kernel only reads what sendmmsg points to.
            iov_base: payload.as_ptr().cast_mut().cast(),
            iov_len: payload.len(),
        };
        self.loaded_pieces += 1;
    }

    /// Sends the loaded messages from `done` on; false if the queue is full before the last.
    fn flush(&mut self, socket: &Socket, done: &mut usize, sent: &mut Sent) -> bool {
        while *done < self.loaded {
            match self.call(socket, *done) {
                Ok(count) => {
                    for message in &self.messages[*done..*done + count] {
                        sent.datagrams += message.datagrams as u64;
                        sent.bytes += message.bytes as u64;
                    }
                    *done += count;
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return false,
                    io::ErrorKind::Interrupted => {}
                    // The error belongs to an earlier datagram, and nothing was sent: once more.
                    // It is cleared by being told, so this ends.
                    io::ErrorKind::ConnectionRefused => sent.refused += 1,
                    _ => {
                        self.give_up(socket, *done, &error, sent);
                        *done += 1;
                    }
                },
            }
        }
        true
    }

    /// One system call for the messages from `done` on; returns how many were sent.
    fn call(&mut self, socket: &Socket, done: usize) -> io::Result<usize> {
        for index in done..self.loaded {
            let message = &mut self.messages[index];
            let header = &mut self.headers[index].msg_hdr;
            header.msg_name = (&raw mut message.address).cast();
            header.msg_iov = &raw mut self.pieces[message.first_piece];
            header.msg_iovlen = message.pieces as _;
            header.msg_control = message.control.as_mut_ptr();
            let mut used = message.control_used;
            if message.datagrams > 1 {
                let size = (message.segment_size as u16).to_ne_bytes();
                used = message
                    .control
                    .push(used, libc::SOL_UDP, libc::UDP_SEGMENT, &size);
            }
            header.msg_controllen = used as _;
        }
        let headers = &mut self.headers[done..self.loaded];
        // SAFETY: the descriptor is open; each header points to an address, a control buffer and
        // pieces of `self`, with their lengths. The pieces point to payloads of the trains that the
        // `load` before was given, whose lifetime is a parameter of the `send` or `try_send` that called
        // both and so outlives this call.
        let count = unsafe {
            libc::sendmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                headers.len() as _,
                0,
            )
        };
        if count < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(count as usize)
        }
    }

    /// The kernel will not have message `index`: if it is of several datagrams, perhaps one by one.
    fn give_up(&mut self, socket: &Socket, index: usize, error: &io::Error, sent: &mut Sent) {
        let message = self.messages[index];
        let refused_as_train = matches!(
            error.raw_os_error(),
            Some(libc::EINVAL | libc::EMSGSIZE | libc::EIO)
        );
        if message.datagrams == 1 || !refused_as_train {
            sent.failed += message.datagrams as u64;
            return;
        }
        // EIO: the interface cannot fill in the checksums of the parts, now or later. The others
        // are of this one path: its MTU is less than a part.
        if error.raw_os_error() == Some(libc::EIO) {
            socket.disable_segments();
        }
        for piece in message.first_piece..message.first_piece + message.pieces {
            let whole = self.pieces[piece];
            let mut offset = 0;
            while offset < whole.iov_len {
                let len = message.segment_size.min(whole.iov_len - offset);
                self.pieces[piece] = libc::iovec {
                    iov_base: whole.iov_base.wrapping_byte_add(offset),
                    iov_len: len,
                };
                match self.call_one(socket, index, piece) {
                    Ok(()) => {
                        sent.datagrams += 1;
                        sent.bytes += len as u64;
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        sent.queue_full += 1;
                    }
                    Err(_) => sent.failed += 1,
                }
                offset += len;
            }
        }
    }

    /// Sends one piece to the peer of message `index`, as one datagram.
    fn call_one(&mut self, socket: &Socket, index: usize, piece: usize) -> io::Result<()> {
        let message = &mut self.messages[index];
        let header = &mut self.headers[index].msg_hdr;
        header.msg_name = (&raw mut message.address).cast();
        header.msg_iov = &raw mut self.pieces[piece];
        header.msg_iovlen = 1;
        header.msg_control = message.control.as_mut_ptr();
        header.msg_controllen = message.control_used as _;
        // SAFETY: as in `call`; the piece is a part of one that `load` took.
        let result = unsafe { libc::sendmsg(socket.as_raw_fd(), header, 0) };
        if result < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    }
}

/// `struct in_pktinfo` or `struct in6_pktinfo`: send from this address.
fn push_local(control: &mut Control, used: usize, local: Local) -> usize {
    match local.address {
        IpAddr::V4(ip) => {
            let mut info = [0; 12];
            info[..4].copy_from_slice(&local.interface.to_ne_bytes());
            info[4..8].copy_from_slice(&ip.octets());
            control.push(used, libc::IPPROTO_IP, libc::IP_PKTINFO, &info)
        }
        IpAddr::V6(ip) => {
            let mut info = [0; 20];
            info[..16].copy_from_slice(&ip.octets());
            info[16..].copy_from_slice(&local.interface.to_ne_bytes());
            control.push(used, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info)
        }
    }
}
