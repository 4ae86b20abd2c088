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

    /// Events came. Further ones than are kept are in no second report.
    pub fn keep(&mut self, events: &[Event<E>]) {
        let room = if self.wanted {
            MOST_KEPT - self.events.len()
        } else {
            0
        };
        let kept = events.iter().filter_map(|event| match event {
            Event::Heard(_) => None,
            Event::Told(told) => Some(Event::Told(told.clone())),
            Event::NotSent(error) => Some(Event::NotSent(io::Error::other(words(error)))),
        });
        self.events.extend(kept.take(room));
    }

    /// The events.
    pub fn into_events(self) -> Vec<Event<E>> {
        self.events
    }
}
