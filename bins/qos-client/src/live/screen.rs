//! The terminal while a test is shown on it.

use std::fs::File;
use std::io::{self, BufWriter};
use std::os::fd::AsFd;
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::standing::Standing;

/// What Ctrl-C types.
const CTRL_C: u8 = 3;
/// Keys that are looked at together; more than a hand types in a tenth of a second.
const KEYS: usize = 64;

/// The screen. Dropping it gives the terminal back as it was.
#[derive(Debug)]
pub struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<File>>>,
    /// Whether anything can still be typed.
    typed_on: bool,
    /// Dropped last.
    _taken: netio::screen::Screen,
}

impl Screen {
    /// Takes the terminal of standard input and output. Ctrl-C is typed and no signal, so that
    /// pressing it twice leaves the terminal in order too.
    pub fn take() -> io::Result<Screen> {
        // Past the lock of standard output, which the main thread holds.
        let output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let terminal = Terminal::new(CrosstermBackend::new(BufWriter::new(output)))?;
        Ok(Screen {
            terminal,
            typed_on: true,
            _taken: netio::screen::Screen::take_with_ctrl_c()?,
        })
    }

    /// Draws, in whatever size the terminal has by now.
    pub(super) fn draw(&mut self, standing: &Standing) -> io::Result<()> {
        self.terminal
            .draw(|frame| frame.render_widget(standing, frame.area()))?;
        Ok(())
    }

    /// Waits so long, and says whether somebody typed that it is enough.
    pub(super) fn asks_to_end(&mut self, wait: Duration) -> bool {
        if !self.typed_on {
            std::thread::sleep(wait);
            return false;
        }
        let timeout = Timespec {
            tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: wait.subsec_nanos().into(),
        };
        let stdin = io::stdin();
        let mut polled = [PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN)];
        match poll(&mut polled, Some(&timeout)) {
            Ok(0) | Err(_) => return false,
            Ok(_) => {}
        }
        let mut keys = [0; KEYS];
        let read = rustix::io::read(&stdin, &mut keys).unwrap_or_default();
        // The end of the input stays readable, and would keep this thread busy.
        self.typed_on = read > 0;
        let keys = keys.get(..read).unwrap_or_default();
        keys.iter().any(|key| matches!(*key, b'q' | b'Q' | CTRL_C))
    }
}
