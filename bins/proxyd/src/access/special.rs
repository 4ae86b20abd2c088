//! Addresses that are not of the public internet, and those that lead to them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses of the IANA special-purpose registries (RFC 6890) that no public server has, and what
/// they are for. The longest prefix comes first.
const SPECIAL_V4: [(Ipv4Addr, u32, &str); 15] = [
    (Ipv4Addr::BROADCAST, 32, "broadcast"),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "a protocol assignment"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "for documentation"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "a 6to4 relay"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "for documentation"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "for documentation"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "link-local"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "private"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "for benchmarks"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "private"),
    (Ipv4Addr::new(100, 64, 0, 0), 10, "shared (CGNAT)"),
    (Ipv4Addr::UNSPECIFIED, 8, "unspecified"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "private"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "loopback"),
    // 224/4 is multicast, 240/4 reserved.
    (Ipv4Addr::new(224, 0, 0, 0), 3, "multicast or reserved"),
];

/// As [`SPECIAL_V4`]; of what is not listed, only 2000::/3 is public.
const SPECIAL_V6: [(Ipv6Addr, u32, &str); 10] = [
    (Ipv6Addr::LOCALHOST, 128, "loopback"),
    (Ipv6Addr::UNSPECIFIED, 128, "unspecified"),
    (v6(0x64, 0xff9b, 1), 48, "for local translation (NAT64)"),
    (v6(0x2001, 0, 0), 23, "a protocol assignment"),
    (v6(0x2001, 0xdb8, 0), 32, "for documentation"),
    (v6(0x3fff, 0, 0), 20, "for documentation"),
    (v6(0xfe80, 0, 0), 10, "link-local"),
    (v6(0xfec0, 0, 0), 10, "site-local"),
    (v6(0xff00, 0, 0), 8, "multicast"),
    (v6(0xfc00, 0, 0), 7, "unique local"),
];

const fn v6(a: u16, b: u16, c: u16) -> Ipv6Addr {
    Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0)
}

/// What kind of address this is, if it is not of the public internet, or leads to one that is not.
pub(super) fn special(address: IpAddr) -> Option<&'static str> {
    match innermost(address) {
        IpAddr::V4(address) => SPECIAL_V4
            .iter()
            .find(|(net, length, _)| (address.to_bits() ^ net.to_bits()).leading_zeros() >= *length)
            .map(|(_, _, kind)| *kind),
        IpAddr::V6(address) => SPECIAL_V6
            .iter()
            .find(|(net, length, _)| (address.to_bits() ^ net.to_bits()).leading_zeros() >= *length)
            .map(|(_, _, kind)| *kind)
            .or_else(|| (address.segments()[0] >> 13 != 1).then_some("unassigned")),
    }
}

/// The IPv4 address that an IPv6 address stands for, or leads to: v4-mapped and v4-compatible (RFC
/// 4291 §2.5.5), NAT64 (RFC 6052 §2.1), 6to4 (RFC 3056 §2). Any other is itself.
pub(super) fn innermost(address: IpAddr) -> IpAddr {
    let IpAddr::V6(address) = address else {
        return address;
    };
    let v4 = |high: u16, low: u16| {
        IpAddr::V4(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
    };
    match address.segments() {
        // Of the compatible ones :: and ::1 are not (RFC 4291 §2.5.2, §2.5.3).
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => IpAddr::V6(address),
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low]
        | [0x2002, high, low, ..] => v4(high, low),
        _ => IpAddr::V6(address),
    }
}
