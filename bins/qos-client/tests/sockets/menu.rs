//! The menu over bytes in memory: what a user sees, and what a pipe can rely on.

use std::io::{Cursor, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use qos_client::config::{Action, Config, CsvFile, Output};
use qos_client::interrupt::Interrupt;
use qos_client::target::Target;
use qos_client::{Streams, run};

use crate::echo::{Echo, after_ms};

/// What the menu writes when `input` is all that it gets from a pipe.
fn dialogue(target: &Target, csv: CsvFile, input: &str) -> String {
    let config = Config {
        target: target.clone(),
        action: Action::Menu,
        output: Output {
            csv,
            ..Output::default()
        },
    };
    let mut out = Vec::new();
    let streams = Streams {
        input: &mut Cursor::new(input.as_bytes()),
        terminal: false,
        echo: true,
        out: &mut out,
        err: &mut std::io::sink(),
    };
    run(&config, streams, &Interrupt::manual()).unwrap();
    String::from_utf8(out).unwrap()
}

/// Answers every connection with a miss, then hits.
fn web_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for (served, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let cache = if served == 0 { "fwd=uri-miss" } else { "hit" };
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nCache-Status: proxyd; {cache}\r\n\
                 Content-Length: 12\r\n\r\n<h1>Hi</h1>\n"
            );
        }
    });
    address
}

fn target(tcp: SocketAddr, udp: SocketAddr) -> Target {
    Target {
        host: "127.0.0.1".to_owned(),
        tcp_port: tcp.port(),
        udp_port: udp.port(),
    }
}

/// Nobody listens there.
fn nowhere() -> Target {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    target(tcp.local_addr().unwrap(), udp.local_addr().unwrap())
}

fn rows(path: &Path) -> usize {
    std::fs::read_to_string(path).map_or(0, |text| text.lines().count())
}

#[test]
fn the_session_that_students_know_works_from_a_pipe() {
    let echo = Echo::start(|_| after_ms(0));
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("qos_result.csv");
    let target = target(web_server(), echo.address);
    // A miss, a hit, a UDP test with its two answers, and the end. Key 4 is tried below: with the
    // CSV file named, it too would write to it.
    let said = dialogue(&target, CsvFile::At(csv.clone()), "2\n2\n3\n20\n128\n0\n");
    let miss = said
        .find("Cache-Status: proxyd; fwd=uri-miss")
        .expect("a miss");
    let hit = said.find("Cache-Status: proxyd; hit").expect("a hit");
    assert!(miss < hit, "{said}");
    assert!(
        said.contains("  MISS  ") && said.contains("  HIT  "),
        "{said}"
    );
    assert!(said.contains("  | <h1>Hi</h1>"), "{said}");
    assert!(
        said.contains("packets [20]: 20\n  payload in bytes [128]: 128\n"),
        "{said}"
    );
    assert!(said.contains("20 sent, 20 answered, 0 lost"), "{said}");
    let command = format!(
        "the same by command: qos-client --port {} --udp-port {} udp --packets 20 --payload 128 \
         --interval 100ms",
        target.tcp_port, target.udp_port
    );
    assert!(said.contains(&command), "{said}");
    // The UDP test and the two requests: the file was named, so all three wrote to it.
    assert_eq!(rows(&csv), 4);
}

#[test]
fn key_nine_makes_the_page_of_the_file_behind_it_or_says_how_to_get_one() {
    let said = dialogue(&nowhere(), CsvFile::Off, "9 no-such.ndjson\n0\n");
    assert!(
        said.contains("cannot make a report of no-such.ndjson") && said.contains("udp --json >"),
        "{said}"
    );
    assert!(said.contains(" report no-such.ndjson\n"), "{said}");
}

#[test]
fn several_clients_are_a_row_each_and_ask_no_question() {
    let echo = Echo::start(|_| after_ms(0));
    let target = target(web_server(), echo.address);
    let said = dialogue(&target, CsvFile::Off, "4 3\n0\n");
    let clients = said.lines().filter(|line| line.contains(" 20/20 ")).count();
    assert_eq!(clients, 3, "{said}");
    assert!(said.contains("(Jain): 1.0000"), "{said}");
}

#[test]
fn the_end_of_the_input_ends_it_well_at_every_question() {
    for input in [
        "",
        "3\n",
        "3\n20\n",
        "3\nx\n",
        "3\n0\n",
        "1\n",
        "1\n127.0.0.1\n",
        "1\n127.0.0.1\n8080\n",
        "1\nno-such-host.invalid\n",
        "\n\n",
        "5\n",
        "9\n",
        "3",
        "1\n127.0.0.1",
    ] {
        let said = dialogue(&nowhere(), CsvFile::Off, input);
        assert!(said.ends_with("\nend of input\n"), "{input:?}: {said}");
    }
}

