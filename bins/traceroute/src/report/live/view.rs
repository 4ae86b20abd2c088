//! What `--live` shows on a terminal: drawn by ratatui from what it is told, and nothing else.
//!
//! From the top: the run, the hops, what changed, the keys. What does not fit beside the hops is
//! left out from the right, the history last.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::widgets::Widget;

use crate::rounds::{Fate, Figures, Hop};

/// The columns of figures, the ones that go first on a narrow terminal last.
const COLUMNS: [(&str, usize); 8] = [
    ("Loss%", 6),
    ("Snt", 5),
    ("Last", 6),
    ("Avg", 6),
    ("Best", 6),
    ("Wrst", 6),
    ("StDev", 6),
    ("Jitter", 6),
];
/// Loss, probes and the last round trip are on every terminal.
const LEAST_COLUMNS: usize = 3;
/// A TTL and a blank.
const TTL_WIDTH: usize = 3;
/// An IPv4 address.
const LEAST_HOST: usize = 15;
/// Less than this is no history.
const LEAST_HISTORY: usize = 6;
/// Two lines about the run, the head of the table, the keys.
const LINES_AROUND: u16 = 4;
/// How many of the latest changes are on the screen.
const CHANGES_SHOWN: usize = 4;
/// Eighths of a cell, from the bottom; a round trip takes at least the first.
const EIGHTHS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

const KEYS: &str = "q quit   p pause   r reset   n names   ? help";
const HELP: [&str; 14] = [
    "q        end, and leave the table",
    "p space  stop probing, go on",
    "r        count from nothing again",
    "n        names or addresses",
    "? h      this, and back",
    "↑ ↓      move where there are more hops than lines; also page up and down, home, end",
    "",
    "Loss%    probes of those whose fate is known (Snt) that nobody answered",
    "Last …   round trips in ms; StDev their standard deviation, Jitter their mean change",
    "History  the last probes of a hop, newest on the right: ▁▄█ answered, up to the longest in",
    "         the row; x lost; l answered too late, which counts as lost; . on its way",
    "",
    "[rate limit], [own silence]: the hop leaves probes unanswered by itself;",
    "what passes through it is not lost. --report tells the figures that say so.",
];

/// What the keys have chosen.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Choices {
    /// Whether the keys are explained instead.
    pub(super) help: bool,
    /// The first line of the table that is shown.
    pub(super) first_line: usize,
}

/// One line of the table.
#[derive(Debug, Clone)]
pub(super) enum Line {
    /// A hop.
    Hop {
        ttl: u8,
        host: String,
        /// What its silence is called, if that is its own.
        silence: Option<&'static str>,
        hop: Box<Hop>,
    },
    /// A further address of the hop above.
    Also { host: String, answers: u64 },
}

/// All that is shown.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) title: &'a str,
    /// The time of day.
    pub(super) clock: &'a str,
    /// Since the run began.
    pub(super) elapsed: Duration,
    pub(super) cycle: u32,
    pub(super) is_paused: bool,
    pub(super) lines: &'a [Line],
    /// What changed, the latest last.
    pub(super) changes: &'a [String],
    pub(super) choices: Choices,
}

impl View<'_> {
    /// How many lines of the table fit into an area of this height.
    pub(super) fn room(&self, height: u16) -> usize {
        usize::from(height.saturating_sub(LINES_AROUND)).saturating_sub(self.changes_shown(height))
    }

    /// A third of the lines at most.
    fn changes_shown(&self, height: u16) -> usize {
        let most = CHANGES_SHOWN.min(usize::from(height) / 3);
        self.changes.len().min(most)
    }

    fn state(&self) -> String {
        let seconds = self.elapsed.as_secs();
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        let mut state = format!(
            "cycle {}, after {hours}:{minutes:02}:{:02}",
            self.cycle,
            seconds % 60
        );
        if self.is_paused {
            state.push_str(", PAUSED: p goes on");
        }
        state
    }
}

