//! What the kernel knows of a TCP connection: how much of what was sent the other side has taken,
//! and how long a round trip takes.

#![expect(unsafe_code, reason = "no crate wraps getsockopt for TCP_INFO")]

use std::mem::{offset_of, size_of};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

/// Some of tcp(7), TCP_INFO.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpInfo {
    /// The bytes that the other side has acknowledged since the connection began (RFC 4898,
    /// tcpEStatsAppHCThruOctetsAcked).
    pub bytes_acknowledged: u64,
    /// The smoothed round-trip time of what this side sends (RFC 6298); `None` before the first
    /// sample.
    pub round_trip: Option<Duration>,
    /// The same as the receiver of much data estimates it, from the timestamps that come back to
    /// it (RFC 7323); `None` before the first sample.
    pub receive_round_trip: Option<Duration>,
}

impl TcpInfo {
    /// Asks the kernel. None if the system does not tell.
    pub fn of(socket: impl AsFd) -> Option<TcpInfo> {
        let info = read(socket)?;
        let time = |micros: u32| (micros > 0).then(|| Duration::from_micros(micros.into()));
        Some(TcpInfo {
            bytes_acknowledged: info.tcpi_bytes_acked,
            round_trip: time(info.tcpi_rtt),
            receive_round_trip: time(info.tcpi_rcv_rtt),
        })
    }
}

fn read(socket: impl AsFd) -> Option<libc::tcp_info> {
    // SAFETY: a C structure of integers, for which all zeroes is valid.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: the descriptor is borrowed, and so open; the kernel writes at most `length` bytes to
    // `info`, which is as long, and says in `length` how many; both outlive the call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &raw mut length,
        )
    };
    // A kernel before 4.1 fills less of it.
    let end = offset_of!(libc::tcp_info, tcpi_bytes_acked) + size_of::<u64>();
    (result == 0 && length as usize >= end).then_some(info)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::time::{Duration, Instant};

    use super::*;

    fn bytes_acknowledged(socket: impl AsFd) -> Option<u64> {
        TcpInfo::of(socket).map(|info| info.bytes_acknowledged)
    }

    #[test]
    fn what_the_other_side_has_acknowledged_is_told_to_the_byte() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut far, _) = listener.accept().unwrap();
        let before = bytes_acknowledged(&near).unwrap();
        near.write_all(&[0; 1000]).unwrap();
        far.read_exact(&mut [0; 1000]).unwrap();
        let end = Instant::now() + Duration::from_secs(5);
        while bytes_acknowledged(&near) != Some(before + 1000) {
            assert!(Instant::now() < end, "{:?}", bytes_acknowledged(&near));
            std::thread::sleep(Duration::from_millis(1));
        }
        // Over loopback the handshake alone tells how long a round trip takes: well below a second.
        let round_trip = TcpInfo::of(&near).unwrap().round_trip.unwrap();
        assert!(round_trip < Duration::from_secs(1), "{round_trip:?}");
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(bytes_acknowledged(&udp), None);
    }
}
