//! Captures of every link, and hostile ones: nothing in a file can do harm.

use std::net::SocketAddr;
use std::time::Duration;

use etherparse::PacketBuilder;
use netproto::probe::Probe;
use pcap_file::pcap::{PcapHeader, PcapPacket, PcapWriter};
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::{DataLink, TsResolution};
use proptest::prelude::*;
use qos_client::capture::conversations::Conversations;
use qos_client::capture::packets::{Ended, Skipped, Transport, read_from};

/// 12:30 on a day.
const AT: Duration = Duration::new(1_772_368_200, 123_456_789);

fn probe(sequence: u32) -> Vec<u8> {
    let mut datagram = vec![0; 40];
    let probe = Probe {
        run: 1,
        nonce: 2,
        sequence,
        stamps: false,
    };
    probe.encode(&mut datagram).unwrap();
    datagram
}

fn ip_packet(ipv6: bool, payload: &[u8]) -> Vec<u8> {
    let builder = if ipv6 {
        PacketBuilder::ipv6([1; 16], [2; 16], 64)
    } else {
        PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
    };
    let mut packet = Vec::new();
    builder.udp(4000, 9000).write(&mut packet, payload).unwrap();
    packet
}

fn pcap(link: DataLink, resolution: TsResolution, frame: &[u8]) -> Vec<u8> {
    let header = PcapHeader {
        datalink: link,
        ts_resolution: resolution,
        ..PcapHeader::default()
    };
    let mut file = PcapWriter::with_header(Vec::new(), header).unwrap();
    let packet = PcapPacket::new(AT, frame.len() as u32, frame);
    file.write_packet(&packet).unwrap();
    file.into_writer()
}

/// Times as the crate writes them: a number of ticks, whatever a tick is.
fn pcapng(
    link: DataLink,
    options: Vec<InterfaceDescriptionOption<'static>>,
    ticks: u64,
    frame: &[u8],
) -> Vec<u8> {
    let mut file = PcapNgWriter::new(Vec::new()).unwrap();
    let interface = InterfaceDescriptionBlock {
        linktype: link,
        snaplen: 0,
        options,
    };
    file.write_pcapng_block(interface).unwrap();
    let packet = EnhancedPacketBlock {
        interface_id: 0,
        timestamp: Duration::from_nanos(ticks),
        original_len: frame.len() as u32,
        data: frame.into(),
        options: vec![],
    };
    file.write_pcapng_block(packet).unwrap();
    file.into_inner()
}

type Seen = (Duration, SocketAddr, SocketAddr, Vec<u8>, usize);

fn read(file: &[u8]) -> Option<(Ended, Vec<Seen>)> {
    let mut seen = Vec::new();
    let ended = read_from(file, &mut |packet| {
        if let Transport::Udp { payload, length } = packet.transport {
            seen.push((packet.at, packet.from, packet.to, payload.to_vec(), length));
        }
    })?;
    Some((ended, seen))
}

#[test]
fn the_same_datagram_is_read_from_every_kind_of_link() {
    for ipv6 in [false, true] {
        let packet = ip_packet(ipv6, b"hello");
        let protocol: [u8; 2] = if ipv6 { [0x86, 0xdd] } else { [0x08, 0x00] };
        let behind = |header: &[u8]| [header, &packet].concat();
        // tcpdump.org/linktypes: Ethernet II; Linux cooked v1 (protocol at 14) and v2 (at 0);
        // loopback of BSD, in host's and in network's order.
        let ethernet = [&[0; 12][..], &protocol].concat();
        let vlan = [&[0; 12][..], &[0x81, 0, 0, 7], &protocol].concat();
        let cooked = [&[0, 0, 3, 4, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0][..], &protocol].concat();
        let cooked_v2 = [&protocol[..], &[0; 18]].concat();
        let (from, to): (SocketAddr, SocketAddr) = if ipv6 {
            (([1_u8; 16], 4000).into(), ([2_u8; 16], 9000).into())
        } else {
            (([10, 0, 0, 1], 4000).into(), ([10, 0, 0, 2], 9000).into())
        };
        for (link, frame) in [
            (DataLink::ETHERNET, behind(&ethernet)),
            (DataLink::ETHERNET, behind(&vlan)),
            (DataLink::LINUX_SLL, behind(&cooked)),
            (DataLink::LINUX_SLL2, behind(&cooked_v2)),
            (DataLink::NULL, behind(&[2, 0, 0, 0])),
            (DataLink::LOOP, behind(&[0, 0, 0, 2])),
            (DataLink::RAW, packet.clone()),
        ] {
            let (ended, seen) = read(&pcap(link, TsResolution::NanoSecond, &frame)).unwrap();
            assert_eq!(seen, [(AT, from, to, b"hello".to_vec(), 5)], "{link:?}");
            assert_eq!((ended.packets, ended.damaged), (1, None));
        }
    }
}

