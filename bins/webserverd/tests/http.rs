//! The server over real sockets, as clients and attackers see it.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on says why and fails"
)]

mod site;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant, SystemTime};

use rustix::process::Signal;
use site::{Answer, PATIENCE, Site};
use testkit::peer::exchange;
use testkit::program::Program;
use testkit::vectors::{self, SeenBy, Vector};

#[test]
fn a_file_is_answered_with_its_bytes_type_and_validators() {
    let site = Site::start();
    let answer = site.get("/ten.txt");
    assert_eq!((answer.status, answer.text().as_str()), (200, "0123456789"));
    for (name, value) in [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", "10"),
        ("Cache-Control", "max-age=60"),
        ("X-Content-Type-Options", "nosniff"),
        ("Connection", "close"),
    ] {
        assert_eq!(answer.field(name), Some(value), "{name}");
    }
    let etag = answer.field("ETag").unwrap();
    assert!(etag.starts_with('"') && etag.ends_with('"'), "{etag}");
    assert!(answer.field("Last-Modified").unwrap().ends_with(" GMT"));
    assert!(answer.field("Date").unwrap().ends_with(" GMT"));
}

#[test]
fn head_is_get_without_the_body() {
    let site = Site::start();
    for target in ["/ten.txt", "/big.bin", "/absent", "/sub%20folder"] {
        let (get, head) = (site.get(target), site.ask("HEAD", target, ""));
        assert_eq!(
            get.head_without_date(),
            head.head_without_date(),
            "{target}"
        );
        assert!(head.body.is_empty(), "{target}");
    }
}

#[test]
fn each_target_gets_its_status() {
    let site = Site::start();
    for (method, target, status) in [
        ("GET", "/", 200),
        ("GET", "/index.html", 200),
        ("GET", "/?query=1", 200),
        ("GET", "http://lab/ten.txt", 200),
        ("GET", "/sub%20folder/", 200),
        ("GET", "/sub%20folder", 301),
        ("GET", "/empty/", 404),
        ("GET", "/absent", 404),
        ("GET", "/ten.txt/", 404),
        ("GET", "/.secret", 404),
        ("GET", "/%2esecret", 404),
        ("GET", "/link.txt", 403),
        ("GET", "/a/../ten.txt", 200),
        ("GET", "/%2e%2e/outside.txt", 400),
        ("GET", "/../outside.txt", 400),
        ("GET", "/..%2foutside.txt", 400),
        ("GET", "/..%5coutside.txt", 400),
        ("GET", "/..\\outside.txt", 400),
        ("GET", "/%252e%252e/outside.txt", 404),
        ("GET", "/%c0%ae%c0%ae/outside.txt", 400),
        ("GET", "/sub%20folder/../../outside.txt", 400),
        ("GET", "/../../etc/passwd", 400),
        ("GET", "/%2e%2e/%2e%2e/etc/passwd", 400),
        ("GET", "/.%2e/%2e./etc/passwd", 400),
        ("GET", "//etc/passwd", 404),
        ("GET", "/ten.txt%00.html", 400),
        ("OPTIONS", "/ten.txt", 204),
        ("OPTIONS", "*", 204),
        ("POST", "/ten.txt", 405),
        ("DELETE", "/ten.txt", 405),
        ("TRACE", "/ten.txt", 405),
        ("BREW", "/ten.txt", 501),
    ] {
        let answer = site.ask(method, target, "");
        assert_eq!(answer.status, status, "{method} {target}: {answer:?}");
        assert!(!answer.text().contains("outside"), "{target}");
        assert!(!answer.text().contains("root:"), "{target}");
    }
}

#[test]
fn what_is_missing_gets_the_sites_own_page_and_a_wrong_method_is_told_the_right_ones() {
    let site = Site::start();
    assert_eq!(site.get("/absent").text(), "<h1>not here</h1>");
    assert_eq!(
        site.ask("PUT", "/ten.txt", "").field("Allow"),
        Some("GET, HEAD, OPTIONS")
    );
}

#[test]
fn a_folder_is_redirected_below_the_same_host() {
    let site = Site::start();
    let location = |target| site.get(target).field("Location").map(str::to_owned);
    assert_eq!(
        location("/sub%20folder?a=1").as_deref(),
        Some("./sub%20folder/?a=1")
    );
    // Of "//empty/" a browser would make the host "empty".
    assert_eq!(location("//empty").as_deref(), Some("./empty/"));
}

