//! The server of a responsiveness test, asked as a client of the draft asks it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::site::{PATIENCE, Site};

#[test]
fn a_client_is_told_what_to_ask_and_nothing_of_it_is_cached() {
    let site = Site::start_with(&["--responsiveness"]);
    let told = site.get("/.well-known/nq");
    assert_eq!(told.field("Content-Type"), Some("application/json"));
    let told: serde_json::Value = serde_json::from_slice(&told.body).unwrap();
    assert_eq!(told["version"], 1);
    assert_eq!(
        told["urls"],
        serde_json::json!({
            "small_download_url": "http://lab/nq/small",
            "large_download_url": "http://lab/nq/large",
            "upload_url": "http://lab/nq/upload",
        })
    );
    let small = site.get("/nq/small");
    assert_eq!(small.field("Cache-Control"), Some("no-store"));
    assert_eq!(small.body.len(), 1);
    for (line, status, allow) in [
        ("POST /nq/large", 405, "Allow: GET, HEAD, OPTIONS"),
        ("GET /nq/upload", 405, "Allow: POST, PUT, OPTIONS"),
        ("OPTIONS /nq/upload", 204, "Allow: POST, PUT, OPTIONS"),
        ("HEAD /nq/large", 200, "Content-Length: 8000000000"),
    ] {
        let (method, target) = line.split_once(' ').unwrap();
        let answer = site.ask(method, target, "");
        assert_eq!(answer.status, status, "{line}");
        assert!(answer.head.contains(allow), "{}", answer.head);
    }
}

#[test]
fn a_download_goes_on_and_an_upload_larger_than_any_limit_is_taken() {
    let site = Site::start_with(&["--responsiveness"]);
    let mut stream = TcpStream::connect(site.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
        .write_all(b"GET /nq/large HTTP/1.1\r\nHost: lab\r\n\r\n")
        .unwrap();
    let mut received = vec![0; 8 << 20];
    stream.read_exact(&mut received).unwrap();
    drop(stream);

    // The limit of other requests is 16 MiB.
    let length = 20 << 20;
    let mut stream = TcpStream::connect(site.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!("POST /nq/upload HTTP/1.1\r\nHost: lab\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&vec![0; length]).unwrap();
    // And the connection goes on behind it.
    stream
        .write_all(b"GET /nq/small HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text.matches("HTTP/1.1 200 OK\r\n").count(), 2, "{text}");
}

#[test]
fn without_the_flag_these_are_paths_like_others() {
    let site = Site::start();
    for (line, status) in [
        ("GET /.well-known/nq", 404),
        ("GET /nq/large", 404),
        ("POST /nq/upload", 405),
    ] {
        let (method, target) = line.split_once(' ').unwrap();
        assert_eq!(site.ask(method, target, "").status, status, "{line}");
    }
}
