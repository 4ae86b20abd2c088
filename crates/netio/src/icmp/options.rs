//! The socket options that no crate has a safe call for.
#![expect(unsafe_code, reason = "setsockopt for options that no crate wraps")]

use std::ffi::c_int;
use std::io;
use std::mem::size_of;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;

use netproto::icmp::Version;
use socket2::{SockFilter, Socket};

/// `SOL_RAW` and its option, from `linux/icmp.h`; libc has no names for them.
const SOL_RAW: c_int = 255;
const ICMP_FILTER: c_int = 1;
/// From `linux/icmpv6.h`.
const ICMPV6_FILTER: c_int = 1;

/// Has the kernel stamp packets in software as they arrive and, if `departures` are wanted, with an
/// id that counts the sends, as they leave (Documentation/networking/timestamping.rst).
pub(super) fn stamp_packets(socket: &Socket, departures: bool) -> io::Result<()> {
    let level = libc::SOL_SOCKET;
    let arrivals = libc::SOF_TIMESTAMPING_SOFTWARE | libc::SOF_TIMESTAMPING_RX_SOFTWARE;
    if !departures {
        return set(socket, level, libc::SO_TIMESTAMPING, arrivals);
    }
    let flags = arrivals | libc::SOF_TIMESTAMPING_TX_SOFTWARE | libc::SOF_TIMESTAMPING_OPT_TSONLY;
    // The kernel starts to count the ids again when the option goes from off to on.
    set(socket, level, libc::SO_TIMESTAMPING, flags)?;
    let with_ids = flags | libc::SOF_TIMESTAMPING_OPT_ID;
    set(socket, level, libc::SO_TIMESTAMPING, with_ids)
}

/// What a user may ask of the packets besides their TTL; nothing is asked by default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tuning {
    /// The IPv4 TOS octet or IPv6 traffic class: DSCP and ECN (RFC 2474, RFC 3168).
    pub traffic_class: Option<u8>,
    /// What is done about the path's MTU.
    pub path_mtu: Option<PathMtu>,
    /// The mark of the packets, for policy routing; takes CAP_NET_ADMIN.
    pub mark: Option<u32>,
    /// Whether broadcast addresses may be sent to.
    pub broadcast: bool,
    /// Whether multicast is kept from coming back to this host.
    pub no_multicast_loop: bool,
}

/// What is done about the path's MTU (ip(7), IP_MTU_DISCOVER).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathMtu {
    /// Never fragment; refuse what is larger than the known MTU of the path.
    Do,
    /// Fragment by the known MTU of the path.
    Want,
    /// Leave "don't fragment" off.
    Dont,
    /// Never fragment, whatever is known of the path.
    Probe,
}

/// Sets what is asked for.
pub(super) fn tune(socket: &Socket, version: Version, tuning: &Tuning) -> io::Result<()> {
    if let Some(class) = tuning.traffic_class {
        match version {
            Version::V4 => socket.set_tos_v4(u32::from(class))?,
            Version::V6 => socket.set_tclass_v6(u32::from(class))?,
        }
    }
    if let Some(path_mtu) = tuning.path_mtu {
        // The values of IPv6 are the same.
        let value = match path_mtu {
            PathMtu::Do => libc::IP_PMTUDISC_DO,
            PathMtu::Want => libc::IP_PMTUDISC_WANT,
            PathMtu::Dont => libc::IP_PMTUDISC_DONT,
            PathMtu::Probe => libc::IP_PMTUDISC_PROBE,
        };
        match version {
            Version::V4 => set(socket, libc::SOL_IP, libc::IP_MTU_DISCOVER, value)?,
            Version::V6 => set(socket, libc::SOL_IPV6, libc::IPV6_MTU_DISCOVER, value)?,
        }
    }
    if let Some(mark) = tuning.mark {
        socket.set_mark(mark)?;
    }
    if tuning.broadcast {
        socket.set_broadcast(true)?;
    }
    if tuning.no_multicast_loop {
        match version {
            Version::V4 => socket.set_multicast_loop_v4(false)?,
            Version::V6 => socket.set_multicast_loop_v6(false)?,
        }
    }
    Ok(())
}

