//! Who may have requests forwarded, and to whom: the rules of the forward proxy, secure unless told
//! otherwise. An open proxy is found and misused within hours, and one that reaches the addresses
//! behind it gives the world what only its own machine was to see.

mod special;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use ipnet::IpNet;

use self::special::{innermost, special};

/// The port that CONNECT may always name: https.
const HTTPS_PORT: u16 = 443;

/// What the command line allows.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Whether nothing is forwarded: absolute-form requests are the origin's too.
    pub is_reverse_only: bool,
    /// Clients for which requests are forwarded, beside those of this machine.
    pub clients: Vec<IpNet>,
    /// Ports that CONNECT may name, beside 443.
    pub connect_ports: Vec<Ports>,
    /// Addresses that may be asked although they are not of the public internet.
    pub targets: Vec<IpNet>,
    /// Where this process itself listens: it is never a target.
    pub own: Vec<SocketAddr>,
}

/// Why something is not forwarded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denial {
    /// The client is not one of those that are served.
    Client(IpAddr),
    /// CONNECT names a port that is not one of those that it may.
    Port(u16),
    /// The address is not of the public internet.
    Target {
        /// What the name stands for.
        address: IpAddr,
        /// What kind of address that is.
        kind: &'static str,
    },
    /// The address is one at which this process itself listens.
    Own(SocketAddr),
    /// The request has been here before.
    Loop,
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Denial::Client(client) => write!(
                f,
                "requests are forwarded for clients of this machine only, and {client} is none \
                 (--allow {client} would serve it)"
            ),
            Denial::Port(port) => write!(
                f,
                "tunnels go to port {HTTPS_PORT} only, not to {port} \
                 (--connect-port {port} would allow it)"
            ),
            Denial::Target { address, kind } => write!(
                f,
                "its address {address} is {kind}, which is not of the public internet \
                 (--allow-target {address} would allow it)"
            ),
            Denial::Own(address) => write!(
                f,
                "its address {address} is this proxy itself, which is never a target"
            ),
            Denial::Loop => f.write_str(
                "the request has come through this proxy before (Via names it): its target leads \
                 back here",
            ),
        }
    }
}

impl Access {
    /// Whether requests of this client are forwarded.
    pub fn of_client(&self, client: IpAddr) -> Result<(), Denial> {
        let client = client.to_canonical();
        if client.is_loopback() || contain(&self.clients, client) {
            return Ok(());
        }
        Err(Denial::Client(client))
    }

    /// Whether CONNECT may name this port.
    pub fn of_port(&self, port: u16) -> Result<(), Denial> {
        if port == HTTPS_PORT || self.connect_ports.iter().any(|ports| ports.has(port)) {
            return Ok(());
        }
        Err(Denial::Port(port))
    }

    /// Whether this address may be asked. `is_local` says whether an address is one of this
    /// machine's; it is asked only where one of its own ports is meant.
    pub fn of_target(
        &self,
        target: SocketAddr,
        is_local: impl Fn(IpAddr) -> bool,
    ) -> Result<(), Denial> {
        let address = target.ip().to_canonical();
        let means = innermost(address);
        let is_own = self.own.iter().any(|own| {
            let own_address = own.ip().to_canonical();
            own.port() == target.port()
                && (own_address == means
                    || means.is_unspecified()
                    || (own_address.is_unspecified() && (means.is_loopback() || is_local(means))))
        });
        if is_own {
            return Err(Denial::Own(SocketAddr::new(address, target.port())));
        }
        match special(address) {
            Some(kind) if !contain(&self.targets, address) => Err(Denial::Target { address, kind }),
            _ => Ok(()),
        }
    }
}

fn contain(nets: &[IpNet], address: IpAddr) -> bool {
    nets.iter().any(|net| net.contains(&address))
}

/// A port, or some in a row: `8443`, `8000-8999`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ports(pub RangeInclusive<u16>);

impl Ports {
    fn has(&self, port: u16) -> bool {
        self.0.contains(&port)
    }
}

impl std::str::FromStr for Ports {
    type Err = String;

    fn from_str(text: &str) -> Result<Ports, String> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        match (first.parse(), last.parse()) {
            (Ok(first), Ok(last)) if (1..=last).contains(&first) => Ok(Ports(first..=last)),
            _ => Err("expected a port or a range, such as 8443 or 8000-8999".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests;
