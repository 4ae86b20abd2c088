//! Names to addresses before the probing, addresses to names beside it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

use netproto::icmp::Version;
use rustix::net::{AddressFamily, SocketType};

use super::lookups::Lookups;

/// A name that leads to no address.
#[derive(Debug, thiserror::Error)]
#[error("{host}: {why}")]
pub struct ResolveError {
    host: String,
    why: String,
}

impl ResolveError {
    /// The name.
    pub fn host(&self) -> &str {
        &self.host
    }
}

/// The first address of `host`, of `version` if one is asked for.
pub fn resolve(host: &str, version: Option<Version>) -> Result<SocketAddr, ResolveError> {
    resolve_all(host, version).map(|found| found[0])
}

/// All addresses of `host`, of `version` if one is asked for, in the resolver's order; at least
/// one. The unspecified address is that of this host, which is who would answer.
pub fn resolve_all(host: &str, version: Option<Version>) -> Result<Vec<SocketAddr>, ResolveError> {
    let refuse = |why: &str| ResolveError {
        host: host.to_owned(),
        why: why.to_owned(),
    };
    let found = addresses(host).map_err(|error| {
        // std says first what it did, then, after a colon, what the resolver said.
        let text = error.to_string();
        refuse(text.rsplit_once(": ").map_or(&*text, |(_, why)| why))
    })?;
    let wanted = |address: &SocketAddr| version.is_none_or(|v| Version::of(address.ip()) == v);
    let mut addresses: Vec<SocketAddr> = Vec::new();
    // The resolver names an address once for each kind of socket.
    for address in found.into_iter().filter(wanted).map(specified) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err(refuse("Address family for hostname not supported"));
    }
    Ok(addresses)
}

fn addresses(host: &str) -> io::Result<Vec<SocketAddr>> {
    // Lets "fe80::1%eth0" keep its zone, which `(host, port)` does too.
    Ok((host, 0).to_socket_addrs()?.collect())
}

fn specified(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

/// Whether `host` is an address rather than a name: with or without a zone, or in one of the old
/// spellings of IPv4, up to four numbers with dots between them (POSIX, `inet_addr`).
pub fn is_address(host: &str) -> bool {
    let number = |part: &str| {
        let hexadecimal = part.strip_prefix("0x").or(part.strip_prefix("0X"));
        let (digits, radix) = hexadecimal.map_or((part, 10), |digits| (digits, 16));
        // A sign is none of an address.
        digits.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && u32::from_str_radix(digits, radix).is_ok()
    };
    let address = host.split('%').next().unwrap_or_default();
    address.parse::<IpAddr>().is_ok()
        || (host.split('.').count() <= 4 && host.split('.').all(number))
}

/// The interface that a scoped address is on (RFC 4007 §11), by its name.
pub fn zone(address: SocketAddr) -> Option<String> {
    let SocketAddr::V6(scoped) = address else {
        return None;
    };
    let index = (scoped.scope_id() != 0).then_some(scoped.scope_id())?;
    let any = rustix::net::socket(AddressFamily::INET6, SocketType::DGRAM, None).ok()?;
    rustix::net::netdevice::index_to_name(any, index).ok()
}

/// Looks names up in threads of their own, and remembers them.
pub type Names = Lookups<String>;

impl Default for Names {
    fn default() -> Names {
        Lookups::of(name_of)
    }
}

impl Names {
    /// The name of `address`; waits for it as long as patience lasts.
    pub fn name(&mut self, address: IpAddr) -> Option<&str> {
        self.wait_for(address).map(String::as_str)
    }
}

/// The name that the host's resolver has for `address`, if it is more than the address itself.
fn name_of(address: IpAddr) -> Option<String> {
    let name = dns_lookup::lookup_addr(&address).ok()?;
    (name != address.to_string()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_told_from_a_name_in_every_spelling() {
        for address in [
            "127.0.0.1",
            "::1",
            "fe80::1%eth0",
            "0",
            "127.1",
            "127.0.1",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0177.0.0.1",
        ] {
            assert!(is_address(address), "{address}");
        }
        for name in [
            "",
            "localhost",
            "1.example",
            "1.2.3.4.5",
            "127..1",
            "0x",
            "a.1",
            "-1",
            "+1",
            "1.",
            "4294967296",
        ] {
            assert!(!is_address(name), "{name}");
        }
    }

    #[test]
    fn no_address_in_particular_is_this_host() {
        for (host, address) in [
            ("0.0.0.0", "127.0.0.1:0"),
            ("0", "127.0.0.1:0"),
            ("::", "[::1]:0"),
        ] {
            assert_eq!(resolve(host, None).unwrap(), address.parse().unwrap());
        }
    }
}
