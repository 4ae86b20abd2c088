//! Answers that no kernel sends: each is counted as what it is, and what is hostile neither counts
//! nor does harm. Takes root and a TUN device.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use etherparse::PacketBuilder;
use jsonschema::JSONSchema;
use serde_json::Value;
use testkit::netns::left_out;
use testkit::responder::{Answer, Responder};

const PING: &str = env!("CARGO_BIN_EXE_ping");
const SCHEMA: &str = include_str!("../schema/ping-v1.schema.json");

/// How long an ordinary answer takes: so long that a busy machine does not make another late.
const ORDINARY: Duration = Duration::from_millis(150);
const LATE: Duration = Duration::from_millis(900);
/// Who is asked, and who is not.
const HOSTS: [&str; 2] = ["203.0.113.1", "2001:db8:1::1"];
const OTHERS: [&str; 2] = ["203.0.113.66", "2001:db8:1::66"];

/// An echo request as it came out of the device.
#[derive(Clone)]
struct Request {
    packet: Vec<u8>,
    source: IpAddr,
    destination: IpAddr,
    identifier: u16,
    sequence: u16,
    data: Vec<u8>,
}

impl Request {
    fn read(packet: &[u8]) -> Option<Request> {
        let (header_len, kind, protocol) = match packet.first()? >> 4 {
            4 => (20, 8, packet[9]),
            _ => (40, 128, packet[6]),
        };
        let address = |at: usize| -> IpAddr {
            if header_len == 20 {
                <[u8; 4]>::try_from(&packet[at..at + 4]).unwrap().into()
            } else {
                <[u8; 16]>::try_from(&packet[at..at + 16]).unwrap().into()
            }
        };
        let (source, destination) = if header_len == 20 {
            (address(12), address(16))
        } else {
            (address(8), address(24))
        };
        let icmp = &packet[header_len..];
        let is_request = [1, 58].contains(&protocol) && icmp[0] == kind;
        is_request.then(|| Request {
            packet: packet.to_vec(),
            source,
            destination,
            identifier: u16::from_be_bytes([icmp[4], icmp[5]]),
            sequence: u16::from_be_bytes([icmp[6], icmp[7]]),
            data: icmp[8..].to_vec(),
        })
    }

    fn is_v4(&self) -> bool {
        self.source.is_ipv4()
    }

    fn other(&self) -> IpAddr {
        OTHERS[usize::from(!self.is_v4())].parse().unwrap()
    }

    /// An ICMP message from `from` to the client, with right checksums.
    fn message(
        &self,
        from: IpAddr,
        kind: [u8; 2],
        code: u8,
        rest: [u8; 4],
        body: &[u8],
    ) -> Vec<u8> {
        let mut packet = Vec::new();
        match (from, self.source) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                PacketBuilder::ipv4(from.octets(), to.octets(), 64)
                    .icmpv4_raw(kind[0], code, rest)
                    .write(&mut packet, body)
                    .unwrap();
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                PacketBuilder::ipv6(from.octets(), to.octets(), 64)
                    .icmpv6_raw(kind[1], code, rest)
                    .write(&mut packet, body)
                    .unwrap();
            }
            _ => unreachable!("one version"),
        }
        packet
    }

    fn reply_from(&self, from: IpAddr, identifier: u16, sequence: u16, data: &[u8]) -> Vec<u8> {
        let [a, b] = identifier.to_be_bytes();
        let [c, d] = sequence.to_be_bytes();
        self.message(from, [0, 129], 0, [a, b, c, d], data)
    }

    fn reply(&self) -> Vec<u8> {
        self.reply_from(self.destination, self.identifier, self.sequence, &self.data)
    }

    /// "Host unreachable", quoting what is given.
    fn unreachable(&self, quoted: &[u8]) -> Vec<u8> {
        let code = if self.is_v4() { 1 } else { 3 };
        self.message(self.destination, [3, 1], code, [0; 4], quoted)
    }

    fn icmp_at(&self) -> usize {
        if self.is_v4() { 20 } else { 40 }
    }

    /// The request with one octet of its ICMP message changed.
    fn with(&self, at: usize, octet: u8) -> Vec<u8> {
        let mut packet = self.packet.clone();
        packet[self.icmp_at() + at] = octet;
        packet
    }
}

