//! Opening sockets: the least privileged kind that does the job, and what to do when none is
//! granted.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};

use netproto::icmp::Version;
use socket2::{Domain, Protocol, SockFilter, Socket, Type};

use super::{Endpoint, options};

/// Room for the answers to a burst of probes; the kernel may grant less.
const RECEIVE_BUFFER_LEN: usize = 1 << 20;

/// `BPF_RET | BPF_K`: accept as many octets of the packet as the constant says.
const BPF_RETURN_CONSTANT: u16 = 0x06;

/// Which kind of socket an [`Endpoint`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SocketKind {
    /// Datagram ICMP, for anyone in `net.ipv4.ping_group_range`; the kernel owns the identifier.
    IcmpDatagram,
    /// Raw ICMP, which takes CAP_NET_RAW.
    IcmpRaw,
    /// UDP, for anyone.
    Udp,
    /// Any protocol whose header this program writes, which takes CAP_NET_RAW.
    Raw,
}

impl SocketKind {
    /// Whether ICMP errors come by the error queue. A raw ICMP socket reads them as messages.
    pub(super) const fn has_error_queue(self) -> bool {
        matches!(self, SocketKind::IcmpDatagram | SocketKind::Udp)
    }

    pub(super) const fn delivers_ip_header(self, version: Version) -> bool {
        matches!(self, SocketKind::IcmpRaw | SocketKind::Raw) && matches!(version, Version::V4)
    }
}

/// Where packets leave from.
#[derive(Debug, Clone, Default)]
pub struct Binding {
    /// The source address.
    pub source: Option<IpAddr>,
    /// The interface's name.
    pub interface: Option<String>,
}

/// No socket, and why.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Neither kind of ICMP socket is granted.
    #[error(
        "this user may not open an ICMP socket: allow it to all with `sudo sysctl -w \
         net.ipv4.ping_group_range='0 2147483647'`, or to this program with `sudo setcap \
         cap_net_raw+ep {program}`"
    )]
    NotPermitted {
        /// The path of the running program.
        program: String,
    },
    /// What was asked for takes a raw socket, and none is granted.
    #[error(
        "this user may not open a raw socket, which this takes: run it as root, or allow it to \
         this program with `sudo setcap cap_net_raw+ep {program}`"
    )]
    RawNotPermitted {
        /// The path of the running program.
        program: String,
    },
    /// The kernel has no such protocol, as without IPv6.
    #[error("no IP{0:?} on this host: {words}", words = words(.1))]
    NoProtocol(Version, io::Error),
    /// The interface cannot be used.
    #[error("interface {0}: {words}", words = words(.1))]
    Interface(String, io::Error),
    /// The source address cannot be used.
    #[error("source address {0}: {words}", words = words(.1))]
    Source(IpAddr, io::Error),
    /// The kernel lets nobody send there who has not asked for broadcasts.
    #[error("{0} is a broadcast address, or a route forbids it")]
    Broadcast(IpAddr),
    /// Which of the host's links the address is on is not said (RFC 4007 §6).
    #[error("{0} is a link-local address: say on which interface, as in {0}%eth0")]
    NoZone(IpAddr),
    /// Another call failed.
    #[error("{0}: {words}", words = words(.1))]
    Call(&'static str, io::Error),
}

