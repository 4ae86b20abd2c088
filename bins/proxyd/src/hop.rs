//! This proxy as one hop of several on the way of a request: what it says of itself and of the
//! client (Via, Forwarded), and how it knows a request that has been here before.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;

use ipnet::IpNet;
use netio::http::server::Request;
use netproto::http::fields::Fields;
use netproto::http::version::Version;
use netproto::http::write::{self, SerializeError};
use smallvec::{SmallVec, smallvec};

/// The name of this proxy in Via, Cache-Status and Proxy-Status.
pub const PSEUDONYM: &str = "proxyd";

/// How many proxies a request may have come through. A loop in which all forget what Via said
/// before them ends nowhere else.
const HOPS: usize = 32;

/// What is said of this proxy and of its clients.
#[derive(Debug, Clone)]
pub struct Hop {
    /// As in Via: the pseudonym that all have, and what tells this process from its like, so that
    /// several in a row are not taken for a loop.
    name: String,
    /// Clients that are proxies themselves, and believed when they say for whom they ask.
    trusted: Vec<IpNet>,
}

impl Hop {
    /// One that no other process is like. What the `trusted` say of their clients is passed on.
    pub fn new(trusted: Vec<IpNet>) -> Hop {
        let number = RandomState::new().hash_one(std::process::id()) as u32;
        Hop {
            name: format!("{PSEUDONYM} ({number:08x})"),
            trusted,
        }
    }

    /// Whether a request has come through this process before (RFC 9110 §7.6.3), or through more
    /// proxies than any request has reason to.
    pub fn has_seen(&self, fields: &Fields<'_, '_>) -> bool {
        let mut hops = 0;
        fields.members("via").any(|member| {
            hops += 1;
            hops >= HOPS || member.ends_with(self.name.as_bytes())
        })
    }

    /// Appends Via (RFC 9110 §7.6.3). What came before stands before it, in one line.
    pub fn via(
        &self,
        out: &mut Vec<u8>,
        fields: &Fields<'_, '_>,
        version: Version,
    ) -> Result<(), SerializeError> {
        let own = [protocol(version), " ", &self.name];
        appended(out, "Via", fields, &own)
    }

    /// Appends Forwarded (RFC 7239), and the older fields that most programs still read. Where the
    /// client named no host, none is named here.
    pub fn forwarded(
        &self,
        out: &mut Vec<u8>,
        request: &Request<'_>,
        host: &str,
    ) -> Result<(), SerializeError> {
        let client = request.client.ip().to_canonical();
        let believed = if self.trusts(client) {
            request.head.fields
        } else {
            Fields::none()
        };
        let first = |name| believed.first(name);
        let scheme = if request.is_tls { "https" } else { "http" };
        let address = text_of(client);
        let address = address.as_str();
        let mut own: SmallVec<[&str; 8]> = match client {
            IpAddr::V4(_) => smallvec!["for=", address],
            IpAddr::V6(_) => smallvec!["for=\"[", address, "]\""],
        };
        if !request.head.host.is_empty() {
            // An authority holds neither a quote nor a backslash.
            own.extend([";host=\"", host, "\""]);
            let said = first("x-forwarded-host").unwrap_or(host.as_bytes());
            write::field(out, "X-Forwarded-Host", said)?;
        }
        own.extend([";proto=", scheme]);
        appended(out, "Forwarded", &believed, &own)?;
        appended(out, "X-Forwarded-For", &believed, &[address])?;
        let said = first("x-forwarded-proto").unwrap_or(scheme.as_bytes());
        write::field(out, "X-Forwarded-Proto", said)
    }

    fn trusts(&self, client: IpAddr) -> bool {
        self.trusted.iter().any(|net| net.contains(&client))
    }
}

/// `received-protocol` without the name that HTTP may leave out.
pub fn protocol(version: Version) -> &'static str {
    match version {
        Version::Http10 => "1.0",
        Version::Http11 => "1.1",
    }
}

/// What [`IpAddr`] says of itself, in a tenth of the instructions for IPv4: it is wanted for every
/// request.
fn text_of(address: IpAddr) -> String {
    let IpAddr::V4(address) = address else {
        return address.to_string();
    };
    let mut text = String::with_capacity("255.255.255.255".len());
    for octet in address.octets() {
        if !text.is_empty() {
            text.push('.');
        }
        text.push_str(itoa::Buffer::new().format(octet));
    }
    text
}

/// Appends a list: its members among `before`, then `own`, which is one member in pieces.
fn appended(
    out: &mut Vec<u8>,
    name: &str,
    before: &Fields<'_, '_>,
    own: &[&str],
) -> Result<(), SerializeError> {
    let before = before.members(name).flat_map(|member| [member, b", "]);
    let own = own.iter().map(|piece| piece.as_bytes());
    write::field_in_pieces(out, name, before.chain(own))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_as_its_text() {
        for text in ["0.0.0.0", "127.0.0.1", "255.255.255.255", "2001:db8::1"] {
            assert_eq!(text_of(text.parse().unwrap()), text);
        }
    }
}
