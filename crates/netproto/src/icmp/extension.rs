//! What a router appends to an error behind the quoted datagram: the extension structure of
//! RFC 4884, with the objects of RFC 4950 (MPLS labels) and RFC 5837 (interfaces).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::checksum::{self, Pseudo};
use super::{Reason, Version};

/// RFC 4884 §3: a quoted datagram that is followed by extensions has at least this many octets,
/// and senders from before RFC 4884 put theirs behind exactly as many (§5.5).
const SHORTEST_QUOTE: usize = 128;
const HEADER_LEN: usize = 4;
const OBJECT_HEADER_LEN: usize = 4;
/// The version of the structure, in the upper four bits of its first octet.
const STRUCTURE_VERSION: u8 = 2;

const CLASS_MPLS: u8 = 1;
const CLASS_INTERFACE: u8 = 2;
const MPLS_INCOMING_STACK: u8 = 1;

/// The extension objects of one error: checked to begin with a right header, not yet read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extensions<'a> {
    objects: &'a [u8],
    compliant: bool,
}

/// One extension object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Object<'a> {
    /// The label stack that the datagram came in with (RFC 4950), outermost first.
    Mpls(Vec<MplsEntry>),
    /// An interface of the router (RFC 5837).
    Interface(InterfaceInformation<'a>),
    /// Another class or type, or one whose content is not what its RFC says.
    Other {
        /// The class number.
        class: u8,
        /// The class sub-type.
        kind: u8,
        /// Everything after the object's header.
        payload: &'a [u8],
    },
}

/// One entry of an MPLS label stack (RFC 3032 §2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MplsEntry {
    /// The label, 20 bits.
    pub label: u32,
    /// The traffic class, 3 bits (once "experimental").
    pub traffic_class: u8,
    /// Whether this is the innermost entry.
    pub bottom: bool,
    /// The entry's own TTL.
    pub ttl: u8,
}

/// What RFC 5837 tells about one interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InterfaceInformation<'a> {
    /// 0 incoming, 1 sub-IP component of the incoming one, 2 outgoing, 3 next hop.
    pub role: u8,
    /// The ifIndex.
    pub index: Option<u32>,
    /// The interface's (or next hop's) address.
    pub address: Option<IpAddr>,
    /// The ifName, not checked to be UTF-8.
    pub name: Option<&'a [u8]>,
    /// The MTU in octets.
    pub mtu: Option<u32>,
}

impl<'a> Extensions<'a> {
    /// Whether the sender said where the extensions begin (RFC 4884), or they were found where
    /// older senders put them.
    pub const fn compliant(&self) -> bool {
        self.compliant
    }

    /// The objects in order, up to the first whose length is impossible.
    pub fn objects(&self) -> impl Iterator<Item = Object<'a>> {
        let mut left = self.objects;
        std::iter::from_fn(move || {
            let (&[high, low, class, kind], _) = left.split_first_chunk::<OBJECT_HEADER_LEN>()?;
            // RFC 4884 §8: the length includes the object's own header.
            let len = usize::from(u16::from_be_bytes([high, low]));
            let payload = left.get(OBJECT_HEADER_LEN..len)?;
            left = &left[len..];
            Some(Object::read(class, kind, payload))
        })
    }
}

impl<'a> Object<'a> {
    fn read(class: u8, kind: u8, payload: &'a [u8]) -> Object<'a> {
        let known = match (class, kind) {
            (CLASS_MPLS, MPLS_INCOMING_STACK) => mpls(payload).map(Object::Mpls),
            (CLASS_INTERFACE, _) => interface(kind, payload).map(Object::Interface),
            _ => None,
        };
        known.unwrap_or(Object::Other {
            class,
            kind,
            payload,
        })
    }
}

/// A structure of one object, checksum and all; `write` appends what follows the object's header.
pub(super) fn structure(class: u8, kind: u8, write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = vec![STRUCTURE_VERSION << 4, 0, 0, 0, 0, 0, class, kind];
    write(&mut bytes);
    let len = (bytes.len() - HEADER_LEN) as u16;
    bytes[HEADER_LEN..HEADER_LEN + 2].copy_from_slice(&len.to_be_bytes());
    let sum = checksum::of(&bytes, Pseudo::None);
    bytes[2..4].copy_from_slice(&sum.to_be_bytes());
    bytes
}

/// Where the quoted datagram ends and the extensions begin.
pub(super) struct Split<'a> {
    pub(super) quoted_len: usize,
    pub(super) extensions: Extensions<'a>,
}

