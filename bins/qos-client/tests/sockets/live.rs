//! The live view and the menu on a real terminal: what is seen, what a key does, and that the
//! terminal is given back in every ending.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{LocalModes, SpecialCodeIndex};
use testkit::terminal::Terminal;

use crate::client;
use crate::echo::{Echo, after_ms};

const PATIENCE: Duration = Duration::from_secs(20);
/// How xterm's screen of its own is entered and left.
const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[?1049l";

fn start(terminal: &Terminal, folder: &Path, arguments: &str) -> Child {
    let mut command = client::command(folder, arguments);
    on(terminal, command.env("TERM", "xterm"))
}

fn on(terminal: &Terminal, command: &mut Command) -> Child {
    let started = command
        .stdin(terminal.stdio().unwrap())
        .stdout(terminal.stdio().unwrap())
        .stderr(Stdio::null())
        .spawn();
    started.unwrap()
}

fn wait_for(terminal: &Terminal, text: &str) {
    terminal.wait_until(|seen| seen.contains(text)).unwrap();
}

/// A lossy echo, a terminal, and a folder for the file of results.
fn scene() -> (Echo, Terminal, tempfile::TempDir) {
    let echo = Echo::start(|sequence| {
        if sequence % 5 == 2 {
            vec![]
        } else {
            after_ms(1)
        }
    });
    let terminal = Terminal::open(100, 20).unwrap();
    (echo, terminal, tempfile::tempdir().unwrap())
}

/// A test that would take minutes, with its view drawn and some losses decided.
fn long_test(terminal: &Terminal, folder: &Path, port: u16) -> Child {
    let order = format!("udp --udp-port {port} --packets 2000 --loss-deadline 300ms");
    let child = start(terminal, folder, &order);
    wait_for(terminal, "█");
    // A column of which nothing came back.
    let lost = |seen: &str| {
        seen.lines()
            .any(|row| row.trim_start().starts_with(['x', '█']) && row.contains('x'))
    };
    terminal.wait_until(lost).unwrap();
    child
}

/// How a test is ended before its time.
enum End {
    Typed(&'static str),
    Signal(Signal),
}

#[test]
fn every_ending_gives_the_terminal_back_and_shows_the_ordinary_result() {
    for (name, end) in [
        ("q", End::Typed("q")),
        // As an impatient hand presses it.
        ("Ctrl-C", End::Typed("\x03\x03\x03")),
        ("SIGINT", End::Signal(Signal::INT)),
        ("SIGTERM", End::Signal(Signal::TERM)),
    ] {
        let (echo, mut terminal, folder) = scene();
        let before = terminal.settings().unwrap();
        let mut child = long_test(&terminal, folder.path(), echo.address.port());
        let during = terminal.settings().unwrap();
        assert!(!during.local_modes.contains(LocalModes::ECHO), "{name}");
        let begun = Instant::now();
        match end {
            End::Typed(keys) => terminal.type_keys(keys).unwrap(),
            End::Signal(signal) => kill_process(Pid::from_child(&child), signal).unwrap(),
        }
        assert!(child.wait().unwrap().success(), "{name}");
        assert!(begun.elapsed() < PATIENCE, "{name}");
        let after = terminal.settings().unwrap();
        assert_eq!(after.local_modes, before.local_modes, "{name}");
        let suspend = SpecialCodeIndex::VSUSP;
        assert_eq!(after.special_codes[suspend], before.special_codes[suspend]);
        let shown = terminal.close().unwrap();
        let (_, view) = shown.split_once(ENTER).unwrap();
        let (view, result) = view.split_once(LEAVE).unwrap();
        assert!(
            view.contains("answered") && view.contains("decided"),
            "{view:?}"
        );
        assert!(result.contains("packet loss"), "{name}: {result:?}");
        assert!(result.contains("note: ended early"), "{name}: {result:?}");
        assert!(result.contains("1 row appended"), "{name}: {result:?}");
    }
}

#[test]
fn the_menu_on_a_terminal_has_the_view_and_goes_on_after_it() {
    let (echo, mut terminal, folder) = scene();
    let before = terminal.settings().unwrap();
    let port = echo.address.port();
    let mut child = start(
        &terminal,
        folder.path(),
        &format!("--udp-port {port} --csv off"),
    );
    wait_for(&terminal, "choice: ");
    terminal.type_keys("3\n").unwrap();
    wait_for(&terminal, "packets [20]: ");
    terminal.type_keys("500\n").unwrap();
    wait_for(&terminal, "payload in bytes [128]: ");
    terminal.type_keys("\n").unwrap();
    wait_for(&terminal, "█");
    terminal.type_keys("q").unwrap();
    wait_for(&terminal, "the same by command: qos-client");
    wait_for(&terminal, "quit\nchoice:");
    terminal.type_keys("0\n").unwrap();
    assert!(child.wait().unwrap().success());
    let after = terminal.settings().unwrap();
    assert_eq!(after.local_modes, before.local_modes);
    let shown = terminal.close().unwrap();
    let (_, result) = shown.split_once(LEAVE).unwrap();
    assert!(result.contains("note: ended early"), "{result:?}");
    assert_eq!(shown.matches(ENTER).count(), 1, "{shown:?}");
}

#[test]
fn a_test_of_which_nothing_comes_back_gives_the_terminal_back_too() {
    let (_, terminal, folder) = scene();
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let before = terminal.settings().unwrap();
    let order = format!("udp --udp-port {port} --packets 3 --loss-deadline 500ms");
    let mut child = start(&terminal, folder.path(), &order);
    assert_eq!(child.wait().unwrap().code(), Some(3));
    let after = terminal.settings().unwrap();
    assert_eq!(after.local_modes, before.local_modes);
    let shown = terminal.close().unwrap();
    assert!(shown.contains(ENTER) && shown.contains(LEAVE), "{shown:?}");
}

#[test]
fn there_is_no_view_where_it_is_not_wanted_or_cannot_be() {
    for (arguments, name) in [("--no-live", "xterm"), ("--json", "xterm"), ("", "dumb")] {
        let (echo, terminal, folder) = scene();
        let port = echo.address.port();
        let order = format!("udp --udp-port {port} --packets 3 --loss-deadline 300ms {arguments}");
        let mut command = client::command(folder.path(), &order);
        let mut child = on(&terminal, command.env("TERM", name));
        drop(command);
        assert!(child.wait().unwrap().success());
        let shown = terminal.close().unwrap();
        assert!(!shown.contains('\x1b'), "{arguments} {name}: {shown:?}");
        assert!(shown.contains('3'), "{shown:?}");
    }
}
