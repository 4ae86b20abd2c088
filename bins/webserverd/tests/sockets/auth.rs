//! Basic authentication over real sockets.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base64ct::{Base64, Encoding};
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use crate::site::{Answer, NOTICED, Site};

/// Of crypt_blowfish's own tests: the password is U*U.
const HASH: &str = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
/// Of the same tests: U*U*.
const OTHER: &str = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK";
/// Nobody's password, and slow to find that out.
const SLOW: &str = "$2a$13$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";

/// A site with a file of users outside of its root.
fn site(users: &str, more: &[&str]) -> (Site, PathBuf, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users");
    fs::write(&path, users).unwrap();
    let args = ["--basic-auth", path.to_str().unwrap()];
    (Site::start_with(&[&args, more].concat()), path, folder)
}

fn basic(credentials: &str) -> String {
    let sent = Base64::encode_string(credentials.as_bytes());
    format!("Authorization: Basic {sent}\r\n")
}

fn ask(site: &Site, credentials: &str) -> Answer {
    site.ask("GET", "/ten.txt", &basic(credentials))
}

#[test]
fn only_the_right_password_of_a_known_name_is_answered() {
    let (site, ..) = site(&format!("ann:{HASH}\nbob:{OTHER}\n"), &[]);
    for (fields, status) in [
        (String::new(), 401),
        (basic("ann:U*U"), 200),
        (basic("ann:U*U"), 200),
        (basic("bob:U*U*"), 200),
        (basic("ann:U*U*"), 401),
        (basic("ann:"), 401),
        (basic("ann"), 401),
        (basic("Ann:U*U"), 401),
        (basic("eve:U*U"), 401),
        (basic(":U*U"), 401),
        (basic("ann:U*U").replace("Basic", "basic"), 200),
        (basic("ann:U*U").replace("Basic", "Bearer"), 401),
        (basic("ann:U*U").replace("Basic ", "Basic"), 401),
        (format!("{0}{0}", basic("ann:U*U")), 401),
        ("Authorization: Basic YW5uOlUqVQ\r\n".to_owned(), 401),
        ("Authorization: Basic ====\r\n".to_owned(), 401),
        ("Authorization: Basic\r\n".to_owned(), 401),
    ] {
        let answer = site.ask("GET", "/ten.txt", &fields);
        assert_eq!(answer.status, status, "{fields}");
        // RFC 9110 §15.5.2, RFC 7617 §2.1.
        let challenge = (status == 401).then_some("Basic realm=\"webserverd\", charset=\"UTF-8\"");
        assert_eq!(answer.field("WWW-Authenticate"), challenge, "{fields}");
        assert_eq!(
            answer.text().contains("0123456789"),
            status == 200,
            "{fields}"
        );
    }
    // Whatever is asked for, and however: who may not ask does not learn what is there.
    for (method, target) in [
        ("HEAD", "/ten.txt"),
        ("GET", "/absent"),
        ("GET", "/sub%20folder"),
        ("POST", "/ten.txt"),
        ("OPTIONS", "*"),
    ] {
        assert_eq!(
            site.ask(method, target, "").status,
            401,
            "{method} {target}"
        );
    }
}

/// The Fetch standard sends a preflight without credentials.
#[test]
fn the_question_before_a_request_from_another_site_needs_no_password() {
    let (site, ..) = site(&format!("ann:{HASH}"), &["--cors", "https://a.example"]);
    let fields = "Origin: https://a.example\r\nAccess-Control-Request-Method: GET\r\n\
                  Access-Control-Request-Headers: authorization\r\n";
    let preflight = site.ask("OPTIONS", "/ten.txt", fields);
    assert_eq!(preflight.status, 204);
    assert_eq!(
        preflight.field("Access-Control-Allow-Headers"),
        Some("authorization")
    );
    assert_eq!(site.ask("GET", "/ten.txt", fields).status, 401);
    let granted = site.ask("GET", "/ten.txt", "Origin: https://a.example\r\n");
    assert_eq!(
        granted.field("Access-Control-Allow-Origin"),
        Some("https://a.example")
    );
}

#[test]
fn a_file_that_changes_is_read_again_within_a_second_and_a_wrong_one_changes_nothing() {
    let (site, path, _folder) = site(&format!("ann:{HASH}\n"), &[]);
    assert_eq!(ask(&site, "ann:U*U").status, 200);
    fs::write(&path, format!("ann:{OTHER}\nbob:{HASH}\n")).unwrap();
    std::thread::sleep(NOTICED);
    assert_eq!(
        ask(&site, "ann:U*U").status,
        401,
        "although it was right before"
    );
    assert_eq!(ask(&site, "ann:U*U*").status, 200);
    assert_eq!(ask(&site, "bob:U*U").status, 200);

    fs::write(&path, "ann:plain\n").unwrap();
    std::thread::sleep(NOTICED);
    assert_eq!(ask(&site, "ann:U*U*").status, 200);
    assert_eq!(ask(&site, "ann:plain").status, 401);
    let told = site.program.stderr();
    assert!(
        told.contains("line 1") && told.contains("stay as they were"),
        "{told}"
    );
    fs::remove_file(&path).unwrap();
    std::thread::sleep(NOTICED);
    assert_eq!(ask(&site, "ann:U*U*").status, 200);

    fs::write(&path, "").unwrap();
    std::thread::sleep(NOTICED);
    assert_eq!(
        ask(&site, "ann:U*U*").status,
        401,
        "an empty file lets nobody in"
    );
}