impl Widget for &View<'_> {
    fn render(self, area: Rect, buffer: &mut Buffer) {
        let area = area.intersection(buffer.area);
        let mut page = Page { area, buffer };
        let dim = Style::new().fg(Color::DarkGray);
        page.text(0, 0, self.title, Style::new().add_modifier(Modifier::BOLD));
        let clock = usize::from(area.width).saturating_sub(self.clock.chars().count());
        if clock > self.title.chars().count() {
            page.text(0, clock, self.clock, Style::new());
        }
        let color = if self.is_paused {
            Color::Yellow
        } else {
            Color::Reset
        };
        page.text(1, 0, &self.state(), Style::new().fg(color));
        page.text(area.height.saturating_sub(1), 0, KEYS, dim);
        let room = self.room(area.height);
        if self.choices.help {
            for (row, line) in (2..).zip(HELP.iter().take(room + 1)) {
                page.text(row, 0, line, Style::new());
            }
            return;
        }
        let first = self
            .choices
            .first_line
            .min(self.lines.len().saturating_sub(room));
        if self.lines.len() > room && room > 0 {
            let last = (first + room).min(self.lines.len());
            let more = format!("lines {} to {last} of {}: ↑ ↓", first + 1, self.lines.len());
            page.right(1, &more, dim);
        }
        let columns = Columns::fitting(usize::from(area.width), self.lines);
        if room > 0 {
            columns.head(&mut page, 2);
        }
        for (row, line) in (3..).zip(self.lines.iter().skip(first).take(room)) {
            columns.line(&mut page, row, line);
        }
        let shown = self.changes_shown(area.height);
        let top = area.height.saturating_sub(1 + shown as u16);
        for (row, change) in (top..).zip(&self.changes[self.changes.len() - shown..]) {
            page.text(row, 0, change, Style::new().fg(Color::Yellow));
        }
    }
}

/// What is drawn on, by rows and columns from its upper left corner.
struct Page<'a> {
    area: Rect,
    buffer: &'a mut Buffer,
}

impl Page<'_> {
    /// Writes as much as fits.
    fn text(&mut self, row: u16, column: usize, text: &str, style: Style) {
        let width = usize::from(self.area.width);
        if row < self.area.height && column < width {
            let (x, y) = (self.area.x + column as u16, self.area.y + row);
            self.buffer.set_stringn(x, y, text, width - column, style);
        }
    }

    fn right(&mut self, row: u16, text: &str, style: Style) {
        let column = usize::from(self.area.width).checked_sub(text.chars().count());
        if let Some(column) = column {
            self.text(row, column, text, style);
        }
    }
}

/// How wide everything is.
#[derive(Debug, PartialEq, Eq)]
struct Columns {
    host: usize,
    /// How many columns of figures there are.
    figures: usize,
    /// 0 for none.
    history: usize,
}

impl Columns {
    fn fitting(width: usize, lines: &[Line]) -> Columns {
        let widths = |figures: usize| COLUMNS[..figures].iter().map(|(_, width)| width + 1);
        let left =
            |figures: usize| width.saturating_sub(TTL_WIDTH + widths(figures).sum::<usize>());
        let marks = lines.iter().map(|line| match line {
            Line::Hop { silence, .. } => silence.map_or(0, |mark| mark.len() + 1),
            Line::Also { .. } => 0,
        });
        let least_host = LEAST_HOST + marks.max().unwrap_or(0);
        let wanted = least_host + 1 + LEAST_HISTORY;
        let figures = (LEAST_COLUMNS..=COLUMNS.len())
            .rev()
            .find(|figures| left(*figures) >= wanted)
            .unwrap_or(LEAST_COLUMNS);
        let left = left(figures);
        let hosts = lines.iter().map(|line| match line {
            Line::Hop { host, silence, .. } => {
                host.chars().count() + silence.map_or(0, |mark| mark.len() + 1)
            }
            Line::Also { host, .. } => host.chars().count() + 2,
        });
        let longest = hosts.max().unwrap_or(0).max(LEAST_HOST);
        let host = longest.min(left.saturating_sub(1 + LEAST_HISTORY).max(least_host));
        let history = left.saturating_sub(host + 1);
        Columns {
            host: host.min(left),
            figures,
            history: if history < LEAST_HISTORY { 0 } else { history },
        }
    }

    fn head(&self, page: &mut Page<'_>, row: u16) {
        let style = Style::new().add_modifier(Modifier::REVERSED);
        let width = usize::from(page.area.width);
        let blank = "";
        page.text(row, 0, &format!("{blank:width$}"), style);
        page.text(row, TTL_WIDTH, &shortened("Host", self.host), style);
        let mut column = TTL_WIDTH + self.host;
        for (name, width) in &COLUMNS[..self.figures] {
            page.text(row, column, &format!(" {name:>width$}"), style);
            column += width + 1;
        }
        if self.history > 0 {
            page.text(row, column + 1, "History", style);
        }
    }

