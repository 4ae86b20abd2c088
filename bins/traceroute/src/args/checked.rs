//! The flags as one checked configuration.

use std::time::Duration;

use netio::icmp::Binding;
use netproto::icmp::Version;

use super::{Args, Module};
use crate::config::{AllPaths, Config, Cycles, Method, Networks};
use crate::session::{Plan, Waits};

/// The port where traceroutes have always begun.
const DEFAULT_PORT: u16 = 33_434;
const DNS: u16 = 53;
const HTTP: u16 = 80;
/// For experiments (RFC 3692).
const EXPERIMENT: u8 = 253;
const DEFAULT_WINDOW: u16 = 32;
const DEFAULT_WAIT: Duration = Duration::from_secs(5);
/// Of the 40 octets that an IPv4 header has for options, 4 begin the route and 4 are the target.
const MOST_GATEWAYS: usize = 8;
const DEFAULT_CYCLES: u32 = 10;

impl Args {
    /// The checked configuration, or what is wrong and how to cure it.
    pub(super) fn into_config(self) -> Result<Config, String> {
        if self.first_ttl > self.max_ttl {
            return Err(format!(
                "the first TTL, {}, is beyond the last, {}: lower -f or raise -m",
                self.first_ttl, self.max_ttl
            ));
        }
        let version = self.version()?;
        let method = self.method()?;
        let one_by_one = self.mtu || matches!(method, Method::Raw { .. });
        let plan = Plan {
            first_ttl: self.first_ttl,
            max_ttl: self.max_ttl,
            queries: self.queries,
            window: usize::from(match self.window {
                _ if one_by_one => 1,
                Some(asked) => asked,
                None => DEFAULT_WINDOW,
            }),
            spacing: self.sendwait,
            waits: match self.wait {
                Some(asked) => asked,
                // What an error quotes of another protocol may not tell its probes apart.
                None if matches!(method, Method::Raw { .. }) => Waits::only(DEFAULT_WAIT),
                None => Waits::default(),
            },
            packet_len: 0,
            discover_mtu: self.mtu,
            least_len: 0,
            gap: self.gap,
        };
        if let Method::Udp { port, .. } = method
            && usize::from(port) + plan.probes() > usize::from(u16::MAX)
        {
            return Err(format!("there are not enough ports after {port}: lower -p"));
        }
        let repeated = self.report || self.live;
        if repeated && matches!(method, Method::Raw { .. }) {
            return Err("repeated probes must be told apart: use -I, -T or -U".into());
        }
        if self.confirm && matches!(method, Method::Raw { .. }) {
            return Err("--confirm takes probes that are told apart: use -I, -T or -U".into());
        }
        if self.mtu && matches!(method, Method::Tcp { .. }) {
            return Err("SYN segments have one size: leave out --mtu or -T".into());
        }
        if self.gateways.len() > MOST_GATEWAYS {
            return Err(format!(
                "an IPv4 header has room for {MOST_GATEWAYS} routers after -g"
            ));
        }
        let networks = match self.as_table {
            Some(table) => Some(Networks::Table(table)),
            None => self.as_path_lookups.then_some(Networks::Service {
                zone_v4: self.as_zones.0,
                zone_v6: self.as_zones.1,
            }),
        };
        Ok(Config {
            host: self.host,
            version,
            binding: Binding {
                source: self.source,
                interface: self.interface,
            },
            source_port: self.sport,
            method,
            traffic_class: self.tos,
            dont_fragment: self.dont_fragment || self.mtu,
            gateways: self.gateways,
            packet_len: self.packet_len,
            plan,
            numeric: self.numeric,
            back: self.back,
            extensions: self.extensions,
            diagnose: self.diagnose || self.confirm,
            confirm: self.confirm,
            json: self.json,
            csv: self.csv,
            all_paths: self.mda.then_some(AllPaths {
                confidence_pct: self.confidence,
                dot: self.dot,
            }),
            cycles: repeated.then_some(Cycles {
                count: self.cycles.or((!self.live).then_some(DEFAULT_CYCLES)),
                live: self.live,
                interval: self.interval,
                assertions: self.assert.map(|bounds| bounds.0).unwrap_or_default(),
            }),
            save: self.save,
            compare: self.compare,
            networks,
        })
    }

    /// The IP version that the flags ask for, which must not contradict each other.
    fn version(&self) -> Result<Option<Version>, String> {
        let asked = match (self.ipv4, self.ipv6) {
            (true, _) => Some(Version::V4),
            (_, true) => Some(Version::V6),
            _ => None,
        };
        let by_gateway = (!self.gateways.is_empty()).then_some(Version::V4);
        let by_source = self.source.map(Version::of);
        let mut version = asked;
        for implied in [by_gateway, by_source].into_iter().flatten() {
            match version {
                Some(other) if other != implied => {
                    return Err("-4, -6, -s and -g are of two IP versions: drop one of them".into());
                }
                _ => version = Some(implied),
            }
        }
        Ok(version)
    }

    fn method(&self) -> Result<Method, String> {
        let port = |default: u16| self.port.unwrap_or(default);
        let udp = |default: u16, classic: bool| Method::Udp {
            port: port(default),
            classic,
        };
        let raw = |protocol: u8| match protocol {
            1 | 58 => Err("by ICMP probes are echo requests: use -I instead of -P"),
            6 => Err("TCP takes a header: use -T instead of -P"),
            17 | 136 => Err("UDP takes a header: use -U or -UL instead of -P"),
            protocol => Ok(Method::Raw { protocol }),
        };
        Ok(match self.module {
            Some(Module::Icmp) => Method::Icmp,
            Some(Module::Tcp) => Method::Tcp { port: port(HTTP) },
            Some(Module::Udp) => udp(DNS, false),
            Some(Module::Udplite) => Method::UdpLite { port: port(DNS) },
            Some(Module::Raw) => raw(EXPERIMENT)?,
            _ if self.icmp => Method::Icmp,
            _ if self.tcp => Method::Tcp { port: port(HTTP) },
            _ if self.udp && self.lite => Method::UdpLite { port: port(DNS) },
            _ if self.udp => udp(DNS, false),
            _ => match self.protocol {
                Some(protocol) => raw(protocol)?,
                None => udp(DEFAULT_PORT, self.classic),
            },
        })
    }
}