/// RFC 9110 §13.2.2: which condition decides, in order.
#[test]
fn conditions_are_evaluated_in_the_order_of_the_rfc() {
    let site = Site::start();
    let first = site.get("/ten.txt");
    let etag = first.field("ETag").unwrap();
    let modified = first.field("Last-Modified").unwrap();
    let (old, new) = (
        "Sat, 01 Jan 2000 00:00:00 GMT",
        "Thu, 01 Jan 2037 00:00:00 GMT",
    );
    for (fields, status) in [
        (format!("If-None-Match: {etag}\r\n"), 304),
        (format!("If-None-Match: W/{etag}\r\n"), 304),
        (format!("If-None-Match: \"x\", {etag}\r\n"), 304),
        ("If-None-Match: *\r\n".to_owned(), 304),
        ("If-None-Match: \"x\"\r\n".to_owned(), 200),
        (format!("If-Modified-Since: {modified}\r\n"), 304),
        (format!("If-Modified-Since: {old}\r\n"), 200),
        ("If-Modified-Since: yesterday\r\n".to_owned(), 200),
        (
            format!("If-None-Match: \"x\"\r\nIf-Modified-Since: {new}\r\n"),
            200,
        ),
        (format!("If-Match: {etag}\r\n"), 200),
        (format!("If-Match: W/{etag}\r\n"), 412),
        ("If-Match: \"x\"\r\n".to_owned(), 412),
        ("If-Match: *\r\n".to_owned(), 200),
        (format!("If-Unmodified-Since: {old}\r\n"), 412),
        (format!("If-Unmodified-Since: {new}\r\n"), 200),
        (
            format!("If-Match: {etag}\r\nIf-Unmodified-Since: {old}\r\n"),
            200,
        ),
        (
            format!("If-Match: {etag}\r\nIf-None-Match: {etag}\r\n"),
            304,
        ),
        (format!("If-Match: \"x\"\r\nIf-None-Match: {etag}\r\n"), 412),
    ] {
        let answer = site.ask("GET", "/ten.txt", &fields);
        assert_eq!(answer.status, status, "{fields}");
        if status == 304 {
            assert!(answer.body.is_empty());
            assert_eq!(answer.field("ETag"), Some(etag));
            assert_eq!(answer.field("Content-Length"), None);
        }
    }
}

#[test]
fn a_single_range_is_answered_and_one_that_cannot_be_is_refused() {
    let site = Site::start();
    let etag = site.get("/ten.txt").field("ETag").unwrap().to_owned();
    for (fields, status, body, content_range) in [
        ("Range: bytes=0-0", 206, "0", Some("bytes 0-0/10")),
        ("Range: bytes=2-5", 206, "2345", Some("bytes 2-5/10")),
        ("Range: bytes=7-", 206, "789", Some("bytes 7-9/10")),
        ("Range: bytes=-3", 206, "789", Some("bytes 7-9/10")),
        ("Range: bytes=-99", 206, "0123456789", Some("bytes 0-9/10")),
        ("Range: bytes=5-99", 206, "56789", Some("bytes 5-9/10")),
        ("Range: bytes=5-2", 200, "0123456789", None),
        ("Range: lines=1-2", 200, "0123456789", None),
        // Nearer than the head of another part: one.
        ("Range: bytes=0-1,4-5", 206, "012345", Some("bytes 0-5/10")),
        (
            "Range: bytes=8-,0-1,0-3",
            206,
            "0123456789",
            Some("bytes 0-9/10"),
        ),
        (
            "If-Range: \"x\"\r\nRange: bytes=0-0",
            200,
            "0123456789",
            None,
        ),
    ] {
        let answer = site.ask("GET", "/ten.txt", &format!("{fields}\r\n"));
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (status, body),
            "{fields}"
        );
        assert_eq!(answer.field("Content-Range"), content_range, "{fields}");
    }
    let matching = format!("If-Range: {etag}\r\nRange: bytes=0-0\r\n");
    assert_eq!(site.ask("GET", "/ten.txt", &matching).status, 206);
    let beyond = site.ask("GET", "/ten.txt", "Range: bytes=10-\r\n");
    assert_eq!(
        (beyond.status, beyond.field("Content-Range")),
        (416, Some("bytes */10"))
    );
    let large = site.ask("GET", "/big.bin", "Range: bytes=1000000-1999999\r\n");
    assert_eq!((large.status, large.body.len()), (206, 1_000_000));
}

