//! What the keys of `--live` do.

use std::io;
use std::time::{Duration, Instant};

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind};

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Quit,
    Pause,
    Reset,
    Names,
    Help,
    /// Moves the table by so many lines.
    Lines(isize),
    /// By so many screens.
    Screens(isize),
}

/// Waits until a key means something or the terminal has another size, but no longer than this.
pub(super) fn wait(patience: Duration) -> io::Result<Option<Key>> {
    let end = Instant::now() + patience;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if !event::poll(left)? {
            return Ok(None);
        }
        match event::read()? {
            Event::Key(key) if key.kind != KeyEventKind::Release => {
                let meant = meaning(key.code);
                if meant.is_some() {
                    return Ok(meant);
                }
            }
            Event::Resize(..) => return Ok(None),
            _ => {}
        }
    }
}

fn meaning(code: KeyCode) -> Option<Key> {
    Some(match code {
        KeyCode::Char('q' | 'Q') => Key::Quit,
        KeyCode::Char('p' | ' ') => Key::Pause,
        KeyCode::Char('r') => Key::Reset,
        KeyCode::Char('n') => Key::Names,
        KeyCode::Char('?' | 'h') => Key::Help,
        KeyCode::Up | KeyCode::Char('k') => Key::Lines(-1),
        KeyCode::Down | KeyCode::Char('j') => Key::Lines(1),
        KeyCode::PageUp => Key::Screens(-1),
        KeyCode::PageDown => Key::Screens(1),
        KeyCode::Home => Key::Screens(isize::MIN),
        KeyCode::End => Key::Screens(isize::MAX),
        _ => return None,
    })
}
