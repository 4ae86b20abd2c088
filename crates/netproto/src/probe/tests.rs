use super::*;
use proptest::prelude::*;

const PROBE: Probe = Probe {
    run: 0x0102_0304_0506_0708,
    nonce: 0x1112_1314_1516_1718,
    sequence: 0x2122_23fe,
};

/// [`PROBE`] in 32 bytes, written out by hand from the layout in the module's documentation.
const WIRE: [u8; 32] = [
    b'W', b'L', b'Q', b'P', 1, 0, 0, 32, // magic, version, reserved, length
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
fn what_is_not_a_whole_probe_is_refused_with_the_reason() {
    let mut longer = WIRE.to_vec();
    longer.push(2);
    for (wire, error) in [
        (vec![], ProbeError::Size(0)),
        (WIRE[..27].to_vec(), ProbeError::Size(27)),
        (vec![0; 65_508], ProbeError::Size(65_508)),
        (altered(0, b'X'), ProbeError::Magic),
        (altered(4, 2), ProbeError::Version(2)),
        (altered(5, 1), ProbeError::Reserved(1)),
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

proptest! {
    #[test]
    fn every_size_from_the_smallest_to_the_largest_survives_the_round_trip(
        run: u64, nonce: u64, sequence: u32, size in HEADER_LEN..=MAX_LEN,
    ) {
        let probe = Probe { run, nonce, sequence };
        let mut datagram = vec![0; size];
        probe.encode(&mut datagram).unwrap();
        prop_assert_eq!(Probe::parse(&datagram), Ok(probe));
    }

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Probe::parse(&bytes);
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