#[test]
fn pipelined_requests_are_answered_in_order_however_they_are_cut() {
    let site = Site::start();
    let requests = "GET /ten.txt HTTP/1.1\r\nHost: a\r\n\r\n\
                    GET /absent HTTP/1.1\r\nHost: a\r\n\r\n\
                    POST /ten.txt HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\
                    GET /big.bin HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1\r\n\r\n\
                    GET /ten.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let statuses = |text: &str| -> Vec<String> {
        text.split("HTTP/1.1 ")
            .skip(1)
            .map(|part| part[..3].to_owned())
            .collect()
    };
    let expected = ["200", "404", "405", "206", "200"];
    let whole = site.send(requests);
    assert!(whole.closed);
    assert_eq!(statuses(&whole.text()), expected);

    let mut stream = TcpStream::connect(site.address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    for byte in requests.as_bytes() {
        stream.write_all(&[*byte]).unwrap();
    }
    let bytewise = testkit::peer::read_to_end(&mut stream).unwrap();
    assert_eq!(statuses(&bytewise.text()), expected);
}

#[test]
fn persistence_follows_version_and_connection() {
    let site = Site::start();
    let short = Duration::from_millis(300);
    for (request, closes) in [
        ("GET /ten.txt HTTP/1.1\r\nHost: a\r\n\r\n", false),
        (
            "GET /ten.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            true,
        ),
        ("GET /ten.txt HTTP/1.0\r\n\r\n", true),
        (
            "GET /ten.txt HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
            false,
        ),
    ] {
        let exchange = exchange(site.address, request.as_bytes(), short).unwrap();
        assert_eq!(exchange.status(), Some(200), "{request}");
        assert_eq!(exchange.closed, closes, "{request}");
    }
}

#[test]
fn a_client_that_expects_to_be_told_to_continue_gets_its_answer_at_once() {
    let site = Site::start();
    let request =
        "POST /ten.txt HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n";
    let started = Instant::now();
    let exchange = site.send(request);
    assert_eq!(exchange.status(), Some(405));
    assert!(exchange.closed, "nobody can tell if the body comes");
    assert!(started.elapsed() < PATIENCE);
}