/// What the system calls an error, without Rust's "(os error N)" behind it.
pub fn words(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

/// Opens a datagram ICMP socket or, where that is not granted, a raw one.
pub fn icmp(version: Version, binding: &Binding) -> Result<Endpoint, OpenError> {
    icmp_with_identifier(version, binding, None)
}

/// The process's number for its first raw socket, and for each further one the next.
fn next_identifier() -> u16 {
    static OPENED: AtomicU16 = AtomicU16::new(0);
    let nth = OPENED.fetch_add(1, Ordering::Relaxed);
    (std::process::id() as u16).wrapping_add(nth)
}

/// As [`icmp`], with an identifier of the caller's choice, which takes a raw socket if it is 0.
pub fn icmp_with_identifier(
    version: Version,
    binding: &Binding,
    identifier: Option<u16>,
) -> Result<Endpoint, OpenError> {
    let raw = || icmp_of(SocketKind::IcmpRaw, version, binding, identifier);
    if identifier == Some(0) {
        return raw();
    }
    match icmp_of(SocketKind::IcmpDatagram, version, binding, identifier) {
        Err(OpenError::NotPermitted { .. }) => raw(),
        granted => granted,
    }
}

/// Opens a raw ICMP socket, which sees the whole of every error.
pub fn icmp_raw(version: Version, binding: &Binding) -> Result<Endpoint, OpenError> {
    icmp_of(SocketKind::IcmpRaw, version, binding, None)
}

/// Opens a raw ICMP socket that sees the whole of every error and nothing else.
pub fn icmp_errors(version: Version, binding: &Binding) -> Result<Endpoint, OpenError> {
    let socket = open(version, Type::RAW, icmp_protocol(version))?;
    options::see_only_answers(&socket, version, false)
        .map_err(|error| OpenError::Call("filter ICMP types", error))?;
    bind(&socket, version, binding, 0)?;
    endpoint(socket, version, SocketKind::IcmpRaw, 0)
}

const fn icmp_protocol(version: Version) -> Protocol {
    match version {
        Version::V4 => Protocol::ICMPV4,
        Version::V6 => Protocol::ICMPV6,
    }
}

fn icmp_of(
    kind: SocketKind,
    version: Version,
    binding: &Binding,
    identifier: Option<u16>,
) -> Result<Endpoint, OpenError> {
    let socket_type = match kind {
        SocketKind::IcmpDatagram => Type::DGRAM,
        _ => Type::RAW,
    };
    let socket = open(version, socket_type, icmp_protocol(version))?;
    if kind == SocketKind::IcmpRaw {
        options::see_only_answers(&socket, version, true)
            .map_err(|error| OpenError::Call("filter ICMP types", error))?;
    }
    // A datagram socket has its identifier as a port; the kernel gives it one for port 0.
    let port = match kind {
        SocketKind::IcmpDatagram => identifier.unwrap_or(0),
        _ => 0,
    };
    bind(&socket, version, binding, port)?;
    let identifier = match kind {
        SocketKind::IcmpDatagram => local_port(&socket)?,
        _ => identifier.unwrap_or_else(next_identifier),
    };
    if kind == SocketKind::IcmpRaw {
        options::see_only_replies_to(&socket, version, identifier)
            .map_err(|error| OpenError::Call("filter ICMP identifiers", error))?;
    }
    endpoint(socket, version, kind, identifier)
}

/// Opens a UDP socket whose ICMP errors are queued; `port` 0 has the kernel choose.
pub fn udp(version: Version, binding: &Binding, port: u16) -> Result<Endpoint, OpenError> {
    let socket = open(version, Type::DGRAM, Protocol::UDP)?;
    bind(&socket, version, binding, port)?;
    let port = local_port(&socket)?;
    endpoint(socket, version, SocketKind::Udp, port)
}

/// What a raw socket hears of its protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hears {
    /// Nothing: it only sends.
    Nothing,
    /// TCP segments to these ports.
    TcpTo {
        /// The lowest.
        first: u16,
        /// The highest.
        last: u16,
    },
    /// Everything that comes to this host.
    Everything,
}

/// Opens a raw socket for datagrams of `protocol` with headers by the caller, checksum included.
pub fn raw(
    version: Version,
    binding: &Binding,
    protocol: u8,
    hears: Hears,
) -> Result<Endpoint, OpenError> {
    let protocol = Protocol::from(i32::from(protocol));
    let socket = open(version, Type::RAW, protocol).map_err(|error| match error {
        OpenError::NotPermitted { program } => OpenError::RawNotPermitted { program },
        other => other,
    })?;
    match hears {
        Hears::Nothing => {
            let hear_nothing = [SockFilter::new(BPF_RETURN_CONSTANT, 0, 0, 0)];
            socket.attach_filter(&hear_nothing)
        }
        Hears::TcpTo { first, last } => options::see_only_tcp_to(&socket, version, first, last),
        Hears::Everything => Ok(()),
    }
    .map_err(|error| OpenError::Call("filter packets", error))?;
    bind(&socket, version, binding, 0)?;
    endpoint(socket, version, SocketKind::Raw, 0)
}

/// A TCP port that nobody else gets while this is held. Nobody listens on it, so that the kernel
/// resets whatever comes to it.
#[derive(Debug)]
pub struct HeldPort {
    _socket: Socket,
    port: u16,
}

impl HeldPort {
    /// Its number.
    pub const fn port(&self) -> u16 {
        self.port
    }
}

/// Takes a TCP port; 0 has the kernel choose.
pub fn hold_tcp_port(
    version: Version,
    binding: &Binding,
    port: u16,
) -> Result<HeldPort, OpenError> {
    let socket = open(version, Type::STREAM, Protocol::TCP)?;
    bind(&socket, version, binding, port)?;
    let port = local_port(&socket)?;
    Ok(HeldPort {
        _socket: socket,
        port,
    })
}