#[test]
fn a_wrong_answer_is_asked_again_with_the_reason() {
    for (input, reason) in [
        (
            "3\nmany\n",
            "\"many\" is no whole number from 0 up\n  packets [20]: ",
        ),
        (
            "3\n0\n",
            "a test has 1 to 1000000 packets, not 0\n  packets [20]: ",
        ),
        (
            "3\n-5\n",
            "\"-5\" is no whole number from 0 up\n  packets [20]: ",
        ),
        (
            "3\n5\n10\n",
            "28 to 65507 bytes (the probe's header is 28), not 10\n  payload in bytes",
        ),
        (
            "3\n5\n99999999999999999999\n",
            "is no whole number from 0 up\n  payload in bytes",
        ),
        (
            "1\n127.0.0.1\n0\n",
            "a port is a number from 1 to 65535, not \"0\"\n  TCP port",
        ),
        (
            "1\n127.0.0.1\n80\n65536\n",
            "from 1 to 65535, not \"65536\"\n  UDP port",
        ),
        (
            "1\nno-such-host.invalid\n",
            "cannot find the host \"no-such-host.invalid\"",
        ),
        ("x\n", "\"x\" is no choice; type one of the numbers above\n"),
        ("\u{1b}[A\n", "\"\\u{1b}[A\" is no choice"),
        ("6 0\n", "a stage is 1s to 1m long, not 0s\n"),
        ("7 0\n", "a test has 1 to 1000000 packets, not 0\n"),
        ("4 0\n", "1 to 1000 clients can be run, not 0\n"),
        ("2 page.html\n", "a path begins with /"),
    ] {
        let said = dialogue(&nowhere(), CsvFile::Off, input);
        assert!(said.contains(reason), "{input:?}: {said}");
        assert!(!said.contains('\u{1b}'), "{input:?}: {said:?}");
    }
}

#[test]
fn an_empty_answer_takes_the_default_that_is_shown() {
    let nowhere = nowhere();
    let said = dialogue(&nowhere, CsvFile::Off, "3\n\n\n0\n");
    assert!(
        said.contains("20 packets of 128 bytes, one every 100ms"),
        "{said}"
    );
    let said = dialogue(&nowhere, CsvFile::Off, "1\n\n\n\n0\n");
    let Target {
        host,
        tcp_port,
        udp_port,
    } = &nowhere;
    assert!(
        said.contains(&format!(
            "  target {host}, TCP {tcp_port}, UDP {udp_port}\n"
        )),
        "{said}"
    );
}

#[test]
fn a_target_once_set_is_the_one_that_is_measured() {
    let echo = Echo::start(|_| after_ms(0));
    let port = echo.address.port();
    let input = format!("1\n127.0.0.1\n8080\n{port}\n3 5 64\n0\n");
    let said = dialogue(&nowhere(), CsvFile::Off, &input);
    assert!(said.contains(&format!(
        "UDP QoS test to udp 127.0.0.1:{port}: 5 packets of 64 bytes"
    )));
    assert!(said.contains("5 sent, 5 answered"), "{said}");
}

#[test]
fn a_dead_target_is_named_the_menu_goes_on_and_no_row_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let csv = folder.path().join("qos_result.csv");
    let target = nowhere();
    let said = dialogue(&target, CsvFile::At(csv.clone()), "3\n\n\n2\n4\n0\n");
    let udp = format!(
        "error: nothing listens on udp 127.0.0.1:{}",
        target.udp_port
    );
    let tcp = format!(
        "error: nothing listens on tcp 127.0.0.1:{}",
        target.tcp_port
    );
    assert!(said.contains(&udp), "{said}");
    assert_eq!(said.matches(&tcp).count(), 2, "{said}");
    assert!(!csv.exists());
}

#[test]
fn a_line_without_end_is_cut_and_the_next_is_read() {
    let input = format!("{}\n0\n", "9".repeat(100_000));
    let said = dialogue(&nowhere(), CsvFile::Off, &input);
    assert!(said.contains("is no choice"), "{said}");
    assert!(!said.contains("end of input"), "the 0 was read: {said}");
    assert!(said.len() < 10_000);
}

#[test]
fn browser_mode_names_the_address_and_what_to_watch() {
    let said = dialogue(&Target::default(), CsvFile::Off, "5\n0\n");
    for expected in [
        "http://127.0.0.1:8080/",
        "Cache-Status",
        "MISS",
        "HIT",
        "curl -I",
    ] {
        assert!(said.contains(expected), "{said}");
    }
}
