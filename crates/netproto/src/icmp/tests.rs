//! Vectors by hand from the RFCs' field drawings, and properties over arbitrary bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

const LOOPBACK_6: Pseudo = Pseudo::V6 {
    source: Ipv6Addr::LOCALHOST,
    destination: Ipv6Addr::LOCALHOST,
};

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).unwrap() as u8)
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

#[test]
fn the_checksum_is_that_of_rfc_1071_section_3() {
    let sum = checksum::of(&hex("0001 f203 f4f5 f6f7"), Pseudo::None);
    assert_eq!(sum, 0x220d);
}

#[test]
fn an_echo_request_has_the_bytes_of_its_rfc() {
    // 0800 + 0001 + 0001 = 0802, complement f7fd.
    let v4 = hex("08 00 f7fd 0001 0001");
    // Pseudo-header 0001 + 0001 + 0008 + 003a, then 8000 + 0001 + 0001 = 8046, complement 7fb9.
    let v6 = hex("80 00 7fb9 0001 0001");
    let echo = Message::EchoRequest(Echo {
        identifier: 1,
        sequence: 1,
        data: &[],
    });
    for (version, pseudo, expected) in [
        (Version::V4, Pseudo::None, v4),
        (Version::V6, LOOPBACK_6, v6),
    ] {
        let mut written = vec![0xaa; echo.encoded_len()];
        echo.encode(version, pseudo, &mut written).unwrap();
        assert_eq!(written, expected);
        assert!(checksum::is_valid(&written, pseudo));
        assert_eq!(Message::parse(version, &written), Ok(echo));
        written[7] ^= 1;
        assert!(!checksum::is_valid(&written, pseudo));
    }
}

#[test]
fn types_and_codes_have_the_meaning_that_their_version_gives_them() {
    use Reason as R;
    use Unreachable as U;
    let problem = |code, pointer| R::ParameterProblem(ParameterProblem { code, pointer });
    let cases = [
        (
            Version::V4,
            "03 00 0000 00000000",
            R::Unreachable(U::NoRoute),
        ),
        (Version::V4, "03 01 0000 00000000", R::Unreachable(U::Host)),
        (Version::V4, "03 03 0000 00000000", R::Unreachable(U::Port)),
        (
            Version::V4,
            "03 04 0000 00000578",
            R::PacketTooBig { mtu: 1400 },
        ),
        (
            Version::V4,
            "03 0d 0000 00000000",
            R::Unreachable(U::AdministrativelyProhibited),
        ),
        (
            Version::V4,
            "03 c8 0000 00000000",
            R::Unreachable(U::Unknown(200)),
        ),
        (
            Version::V4,
            "0b 00 0000 00000000",
            R::TimeExceeded(TimeExceeded::InTransit),
        ),
        (
            Version::V4,
            "0b 01 0000 00000000",
            R::TimeExceeded(TimeExceeded::Reassembly),
        ),
        (Version::V4, "0c 00 0000 14000000", problem(0, 20)),
        (
            Version::V4,
            "04 00 0000 00000000",
            R::SourceQuench { code: 0 },
        ),
        (
            Version::V4,
            "05 01 0000 0a000001",
            R::Redirect(Redirect {
                code: 1,
                gateway: Ipv4Addr::new(10, 0, 0, 1),
            }),
        ),
        (
            Version::V6,
            "01 00 0000 00000000",
            R::Unreachable(U::NoRoute),
        ),
        (
            Version::V6,
            "01 01 0000 00000000",
            R::Unreachable(U::AdministrativelyProhibited),
        ),
        (Version::V6, "01 03 0000 00000000", R::Unreachable(U::Host)),
        (Version::V6, "01 04 0000 00000000", R::Unreachable(U::Port)),
        (
            Version::V6,
            "02 00 0000 00000500",
            R::PacketTooBig { mtu: 1280 },
        ),
        (
            Version::V6,
            "03 00 0000 00000000",
            R::TimeExceeded(TimeExceeded::InTransit),
        ),
        (Version::V6, "04 01 0000 00000028", problem(1, 40)),
    ];
    for (version, bytes, reason) in cases {
        let bytes = hex(bytes);
        let parsed = Message::parse(version, &bytes).unwrap();
        let Message::Error(error) = parsed else {
            panic!("{bytes:02x?} is no error: {parsed:?}");
        };
        assert_eq!(error.reason, reason, "{version:?} {bytes:02x?}");
        let mut written = vec![0; parsed.encoded_len()];
        parsed.encode(version, Pseudo::None, &mut written).unwrap();
        assert_eq!([&written[..2], &written[4..]], [&bytes[..2], &bytes[4..]]);
    }
}

