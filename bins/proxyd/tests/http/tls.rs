//! Clients that speak TLS with the proxy.

use std::io::{Read, Write};

use testkit::origin::Answer;
use testkit::tls::{Client, Identity};

use crate::lab::{Lab, PATIENCE, Reply, proxy};

fn get(client: &mut Client, path: &str) -> Reply {
    let request = format!("GET {path} HTTP/1.1\r\nHost: lab\r\n\r\n");
    client.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte).unwrap();
        bytes.push(byte[0]);
    }
    let mut reply = Reply::of(&bytes);
    let length = reply.field("content-length").unwrap();
    reply.body = vec![0; length.parse().unwrap()];
    client.read_exact(&mut reply.body).unwrap();
    reply
}

#[test]
fn a_miss_and_a_hit_come_over_tls_as_they_do_without() {
    let large = "x".repeat(1_000_000);
    let body = large.clone();
    let lab = Lab::start(move |seen| {
        assert_eq!(seen.field("x-forwarded-proto").as_deref(), Some("https"));
        let forwarded = seen.field("forwarded").unwrap();
        assert!(forwarded.ends_with(";proto=https"), "{forwarded}");
        Answer::ok("Cache-Control: max-age=60\r\n", &body)
    });
    let identity = Identity::new().unwrap();
    let (cert, key) = (identity.certificates(), identity.key());
    let flags = [
        "--tls-cert",
        cert.to_str().unwrap(),
        "--tls-key",
        key.to_str().unwrap(),
    ];
    let (_program, address) = proxy(&lab.origin.address().to_string(), &flags);
    let mut client = identity.connect(address, PATIENCE).unwrap();
    for hit in [false, true] {
        let reply = get(&mut client, "/large");
        assert_eq!(reply.status, 200);
        assert!(reply.text() == large);
        assert_eq!(reply.cache().starts_with("hit"), hit, "{}", reply.head);
    }
    let seen = &lab.origin.seen()[0];
    assert_eq!(seen.field("x-forwarded-proto").as_deref(), Some("https"));
    assert!(seen.field("forwarded").unwrap().ends_with(";proto=https"));
}
