//! What stands before the ports of a packet: the header of its link, and fragments.

use etherparse::{
    EtherType, IpNumber, LaxNetSlice, LaxSlicedPacket, TcpSlice, TransportSlice, UdpSlice,
};
use pcap_file::DataLink;

/// Header lengths of links that etherparse does not take apart.
const COOKED_LEN: usize = 16;
const COOKED_V2_LEN: usize = 20;
const LOOPBACK_LEN: usize = 4;

/// Why a packet was not taken apart.
pub(super) enum Unread {
    /// It is of a kind of link that is not known.
    Link,
    /// It ends before its header does.
    Malformed,
}

/// Takes a packet apart behind its link's header.
pub(super) fn link_layer(link: DataLink, data: &[u8]) -> Result<LaxSlicedPacket<'_>, Unread> {
    let protocol_at = |at: usize, header: usize| {
        let protocol = data.get(at..).and_then(|rest| rest.first_chunk());
        let protocol = u16::from_be_bytes(*protocol.ok_or(Unread::Malformed)?);
        let rest = data.get(header..).ok_or(Unread::Malformed)?;
        Ok(LaxSlicedPacket::from_ether_type(EtherType(protocol), rest))
    };
    let ip = |data| LaxSlicedPacket::from_ip(data).map_err(|_| Unread::Malformed);
    match link {
        DataLink::ETHERNET => LaxSlicedPacket::from_ethernet(data).map_err(|_| Unread::Malformed),
        DataLink::LINUX_SLL => protocol_at(14, COOKED_LEN),
        DataLink::LINUX_SLL2 => protocol_at(0, COOKED_V2_LEN),
        // The family of the address in four bytes, of either order; the IP version says it too.
        DataLink::NULL | DataLink::LOOP => ip(data.get(LOOPBACK_LEN..).ok_or(Unread::Malformed)?),
        DataLink::RAW | DataLink::IPV4 | DataLink::IPV6 => ip(data),
        _ => Err(Unread::Link),
    }
}

/// The beginning of a datagram or of a segment in the first of its fragments, which etherparse leaves
/// alone.
pub(super) fn first_fragment<'p>(net: &LaxNetSlice<'p>) -> Option<TransportSlice<'p>> {
    let ip = net.ip_payload_ref().filter(|ip| ip.fragmented)?;
    match ip.ip_number {
        IpNumber::UDP => UdpSlice::from_slice_lax(ip.payload)
            .ok()
            .map(TransportSlice::Udp),
        IpNumber::TCP => TcpSlice::from_slice(ip.payload)
            .ok()
            .map(TransportSlice::Tcp),
        _ => None,
    }
}
