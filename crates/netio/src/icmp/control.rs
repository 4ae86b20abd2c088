//! Control messages: what the kernel says about a packet beside its bytes.

use std::mem::size_of;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::stamp::software_stamp;

/// Room for a timestamp, a TTL and an extended error with its offender's address, thrice over.
pub(super) const CONTROL_LEN: usize = 512;

const HEADER_LEN: usize = size_of::<libc::cmsghdr>();
const ALIGNMENT: usize = size_of::<usize>();

/// What the control messages of one packet said.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Control {
    /// The kernel's software timestamp, since the Unix epoch.
    pub(super) stamp: Option<Duration>,
    /// The packet's TTL or hop limit.
    pub(super) ttl: Option<u8>,
    /// Why the packet is on the error queue.
    pub(super) error: Option<ExtendedError>,
}

/// The kernel's `struct sock_extended_err`, and the address after it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ExtendedError {
    pub(super) errno: i32,
    pub(super) origin: u8,
    pub(super) kind: u8,
    pub(super) code: u8,
    pub(super) info: u32,
    pub(super) data: u32,
    /// Who sent the ICMP error.
    pub(super) offender: Option<IpAddr>,
}

impl Control {
    /// Reads the control buffer as far as the kernel filled it.
    pub(super) fn read(mut buffer: &[u8]) -> Control {
        let mut control = Control::default();
        while let Some((level, kind, data, rest)) = next(buffer) {
            match (level, kind) {
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPING) => control.stamp = software_stamp(data),
                (libc::SOL_IP, libc::IP_TTL) | (libc::SOL_IPV6, libc::IPV6_HOPLIMIT) => {
                    control.ttl = word(data, 0).and_then(|ttl| u8::try_from(ttl).ok());
                }
                (libc::SOL_IP, libc::IP_RECVERR) | (libc::SOL_IPV6, libc::IPV6_RECVERR) => {
                    control.error = extended_error(data);
                }
                _ => {}
            }
            buffer = rest;
        }
        control
    }
}

/// Level, type and data of the first control message, and what follows it (cmsg(3)).
fn next(buffer: &[u8]) -> Option<(libc::c_int, libc::c_int, &[u8], &[u8])> {
    let (len, after) = buffer.split_first_chunk::<{ size_of::<usize>() }>()?;
    let len = usize::from_ne_bytes(*len);
    let level = word(after, 0)?;
    let kind = word(after, 4)?;
    let data = buffer.get(HEADER_LEN..len)?;
    let rest = buffer.get(len.next_multiple_of(ALIGNMENT)..);
    Some((
        level.cast_signed(),
        kind.cast_signed(),
        data,
        rest.unwrap_or_default(),
    ))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_ne_bytes(*bytes))
}

fn extended_error(data: &[u8]) -> Option<ExtendedError> {
    let &[origin, kind, code, _] = data.get(4..8)?.first_chunk()?;
    Some(ExtendedError {
        errno: word(data, 0)?.cast_signed(),
        origin,
        kind,
        code,
        info: word(data, 8)?,
        data: word(data, 12)?,
        offender: data.get(16..).and_then(socket_address),
    })
}

/// The address in a `struct sockaddr_in` or `sockaddr_in6`.
fn socket_address(bytes: &[u8]) -> Option<IpAddr> {
    let family = u16::from_ne_bytes(*bytes.first_chunk()?);
    match i32::from(family) {
        libc::AF_INET => {
            let octets: [u8; 4] = *bytes.get(4..)?.first_chunk()?;
            Some(Ipv4Addr::from(octets).into())
        }
        libc::AF_INET6 => {
            let octets: [u8; 16] = *bytes.get(8..)?.first_chunk()?;
            Some(Ipv6Addr::from(octets).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(level: i32, kind: i32, data: &[u8]) -> Vec<u8> {
        let len = HEADER_LEN + data.len();
        let mut bytes = len.to_ne_bytes().to_vec();
        bytes.extend(level.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(data);
        bytes.resize(len.next_multiple_of(ALIGNMENT), 0);
        bytes
    }

    #[test]
    fn a_ttl_behind_a_timestamp_is_found() {
        let mut stamp = Vec::new();
        for value in [7, 5, 0, 0, 0, 0] {
            stamp.extend(libc::c_long::to_ne_bytes(value));
        }
        let mut buffer = message(libc::SOL_SOCKET, libc::SCM_TIMESTAMPING, &stamp);
        buffer.extend(message(libc::SOL_IP, libc::IP_TTL, &64_u32.to_ne_bytes()));
        let control = Control::read(&buffer);
        assert_eq!(control.stamp, Some(Duration::new(7, 5)));
        assert_eq!(control.ttl, Some(64));
    }

    #[test]
    fn a_cut_off_or_hostile_buffer_ends_the_reading() {
        let whole = message(libc::SOL_IP, libc::IP_TTL, &64_u32.to_ne_bytes());
        for len in 0..HEADER_LEN + 4 {
            assert_eq!(Control::read(&whole[..len]), Control::default(), "{len}");
        }
        for len in [0, 1, usize::MAX] {
            let mut hostile = whole.clone();
            hostile[..ALIGNMENT].copy_from_slice(&len.to_ne_bytes());
            assert_eq!(Control::read(&hostile), Control::default(), "{len}");
        }
    }
}
