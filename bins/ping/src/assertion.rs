//! `--assert`: bounds that the figures of a run must keep.

use std::time::Duration;

use netstats::bound::{self, Bound, Broken, Unit};

use crate::session::Summary;

/// One bound, such as `loss<1%`.
#[derive(Debug, Clone, PartialEq)]
pub struct Assertion(Bound<Figure>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Figure {
    Loss,
    Min,
    Mean,
    Max,
    Mdev,
    P50,
    P90,
    P95,
    P99,
    Jitter,
    Ipdv,
    Received,
    Duplicates,
    Reordered,
    Late,
    Corrupted,
    Damaged,
    Errors,
    Outage,
}

const FIGURES: [(&str, Figure, Unit); 20] = [
    ("loss", Figure::Loss, Unit::Percent),
    ("min", Figure::Min, Unit::Milliseconds),
    ("mean", Figure::Mean, Unit::Milliseconds),
    ("avg", Figure::Mean, Unit::Milliseconds),
    ("max", Figure::Max, Unit::Milliseconds),
    ("mdev", Figure::Mdev, Unit::Milliseconds),
    ("p50", Figure::P50, Unit::Milliseconds),
    ("p90", Figure::P90, Unit::Milliseconds),
    ("p95", Figure::P95, Unit::Milliseconds),
    ("p99", Figure::P99, Unit::Milliseconds),
    ("jitter", Figure::Jitter, Unit::Milliseconds),
    ("ipdv", Figure::Ipdv, Unit::Milliseconds),
    ("received", Figure::Received, Unit::Count),
    ("duplicates", Figure::Duplicates, Unit::Count),
    ("reordered", Figure::Reordered, Unit::Count),
    ("late", Figure::Late, Unit::Count),
    ("corrupted", Figure::Corrupted, Unit::Count),
    ("damaged", Figure::Damaged, Unit::Count),
    ("errors", Figure::Errors, Unit::Count),
    ("outage", Figure::Outage, Unit::Count),
];

/// Reads bounds with commas between them; what is wrong and the cure otherwise.
pub fn parse(text: &str) -> Result<Vec<Assertion>, String> {
    let bounds = bound::parse(text, &FIGURES)?;
    Ok(bounds.into_iter().map(Assertion).collect())
}

impl Assertion {
    /// Nothing if the run kept the bound. A figure that the run does not support keeps none.
    pub fn check(&self, summary: &Summary) -> Result<(), Broken> {
        self.0.check(self.0.figure().of(summary))
    }
}

impl Figure {
    /// The figure in its unit; `None` where the sample does not support it.
    fn of(self, summary: &Summary) -> Option<f64> {
        let ms = |duration: Duration| duration.as_nanos() as f64 / 1e6;
        let (tally, quality, rtt) = (summary.tally, &summary.quality, summary.rtt);
        match self {
            Figure::Loss => {
                let loss = summary.loss();
                (loss.known > 0).then_some(loss.percent)
            }
            Figure::Min => rtt.map(|rtt| ms(rtt.min)),
            Figure::Mean => rtt.map(|rtt| ms(rtt.mean)),
            Figure::Max => rtt.map(|rtt| ms(rtt.max)),
            Figure::Mdev => rtt.map(|rtt| ms(rtt.mdev)),
            Figure::P50 => quality.p50.map(ms),
            Figure::P90 => quality.p90.map(ms),
            Figure::P95 => quality.p95.map(ms),
            Figure::P99 => quality.p99.map(ms),
            Figure::Jitter => quality.jitter.map(ms),
            Figure::Ipdv => quality.ipdv.map(ms),
            Figure::Received => Some(tally.received as f64),
            Figure::Duplicates => Some(tally.duplicates as f64),
            Figure::Reordered => Some(tally.reordered as f64),
            Figure::Late => Some(tally.late as f64),
            Figure::Damaged => Some(tally.damaged as f64),
            Figure::Corrupted => Some(tally.corrupted as f64),
            Figure::Errors => Some(tally.errors as f64),
            Figure::Outage => Some(quality.longest_outage.map_or(0.0, |one| one.probes as f64)),
        }
    }
}
