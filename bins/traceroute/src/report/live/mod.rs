//! `--live`: the path while it is probed again and again. On a terminal a table that goes on,
//! elsewhere a line a second or a cycle; at the end the table of `--report`.
//!
//! Here is the loop; `view` is what a terminal shows, `keys` what is typed on it, `line` what is
//! written where there is none.

mod keys;
mod line;
mod view;

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Stdout, Write};
use std::net::IpAddr;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use netio::icmp::names::Names;
use netio::icmp::open::words;
use netio::icmp::wait::Remote;
use netio::screen::Screen;
use netproto::icmp::Version;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;

use super::extras::Extras;
use super::face::{Face, Tells};
use super::json::Ending;
use super::rounds::Table;
use crate::compare::Comparison;
use crate::confirming::Confirmation;
use crate::rounds::{Change, Hop, Shared, silences};
use crate::silence::Suspect;
use crate::tracing::{Event, Events};
use keys::Key;
use view::{Choices, Line, View};

/// How often the table is drawn, whatever happens; a terminal of another size is seen then too.
const DRAW_EVERY: Duration = Duration::from_millis(100);
/// How often a line is written where there is no terminal, unless a cycle takes longer.
const LINE_EVERY: Duration = Duration::from_secs(1);
/// How often it is asked what the silence of hops means, which takes some milliseconds.
const JUDGE_EVERY: Duration = Duration::from_secs(2);
/// How many of the latest changes are remembered for the end.
const REMEMBERED_CHANGES: usize = 100;

/// Shows the rounds that another thread probes, and is typed at.
#[derive(Debug)]
pub struct Live<'a, W> {
    table: Table<'a, W>,
    rounds: &'a Shared,
    /// How long a cycle takes.
    interval: Duration,
    /// Through which the probing is told what was typed.
    remote: Remote,
    title: String,
    names: bool,
    choices: Choices,
    /// What the silence of hops is called, and when that was asked.
    silences: Vec<(u8, &'static str)>,
    judged: Option<Instant>,
    /// What changed, the latest last.
    changes: VecDeque<String>,
    /// How many changes there were that are no longer remembered.
    forgotten: u64,
}

