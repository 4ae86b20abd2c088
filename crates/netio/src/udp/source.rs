//! May this source be answered? A source address of UDP can be forged, so an answer may go to one
//! that never asked: to a service that answers in turn (CVE-2024-2169: two such services keep a
//! datagram going between them for ever), or to a whole network. The rule is pure.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::admission::Refusal;

/// Source ports below this belong to services (RFC 6335 §6: the system ports), among them echo,
/// chargen, DNS, TFTP and NTP, which answer anything.
const FIRST_PORT_OF_CLIENTS: u16 = 1024;

/// Which sources are refused besides those that always are: the ports of the lab's own services.
#[derive(Clone, Debug, Default)]
pub struct SourceRule {
    blocked_ports: Vec<u16>,
    allow: Vec<IpNet>,
}

impl SourceRule {
    /// A rule that also refuses `blocked_ports`, whatever the address: the ports on which this lab's
    /// echoes and relays listen, here and on other machines.
    pub fn new(blocked_ports: impl IntoIterator<Item = u16>) -> SourceRule {
        SourceRule {
            blocked_ports: blocked_ports.into_iter().collect(),
            allow: Vec::new(),
        }
    }

    /// The same, which refuses also who is in none of `networks`; nobody for that if there are none.
    #[must_use]
    pub fn allowing_only(mut self, networks: Vec<IpNet>) -> SourceRule {
        self.allow = networks;
        self
    }

    /// Whether `source` may be answered.
    pub fn check(&self, source: SocketAddr) -> Result<(), Refusal> {
        let port = source.port();
        if port == 0 {
            return Err(Refusal::PortZero);
        }
        if port < FIRST_PORT_OF_CLIENTS {
            return Err(Refusal::ServicePort);
        }
        if self.blocked_ports.contains(&port) {
            return Err(Refusal::BlockedPort);
        }
        match source.ip() {
            // RFC 1122 §3.2.1.3: all of 0.0.0.0/8 is only ever a source of a host that does not
            // know its address yet.
            IpAddr::V4(ip) if ip.octets()[0] == 0 => Err(Refusal::UnspecifiedAddress),
            IpAddr::V4(ip) if ip.is_broadcast() => Err(Refusal::BroadcastAddress),
            ip if ip.is_unspecified() => Err(Refusal::UnspecifiedAddress),
            ip if ip.is_multicast() => Err(Refusal::MulticastAddress),
            ip if !admits(&self.allow, ip) => Err(Refusal::NotAllowed),
            _ => Ok(()),
        }
    }
}

/// Whether `address` is in one of `networks`, whichever way it is written; any is, if there are none.
pub(crate) fn admits(networks: &[IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    networks.is_empty() || networks.iter().any(|network| network.contains(&address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_client_of_one_machine_may_be_answered() {
        let rule = SourceRule::new([9000, 9090]);
        for (source, expected) in [
            ("192.0.2.1:40000", Ok(())),
            ("192.0.2.1:1024", Ok(())),
            ("[2001:db8::1]:65535", Ok(())),
            ("127.0.0.1:8999", Ok(())),
            ("192.0.2.1:0", Err(Refusal::PortZero)),
            ("192.0.2.1:7", Err(Refusal::ServicePort)),
            ("[2001:db8::1]:1023", Err(Refusal::ServicePort)),
            ("192.0.2.1:9000", Err(Refusal::BlockedPort)),
            ("[::1]:9090", Err(Refusal::BlockedPort)),
            ("0.0.0.0:5000", Err(Refusal::UnspecifiedAddress)),
            ("0.1.2.3:5000", Err(Refusal::UnspecifiedAddress)),
            ("[::]:5000", Err(Refusal::UnspecifiedAddress)),
            ("255.255.255.255:5000", Err(Refusal::BroadcastAddress)),
            ("224.0.0.1:5000", Err(Refusal::MulticastAddress)),
            ("239.255.255.255:5000", Err(Refusal::MulticastAddress)),
            ("[ff02::1]:5000", Err(Refusal::MulticastAddress)),
        ] {
            assert_eq!(rule.check(source.parse().unwrap()), expected, "{source}");
        }
    }

    #[test]
    fn of_networks_that_are_named_only_their_clients_may_be_answered() {
        let networks = ["10.0.0.0/8", "2001:db8::/32"].map(|network| network.parse().unwrap());
        let rule = SourceRule::new([]).allowing_only(networks.into());
        for (source, expected) in [
            ("10.1.2.3:5000", Ok(())),
            ("[::ffff:10.1.2.3]:5000", Ok(())),
            ("[2001:db8::1]:5000", Ok(())),
            ("11.0.0.1:5000", Err(Refusal::NotAllowed)),
            ("[2001:db9::1]:5000", Err(Refusal::NotAllowed)),
            ("127.0.0.1:5000", Err(Refusal::NotAllowed)),
            ("10.1.2.3:7", Err(Refusal::ServicePort)),
        ] {
            assert_eq!(rule.check(source.parse().unwrap()), expected, "{source}");
        }
    }
}
