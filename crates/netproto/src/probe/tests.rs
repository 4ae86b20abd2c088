use super::*;
use proptest::prelude::*;
use std::time::Duration;

const PROBE: Probe = Probe {
    run: 0x0102_0304_0506_0708,
    nonce: 0x1112_1314_1516_1718,
    sequence: 0x2122_23fe,
    stamps: false,
};

/// [`PROBE`] in 32 bytes, written out by hand from the layout in the module's documentation.
const WIRE: [u8; 32] = [
    b'W', b'L', b'Q', b'P', 1, 0, 0, 32, // magic, version, flags, length
    0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, // run id
    0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, // nonce
    0x21, 0x22, 0x23, 0xfe, // sequence
    0xfe, 0xff, 0x00, 0x01, // padding, from the sequence's last byte on
];

fn altered(at: usize, value: u8) -> Vec<u8> {
    let mut wire = WIRE.to_vec();
    wire[at] = value;
    wire
}

#[test]
fn the_layout_is_the_one_that_is_documented() {
    let mut datagram = [0xaa; 32];
    PROBE.encode(&mut datagram).unwrap();
    assert_eq!(datagram, WIRE);
    assert_eq!(Probe::parse(&WIRE), Ok(PROBE));
}

#[test]
fn a_damaged_probe_still_says_which_it_was() {
    for (wire, sequence) in [
        (altered(31, 0), Some(0x2122_23fe)),
        (altered(27, 0), Some(0x2122_2300)),
        (WIRE[..28].to_vec(), Some(0x2122_23fe)),
        (WIRE[..27].to_vec(), None),
        (altered(0, b'X'), None),
    ] {
        assert_eq!(Probe::claimed_sequence(&wire), sequence, "{wire:?}");
    }
}

#[test]
fn what_is_not_a_whole_probe_is_refused_with_the_reason() {
    let mut longer = WIRE.to_vec();
    longer.push(2);
    for (wire, error) in [
        (vec![], ProbeError::Size(0)),
        (WIRE[..27].to_vec(), ProbeError::Size(27)),
        (vec![0; 65_508], ProbeError::Size(65_508)),
        (altered(0, b'X'), ProbeError::Magic),
        (altered(4, 2), ProbeError::Version(2)),
        (altered(5, 2), ProbeError::Flags(2)),
        (altered(5, 1), ProbeError::Size(32)), // no room for the stamps that it asks for
        (
            WIRE[..31].to_vec(),
            ProbeError::Length {
                stated: 32,
                received: 31,
            },
        ),
        (
            longer,
            ProbeError::Length {
                stated: 32,
                received: 33,
            },
        ),
        (altered(28, 0xff), ProbeError::Padding(28)),
        (altered(31, 0x00), ProbeError::Padding(31)),
        (altered(27, 0xff), ProbeError::Padding(28)), // the sequence no longer fits its padding
    ] {
        assert_eq!(Probe::parse(&wire), Err(error), "{wire:?}");
    }
}

#[test]
fn a_buffer_of_the_wrong_size_is_left_untouched() {
    for size in [0, HEADER_LEN - 1, MAX_LEN + 1, 70_000] {
        let mut datagram = vec![0xaa; size];
        assert_eq!(PROBE.encode(&mut datagram), Err(ProbeError::Size(size)));
        assert!(datagram.iter().all(|byte| *byte == 0xaa));
    }
}

fn seen(node: Node, arrived: u64, departed: u64) -> Stamp {
    Stamp {
        node,
        arrived: Duration::from_nanos(arrived),
        departed: Duration::from_nanos(departed),
    }
}

#[test]
fn the_nodes_on_the_way_stamp_a_probe_that_asks_and_it_is_still_whole() {
    let asking = Probe {
        stamps: true,
        ..PROBE
    };
    let mut datagram = vec![0xaa; 128];
    asking.encode(&mut datagram).unwrap();
    let way = [
        seen(Node::Relay, 100, 0x0102_0304_0506_0708),
        seen(Node::Echo, 7, 9),
        seen(Node::Relay, 500, 600),
    ];
    for stamped in way {
        assert!(stamp(&mut datagram, stamped));
    }
    assert_eq!(stamps(&datagram).collect::<Vec<_>>(), way);
    // Who held it for longer than it thought says when it went.
    assert!(depart(&mut datagram, Duration::from_nanos(700)));
    assert_eq!(stamps(&datagram).last(), Some(seen(Node::Relay, 500, 700)));
    assert!(depart(&mut datagram, Duration::from_nanos(600)));
    assert_eq!(Probe::parse(&datagram), Ok(asking));
    // The layout: a relay is 1, an echo 2; then two times of 8 bytes, big-endian.
    let mut relay = vec![1, 0, 0, 0, 0, 0, 0, 0, 100];
    relay.extend([1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(datagram[28..45], relay);
    assert_eq!(datagram[45], 2);
    // The padding behind the slots is what it would be without them.
    assert_eq!(datagram[113], 0xfe_u8.wrapping_add(85));
}

#[test]
fn a_probe_whose_slots_are_taken_is_passed_on_as_it_is() {
    let asking = Probe {
        stamps: true,
        ..PROBE
    };
    let mut datagram = vec![0; STAMPED_HEADER_LEN];
    asking.encode(&mut datagram).unwrap();
    for i in 0..STAMPS as u64 {
        assert!(stamp(&mut datagram, seen(Node::Relay, i, i)));
    }
    let full = datagram.clone();
    assert!(!stamp(&mut datagram, seen(Node::Echo, 9, 9)));
    assert_eq!(datagram, full);
    let size = ProbeError::Size(STAMPED_HEADER_LEN - 1);
    assert_eq!(asking.encode(&mut full[1..].to_vec()), Err(size));
}

proptest! {
    #[test]
    fn every_size_from_the_smallest_to_the_largest_survives_the_round_trip(
        run: u64, nonce: u64, sequence: u32, stamps: bool, size in HEADER_LEN..=MAX_LEN,
    ) {
        let probe = Probe { run, nonce, sequence, stamps: stamps && size >= STAMPED_HEADER_LEN };
        let mut datagram = vec![0; size];
        probe.encode(&mut datagram).unwrap();
        prop_assert_eq!(Probe::parse(&datagram), Ok(probe));
    }

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Probe::parse(&bytes);
    }

    #[test]
    fn a_datagram_that_does_not_ask_is_never_altered_and_none_changes_its_length(
        mut bytes in prop::collection::vec(any::<u8>(), 0..200), begins_like_a_probe: bool,
    ) {
        if begins_like_a_probe {
            let length = bytes.len().min(6);
            bytes[..length].copy_from_slice(&b"WLQP\x01\x01"[..length]);
        }
        let before = bytes.clone();
        let stamped = stamp(&mut bytes, seen(Node::Echo, 1, 2));
        prop_assert_eq!(bytes.len(), before.len());
        prop_assert!(stamped || bytes == before);
        prop_assert!(!stamped || begins_like_a_probe);
        prop_assert!(stamps(&bytes).count() <= STAMPS);
    }

    #[test]
    fn a_probe_with_one_byte_damaged_never_passes_for_another_sequence(
        at in 0..WIRE.len(), value: u8,
    ) {
        if let Ok(probe) = Probe::parse(&altered(at, value)) {
            // Run id and nonce have no check of their own: the receiver compares them. The upper
            // bytes of the sequence are checked against the run's size.
            prop_assert!(value == WIRE[at] || (8..27).contains(&at), "byte {}: {:?}", at, probe);
        }
    }
}
