//! What `--confirm` found: the experiments on each hop in doubt and the explanation that survived.

use std::io::{self, Write};

use crate::confirming::{Confirmation, MOST_CONFIRMED, PACE};
use crate::silence::hypotheses::Hypothesis;
use crate::silence::{Tally, time};

impl Hypothesis {
    /// Its name, for programs.
    pub fn name(self) -> &'static str {
        match self {
            Hypothesis::RateLimit => "rate_limit",
            Hypothesis::OwnSilence => "own_silence",
            Hypothesis::Loss => "loss",
            Hypothesis::LossOfFlow => "loss_of_flow",
        }
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Hypothesis::RateLimit => "rate limit",
            Hypothesis::OwnSilence => "own silence",
            Hypothesis::Loss => "loss",
            Hypothesis::LossOfFlow => "loss of this flow only",
        }
    }
}

/// An experiment's figures: its name for programs, in words, and its figures if it was made.
pub(super) type Row = (&'static str, String, Option<Tally>);

/// The experiments in the order in which they were made.
pub(super) fn rows(confirmation: &Confirmation) -> [Row; 5] {
    let experiments = &confirmation.experiments;
    let made = |tally: Tally| (tally.sent > 0).then_some(tally);
    let flows = experiments
        .flows
        .iter()
        .fold(Tally::default(), |sum, it| sum + *it);
    let beyond = confirmation.suspect.beyond.unwrap_or_default();
    let (pace, slow) = (time(PACE), time(confirmation.slow_pace));
    [
        (
            "again",
            format!("again, every {pace}"),
            made(experiments.again),
        ),
        (
            "beyond",
            format!("beyond, to hop {beyond}, every {pace}"),
            experiments.beyond,
        ),
        (
            "other_flows",
            format!("in other flows, every {pace}"),
            made(flows),
        ),
        (
            "directly",
            format!("directly, echo requests every {pace}"),
            experiments.directly,
        ),
        (
            "slower",
            format!("slower, every {slow}"),
            made(experiments.slower),
        ),
    ]
}

/// Writes all of them as text.
pub fn text(
    out: &mut impl Write,
    confirmations: &[Confirmation],
    in_doubt: usize,
) -> io::Result<()> {
    if confirmations.is_empty() {
        writeln!(
            out,
            "nothing to confirm: no hop answered some probes and left others unanswered"
        )?;
    }
    for confirmation in confirmations {
        let suspect = &confirmation.suspect;
        write!(out, "hop {} ({}): ", suspect.ttl, suspect.address)?;
        let Some(probabilities) = confirmation.verdict.probabilities else {
            writeln!(out, "its silence did not come again")?;
            continue;
        };
        match confirmation.verdict.survivor() {
            Some(survivor) => write!(out, "{} survives", survivor.words())?,
            None => write!(out, "undecided")?,
        }
        let mut all: Vec<_> = Hypothesis::ALL.into_iter().zip(probabilities).collect();
        all.sort_by(|one, other| other.1.total_cmp(&one.1));
        let all: Vec<String> = all
            .iter()
            .map(|(it, probability)| format!("{} {:.1} %", it.words(), probability * 100.0))
            .collect();
        writeln!(out, "; probabilities: {}", all.join(", "))?;
        for (_, words, tally) in rows(confirmation) {
            if let Some(tally) = tally {
                let (answered, sent) = (tally.answered, tally.sent);
                writeln!(out, "  {answered:3} of {sent:3} answered  {words}")?;
            }
        }
    }
    if in_doubt > MOST_CONFIRMED {
        writeln!(
            out,
            "the first {MOST_CONFIRMED} of {in_doubt} hops in doubt were confirmed"
        )?;
    }
    out.flush()
}
