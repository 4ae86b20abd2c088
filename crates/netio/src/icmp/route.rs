//! What the kernel knows of the way to a destination, asked without sending anything.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use netproto::icmp::Version;
use socket2::{Protocol, Socket, Type};

use super::open::{Binding, OpenError, bind, open};

/// The address that packets to `destination` leave from.
pub fn source_for(destination: SocketAddr, binding: &Binding) -> Result<IpAddr, OpenError> {
    source_of(&towards(destination, binding, false)?)
}

/// As [`source_for`], of a destination that may be a broadcast address.
pub fn source_for_broadcast(
    destination: SocketAddr,
    binding: &Binding,
) -> Result<IpAddr, OpenError> {
    source_of(&towards(destination, binding, true)?)
}

/// The MTU of the path to `destination`, as far as this host knows it.
pub fn known_mtu(destination: SocketAddr, binding: &Binding) -> Result<u32, OpenError> {
    let socket = towards(destination, binding, true)?;
    let mtu = match Version::of(destination.ip()) {
        Version::V4 => rustix::net::sockopt::ip_mtu(&socket),
        Version::V6 => rustix::net::sockopt::ipv6_mtu(&socket),
    };
    mtu.map_err(|error| OpenError::Call("MTU", error.into()))
}

/// A socket with a route to `destination`.
fn towards(
    destination: SocketAddr,
    binding: &Binding,
    broadcast: bool,
) -> Result<Socket, OpenError> {
    let version = Version::of(destination.ip());
    let socket = open(version, Type::DGRAM, Protocol::UDP)?;
    bind(&socket, version, binding, 0)?;
    socket
        .set_broadcast(broadcast)
        .map_err(|error| OpenError::Call("broadcast", error))?;
    // Connecting a UDP socket sends nothing: it only asks for the route, for any port but 0.
    let mut asked = destination;
    asked.set_port(1025);
    match socket.connect(&asked.into()) {
        Ok(()) => Ok(socket),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && !broadcast => {
            Err(OpenError::Broadcast(destination.ip()))
        }
        Err(_) if lacks_zone(destination) && binding.interface.is_none() => {
            Err(OpenError::NoZone(destination.ip()))
        }
        Err(error) => Err(OpenError::Call("connect", error)),
    }
}

/// Whether the interface is missing that the address means something on.
fn lacks_zone(address: SocketAddr) -> bool {
    let SocketAddr::V6(address) = address else {
        return false;
    };
    let [first, second, ..] = address.ip().octets();
    // RFC 4291 §2.5.6 and §2.7: fe80::/10, and multicast of the interface's and the link's scope.
    let multicast = first == 0xff && matches!(second & 0x0f, 1 | 2);
    (address.ip().is_unicast_link_local() || multicast) && address.scope_id() == 0
}

fn source_of(socket: &Socket) -> Result<IpAddr, OpenError> {
    let local = socket
        .local_addr()
        .map_err(|error| OpenError::Call("getsockname", error))?;
    let unspecified = || Ipv6Addr::UNSPECIFIED.into();
    Ok(local.as_socket().map_or_else(unspecified, |to| to.ip()))
}
