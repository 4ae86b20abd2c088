//! A datagram socket with the kernel's timestamps, TTLs and error queue.
#![expect(unsafe_code, reason = "socket2 reads into uninitialised memory only")]

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use netproto::icmp::{Reason, Version};
use socket2::{MaybeUninitSlice, MsgHdr, MsgHdrMut, SockAddr, Socket};

use super::control::{CONTROL_LEN, Control, ExtendedError};
use super::open::SocketKind;
use super::options;
use crate::stamp::{KernelClock, Reading, Stamp, StampSource};

/// The largest IP datagram; no read is larger.
pub const LARGEST_DATAGRAM: usize = 65_535;
/// So much is taken straight from the kernel, which gives a page when it is first touched. Out of the
/// heap, the room that a socket may need would be zeroed before anything came.
const BUFFER_LEN: usize = 1 << 17;

/// An ICMP or UDP socket that never blocks.
#[derive(Debug)]
pub struct Endpoint {
    socket: Socket,
    version: Version,
    kind: SocketKind,
    has_error_queue: bool,
    identifier: u16,
    clock: KernelClock,
    buffer: Vec<u8>,
    /// How many datagrams were sent: the next send's id.
    sent: u32,
    /// The id of the send with which the kernel began to count.
    first_stamped: u32,
    stamps_departures: bool,
    ttl: Option<u8>,
}

/// A datagram was handed to the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// By which [`Notice::Transmitted`] names it.
    pub id: u32,
    /// Just before the call.
    pub at: Instant,
}

/// A datagram that arrived.
#[derive(Debug)]
pub struct Received<'a> {
    /// Who sent it.
    pub from: SocketAddr,
    /// The ICMP message (without its IP header, whatever the kind of socket) or UDP payload.
    pub bytes: &'a [u8],
    /// Its TTL or hop limit as it arrived.
    pub ttl: Option<u8>,
    /// When it arrived.
    pub stamp: Stamp,
}

/// What the error queue told.
#[derive(Debug)]
pub enum Notice<'a> {
    /// A datagram left this host's driver.
    Transmitted {
        /// Which one: [`Sent::id`].
        id: u32,
        /// When.
        at: Instant,
    },
    /// An ICMP error came back for a datagram.
    Refused {
        /// Who sent the error.
        offender: IpAddr,
        /// What it says.
        reason: Reason,
        /// Where the datagram was going.
        destination: SocketAddr,
        /// What the error quoted of the datagram: from the ICMP header on for an ICMP socket,
        /// from the payload on for a UDP socket.
        quoted: &'a [u8],
        /// The TTL or hop limit of the error itself.
        ttl: Option<u8>,
        /// When it arrived.
        stamp: Stamp,
    },
    /// This host's kernel refused to send, as for a datagram larger than the route takes.
    Local {
        /// The error.
        error: io::Error,
        /// The MTU, where that is what was wrong.
        mtu: u32,
    },
}

impl Endpoint {
    pub(super) fn new(
        socket: Socket,
        version: Version,
        kind: SocketKind,
        identifier: u16,
    ) -> io::Result<Endpoint> {
        options::stamp_packets(&socket, true)?;
        options::tell_ttl(&socket, version)?;
        if kind.has_error_queue() {
            options::queue_errors(&socket, version, true)?;
        }
        Ok(Endpoint {
            socket,
            version,
            kind,
            has_error_queue: kind.has_error_queue(),
            identifier,
            clock: KernelClock::default(),
            buffer: vec![0; BUFFER_LEN],
            sent: 0,
            first_stamped: 0,
            stamps_departures: true,
            ttl: None,
        })
    }

    pub(super) const fn socket(&self) -> &Socket {
        &self.socket
    }

    /// The kind of socket that the kernel granted.
    pub const fn kind(&self) -> SocketKind {
        self.kind
    }

    /// The IP version that it speaks.
    pub const fn version(&self) -> Version {
        self.version
    }

    /// For ICMP, the identifier that its echo requests must carry; for UDP, the source port.
    pub const fn identifier(&self) -> u16 {
        self.identifier
    }

    /// Sends with the given TTL or hop limit from here on.
    pub fn set_ttl(&mut self, ttl: u8) -> io::Result<()> {
        if self.ttl == Some(ttl) {
            return Ok(());
        }
        match self.version {
            Version::V4 => self.socket.set_ttl_v4(u32::from(ttl))?,
            Version::V6 => self.socket.set_unicast_hops_v6(u32::from(ttl))?,
        }
        self.ttl = Some(ttl);
        Ok(())
    }

    /// Has the kernel say no more when datagrams leave: at a hundred thousand a second, hearing it
    /// takes as long as receiving the answers.
    pub fn ignore_departures(&mut self) -> io::Result<()> {
        self.stamps_departures = false;
        options::stamp_packets(&self.socket, false)
    }

    /// Has errors queued by a raw socket too: what the route's MTU is when a packet exceeds it.
    pub fn queue_errors(&mut self) -> io::Result<()> {
        self.has_error_queue = true;
        options::queue_errors(&self.socket, self.version, true)
    }

    /// Has no errors queued any more: who hears them elsewhere need not read them twice.
    pub fn ignore_errors(&mut self) -> io::Result<()> {
        self.has_error_queue = false;
        options::queue_errors(&self.socket, self.version, false)
    }

