//! What `--graph` shows, where it can be shown: on a terminal the chart, elsewhere a line a second;
//! at the end iputils' summary.

use std::io::{self, IsTerminal, Write};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::graph::Graph;
use super::graph::screen::Screen;
use super::text::Text;
use super::{Event, ReplyFate};
use crate::config::Config;

/// How often the chart is drawn, whatever happens; a terminal of another size is seen then too.
const DRAW_EVERY: Duration = Duration::from_millis(100);
const LINE_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Chart<W> {
    text: Text<W>,
    graph: Graph,
    screen: Option<Screen>,
    due: Instant,
}

impl<W: Write> Chart<W> {
    pub(super) fn new(config: &Config, target: IpAddr, text: Text<W>) -> Chart<W> {
        let now = Instant::now();
        Chart {
            text,
            graph: Graph::new(format!("ping {} ({target})", config.host), now),
            screen: None,
            due: now + LINE_EVERY,
        }
    }

    /// Writes iputils' first line and takes the screen, if there is one.
    pub(super) fn banner(&mut self, config: &Config, source: Option<IpAddr>) -> io::Result<()> {
        self.text.banner(config, source)?;
        if io::stdout().is_terminal() {
            self.screen = Some(Screen::take()?);
            self.due = Instant::now();
        }
        Ok(())
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.text.flush()
    }

    /// When [`tick`](Chart::tick) has something to do.
    pub(super) const fn due(&self) -> Instant {
        self.due
    }

    /// Draws, or writes a line.
    pub(super) fn tick(&mut self, now: Instant) -> io::Result<()> {
        if let Some(screen) = &mut self.screen {
            self.graph.settle(now);
            self.due = now + DRAW_EVERY;
            return screen.draw(&self.graph);
        }
        self.due += LINE_EVERY;
        let line = self.graph.take_line(now);
        self.text.line(&line)
    }

    pub(super) fn event(&mut self, event: &Event) -> io::Result<()> {
        let now = Instant::now();
        match event {
            Event::Sent => self.graph.on_sent(now),
            Event::NotSent(_) => self.graph.on_not_sent(now),
            Event::Reply(reply) => {
                let first = !matches!(reply.fate, ReplyFate::Duplicate | ReplyFate::Corrupt);
                if let (Some(trip), true) = (reply.trip, first) {
                    self.graph.on_answer(reply.sequence, trip.rtt);
                }
            }
            Event::Error { sequence, .. } => self.graph.on_error(*sequence),
            // The chart says it all the time.
            Event::Status(_) if self.screen.is_some() => {}
            Event::Outstanding { .. } | Event::Unanswered { .. } => {}
            Event::End(_) => {
                self.screen = None;
                return self.text.event(event);
            }
            Event::Status(_) => return self.text.event(event),
        }
        Ok(())
    }
}