/// Keeps the echo replies of others from a raw socket: a classic BPF program that lets through
/// what is no reply, and replies with this identifier.
pub(super) fn see_only_replies_to(
    socket: &Socket,
    version: Version,
    identifier: u16,
) -> io::Result<()> {
    // linux/bpf_common.h: class, size and mode of each instruction.
    const X_IS_IP_HEADER_LEN: u16 = 0xb1; // BPF_LDX | BPF_B | BPF_MSH
    const X_IS: u16 = 0x01; // BPF_LDX | BPF_W | BPF_IMM
    const LOAD_OCTET_AT_X: u16 = 0x50; // BPF_LD | BPF_B | BPF_IND
    const LOAD_TWO_AT_X: u16 = 0x48; // BPF_LD | BPF_H | BPF_IND
    const IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
    const RETURN: u16 = 0x06; // BPF_RET | BPF_K
    const EVERYTHING: u32 = u32::MAX;
    // A raw IPv4 socket sees the IP header, a raw IPv6 socket does not.
    let (begin, reply) = match version {
        Version::V4 => (SockFilter::new(X_IS_IP_HEADER_LEN, 0, 0, 0), 0),
        Version::V6 => (SockFilter::new(X_IS, 0, 0, 0), 129),
    };
    socket.attach_filter(&[
        begin,
        SockFilter::new(LOAD_OCTET_AT_X, 0, 0, 0),
        SockFilter::new(IF_EQUAL, 0, 2, reply),
        SockFilter::new(LOAD_TWO_AT_X, 0, 0, 4),
        SockFilter::new(IF_EQUAL, 0, 1, u32::from(identifier)),
        SockFilter::new(RETURN, 0, 0, EVERYTHING),
        SockFilter::new(RETURN, 0, 0, 0),
    ])
}

/// Lets a raw TCP socket see only segments to the ports from `first` to `last`.
pub(super) fn see_only_tcp_to(
    socket: &Socket,
    version: Version,
    first: u16,
    last: u16,
) -> io::Result<()> {
    const X_IS_IP_HEADER_LEN: u16 = 0xb1; // BPF_LDX | BPF_B | BPF_MSH
    const X_IS: u16 = 0x01; // BPF_LDX | BPF_W | BPF_IMM
    const LOAD_TWO_AT_X: u16 = 0x48; // BPF_LD | BPF_H | BPF_IND
    const IF_LESS_NOT: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
    const IF_GREATER: u16 = 0x25; // BPF_JMP | BPF_JGT | BPF_K
    const RETURN: u16 = 0x06; // BPF_RET | BPF_K
    let begin = match version {
        Version::V4 => SockFilter::new(X_IS_IP_HEADER_LEN, 0, 0, 0),
        Version::V6 => SockFilter::new(X_IS, 0, 0, 0),
    };
    socket.attach_filter(&[
        begin,
        SockFilter::new(LOAD_TWO_AT_X, 0, 0, 2),
        SockFilter::new(IF_LESS_NOT, 0, 2, u32::from(first)),
        SockFilter::new(IF_GREATER, 1, 0, u32::from(last)),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ])
}

/// Sends by way of these routers (RFC 791 §3.1, loose source and record route).
pub(super) fn route_by(socket: &Socket, gateways: &[Ipv4Addr], target: Ipv4Addr) -> io::Result<()> {
    const NO_OPERATION: u8 = 1;
    const LOOSE_SOURCE_ROUTE: u8 = 131;
    const FIRST_ADDRESS: u8 = 4;
    let hops = gateways.iter().copied().chain([target]);
    let len = 3 + 4 * (gateways.len() + 1);
    // The no-op aligns the addresses.
    let mut option = vec![NO_OPERATION, LOOSE_SOURCE_ROUTE, len as u8, FIRST_ADDRESS];
    option.extend(hops.flat_map(|hop| hop.octets()));
    set_bytes(socket, libc::SOL_IP, libc::IP_OPTIONS, &option)
}

