//! Many datagrams in one system call, into buffers made once.

use std::io;
use std::mem::zeroed;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::os::fd::AsRawFd;

use super::address::RawAddress;
use super::control::{self, Control};
use super::{BATCH, Local, Socket, Train};

/// Room for the largest datagram and the largest train: the length field of UDP has 16 bits.
const SLOT: usize = 65_536;

/// From one slot to the next. Exactly [`SLOT`] would put the beginnings of all slots, where small
/// datagrams lie, into the same set of the processor's cache.
const STRIDE: usize = SLOT + 320;

/// Buffers for [`BATCH`] trains, from one socket or from several. The memory, 4 MiB, is only taken
/// from the system as far as datagrams have filled it.
#[derive(Debug)]
pub struct ReceiveBatch {
    payloads: Box<[u8]>,
    slots: Box<[Slot]>,
    headers: Box<[libc::mmsghdr]>,
    filled: usize,
}

/// What the kernel writes beside the payload.
#[derive(Clone, Copy, Debug)]
struct Slot {
    address: RawAddress,
    control: Control,
    iovec: libc::iovec,
}

impl ReceiveBatch {
    /// Empty buffers.
    #[expect(
        clippy::new_without_default,
        reason = "it takes 4 MiB, which no derive should do unseen"
    )]
    pub fn new() -> ReceiveBatch {
        // SAFETY: both are C structures of integers and pointers, for which all zeroes is valid.
        let (header, iovec): (libc::mmsghdr, libc::iovec) = unsafe { (zeroed(), zeroed()) };
        let slot = Slot {
            address: RawAddress::default(),
            control: Control::default(),
            iovec,
        };
        ReceiveBatch {
            payloads: vec![0; BATCH * STRIDE].into_boxed_slice(),
            slots: vec![slot; BATCH].into_boxed_slice(),
            headers: vec![header; BATCH].into_boxed_slice(),
            filled: 0,
        }
    }

    /// Forgets what was received.
    pub fn clear(&mut self) {
        self.filled = 0;
    }

    /// How many more trains fit.
    pub fn room(&self) -> usize {
        BATCH - self.filled
    }

    /// Receives what `socket` has, behind what is already here, and returns the places of the new
    /// trains: at least one. Fewer than there was room for were all.
    ///
    /// # Errors
    /// `WouldBlock` when the socket has nothing or no room is left; on a connected socket also what
    /// an ICMP message reported of an earlier send (`ConnectionRefused`).
    pub fn receive(&mut self, socket: &Socket) -> io::Result<Range<usize>> {
        self.receive_up_to(BATCH, socket)
    }

    /// As [`ReceiveBatch::receive`], but no more than `most` trains: who asks many sockets for a few
    /// each does not have room made for more.
    pub fn receive_up_to(&mut self, most: usize, socket: &Socket) -> io::Result<Range<usize>> {
        let first = self.filled;
        let end = BATCH.min(first + most);
        if first == end {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        for index in first..end {
            let slot = &mut self.slots[index];
            slot.iovec.iov_base = self.payloads[index * STRIDE..].as_mut_ptr().cast();
            slot.iovec.iov_len = SLOT;
            let header = &mut self.headers[index].msg_hdr;
            header.msg_name = (&raw mut slot.address).cast();
            header.msg_namelen = RawAddress::CAPACITY as _;
            header.msg_iov = &raw mut slot.iovec;
            header.msg_iovlen = 1;
            header.msg_control = slot.control.as_mut_ptr();
            header.msg_controllen = Control::CAPACITY as _;
        }
        let headers = &mut self.headers[first..end];
        // SAFETY: the descriptor is open; each header points to an address, a control buffer and
        // one part of `payloads`, with their lengths, all of which `self` owns and nothing else
        // refers to while this borrows it mutably.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                headers.len() as _,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        if received < 0 {
            return Err(io::Error::last_os_error());
        }
        self.filled = first + received as usize;
        if let Some(last) = self.filled.checked_sub(1) {
            self.note_kernel_drops(last, socket);
        }
        Ok(first..self.filled)
    }

    /// The trains at `places`, as [`ReceiveBatch::receive`] returned them.
    pub fn trains(&self, places: Range<usize>) -> impl Iterator<Item = Train<'_>> {
        let end = places.end.min(self.filled);
        (places.start..end).map(|index| self.train(index))
    }

    /// The datagrams at `places` that may be altered: all of each train whose first one is `wanted`.
    /// What is received at once comes from one peer, which sends one kind of datagram.
    pub(super) fn datagrams_mut(
        &mut self,
        places: Range<usize>,
        wanted: impl Fn(&[u8]) -> bool,
    ) -> impl Iterator<Item = &mut [u8]> {
        let end = places.end.min(self.filled);
        let (slots, headers) = (&self.slots, &self.headers);
        let payloads = self.payloads.chunks_exact_mut(STRIDE).enumerate();
        let chosen = payloads.take(end).skip(places.start);
        chosen.flat_map(move |(index, payload)| {
            let (slot, message) = (&slots[index], &headers[index]);
            let payload = &mut payload[..(message.msg_len as usize).min(SLOT)];
            if !wanted(payload) {
                return [].chunks_mut(1);
            }
            let size = segment_size(slot, &message.msg_hdr).unwrap_or(payload.len());
            payload.chunks_mut(size.max(1))
        })
    }

    fn train(&self, index: usize) -> Train<'_> {
        let (slot, message) = (&self.slots[index], &self.headers[index]);
        let start = index * STRIDE;
        let payload = &self.payloads[start..start + (message.msg_len as usize).min(SLOT)];
        let header = &message.msg_hdr;
        let mut train = Train::one(slot.address.get(header.msg_namelen as usize), payload);
        for (level, kind, data) in slot.control.messages(header.msg_controllen as _) {
            match (level, kind) {
                (libc::SOL_UDP, libc::UDP_GRO) => {
                    let size = control::int(data).unwrap_or(0) as usize;
                    train.segment_size = if size == 0 { payload.len() } else { size };
                }
                (libc::IPPROTO_IP, libc::IP_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
                    train.hop_limit = control::int(data).and_then(|hops| u8::try_from(hops).ok());
                }
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => train.local = local_v4(data),
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => train.local = local_v6(data),
                _ => {}
            }
        }
        train
    }

    /// The counter comes with every datagram once it is not 0, so the last has the newest.
    fn note_kernel_drops(&self, index: usize, socket: &Socket) {
        let used = self.headers[index].msg_hdr.msg_controllen as _;
        for (level, kind, data) in self.slots[index].control.messages(used) {
            if (level, kind) == (libc::SOL_SOCKET, libc::SO_RXQ_OVFL)
                && let Some(drops) = control::int(data)
            {
                socket.note_kernel_drops(drops.cast_unsigned());
            }
        }
    }
}