#[test]
fn what_a_version_cannot_say_is_refused() {
    let redirect = Redirect {
        code: 0,
        gateway: Ipv4Addr::LOCALHOST,
    };
    for (version, reason) in [
        (Version::V6, Reason::Redirect(redirect)),
        (Version::V6, Reason::Unreachable(Unreachable::Protocol)),
        (Version::V4, Reason::Unreachable(Unreachable::BeyondScope)),
        (Version::V4, Reason::PacketTooBig { mtu: 70_000 }),
    ] {
        let message = Message::Error(ErrorMessage {
            reason,
            quoted_words: 0,
            body: &[],
        });
        assert_eq!(
            message.encode(version, Pseudo::None, &mut [0; 8]),
            Err(EncodeError::NotInVersion(version)),
            "{reason:?}"
        );
    }
}

/// 10.0.0.1:40000 → 10.0.0.2:33434 by UDP, TTL 1, identification 1234, DSCP EF, quoted with the
/// eight octets that RFC 792 promises.
const UDP_QUOTE: &str = "45b8 0020 1234 4000 01 11 0000 0a000001 0a000002  9c40 829a 000c abcd";

#[test]
fn a_quoted_udp_datagram_tells_its_flow_and_its_header() {
    let bytes = hex(UDP_QUOTE);
    let quoted = Quoted::parse(Version::V4, &bytes).unwrap();
    assert_eq!(quoted.source, IpAddr::from([10, 0, 0, 1]));
    assert_eq!(quoted.destination, IpAddr::from([10, 0, 0, 2]));
    assert_eq!((quoted.ttl, quoted.traffic_class), (1, 0xb8));
    assert_eq!(
        (quoted.identification, quoted.total_len),
        (Some(0x1234), 32)
    );
    assert_eq!(
        quoted.transport,
        QuotedTransport::Udp {
            source: 40_000,
            destination: 33_434,
            len: 12,
            checksum: 0xabcd,
            data: &[]
        }
    );
}

#[test]
fn a_quoted_ipv6_echo_is_found_behind_extension_headers() {
    // Next header 0 (hop-by-hop, six octets of PadN), then 44 (fragment, offset 0, id 7), then 58.
    let header =
        "6000 0000 0018 00 01 20010db8000000000000000000000001 20010db8000000000000000000000002";
    let bytes = hex(&format!(
        "{header} 2c00 0104 00000000 3a00 0001 00000007 8000 1111 0005 0009"
    ));
    let quoted = Quoted::parse(Version::V6, &bytes).unwrap();
    assert_eq!(quoted.destination, "2001:db8::2".parse::<IpAddr>().unwrap());
    assert_eq!((quoted.protocol, quoted.identification), (58, Some(7)));
    assert_eq!(
        quoted.transport,
        QuotedTransport::EchoRequest {
            identifier: 5,
            sequence: 9,
            checksum: 0x1111,
            data: &[]
        }
    );
}

#[test]
fn a_quote_that_is_cut_off_is_read_as_far_as_it_goes() {
    let whole = hex(UDP_QUOTE);
    for len in 0..whole.len() {
        let quoted = Quoted::parse(Version::V4, &whole[..len]);
        match len {
            0..20 => assert!(quoted.is_err(), "{len}"),
            _ => assert_eq!(
                quoted.unwrap().transport,
                QuotedTransport::Truncated(&whole[20..len])
            ),
        }
    }
    assert!(Quoted::parse(Version::V6, &whole).is_err());
}