/// What is done with a probe, and what its states must be, in the order in which they are told.
type Row = (
    &'static str,
    fn(&Request) -> Vec<Answer>,
    &'static [&'static str],
);

/// The probes in their order: the first row is for sequence number 1.
const ROWS: &[Row] = &[
    ("answered", ordinary, &["answered"]),
    (
        "answered thrice",
        |request| [ordinary(request), ordinary(request), ordinary(request)].concat(),
        &["answered", "duplicate", "duplicate"],
    ),
    // The next is held back until this one is answered.
    ("overtaken", |_| Vec::new(), &["reordered"]),
    ("overtakes", ordinary, &["answered"]),
    (
        "late",
        |request| vec![Answer::after(LATE, request.reply())],
        &["late"],
    ),
    ("not answered", |_| Vec::new(), &["lost"]),
    (
        "another octet of data",
        |request| {
            let mut data = request.data.clone();
            data[40] ^= 0xff;
            let reply = request.reply_from(
                request.destination,
                request.identifier,
                request.sequence,
                &data,
            );
            vec![Answer::after(ORDINARY, reply)]
        },
        &["answered data"],
    ),
    (
        "less data",
        |request| {
            let data = &request.data[..20];
            let reply = request.reply_from(
                request.destination,
                request.identifier,
                request.sequence,
                data,
            );
            vec![Answer::after(ORDINARY, reply)]
        },
        &["answered truncated"],
    ),
    (
        "from another address, with the nonce",
        |request| {
            let (id, sequence) = (request.identifier, request.sequence);
            let reply = request.reply_from(request.other(), id, sequence, &request.data);
            vec![Answer::after(ORDINARY, reply)]
        },
        &["answered"],
    ),
    (
        "from another address, without the nonce",
        |request| {
            let (id, sequence) = (request.identifier, request.sequence);
            let reply = request.reply_from(request.other(), id, sequence, &[0; 56]);
            vec![Answer::at_once(reply)]
        },
        &["lost"],
    ),
    (
        "no nonce",
        |request| {
            let (id, sequence) = (request.identifier, request.sequence);
            let reply = request.reply_from(request.destination, id, sequence, &[0; 56]);
            vec![Answer::at_once(reply)]
        },
        &["lost"],
    ),
    (
        "another's identifier",
        |request| {
            let (id, sequence) = (request.identifier ^ 1, request.sequence);
            let reply = request.reply_from(request.destination, id, sequence, &request.data);
            vec![Answer::at_once(reply)]
        },
        &["lost"],
    ),
    (
        "numbers that were never sent",
        |request| {
            [0, 999, 32_768, 65_535]
                .map(|number| {
                    let (to, id) = (request.destination, request.identifier);
                    Answer::at_once(request.reply_from(to, id, number, &request.data))
                })
                .to_vec()
        },
        &["lost"],
    ),
    (
        "cut off everywhere, the last time in its header",
        |request| {
            let reply = request.reply();
            (1..=request.icmp_at() + 7)
                .map(|len| {
                    let mut short = reply[..len].to_vec();
                    // As long as its header says.
                    match (len, request.is_v4()) {
                        (20.., true) => short[2..4].copy_from_slice(&(len as u16).to_be_bytes()),
                        (40.., false) => {
                            short[4..6].copy_from_slice(&(len as u16 - 40).to_be_bytes());
                        }
                        _ => {}
                    }
                    Answer::at_once(short)
                })
                .collect()
        },
        &["lost"],
    ),
    (
        "an error of the host",
        |request| {
            vec![Answer::after(
                ORDINARY,
                request.unreachable(&request.packet),
            )]
        },
        &["error"],
    ),
    (
        "an error that quotes as little as RFC 792 asks for",
        |request| {
            let quoted = &request.packet[..request.icmp_at() + 8];
            vec![Answer::after(ORDINARY, request.unreachable(quoted))]
        },
        &["error"],
    ),
    (
        "errors that quote garbage",
        |request| {
            let mut answers: Vec<Vec<u8>> = (0..request.icmp_at() + 8)
                .map(|len| request.packet[..len].to_vec())
                .collect();
            answers.push(vec![0xff; 100]);
            answers.push([&request.packet[..request.icmp_at()], &[0xff; 64]].concat());
            // A header longer than what is quoted, the other version's number, none at all. Of an
            // IPv6 header, the kernel looks at no more than the addresses and the next header.
            for first in [0x4f, 0x60, 0x00].iter().filter(|_| request.is_v4()) {
                let mut quoted = request.packet.clone();
                quoted[0] = *first;
                answers.push(quoted);
            }
            let error = |quoted: Vec<u8>| Answer::at_once(request.unreachable(&quoted));
            answers.into_iter().map(error).collect()
        },
        &["lost"],
    ),
    (
        "errors that quote another's probe",
        |request| {
            let mut elsewhere = request.packet.clone();
            // The last octet of the destination.
            elsewhere[request.icmp_at() - 1] ^= 1;
            [
                request.with(5, request.packet[request.icmp_at() + 5] ^ 1),
                request.with(10, request.packet[request.icmp_at() + 10] ^ 1),
                elsewhere,
            ]
            .map(|quoted| Answer::at_once(request.unreachable(&quoted)))
            .to_vec()
        },
        &["lost"],
    ),
    ("a wrong checksum", corrupt, &["corrupt", "lost"]),
    ("answered at the end", ordinary, &["answered"]),
];

