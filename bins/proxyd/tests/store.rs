//! The store under more keys than it holds: what it takes, and which it keeps. The only test of its
//! process that measures memory, so that nothing else is measured.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says why and fails"
)]

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

use lru::LruCache;
use netio::http::response::Head;
use netproto::http::cache_control::ResponseDirectives;
use netproto::http::fields::Fields;
use netproto::http::status::StatusCode;
use proxyd::cache::content::Content;
use proxyd::cache::policy::freshness::{Freshness, Journey};
use proxyd::cache::policy::selecting::Selecting;
use proxyd::cache::policy::storing::Validity;
use proxyd::cache::store::Store;
use proxyd::cache::variant::Variant;

const MIB: u64 = 1024 * 1024;

/// What the store may take beside its bound: tables that are made once, and what an allocator
/// cannot give back, a quarter of the bound and 16 MiB.
fn overhead(bound: u64) -> u64 {
    bound / 4 + 16 * MIB
}

fn variant(body: usize) -> Arc<Variant> {
    let now = Instant::now();
    let journey = Journey {
        request_time: now,
        response_time: now,
        response_unix: 0,
    };
    let (fields, directives) = (Fields::none(), ResponseDirectives::default());
    let freshness = Freshness::of(StatusCode::OK, &fields, &directives, &journey);
    let head = Head::build(StatusCode::OK)
        .field("Content-Type", "text/plain; charset=utf-8")
        .and_then(|head| head.field("Cache-Control", "max-age=60"))
        .and_then(|head| head.field("ETag", "\"1234567890abcdef\""));
    Arc::new(Variant {
        head: head.unwrap().finish(),
        content: Content::Whole(vec![b'x'; body].into()),
        validity: Validity::of(freshness, &directives),
        selecting: Selecting::of(&fields, &fields),
    })
}

fn put(store: &Store, key: &str, body: usize) {
    let asked = store.epoch(key.as_bytes());
    store.put(key.as_bytes(), variant(body), asked);
}

/// The resident memory of this process, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        * 1024
}

/// Integers that are drawn as Zipf says, with exponent 1, from a seed: number `n` is asked for in
/// proportion to `1 / (n + 1)`.
struct Zipf {
    cumulative: Vec<f64>,
    state: u64,
}

impl Zipf {
    fn new(keys: usize, seed: u64) -> Zipf {
        let mut sum = 0.0;
        let cumulative = (1..=keys)
            .map(|rank| {
                sum += 1.0 / rank as f64;
                sum
            })
            .collect();
        Zipf {
            cumulative,
            state: seed,
        }
    }

    fn draw(&mut self) -> usize {
        // SplitMix64.
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        let share = (bits >> 11) as f64 / (1_u64 << 53) as f64;
        let wanted = share * self.cumulative[self.cumulative.len() - 1];
        self.cumulative.partition_point(|sum| *sum < wanted)
    }
}

#[test]
fn a_million_urls_stay_within_the_bound_and_what_is_asked_for_often_stays_stored() {
    memory();
    hits();
}

fn memory() {
    const BOUND: u64 = 64 * MIB;
    let before = resident();
    let store = Store::new(BOUND);
    let mut most = 0;
    for number in 0..1_000_000 {
        put(
            &store,
            &format!("http://example.com/an/asset/{number}.html"),
            200 + number % 2000,
        );
        if number % 1000 == 0 {
            assert!(store.bytes() <= BOUND);
            most = most.max(resident().saturating_sub(before));
        }
    }
    println!(
        "a million URLs in {} MiB: {} MiB resident at most, {} keys stored",
        BOUND / MIB,
        most / MIB,
        store.len()
    );
    assert!(most <= BOUND + overhead(BOUND), "{} MiB", most / MIB);
    assert!(store.len() > 20_000, "{}", store.len());
}

fn hits() {
    const KEYS: usize = 50_000;
    const REQUESTS: usize = 200_000;
    /// So that about a tenth of the keys has room.
    const BODY: usize = 4096;
    const ENTRIES: usize = KEYS / 10;
    let store = Store::new((ENTRIES * (BODY + 700)) as u64);
    let mut trace = Zipf::new(KEYS, 7);
    let targets: Vec<usize> = (0..REQUESTS).map(|_| trace.draw()).collect();
    let mut ours = 0;
    for target in &targets {
        let key = format!("http://a/{target}");
        if store.get(key.as_bytes()).is_some() {
            ours += 1;
        } else {
            put(&store, &key, BODY);
        }
    }
    // Plain LRU gets as many places as the store came to have.
    let places = store.len();
    let mut lru = LruCache::new(NonZeroUsize::new(places).unwrap());
    let mut theirs = 0;
    for target in &targets {
        if lru.get(target).is_some() {
            theirs += 1;
        } else {
            lru.put(*target, ());
        }
    }
    let percent = |hits: usize| hits as f64 * 100.0 / REQUESTS as f64;
    println!(
        "{REQUESTS} requests for {KEYS} keys by Zipf, {places} places: {:.1} % hits, plain LRU {:.1} %",
        percent(ours),
        percent(theirs)
    );
    assert!(ours > theirs);
}
