//! The echo over real sockets.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use etherparse::UdpHeader;
use netio::shutdown::{self, Stopper};
use netio::udp::admission::Refusal;
use netio::udp::rate::{Rate, RateLimits};
use netio::udp::{self, Socket};
use netproto::probe::{self, Node, Probe};
use webserverd::udp_echo::{self, EchoConfig, EchoCounters};

use crate::site::Site;

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
fn who_is_in_none_of_the_allowed_networks_gets_no_answer_and_is_counted() {
    for (allow, is_answered) in [("127.0.0.0/8", true), ("10.0.0.0/8", false)] {
        let mut site = Site::start_with(&["--allow", allow, "--admin", "127.0.0.1:0"]);
        let client = UdpSocket::bind(FAMILIES[0]).unwrap();
        client
            .connect(site.program.listening("udp").unwrap())
            .unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.send(b"ask").unwrap();
        if is_answered {
            assert_eq!(receive(&client).unwrap(), b"ask", "{allow}");
        } else {
            assert_silence(&client);
        }
        let metrics = site.admin("/metrics");
        let count = u8::from(!is_answered);
        let line =
            format!("webserverd_echo_dropped_total{{reason=\"source_not_allowed\"}} {count}\n");
        assert!(metrics.contains(&line), "{allow}: {metrics}");
    }
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
    for family in FAMILIES {
        let mut echo = Echo::start(family, EchoConfig::default());
        let client = client_of(&echo);
        forge_from_port(0, echo.address, b"?");
        client.send(b"after").unwrap();
        assert_eq!(receive(&client).unwrap(), b"after");
        echo.stop();
        assert_eq!(echo.counters.refused.refused(Refusal::PortZero), 1);
        assert_eq!(echo.counters.answered.value(), 1);
    }
}

/// Sends a datagram whose source port no socket could be bound to: its UDP header is made here.
fn forge_from_port(port: u16, to: SocketAddr, payload: &[u8]) {
    let mut header = UdpHeader {
        source_port: port,
        destination_port: to.port(),
        length: (UdpHeader::LEN + payload.len()) as u16,
        checksum: 0,
    };
    let checksum = match to.ip() {
        IpAddr::V4(ip) => {
            header.calc_checksum_ipv4_raw(Ipv4Addr::LOCALHOST.octets(), ip.octets(), payload)
        }
        IpAddr::V6(ip) => {
            header.calc_checksum_ipv6_raw(Ipv6Addr::LOCALHOST.octets(), ip.octets(), payload)
        }
    };
    header.checksum = checksum.unwrap();
    let bytes = [&header.to_bytes()[..], payload].concat();
    let raw = socket2::Socket::new(
        socket2::Domain::for_address(to),
        socket2::Type::RAW,
        Some(socket2::Protocol::UDP),
    )
    .unwrap();
    raw.send_to(&bytes, &SocketAddr::new(to.ip(), 0).into())
        .unwrap();
}

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

#[test]
fn all_sources_together_are_answered_no_more_often_than_their_bound() {
    let rate = |per_second, burst| Rate { per_second, burst };
    let mut echo = Echo::start(
        FAMILIES[0],
        EchoConfig {
            limits: RateLimits {
                per_source: rate(1_000, 1_000),
                overall: rate(1, 10),
                bound_loopback: true,
            },
            ..EchoConfig::default()
        },
    );
    // One address each: 127.0.0.1, 127.0.0.2, …
    let clients: Vec<UdpSocket> = (1..=30)
        .map(|host| UdpSocket::bind((Ipv4Addr::new(127, 0, 0, host), 0)).unwrap())
        .collect();
    for client in &clients {
        client.send_to(b"?", echo.address).unwrap();
    }
    let answered = |client: &UdpSocket| {
        client.set_read_timeout(Some(SILENCE / 10)).unwrap();
        receive(client).is_some()
    };
    std::thread::sleep(SILENCE);
    let count = clients.iter().filter(|client| answered(client)).count();
    echo.stop();
    // A second or so may pass meanwhile, and each brings one more.
    assert!((10..=14).contains(&count), "{count}");
    assert_eq!(echo.counters.answered.value(), count as u64);
    let refused = echo.counters.refused.refused(Refusal::OverallRate);
    assert_eq!(refused, 30 - count as u64);
}

#[test]
fn an_answer_is_as_long_as_the_question_and_metrics_tell_of_both_and_of_drops() {
    let mut site = Site::start_with(&["--admin", "127.0.0.1:0"]);
    let echo = site.program.listening("udp").unwrap();
    let client = UdpSocket::bind(FAMILIES[0]).unwrap();
    client.connect(echo).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let sizes = [0, 1, 500, 1472, 65_507];
    for size in sizes {
        client.send(&vec![7; size]).unwrap();
        assert_eq!(receive(&client).unwrap().len(), size);
    }
    // One that has crossed all the routers that it may.
    client.set_ttl(1).unwrap();
    client.send(b"tired").unwrap();
    assert_silence(&client);
    let metrics = site.admin("/metrics");
    let bytes = sizes.iter().sum::<usize>() + b"tired".len();
    for line in [
        "webserverd_echo_received_total 6".to_owned(),
        "webserverd_echo_answered_total 5".to_owned(),
        format!("webserverd_echo_received_bytes_total {bytes}"),
        "webserverd_echo_dropped_total{reason=\"hop_limit_spent\"} 1".to_owned(),
        "webserverd_echo_dropped_total{reason=\"source_port_zero\"} 0".to_owned(),
    ] {
        assert!(
            metrics.lines().any(|told| told == line),
            "{line} in {metrics}"
        );
    }
}