/// Where no raw IPv4 socket is, the kernel drops what has a wrong checksum itself.
const WRONG_CHECKSUM: usize = 19;

fn ordinary(request: &Request) -> Vec<Answer> {
    vec![Answer::after(ORDINARY, request.reply())]
}

fn corrupt(request: &Request) -> Vec<Answer> {
    let mut reply = request.reply();
    reply[request.icmp_at() + 2] ^= 0x55;
    vec![Answer::after(ORDINARY, reply)]
}

/// Answers by [`ROWS`].
fn answer_by_rows() -> impl FnMut(&[u8]) -> Vec<Answer> + Send {
    let mut overtaken = None;
    move |packet| {
        let Some(request) = Request::read(packet) else {
            return Vec::new();
        };
        let Some((name, answer, _)) = ROWS.get(usize::from(request.sequence) - 1) else {
            return Vec::new();
        };
        let mut answers = answer(&request);
        if *name == "overtaken" {
            overtaken = Some(request);
        } else if let Some(overtaken) = overtaken.take() {
            answers.extend(ordinary(&overtaken));
        }
        answers
    }
}

/// By sequence number, the states that were told.
fn states(objects: &[Value]) -> BTreeMap<u64, Vec<String>> {
    let mut states: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for object in objects {
        let state = match object["type"].as_str() {
            Some("reply" | "unanswered") => object["state"].as_str().unwrap(),
            Some("error") => "error",
            _ => continue,
        };
        let damage = object["damage"].as_str().filter(|_| state != "corrupt");
        let told = damage.map_or_else(|| state.to_owned(), |damage| format!("{state} {damage}"));
        let sequence = object["sequence"].as_u64().unwrap();
        states.entry(sequence).or_default().push(told);
    }
    states
}

/// Which kind of socket ping gets, and by which IP version it asks.
#[derive(Debug, Clone, Copy)]
struct Run {
    raw: bool,
    v4: bool,
}

impl Run {
    fn ping(self, responder: &Responder, args: &str) -> Vec<Value> {
        let range = if self.raw { "1 0" } else { "0 2147483647" };
        let script = format!(
            "echo {range} >/proc/sys/net/ipv4/ping_group_range; exec {PING} --json {args} {}",
            HOSTS[usize::from(!self.v4)]
        );
        let output = responder.command("sh", &["-c", &script]).output().unwrap();
        assert!(output.stderr.is_empty(), "{self:?}: {output:?}");
        let schema = JSONSchema::compile(&serde_json::from_str(SCHEMA).unwrap()).unwrap();
        let objects: Vec<Value> = String::from_utf8_lossy(&output.stdout)
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        for object in &objects {
            assert!(schema.is_valid(object), "{self:?}: {object}");
        }
        objects
    }

