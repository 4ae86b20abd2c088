//! The echo over real sockets.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says why and fails"
)]

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use netio::shutdown::{self, Stopper};
use netio::udp::admission::Refusal;
use netio::udp::rate::{Rate, RateLimits};
use netio::udp::{self, Socket};
use netproto::probe::{self, Node, Probe};
use webserverd::udp_echo::{self, EchoConfig, EchoCounters};

/// How long an answer may take that is to come.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long to listen for an answer that is not to come.
const SILENCE: Duration = Duration::from_millis(200);

const FAMILIES: [&str; 2] = ["127.0.0.1:0", "[::1]:0"];

/// An echo on a thread of its own, until it is dropped.
struct Echo {
    address: SocketAddr,
    counters: Arc<EchoCounters>,
    stopper: Option<Stopper>,
    thread: Option<JoinHandle<()>>,
}

impl Echo {
    fn start(address: &str, config: EchoConfig) -> Echo {
        Echo::on(udp::bind(address.parse().unwrap()).unwrap(), config)
    }

    fn on(socket: Socket, config: EchoConfig) -> Echo {
        let (stopper, stop) = shutdown::channel();
        let address = socket.local_addr();
        let counters = Arc::new(EchoCounters::default());
        let of_thread = Arc::clone(&counters);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let echo = udp_echo::run(socket, config, of_thread, stop);
            runtime.block_on(echo).unwrap();
        });
        Echo {
            address,
            counters,
            stopper: Some(stopper),
            thread: Some(thread),
        }
    }

    /// Stops it and waits for its end, after which its counters stand still.
    fn stop(&mut self) {
        self.stopper.take();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stop();
        }
    }
}

