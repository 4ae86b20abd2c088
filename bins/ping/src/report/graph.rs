//! `--graph`: a chart of the round trips that goes on while they are measured, or a line a second
//! where there is no terminal.
//!
//! Here is what is shown, told the time and drawn by ratatui; [`screen`] is the terminal.

pub(super) mod screen;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};
use ratatui::widgets::Widget;

use super::text::three_decimals;
use crate::statistics::RttStatistics;

/// How many of the latest probes are remembered: more than fit on any screen.
const REMEMBERED: usize = 4096;
/// A probe without an answer is shown as lost when it is older than this and than two of the
/// longest round trips.
const LOST_AFTER: Duration = Duration::from_secs(1);
/// Room for a label such as `12.5 ms` and the axis.
const LABEL_WIDTH: u16 = 10;
/// Less than this is no chart.
const LEAST_CHART: (u16, u16) = (4, 2);
/// Eighths of a cell, from the bottom.
const EIGHTHS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// What became of the latest probes.
#[derive(Debug)]
pub(super) struct Graph {
    title: String,
    started: Instant,
    probes: VecDeque<Probe>,
    last: Option<Duration>,
    total: Counts,
    /// Since the last plain line.
    recent: Counts,
}

#[derive(Debug)]
struct Probe {
    sent: Instant,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Answered(Duration),
    Failed,
    Lost,
}

#[derive(Debug, Default)]
struct Counts {
    sent: u64,
    answered: u64,
    lost: u64,
    errors: u64,
    rtt: RttStatistics,
}

impl Counts {
    fn words(&self) -> String {
        let Counts {
            sent,
            answered,
            lost,
            errors,
            ..
        } = self;
        let mut words = format!("{sent} sent, {answered} answered, {lost} lost");
        if *errors > 0 {
            words.push_str(", ");
            words.push_str(&errors.to_string());
            words.push_str(" errors");
        }
        words
    }
}

impl Graph {
    pub(super) fn new(title: String, now: Instant) -> Graph {
        Graph {
            title,
            started: now,
            probes: VecDeque::new(),
            last: None,
            total: Counts::default(),
            recent: Counts::default(),
        }
    }

    pub(super) fn on_sent(&mut self, now: Instant) {
        if self.probes.len() == REMEMBERED {
            self.probes.pop_front();
        }
        self.probes.push_back(Probe {
            sent: now,
            state: State::Waiting,
        });
        for counts in [&mut self.total, &mut self.recent] {
            counts.sent += 1;
        }
    }

    /// The first answer to a probe.
    pub(super) fn on_answer(&mut self, sequence: u16, rtt: Duration) {
        for counts in [&mut self.total, &mut self.recent] {
            counts.rtt.add(rtt);
            counts.answered += 1;
        }
        self.last = Some(rtt);
        if let Some(probe) = self.probe(sequence) {
            let was_lost = probe.state == State::Lost;
            probe.state = State::Answered(rtt);
            self.total.lost -= u64::from(was_lost);
        }
    }

    pub(super) fn on_error(&mut self, sequence: u16) {
        for counts in [&mut self.total, &mut self.recent] {
            counts.errors += 1;
        }
        if let Some(probe) = self.probe(sequence)
            && probe.state == State::Waiting
        {
            probe.state = State::Failed;
        }
    }

    /// This host refused to send a probe.
    pub(super) fn on_not_sent(&mut self, now: Instant) {
        self.on_sent(now);
        if let Some(probe) = self.probes.back_mut() {
            probe.state = State::Failed;
        }
        for counts in [&mut self.total, &mut self.recent] {
            counts.errors += 1;
        }
    }

    /// Gives up the probes that are too old.
    pub(super) fn settle(&mut self, now: Instant) {
        let patience = LOST_AFTER.max(2 * self.total.rtt.max());
        for probe in &mut self.probes {
            if probe.state == State::Waiting && now >= probe.sent + patience {
                probe.state = State::Lost;
                self.total.lost += 1;
                self.recent.lost += 1;
            }
        }
    }

