//! The server over TLS, as a client of rustls sees it.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;
use testkit::peer::{exchange, read_to_end};
use testkit::program::Program;
use testkit::tls::{Client, Identity};

const PATIENCE: Duration = Duration::from_secs(5);
const LARGE: usize = 5_000_000;

struct Site {
    root: TempDir,
    identity: Identity,
    address: SocketAddr,
    program: Program,
}

impl Site {
    fn start(flags: &[&str]) -> Site {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("small"), "content").unwrap();
        fs::write(root.path().join("large"), large()).unwrap();
        let identity = Identity::new().unwrap();
        let (cert, key) = (identity.certificates(), identity.key());
        let mut args = vec!["--root", root.path().to_str().unwrap()];
        args.extend(["--tls-cert", cert.to_str().unwrap()]);
        args.extend(["--tls-key", key.to_str().unwrap()]);
        args.extend(["--port", "0", "--udp-port", "0", "--workers", "1"]);
        if !flags.contains(&"--admin") {
            args.extend(["--admin", "off"]);
        }
        args.extend(flags);
        let mut program = Program::start(env!("CARGO_BIN_EXE_webserverd"), args).unwrap();
        let address = program.listening("tcp").unwrap();
        Site {
            root,
            identity,
            address,
            program,
        }
    }

    fn connect(&self) -> Client {
        self.identity.connect(self.address, PATIENCE).unwrap()
    }

    /// Waits until the server has said `text`.
    fn wait_until_told(&self, text: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.program.stderr().contains(text) {
            assert!(Instant::now() < end, "{}", self.program.stderr());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn large() -> Vec<u8> {
    (0..LARGE).map(|index| (index % 251) as u8).collect()
}

fn get(path: &str, fields: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n")
}

/// Head and body of one answer.
fn read(client: &mut Client) -> (String, Vec<u8>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: "))
        .unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    client.read_exact(&mut body).unwrap();
    (head, body)
}

#[test]
fn small_and_large_files_come_as_they_do_without_tls() {
    let site = Site::start(&[]);
    let mut client = site.connect();
    assert_eq!(client.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    // One after the other, then all at once.
    let requests = [
        get("/small", ""),
        get("/large", ""),
        get("/large", "Range: bytes=4999990-\r\n"),
        get("/small", ""),
    ];
    let large = large();
    let check = |client: &mut Client, index: usize| {
        let (head, body) = read(client);
        match index {
            1 => assert!(head.starts_with("HTTP/1.1 200 ") && body == large),
            2 => assert!(head.starts_with("HTTP/1.1 206 ") && body == large[4_999_990..]),
            _ => assert!(head.starts_with("HTTP/1.1 200 ") && body == b"content"),
        }
    };
    for (index, request) in requests.iter().enumerate() {
        client.write_all(request.as_bytes()).unwrap();
        check(&mut client, index);
    }
    client.write_all(requests.concat().as_bytes()).unwrap();
    for index in 0..requests.len() {
        check(&mut client, index);
    }
    client.conn.send_close_notify();
    client.flush().unwrap();
    assert_eq!(client.read(&mut [0]).unwrap(), 0, "the end is told");
}

#[test]
fn a_file_that_becomes_shorter_while_it_is_sent_is_visibly_cut() {
    let site = Site::start(&[]);
    let mut client = site.connect();
    // As much as no buffer on the way holds.
    let path = site.root.path().join("huge");
    fs::write(&path, vec![7; 64 << 20]).unwrap();
    client.write_all(get("/huge", "").as_bytes()).unwrap();
    client.read_exact(&mut [0; 1000]).unwrap();
    fs::write(&path, "short").unwrap();
    let error = client.read_to_end(&mut Vec::new()).unwrap_err();
    assert!(
        matches!(
            error.kind(),
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset
        ),
        "{error}"
    );
}

#[test]
fn a_client_that_speaks_http_is_told_to_speak_https() {
    let site = Site::start(&[]);
    let answer = exchange(site.address, get("/small", "").as_bytes(), PATIENCE).unwrap();
    assert_eq!(answer.status(), Some(400));
    assert!(answer.closed);
    let (head, body) = answer
        .text()
        .split_once("\r\n\r\n")
        .map(|(h, b)| (h.to_owned(), b.len()))
        .unwrap();
    assert!(head.contains(&format!("Content-Length: {body}")), "{head}");
}

#[test]
fn a_handshake_that_does_not_end_is_given_up_at_the_deadline_of_a_head() {
    let site = Site::start(&["--head-timeout", "300ms", "--admin", "127.0.0.1:0"]);
    for begins_with in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let mut silent = TcpStream::connect(site.address).unwrap();
        silent.set_read_timeout(Some(PATIENCE)).unwrap();
        silent.write_all(begins_with).unwrap();
        assert!(read_to_end(&mut silent).unwrap().closed);
    }
}

#[test]
fn a_client_that_leaves_without_a_word_of_tls_is_no_broken_connection() {
    let mut site = Site::start(&["--admin", "127.0.0.1:0"]);
    let mut client = site.connect();
    client.write_all(get("/small", "").as_bytes()).unwrap();
    read(&mut client);
    drop(client);
    let admin = site.program.listening("admin").unwrap();
    let end = Instant::now() + PATIENCE;
    loop {
        let request = b"GET /status.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let status = exchange(admin, request, PATIENCE).unwrap().text();
        assert!(status.contains("\"connections_broken\": 0"), "{status}");
        if status.contains("\"connections_open\": 0") {
            break;
        }
        assert!(Instant::now() < end, "{status}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_new_certificate_is_taken_on_sighup_and_a_broken_one_is_not() {
    let mut site = Site::start(&[]);
    let mut before = site.connect();
    site.identity.renew().unwrap();
    let unknown = site.identity.connect(site.address, PATIENCE);
    assert!(unknown.is_err(), "the files are read again unasked");
    site.program.signal(Signal::HUP).unwrap();
    site.wait_until_told("the certificate that is there now");
    let mut after = site.connect();
    for client in [&mut before, &mut after] {
        client.write_all(get("/small", "").as_bytes()).unwrap();
        assert_eq!(read(client).1, b"content");
    }
    let other = Identity::new().unwrap();
    fs::copy(other.key(), site.identity.key()).unwrap();
    site.program.signal(Signal::HUP).unwrap();
    site.wait_until_told("the old certificate stays in use");
    site.connect();
}

#[test]
fn a_stop_signal_loses_nothing_of_what_is_under_way() {
    let mut site = Site::start(&[]);
    let mut idle = site.connect();
    let mut busy = site.connect();
    busy.write_all(get("/large", "").as_bytes()).unwrap();
    let mut beginning = [0; 1000];
    busy.read_exact(&mut beginning).unwrap();
    site.program.signal(Signal::TERM).unwrap();
    site.wait_until_told("stopping");
    idle.write_all(get("/small", "").as_bytes()).unwrap();
    let (head, body) = read(&mut idle);
    assert!(head.contains("\r\nConnection: close\r\n"), "{head}");
    assert_eq!(body, b"content");
    let mut rest = Vec::new();
    busy.read_to_end(&mut rest).unwrap();
    let answer = [&beginning[..], &rest].concat();
    assert!(answer.ends_with(&large()[LARGE - 1000..]));
    drop((idle, busy));
    assert_eq!(site.program.wait(PATIENCE).unwrap().code(), Some(0));
}

#[test]
fn a_client_that_never_begins_to_speak_does_not_hold_up_the_stop() {
    let patience = ["--head-timeout", "1m", "--drain-timeout", "5s"];
    let mut site = Site::start(&patience);
    let _silent = TcpStream::connect(site.address).unwrap();
    // Whoever comes after it is served, so it was accepted.
    drop(site.connect());
    site.program.signal(Signal::TERM).unwrap();
    assert_eq!(site.program.wait(PATIENCE).unwrap().code(), Some(0));
}

#[test]
fn files_that_do_not_fit_are_told_in_one_line_with_exit_status_two() {
    let one = Identity::new().unwrap();
    let other = Identity::new().unwrap();
    let paths = [one.certificates(), one.key(), other.key()];
    let [cert, key, others] = paths.each_ref().map(|path| path.to_str().unwrap());
    for (flags, part) in [
        (&["--tls-cert", cert][..], "--tls-key"),
        (&["--tls-key", key], "--tls-cert"),
        (&["--tls-cert", cert, "--tls-key", others], others),
        (&["--tls-cert", key, "--tls-key", key], "no certificate"),
        (&["--tls-cert", cert, "--tls-key", cert], "private key"),
        (&["--tls-cert", "/nowhere", "--tls-key", key], "/nowhere"),
    ] {
        let args = ["--root", "."].iter().chain(flags);
        let mut program = Program::start(env!("CARGO_BIN_EXE_webserverd"), args).unwrap();
        assert_eq!(program.wait(PATIENCE).unwrap().code(), Some(2), "{flags:?}");
        let told = program.stderr();
        assert_eq!(told.lines().count(), 1, "{told}");
        assert!(told.contains(part), "{told}");
    }
}

/// RFC 6797 §7.2: not to be said over plain HTTP, which `tests/rules.rs` holds it to.
#[test]
fn secure_fields_tell_a_browser_to_come_back_with_tls() {
    let site = Site::start(&["--secure-headers"]);
    let mut client = site.connect();
    client.write_all(get("/small", "").as_bytes()).unwrap();
    let (head, _) = read(&mut client);
    let line = "\r\nStrict-Transport-Security: max-age=31536000\r\n";
    assert!(head.contains(line), "{head}");
}
