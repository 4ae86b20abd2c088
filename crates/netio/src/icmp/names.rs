//! Names to addresses before the probing, addresses to names beside it.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

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
/// one.
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
    for address in found.into_iter().filter(wanted) {
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
