//! Answers that no kernel can be made to send: MPLS labels, interfaces, rare marks, and lengths
//! that lie. Takes root and a TUN device.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod crafting;
mod peer;

use crafting::{Way, extended, structure};
use peer::{OURS, THEIRS, left_out, written};
use testkit::responder::Responder;

const TARGETS: [&str; 2] = ["203.0.113.9", "2001:db8:1::9"];

fn responder(way: Way) -> Responder {
    Responder::new(move |packet| way.answer(packet)).unwrap()
}

fn compare(responder: &Responder, args: &[&str]) -> String {
    // Without it, the installed one gives up on answers that a busy machine is late with.
    let args = &[&["-w", "5"], args].concat();
    let ours = written(responder.command(OURS, args));
    let theirs = written(responder.command(THEIRS, args));
    assert_eq!(ours, theirs, "{args:?}");
    ours
}

/// Label 16000, traffic class 5, not the last, TTL 1; label 24, class 0, the last, TTL 9
/// (RFC 3032 §2.1).
const LABELS: [u8; 8] = [0x03, 0xe8, 0x0a, 0x01, 0x00, 0x01, 0x81, 0x09];

#[test]
fn mpls_labels_and_unknown_objects_read_as_in_the_linux_traceroute() {
    if left_out("mpls_labels_and_unknown_objects_read_as_in_the_linux_traceroute") {
        return;
    }
    let responder = responder(Way {
        routers: 3,
        error: |ttl, probe| match ttl {
            1 => extended(probe, &[(1, 1, LABELS[4..].to_vec())]),
            2 => extended(probe, &[(1, 1, LABELS.to_vec())]),
            _ => extended(probe, &[(1, 1, LABELS.to_vec()), (9, 7, vec![1, 2, 3, 4])]),
        },
    });
    for target in TARGETS {
        let told = compare(&responder, &["-n", "-e", target]);
        for expected in [
            "<MPLS:L=24,E=0,S=1,T=9>",
            "<MPLS:L=16000,E=5,S=0,T=1/L=24,E=0,S=1,T=9>",
            ";9/7:01020304>",
        ] {
            assert!(told.contains(expected), "{told}");
        }
        // Not asked for, not told.
        assert!(!compare(&responder, &["-n", target]).contains("MPLS"));
    }
}

#[test]
fn interfaces_are_told_by_name() {
    if left_out("interfaces_are_told_by_name") {
        return;
    }
    let responder = responder(Way {
        routers: 2,
        error: |ttl, probe| {
            // RFC 5837 §4.1: the role in the upper two bits, then which fields follow: index,
            // address, name, MTU.
            let mut all = vec![0, 0, 0, 7, 0, 1, 0, 0, 192, 0, 2, 77];
            all.extend(b"\x0cge-0/0/1\0\0\0");
            all.extend(9000_u32.to_be_bytes());
            // A name that would ring the terminal's bell.
            let bell = b"\x08e\x07h0\0\0\0".to_vec();
            match ttl {
                1 => extended(probe, &[(2, 0b1111, all)]),
                _ => extended(probe, &[(2, 0b1000_0010, bell)]),
            }
        },
    });
    for target in TARGETS {
        let told = written(responder.command(OURS, &["-n", "-e", target]));
        let expected = "<IF:in,name=ge-0/0/1,address=192.0.2.77,index=7,mtu=9000>";
        assert!(told.contains(expected), "{told}");
        assert!(told.contains("<IF:out,name=e?h0>"), "{told}");
    }
}

/// Lengths that point anywhere but to an extension structure: none is printed, and the router is
/// heard all the same where its quote is whole.
#[test]
fn extension_lengths_that_lie_make_up_nothing() {
    if left_out("extension_lengths_that_lie_make_up_nothing") {
        return;
    }
    let responder = responder(Way {
        routers: 6,
        error: |ttl, probe| {
            let v4 = probe[0] >> 4 == 4;
            let mut body = probe.to_vec();
            body.resize(128, 0);
            let mut objects = structure(&[(1, 1, LABELS.to_vec())]);
            let words: u8 = match ttl {
                // Beyond the message's end.
                1 => 255,
                // Into the quoted probe.
                2 => 1,
                // An object that claims more than there is.
                3 => {
                    objects[5] = 200;
                    32
                }
                // An object of no length at all.
                4 => {
                    objects[5] = 0;
                    32
                }
                // A wrong checksum.
                5 => {
                    objects[2] ^= 0xff;
                    32
                }
                // An empty structure.
                _ => {
                    objects.clear();
                    32
                }
            };
            body.extend(objects);
            let words = if v4 { words } else { words / 2 + words % 2 };
            if v4 {
                (11, 0, [0, words, 0, 0], body)
            } else {
                (3, 0, [words, 0, 0, 0], body)
            }
        },
    });
    for target in TARGETS {
        let told = written(responder.command(OURS, &["-n", "-e", "-w", "1", target]));
        assert!(!told.contains('<'), "{told}");
        for hop in ["1", "2", "3", "4", "5", "6", "7"] {
            let line = told.lines().find(|line| line.trim_start().starts_with(hop));
            assert!(line.is_some_and(|line| line.contains("T ms")), "{told}");
        }
    }
}

