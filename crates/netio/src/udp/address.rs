//! Socket addresses as the kernel lays them out (`sockaddr_in`, `sockaddr_in6` of Linux).

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

const V4_LEN: usize = 16;
const V6_LEN: usize = 28;

/// Room for either address, with the alignment of the larger.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(4))]
pub(super) struct RawAddress([u8; V6_LEN]);

impl RawAddress {
    /// Size in bytes of the room.
    pub(super) const CAPACITY: usize = V6_LEN;

    /// Writes `address` and returns how many bytes of the room it takes.
    pub(super) fn set(&mut self, address: &SocketAddr) -> usize {
        let raw = &mut self.0;
        raw[2..4].copy_from_slice(&address.port().to_be_bytes());
        match address {
            SocketAddr::V4(v4) => {
                raw[0..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
                raw[4..8].copy_from_slice(&v4.ip().octets());
                raw[8..V4_LEN].fill(0);
                V4_LEN
            }
            SocketAddr::V6(v6) => {
                raw[0..2].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
                // The kernel's field is in network order; std keeps the number as it came.
                raw[4..8].copy_from_slice(&v6.flowinfo().to_ne_bytes());
                raw[8..24].copy_from_slice(&v6.ip().octets());
                raw[24..28].copy_from_slice(&v6.scope_id().to_ne_bytes());
                V6_LEN
            }
        }
    }

    /// The address that the kernel wrote in `len` bytes; none for a family that is not IP.
    pub(super) fn get(&self, len: usize) -> Option<SocketAddr> {
        let raw = &self.0;
        let family = i32::from(u16::from_ne_bytes([raw[0], raw[1]]));
        let port = u16::from_be_bytes([raw[2], raw[3]]);
        if family == libc::AF_INET && len >= V4_LEN {
            let ip = Ipv4Addr::new(raw[4], raw[5], raw[6], raw[7]);
            Some(SocketAddrV4::new(ip, port).into())
        } else if family == libc::AF_INET6 && len >= V6_LEN {
            let flowinfo = u32::from_ne_bytes(*raw[4..].first_chunk()?);
            let ip = Ipv6Addr::from(*raw[8..].first_chunk::<16>()?);
            let scope_id = u32::from_ne_bytes(*raw[24..].first_chunk()?);
            Some(SocketAddrV6::new(ip, port, flowinfo, scope_id).into())
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_survives_its_layout_and_takes_the_room_that_socket2_says() {
        for text in [
            "127.0.0.1:9000",
            "255.255.255.255:65535",
            "[::1]:1",
            "[fe80::1%3]:9",
        ] {
            let address: SocketAddr = text.parse().unwrap();
            let mut raw = RawAddress::default();
            let len = raw.set(&address);
            assert_eq!(raw.get(len), Some(address), "{text}");
            assert_eq!(
                len,
                socket2::SockAddr::from(address).len() as usize,
                "{text}"
            );
        }
    }

    #[test]
    fn an_address_of_another_family_or_cut_short_is_none() {
        let mut raw = RawAddress::default();
        assert_eq!(raw.get(0), None);
        raw.set(&"127.0.0.1:1".parse().unwrap());
        assert_eq!(raw.get(15), None);
        raw.set(&"[::1]:1".parse().unwrap());
        assert_eq!(raw.get(27), None);
    }
}
