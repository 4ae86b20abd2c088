//! Whom is measured, and what is said when nobody answers.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

/// A host with the two ports of the lab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// A name or an address, as the user wrote it; IPv6 without brackets.
    pub host: String,
    /// Where HTTP is asked.
    pub tcp_port: u16,
    /// Where the UDP probes go.
    pub udp_port: u16,
}

impl Default for Target {
    fn default() -> Target {
        Target {
            host: "127.0.0.1".to_owned(),
            tcp_port: 8080,
            udp_port: 9090,
        }
    }
}

/// Which of the two services of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// HTTP over TCP.
    Tcp,
    /// The echo of the UDP probes.
    Udp,
}

/// A service of a target, as it is named in results and errors: `udp 127.0.0.1:9090`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// TCP or UDP.
    pub service: Service,
    /// As in [`Target`].
    pub host: String,
    /// The port of that service.
    pub port: u16,
}

impl Target {
    /// One of the two services.
    pub fn endpoint(&self, service: Service) -> Endpoint {
        Endpoint {
            service,
            host: self.host.clone(),
            port: match service {
                Service::Tcp => self.tcp_port,
                Service::Udp => self.udp_port,
            },
        }
    }
}

impl Endpoint {
    /// `host:port`, with an IPv6 address in brackets (RFC 3986 §3.2.2); also the Host field.
    pub fn authority(&self) -> String {
        match self.host.parse() {
            Ok(IpAddr::V6(address)) => format!("[{address}]:{}", self.port),
            _ => format!("{}:{}", self.host, self.port),
        }
    }

    /// The addresses behind the name, in the order in which the resolver prefers them.
    pub fn resolve(&self) -> Result<Vec<SocketAddr>, Unreachable> {
        let unresolved = |cause: String| Unreachable::Unresolved {
            host: self.host.clone(),
            cause,
        };
        let addresses: Vec<_> = (self.host.as_str(), self.port)
            .to_socket_addrs()
            .map_err(|error| unresolved(error.to_string()))?
            .collect();
        if addresses.is_empty() {
            return Err(unresolved("it has no address".to_owned()));
        }
        Ok(addresses)
    }

    /// What would make it answer.
    fn cure(&self) -> &'static str {
        match (self.service, self.port) {
            (Service::Tcp, 8080) | (Service::Udp, 9090) => "start it with: proxyd",
            (Service::Tcp, 8000) | (Service::Udp, 9000) => "start it with: webserverd",
            _ => "is a server running there?",
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let service = match self.service {
            Service::Tcp => "tcp",
            Service::Udp => "udp",
        };
        write!(f, "{service} {}", self.authority())
    }
}

/// Why a target gave no result. Each message names the target, the cause and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Unreachable {
    /// The name has no address.
    #[error("cannot find the host {host:?}: {cause}; check the name, or give an address")]
    Unresolved {
        /// As the user wrote it.
        host: String,
        /// The resolver's words.
        cause: String,
    },
    /// The host answered that nobody has this port.
    #[error("nothing listens on {endpoint}; {}", .endpoint.cure())]
    Refused {
        /// Who was asked.
        endpoint: Endpoint,
    },
    /// Probes went out, nothing came back.
    #[error(
        "nothing came back from {endpoint}: {sent} probes sent, waited {} after the last; \
         a relay is silent too when no server runs behind it (webserverd), and a firewall may drop",
        humantime::format_duration(*.waited)
    )]
    Silent {
        /// Who was asked.
        endpoint: Endpoint,
        /// Probes that left this machine.
        sent: u32,
        /// The loss deadline.
        waited: Duration,
    },
    /// The target did not answer in the time allowed.
    #[error(
        "{endpoint} did not {step} within {}; raise it with --timeout, or look whether it hangs",
        humantime::format_duration(*.allowed)
    )]
    TimedOut {
        /// Who was asked.
        endpoint: Endpoint,
        /// `accept the connection`, `answer`, …
        step: &'static str,
        /// The whole time allowed.
        allowed: Duration,
    },
    /// The target answered something that is not what it was asked for.
    #[error("{endpoint} did not answer with HTTP: {cause}")]
    NotHttp {
        /// Who was asked.
        endpoint: Endpoint,
        /// What was wrong with the answer.
        cause: String,
    },
    /// The target answered that it will not.
    #[error("{endpoint} answers {request} with {status}")]
    Refusal {
        /// Who was asked.
        endpoint: Endpoint,
        /// Method and path.
        request: String,
        /// 300 to 599.
        status: u16,
    },
    /// The operating system refused.
    #[error("cannot {step} {endpoint}: {source}")]
    Io {
        /// Who was asked.
        endpoint: Endpoint,
        /// `send to`, `connect to`, …
        step: &'static str,
        /// Its reason.
        source: io::Error,
    },
    /// Ctrl-C before there was anything to report.
    #[error("stopped before {endpoint} had answered anything")]
    Interrupted {
        /// Who was asked.
        endpoint: Endpoint,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(service: Service, host: &str, port: u16) -> Endpoint {
        Endpoint {
            service,
            host: host.to_owned(),
            port,
        }
    }

    #[test]
    fn an_ipv6_address_stands_in_brackets_before_its_port() {
        for (host, authority) in [
            ("127.0.0.1", "127.0.0.1:9090"),
            ("::1", "[::1]:9090"),
            ("lab.example", "lab.example:9090"),
        ] {
            assert_eq!(endpoint(Service::Udp, host, 9090).authority(), authority);
        }
    }

    #[test]
    fn an_error_names_the_target_and_the_cure() {
        let endpoint = endpoint(Service::Udp, "127.0.0.1", 9090);
        assert_eq!(
            Unreachable::Refused { endpoint }.to_string(),
            "nothing listens on udp 127.0.0.1:9090; start it with: proxyd"
        );
    }

    #[test]
    fn a_name_that_does_not_resolve_is_named() {
        let error = endpoint(Service::Tcp, "no-such-host.invalid", 80)
            .resolve()
            .unwrap_err();
        assert!(
            error.to_string().contains("\"no-such-host.invalid\""),
            "{error}"
        );
    }
}
