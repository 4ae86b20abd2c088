//! The terminal is given back in every ending. The child that takes it is this test's own program.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::process::Command;

use netio::screen::Screen;
use rustix::termios::{LocalModes, SpecialCodeIndex};
use testkit::terminal::Terminal;

const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[?1049l";
const MESSAGE: &str = "the roof is on fire";

#[test]
#[ignore = "the other test runs it on a terminal of its own"]
fn a_program_that_panics_while_it_draws() {
    let _screen = Screen::take().unwrap();
    panic!("{MESSAGE}");
}

#[test]
#[ignore = "the other test runs it on a terminal of its own"]
fn a_program_that_ends() {
    drop(Screen::take().unwrap());
    eprintln!("{MESSAGE}");
}

#[test]
fn the_terminal_is_given_back_before_a_panic_speaks_and_at_an_ordinary_end() {
    for program in [
        "a_program_that_panics_while_it_draws",
        "a_program_that_ends",
    ] {
        let terminal = Terminal::open(60, 12).unwrap();
        let before = terminal.settings().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", program])
            .stdin(terminal.stdio().unwrap())
            .stdout(terminal.stdio().unwrap())
            .stderr(terminal.stdio().unwrap())
            .spawn()
            .unwrap();
        child.wait().unwrap();
        let after = terminal.settings().unwrap();
        assert!(before.local_modes.contains(LocalModes::ECHO));
        assert_eq!(after.local_modes, before.local_modes, "{program}");
        let suspend = SpecialCodeIndex::VSUSP;
        assert_eq!(after.special_codes[suspend], before.special_codes[suspend]);
        let shown = terminal.close().unwrap();
        let (_, drawn) = shown.split_once(ENTER).unwrap();
        let (drawn, after) = drawn.split_once(LEAVE).unwrap();
        assert!(!drawn.contains(MESSAGE), "{program}: {shown:?}");
        assert!(after.contains(MESSAGE), "{program}: {shown:?}");
        assert!(!after.contains(LEAVE), "{program}: {shown:?}");
    }
}
