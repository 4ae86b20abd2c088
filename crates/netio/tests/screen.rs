//! The terminal is given back in every ending. The child that takes it is this test's own program.

use std::process::Command;

use netio::screen::Screen;
use rustix::termios::{LocalModes, SpecialCodeIndex};
use testkit::terminal::Terminal;

const ENTER: &str = "\x1b[?1049h";
const LEAVE: &str = "\x1b[?1049l";
const MESSAGE: &str = "the roof is on fire";
/// Set for the child: how it is to end.
const ENDING: &str = "WIRELAB_SCREEN_ENDING";
const PANIC: &str = "panic";

#[test]
fn the_terminal_is_given_back_before_a_panic_speaks_and_at_an_ordinary_end() {
    if let Ok(ending) = std::env::var(ENDING) {
        let screen = Screen::take().unwrap();
        assert_ne!(ending, PANIC, "{MESSAGE}");
        drop(screen);
        eprintln!("{MESSAGE}");
        return;
    }
    for ending in [PANIC, "ordinary"] {
        let terminal = Terminal::open(60, 12).unwrap();
        let before = terminal.settings().unwrap();
        let name = std::thread::current().name().unwrap().to_owned();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", &name])
            .env(ENDING, ending)
            .stdin(terminal.stdio().unwrap())
            .stdout(terminal.stdio().unwrap())
            .stderr(terminal.stdio().unwrap())
            .spawn()
            .unwrap();
        child.wait().unwrap();
        let after = terminal.settings().unwrap();
        assert!(before.local_modes.contains(LocalModes::ECHO));
        assert_eq!(after.local_modes, before.local_modes, "{ending}");
        let suspend = SpecialCodeIndex::VSUSP;
        assert_eq!(after.special_codes[suspend], before.special_codes[suspend]);
        let shown = terminal.close().unwrap();
        let (_, drawn) = shown.split_once(ENTER).unwrap();
        let (drawn, after) = drawn.split_once(LEAVE).unwrap();
        assert!(!drawn.contains(MESSAGE), "{ending}: {shown:?}");
        assert!(after.contains(MESSAGE), "{ending}: {shown:?}");
        assert!(!after.contains(LEAVE), "{ending}: {shown:?}");
    }
}
