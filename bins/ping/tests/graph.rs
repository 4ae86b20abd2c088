//! `--graph` on a terminal and without one. Takes root and a namespaced network.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, SpecialCodeIndex, Winsize, tcgetattr, tcsetwinsize};
use testkit::netns::{Chain, left_out};

const PING: &str = env!("CARGO_BIN_EXE_ping");
/// How xterm's screen of its own is entered and left.
const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[?1049l";

/// A terminal of 60 columns and 12 rows: the side of who looks at it, and that of a program.
fn terminal() -> (File, File) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
    let outer: OwnedFd = openpt(flags).unwrap();
    grantpt(&outer).unwrap();
    unlockpt(&outer).unwrap();
    let size = Winsize {
        ws_row: 12,
        ws_col: 60,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&outer, size).unwrap();
    let name = ptsname(&outer, Vec::new()).unwrap();
    let inner = OpenOptions::new()
        .read(true)
        .write(true)
        .open(name.to_str().unwrap())
        .unwrap();
    (outer.into(), inner)
}

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
    let (mut outer, inner) = terminal();
    let before = tcgetattr(&inner).unwrap();
    let mut child = chain
        .command(0, PING, &["--graph", "-i", "0.1", &host])
        .stdin(Stdio::from(inner.try_clone().unwrap()))
        .stdout(Stdio::from(inner.try_clone().unwrap()))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let reading = std::thread::spawn(move || {
        let mut shown = Vec::new();
        let mut piece = [0; 4096];
        // It ends with an error when nobody has the other side open any more.
        while let Ok(len @ 1..) = outer.read(&mut piece) {
            shown.extend_from_slice(&piece[..len]);
        }
        String::from_utf8_lossy(&shown).into_owned()
    });
    let end = Instant::now() + Duration::from_secs(10);
    let mut during = tcgetattr(&inner).unwrap();
    while during.local_modes.contains(LocalModes::ECHO) && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
        during = tcgetattr(&inner).unwrap();
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
    let after = tcgetattr(&inner).unwrap();
    assert_eq!(after.local_modes, before.local_modes);
    let suspend = SpecialCodeIndex::VSUSP;
    assert_eq!(after.special_codes[suspend], before.special_codes[suspend]);
    drop(inner);
    let shown = reading.join().unwrap();
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