    fn check_rows(self) {
        let responder = Responder::new(answer_by_rows()).unwrap();
        let args = format!("-c {} -i 0.1", ROWS.len());
        let objects = self.ping(&responder, &args);
        let told = states(&objects);
        let mut expected_lost = 0;
        for (sequence, (name, _, expected)) in (1..).zip(ROWS) {
            let seen = self.raw && self.v4;
            let expected = if sequence == WRONG_CHECKSUM && !seen {
                &["lost"]
            } else {
                *expected
            };
            expected_lost += u64::from(expected.contains(&"lost"));
            let told = told.get(&(sequence as u64)).cloned().unwrap_or_default();
            assert_eq!(told, expected, "{self:?}: {name}");
        }
        assert_eq!(told.len(), ROWS.len(), "{self:?}: no others are told of");
        let summary = objects.last().unwrap();
        for (figure, expected) in [
            ("transmitted", ROWS.len() as u64),
            ("duplicates", 2),
            ("reordered", 2),
            ("late", 1),
            ("errors", 2),
            ("damaged", 2),
            ("corrupted", u64::from(self.raw && self.v4)),
            ("in_flight", 0),
            // An error is no answer.
            ("lost", expected_lost + 2),
        ] {
            assert_eq!(summary[figure], expected, "{self:?}: {figure}: {summary}");
        }
    }
}

const RUNS: [Run; 4] = [
    Run {
        raw: true,
        v4: true,
    },
    Run {
        raw: true,
        v4: false,
    },
    Run {
        raw: false,
        v4: true,
    },
    Run {
        raw: false,
        v4: false,
    },
];

#[test]
fn every_answer_is_counted_as_what_it_is_and_hostile_ones_not_at_all() {
    if left_out(
        "every_answer_is_counted_as_what_it_is_and_hostile_ones_not_at_all",
        &[],
    ) {
        return;
    }
    // They wait most of the time, and each has a network of its own.
    std::thread::scope(|scope| {
        for run in RUNS {
            scope.spawn(move || run.check_rows());
        }
    });
}

#[test]
fn a_probe_without_room_for_the_nonce_is_answered_by_its_target_only() {
    if left_out(
        "a_probe_without_room_for_the_nonce_is_answered_by_its_target_only",
        &[],
    ) {
        return;
    }
    for run in RUNS {
        let answer = |packet: &[u8]| {
            let Some(request) = Request::read(packet) else {
                return Vec::new();
            };
            let from = match request.sequence {
                1 => request.destination,
                _ => request.other(),
            };
            let (id, sequence) = (request.identifier, request.sequence);
            vec![Answer::at_once(request.reply_from(
                from,
                id,
                sequence,
                &request.data,
            ))]
        };
        let responder = Responder::new(answer).unwrap();
        let objects = run.ping(&responder, "-c 2 -i 0.1 -s 7");
        let summary = objects.last().unwrap();
        assert_eq!(summary["received"], 1, "{run:?}: {summary}");
    }
}

#[test]
fn a_run_that_ends_before_the_answers_come_has_lost_nothing() {
    if left_out(
        "a_run_that_ends_before_the_answers_come_has_lost_nothing",
        &[],
    ) {
        return;
    }
    let answer = |packet: &[u8]| {
        let request = Request::read(packet);
        let reply = request.map(|request| Answer::after(LATE, request.reply()));
        reply.into_iter().collect()
    };
    for run in RUNS {
        let responder = Responder::new(answer).unwrap();
        // The first answer comes before the end, those of what was sent after 100 ms do not.
        let objects = run.ping(&responder, "-w 1 -i 0.2");
        let summary = objects.last().unwrap();
        let figure = |name: &str| summary[name].as_u64().unwrap();
        assert_eq!(summary["lost"], 0, "{run:?}: {summary}");
        assert_eq!(summary["loss_pct"], 0.0, "{run:?}: {summary}");
        assert!(
            figure("received") >= 1 && figure("in_flight") >= 2,
            "{run:?}: {summary}"
        );
        let told_of = figure("received") + figure("in_flight");
        assert_eq!(told_of, figure("transmitted"), "{run:?}: {summary}");
    }
}