#[test]
fn times_have_the_resolution_that_the_file_says() {
    let frame = ip_packet(false, b"");
    let micros = Duration::new(AT.as_secs(), 123_456_000);
    let at = |file: &[u8]| read(file).unwrap().1[0].0;
    assert_eq!(
        at(&pcap(DataLink::RAW, TsResolution::MicroSecond, &frame)),
        micros
    );
    let ng = |options, ticks| at(&pcapng(DataLink::RAW, options, ticks, &frame));
    // Microseconds unless told otherwise; 10⁻⁹; 2⁻¹⁰, of which 1536 are 1.5 s; with an offset.
    assert_eq!(ng(vec![], AT.as_micros() as u64), micros);
    let resolution = |value| InterfaceDescriptionOption::IfTsResol(value);
    assert_eq!(ng(vec![resolution(9)], AT.as_nanos() as u64), AT);
    assert_eq!(
        ng(vec![resolution(0x8a)], 1536),
        Duration::from_millis(1500)
    );
    let offset = InterfaceDescriptionOption::IfTsOffset(100);
    assert_eq!(ng(vec![offset], 5_000_000), Duration::from_secs(105));
    // It is signed (pcapng §4.2): an hour back; before 1970; after 2554.
    let offset = |seconds: i64| vec![InterfaceDescriptionOption::IfTsOffset(seconds as u64)];
    assert_eq!(ng(offset(-3600), 3_601_000_000), Duration::from_secs(1));
    assert_eq!(ng(offset(-3600), 5), Duration::ZERO);
    assert_eq!(ng(offset(i64::MIN), u64::MAX), Duration::ZERO);
    assert_eq!(ng(offset(i64::MAX), 5), Duration::from_nanos(u64::MAX));
    assert_eq!(ng(vec![resolution(0xff)], u64::MAX), Duration::ZERO);
}

#[test]
fn what_cannot_be_read_is_counted_by_its_reason() {
    let good = ip_packet(false, b"hello");
    let icmp = {
        let mut packet = good.clone();
        packet[9] = 1;
        packet
    };
    let later_fragment = {
        let mut packet = good.clone();
        packet[7] = 10;
        packet
    };
    let on_ethernet = |ether_type: [u8; 2], rest: &[u8]| [&[0; 12][..], &ether_type, rest].concat();
    let cut_in_the_ip_header = on_ethernet([0x08, 0x00], &good[..16]);
    let arp = on_ethernet([0x08, 0x06], &[0; 28]);
    for (link, frame, reason) in [
        (DataLink::RAW, icmp, "other_protocol"),
        (DataLink::RAW, later_fragment, "fragments"),
        (DataLink::RAW, good[..24].to_vec(), "malformed"),
        (DataLink::RAW, vec![], "malformed"),
        (DataLink::LINUX_SLL, vec![0; 15], "malformed"),
        (DataLink::ETHERNET, cut_in_the_ip_header, "malformed"),
        (DataLink::ETHERNET, arp, "other_protocol"),
        (DataLink::USB_LINUX, good, "unknown_link"),
    ] {
        let (ended, seen) = read(&pcap(link, TsResolution::NanoSecond, &frame)).unwrap();
        let skipped = ended.skipped;
        let counts = [
            ("other_protocol", skipped.other_protocol),
            ("fragments", skipped.fragments),
            ("malformed", skipped.malformed),
            ("unknown_link", skipped.unknown_link),
        ];
        for (name, count) in counts {
            assert_eq!(
                count,
                u64::from(name == reason),
                "{name} of {reason}: {frame:?}"
            );
        }
        assert!(seen.is_empty());
    }
}

#[test]
fn the_first_fragment_of_a_datagram_has_its_ports_and_its_length() {
    // RFC 791 §3.1: more fragments; RFC 8200 §4.5: the fragment header of 8 bytes, UDP behind it.
    let whole = ip_packet(false, &[7; 1000]);
    let mut v4 = whole[..20 + 480].to_vec();
    (v4[2], v4[3], v4[6]) = (1, 244, 0x20);
    let whole = ip_packet(true, &[7; 1000]);
    let fragment = [17, 0, 0, 1, 0, 0, 0, 9];
    let mut v6 = [&whole[..40], &fragment, &whole[40..40 + 480]].concat();
    (v6[4], v6[5], v6[6]) = (1, 232, 44);
    for frame in [&v4, &v6] {
        let (ended, seen) = read(&pcap(DataLink::RAW, TsResolution::NanoSecond, frame)).unwrap();
        assert_eq!(ended.skipped, Skipped::default());
        assert_eq!(seen.len(), 1, "{ended:?}");
        assert_eq!((seen[0].1.port(), seen[0].2.port()), (4000, 9000));
        assert_eq!((seen[0].3.len(), seen[0].4), (472, 1000));
    }
    // The second: 60 times 8 bytes into the datagram.
    v6[42..44].copy_from_slice(&(60_u16 << 3).to_be_bytes());
    let (ended, seen) = read(&pcap(DataLink::RAW, TsResolution::NanoSecond, &v6)).unwrap();
    assert_eq!((ended.skipped.fragments, seen.len()), (1, 0));
}

