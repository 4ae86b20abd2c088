//! The memory of the cache, before clients that ask for large bodies and do not read them. Theirs are
//! larger than what the system keeps for a connection.

use std::thread::sleep;
use std::time::{Duration, Instant};

use testkit::origin::{Answer, Origin};

use crate::lab::{Client, Lab, PATIENCE};

const LARGE: usize = 8_000_000;

/// With a store of 64 MiB: a body may have 8 MiB, those that come in 16, and all bodies 80.
fn lab() -> Lab {
    let origin = Origin::start(|_| Answer::ok("Cache-Control: max-age=60\r\n", &"x".repeat(LARGE)));
    Lab::with(origin, &["--cache-size", "64MiB"])
}

/// A client that reads the head of its answer and no more. Returns what the cache says there.
fn ask_and_not_read(lab: &Lab, target: &str) -> (Client, String) {
    let mut client = Client::connect(lab.address);
    client.write(format!("GET {target} HTTP/1.1\r\nHost: lab\r\n\r\n"));
    let cache = client.read_head().cache().to_owned();
    (client, cache)
}

#[test]
fn a_client_that_does_not_read_holds_up_neither_what_is_stored_nor_others() {
    let lab = lab();
    let (_idle, cache) = ask_and_not_read(&lab, "/");
    assert_eq!(cache, "fwd=uri-miss; stored");
    let second = lab.get("/");
    assert_eq!(second.body.len(), LARGE, "{}", second.cache());
    assert!(lab.get("/").cache().starts_with("hit"));
    assert_eq!(lab.origin.count("/"), 1);
}

#[test]
fn bodies_that_slow_clients_still_read_count_when_they_are_no_longer_stored() {
    let lab = lab();
    // 80 MiB have room for ten.
    let slow: Vec<Client> = (0..10)
        .map(|number| {
            let target = format!("/{number}");
            assert_eq!(lab.get(&target).cache(), "fwd=uri-miss; stored");
            let (client, cache) = ask_and_not_read(&lab, &target);
            assert!(cache.starts_with("hit"), "{cache}");
            lab.ask("PUT", &target, "Content-Length: 0\r\n");
            client
        })
        .collect();
    let more = lab.get("/more");
    assert_eq!(more.cache(), "fwd=uri-miss; detail=no-room");

    drop(slow);
    let end = Instant::now() + PATIENCE;
    while lab.get("/again").cache() != "fwd=uri-miss; stored" {
        assert!(Instant::now() < end, "their room is free again");
        sleep(Duration::from_millis(50));
    }
}