    fn line(&self, page: &mut Page<'_>, row: u16, line: &Line) {
        let (ttl, host, silence, hop) = match line {
            Line::Hop {
                ttl,
                host,
                silence,
                hop,
            } => (format!("{ttl:2} "), host, silence, hop),
            Line::Also { host, answers } => {
                let host = shortened(&format!("  {host}"), self.host);
                page.text(row, TTL_WIDTH, &host, Style::new());
                let answers = format!(" answered {answers}");
                page.text(row, TTL_WIDTH + self.host, &answers, Style::new());
                return;
            }
        };
        page.text(row, 0, &ttl, Style::new());
        // The host is cut off rather than what says that its loss is none.
        let mark = silence.unwrap_or_default();
        let room = self.host.saturating_sub(mark.len() + 1).max(1);
        let name = shortened(host, if mark.is_empty() { self.host } else { room });
        page.text(row, TTL_WIDTH, &name, Style::new());
        let behind = TTL_WIDTH + name.chars().count() + 1;
        page.text(row, behind, mark, Style::new().fg(Color::Yellow));
        let mut column = TTL_WIDTH + self.host;
        let cells = figures(&hop.figures);
        for (at, ((_, width), cell)) in COLUMNS.iter().zip(cells).take(self.figures).enumerate() {
            let loses = at == 0 && hop.figures.answers() < hop.figures.sent();
            let style = Style::new().fg(if loses { Color::Red } else { Color::Reset });
            page.text(row, column, &format!(" {cell:>width$}"), style);
            column += width + 1;
        }
        self.history(page, row, column + 1, hop);
    }

    fn history(&self, page: &mut Page<'_>, row: u16, column: usize, hop: &Hop) {
        let shown = hop.recent().len().min(self.history);
        let fates = hop.recent().skip(hop.recent().len() - shown);
        let longest = fates.clone().filter_map(|fate| match fate {
            Fate::Answered(rtt) => Some(rtt),
            Fate::InFlight | Fate::Lost | Fate::Late(_) => None,
        });
        let longest = longest.max().unwrap_or_default();
        for (column, fate) in (column + self.history - shown..).zip(fates) {
            let (symbol, color) = match fate {
                Fate::InFlight => (".", Color::DarkGray),
                Fate::Lost => ("x", Color::Red),
                Fate::Late(_) => ("l", Color::Red),
                Fate::Answered(rtt) => (bar(rtt, longest), Color::Green),
            };
            page.text(row, column, symbol, Style::new().fg(color));
        }
    }
}

/// As high as the round trip beside the longest.
fn bar(rtt: Duration, longest: Duration) -> &'static str {
    let eighths = (rtt.as_nanos() * 8).div_ceil(longest.as_nanos().max(1));
    EIGHTHS[eighths.clamp(1, 8) as usize - 1]
}

fn figures(figures: &Figures) -> [String; COLUMNS.len()] {
    let of = |rtt: Option<Duration>| rtt.map(|it| it.as_secs_f64() * 1e3);
    let time = |ms: Option<f64>| ms.map_or_else(|| "-".to_owned(), four_digits);
    let loss = figures.loss_pct();
    [
        loss.map_or_else(|| "-".to_owned(), |loss| format!("{loss:.1}%")),
        figures.sent().to_string(),
        time(of(figures.last())),
        time(figures.mean_ms()),
        time(of(figures.best())),
        time(of(figures.worst())),
        time(figures.stdev_ms()),
        time(of(figures.jitter())),
    ]
}

/// Four digits, or those before the point where they are more.
fn four_digits(ms: f64) -> String {
    match ms {
        _ if ms < 9.9995 => format!("{ms:.3}"),
        _ if ms < 99.995 => format!("{ms:.2}"),
        _ if ms < 999.95 => format!("{ms:.1}"),
        _ => format!("{ms:.0}"),
    }
}

/// Text that takes no more columns than this; what was cut off is marked.
fn shortened(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept = text.chars().take(width.saturating_sub(1));
    kept.chain(['…']).collect()
}

#[cfg(test)]
mod tests;