    /// What happened since the last line was taken.
    pub(super) fn take_line(&mut self, now: Instant) -> String {
        self.settle(now);
        let elapsed = now.saturating_duration_since(self.started).as_secs_f64();
        let recent = std::mem::take(&mut self.recent);
        let words = recent.words();
        let Some(rtt) = recent.rtt.figures() else {
            return format!("{elapsed:.0} s: {words}");
        };
        let [min, mean, max] = [rtt.min, rtt.mean, rtt.max].map(three_decimals);
        format!("{elapsed:.0} s: {words}, rtt min/avg/max = {min}/{mean}/{max} ms")
    }

    fn probe(&mut self, sequence: u16) -> Option<&mut Probe> {
        let age = usize::from((self.total.sent as u16).wrapping_sub(sequence));
        let at = self.probes.len().checked_sub(age + 1)?;
        self.probes.get_mut(at)
    }

    fn figures(&self) -> String {
        let words = self.total.words();
        let (Some(rtt), Some(last)) = (self.total.rtt.figures(), self.last) else {
            return words;
        };
        let [last, min, mean, max] = [last, rtt.min, rtt.mean, rtt.max].map(three_decimals);
        format!("{words}   last {last}  min {min}  avg {mean}  max {max} ms")
    }
}

impl Widget for &Graph {
    fn render(self, area: Rect, buffer: &mut Buffer) {
        let width = usize::from(area.width);
        for (row, text) in (0..).zip([&*self.title, &self.figures()]) {
            if row < area.height {
                buffer.set_stringn(area.x, area.y + row, text, width, Style::new());
            }
        }
        let legend = "newest on the right   x lost   E error   . on its way   Ctrl-C ends";
        let last_row = area.bottom().saturating_sub(1);
        if area.height > 4 {
            buffer.set_stringn(
                area.x,
                last_row,
                legend,
                width,
                Style::new().fg(Color::DarkGray),
            );
        }
        let chart = Rect {
            x: area.x + LABEL_WIDTH.min(area.width),
            y: area.y + 2.min(area.height),
            width: area.width.saturating_sub(LABEL_WIDTH),
            height: area.height.saturating_sub(3),
        };
        if chart.width >= LEAST_CHART.0 && chart.height >= LEAST_CHART.1 {
            self.render_chart(chart, buffer);
        }
    }
}

impl Graph {
    fn render_chart(&self, area: Rect, buffer: &mut Buffer) {
        let shown = self.probes.len().min(usize::from(area.width));
        let probes = self.probes.iter().skip(self.probes.len() - shown);
        let answered = probes.clone().filter_map(|probe| match probe.state {
            State::Answered(rtt) => Some(rtt),
            _ => None,
        });
        let top = round_scale(answered.max().unwrap_or_default());
        for row in 0..area.height {
            buffer.set_string(area.x - 1, area.y + row, "│", Style::new());
        }
        for (row, value) in [(0, top), (area.height / 2, top / 2)] {
            // The label stands at the top edge of its row.
            let label = format!("{:>8}", ms_label(value));
            let half_fits = row == 0 || area.height.is_multiple_of(2);
            if half_fits {
                buffer.set_string(area.x - LABEL_WIDTH, area.y + row, label, Style::new());
            }
        }
        for (column, probe) in (area.right() - shown as u16..).zip(probes) {
            let floor = area.bottom() - 1;
            match probe.state {
                State::Answered(rtt) => bar(area, column, rtt, top, buffer),
                State::Waiting => buffer.set_string(column, floor, ".", Style::new()),
                State::Failed => {
                    buffer.set_string(column, floor, "E", Style::new().fg(Color::Yellow));
                }
                State::Lost => {
                    for row in area.y..area.bottom() {
                        buffer.set_string(column, row, "x", Style::new().fg(Color::Red));
                    }
                }
            }
        }
    }
}