/// The size that the kernel says it joined datagrams at.
fn segment_size(slot: &Slot, header: &libc::msghdr) -> Option<usize> {
    let mut messages = slot.control.messages(header.msg_controllen as _);
    let (.., data) =
        messages.find(|(level, kind, _)| (*level, *kind) == (libc::SOL_UDP, libc::UDP_GRO))?;
    usize::try_from(control::int(data)?)
        .ok()
        .filter(|size| *size > 0)
}

/// `struct in_pktinfo`: the interface, the local address that would answer, the address that the
/// datagram was sent to.
fn local_v4(data: &[u8]) -> Option<Local> {
    let answering = Ipv4Addr::from(*data.get(4..)?.first_chunk::<4>()?);
    let sent_to = Ipv4Addr::from(*data.get(8..)?.first_chunk::<4>()?);
    Some(Local {
        address: IpAddr::V4(answering),
        interface: 0,
        shared: answering != sent_to,
    })
}

/// `struct in6_pktinfo`: the address that the datagram was sent to, the interface.
fn local_v6(data: &[u8]) -> Option<Local> {
    let address = Ipv6Addr::from(*data.first_chunk::<16>()?);
    let interface = u32::from_ne_bytes(*data.get(16..)?.first_chunk()?);
    Some(Local {
        address: IpAddr::V6(address),
        // Only a link-local address needs it, and elsewhere the way back may be another.
        interface: if address.is_unicast_link_local() {
            interface
        } else {
            0
        },
        shared: address.is_multicast(),
    })
}
