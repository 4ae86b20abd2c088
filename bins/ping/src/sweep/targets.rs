//! What is to be swept: names, addresses, networks, a file of them.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::str::FromStr;

use anyhow::{Context, Result, ensure};
use netio::icmp::names::{ResolveError, resolve_all};
use netproto::icmp::Version;

use super::Sources;

/// How many targets a sweep may have.
pub const MOST_TARGETS: usize = 1 << 20;
/// The longest line of a file of targets, in octets.
const LONGEST_LINE: u64 = 1024;

/// A target of a sweep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// As the user wrote it; for an address of a network, that address.
    pub name: String,
    /// Where its probes go.
    pub address: SocketAddr,
}

/// A network such as `192.0.2.0/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    address: IpAddr,
    prefix: u8,
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Cidr, String> {
        let cure = || format!("'{text}' is no network: write it as 192.0.2.0/24");
        let (address, prefix) = text.split_once('/').ok_or_else(cure)?;
        let address: IpAddr = address.parse().map_err(|_| cure())?;
        let prefix: u8 = prefix.parse().map_err(|_| cure())?;
        if prefix > bits(address) {
            return Err(cure());
        }
        if bits(address) - prefix > MOST_TARGETS.ilog2() as u8 {
            return Err(format!("{text} has more than {MOST_TARGETS} addresses"));
        }
        Ok(Cidr { address, prefix })
    }
}

impl Cidr {
    /// Its hosts in ascending order. Of an IPv4 network with more than two addresses, the first
    /// is the network's own and the last its broadcast address (RFC 1122 §3.2.1.3, RFC 3021).
    pub fn hosts(self) -> impl Iterator<Item = IpAddr> {
        let size = 1_u128 << (bits(self.address) - self.prefix);
        let number = match self.address {
            IpAddr::V4(v4) => u128::from(v4.to_bits()),
            IpAddr::V6(v6) => v6.to_bits(),
        };
        let first = number / size * size;
        let without_ends = self.address.is_ipv4() && size > 2;
        let skipped = u128::from(without_ends);
        let v4 = self.address.is_ipv4();
        (skipped..size - skipped).map(move |offset| {
            let number = first + offset;
            if v4 {
                Ipv4Addr::from_bits(number as u32).into()
            } else {
                Ipv6Addr::from_bits(number).into()
            }
        })
    }
}

const fn bits(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// The targets, and the names that lead to none.
pub fn gather(
    sources: &Sources,
    version: Option<Version>,
) -> Result<(Vec<Target>, Vec<ResolveError>)> {
    let mut names = sources.hosts.clone();
    if let Some(path) = &sources.file {
        names.extend(read(path).with_context(|| format!("{}", path.display()))?);
    }
    let mut targets = Vec::new();
    let mut unknown = Vec::new();
    for name in names {
        match resolve_all(&name, version) {
            Ok(found) => {
                let wanted = if sources.all_addresses {
                    found.len()
                } else {
                    1
                };
                targets.extend(found.into_iter().take(wanted).map(|address| Target {
                    name: name.clone(),
                    address,
                }));
            }
            Err(error) => unknown.push(error),
        }
        ensure!(
            targets.len() <= MOST_TARGETS,
            "more than {MOST_TARGETS} targets"
        );
    }
    for network in &sources.networks {
        targets.extend(network.hosts().map(|address| Target {
            name: address.to_string(),
            address: SocketAddr::new(address, 0),
        }));
        ensure!(
            targets.len() <= MOST_TARGETS,
            "more than {MOST_TARGETS} targets"
        );
    }
    Ok((targets, unknown))
}

/// A name or address a line; what follows a `#` is a comment. `-` is standard input.
fn read(path: &Path) -> Result<Vec<String>> {
    if path == Path::new("-") {
        lines(io::stdin().lock())
    } else {
        lines(BufReader::new(File::open(path)?))
    }
}

fn lines(mut from: impl BufRead) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let mut line = String::new();
    loop {
        line.clear();
        let len = io::Read::take(&mut from, LONGEST_LINE).read_line(&mut line)?;
        if len == 0 {
            return Ok(names);
        }
        ensure!(
            len < LONGEST_LINE as usize,
            "a line of more than {LONGEST_LINE} octets"
        );
        let name = line.split('#').next().unwrap_or_default().trim();
        if !name.is_empty() {
            ensure!(
                names.len() < MOST_TARGETS,
                "more than {MOST_TARGETS} targets"
            );
            names.push(name.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_the_hosts_that_the_rfcs_give_it() {
        for (text, count, first, last) in [
            ("192.0.2.0/24", 254, "192.0.2.1", "192.0.2.254"),
            ("192.0.2.77/30", 2, "192.0.2.77", "192.0.2.78"),
            ("192.0.2.4/31", 2, "192.0.2.4", "192.0.2.5"),
            ("192.0.2.4/32", 1, "192.0.2.4", "192.0.2.4"),
            ("127.0.0.0/16", 65_534, "127.0.0.1", "127.0.255.254"),
            ("2001:db8::8/126", 4, "2001:db8::8", "2001:db8::b"),
        ] {
            let hosts: Vec<IpAddr> = text.parse::<Cidr>().unwrap().hosts().collect();
            assert_eq!(hosts.len(), count, "{text}");
            assert_eq!(hosts[0].to_string(), first);
            assert_eq!(hosts[count - 1].to_string(), last);
        }
        for text in [
            "192.0.2.0",
            "192.0.2.0/33",
            "x/24",
            "10.0.0.0/8",
            "2001:db8::/64",
        ] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_file_holds_a_name_a_line_and_comments() {
        let text = "# routers\n192.0.2.1\n\n  host.example  # the other\n";
        assert_eq!(
            lines(text.as_bytes()).unwrap(),
            ["192.0.2.1", "host.example"]
        );
        assert!(lines("x".repeat(2000).as_bytes()).is_err());
    }
}