    /// Sends one datagram. `WouldBlock` means that the socket's buffer is full.
    pub fn send(&mut self, bytes: &[u8], to: SocketAddr) -> io::Result<Sent> {
        let address = SockAddr::from(to);
        let slices = [IoSlice::new(bytes)];
        let message = MsgHdr::new().with_addr(&address).with_buffers(&slices);
        let mut attempts = if self.has_error_queue { 2 } else { 1 };
        loop {
            attempts -= 1;
            let at = Instant::now();
            match self.socket.sendmsg(&message, libc::MSG_DONTWAIT) {
                Ok(_) => {
                    let id = self.sent;
                    self.sent = self.sent.wrapping_add(1);
                    return Ok(Sent { id, at });
                }
                Err(error) => {
                    // Whether a failed send used up a timestamp id differs between kernels.
                    options::stamp_packets(&self.socket, self.stamps_departures)?;
                    self.first_stamped = self.sent;
                    // With an error queue, an ICMP error that came in fails the next send, which
                    // has nothing to do with it; it is on the queue all the same.
                    if attempts == 0 {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// Takes the next datagram, if one is there.
    pub fn receive(&mut self) -> io::Result<Option<Received<'_>>> {
        let Some((len, from, control)) = self.read(0)? else {
            return Ok(None);
        };
        let stamp = self.clock.place(control.stamp, Reading::now());
        let bytes = &self.buffer[..len];
        let bytes = if self.kind.delivers_ip_header(self.version) {
            without_ipv4_header(bytes)
        } else {
            bytes
        };
        Ok(Some(Received {
            from,
            bytes,
            ttl: control.ttl,
            stamp,
        }))
    }

    /// Takes the next entry of the error queue, if one is there.
    pub fn notice(&mut self) -> io::Result<Option<Notice<'_>>> {
        loop {
            let Some((len, destination, control)) = self.read(libc::MSG_ERRQUEUE)? else {
                return Ok(None);
            };
            let Some(error) = control.error else {
                continue;
            };
            let stamp = self.clock.place(control.stamp, Reading::now());
            if let Some(notice) = self.understand(&error, stamp) {
                return Ok(Some(notice));
            }
            let (Some(offender), Some(reason)) = (error.offender, reason(self.version, &error))
            else {
                continue;
            };
            return Ok(Some(Notice::Refused {
                offender,
                reason,
                destination,
                quoted: &self.buffer[..len],
                ttl: control.ttl,
                stamp,
            }));
        }
    }

    /// A notice that this host itself made.
    fn understand(&self, error: &ExtendedError, stamp: Stamp) -> Option<Notice<'static>> {
        match error.origin {
            libc::SO_EE_ORIGIN_TIMESTAMPING if stamp.source == StampSource::Kernel => {
                let id = self.first_stamped.wrapping_add(error.data);
                Some(Notice::Transmitted { id, at: stamp.at })
            }
            libc::SO_EE_ORIGIN_LOCAL => Some(Notice::Local {
                error: io::Error::from_raw_os_error(error.errno),
                mtu: error.info,
            }),
            _ => None,
        }
    }

    fn read(&mut self, flags: i32) -> io::Result<Option<(usize, SocketAddr, Control)>> {
        // Replaced by the sender's address; of the longer kind, so that both fit.
        let mut address = SockAddr::from(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)));
        let mut control = [0; CONTROL_LEN];
        let mut slices = [MaybeUninitSlice::new(as_uninit(
            &mut self.buffer[..LARGEST_DATAGRAM],
        ))];
        let mut message = MsgHdrMut::new()
            .with_addr(&mut address)
            .with_buffers(&mut slices)
            .with_control(as_uninit(&mut control));
        let received = self
            .socket
            .recvmsg(&mut message, flags | libc::MSG_DONTWAIT);
        let filled = message.control_len().min(CONTROL_LEN);
        match received {
            Ok(len) => {
                let len = len.min(LARGEST_DATAGRAM);
                let from = address
                    .as_socket()
                    .unwrap_or_else(|| (Ipv6Addr::UNSPECIFIED, 0).into());
                Ok(Some((len, from, Control::read(&control[..filled]))))
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(None),
                // An ICMP error that is on the error queue as well.
                _ if self.has_error_queue => Ok(None),
                _ => Err(error),
            },
        }
    }
}

impl AsFd for Endpoint {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

const V4_PARAMETER_PROBLEM: u8 = 12;

/// What the kernel's extended error says, in the words of ICMP.
fn reason(version: Version, error: &ExtendedError) -> Option<Reason> {
    let expected = match version {
        Version::V4 => libc::SO_EE_ORIGIN_ICMP,
        Version::V6 => libc::SO_EE_ORIGIN_ICMP6,
    };
    if error.origin != expected {
        return None;
    }
    // The kernel gives the MTU or the pointer as a number; on the wire, IPv4's pointer is the
    // first of the four octets.
    let rest = match (version, error.kind) {
        (Version::V4, V4_PARAMETER_PROBLEM) => error.info << 24,
        _ => error.info,
    };
    Reason::from_wire(version, error.kind, error.code, rest.to_be_bytes())
}

/// Raw IPv4 sockets deliver the IP header too.
fn without_ipv4_header(packet: &[u8]) -> &[u8] {
    let words = packet.first().map_or(0, |octet| octet & 0x0f);
    packet.get(usize::from(words) * 4..).unwrap_or_default()
}

fn as_uninit(buffer: &mut [u8]) -> &mut [MaybeUninit<u8>] {
    let len = buffer.len();
    let start = buffer.as_mut_ptr().cast();
    // SAFETY: `MaybeUninit<u8>` has the layout of `u8`, and the borrow is handed on unchanged. The
    // slice goes only to `recvmsg`, which writes initialised bytes, so `buffer` stays initialised.
    unsafe { std::slice::from_raw_parts_mut(start, len) }
}
