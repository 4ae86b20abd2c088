//! What routers append to their errors, in words.

use std::fmt::Write;

use crate::probe::Extension;

/// The objects as the Linux traceroute prints them, semicolons between them; interfaces, which it
/// shows as octets only, by name.
pub fn line(extensions: &[Extension]) -> String {
    let mut line = String::new();
    for extension in extensions {
        if !line.is_empty() {
            line.push(';');
        }
        object(&mut line, extension);
    }
    line
}

fn object(line: &mut String, extension: &Extension) {
    // Writing to a String cannot fail.
    match extension {
        Extension::Mpls(entries) => {
            line.push_str("MPLS:");
            for (at, entry) in entries.iter().enumerate() {
                let separator = if at == 0 { "" } else { "/" };
                let _ = write!(
                    line,
                    "{separator}L={},E={},S={},T={}",
                    entry.label,
                    entry.traffic_class,
                    u8::from(entry.bottom),
                    entry.ttl
                );
            }
        }
        Extension::Interface {
            role,
            index,
            address,
            name,
            mtu,
        } => {
            let _ = write!(line, "IF:{}", role_name(*role));
            if let Some(name) = name {
                let _ = write!(line, ",name={name}");
            }
            if let Some(address) = address {
                let _ = write!(line, ",address={address}");
            }
            if let Some(index) = index {
                let _ = write!(line, ",index={index}");
            }
            if let Some(mtu) = mtu {
                let _ = write!(line, ",mtu={mtu}");
            }
        }
        Extension::Other {
            class,
            kind,
            payload,
        } => {
            let _ = write!(line, "{class}/{kind}:");
            for octet in payload {
                let _ = write!(line, "{octet:02x}");
            }
        }
    }
}

/// RFC 5837 §4.1: the interface role.
pub fn role_name(role: u8) -> &'static str {
    match role {
        0 => "in",
        1 => "in-sub",
        2 => "out",
        _ => "next-hop",
    }
}