/// Has the kernel tell each packet's TTL or hop limit.
pub(super) fn tell_ttl(socket: &Socket, version: Version) -> io::Result<()> {
    match version {
        Version::V4 => set(socket, libc::SOL_IP, libc::IP_RECVTTL, 1),
        Version::V6 => socket.set_recv_hoplimit_v6(true),
    }
}

/// Whether the kernel queues the ICMP errors that concern this socket's packets.
pub(super) fn queue_errors(socket: &Socket, version: Version, queued: bool) -> io::Result<()> {
    let value = c_int::from(queued);
    match version {
        Version::V4 => set(socket, libc::SOL_IP, libc::IP_RECVERR, value),
        Version::V6 => set(socket, libc::SOL_IPV6, libc::IPV6_RECVERR, value),
    }
}

/// Leaves the "don't fragment" bit off and ignores what is known of the path's MTU.
pub(super) fn allow_fragments(socket: &Socket, version: Version) -> io::Result<()> {
    let (level, option, value) = match version {
        Version::V4 => (libc::SOL_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DONT),
        Version::V6 => (
            libc::SOL_IPV6,
            libc::IPV6_MTU_DISCOVER,
            libc::IPV6_PMTUDISC_DONT,
        ),
    };
    set(socket, level, option, value)
}

/// Lets a raw ICMP socket see only errors and, where they are asked for, echo replies; not every
/// ICMP message of the host.
pub(super) fn see_only_answers(socket: &Socket, version: Version, replies: bool) -> io::Result<()> {
    match version {
        Version::V4 => {
            // A set bit blocks the type: all but reply, unreachable, source quench, redirect,
            // time exceeded, parameter problem. There are bits for the first 32 types only, so
            // that replies to extended echo (43) pass.
            let errors = [3, 4, 5, 11, 12].map(|kind| 1_u32 << kind);
            let blocked = !(errors.iter().sum::<u32>() | u32::from(replies));
            set(socket, SOL_RAW, ICMP_FILTER, blocked)
        }
        Version::V6 => {
            let mut blocked = [u32::MAX; 8];
            // All errors; the replies to echo and extended echo.
            let errors = [1_usize, 2, 3, 4];
            let replies = [129, 161].into_iter().filter(|_| replies);
            for kind in errors.into_iter().chain(replies) {
                blocked[kind / 32] &= !(1 << (kind % 32));
            }
            set(socket, libc::IPPROTO_ICMPV6, ICMPV6_FILTER, blocked)
        }
    }
}

/// Sets an option whose value is a plain number or an array of them.
fn set<T: Copy + 'static>(
    socket: &Socket,
    level: c_int,
    option: c_int,
    value: T,
) -> io::Result<()> {
    let address = (&raw const value).cast();
    // SAFETY: `value` is initialised, lives in this frame and is as long as it is.
    unsafe { set_raw(socket, level, option, address, size_of::<T>()) }
}

/// Sets an option whose value is a string of octets.
fn set_bytes(socket: &Socket, level: c_int, option: c_int, value: &[u8]) -> io::Result<()> {
    // SAFETY: the slice is initialised, borrowed for the call, and as long as it says.
    unsafe { set_raw(socket, level, option, value.as_ptr().cast(), value.len()) }
}

/// # Safety
/// `address` must point to `len` initialised octets that live until this returns.
unsafe fn set_raw(
    socket: &Socket,
    level: c_int,
    option: c_int,
    address: *const libc::c_void,
    len: usize,
) -> io::Result<()> {
    let len = len as libc::socklen_t;
    // SAFETY: the caller vouches for `address` and `len`; the kernel copies the octets and keeps
    // no pointer. The descriptor is open, for `socket` is borrowed.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, address, len) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
