//! The memory of the cache, before clients that ask for large bodies and do not read them. Theirs are
//! larger than what the system keeps for a connection.

use std::thread::sleep;
use std::time::{Duration, Instant};

use proxyd::cache::fill::FILL_PATIENCE;
use testkit::origin::{Answer, Origin};

use crate::lab::{Client, Lab, PATIENCE, proxy};

const LARGE: usize = 8_000_000;
const SMALL: usize = 1_000_000;

/// With a store of 64 MiB: a body may have 8 MiB, those that come in 16, and all bodies 80.
fn lab() -> Lab {
    let origin = Origin::start(|seen| {
        let is_large = seen.target().starts_with("/large");
        let bytes = if is_large { LARGE } else { SMALL };
        Answer::ok("Cache-Control: max-age=60\r\n", &"x".repeat(bytes))
    });
    let (program, address) = proxy(&origin.address().to_string(), &["--cache-size", "64MiB"]);
    Lab {
        origin,
        program,
        address,
    }
}

/// A client that reads the head of its answer and no more. Returns what the cache says there.
fn ask_and_not_read(lab: &Lab, target: &str) -> (Client, String) {
    let mut client = Client::connect(lab.address);
    client.write(format!("GET {target} HTTP/1.1\r\nHost: lab\r\n\r\n"));
    let cache = client.read_head().cache().to_owned();
    (client, cache)
}

#[test]
fn clients_that_do_not_read_keep_others_out_of_the_store_neither_now_nor_for_long() {
    let lab = lab();
    let (_first, cache) = ask_and_not_read(&lab, "/large/1");
    assert_eq!(cache, "fwd=uri-miss; stored");
    let (_second, cache) = ask_and_not_read(&lab, "/large/2");
    assert_eq!(cache, "fwd=uri-miss; detail=no-room");
    assert_eq!(lab.get("/small").cache(), "fwd=uri-miss; stored");
    assert!(lab.get("/small").cache().starts_with("hit"));

    sleep(FILL_PATIENCE + Duration::from_millis(500));
    assert_eq!(lab.get("/large/3").cache(), "fwd=uri-miss; stored");
    assert!(lab.get("/large/3").cache().starts_with("hit"));
}

#[test]
fn bodies_that_slow_clients_still_read_count_when_they_are_no_longer_stored() {
    let lab = lab();
    // 80 MiB have room for ten.
    let slow: Vec<Client> = (0..10)
        .map(|number| {
            let target = format!("/large/{number}");
            assert_eq!(lab.get(&target).cache(), "fwd=uri-miss; stored");
            let (client, cache) = ask_and_not_read(&lab, &target);
            assert!(cache.starts_with("hit"), "{cache}");
            lab.ask("PUT", &target, "Content-Length: 0\r\n");
            client
        })
        .collect();
    let more = lab.get("/large/more");
    assert_eq!(more.cache(), "fwd=uri-miss; detail=no-room");

    drop(slow);
    let end = Instant::now() + PATIENCE;
    while lab.get("/large/again").cache() != "fwd=uri-miss; stored" {
        assert!(Instant::now() < end, "their room is free again");
        sleep(Duration::from_millis(50));
    }
}
