use std::net::IpAddr;

use netproto::icmp::{QuotedTransport, checksum};

use super::*;
use crate::mark::Mark;
use crate::probe::Rewritten;

fn wire(kind: Kind) -> Wire {
    Wire {
        source: US.into(),
        target: SocketAddr::from((TARGET, 33_434)),
        gateways: Vec::new(),
        kind,
        ip_header_len: 20,
        secret: [1, 2, 3, 4],
        traffic_class: 0,
    }
}

fn probe(number: u16) -> Probe {
    Probe {
        number,
        ttl: 1,
        flow: 0,
        packet_len: 60,
    }
}

fn udp() -> Wire {
    wire(Kind::Udp {
        source_port: 40_000,
        protocol: UDP,
    })
}

/// A time-exceeded message (RFC 792) about a datagram from 10.0.0.1 or, behind a NAT, another
/// source, quoted as far as `quoted` octets behind its IP header.
fn time_exceeded(
    source: [u8; 4],
    target: [u8; 4],
    protocol: u8,
    datagram: &[u8],
    quoted: usize,
) -> Vec<u8> {
    let mut message = vec![11, 0, 0, 0, 0, 0, 0, 0, 0x45, 0xb8];
    message.extend((20 + datagram.len() as u16).to_be_bytes());
    message.extend([0, 0, 0, 0, 1, protocol, 0, 0]);
    message.extend(source);
    message.extend(target);
    message.extend(&datagram[..quoted]);
    message
}

const US: [u8; 4] = [10, 0, 0, 1];
const TARGET: [u8; 4] = [10, 0, 0, 2];

#[test]
fn all_echo_requests_of_a_flow_have_one_checksum_and_another_flow_has_another() {
    let wire = wire(Kind::Echo { identifier: 7 });
    let first = wire.datagram(probe(0));
    for number in 1..90 {
        let datagram = wire.datagram(probe(number));
        assert_eq!(datagram[2..4], first[2..4], "{number}");
        assert!(checksum::is_valid(&datagram, Pseudo::None));
    }
    let mut checksums: Vec<Vec<u8>> = (0..64)
        .map(|flow| wire.datagram(Probe { flow, ..probe(5) })[2..4].to_vec())
        .collect();
    checksums.sort();
    checksums.dedup();
    assert_eq!(checksums.len(), 64);
}

#[test]
fn a_udp_probe_has_the_checksum_of_its_rfc_and_is_known_by_it() {
    let wire = udp();
    for number in [0, 1, 89, 5000, 65_534] {
        let datagram = wire.datagram(probe(number));
        // A right checksum makes the sum all ones.
        let sum = transport_checksum(US.into(), TARGET.into(), UDP, &datagram);
        assert_eq!(sum, 0, "{number}");
        for quoted in [8, 10, datagram.len()] {
            let message = time_exceeded(US, TARGET, UDP, &datagram, quoted);
            let (known, mark, told) = wire.read_icmp(&message).unwrap();
            assert_eq!(
                (known, mark),
                (number, Mark::Passing),
                "quoted {quoted} octets"
            );
            let quote = told.quote.unwrap();
            assert!(quote.rewritten.is_empty(), "{quote:?}");
            assert_eq!(quote.traffic_class, 0xb8);
        }
    }
}

#[test]
fn a_probe_that_a_nat_rewrote_is_known_by_its_secret() {
    let wire = udp();
    let mut datagram = wire.datagram(probe(7));
    datagram[..2].copy_from_slice(&61_000_u16.to_be_bytes());
    let public = [192, 0, 2, 1];
    let message = time_exceeded(public, [198, 51, 100, 1], UDP, &datagram, 16);
    let (number, _, told) = wire.read_icmp(&message).unwrap();
    assert_eq!(number, 7);
    let rewritten = told.quote.unwrap().rewritten;
    assert_eq!(rewritten.source, Some(public.into()));
    assert_eq!(rewritten.destination, Some([198, 51, 100, 1].into()));
    assert_eq!(rewritten.source_port, Some(61_000));
    assert_eq!(rewritten.destination_port, None);
    // Without the secret it may be anybody's.
    datagram[10] ^= 1;
    let message = time_exceeded(public, [198, 51, 100, 1], UDP, &datagram, 16);
    assert_eq!(wire.read_icmp(&message), None);
}

/// The example of RFC 6296: an inside address, and what its translator makes of it, which leaves every
/// checksum right.
const INSIDE: &str = "fd01:203:405:1::1234";
const OUTSIDE: &str = "2001:db8:1:d550::1234";

/// A time-exceeded message (RFC 4443 §3.3) about a datagram from the outside address.
fn time_exceeded_outside(target: IpAddr, protocol: u8, datagram: &[u8]) -> Vec<u8> {
    let mut message = vec![3, 0, 0, 0, 0, 0, 0, 0, 0x6b, 0x80, 0, 0];
    message.extend((datagram.len() as u16).to_be_bytes());
    message.extend([protocol, 1]);
    for address in [OUTSIDE.parse().unwrap(), target] {
        let IpAddr::V6(address) = address else {
            unreachable!()
        };
        message.extend(address.octets());
    }
    message.extend(datagram);
    message
}

