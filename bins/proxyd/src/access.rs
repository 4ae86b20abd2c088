//! Who may have requests forwarded, and to whom: the rules of the forward proxy, secure unless told
//! otherwise. An open proxy is found and misused within hours, and one that reaches the addresses
//! behind it gives the world what only its own machine was to see.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;

use ipnet::IpNet;

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
fn special(address: IpAddr) -> Option<&'static str> {
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
fn innermost(address: IpAddr) -> IpAddr {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn nets(texts: &[&str]) -> Vec<IpNet> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn only_clients_of_this_machine_are_served_unless_others_are_allowed() {
        let plain = Access::default();
        let open = Access {
            clients: nets(&["192.168.1.0/24", "fd00::/8"]),
            ..Access::default()
        };
        let cases = [
            ("127.0.0.1", true, true),
            ("127.8.9.10", true, true),
            ("::1", true, true),
            ("::ffff:127.0.0.1", true, true),
            ("192.168.1.7", false, true),
            ("::ffff:192.168.1.7", false, true),
            ("192.168.2.7", false, false),
            ("fd12::1", false, true),
            ("8.8.8.8", false, false),
            ("fe80::1", false, false),
        ];
        for (client, by_plain, by_open) in cases {
            let client = client.parse().unwrap();
            assert_eq!(plain.of_client(client).is_ok(), by_plain, "{client}");
            assert_eq!(open.of_client(client).is_ok(), by_open, "{client}");
        }
    }

    #[test]
    fn tunnels_go_to_https_unless_other_ports_are_allowed() {
        let plain = Access::default();
        let open = Access {
            connect_ports: vec!["8443".parse().unwrap(), "9000-9002".parse().unwrap()],
            ..Access::default()
        };
        let cases = [
            (443, true, true),
            (80, false, false),
            (25, false, false),
            (22, false, false),
            (8443, false, true),
            (8999, false, false),
            (9000, false, true),
            (9002, false, true),
            (9003, false, false),
        ];
        for (port, by_plain, by_open) in cases {
            assert_eq!(plain.of_port(port).is_ok(), by_plain, "{port}");
            assert_eq!(open.of_port(port).is_ok(), by_open, "{port}");
        }
        for wrong in ["", "0", "9-8", "70000", "a", "1-", "-1", "1-2-3"] {
            assert!(wrong.parse::<Ports>().is_err(), "{wrong}");
        }
    }

    /// From the IANA IPv4 and IPv6 special-purpose address registries, first and last addresses
    /// and their neighbours; and every way known to us of hiding one in another.
    #[test]
    fn addresses_that_are_not_of_the_public_internet_are_no_targets() {
        let denied = [
            "0.0.0.0",
            "0.255.255.255",
            "10.0.0.0",
            "10.255.255.255",
            "100.64.0.0",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.255",
            "169.254.0.0",
            "169.254.169.254",
            "172.16.0.0",
            "172.31.255.255",
            "192.0.0.170",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.0",
            "192.168.255.255",
            "198.18.0.0",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::2",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::127.0.0.1",
            "64:ff9b::a00:1",
            "64:ff9b:1::8.8.8.8",
            "100::1",
            "2001::1",
            "2001:0:4136:e378:8000:63bf:3fff:fdd2",
            "2001:2::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "2002:c0a8:101::1",
            "3fff::1",
            "4000::1",
            "5f00::1",
            "fc00::1",
            "fdff::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
        ];
        let allowed = [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
            "2001:4860:4860::8888",
            "2606:4700::1111",
        ];
        let access = Access::default();
        let judge =
            |text: &str| access.of_target(SocketAddr::new(text.parse().unwrap(), 80), |_| false);
        for text in denied {
            assert!(judge(text).is_err(), "{text}");
        }
        for text in allowed {
            assert_eq!(judge(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn a_target_that_is_allowed_is_allowed_in_its_mapped_spelling_and_no_other_is() {
        let access = Access {
            targets: nets(&["127.0.0.0/8", "fd00::/64"]),
            ..Access::default()
        };
        let cases = [
            ("127.0.0.1", true),
            ("::ffff:127.0.0.1", true),
            ("64:ff9b::127.0.0.1", false),
            ("2002:7f00:1::", false),
            ("::1", false),
            ("10.0.0.1", false),
            ("fd00::1", true),
            ("fd00:0:0:1::1", false),
        ];
        for (text, expected) in cases {
            let target = SocketAddr::new(text.parse().unwrap(), 80);
            let verdict = access.of_target(target, |_| false);
            assert_eq!(verdict.is_ok(), expected, "{text}");
        }
    }

    #[test]
    fn its_own_listeners_are_no_targets_whatever_is_allowed() {
        let access = |own: &[&str]| Access {
            targets: nets(&["0.0.0.0/0", "::/0"]),
            own: own.iter().map(|own| own.parse().unwrap()).collect(),
            ..Access::default()
        };
        let one = access(&["127.0.0.1:8080", "[::1]:8081"]);
        let all = access(&["0.0.0.0:8080", "[::]:8081"]);
        // Addresses of this machine: loopback, and 203.0.113.5.
        let cases = [
            ("127.0.0.1:8080", false, false),
            ("[::ffff:127.0.0.1]:8080", false, false),
            ("[64:ff9b::7f00:1]:8080", false, false),
            ("0.0.0.0:8080", false, false),
            ("[::]:8080", false, false),
            ("[::1]:8081", false, false),
            ("127.0.0.2:8080", true, false),
            ("203.0.113.5:8080", true, false),
            ("203.0.113.5:8081", true, false),
            ("203.0.113.6:8080", true, true),
            ("127.0.0.1:8000", true, true),
            ("[::1]:8000", true, true),
        ];
        let is_local = |address: IpAddr| address.to_string() == "203.0.113.5";
        for (target, by_one, by_all) in cases {
            let target = target.parse().unwrap();
            assert_eq!(one.of_target(target, is_local).is_ok(), by_one, "{target}");
            assert_eq!(all.of_target(target, is_local).is_ok(), by_all, "{target}");
        }
    }

    #[test]
    fn a_denial_says_which_rule_and_which_flag() {
        let cases = [
            (
                Denial::Client("10.1.2.3".parse().unwrap()),
                "--allow 10.1.2.3 ",
            ),
            (Denial::Port(25), "--connect-port 25 "),
            (
                Denial::Target {
                    address: "10.0.0.1".parse().unwrap(),
                    kind: "private",
                },
                "--allow-target 10.0.0.1 ",
            ),
        ];
        for (denial, flag) in cases {
            assert!(denial.to_string().contains(flag), "{denial}");
        }
    }
}
