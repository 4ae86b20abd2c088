//! How a test so far is drawn.

use netstats::quantile::{P50, P99};
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style};
use ratatui::symbols::line;
use ratatui::text::{Line, Span};
use ratatui::widgets::{LineGauge, Sparkline, SparklineBar, Widget};

use super::standing::{Slice, Standing};
use crate::config::compact;
use crate::report::screen::{bps, ms, us};

/// Room for a label such as `12.345 ms` and a blank.
const LABEL_WIDTH: u16 = 11;
const LEGEND: &str = "a column is the longest RTT of its time, newest on the right; below it, in red, how many \
     were lost   q ends";

impl Widget for &Standing {
    fn render(self, area: Rect, buffer: &mut Buffer) {
        let row = Constraint::Length(1);
        let [
            title,
            progress,
            loss,
            delay,
            rate,
            limits,
            chart,
            marks,
            legend,
        ] = Layout::vertical([row, row, row, row, row, row, Constraint::Fill(1), row, row])
            .areas(area);
        Line::from(self.title()).render(title, buffer);
        self.progress(progress, buffer);
        Line::from(self.loss()).render(loss, buffer);
        Line::from(self.delay()).render(delay, buffer);
        let conduct = self.conduct();
        let pacing = &conduct.pacing_error;
        Line::from(format!(
            "{} of payload came back   pacing error p50 {}, worst {}; slots missed: {}",
            bps(self.received.bps()),
            us(pacing.quantile(P50)),
            us(pacing.max()),
            conduct.missed_slots
        ))
        .render(rate, buffer);
        if let Some(limit) = self.limits(&conduct).first() {
            let yellow = Style::new().fg(Color::Yellow);
            Line::styled(format!("measurement-limited: {limit}"), yellow).render(limits, buffer);
        }
        self.chart(chart, marks, buffer);
        Line::styled(LEGEND, Style::new().fg(Color::DarkGray)).render(legend, buffer);
    }
}

impl Standing {
    fn title(&self) -> String {
        let plan = &self.plan;
        format!(
            "{}: {} packets of {} bytes, one every {}",
            self.target,
            plan.packets(),
            plan.payload(),
            compact(plan.interval())
        )
    }

    fn progress(&self, area: Rect, buffer: &mut Buffer) {
        let of = self.plan.probes();
        let began = self.began.unwrap_or(self.now);
        let seconds = self.now.saturating_sub(began).as_secs_f64();
        LineGauge::default()
            .ratio((f64::from(self.told) / f64::from(of)).min(1.0))
            .label(format!(
                "{seconds:.0} s: {} of {of} sent, {} answered",
                self.sent, self.answered
            ))
            .filled_symbol(line::THICK_HORIZONTAL)
            .unfilled_symbol(line::HORIZONTAL)
            .filled_style(Style::new().fg(Color::Green))
            .render(area, buffer);
    }

    fn loss(&self) -> String {
        match self.loss_pct() {
            None => format!(
                "loss –   (none is decided; the deadline is {})",
                compact(self.plan.loss_deadline())
            ),
            Some((loss, sure)) => format!(
                "loss {loss:.2} %   {} of {} decided; 95 % sure: {:.2} to {:.2} %",
                self.lost, self.decided, sure.low, sure.high
            ),
        }
    }

    fn delay(&self) -> String {
        let rtt = self.rtt();
        format!(
            "RTT p50 {}  p99 {}  max {}   jitter {} (RFC 3550)   of the last {} answers",
            ms(rtt.quantile(P50)),
            ms(rtt.quantile(P99)),
            ms(rtt.max()),
            ms(self.jitter.jitter()),
            rtt.n()
        )
    }

    /// A column for each slice: as high as its longest round trip, or all red when nothing of it
    /// came back; and a row of marks below.
    fn chart(&self, area: Rect, marks: Rect, buffer: &mut Buffer) {
        let [labels, columns] = beside_labels(area);
        let shown = self.latest(columns.width.into());
        let longest = shown.clone().filter_map(|slice| slice.longest).max();
        let top = longest.map_or(1, |longest| longest.as_nanos() as u64);
        // An answer, however quick, is to be seen.
        let least = top.div_ceil(u64::from(columns.height).max(1) * 8);
        let bars = shown.clone().map(|slice| {
            let height = |rtt: std::time::Duration| (rtt.as_nanos() as u64).max(least);
            SparklineBar::from(match (slice.longest, slice.lost) {
                (Some(rtt), _) => Some(height(rtt)),
                (None, 0) => Some(0),
                (None, _) => None,
            })
        });
        if longest.is_some() && labels.height > 0 {
            let top_label = format!("{:>10}", ms(longest));
            buffer.set_stringn(labels.x, labels.y, top_label, 10, Style::new());
        }
        Sparkline::default()
            .data(bars)
            .max(top)
            .style(Style::new().fg(Color::Green))
            .absent_value_symbol("x")
            .absent_value_style(Style::new().fg(Color::Red))
            .render(columns, buffer);
        let [labels, columns] = beside_labels(marks);
        Line::from("lost").right_aligned().render(labels, buffer);
        shown
            .map(mark)
            .collect::<Line<'_>>()
            .render(columns, buffer);
    }
}

fn beside_labels(area: Rect) -> [Rect; 2] {
    Layout::horizontal([Constraint::Length(LABEL_WIDTH), Constraint::Fill(1)])
        .spacing(0)
        .areas(area)
}

/// How many were lost in a slice, as one character; a dot while none has come back yet.
fn mark(slice: &Slice) -> Span<'static> {
    let red = Style::new().fg(Color::Red);
    match slice.lost {
        0 if slice.longest.is_none() && slice.sent > 0 => Span::raw("."),
        0 => Span::raw(" "),
        lost @ 1..=9 => Span::styled(lost.to_string(), red),
        _ => Span::styled("+", red),
    }
}

#[cfg(test)]
mod tests;