/// Type, code, the four octets after the checksum, and the mark (RFC 792, RFC 1812 §5.2.7.1,
/// RFC 1191 §4, RFC 4443). The row is the target's last octet.
type Row = (u8, u8, [u8; 4], &'static str);

const MTU_OF_1300: [u8; 4] = [0, 0, 0x05, 0x14];
const V4: [Row; 17] = [
    (3, 0, [0; 4], " !N"),
    (3, 1, [0; 4], " !H"),
    (3, 2, [0; 4], " !P"),
    // The target itself.
    (3, 3, [0; 4], ""),
    (3, 4, MTU_OF_1300, " !F-1300"),
    (3, 5, [0; 4], " !S"),
    (3, 6, [0; 4], " !N"),
    (3, 7, [0; 4], " !H"),
    (3, 8, [0; 4], " !N"),
    (3, 9, [0; 4], " !X"),
    (3, 10, [0; 4], " !X"),
    (3, 11, [0; 4], " !N"),
    (3, 12, [0; 4], " !H"),
    (3, 13, [0; 4], " !X"),
    (3, 14, [0; 4], " !V"),
    (3, 15, [0; 4], " !C"),
    // An option is wrong.
    (12, 0, [20, 0, 0, 0], " !<12-0>"),
];
const V6: [Row; 12] = [
    (1, 0, [0; 4], " !N"),
    (1, 1, [0; 4], " !X"),
    (1, 2, [0; 4], " !H"),
    (1, 3, [0; 4], " !H"),
    (1, 4, [0; 4], ""),
    (1, 5, [0; 4], " !<5>"),
    (1, 6, [0; 4], " !<6>"),
    (2, 0, [0, 0, 5, 0x14], " !F-1300"),
    (3, 1, [0; 4], " !<3-1>"),
    (4, 0, [0, 0, 0, 6], " !<4-0>"),
    (4, 1, [0, 0, 0, 6], " !<4-1>"),
    (4, 2, [0, 0, 0, 6], " !<4-2>"),
];

#[test]
fn every_refusal_has_the_mark_of_the_linux_traceroute_by_every_method() {
    if left_out("every_refusal_has_the_mark_of_the_linux_traceroute_by_every_method") {
        return;
    }
    let responder = responder(Way {
        routers: 1,
        error: |_, probe| {
            let (kind, code, rest, _) = if probe[0] >> 4 == 4 {
                V4[usize::from(probe[19])]
            } else {
                V6[usize::from(probe[39])]
            };
            (kind, code, rest, probe.to_vec())
        },
    });
    let v4 = |row: usize| format!("203.0.113.{row}");
    let v6 = |row: usize| format!("2001:db8:1::{row:x}");
    let check = |rows: &[Row], router: &str, target: &dyn Fn(usize) -> String| {
        for (row, (kind, code, _, mark)) in rows.iter().enumerate() {
            for method in ["-q3", "-I", "-T"] {
                // Without -F the kernel keeps an IPv4 MTU from the installed one.
                let told = compare(&responder, &["-n", "-F", method, &target(row)]);
                let time = format!("  T ms{mark}");
                let expected = format!(" 1  {router}{time}{time}{time}");
                let last = told.lines().last().unwrap();
                assert_eq!(last, expected, "{method} {kind}/{code}");
            }
        }
    };
    check(&V4, "198.51.100.1", &v4);
    check(&V6, "2001:db8::ff01", &v6);
}

/// A code that nobody has assigned, and a fragment that did not come in time. The kernel keeps them
/// from the installed one.
#[test]
fn other_refusals_are_told_by_their_numbers() {
    if left_out("other_refusals_are_told_by_their_numbers") {
        return;
    }
    let responder = responder(Way {
        routers: 1,
        error: |_, probe| match probe[19] {
            42 => (3, 42, [0; 4], probe.to_vec()),
            _ => (11, 1, [0; 4], probe.to_vec()),
        },
    });
    for (target, mark) in [("203.0.113.42", "!<42>"), ("203.0.113.9", "!<11-1>")] {
        for method in ["-q3", "-I", "-T"] {
            let told = written(responder.command(OURS, &["-n", method, target]));
            let first = format!(" 1  198.51.100.1  T ms {mark}");
            assert!(told.contains(&first), "{method}: {told}");
        }
    }
}