#[test]
fn the_length_is_that_of_the_header_where_the_capture_cut_the_packet() {
    let frame = &ip_packet(false, &[7; 1000])[..60];
    let (_, seen) = read(&pcap(DataLink::RAW, TsResolution::NanoSecond, frame)).unwrap();
    assert_eq!((seen[0].3.len(), seen[0].4), (32, 1000));
}

fn conversations(files: impl IntoIterator<Item = Vec<u8>>) -> Conversations {
    let mut conversations = Conversations::default();
    for file in files {
        read_from(&*file, &mut |packet| {
            conversations.add(&packet);
        })
        .unwrap();
    }
    conversations
}

#[test]
fn a_thousand_series_of_one_probe_each_take_no_more_than_their_packets_whatever_they_claim() {
    let files = (0..1000).map(|run| {
        let mut datagram = probe(u32::MAX - run);
        datagram[8..16].copy_from_slice(&u64::from(run).to_be_bytes());
        pcap(
            DataLink::RAW,
            TsResolution::NanoSecond,
            &ip_packet(false, &datagram),
        )
    });
    let conversations = conversations(files);
    let series = &conversations.udp()[0].probes;
    assert_eq!(series.len(), 1000);
    for probes in series {
        let (trace, _) = probes.trace(Duration::from_secs(2), 0);
        assert_eq!((trace.sent.len(), trace.fates().len()), (1, 1));
    }
}

#[test]
fn no_time_is_too_late_and_no_deadline_too_long() {
    let options = || vec![InterfaceDescriptionOption::IfTsOffset(i64::MAX as u64)];
    let file = pcapng(
        DataLink::RAW,
        options(),
        u64::MAX,
        &ip_packet(false, &probe(0)),
    );
    let conversations = conversations([file]);
    let (trace, _) = conversations.udp()[0].probes[0].trace(Duration::MAX, 0);
    assert_eq!(trace.ended_at, Duration::MAX);
}

#[test]
fn the_interfaces_of_a_file_are_bounded() {
    for (interfaces, read_to_its_end) in [(1024, true), (1025, false)] {
        let mut file = PcapNgWriter::new(Vec::new()).unwrap();
        for _ in 0..interfaces {
            let interface = InterfaceDescriptionBlock {
                linktype: DataLink::RAW,
                snaplen: 0,
                options: vec![],
            };
            file.write_pcapng_block(interface).unwrap();
        }
        let (ended, _) = read(&file.into_inner()).unwrap();
        assert_eq!(ended.damaged.is_none(), read_to_its_end, "{ended:?}");
    }
}

/// A capture of probes and answers, in which something was altered.
fn altered(ng: bool, link: DataLink, changes: &[(prop::sample::Index, u8)]) -> Vec<u8> {
    let frames = [ip_packet(false, &probe(3)), ip_packet(true, &probe(4))].concat();
    let mut file = if ng {
        pcapng(
            link,
            vec![InterfaceDescriptionOption::IfTsResol(9)],
            AT.as_nanos() as u64,
            &frames,
        )
    } else {
        pcap(link, TsResolution::MicroSecond, &frames)
    };
    for (at, value) in changes {
        let at = at.index(file.len());
        file[at] = *value;
    }
    file
}

proptest! {
    #[test]
    fn no_file_can_make_the_reader_panic_or_grow(
        ng: bool,
        link in prop::sample::select(vec![
            DataLink::ETHERNET, DataLink::LINUX_SLL, DataLink::LINUX_SLL2, DataLink::NULL, DataLink::RAW,
        ]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        keep in any::<prop::sample::Index>(),
    ) {
        let mut file = altered(ng, link, &changes);
        let keep = 4 + keep.index(file.len() - 3);
        file.truncate(keep);
        let mut conversations = Conversations::default();
        let ended = read_from(&*file, &mut |packet| conversations.add(&packet));
        if let Some(ended) = ended {
            prop_assert!(ended.packets <= file.len() as u64 / 12);
        }
        for udp in conversations.udp() {
            for probes in &udp.probes {
                let (trace, _) = probes.trace(Duration::from_secs(2), 0);
                prop_assert!(trace.sent.len() <= 2 * file.len());
            }
        }
    }
}