/// A column as high as the round trip, at least an eighth of a cell.
fn bar(area: Rect, column: u16, rtt: Duration, top: Duration, buffer: &mut Buffer) {
    let full = u128::from(area.height) * 8;
    let eighths = (rtt.as_nanos() * full)
        .div_ceil(top.as_nanos())
        .clamp(1, full) as usize;
    for row in 0..area.height {
        let here = eighths.saturating_sub(usize::from(row) * 8).min(8);
        let style = Style::new().fg(Color::Green);
        buffer.set_string(column, area.bottom() - 1 - row, EIGHTHS[here], style);
    }
}

/// The least of 1, 2, 5, 10, 20, … microseconds that is not below `longest`.
fn round_scale(longest: Duration) -> Duration {
    let mut decade = Duration::from_micros(1);
    loop {
        for factor in [1, 2, 5] {
            if decade * factor >= longest {
                return decade * factor;
            }
        }
        decade *= 10;
    }
}

fn ms_label(duration: Duration) -> String {
    let us = duration.as_nanos() as f64 / 1e3;
    if us < 1e3 {
        format!("{us} us")
    } else {
        format!("{} ms", us / 1e3)
    }
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Six probes a second apart: 4 ms, 8 ms, lost, an error, 1 ms, on its way.
    fn graph() -> (Graph, Instant) {
        let start = Instant::now();
        let mut graph = Graph::new("h (192.0.2.1)".to_owned(), start);
        for sequence in 1..=6 {
            let sent = start + ms(1000) * (u32::from(sequence) - 1);
            graph.on_sent(sent);
            match sequence {
                1 => graph.on_answer(sequence, ms(4)),
                2 => graph.on_answer(sequence, ms(8)),
                4 => graph.on_error(sequence),
                5 => graph.on_answer(sequence, ms(1)),
                _ => {}
            }
        }
        let now = start + ms(5010);
        graph.settle(now);
        (graph, now)
    }

    fn drawn(graph: &Graph, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal
            .draw(|frame| frame.render_widget(graph, frame.area()))
            .unwrap();
        let buffer = terminal.backend().buffer();
        let row = |y| {
            (0..width)
                .map(|x| buffer[(x, y)].symbol())
                .collect::<String>()
        };
        (0..height).map(|y| row(y).trim_end().to_owned()).collect()
    }

    #[test]
    fn bars_are_as_high_as_the_round_trips_and_losses_stand_out() {
        // The scale is 10 ms over 5 rows of 8 eighths: 4 ms are 16 of 40, 8 ms 32, 1 ms 4.
        let lines = drawn(&graph().0, 20, 8);
        assert_eq!(
            lines,
            [
                "h (192.0.2.1)",
                "6 sent, 3 answered,",
                "   10 ms │      x",
                "         │     █x",
                "         │     █x",
                "         │    ██x",
                "         │    ██xE▄.",
                "newest on the right",
            ]
        );
    }

    #[test]
    fn every_size_is_drawn_into() {
        let (graph, _) = graph();
        for width in 1..30 {
            for height in 1..12 {
                assert_eq!(drawn(&graph, width, height).len(), usize::from(height));
            }
        }
    }

    #[test]
    fn a_late_answer_takes_the_loss_back() {
        let (mut graph, now) = graph();
        assert!(graph.figures().contains("3 answered, 1 lost"));
        graph.on_answer(3, ms(3000));
        graph.settle(now);
        assert!(graph.figures().contains("4 answered, 0 lost"));
    }

    #[test]
    fn a_plain_line_tells_what_happened_since_the_last() {
        let (mut graph, now) = graph();
        // The mean of 4, 8 and 1 ms is 13/3.
        assert_eq!(
            graph.take_line(now),
            "5 s: 6 sent, 3 answered, 1 lost, 1 errors, \
             rtt min/avg/max = 1.000/4.333/8.000 ms"
        );
        assert_eq!(graph.take_line(now), "5 s: 0 sent, 0 answered, 0 lost");
    }

    #[test]
    fn the_scale_is_the_next_round_figure() {
        for (us, top) in [(0, 1), (1, 1), (3, 5), (48, 50), (51, 100), (8_000, 10_000)] {
            let us = Duration::from_micros(us);
            assert_eq!(round_scale(us), Duration::from_micros(top), "{us:?}");
        }
    }
}