pub(super) fn open(
    version: Version,
    socket_type: Type,
    protocol: Protocol,
) -> Result<Socket, OpenError> {
    let domain = match version {
        Version::V4 => Domain::IPV4,
        Version::V6 => Domain::IPV6,
    };
    let socket =
        Socket::new(domain, socket_type, Some(protocol)).map_err(|error| match error.kind() {
            io::ErrorKind::PermissionDenied => OpenError::NotPermitted { program: program() },
            _ => OpenError::NoProtocol(version, error),
        })?;
    socket
        .set_recv_buffer_size(RECEIVE_BUFFER_LEN)
        .map_err(|error| OpenError::Call("receive buffer", error))?;
    Ok(socket)
}

pub(super) fn bind(
    socket: &Socket,
    version: Version,
    binding: &Binding,
    port: u16,
) -> Result<(), OpenError> {
    if let Some(interface) = &binding.interface {
        socket
            .bind_device(Some(interface.as_bytes()))
            .map_err(|error| OpenError::Interface(interface.clone(), error))?;
    }
    let any = match version {
        Version::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Version::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let source = binding.source.unwrap_or(any);
    socket
        .bind(&SocketAddr::new(source, port).into())
        .map_err(|error| OpenError::Source(source, error))
}

fn endpoint(
    socket: Socket,
    version: Version,
    kind: SocketKind,
    identifier: u16,
) -> Result<Endpoint, OpenError> {
    Endpoint::new(socket, version, kind, identifier)
        .map_err(|error| OpenError::Call("socket options", error))
}

impl Endpoint {
    /// Sets what the user asked of the packets.
    pub fn tune(&self, tuning: &options::Tuning) -> Result<(), OpenError> {
        options::tune(self.socket(), self.version(), tuning)
            .map_err(|error| OpenError::Call("socket options", error))
    }

    /// Sends all packets by way of these routers, loosely (RFC 791 §3.1).
    pub fn route_by(&self, gateways: &[Ipv4Addr], target: Ipv4Addr) -> Result<(), OpenError> {
        options::route_by(self.socket(), gateways, target)
            .map_err(|error| OpenError::Call("source route", error))
    }

    /// Leaves the "don't fragment" bit off and ignores what is known of the path's MTU.
    pub fn allow_fragments(&self) -> Result<(), OpenError> {
        options::allow_fragments(self.socket(), self.version())
            .map_err(|error| OpenError::Call("path MTU discovery", error))
    }
}

fn local_port(socket: &Socket) -> Result<u16, OpenError> {
    let local = socket
        .local_addr()
        .map_err(|error| OpenError::Call("getsockname", error))?;
    Ok(local.as_socket().map_or(0, |address| address.port()))
}

fn program() -> String {
    std::env::current_exe().map_or_else(|_| "PROGRAM".to_owned(), |path| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use netproto::icmp::{Echo, Message, Pseudo};

    use super::*;

    #[test]
    fn a_raw_socket_hears_only_the_replies_to_its_own_identifier() {
        for (version, host) in [
            (Version::V4, IpAddr::from(Ipv4Addr::LOCALHOST)),
            (Version::V6, IpAddr::from(Ipv6Addr::LOCALHOST)),
        ] {
            let open = |identifier| {
                let binding = Binding::default();
                icmp_of(SocketKind::IcmpRaw, version, &binding, Some(identifier))
            };
            let (Ok(mut ours), Ok(mut other)) = (open(0x1234), open(0x1235)) else {
                eprintln!(
                    "left out: a_raw_socket_hears_only_the_replies_to_its_own_identifier: no \
                     raw {version:?} socket"
                );
                return;
            };
            for endpoint in [&mut ours, &mut other] {
                let request = Message::EchoRequest(Echo {
                    identifier: endpoint.identifier(),
                    sequence: 1,
                    data: b"data",
                });
                let mut bytes = vec![0; request.encoded_len()];
                request.encode(version, Pseudo::None, &mut bytes).unwrap();
                endpoint.send(&bytes, SocketAddr::new(host, 0)).unwrap();
            }
            for endpoint in [&mut ours, &mut other] {
                let identifier = endpoint.identifier();
                let patience = std::time::Duration::from_secs(5);
                let end = std::time::Instant::now() + patience;
                let mut heard = Vec::new();
                while heard.is_empty() && std::time::Instant::now() < end {
                    while let Some(received) = endpoint.receive().unwrap() {
                        let message = Message::parse(version, received.bytes).unwrap();
                        if let Message::EchoReply(echo) = message {
                            heard.push(echo.identifier);
                        }
                    }
                }
                assert_eq!(heard, [identifier], "{version:?}");
            }
        }
    }
}
