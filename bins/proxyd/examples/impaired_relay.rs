//! How exactly does the relay keep a delay at many datagrams a second?
//!
//! `cargo run --release -p proxyd --example impaired_relay [RATE [SECONDS [FAULTS]]]` sends RATE
//! datagrams a second (100,000) for so long (5) through a relay with these faults ('delay=20ms
//! loss=1%') and prints how much later than ordered they arrived. Everything runs in this process,
//! so all times are of one clock; those of the sender and of the receiver are part of the figures.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement that cannot go on says why and ends"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use netio::shutdown;
use netio::udp::{self, ReceiveBatch, SendBatch, Train};
use proxyd::impair::http::HttpFaults;
use proxyd::impair::live::Live;
use proxyd::impair::{Direction, Impairment};
use proxyd::relay::{self, RelayConfig, RelayCounters};

/// How often the sender sends what is due by then.
const SEND_EVERY: Duration = Duration::from_micros(200);
/// How long the receiver waits for one more.
const SILENCE: Duration = Duration::from_millis(500);
/// Number and time of sending, then nothing.
const PAYLOAD: usize = 128;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let rate: u64 = arguments
        .next()
        .map_or(100_000, |text| text.parse().unwrap());
    let seconds: u64 = arguments.next().map_or(5, |text| text.parse().unwrap());
    let text = arguments
        .next()
        .unwrap_or_else(|| "delay=20ms loss=1%".to_owned());
    let impairment: Impairment = text.parse().unwrap();
    let delay = impairment.of(Direction::ToTarget).delay;

    let any = "127.0.0.1:0".parse().unwrap();
    let target = udp::bind(any).unwrap();
    let socket = udp::bind(any).unwrap();
    let address = socket.local_addr();
    let counters = Arc::new(RelayCounters::default());
    let config = RelayConfig {
        live: Arc::new(Live::new(impairment, HttpFaults::default(), 7)),
        ..RelayConfig::new(target.local_addr())
    };
    let (stopper, stop) = shutdown::channel();
    let of_relay = Arc::clone(&counters);
    let relay = std::thread::spawn(move || {
        runtime()
            .block_on(relay::run(socket, config, of_relay, stop))
            .unwrap();
    });
    let epoch = Instant::now();
    let receiver = std::thread::spawn(move || runtime().block_on(receive(target, epoch)));
    let offered = send(address, epoch, rate, Duration::from_secs(seconds));
    let mut delays = receiver.join().unwrap();
    drop(stopper);
    relay.join().unwrap();

    delays.sort();
    let count = delays.len();
    let dropped: u64 = counters.dropped().map(|(_, dropped)| dropped).sum();
    println!("{text}: {offered} sent at {rate}/s, {count} arrived");
    println!(
        "lost as ordered: {}",
        counters.faults_to_target.lost.value()
    );
    println!("dropped: {dropped}");
    for (name, part) in [
        ("least", 0.0),
        ("p50", 0.5),
        ("p99", 0.99),
        ("p99.9", 0.999),
        ("most", 1.0),
    ] {
        let found = delays[((count - 1) as f64 * part) as usize];
        let off = found.as_secs_f64() - delay.as_secs_f64();
        println!("{name}: {:+.3} ms of the delay", off * 1e3);
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// Sends at the rate; returns how many.
fn send(to: std::net::SocketAddr, epoch: Instant, rate: u64, length: Duration) -> u64 {
    let socket = udp::connect(to).unwrap();
    let mut batch = SendBatch::new();
    let (start, mut sent) = (Instant::now(), 0);
    while start.elapsed() < length {
        let due = (start.elapsed().as_secs_f64() * rate as f64) as u64;
        let payloads: Vec<_> = (sent..due)
            .map(|number| {
                let mut payload = [0; PAYLOAD];
                payload[..8].copy_from_slice(&number.to_be_bytes());
                let at = epoch.elapsed().as_nanos() as u64;
                payload[8..16].copy_from_slice(&at.to_be_bytes());
                payload
            })
            .collect();
        batch.try_send(
            &socket,
            payloads.iter().map(|payload| Train::one(None, payload)),
        );
        sent = due;
        std::thread::sleep(SEND_EVERY);
    }
    sent
}

/// How long everything that arrives was on its way, until nothing has for a while.
async fn receive(socket: udp::Socket, epoch: Instant) -> Vec<Duration> {
    let socket = socket.register().unwrap();
    let mut batch = ReceiveBatch::new();
    let mut delays = Vec::new();
    loop {
        batch.clear();
        let Ok(places) = batch.receive(socket.get_ref()) else {
            let silence = if delays.is_empty() {
                10 * SILENCE
            } else {
                SILENCE
            };
            match tokio::time::timeout(silence, socket.readable()).await {
                Ok(ready) => ready.unwrap().clear_ready(),
                Err(_) => return delays,
            }
            continue;
        };
        let now = epoch.elapsed();
        for payload in batch.trains(places).flat_map(|train| train.datagrams()) {
            let at = u64::from_be_bytes(payload[8..16].try_into().unwrap());
            delays.push(now.saturating_sub(Duration::from_nanos(at)));
        }
    }
}
