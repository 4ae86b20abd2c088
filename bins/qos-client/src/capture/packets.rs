//! The packets of a capture: pcapng or pcap, over Ethernet, Linux's cooked link, loopback or raw IP.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use etherparse::{LaxNetSlice, TransportSlice};
use netproto::ipv6;
use pcap_file::pcap::PcapReader;
use pcap_file::pcapng::PcapNgReader;
use pcap_file::pcapng::blocks::Block;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::{DataLink, PcapError, TsResolution};

use super::layers::{Unread, first_fragment, link_layer};

/// What a pcapng file begins with.
const PCAPNG_MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
/// The resolution of an interface that does not name one: 10⁻⁶ s.
const MICROSECONDS: u8 = 6;
/// Interfaces of one section of a file.
const MAX_INTERFACES: usize = 1024;
/// The last time that a packet can have, in the year 2554: sums over any file stay far from the end
/// of what a [`Duration`] holds.
const LAST_TIME: Duration = Duration::from_nanos(u64::MAX);

/// A UDP datagram or a TCP segment.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'p> {
    /// Since the Unix epoch, to the year 2554 at most.
    pub at: Duration,
    /// Who sent it.
    pub from: SocketAddr,
    /// To whom.
    pub to: SocketAddr,
    /// Which of the two.
    pub transport: Transport<'p>,
}

/// What a packet carries.
#[derive(Debug, Clone, Copy)]
pub enum Transport<'p> {
    /// A datagram.
    Udp {
        /// As far as it was captured.
        payload: &'p [u8],
        /// Bytes of payload as the header says.
        length: usize,
    },
    /// A segment.
    Tcp(Segment),
}

/// What is read of a TCP header (RFC 9293 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "the flags of the header")]
pub struct Segment {
    /// Sequence number of the first byte, or of the SYN.
    pub sequence: u32,
    /// The next byte expected of the peer.
    pub acknowledgment: u32,
    /// Bytes of payload, as the headers say.
    pub length: u32,
    /// SYN.
    pub syn: bool,
    /// ACK.
    pub ack: bool,
    /// FIN.
    pub fin: bool,
    /// RST.
    pub rst: bool,
}

/// Packets that gave no [`Packet`], by the reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Neither UDP nor TCP over IP.
    pub other_protocol: u64,
    /// Second and further fragments of a datagram.
    pub fragments: u64,
    /// Cut off or damaged before their ports.
    pub malformed: u64,
    /// Captured on a kind of link that is not known.
    pub unknown_link: u64,
}

/// How reading ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Packets in the file.
    pub packets: u64,
    /// Those that were not looked at further.
    pub skipped: Skipped,
    /// What is wrong with the rest of the file, if its end was not reached.
    pub damaged: Option<String>,
}

/// Why a file is no capture.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The system does not give it.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file.
        path: String,
        /// The system's reason.
        source: io::Error,
    },
    /// Neither of the two formats.
    #[error("{path} is no capture: it begins neither as pcapng nor as pcap")]
    NoCapture {
        /// The file.
        path: String,
    },
}

/// Hands every UDP datagram and TCP segment of a file to `take`, in the order of the file. A pipe will
/// do: it is read once, from its beginning.
pub fn read(path: &Path, take: &mut dyn FnMut(Packet<'_>)) -> Result<Ended, CaptureError> {
    let file = File::open(path).map_err(|source| CaptureError::Io {
        path: path.display().to_string(),
        source,
    })?;
    read_from(BufReader::new(file), take).ok_or_else(|| CaptureError::NoCapture {
        path: path.display().to_string(),
    })
}

/// As [`read`]; `None` when it is neither format.
pub fn read_from(mut source: impl Read, take: &mut dyn FnMut(Packet<'_>)) -> Option<Ended> {
    let mut sink = Sink {
        take,
        packets: 0,
        skipped: Skipped::default(),
    };
    let mut magic = [0; 4];
    source.read_exact(&mut magic).ok()?;
    let source = magic.chain(source);
    let damaged = if magic == PCAPNG_MAGIC {
        read_pcapng(PcapNgReader::new(source).ok()?, &mut sink)
    } else {
        read_pcap(PcapReader::new(source).ok()?, &mut sink).map(|error| error.to_string())
    };
    Some(Ended {
        packets: sink.packets,
        skipped: sink.skipped,
        damaged,
    })
}

/// What ended it before the end of the file, if anything did.
fn read_pcapng(mut reader: PcapNgReader<impl Read>, sink: &mut Sink<'_>) -> Option<String> {
    loop {
        let block = match reader.next_block() {
            None => return None,
            Some(Err(error)) => return Some(error.to_string()),
            Some(Ok(block)) => block.into_owned(),
        };
        // The crate keeps what is said of every interface.
        if reader.interfaces().len() > MAX_INTERFACES {
            return Some(format!("it has more than {MAX_INTERFACES} interfaces"));
        }
        let (interface, ticks, data) = match block {
            Block::EnhancedPacket(packet) => {
                // The crate takes every timestamp for nanoseconds; only the interface knows.
                let ticks = u64::try_from(packet.timestamp.as_nanos()).unwrap_or_default();
                (packet.interface_id, ticks, packet.data)
            }
            Block::Packet(packet) => (packet.interface_id.into(), packet.timestamp, packet.data),
            // A simple packet has no time, and so no use here.
            Block::SimplePacket(_) => {
                sink.packets += 1;
                sink.skipped.malformed += 1;
                continue;
            }
            _ => continue,
        };
        let Some(interface) = reader.interfaces().get(interface as usize) else {
            sink.packets += 1;
            sink.skipped.unknown_link += 1;
            continue;
        };
        sink.packet(interface.linktype, time_of(interface, ticks), &data);
    }
}

fn read_pcap(mut reader: PcapReader<impl Read>, sink: &mut Sink<'_>) -> Option<PcapError> {
    let header = reader.header();
    let finer = header.ts_resolution == TsResolution::NanoSecond;
    loop {
        match reader.next_raw_packet() {
            None => return None,
            Some(Err(error)) => return Some(error),
            Some(Ok(packet)) => {
                let seconds = Duration::from_secs(packet.ts_sec.into());
                let fraction = if finer {
                    Duration::from_nanos(packet.ts_frac.into())
                } else {
                    Duration::from_micros(packet.ts_frac.into())
                };
                sink.packet(header.datalink, seconds + fraction, &packet.data);
            }
        }
    }
}

/// A timestamp in the units and from the origin of its interface (pcapng §4.2).
fn time_of(interface: &InterfaceDescriptionBlock<'_>, ticks: u64) -> Duration {
    let (mut resolution, mut offset) = (MICROSECONDS, 0_i64);
    for option in &interface.options {
        match option {
            InterfaceDescriptionOption::IfTsResol(value) => resolution = *value,
            // Signed in the format, unsigned in the crate.
            InterfaceDescriptionOption::IfTsOffset(value) => offset = value.cast_signed(),
            _ => {}
        }
    }
    let exponent = u32::from(resolution & 0x7f);
    let base: u128 = if resolution & 0x80 == 0 { 10 } else { 2 };
    // Finer than 10⁻³⁸ s is finer than any clock: all such times are the origin.
    let per_second = base.checked_pow(exponent).unwrap_or(u128::MAX);
    let nanos = u128::from(ticks).saturating_mul(1_000_000_000) / per_second;
    let time = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
    let seconds = Duration::from_secs(offset.unsigned_abs());
    // No time of a packet is before 1970.
    let time = if offset < 0 {
        time.saturating_sub(seconds)
    } else {
        time.saturating_add(seconds)
    };
    time.min(LAST_TIME)
}

struct Sink<'t> {
    take: &'t mut dyn FnMut(Packet<'_>),
    packets: u64,
    skipped: Skipped,
}