pub(super) fn split(
    version: Version,
    reason: Reason,
    quoted_words: u8,
    body: &[u8],
) -> Option<Split<'_>> {
    reason.length_octet(version)?;
    let word = match version {
        Version::V4 => 4,
        Version::V6 => 8,
    };
    let (quoted_len, compliant) = match usize::from(quoted_words) * word {
        0 => (SHORTEST_QUOTE, false),
        len => (len, true),
    };
    if quoted_len < SHORTEST_QUOTE {
        return None;
    }
    let structure = body.get(quoted_len..)?;
    let (&[version_octet, _, sum_high, sum_low], objects) =
        structure.split_first_chunk::<HEADER_LEN>()?;
    if version_octet >> 4 != STRUCTURE_VERSION {
        return None;
    }
    // RFC 4884 §7: zero means that the sender computed none. Where nobody said that extensions
    // follow, only a right checksum tells them from more of the quoted datagram.
    let without_checksum = [sum_high, sum_low] == [0, 0];
    let trusted = if without_checksum {
        compliant
    } else {
        checksum::is_valid(structure, Pseudo::None)
    };
    trusted.then_some(Split {
        quoted_len,
        extensions: Extensions { objects, compliant },
    })
}

fn mpls(payload: &[u8]) -> Option<Vec<MplsEntry>> {
    let (entries, rest) = payload.as_chunks::<4>();
    if entries.is_empty() || !rest.is_empty() {
        return None;
    }
    let read = |entry: &[u8; 4]| {
        let word = u32::from_be_bytes(*entry);
        MplsEntry {
            label: word >> 12,
            traffic_class: (word >> 9 & 0b111) as u8,
            bottom: word >> 8 & 1 == 1,
            ttl: word as u8,
        }
    };
    Some(entries.iter().map(read).collect())
}

/// RFC 5837 §4: the sub-type's bits say which fields follow, in this order.
fn interface(kind: u8, mut payload: &[u8]) -> Option<InterfaceInformation<'_>> {
    const HAS_INDEX: u8 = 0b1000;
    const HAS_ADDRESS: u8 = 0b0100;
    const HAS_NAME: u8 = 0b0010;
    const HAS_MTU: u8 = 0b0001;
    let has = |bit: u8| kind & bit != 0;
    Some(InterfaceInformation {
        role: kind >> 6,
        index: if has(HAS_INDEX) {
            Some(u32::from_be_bytes(take(&mut payload)?))
        } else {
            None
        },
        address: if has(HAS_ADDRESS) {
            Some(interface_address(&mut payload)?)
        } else {
            None
        },
        name: if has(HAS_NAME) {
            Some(interface_name(&mut payload)?)
        } else {
            None
        },
        mtu: if has(HAS_MTU) {
            Some(u32::from_be_bytes(take(&mut payload)?))
        } else {
            None
        },
    })
}

/// RFC 5837 §4.2: an address family number, two reserved octets, the address.
fn interface_address(payload: &mut &[u8]) -> Option<IpAddr> {
    let [high, low, _, _] = take(payload)?;
    match u16::from_be_bytes([high, low]) {
        1 => Some(Ipv4Addr::from(take::<4>(payload)?).into()),
        2 => Some(Ipv6Addr::from(take::<16>(payload)?).into()),
        _ => None,
    }
}

/// RFC 5837 §4.3: one octet of length that counts itself, then the name, padded with zeros.
fn interface_name<'a>(payload: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::from(*payload.first()?);
    let padded = payload.get(1..len)?;
    *payload = &payload[len..];
    let end = padded.iter().position(|&octet| octet == 0);
    Some(&padded[..end.unwrap_or(padded.len())])
}

fn take<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = from.split_first_chunk::<N>()?;
    *from = rest;
    Some(*taken)
}