fn client_of(echo: &Echo) -> UdpSocket {
    let any = SocketAddr::new(echo.address.ip(), 0);
    let socket = UdpSocket::bind(any).unwrap();
    socket.connect(echo.address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// The next datagram, or none within the socket's timeout.
fn receive(socket: &UdpSocket) -> Option<Vec<u8>> {
    let mut buffer = vec![0; 65_536];
    match socket.recv(&mut buffer) {
        Ok(len) => {
            buffer.truncate(len);
            Some(buffer)
        }
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
        Err(error) => panic!("{error}"),
    }
}

fn assert_silence(socket: &UdpSocket) {
    socket.set_read_timeout(Some(SILENCE)).unwrap();
    assert_eq!(receive(socket), None);
}

#[test]
fn datagrams_of_every_size_come_back_unchanged() {
    for family in FAMILIES {
        let mut echo = Echo::start(family, EchoConfig::default());
        let client = client_of(&echo);
        let sizes = [0, 1, 2, 127, 128, 1472, 1473, 9_000, 65_000, 65_507];
        for size in sizes {
            let payload: Vec<u8> = (0..size).map(|i| (i * 7 + size) as u8).collect();
            client.send(&payload).unwrap();
            let answer = receive(&client).unwrap();
            assert!(answer == payload, "{size} bytes over {family}");
        }
        echo.stop();
        let counters = &echo.counters;
        assert_eq!(counters.received.value(), sizes.len() as u64);
        assert_eq!(counters.answered.value(), sizes.len() as u64);
        let bytes: usize = sizes.iter().sum();
        assert_eq!(counters.received_bytes.value(), bytes as u64);
        assert_eq!(counters.dropped().map(|(_, count)| count).sum::<u64>(), 0);
    }
}

#[test]
fn a_probe_that_asks_is_stamped_and_its_neighbours_come_back_unchanged() {
    let echo = Echo::start(FAMILIES[0], EchoConfig::default());
    let client = client_of(&echo);
    let probe = |sequence, stamps| {
        let mut datagram = vec![0; 128];
        let probe = Probe {
            run: 1,
            nonce: 2,
            sequence,
            stamps,
        };
        probe.encode(&mut datagram).unwrap();
        datagram
    };
    let mut before = None;
    for sequence in 0..20 {
        let (plain, asking) = (probe(sequence, false), probe(sequence, true));
        client.send(&plain).unwrap();
        client.send(&asking).unwrap();
        let answers = [(); 2].map(|()| receive(&client).unwrap());
        assert_eq!(answers[0], plain);
        assert_eq!(answers[1].len(), asking.len());
        assert_eq!(probe::stamps(&asking).count(), 0);
        let stamps: Vec<_> = probe::stamps(&answers[1]).collect();
        assert_eq!(stamps.len(), 1);
        assert_eq!(stamps[0].node, Node::Echo);
        assert!(stamps[0].arrived <= stamps[0].departed, "{stamps:?}");
        assert!(before < Some(stamps[0].departed), "{stamps:?}");
        before = Some(stamps[0].departed);
    }
}

#[test]
fn a_crowd_of_clients_each_gets_its_own_back_in_order() {
    for family in FAMILIES {
        let echo = Echo::start(family, EchoConfig::default());
        let clients: Vec<_> = (0..50).map(|_| client_of(&echo)).collect();
        let text = |client: usize, number: usize| format!("{client}:{number}").into_bytes();
        for number in 0..20 {
            for (index, client) in clients.iter().enumerate() {
                client.send(&text(index, number)).unwrap();
            }
        }
        for (index, client) in clients.iter().enumerate() {
            for number in 0..20 {
                assert_eq!(receive(client).unwrap(), text(index, number));
            }
        }
    }
}

#[test]
fn what_was_received_before_the_stop_is_answered() {
    let socket = udp::bind(FAMILIES[0].parse().unwrap()).unwrap();
    let client = UdpSocket::bind(FAMILIES[0]).unwrap();
    for number in 0..1_000_u32 {
        client
            .send_to(&number.to_be_bytes(), socket.local_addr())
            .unwrap();
    }
    let mut echo = Echo::on(socket, EchoConfig::default());
    echo.stop();
    assert_eq!(echo.counters.answered.value(), 1_000);
}

#[test]
fn a_blocked_port_gets_no_answer() {
    for family in FAMILIES {
        let any: SocketAddr = family.parse().unwrap();
        let blocked = UdpSocket::bind(any).unwrap();
        let mut echo = Echo::start(
            family,
            EchoConfig {
                blocked_ports: vec![blocked.local_addr().unwrap().port()],
                ..EchoConfig::default()
            },
        );
        blocked.send_to(b"?", echo.address).unwrap();
        assert_silence(&blocked);
        // Others are still served.
        let client = client_of(&echo);
        client.send(b"!").unwrap();
        assert_eq!(receive(&client).unwrap(), b"!");
        echo.stop();
        assert_eq!(echo.counters.refused.refused(Refusal::BlockedPort), 1);
        assert_eq!(echo.counters.answered.value(), 1);
    }
}

#[test]
fn a_service_port_gets_no_answer() {
    if !rustix::process::geteuid().is_root() {
        println!("left out, needs root: a_service_port_gets_no_answer");
        return;
    }
    for family in FAMILIES {
        let mut echo = Echo::start(family, EchoConfig::default());
        let service = (1..1024)
            .rev()
            .find_map(|port| UdpSocket::bind((echo.address.ip(), port)).ok())
            .expect("no port below 1024 is free");
        service.send_to(b"?", echo.address).unwrap();
        assert_silence(&service);
        echo.stop();
        assert_eq!(echo.counters.refused.refused(Refusal::ServicePort), 1);
        assert_eq!(echo.counters.answered.value(), 0);
    }
}

#[test]
fn source_port_zero_gets_no_answer() {
    if !rustix::process::geteuid().is_root() {
        println!("left out, needs root: source_port_zero_gets_no_answer");
        return;
    }
    let mut echo = Echo::start(FAMILIES[0], EchoConfig::default());
    let client = client_of(&echo);
    // No socket can be bound to port 0, so the headers are made here.
    let IpAddr::V4(to) = echo.address.ip() else {
        panic!("not IPv4")
    };
    let datagram = etherparse::PacketBuilder::ipv4(Ipv4Addr::LOCALHOST.octets(), to.octets(), 64)
        .udp(0, echo.address.port());
    let mut bytes = Vec::new();
    datagram.write(&mut bytes, b"?").unwrap();
    let raw = socket2::Socket::new(
        socket2::Domain::IPV4,
        socket2::Type::RAW,
        Some(socket2::Protocol::from(RAW_PROTOCOL)),
    )
    .unwrap();
    raw.send_to(&bytes, &SocketAddr::from((to, 0)).into())
        .unwrap();
    client.send(b"after").unwrap();
    assert_eq!(receive(&client).unwrap(), b"after");
    echo.stop();
    assert_eq!(echo.counters.refused.refused(Refusal::PortZero), 1);
    assert_eq!(echo.counters.answered.value(), 1);
}

/// IPPROTO_RAW of raw(7): the headers come with the data.
const RAW_PROTOCOL: i32 = 255;

#[test]
fn two_echoes_pointed_at_each_other_do_not_loop() {
    for family in FAMILIES {
        let mut first = Echo::start(family, EchoConfig::default());
        // What a forger does with a raw socket: a datagram to the first echo that comes from the
        // address of the second.
        let second = udp::bind(family.parse().unwrap()).unwrap();
        let forger = UdpSocket::from(clone_of(&second));
        forger.send_to(b"ping-pong", first.address).unwrap();
        let mut second = Echo::on(second, EchoConfig::default());
        std::thread::sleep(SILENCE);
        first.stop();
        second.stop();
        assert_eq!(first.counters.received.value(), 1);
        assert_eq!(first.counters.answered.value(), 1);
        assert_eq!(second.counters.received.value(), 1);
        assert_eq!(second.counters.answered.value(), 0);
        assert_eq!(second.counters.hop_limit_spent.value(), 1);
    }
}

fn clone_of(socket: &Socket) -> std::os::fd::OwnedFd {
    use std::os::fd::AsFd;
    socket.as_fd().try_clone_to_owned().unwrap()
}

#[test]
fn a_source_is_answered_no_more_often_than_its_bound() {
    let rate = |per_second, burst| Rate { per_second, burst };
    let mut echo = Echo::start(
        FAMILIES[0],
        EchoConfig {
            limits: RateLimits {
                per_source: rate(1, 10),
                overall: rate(1_000, 1_000),
                bound_loopback: true,
            },
            ..EchoConfig::default()
        },
    );
    let client = client_of(&echo);
    for number in 0..100_u8 {
        client.send(&[number]).unwrap();
    }
    for number in 0..10_u8 {
        assert_eq!(receive(&client).unwrap(), [number]);
    }
    assert_silence(&client);
    echo.stop();
    assert_eq!(echo.counters.answered.value(), 10);
    assert_eq!(echo.counters.refused.refused(Refusal::SourceRate), 90);
}
