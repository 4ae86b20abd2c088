//! What the proxy was told, checked.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use netio::daemon::Setup;
use netio::http::client::Patience;
use netproto::http::target::Authority;

use crate::access::Access;
use crate::impair::Impairment;
use crate::impair::http::HttpFaults;
use crate::upstream::origins::Balance;

/// One validated configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where requests go that the cache cannot answer: at least one.
    pub origins: Vec<Origin>,
    /// How they are spread over several.
    pub balance: Balance,
    /// What each origin is asked for to see whether it is well, if it is.
    pub health_check: Option<String>,
    /// How long servers may take.
    pub patience: Patience,
    /// What is forwarded to servers that clients name, and for whom.
    pub access: Access,
    /// Clients that are believed when they say for whom they ask.
    pub trusted: Vec<IpNet>,
    /// For how long a tunnel may be idle.
    pub tunnel_idle: Duration,
    /// Where datagrams go.
    pub udp_target: Endpoint,
    /// How many bytes the cache may hold.
    pub cache_bytes: u64,
    /// What datagrams meet on their way.
    pub impairment: Impairment,
    /// What answers over HTTP meet.
    pub http_faults: HttpFaults,
    /// What both are drawn from.
    pub seed: u64,
    /// What every daemon is told.
    pub setup: Setup,
}

/// An HTTP server that is asked on behalf of clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// `host:port`, the host a name or an address.
    pub authority: String,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.authority)
    }
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Origin, String> {
        /// RFC 9110 §4.2.1.
        const HTTP_PORT: u16 = 80;
        let cure = "expected http://HOST:PORT, such as http://127.0.0.1:8000";
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(cure.to_owned());
        };
        if !scheme.eq_ignore_ascii_case("http") {
            return Err(format!("origins are asked over plain HTTP: {cure}"));
        }
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#']) {
            return Err(format!("an origin has no path of its own: {cure}"));
        }
        let Some(Authority { host, port }) = Authority::parse(authority) else {
            return Err(cure.to_owned());
        };
        let port = port.unwrap_or(HTTP_PORT);
        if port == 0 {
            return Err(format!("no server has port 0: {cure}"));
        }
        Ok(Origin {
            authority: format!("{host}:{port}"),
        })
    }
}

/// A UDP endpoint: `host:port`, the host a name or an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint(pub String);

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Endpoint, String> {
        match Authority::parse(text) {
            Some(Authority {
                port: Some(1..), ..
            }) => Ok(Endpoint(text.to_owned())),
            _ => Err("expected HOST:PORT, such as 127.0.0.1:9000".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_plain_http_with_a_host_and_no_path() {
        let cases = [
            ("http://127.0.0.1:8000", Some("127.0.0.1:8000")),
            ("http://webserverd:8000/", Some("webserverd:8000")),
            ("HTTP://example.com", Some("example.com:80")),
            ("http://[::1]:8000", Some("[::1]:8000")),
            ("127.0.0.1:8000", None),
            ("https://example.com", None),
            ("http://example.com/site", None),
            ("http://user@example.com", None),
            ("http://:8000", None),
            ("http://example.com:0", None),
            ("http://example.com:70000", None),
        ];
        for (text, authority) in cases {
            let origin: Result<Origin, _> = text.parse();
            let found = origin.as_ref().map(|origin| origin.authority.as_str()).ok();
            assert_eq!(found, authority, "{text}");
        }
    }
}