const VERIFIED: &str = "webserverd_passwords_verified_total";

fn metric(site: &mut Site, name: &str) -> u64 {
    let metrics = site.admin("/metrics");
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("{metrics}")).parse().unwrap()
}

#[test]
fn what_was_right_is_remembered_and_what_was_wrong_is_worked_out_each_time() {
    let (mut site, ..) = site(&format!("ann:{HASH}\n"), &["--admin", "127.0.0.1:0"]);
    for _ in 0..20 {
        assert_eq!(ask(&site, "ann:U*U").status, 200);
    }
    assert_eq!(metric(&mut site, VERIFIED), 1);
    for _ in 0..3 {
        assert_eq!(ask(&site, "ann:wrong").status, 401);
    }
    assert_eq!(metric(&mut site, VERIFIED), 4);
    // A name that nobody has is worked on too.
    for name in ["eve", "mallory", "trent"] {
        assert_eq!(ask(&site, &format!("{name}:U*U")).status, 401);
    }
    assert_eq!(metric(&mut site, VERIFIED), 7);
    assert_eq!(metric(&mut site, "webserverd_passwords_wrong_total"), 6);
}

#[test]
fn who_tries_passwords_holds_up_nobody_who_is_known() {
    let users = format!("ann:{HASH}\nslow:{SLOW}\n");
    let (site, ..) = site(&users, &["--workers", "1"]);
    assert_eq!(ask(&site, "ann:U*U").status, 200);
    let guess = |number: usize| {
        let mut stream = TcpStream::connect(site.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_millis(300)))
            .unwrap();
        let request = format!(
            "GET /ten.txt HTTP/1.1\r\nHost: a\r\n{}\r\n",
            basic(&format!("slow:guess {number}"))
        );
        stream.write_all(request.as_bytes()).unwrap();
        stream
    };
    let mut guesses: Vec<TcpStream> = (0..90).map(guess).collect();
    let started = Instant::now();
    for _ in 0..50 {
        assert_eq!(ask(&site, "ann:U*U").status, 200);
    }
    // One guess takes longer.
    let each = started.elapsed() / 50;
    assert!(each < Duration::from_millis(300), "{each:?} a request");
    // More than 8 of one client do not wait: they are told to come back.
    let told = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for stream in &mut guesses {
            scope.spawn(|| {
                let mut answer = [0; 1024];
                let Ok(count) = stream.read(&mut answer) else {
                    return;
                };
                let answer = String::from_utf8_lossy(&answer[..count]).into_owned();
                if answer.starts_with("HTTP/1.1 503") {
                    assert!(answer.contains("\r\nRetry-After: 1\r\n"), "{answer}");
                    told.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let told = told.into_inner();
    assert!((70..=82).contains(&told), "{told} of 90");
}

/// A connection from `source` that asks with these credentials.
fn asked_from(source: &str, site: &Site, credentials: &str) -> TcpStream {
    let source: SocketAddr = source.parse().unwrap();
    let socket = Socket::new(Domain::for_address(source), Type::STREAM, None).unwrap();
    socket.bind(&source.into()).unwrap();
    socket.connect(&site.address.into()).unwrap();
    let mut stream = TcpStream::from(socket);
    stream
        .set_read_timeout(Some(Duration::from_mins(1)))
        .unwrap();
    let fields = basic(credentials);
    let request = format!("GET /ten.txt HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

#[test]
fn who_guesses_passwords_keeps_out_nobody_who_asks_from_elsewhere() {
    let users = format!("ann:{HASH}\nslow:{SLOW}\n");
    let (site, ..) = site(&users, &["--workers", "1"]);
    let mut guesses: Vec<TcpStream> = (0..90)
        .map(|number| asked_from("127.0.0.2:0", &site, &format!("slow:guess {number}")))
        .collect();
    let status = |mut stream: TcpStream| {
        let mut line = [0; 12];
        stream.read_exact(&mut line).unwrap();
        String::from_utf8_lossy(&line[9..]).into_owned()
    };
    let last = guesses.pop().unwrap();
    assert_eq!(status(last), "503");
    let ann = asked_from("127.0.0.1:0", &site, "ann:U*U");
    assert_eq!(status(ann), "200");
}