#[test]
fn extension_headers_that_are_cut_off_are_read_as_far_as_they_go() {
    // Destination options, then another that is cut off or says it has 2048 octets, then a fragment
    // header's number with nothing behind it.
    let header =
        "6000 0000 0018 3c 01 20010db8000000000000000000000001 20010db8000000000000000000000002";
    for behind in [
        "3c00 0104 00000000 3aff 0104 00000000",
        "3c00 0104 00000000 3a00 0104",
        "2c00 0104 00000000 3a00",
        "2c00 0104 00000000",
        "3300 0104 00000000 3aff 0000",
        "3c00",
        "",
    ] {
        let bytes = hex(&format!("{header} {behind}"));
        let quoted = Quoted::parse(Version::V6, &bytes).unwrap();
        assert_eq!(quoted.identification, None, "{behind}");
        assert_eq!(quoted.total_len, 64);
    }
}

#[test]
fn a_later_fragment_has_no_ports() {
    let bytes = hex("4500 0020 1234 0001 01 11 0000 0a000001 0a000002  9c40 829a 000c abcd");
    let quoted = Quoted::parse(Version::V4, &bytes).unwrap();
    assert_eq!(quoted.transport, QuotedTransport::LaterFragment);
}

/// RFC 4950 behind a header of RFC 4884: label 24000, traffic class 0, bottom of stack, TTL 1.
/// 2000 + 0008 + 0101 + 05dc + 0101 = 27e6, complement d819.
const MPLS: &str = "2000 d819  0008 01 01  05dc0 1 01";

fn time_exceeded(version: Version, quoted_words: u8, quote_len: usize, after: &str) -> Vec<u8> {
    let mut bytes = match version {
        Version::V4 => vec![11, 0, 0, 0, 0, quoted_words, 0, 0],
        Version::V6 => vec![3, 0, 0, 0, quoted_words, 0, 0, 0],
    };
    bytes.extend(hex(UDP_QUOTE));
    bytes.resize(HEADER_LEN + quote_len, 0);
    bytes.extend(hex(after));
    bytes
}

fn labels(version: Version, bytes: &[u8]) -> Option<(bool, Vec<u32>)> {
    let Ok(Message::Error(error)) = Message::parse(version, bytes) else {
        panic!("no error");
    };
    let extensions = error.extensions(version)?;
    let labels = extensions
        .objects()
        .filter_map(|object| match object {
            Object::Mpls(stack) => Some(stack),
            _ => None,
        })
        .flatten()
        .map(|entry| entry.label)
        .collect();
    Some((extensions.compliant(), labels))
}

#[test]
fn extensions_are_found_where_rfc_4884_and_its_forerunners_put_them() {
    use Version::{V4, V6};
    let without_sum = MPLS.replace("d819", "0000");
    let wrong_sum = MPLS.replace("d819", "d818");
    let wrong_version = MPLS.replace("2000 d819", "1000 e819");
    let compliant = Some((true, vec![24_000]));
    let found = Some((false, vec![24_000]));
    let cases = [
        ("length in 32-bit words", V4, 32, 128, MPLS, &compliant),
        ("length in 64-bit words", V6, 16, 128, MPLS, &compliant),
        ("a longer quote", V4, 36, 144, MPLS, &compliant),
        (
            "no checksum where a length says so",
            V4,
            32,
            128,
            &without_sum,
            &compliant,
        ),
        ("no length, the old place", V4, 0, 128, MPLS, &found),
        (
            "no length and no checksum is a mere quote",
            V4,
            0,
            128,
            &without_sum,
            &None,
        ),
        ("wrong checksum", V4, 32, 128, &wrong_sum, &None),
        (
            "another version of the structure",
            V4,
            32,
            128,
            &wrong_version,
            &None,
        ),
        ("length beyond the message", V4, 255, 128, MPLS, &None),
        ("length below the least", V4, 31, 124, MPLS, &None),
        ("nothing after the quote", V4, 32, 128, "", &None),
    ];
    for (name, version, words, quote_len, after, expected) in cases {
        let bytes = time_exceeded(version, words, quote_len, after);
        assert_eq!(&labels(version, &bytes), expected, "{name}");
    }
}

