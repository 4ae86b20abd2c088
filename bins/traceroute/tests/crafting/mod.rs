//! Errors made by hand: what no kernel can be made to send.

use testkit::responder::Answer;

/// Type, code, the four octets after the checksum, and what follows them.
pub(crate) type Error = (u8, u8, [u8; 4], Vec<u8>);

/// A way of `routers` routers that answer as the test says. The target refuses the port.
pub(crate) struct Way {
    /// How many routers there are.
    pub(crate) routers: u8,
    /// What a router says about a probe, given with its IP header, whose TTL this was.
    pub(crate) error: fn(u8, &[u8]) -> Error,
}

impl Way {
    /// What comes back for a packet.
    pub(crate) fn answer(&self, packet: &[u8]) -> Vec<Answer> {
        let v4 = packet[0] >> 4 == 4;
        let (ttl, protocol) = if v4 {
            (packet[8], packet[9])
        } else {
            (packet[7], packet[6])
        };
        let header = &packet[if v4 { 20 } else { 40 }..];
        let is_probe = match protocol {
            6 | 17 => true,
            // Echo requests, and nothing that the kernel says to its link.
            1 => header[0] == 8,
            58 => header[0] == 128,
            _ => false,
        };
        if !is_probe {
            return Vec::new();
        }
        let error = if ttl > self.routers {
            let (kind, code) = if v4 { (3, 3) } else { (1, 4) };
            (kind, code, [0; 4], packet.to_vec())
        } else {
            (self.error)(ttl, packet)
        };
        let from_target = ttl > self.routers;
        let (kind, code, rest, body) = error;
        let mut message = vec![kind, code, 0, 0];
        message.extend(rest);
        message.extend(body);
        vec![Answer::at_once(if v4 {
            ip_v4(packet, ttl, from_target, message)
        } else {
            ip_v6(packet, ttl, from_target, message)
        })]
    }
}

/// An IPv4 packet back to who sent `probe`, with checksums (RFC 791, RFC 792).
fn ip_v4(probe: &[u8], ttl: u8, from_target: bool, mut message: Vec<u8>) -> Vec<u8> {
    let sum = checksum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let len = (20 + message.len()) as u16;
    let mut packet = vec![0x45, 0];
    packet.extend(len.to_be_bytes());
    packet.extend([0, 0, 0, 0, 64, 1, 0, 0]);
    if from_target {
        packet.extend(&probe[16..20]);
    } else {
        packet.extend([198, 51, 100, ttl]);
    }
    packet.extend(&probe[12..16]);
    let sum = checksum(&packet);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(message);
    packet
}

/// An IPv6 packet back to who sent `probe`, with its checksum (RFC 8200, RFC 4443).
fn ip_v6(probe: &[u8], ttl: u8, from_target: bool, mut message: Vec<u8>) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((message.len() as u16).to_be_bytes());
    packet.extend([58, 64]);
    if from_target {
        packet.extend(&probe[24..40]);
    } else {
        packet.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, ttl]);
    }
    packet.extend(&probe[8..24]);
    let mut summed = packet[8..40].to_vec();
    summed.extend((message.len() as u32).to_be_bytes());
    summed.extend([0, 0, 0, 58]);
    summed.extend(&message);
    let sum = checksum(&summed);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    packet.extend(message);
    packet
}

/// RFC 1071.
pub(crate) fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = 0;
    for pair in bytes.chunks(2) {
        let low = pair.get(1).copied().unwrap_or(0);
        sum += u32::from(u16::from_be_bytes([pair[0], low]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// An RFC 4884 structure of these objects: class, type, content.
pub(crate) fn structure(objects: &[(u8, u8, Vec<u8>)]) -> Vec<u8> {
    let mut structure = vec![0x20, 0, 0, 0];
    for (class, kind, content) in objects {
        structure.extend((4 + content.len() as u16).to_be_bytes());
        structure.extend([*class, *kind]);
        structure.extend(content);
    }
    let sum = checksum(&structure);
    structure[2..4].copy_from_slice(&sum.to_be_bytes());
    structure
}

/// A time-exceeded message with extensions as RFC 4884 wants them: the probe padded to 128 octets
/// and its length told, in words of the version's size.
pub(crate) fn extended(probe: &[u8], objects: &[(u8, u8, Vec<u8>)]) -> Error {
    let mut body = probe[..probe.len().min(128)].to_vec();
    body.resize(128, 0);
    body.extend(structure(objects));
    if probe[0] >> 4 == 4 {
        (11, 0, [0, 128 / 4, 0, 0], body)
    } else {
        (3, 0, [128 / 8, 0, 0, 0], body)
    }
}