impl<'a, W: Write> Live<'a, W> {
    /// Of rounds that begin now, with cycles as long as `interval`.
    pub fn new(
        table: Table<'a, W>,
        rounds: &'a Shared,
        interval: Duration,
        remote: Remote,
    ) -> Live<'a, W> {
        Live {
            names: table.extras.names.is_some(),
            title: table.title(),
            table,
            rounds,
            interval,
            remote,
            choices: Choices::default(),
            silences: Vec::new(),
            judged: None,
            changes: VecDeque::new(),
            forgotten: 0,
        }
    }

    fn on_terminal(&mut self, events: &Events<Change>) -> io::Result<()> {
        let mut terminal = Terminal::new(CrosstermBackend::new(io::stdout()))?;
        let taken = Screen::take()?;
        let can_type = io::stdin().is_terminal();
        loop {
            loop {
                match events.try_recv() {
                    Ok(batch) => self.tell(batch)?,
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => {
                        drop(taken);
                        return self.leave_changes();
                    }
                }
            }
            let room = self.draw(&mut terminal)?;
            let pressed = if can_type {
                keys::wait(DRAW_EVERY)?
            } else {
                std::thread::sleep(DRAW_EVERY);
                None
            };
            if let Some(key) = pressed
                && self.press(key, room)
            {
                drop(taken);
                return self.leave_changes();
            }
        }
    }

    /// Where there was a terminal, the changes have not been written yet.
    fn leave_changes(&mut self) -> io::Result<()> {
        if self.forgotten > 0 {
            self.table
                .line(&format!("({} changes before)", self.forgotten))?;
        }
        for change in &self.changes {
            self.table.line(change)?;
        }
        Ok(())
    }

    fn learn(&mut self, event: Event<Change>) {
        match event {
            Event::Heard(address) => self.table.extras.ask(address),
            Event::Told(change) => self.remember(self.table.begun.line(&change)),
            Event::NotSent(error) => {
                let line = format!("send: {}", words(&error));
                // One that is refused again and again is told once.
                if self.changes.back() != Some(&line) {
                    self.remember(line);
                }
            }
        }
    }

    fn remember(&mut self, line: String) {
        if self.changes.len() == REMEMBERED_CHANGES {
            self.changes.pop_front();
            self.forgotten += 1;
        }
        self.changes.push_back(line);
    }

    /// Draws; how many lines of the table fit.
    fn draw(&mut self, terminal: &mut Terminal<CrosstermBackend<Stdout>>) -> io::Result<usize> {
        let (hops, cycle, is_paused) = {
            let rounds = self.rounds.lock();
            let hops: Vec<(u8, Hop)> = rounds.hops().map(|(ttl, hop)| (ttl, hop.clone())).collect();
            (hops, rounds.cycle(), rounds.is_paused())
        };
        let now = Instant::now();
        self.judge(&hops, now);
        let lines = self.lines(hops);
        let view = View {
            title: &self.title,
            clock: &self.table.begun.clock(now),
            elapsed: self.table.begun.when(now).0,
            cycle,
            is_paused,
            lines: &lines,
            changes: self.changes.make_contiguous(),
            choices: self.choices,
        };
        let mut room = 0;
        terminal.draw(|frame| {
            room = view.room(frame.area().height);
            frame.render_widget(&view, frame.area());
        })?;
        self.choices.first_line = self
            .choices
            .first_line
            .min(lines.len().saturating_sub(room));
        Ok(room)
    }

    fn judge(&mut self, hops: &[(u8, Hop)], now: Instant) {
        let is_due = self.judged.is_none_or(|at| now >= at + JUDGE_EVERY);
        if is_due {
            let found = silences(hops.iter().map(|(ttl, hop)| (*ttl, hop)));
            self.silences = found.iter().map(|it| (it.ttl, it.mark())).collect();
            self.judged = Some(now);
        }
    }

    fn lines(&mut self, hops: Vec<(u8, Hop)>) -> Vec<Line> {
        let mut lines = Vec::new();
        for (ttl, hop) in hops {
            let latest = hop.address();
            let mut host = latest.map_or_else(|| "*".to_owned(), |address| self.host(address));
            if let (Some(address), Some(mark)) = (latest, hop.mark)
                && let Some(sign) = mark.sign(Version::of(address))
            {
                host.push(' ');
                host.push_str(&sign);
            }
            let others: Vec<Line> = hop
                .addresses()
                .iter()
                .filter(|seen| Some(seen.address) != latest)
                .map(|seen| Line::Also {
                    host: self.host(seen.address),
                    answers: seen.answers,
                })
                .collect();
            lines.push(Line::Hop {
                ttl,
                host,
                silence: self.silences.iter().find(|it| it.0 == ttl).map(|it| it.1),
                hop: Box::new(hop),
            });
            lines.extend(others);
        }
        lines
    }

    /// An address as it is shown: its name and systems as far as they are known by now.
    fn host(&mut self, address: IpAddr) -> String {
        let (name, origin) = self.table.extras.known_by_now(address);
        let mut host = match name.filter(|_| self.names) {
            Some(name) => name,
            None => address.to_string(),
        };
        if let Some(origin) = origin {
            host.push_str(" [");
            host.push_str(&origin);
            host.push(']');
        }
        host
    }

    /// Does what a key asks for; whether that is to end.
    fn press(&mut self, key: Key, room: usize) -> bool {
        match key {
            Key::Quit => return true,
            Key::Pause => {
                let mut rounds = self.rounds.lock();
                if rounds.is_paused() {
                    rounds.go_on(Instant::now());
                } else {
                    rounds.pause();
                }
                drop(rounds);
                self.remote.wake();
            }
            Key::Reset => {
                self.rounds.lock().reset();
                self.judged = None;
            }
            Key::Names => {
                self.names = !self.names;
                self.table.extras.names.get_or_insert_with(Names::default);
            }
            Key::Help => self.choices.help = !self.choices.help,
            Key::Lines(lines) => self.scroll(lines),
            Key::Screens(screens) => {
                self.scroll(screens.saturating_mul(isize::try_from(room).unwrap_or(1).max(1)));
            }
        }
        false
    }

    /// Past the end it goes no farther than drawing finds lines.
    fn scroll(&mut self, lines: isize) {
        self.choices.first_line = self.choices.first_line.saturating_add_signed(lines);
    }

    fn by_lines(&mut self, events: &Events<Change>) -> io::Result<()> {
        let every = LINE_EVERY.max(self.interval);
        let mut due = Instant::now() + every;
        loop {
            match events.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(batch) => self.table.tell(batch)?,
                Err(RecvTimeoutError::Timeout) => {
                    let (elapsed, _) = self.table.begun.when(due);
                    due += every;
                    let line = line::of(elapsed, &self.rounds.lock());
                    self.table.line(&line)?;
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
        }
    }
}

impl<W: Write> Face for Live<'_, W> {
    fn begin(&mut self) -> io::Result<()> {
        self.table.begin()
    }

    fn confirmed(&mut self, found: &[Confirmation], in_doubt: usize) -> io::Result<()> {
        self.table.confirmed(found, in_doubt)
    }

    fn compared(&mut self, comparison: &Comparison, file: &Path) -> io::Result<()> {
        self.table.compared(comparison, file)
    }

    fn end(&mut self, ending: Ending) -> io::Result<()> {
        self.table.end(ending)
    }

    fn take_extras(&mut self) -> Extras {
        self.table.take_extras()
    }
}

impl<W: Write> Tells<&Shared> for Live<'_, W> {
    fn tell(&mut self, events: Vec<Event<Change>>) -> io::Result<()> {
        for event in events {
            self.learn(event);
        }
        Ok(())
    }

    /// For keys and for the time to draw.
    fn may_wait(&self) -> bool {
        true
    }

    /// Until the probing ends or a key says so; then it ends the probing.
    fn listen(&mut self, events: &Events<Change>) -> io::Result<()> {
        let shown = if io::stdout().is_terminal() {
            self.on_terminal(events)
        } else {
            self.by_lines(events)
        };
        self.remote.stop();
        shown
    }

    fn conclude(&mut self, rounds: &&Shared) -> io::Result<()> {
        self.table.conclude(rounds)
    }

    fn suspects(&self, rounds: &&Shared) -> Vec<Suspect> {
        self.table.suspects(rounds)
    }
}
