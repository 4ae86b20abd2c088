//! A test as a capture: every probe and every answer as a packet, at the time that the figures were
//! made from.
//!
//! The file is written from the record when the test is over, so that writing it costs the test
//! nothing. What the record has not kept is made up: the TTL is 64, the identification 0, and
//! datagrams are never fragmented. The link type is raw IP, so that no Ethernet address is invented.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use etherparse::PacketBuilder;
use netproto::probe::Probe;
use netproto::probe::rtp::{RTP_HEADER_LEN, Rtp};
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::{DataLink, PcapError};

use crate::figures::trace::Departure;
use crate::udp::Record;

const TTL: u8 = 64;
/// Nothing is cut off.
const SNAP_LENGTH: u32 = 0;
/// 10⁻⁹ s (pcapng's if_tsresol).
const NANOSECONDS: u8 = 9;
/// Directions of a packet (pcapng's epb_flags).
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;

/// Why there is no whole file.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the capture {}: {source}", .path.display())]
pub struct WriteError {
    path: PathBuf,
    source: io::Error,
}

/// Writes the packets of a test to a new file, and says how many.
pub fn write(path: &Path, record: &Record) -> Result<u64, WriteError> {
    let written = File::create(path).and_then(|file| {
        let mut out = BufWriter::new(file);
        let packets = write_to(&mut out, record)?;
        out.flush()?;
        Ok(packets)
    });
    written.map_err(|source| WriteError {
        path: path.to_owned(),
        source,
    })
}

/// One packet to be written: when, which probe, and whether it is the answer.
type Packet = (Duration, u32, bool);

fn write_to(out: impl Write, record: &Record) -> io::Result<u64> {
    let mut writer = PcapNgWriter::new(out).map_err(io_error)?;
    let interface = InterfaceDescriptionBlock {
        linktype: DataLink::RAW,
        snaplen: SNAP_LENGTH,
        options: vec![
            InterfaceDescriptionOption::IfName(Cow::Borrowed("qos-client")),
            InterfaceDescriptionOption::IfTsResol(NANOSECONDS),
        ],
    };
    writer.write_pcapng_block(interface).map_err(io_error)?;
    let sent = (0..).zip(&record.trace.sent);
    let sent = sent.filter_map(|(sequence, sent)| Some(((*sent)?.at, sequence, false)));
    let answers = record.trace.answers.iter();
    let mut packets: Vec<Packet> = sent
        .chain(answers.map(|answer| (answer.at, answer.sequence, true)))
        .collect();
    // Of the same time, the probe comes before its answer.
    packets.sort_unstable_by_key(|(at, sequence, answer)| (*at, *answer, *sequence));
    let mut frame = Vec::new();
    let mut written = 0;
    for (at, sequence, answer) in packets {
        let Some(sent) = record.trace.departure(sequence) else {
            continue;
        };
        let payload = payload(record, sequence, sent)?;
        let (from, to) = if answer {
            (record.address, record.local)
        } else {
            (record.local, record.address)
        };
        frame.clear();
        encapsulate(&mut frame, from, to, &payload)?;
        let direction = if answer { INBOUND } else { OUTBOUND };
        let block = EnhancedPacketBlock {
            interface_id: 0,
            timestamp: record.wall.label(at),
            original_len: frame.len() as u32,
            data: Cow::Borrowed(&frame),
            options: vec![EnhancedPacketOption::Flags(direction)],
        };
        writer.write_pcapng_block(block).map_err(io_error)?;
        written += 1;
    }
    Ok(written)
}

/// The bytes of a probe, which are those of its answer too: the receiver counts no other.
fn payload(record: &Record, sequence: u32, sent: Departure) -> io::Result<Vec<u8>> {
    let mut datagram = vec![0; usize::from(sent.bytes)];
    let probe = Probe {
        run: record.run.id,
        nonce: record.nonce,
        sequence,
        stamps: record.plan.stamps(),
    };
    let mut at = 0;
    if let (true, Some(header)) = (record.plan.rtp(), datagram.first_chunk_mut()) {
        *header = Rtp::of_probe(sequence, sent.at, record.nonce).encode();
        at = RTP_HEADER_LEN;
    }
    let rest = datagram.get_mut(at..).unwrap_or_default();
    probe.encode(rest).map_err(io::Error::other)?;
    Ok(datagram)
}

fn encapsulate(
    frame: &mut Vec<u8>,
    from: SocketAddr,
    to: SocketAddr,
    payload: &[u8],
) -> io::Result<()> {
    let packet = match (from, to) {
        (SocketAddr::V4(from), SocketAddr::V4(to)) => {
            PacketBuilder::ipv4(from.ip().octets(), to.ip().octets(), TTL)
        }
        (SocketAddr::V6(from), SocketAddr::V6(to)) => {
            PacketBuilder::ipv6(from.ip().octets(), to.ip().octets(), TTL)
        }
        _ => return Err(io::Error::other("the two ends are of different families")),
    };
    packet
        .udp(from.port(), to.port())
        .write(frame, payload)
        .map_err(io::Error::other)
}

fn io_error(error: PcapError) -> io::Error {
    match error {
        PcapError::IoError(error) => error,
        other => io::Error::other(other.to_string()),
    }
}