#[test]
fn an_mpls_entry_has_the_fields_of_rfc_3032() {
    // Label 16, traffic class 5, not the bottom, TTL 254; then label 17, bottom, TTL 1.
    let bytes = time_exceeded(
        Version::V4,
        32,
        128,
        "2000 0000 000c 0101 00010afe 00011101",
    );
    let Ok(Message::Error(error)) = Message::parse(Version::V4, &bytes) else {
        panic!("no error");
    };
    let objects: Vec<_> = error.extensions(Version::V4).unwrap().objects().collect();
    let entry = |label, traffic_class, bottom, ttl| MplsEntry {
        label,
        traffic_class,
        bottom,
        ttl,
    };
    assert_eq!(
        objects,
        [Object::Mpls(vec![
            entry(16, 5, false, 254),
            entry(17, 0, true, 1)
        ])]
    );
}

#[test]
fn an_interface_object_has_the_fields_of_rfc_5837() {
    // Outgoing (role 2), ifIndex 3, IPv4 192.0.2.1, name "eth0" padded to eight, MTU 1500.
    let object = "001c 02 8f 00000003 0001 0000 c0000201 08 65746830 000000 000005dc";
    let bytes = time_exceeded(Version::V4, 32, 128, &format!("2000 0000 {object}"));
    let Ok(Message::Error(error)) = Message::parse(Version::V4, &bytes) else {
        panic!("no error");
    };
    let objects: Vec<_> = error.extensions(Version::V4).unwrap().objects().collect();
    assert_eq!(
        objects,
        [Object::Interface(InterfaceInformation {
            role: 2,
            index: Some(3),
            address: Some(IpAddr::from([192, 0, 2, 1])),
            name: Some(b"eth0"),
            mtu: Some(1500),
        })]
    );
}

#[test]
fn hostile_object_lengths_end_the_list() {
    for objects in ["0000 0101", "0003 0101", "ffff 0101 00000000", "0008 01"] {
        let bytes = time_exceeded(Version::V4, 32, 128, &format!("2000 0000 {objects}"));
        assert_eq!(
            labels(Version::V4, &bytes),
            Some((true, vec![])),
            "{objects}"
        );
    }
}

fn version() -> impl Strategy<Value = Version> {
    prop_oneof![Just(Version::V4), Just(Version::V6)]
}

/// Arbitrary octets behind a type and code that are likely to mean something.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let kind = prop_oneof![0..16_u8, 128..140_u8, any::<u8>()];
    let rest = proptest::collection::vec(any::<u8>(), 0..300);
    (kind, 0..8_u8, rest).prop_map(|(kind, code, rest)| [&[kind, code], &rest[..]].concat())
}

proptest! {
    #[test]
    fn no_bytes_panic_any_parser(version in version(), bytes in bytes()) {
        let _ = Quoted::parse(version, &bytes);
        if let Ok(Message::Error(error)) = Message::parse(version, &bytes) {
            let _ = error.quoted(version);
            let _ = error.extensions(version).map(|found| found.objects().count());
        }
    }

    #[test]
    fn a_message_survives_being_written_and_read(version in version(), bytes in bytes()) {
        prop_assume!(bytes.len() >= HEADER_LEN);
        let message = Message::parse(version, &bytes).unwrap();
        let mut written = vec![0; message.encoded_len()];
        message.encode(version, Pseudo::None, &mut written).unwrap();
        prop_assert_eq!(Message::parse(version, &written).unwrap(), message);
        prop_assert!(checksum::is_valid(&written, Pseudo::None));
    }

    #[test]
    fn the_quote_of_a_compliant_error_ends_where_its_length_says(
        words in 32..60_u8,
        data in proptest::collection::vec(any::<u8>(), 240),
    ) {
        let quote_len = usize::from(words) * 4;
        let mut quote = hex(UDP_QUOTE);
        quote[2..4].copy_from_slice(&1500_u16.to_be_bytes());
        quote.extend(&data);
        let mut bytes = vec![11, 0, 0, 0, 0, words, 0, 0];
        bytes.extend(&quote[..quote_len]);
        bytes.extend(hex(MPLS));
        let Ok(Message::Error(error)) = Message::parse(Version::V4, &bytes) else {
            panic!("no error");
        };
        let QuotedTransport::Udp { data: quoted, .. } = error.quoted(Version::V4).unwrap().transport
        else {
            panic!("no UDP");
        };
        prop_assert_eq!(quoted, &quote[28..quote_len]);
    }
}
