//! `--graph` on a terminal and without one. Takes root and a namespaced network.

use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{LocalModes, SpecialCodeIndex};
use testkit::netns::{Chain, left_out};
use testkit::terminal::Terminal;

const PING: &str = env!("CARGO_BIN_EXE_ping");
/// How xterm's screen of its own is entered and left.
const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[?1049l";

#[test]
fn a_terminal_shows_the_chart_and_is_given_back_at_the_end() {
    if left_out(
        "a_terminal_shows_the_chart_and_is_given_back_at_the_end",
        &[],
    ) {
        return;
    }
    let chain = Chain::new(0).unwrap();
    let host = chain.server_v4();
    let terminal = Terminal::open(60, 12).unwrap();
    let before = terminal.settings().unwrap();
    let mut child = chain
        .command(0, PING, &["--graph", "-i", "0.1", &host])
        .stdin(terminal.stdio().unwrap())
        .stdout(terminal.stdio().unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let end = Instant::now() + Duration::from_secs(10);
    let mut during = terminal.settings().unwrap();
    while during.local_modes.contains(LocalModes::ECHO) && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
        during = terminal.settings().unwrap();
    }
    assert!(!during.local_modes.contains(LocalModes::ECHO));
    // A few probes and their bars.
    std::thread::sleep(Duration::from_secs(1));
    assert!(
        during.local_modes.contains(LocalModes::ISIG),
        "Ctrl-C works"
    );
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert!(child.wait().unwrap().success());
    let after = terminal.settings().unwrap();
    assert_eq!(after.local_modes, before.local_modes);
    let suspend = SpecialCodeIndex::VSUSP;
    assert_eq!(after.special_codes[suspend], before.special_codes[suspend]);
    let shown = terminal.close().unwrap();
    let (_, chart) = shown.split_once(ENTER).unwrap();
    let (chart, after) = chart.split_once(LEAVE).unwrap();
    assert!(
        chart.contains('█') && chart.contains("answered"),
        "{chart:?}"
    );
    assert!(after.contains("packets transmitted"), "{after:?}");
}

#[test]
fn without_a_terminal_there_is_a_line_a_second() {
    if left_out("without_a_terminal_there_is_a_line_a_second", &[]) {
        return;
    }
    let chain = Chain::new(0).unwrap();
    let host = chain.server_v4();
    let args = ["--graph", "-i", "0.1", "-w", "3", &host];
    let output = chain.command(0, PING, &args).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = text
        .lines()
        .filter(|line| line.contains(" s: ") && line.ends_with(" ms"))
        .count();
    assert!((2..=3).contains(&told), "{text}");
    assert!(!text.contains('\x1b'), "{text:?}");
    assert!(text.contains("packet loss"), "{text}");
}
