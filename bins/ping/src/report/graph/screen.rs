//! The terminal while a chart is on it: a screen of its own, no echo of what is typed.

use std::io::{self, Stdout};

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

use super::Graph;

/// The value that switches a special character off (POSIX's `_POSIX_VDISABLE` on Linux).
const NO_CHARACTER: u8 = 0;

/// The screen. Dropping it gives the terminal back as it was.
#[derive(Debug)]
pub(in crate::report) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    /// The settings of the terminal that is typed on, where standard input is one.
    before: Option<Termios>,
}

impl Screen {
    /// Takes the terminal. Ctrl-C goes on being a signal; Ctrl-Z does nothing, for it would leave
    /// the shell on a screen that is not its own.
    pub(in crate::report) fn take() -> io::Result<Screen> {
        let before = tcgetattr(io::stdin()).ok();
        if let Some(before) = &before {
            let mut quiet = before.clone();
            quiet
                .local_modes
                .remove(LocalModes::ECHO | LocalModes::ICANON);
            quiet.special_codes[SpecialCodeIndex::VSUSP] = NO_CHARACTER;
            tcsetattr(io::stdin(), OptionalActions::Now, &quiet)?;
        }
        let terminal = Terminal::new(CrosstermBackend::new(io::stdout()))?;
        let screen = Screen { terminal, before };
        execute!(io::stdout(), EnterAlternateScreen)?;
        Ok(screen)
    }

    /// Draws, in whatever size the terminal has by now.
    pub(in crate::report) fn draw(&mut self, graph: &Graph) -> io::Result<()> {
        self.terminal
            .draw(|frame| frame.render_widget(graph, frame.area()))?;
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Of a terminal that is gone, nothing can be given back.
        let _ = execute!(io::stdout(), LeaveAlternateScreen, Show);
        if let Some(before) = &self.before {
            // What was typed meanwhile was meant for nobody.
            let _ = tcsetattr(io::stdin(), OptionalActions::Flush, before);
        }
    }
}