#[test]
fn an_edited_file_is_never_served_stale_for_more_than_a_second() {
    let site = Site::start();
    let file = site.folder.path().join("root/ten.txt");
    for round in 0..3 {
        let text = format!("round {round}");
        fs::write(&file, &text).unwrap();
        let edited = Instant::now();
        while site.get("/ten.txt").text() != text {
            assert!(
                edited.elapsed() < Duration::from_secs(1),
                "still old in round {round}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    fs::remove_file(&file).unwrap();
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(site.get("/ten.txt").status, 404);
}

#[test]
fn a_file_that_shrinks_while_it_is_sent_is_visibly_cut() {
    let site = Site::start();
    let file = site.folder.path().join("root/huge.bin");
    fs::File::create(&file)
        .unwrap()
        .set_len(200_000_000)
        .unwrap();
    let mut stream = TcpStream::connect(site.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
        .write_all(
            b"GET /huge.bin HTTP/1.1\r\nHost: a\r\n\r\nGET /ten.txt HTTP/1.1\r\nHost: a\r\n\r\n",
        )
        .unwrap();
    let mut start = vec![0; 1000];
    stream.read_exact(&mut start).unwrap();
    fs::File::options()
        .write(true)
        .open(&file)
        .unwrap()
        .set_len(1_000_000)
        .unwrap();
    let rest = testkit::peer::read_to_end(&mut stream).unwrap();
    assert!(rest.closed);
    assert!(rest.received.len() < 200_000_000, "{}", rest.received.len());
    assert!(
        !rest.text().contains("HTTP/1.1"),
        "nothing follows what was cut"
    );
}

#[test]
fn under_load_no_request_is_lost_when_the_server_is_told_to_stop() {
    let mut site = Site::start();
    let address = site.address;
    let clients: Vec<_> = (0..16)
        .map(|_| {
            std::thread::spawn(move || {
                let mut answered = 0;
                // Connections are opened until the listener is gone.
                while let Ok(stream) = TcpStream::connect(address) {
                    answered += talk(stream);
                }
                answered
            })
        })
        .collect();
    std::thread::sleep(Duration::from_millis(300));
    site.program.signal(Signal::TERM).unwrap();
    let status = site.program.wait(Duration::from_secs(10)).unwrap();
    assert_eq!(status.code(), Some(0), "{}", site.program.stderr());
    let answered: usize = clients
        .into_iter()
        .map(|client| client.join().unwrap())
        .sum();
    assert!(answered > 100, "{answered}");
}

/// Asks on one connection until the server says that it ends it. Every request must be answered.
fn talk(mut stream: TcpStream) -> usize {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answered = 0;
    loop {
        if stream
            .write_all(b"GET /ten.txt HTTP/1.1\r\nHost: a\r\n\r\n")
            .is_err()
        {
            assert_eq!(answered, 0, "an open connection broke without a word");
            return answered;
        }
        let mut answer = Vec::new();
        let mut byte = [0];
        while !answer.ends_with(b"0123456789") {
            match stream.read(&mut byte) {
                Ok(1) => answer.push(byte[0]),
                // A connection that the kernel took as the listener closed was never accepted.
                _ if answered == 0 && answer.is_empty() => return 0,
                other => panic!(
                    "{other:?} after {answered} answers: {:?}",
                    String::from_utf8_lossy(&answer)
                ),
            }
        }
        answered += 1;
        if String::from_utf8_lossy(&answer).contains("Connection: close") {
            return answered;
        }
    }
}

#[test]
fn requests_that_wait_unaccepted_when_the_stop_comes_are_answered() {
    let mut site = Site::start();
    site.program.signal(Signal::STOP).unwrap();
    let mut clients: Vec<TcpStream> = (0..20)
        .map(|_| {
            let mut stream = TcpStream::connect(site.address).unwrap();
            stream
                .write_all(b"GET /ten.txt HTTP/1.1\r\nHost: a\r\n\r\n")
                .unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream
        })
        .collect();
    site.program.signal(Signal::TERM).unwrap();
    site.program.signal(Signal::CONT).unwrap();
    for stream in &mut clients {
        let answer = testkit::peer::read_to_end(stream).unwrap();
        assert!(answer.text().ends_with("0123456789"), "{:?}", answer.text());
    }
    drop(clients);
    assert_eq!(site.program.wait(PATIENCE).unwrap().code(), Some(0));
}

#[test]
fn spellings_of_one_large_file_do_not_hold_a_descriptor_each() {
    let site = Site::start();
    let spelled = |dots| format!("HEAD {}/big.bin HTTP/1.1\r\nHost: a\r\n", "/.".repeat(dots));
    let requests: Vec<String> = (0..500).map(spelled).collect();
    let requests = requests.join("\r\n") + "\r\n" + &spelled(0) + "Connection: close\r\n\r\n";
    let answers = site.send(requests);
    assert_eq!(answers.text().matches("HTTP/1.1 200 OK").count(), 501);
    let open = fs::read_dir(format!("/proc/{}/fd", site.program.id())).unwrap();
    let big = open
        .filter_map(|entry| fs::read_link(entry.unwrap().path()).ok())
        .filter(|target| target.ends_with("big.bin"))
        .count();
    assert!(big <= 1, "{big}");
}

#[test]
fn a_change_in_the_future_is_told_as_now() {
    let site = Site::start();
    let file = fs::File::options()
        .write(true)
        .open(site.folder.path().join("root/ten.txt"))
        .unwrap();
    file.set_modified(SystemTime::now() + Duration::from_hours(1_000_000))
        .unwrap();
    let answer = site.get("/ten.txt");
    let (modified, now) = (
        answer.field("Last-Modified").unwrap(),
        answer.field("Date").unwrap(),
    );
    assert_eq!(modified[..16], now[..16], "RFC 9110 §8.8.2.1");
}

#[test]
fn a_thousand_slow_clients_do_not_slow_another() {
    let site = Site::start();
    let _slow: Vec<TcpStream> = (0..1000)
        .map(|_| {
            let mut stream = TcpStream::connect(site.address).unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nHost: ").unwrap();
            stream
        })
        .collect();
    let started = Instant::now();
    for _ in 0..100 {
        assert_eq!(site.get("/ten.txt").status, 200);
    }
    let each = started.elapsed() / 100;
    assert!(each < Duration::from_millis(50), "{each:?} a request");
}

#[test]
fn every_hostile_request_gets_its_status_and_ends_its_connection() {
    let site = Site::start();
    // At once: some are answered only at a deadline.
    std::thread::scope(|scope| {
        for vector in vectors::requests() {
            let address = site.address;
            scope.spawn(move || refuses(address, &vector));
        }
    });
}

fn refuses(address: SocketAddr, vector: &Vector) {
    let ends = matches!(vector.seen_by, SeenBy::Head | SeenBy::Body | SeenBy::File);
    let mut bytes = vector.bytes.clone();
    if vector.status.is_some() && ends {
        bytes.extend_from_slice(b"GET /ten.txt HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    // Longer than the deadline of a head.
    let exchange = exchange(address, &bytes, Duration::from_secs(12)).unwrap();
    let what = format!("{}: {}", vector.why, exchange.text());
    match vector.status {
        Some(status) => {
            assert_eq!(exchange.status(), Some(status), "{what}");
            assert!(!exchange.text().contains("0123456789"), "{what}");
            assert!(exchange.closed || !ends, "{what}");
        }
        None => assert!(exchange.status() != Some(400), "{what}"),
    }
}

#[test]
fn a_log_line_has_client_request_status_bytes_and_duration() {
    let site = Site::start();
    site.get("/ten.txt?x");
    let end = Instant::now() + PATIENCE;
    while !site.program.stdout().contains("ms") && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(5));
    }
    let log = site.program.stdout();
    assert!(log.contains(" 127.0.0.1 GET /ten.txt?x 200 10 B "), "{log}");
}

#[test]
fn mistakes_are_told_in_one_line_with_exit_status_two() {
    for (args, part) in [
        (vec!["--prot", "80"], "--port"),
        (vec!["--port", "70000"], "70000"),
        (vec!["--bind", "here"], "here"),
        (vec!["--workers", "0"], "0"),
        (vec!["--root", "/does/not/exist"], "--root"),
        (vec!["--log-format", "xml"], "common"),
        (vec!["--admin", "8001"], "127.0.0.1:8001"),
        (vec!["--drain-timeout", "soon"], "soon"),
        (vec!["--root", "..", "--basic-auth", "absent"], "absent"),
        (vec!["--root", "..", "--basic-auth", "Cargo.toml"], "line 1"),
        (vec!["--root", "..", "--spa", "absent.html"], "absent.html"),
        (
            vec!["--root", "..", "--cache-control", "*.css"],
            "GLOB=VALUE",
        ),
        (vec!["--root", "..", "--header", "X-Lab"], "Name: value"),
        (
            vec!["--root", "..", "--header", "A: b\nC: d"],
            "control byte",
        ),
        (
            vec!["--root", "..", "--cors", "app.example"],
            "https://app.example",
        ),
    ] {
        let mut program = Program::start(env!("CARGO_BIN_EXE_webserverd"), &args).unwrap();
        assert_eq!(program.wait(PATIENCE).unwrap().code(), Some(2), "{args:?}");
        let told = program.stderr();
        assert_eq!(told.lines().count(), 1, "{told}");
        assert!(
            told.starts_with("webserverd: ") && told.contains(part),
            "{told}"
        );
    }
}

#[test]
fn a_port_that_is_taken_is_named_with_exit_status_one() {
    let site = Site::start();
    let port = site.address.port().to_string();
    let root = site.folder.path().join("root");
    let args = [
        "--root",
        root.to_str().unwrap(),
        "--port",
        &port,
        "--udp-port",
        "0",
        "--admin",
        "off",
    ];
    let mut second = Program::start(env!("CARGO_BIN_EXE_webserverd"), args).unwrap();
    assert_eq!(second.wait(PATIENCE).unwrap().code(), Some(1));
    let told = second.stderr();
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(told.contains(&port), "{told}");
}

#[test]
fn the_admin_endpoint_tells_health_and_counts_and_check_asks_it() {
    let mut site = Site::start_with(&[]);
    drop(site.program);
    let root = site.folder.path().join("root");
    let args = [
        "--root",
        root.to_str().unwrap(),
        "--port",
        "0",
        "--udp-port",
        "0",
        "--admin",
        "127.0.0.1:0",
    ];
    site.program = Program::start(env!("CARGO_BIN_EXE_webserverd"), args).unwrap();
    site.address = site.program.listening("tcp").unwrap();
    let admin = site.program.listening("admin").unwrap();
    assert_eq!(site.get("/ten.txt").status, 200);
    let page = |target: &str| {
        let request =
            format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        Answer::of(&exchange(admin, request.as_bytes(), PATIENCE).unwrap())
    };
    assert_eq!(page("/healthz").text(), "ok\n");
    let metrics = page("/metrics").text();
    assert!(
        metrics.contains("webserverd_http_answers_total{class=\"2xx\"} 1"),
        "{metrics}"
    );
    assert!(
        metrics.contains("webserverd_echo_received_total 0"),
        "{metrics}"
    );

    let status = page("/status.json").text();
    for member in [
        "\"program\": \"webserverd\"",
        "\"answers_2xx\": 1",
        "\"received\": 0",
    ] {
        assert!(status.contains(member), "{status}");
    }

    let check = |address: &str| {
        let args = ["--check", "--admin", address];
        let mut check = Program::start(env!("CARGO_BIN_EXE_webserverd"), args).unwrap();
        check.wait(PATIENCE).unwrap().code()
    };
    assert_eq!(check(&admin.to_string()), Some(0));
    site.program.signal(Signal::TERM).unwrap();
    site.program.wait(PATIENCE).unwrap();
    assert_eq!(check(&admin.to_string()), Some(1));
}
