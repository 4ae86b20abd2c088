//! What all ways to tell a run have in common: text, JSON and CSV are faces of the same course.

use std::io;
use std::path::Path;

use super::extras::Extras;
use super::json::Ending;
use crate::compare::Comparison;
use crate::confirming::Confirmation;
use crate::prober::Prober;
use crate::silence::Suspect;
use crate::tracing::{Event, Events};

/// What is told of every kind of run, in this order; between the beginning and the rest
/// stands what [`Tells`] says.
pub trait Face {
    /// Before anything is probed.
    fn begin(&mut self) -> io::Result<()>;

    /// What the experiments came to that were made on some of the hops in doubt.
    fn confirmed(&mut self, found: &[Confirmation], in_doubt: usize) -> io::Result<()>;

    /// How the path differs from the one in this file.
    fn compared(&mut self, comparison: &Comparison, file: &Path) -> io::Result<()>;

    /// The last thing, in every ending.
    fn end(&mut self, ending: Ending) -> io::Result<()>;

    /// What knows names, for another report; this one tells no more addresses.
    fn take_extras(&mut self) -> Extras;
}

/// What is told of a run by this prober.
pub trait Tells<P: Prober>: Face {
    /// What one moment brought.
    fn tell(&mut self, events: Vec<Event<P::Event>>) -> io::Result<()>;

    /// Whether telling may take its time, as where names are looked up; then it has a thread of its
    /// own.
    fn may_wait(&self) -> bool;

    /// In that thread: what happens, until the probing ends.
    fn listen(&mut self, events: &Events<P::Event>) -> io::Result<()> {
        events.iter().try_for_each(|batch| self.tell(batch))
    }

    /// What it came to, however it ended.
    fn conclude(&mut self, prober: &P) -> io::Result<()>;

    /// The hops whose silence is worth an experiment.
    fn suspects(&self, prober: &P) -> Vec<Suspect>;
}
