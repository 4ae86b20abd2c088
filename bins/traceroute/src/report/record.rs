//! What a report hears, kept for a second report at the end.

use std::io;

use netio::icmp::open::words;

use crate::tracing::Event;

/// More than a trace has probes, and more changes of a path than anybody reads.
const MOST_KEPT: usize = 10_000;

/// Events as they came, but for those that only begin a look-up.
#[derive(Debug)]
pub struct Record<E> {
    wanted: bool,
    events: Vec<Event<E>>,
}

impl<E: Clone> Record<E> {
    /// One that keeps events only where they are `wanted`.
    pub fn new(wanted: bool) -> Record<E> {
        Record {
            wanted,
            events: Vec::new(),
        }
    }

    /// An event came. Further ones than are kept are in no second report.
    pub fn keep(&mut self, event: &Event<E>) {
        if !self.wanted || self.events.len() == MOST_KEPT {
            return;
        }
        match event {
            Event::Heard(_) => {}
            Event::Told(told) => self.events.push(Event::Told(told.clone())),
            Event::NotSent(error) => {
                let again = io::Error::other(words(error));
                self.events.push(Event::NotSent(again));
            }
        }
    }

    /// The events.
    pub fn into_events(self) -> Vec<Event<E>> {
        self.events
    }
}
