//! An echo that loses, delays, doubles and damages exactly the probes that a test says.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use netproto::probe::Probe;
use netproto::probe::rtp::Rtp;

/// A copy of a probe to send back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Copy {
    /// After this time.
    pub(crate) after: Duration,
    /// With its last byte altered.
    pub(crate) damaged: bool,
}

/// One whole copy, after so many milliseconds.
pub(crate) fn after_ms(ms: u64) -> Vec<Copy> {
    vec![Copy {
        after: Duration::from_millis(ms),
        damaged: false,
    }]
}

/// A running echo. It ends, and its port is closed, when dropped.
pub(crate) struct Echo {
    pub(crate) address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Echo {
    /// What comes back of each sequence number; nothing for a loss.
    pub(crate) fn start(fate: impl Fn(u32) -> Vec<Copy> + Send + 'static) -> Echo {
        Echo::start_at(Ipv4Addr::LOCALHOST.into(), fate).unwrap()
    }

    /// On another address.
    pub(crate) fn start_at(
        ip: IpAddr,
        fate: impl Fn(u32) -> Vec<Copy> + Send + 'static,
    ) -> std::io::Result<Echo> {
        let socket = UdpSocket::bind((ip, 0))?;
        let address = socket.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || serve(&socket, &fate, &stopped));
        Ok(Echo {
            address,
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// When, after how many others of that time, to whom, and what.
type Due = (Instant, u64, SocketAddr, Vec<u8>);

fn serve(socket: &UdpSocket, fate: &dyn Fn(u32) -> Vec<Copy>, stop: &AtomicBool) {
    const TICK: Duration = Duration::from_millis(10);
    let mut due = BinaryHeap::<Reverse<Due>>::new();
    let mut order = 0;
    let mut buffer = vec![0; 65_536];
    while !stop.load(Ordering::Relaxed) {
        let now = Instant::now();
        while let Some(Reverse((at, ..))) = due.peek()
            && *at <= now
        {
            if let Some(Reverse((_, _, to, datagram))) = due.pop() {
                let _ = socket.send_to(&datagram, to);
            }
        }
        let wait = due.peek().map_or(TICK, |Reverse((at, ..))| {
            at.saturating_duration_since(now)
                .clamp(Duration::from_micros(100), TICK)
        });
        socket.set_read_timeout(Some(wait)).unwrap();
        let Ok((length, from)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        let datagram = &buffer[..length];
        let probe = Rtp::parse(datagram).map_or(datagram, |(_, probe)| probe);
        let Ok(probe) = Probe::parse(probe) else {
            continue;
        };
        for copy in fate(probe.sequence) {
            let mut datagram = datagram.to_vec();
            if copy.damaged
                && let Some(last) = datagram.last_mut()
            {
                *last ^= 0x55;
            }
            order += 1;
            let at = Instant::now() + copy.after;
            if copy.after.is_zero() {
                let _ = socket.send_to(&datagram, from);
            } else {
                due.push(Reverse((at, order, from, datagram)));
            }
        }
    }
}