impl Sink<'_> {
    fn packet(&mut self, link: DataLink, at: Duration, data: &[u8]) {
        self.packets += 1;
        let sliced = match link_layer(link, data) {
            Ok(sliced) => sliced,
            Err(Unread::Link) => return self.skipped.unknown_link += 1,
            Err(Unread::Malformed) => return self.skipped.malformed += 1,
        };
        let (from, to, later, whole) = match &sliced.net {
            Some(LaxNetSlice::Ipv4(ip)) => {
                let header = ip.header();
                let later = header.fragments_offset().value() > 0;
                let addresses = (
                    header.source_addr().into(),
                    header.destination_addr().into(),
                );
                // 0 where segmentation was left to the network card.
                let stated = usize::from(header.total_len());
                (
                    addresses.0,
                    addresses.1,
                    later,
                    stated.checked_sub(header.slice().len()),
                )
            }
            Some(LaxNetSlice::Ipv6(ip)) => {
                let header = ip.header();
                let extensions = ip.extensions().slice();
                let fragment = ipv6::fragment(header.next_header().0, extensions);
                let later = fragment.is_some_and(|fragment| fragment.offset > 0);
                let addresses = (
                    header.source_addr().into(),
                    header.destination_addr().into(),
                );
                let stated = usize::from(header.payload_length());
                (
                    addresses.0,
                    addresses.1,
                    later,
                    stated.checked_sub(extensions.len()),
                )
            }
            _ if sliced.stop_err.is_some() => return self.skipped.malformed += 1,
            _ => return self.skipped.other_protocol += 1,
        };
        let (from, to): (IpAddr, IpAddr) = (from, to);
        let of_first_fragment = match &sliced.net {
            Some(net) if !later => first_fragment(net),
            _ => None,
        };
        let transport = match sliced.transport.as_ref().or(of_first_fragment.as_ref()) {
            Some(TransportSlice::Udp(udp)) => {
                let payload = udp.payload();
                let stated = usize::from(udp.length()).checked_sub(8);
                let transport = Transport::Udp {
                    payload,
                    length: stated.filter(|stated| *stated > 0).unwrap_or(payload.len()),
                };
                (udp.source_port(), udp.destination_port(), transport)
            }
            Some(TransportSlice::Tcp(tcp)) => {
                let header = tcp.header_slice().len();
                let captured = tcp.payload().len();
                let length = whole.and_then(|whole| whole.checked_sub(header));
                let length = length.unwrap_or(captured).max(captured);
                let transport = Transport::Tcp(Segment {
                    sequence: tcp.sequence_number(),
                    acknowledgment: tcp.acknowledgment_number(),
                    length: length as u32,
                    syn: tcp.syn(),
                    ack: tcp.ack(),
                    fin: tcp.fin(),
                    rst: tcp.rst(),
                });
                (tcp.source_port(), tcp.destination_port(), transport)
            }
            _ if later => return self.skipped.fragments += 1,
            _ if sliced.stop_err.is_some() => return self.skipped.malformed += 1,
            _ => return self.skipped.other_protocol += 1,
        };
        let (from_port, to_port, transport) = transport;
        (self.take)(Packet {
            at,
            from: SocketAddr::new(from, from_port),
            to: SocketAddr::new(to, to_port),
            transport,
        });
    }
}
