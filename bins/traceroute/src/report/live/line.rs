//! A line about repeated probing while it goes on.

use std::fmt::Write;
use std::time::Duration;

use crate::rounds::{Fate, Rounds};

/// How it stands: of each hop the latest round trip, `*` for a loss and `-` for what is not known
/// yet; then the target.
pub(super) fn of(elapsed: Duration, rounds: &Rounds) -> String {
    let mut line = format!("{:.0} s:", elapsed.as_secs_f64());
    for (_, hop) in rounds.hops() {
        let latest = hop.recent().rev().find(|fate| *fate != Fate::InFlight);
        // Writing to a String cannot fail.
        let _ = match latest {
            Some(Fate::Answered(rtt)) => write!(line, " {:.3}", rtt.as_secs_f64() * 1e3),
            Some(Fate::Lost | Fate::Late(_)) => write!(line, " *"),
            Some(Fate::InFlight) | None => write!(line, " -"),
        };
    }
    line.push_str(" ms; ");
    let Some((ttl, target)) = rounds.target() else {
        line.push_str("no answer from the target");
        return line;
    };
    let figures = &target.figures;
    let lost = figures.sent() - figures.answers();
    let _ = write!(
        line,
        "the target at hop {ttl}, {} sent, {lost} lost",
        figures.sent()
    );
    line
}
