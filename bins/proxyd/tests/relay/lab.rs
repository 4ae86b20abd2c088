//! A relay on a thread, its clients and its target.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use netio::shutdown::{self, Stopper};
use netio::udp::{self, Socket};
use proxyd::relay::{self, RelayConfig, RelayCounters};

/// How long something may take that is to come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// How long to listen for an answer that is not to come.
pub(crate) const SILENCE: Duration = Duration::from_millis(200);

pub(crate) const FAMILIES: [&str; 2] = ["127.0.0.1:0", "[::1]:0"];

/// A relay on a thread of its own, until it is stopped or dropped.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    pub(crate) counters: Arc<RelayCounters>,
    pub(crate) stopper: Option<Stopper>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    pub(crate) fn start(config: RelayConfig) -> Relay {
        let any = SocketAddr::new(config.target.ip(), 0);
        Relay::on(udp::bind(any).unwrap(), config)
    }

    pub(crate) fn on(socket: Socket, config: RelayConfig) -> Relay {
        let (stopper, stop) = shutdown::channel();
        let address = socket.local_addr();
        let counters = Arc::new(RelayCounters::default());
        let of_thread = Arc::clone(&counters);
        let thread = std::thread::spawn(move || {
            let relay = relay::run(socket, config, of_thread, stop);
            runtime().block_on(relay).unwrap();
        });
        Relay {
            address,
            counters,
            stopper: Some(stopper),
            thread: Some(thread),
        }
    }

    /// Stops it and waits for its end, after which its counters stand still.
    pub(crate) fn stop(&mut self) {
        self.stopper.take();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }

    pub(crate) fn client(&self) -> UdpSocket {
        let socket = bind(self.address);
        socket.connect(self.address).unwrap();
        socket
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stop();
        }
    }
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// A socket on the address of `like`, on a port of its own.
pub(crate) fn bind(like: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind(SocketAddr::new(like.ip(), 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    // As much as an ordinary user gets, for a test that is held up by others.
    rustix::net::sockopt::set_socket_recv_buffer_size(&socket, 1 << 20).unwrap();
    socket
}

pub(crate) fn target_of(family: &str) -> (UdpSocket, RelayConfig) {
    let target = bind(family.parse().unwrap());
    let config = RelayConfig::new(target.local_addr().unwrap());
    (target, config)
}

/// The next datagram and its sender, or none within the socket's timeout.
pub(crate) fn receive(socket: &UdpSocket) -> Option<(Vec<u8>, SocketAddr)> {
    let mut buffer = vec![0; 65_536];
    match socket.recv_from(&mut buffer) {
        Ok((len, sender)) => {
            buffer.truncate(len);
            Some((buffer, sender))
        }
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
        Err(error) => panic!("{error}"),
    }
}

/// Receives one datagram at the target and sends it back; returns who sent it.
pub(crate) fn answer_one(target: &UdpSocket) -> SocketAddr {
    let (payload, sender) = receive(target).unwrap();
    assert_eq!(target.send_to(&payload, sender).unwrap(), payload.len());
    sender
}

pub(crate) fn assert_silence(socket: &UdpSocket) {
    socket.set_read_timeout(Some(SILENCE)).unwrap();
    assert_eq!(receive(socket), None);
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
}

pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
