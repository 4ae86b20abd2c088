//! The server as a service manager runs it: sockets handed over, readiness told, logs rotated.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixDatagram};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use testkit::peer::exchange;
use testkit::program::Program;

const PATIENCE: Duration = Duration::from_secs(10);
const GET: &[u8] = b"GET /file HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// Says by name what is left out where systemd's tool is not installed.
fn has_socket_activate(test: &str) -> bool {
    let found = Command::new("systemd-socket-activate")
        .arg("--version")
        .output()
        .is_ok();
    if !found {
        println!("left out: {test} (systemd-socket-activate is not installed)");
    }
    found
}

fn site() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("file"), "content").unwrap();
    root
}

/// A port that was free a moment ago: whoever binds the sockets here must be told one.
fn free_tcp() -> SocketAddr {
    let probe = TcpListener::bind("127.0.0.1:0").unwrap();
    probe.local_addr().unwrap()
}

/// Starts the server by systemd's own tool, which binds `sockets` and waits for the first client.
fn activate(sockets: &[&str], root: &Path, flags: &[&str]) -> Program {
    let mut args = sockets.to_vec();
    args.extend([
        env!("CARGO_BIN_EXE_webserverd"),
        "--root",
        root.to_str().unwrap(),
    ]);
    args.extend(flags);
    Program::start("systemd-socket-activate", args).unwrap()
}

