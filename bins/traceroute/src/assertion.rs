//! `--assert`: bounds that the figures of the target must keep.

use std::time::Duration;

use netstats::bound::{self, Bound, Broken, Unit};

use crate::rounds::Rounds;

/// One bound, such as `loss<1%`.
#[derive(Debug, Clone, PartialEq)]
pub struct Assertion(Bound<Figure>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Figure {
    Loss,
    Hops,
    Mean,
    Best,
    Worst,
    Stdev,
    Jitter,
}

const FIGURES: [(&str, Figure, Unit); 8] = [
    ("loss", Figure::Loss, Unit::Percent),
    ("hops", Figure::Hops, Unit::Count),
    ("rtt", Figure::Mean, Unit::Milliseconds),
    ("avg", Figure::Mean, Unit::Milliseconds),
    ("best", Figure::Best, Unit::Milliseconds),
    ("worst", Figure::Worst, Unit::Milliseconds),
    ("stdev", Figure::Stdev, Unit::Milliseconds),
    ("jitter", Figure::Jitter, Unit::Milliseconds),
];

/// Reads bounds with commas between them; what is wrong and the cure otherwise.
pub fn parse(text: &str) -> Result<Vec<Assertion>, String> {
    let bounds = bound::parse(text, &FIGURES)?;
    Ok(bounds.into_iter().map(Assertion).collect())
}

impl Assertion {
    /// Nothing if the run kept the bound. Of a target that never answered everything is lost, and
    /// no other figure is known.
    pub fn check(&self, rounds: &Rounds) -> Result<(), Broken> {
        self.0.check(self.0.figure().of(rounds))
    }
}

impl Figure {
    /// The figure in its unit; `None` where the sample does not support it.
    fn of(self, rounds: &Rounds) -> Option<f64> {
        let Some((ttl, target)) = rounds.target() else {
            return (self == Figure::Loss).then_some(100.0);
        };
        let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
        let figures = &target.figures;
        match self {
            Figure::Loss => figures.loss_pct(),
            Figure::Hops => Some(f64::from(ttl)),
            Figure::Mean => figures.mean_ms(),
            Figure::Best => figures.best().map(ms),
            Figure::Worst => figures.worst().map(ms),
            Figure::Stdev => figures.stdev_ms(),
            Figure::Jitter => figures.jitter().map(ms),
        }
    }
}
