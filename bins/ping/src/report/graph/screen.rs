//! The terminal while a chart is on it.

use std::io::{self, Stdout};

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;

use super::Graph;

/// The screen. Dropping it gives the terminal back as it was.
#[derive(Debug)]
pub(in crate::report) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    _taken: netio::screen::Screen,
}

impl Screen {
    /// Takes the terminal.
    pub(in crate::report) fn take() -> io::Result<Screen> {
        let terminal = Terminal::new(CrosstermBackend::new(io::stdout()))?;
        Ok(Screen {
            terminal,
            _taken: netio::screen::Screen::take()?,
        })
    }

    /// Draws, in whatever size the terminal has by now.
    pub(in crate::report) fn draw(&mut self, graph: &Graph) -> io::Result<()> {
        self.terminal
            .draw(|frame| frame.render_widget(graph, frame.area()))?;
        Ok(())
    }
}
