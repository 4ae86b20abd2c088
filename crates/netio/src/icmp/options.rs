//! The socket options that no crate has a safe call for.
#![expect(unsafe_code, reason = "setsockopt for options that no crate wraps")]

use std::ffi::c_int;
use std::io;
use std::mem::size_of;
use std::os::fd::AsRawFd;

use netproto::icmp::Version;
use socket2::Socket;

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

/// Has the kernel tell each packet's TTL or hop limit.
pub(super) fn tell_ttl(socket: &Socket, version: Version) -> io::Result<()> {
    match version {
        Version::V4 => set(socket, libc::SOL_IP, libc::IP_RECVTTL, 1),
        Version::V6 => socket.set_recv_hoplimit_v6(true),
    }
}

/// Has the kernel queue the ICMP errors that concern this socket's packets.
pub(super) fn queue_errors(socket: &Socket, version: Version) -> io::Result<()> {
    match version {
        Version::V4 => set(socket, libc::SOL_IP, libc::IP_RECVERR, 1),
        Version::V6 => set(socket, libc::SOL_IPV6, libc::IPV6_RECVERR, 1),
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

/// Lets a raw ICMP socket see only echo replies and errors, not every ICMP message of the host.
pub(super) fn see_only_answers(socket: &Socket, version: Version) -> io::Result<()> {
    match version {
        Version::V4 => {
            // A set bit blocks the type: all but reply, unreachable, source quench, redirect,
            // time exceeded, parameter problem.
            let seen = [0, 3, 4, 5, 11, 12].map(|kind| 1_u32 << kind);
            let blocked = !seen.iter().sum::<u32>();
            set(socket, SOL_RAW, ICMP_FILTER, blocked)
        }
        Version::V6 => {
            let mut blocked = [u32::MAX; 8];
            for kind in [1_usize, 2, 3, 4, 129] {
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
    let len = size_of::<T>() as libc::socklen_t;
    // SAFETY: `address` points to `len` initialised bytes of `value`, which outlives the call; the
    // kernel copies them and keeps no pointer. The descriptor is open, for `socket` is borrowed.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, address, len) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