#[test]
fn a_prefix_that_a_translator_exchanged_shows_in_the_quoted_source_alone() {
    let target: IpAddr = "2001:db8:2::9".parse().unwrap();
    for (kind, protocol) in [
        (
            Kind::Udp {
                source_port: 40_000,
                protocol: UDP,
            },
            UDP,
        ),
        (
            Kind::Tcp {
                source_port: 40_000,
                first_sequence: 7,
            },
            TCP,
        ),
        (Kind::Echo { identifier: 9 }, 58),
        (Kind::Raw { protocol: 253 }, 253),
    ] {
        let wire = Wire {
            source: INSIDE.parse().unwrap(),
            target: SocketAddr::new(target, 33_434),
            ..wire(kind)
        };
        let datagram = wire.datagram(probe(3));
        if matches!(kind, Kind::Udp { .. } | Kind::Tcp { .. }) {
            let outside = OUTSIDE.parse().unwrap();
            let sum = transport_checksum(outside, target, protocol, &datagram);
            assert_eq!(sum, 0, "the translator's arithmetic");
        }
        let message = time_exceeded_outside(target, protocol, &datagram);
        let (number, _, told) = wire.read_icmp(&message).unwrap();
        assert_eq!(number, 3, "{kind:?}");
        let quote = told.quote.unwrap();
        assert_eq!(quote.traffic_class, 0xb8);
        let expected = Rewritten {
            source: Some(OUTSIDE.parse().unwrap()),
            ..Rewritten::default()
        };
        assert_eq!(quote.rewritten, expected, "{kind:?}");
    }
}

#[test]
fn an_echo_request_from_another_source_was_rewritten_on_its_way() {
    let wire = wire(Kind::Echo { identifier: 9 });
    let datagram = wire.datagram(probe(3));
    for (source, rewritten) in [(US, None), ([192, 0, 2, 1], Some([192, 0, 2, 1].into()))] {
        let message = time_exceeded(source, TARGET, 1, &datagram, 16);
        let (_, _, told) = wire.read_icmp(&message).unwrap();
        assert_eq!(told.quote.unwrap().rewritten.source, rewritten);
    }
}

#[test]
fn a_checksum_that_does_not_fit_what_was_sent_was_rewritten() {
    let wire = udp();
    let mut datagram = wire.datagram(probe(7));
    datagram[6..8].copy_from_slice(&0x1234_u16.to_be_bytes());
    let message = time_exceeded(US, TARGET, UDP, &datagram, 16);
    let (_, _, told) = wire.read_icmp(&message).unwrap();
    assert_eq!(told.quote.unwrap().rewritten.checksum, Some(0x1234));
}

#[test]
fn the_probes_of_others_are_not_ours() {
    let wire = udp();
    let datagram = wire.datagram(probe(7));
    // Eight octets quoted, and not our ports or target.
    let mut foreign = datagram.clone();
    foreign[0] ^= 1;
    assert_eq!(
        wire.read_icmp(&time_exceeded(US, TARGET, UDP, &foreign, 8)),
        None
    );
    assert_eq!(
        wire.read_icmp(&time_exceeded(US, [10, 0, 0, 9], UDP, &datagram, 8)),
        None
    );
    assert_eq!(
        wire.read_icmp(&time_exceeded(US, TARGET, TCP, &datagram, 8)),
        None
    );
}

#[test]
fn a_syn_is_known_by_what_acknowledges_it_and_by_its_quote() {
    let wire = wire(Kind::Tcp {
        source_port: 50_000,
        // So that the sum wraps.
        first_sequence: u32::MAX - 3,
    });
    for number in [0, 5, 300] {
        let syn = wire.datagram(probe(number));
        let sum = transport_checksum(US.into(), TARGET.into(), TCP, &syn);
        assert_eq!(sum, 0);
        assert!(matches!(
            QuotedTransport::read(netproto::icmp::Version::V4, TCP, false, &syn),
            QuotedTransport::Tcp {
                source: 50_000,
                destination: 33_434,
                ..
            }
        ));
        let message = time_exceeded(US, TARGET, TCP, &syn, 8);
        assert_eq!(wire.read_icmp(&message).unwrap().0, number);
        // RFC 9293 §3.10.7: SYN/ACK and reset acknowledge the SYN's sequence number plus one.
        let sequence = (u32::MAX - 3).wrapping_add(u32::from(number));
        for (flags, counts) in [(0x12, true), (0x14, true), (0x10, false), (0x04, false)] {
            let mut answer = vec![0x82, 0x9a, 0xc3, 0x50, 0, 0, 0, 9];
            answer.extend(sequence.wrapping_add(1).to_be_bytes());
            answer.extend([0x50, flags, 0, 0, 0, 0, 0, 0]);
            let understood = wire.read_tcp(TARGET.into(), &answer).map(|it| it.0);
            assert_eq!(understood, counts.then_some(number), "flags {flags:#x}");
            assert_eq!(wire.read_tcp([10, 0, 0, 3].into(), &answer), None);
        }
    }
}

#[test]
fn a_probe_without_a_header_is_known_by_its_first_octets() {
    let wire = wire(Kind::Raw { protocol: 253 });
    let datagram = wire.datagram(probe(9));
    assert_eq!(datagram.len(), 40);
    let message = time_exceeded(US, TARGET, 253, &datagram, 8);
    assert_eq!(wire.read_icmp(&message).unwrap().0, 9);
}