/// As [`exchange`], as soon as somebody listens.
fn ask(to: SocketAddr, request: &[u8]) -> String {
    let end = Instant::now() + PATIENCE;
    loop {
        match exchange(to, request, PATIENCE) {
            Ok(answer) => return answer.text(),
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                assert!(Instant::now() < end, "nobody listens at {to}");
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn listeners_that_systemd_hands_over_serve_http_and_admin_with_every_worker() {
    if !has_socket_activate(
        "listeners_that_systemd_hands_over_serve_http_and_admin_with_every_worker",
    ) {
        return;
    }
    let (http, admin, root) = (free_tcp(), free_tcp(), site());
    let (http_text, admin_text) = (http.to_string(), admin.to_string());
    let sockets = [
        "-l",
        &http_text,
        "-l",
        &admin_text,
        "--fdname",
        "http:admin",
    ];
    let flags = ["--workers", "3", "--udp-port", "0", "--admin", "off"];
    let mut program = activate(&sockets, root.path(), &flags);
    for _ in 0..20 {
        assert!(ask(http, GET).ends_with("content"));
    }
    let health = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert!(ask(admin, health).ends_with("ok\n"));
    assert_eq!(program.listening("tcp").unwrap(), http);
    assert_eq!(program.listening("admin").unwrap(), admin);
    program.signal(Signal::TERM).unwrap();
    assert_eq!(program.wait(PATIENCE).unwrap().code(), Some(0));
}

#[test]
fn a_udp_socket_that_systemd_hands_over_is_the_echos() {
    if !has_socket_activate("a_udp_socket_that_systemd_hands_over_is_the_echos") {
        return;
    }
    let probe = UdpSocket::bind("127.0.0.1:0").unwrap();
    let udp = probe.local_addr().unwrap();
    drop(probe);
    let (text, root) = (udp.to_string(), site());
    let flags = ["--workers", "2", "--port", "0", "--admin", "off"];
    let mut program = activate(&["-d", "-l", &text], root.path(), &flags);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let end = Instant::now() + PATIENCE;
    let mut answer = [0; 16];
    let length = loop {
        // Before the tool has bound the socket, nobody hears it.
        let _ = client.send_to(b"hello", udp);
        match client.recv(&mut answer) {
            Ok(length) => break length,
            Err(_) => assert!(Instant::now() < end, "{}", program.stderr()),
        }
    };
    assert_eq!(&answer[..length], b"hello");
    assert_eq!(program.listening("udp").unwrap(), udp);
    let http = program.listening("tcp").unwrap();
    assert!(
        ask(http, GET).ends_with("content"),
        "what was not handed over is bound"
    );
}

#[test]
fn sockets_for_another_process_are_left_alone_and_senseless_ones_refused() {
    let root = site();
    let start = |environment: &[(&str, &str)]| {
        let mut args: Vec<String> = environment
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        args.push(env!("CARGO_BIN_EXE_webserverd").into());
        args.extend(["--root".into(), root.path().display().to_string()]);
        args.extend(["--port", "0", "--udp-port", "0", "--admin", "off"].map(String::from));
        Program::start("env", args).unwrap()
    };
    let mut program = start(&[("LISTEN_PID", "1"), ("LISTEN_FDS", "4")]);
    program.listening("tcp").unwrap();
    let mut program = start(&[("LISTEN_PID", "here"), ("LISTEN_FDS", "1")]);
    assert_eq!(program.wait(PATIENCE).unwrap().code(), Some(1));
    assert!(
        program.stderr().contains("LISTEN_PID"),
        "{}",
        program.stderr()
    );
}

/// What comes to a NOTIFY_SOCKET, one message at a time.
struct Manager(UnixDatagram);

impl Manager {
    fn at(address: &UnixAddr) -> Manager {
        let socket = UnixDatagram::bind_addr(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Manager(socket)
    }

    fn hears(&self) -> String {
        let mut message = [0; 4096];
        let length = self.0.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    }
}

#[test]
fn a_service_manager_is_told_of_readiness_reload_and_stop() {
    let root = site();
    let socket = root.path().join("notify");
    let name = format!("wirelab-test-{}", std::process::id());
    for (address, told) in [
        (
            UnixAddr::from_pathname(&socket).unwrap(),
            socket.display().to_string(),
        ),
        (
            UnixAddr::from_abstract_name(&name).unwrap(),
            format!("@{name}"),
        ),
    ] {
        let manager = Manager::at(&address);
        let environment = format!("NOTIFY_SOCKET={told}");
        let mut args = vec![environment.as_str(), env!("CARGO_BIN_EXE_webserverd")];
        args.extend(["--root", root.path().to_str().unwrap()]);
        args.extend(["--port", "0", "--udp-port", "0", "--admin", "off"]);
        let mut program = Program::start("env", args).unwrap();
        let ready = manager.hears();
        assert!(
            ready.starts_with("READY=1\nSTATUS=serving tcp 127.0.0.1:"),
            "{ready}"
        );
        // It says so only when it does.
        let http = program.listening("tcp").unwrap();
        assert!(ask(http, GET).ends_with("content"));
        program.signal(Signal::HUP).unwrap();
        let reloading = manager.hears();
        assert!(
            reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="),
            "{reloading}"
        );
        assert!(manager.hears().starts_with("READY=1\n"));
        program.signal(Signal::TERM).unwrap();
        assert_eq!(manager.hears(), "STOPPING=1\n");
        assert_eq!(program.wait(PATIENCE).unwrap().code(), Some(0));
    }
}

#[test]
fn a_reload_while_it_stops_is_not_told_as_ready() {
    let root = site();
    let manager = Manager::at(&UnixAddr::from_pathname(root.path().join("notify")).unwrap());
    let environment = format!("NOTIFY_SOCKET={}", root.path().join("notify").display());
    let mut args = vec![environment.as_str(), env!("CARGO_BIN_EXE_webserverd")];
    args.extend(["--root", root.path().to_str().unwrap()]);
    args.extend(["--port", "0", "--udp-port", "0", "--admin", "off"]);
    let mut program = Program::start("env", args).unwrap();
    assert!(manager.hears().starts_with("READY=1\n"));
    // A request that is half here holds up the end.
    let mut client = TcpStream::connect(program.listening("tcp").unwrap()).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let (begun, rest) = GET.split_at(GET.len() - 1);
    client.write_all(begun).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    program.signal(Signal::TERM).unwrap();
    assert_eq!(manager.hears(), "STOPPING=1\n");
    program.signal(Signal::HUP).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    client.write_all(rest).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("content"), "the hangup ends nothing");
    assert_eq!(program.wait(PATIENCE).unwrap().code(), Some(0));
    manager.0.set_nonblocking(true).unwrap();
    let more = manager.0.recv(&mut [0; 64]).unwrap_err();
    assert_eq!(more.kind(), ErrorKind::WouldBlock, "nothing more is told");
}

#[test]
fn where_there_is_nothing_to_read_again_sighup_stops_as_sigterm_does() {
    let root = site();
    let mut args = vec!["--root", root.path().to_str().unwrap()];
    args.extend(["--port", "0", "--udp-port", "0", "--admin", "off"]);
    let mut program = Program::start(env!("CARGO_BIN_EXE_webserverd"), args).unwrap();
    program.listening("tcp").unwrap();
    program.signal(Signal::HUP).unwrap();
    assert_eq!(program.wait(PATIENCE).unwrap().code(), Some(0));
}

#[test]
fn logs_are_rotated_under_load_and_no_request_and_no_line_is_lost() {
    const CLIENTS: usize = 4;
    const REQUESTS: usize = 500;
    let root = site();
    let log = root.path().join("access.log");
    let mut args = vec!["--root", root.path().to_str().unwrap()];
    args.extend([
        "--access-log",
        log.to_str().unwrap(),
        "--log-format",
        "common",
    ]);
    args.extend([
        "--port",
        "0",
        "--udp-port",
        "0",
        "--admin",
        "off",
        "--workers",
        "2",
    ]);
    let mut program = Program::start(env!("CARGO_BIN_EXE_webserverd"), args).unwrap();
    let address = program.listening("tcp").unwrap();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            std::thread::spawn(move || {
                let mut stream = TcpStream::connect(address).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                for _ in 0..REQUESTS {
                    stream
                        .write_all(b"GET /file HTTP/1.1\r\nHost: a\r\n\r\n")
                        .unwrap();
                    let mut answer = Vec::new();
                    while !answer.ends_with(b"content") {
                        let mut byte = [0; 512];
                        let count = stream.read(&mut byte).unwrap();
                        assert!(count > 0, "the connection was closed");
                        answer.extend_from_slice(&byte[..count]);
                    }
                }
            })
        })
        .collect();
    let rotated: Vec<_> = (1..=3)
        .map(|number| {
            let old = root.path().join(format!("access.log.{number}"));
            let end = Instant::now() + PATIENCE;
            // As logrotate does: rename what is there, then tell.
            while fs::rename(&log, &old).is_err() {
                assert!(Instant::now() < end, "{}", program.stderr());
                std::thread::sleep(Duration::from_millis(5));
            }
            program.signal(Signal::HUP).unwrap();
            old
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
    program.signal(Signal::TERM).unwrap();
    assert_eq!(program.wait(PATIENCE).unwrap().code(), Some(0));
    assert_eq!(program.stdout(), "", "the log is in its file");
    let mut lines = 0;
    for file in rotated.iter().chain([&log]) {
        for line in fs::read_to_string(file).unwrap().lines() {
            assert!(line.ends_with("\"GET /file HTTP/1.1\" 200 7"), "{line}");
            lines += 1;
        }
    }
    assert_eq!(lines, CLIENTS * REQUESTS);
}

#[test]
fn a_log_that_cannot_be_written_is_told_with_exit_status_two() {
    let args = ["--root", ".", "--access-log", "/nowhere/access.log"];
    let mut program = Program::start(env!("CARGO_BIN_EXE_webserverd"), args).unwrap();
    assert_eq!(program.wait(PATIENCE).unwrap().code(), Some(2));
    let told = program.stderr();
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(
        told.contains("/nowhere/access.log") && told.contains("--access-log"),
        "{told}"
    );
}
