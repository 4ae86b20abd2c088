//! `--assert`: bounds that the figures of a run must keep.

use std::fmt;
use std::time::Duration;

use crate::session::Summary;

/// One bound, such as `loss<1%`.
#[derive(Debug, Clone, PartialEq)]
pub struct Assertion {
    figure: Figure,
    relation: Relation,
    /// In percent, milliseconds or probes, as the figure is.
    bound: f64,
    /// As the user wrote it.
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    Less,
    AtMost,
    Greater,
    AtLeast,
}

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

const FIGURES: [(&str, Figure); 20] = [
    ("loss", Figure::Loss),
    ("min", Figure::Min),
    ("mean", Figure::Mean),
    ("avg", Figure::Mean),
    ("max", Figure::Max),
    ("mdev", Figure::Mdev),
    ("p50", Figure::P50),
    ("p90", Figure::P90),
    ("p95", Figure::P95),
    ("p99", Figure::P99),
    ("jitter", Figure::Jitter),
    ("ipdv", Figure::Ipdv),
    ("received", Figure::Received),
    ("duplicates", Figure::Duplicates),
    ("reordered", Figure::Reordered),
    ("late", Figure::Late),
    ("corrupted", Figure::Corrupted),
    ("damaged", Figure::Damaged),
    ("errors", Figure::Errors),
    ("outage", Figure::Outage),
];

/// Longer signs first, for `<` begins `<=`.
const RELATIONS: [(&str, Relation); 4] = [
    ("<=", Relation::AtMost),
    (">=", Relation::AtLeast),
    ("<", Relation::Less),
    (">", Relation::Greater),
];

/// Reads bounds with commas between them; what is wrong and the cure otherwise.
pub fn parse(text: &str) -> Result<Vec<Assertion>, String> {
    text.split(',').map(|one| parse_one(one.trim())).collect()
}

fn parse_one(text: &str) -> Result<Assertion, String> {
    let (name, relation, value) = RELATIONS
        .iter()
        .find_map(|(sign, relation)| {
            let (name, value) = text.split_once(sign)?;
            Some((name.trim(), *relation, value.trim()))
        })
        .ok_or_else(|| format!("'{text}' compares nothing: write it as loss<1% or p95<20ms"))?;
    let figure = FIGURES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, figure)| *figure)
        .ok_or_else(|| {
            let known: Vec<&str> = FIGURES.iter().map(|(name, _)| *name).collect();
            format!("no figure '{name}'; there are {}", known.join(", "))
        })?;
    let scale = |suffixes: &[(&str, f64)]| {
        suffixes.iter().find_map(|(suffix, factor)| {
            let number = value.strip_suffix(suffix)?.trim_end().parse::<f64>().ok()?;
            (number.is_finite() && number >= 0.0).then_some(number * factor)
        })
    };
    let (bound, example) = match figure.unit() {
        Unit::Percent => (scale(&[("%", 1.0)]), "1%"),
        Unit::Milliseconds => (scale(&[("ms", 1.0), ("us", 1e-3), ("s", 1e3)]), "20ms"),
        Unit::Count => (scale(&[("", 1.0)]), "5"),
    };
    Ok(Assertion {
        figure,
        relation,
        bound: bound
            .ok_or_else(|| format!("'{value}' is no bound for {name}: {example} is one"))?,
        text: text.to_owned(),
    })
}

enum Unit {
    Percent,
    Milliseconds,
    Count,
}

impl Figure {
    fn unit(self) -> Unit {
        match self {
            Figure::Loss => Unit::Percent,
            Figure::Received
            | Figure::Duplicates
            | Figure::Reordered
            | Figure::Late
            | Figure::Corrupted
            | Figure::Damaged
            | Figure::Errors
            | Figure::Outage => Unit::Count,
            _ => Unit::Milliseconds,
        }
    }

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

/// A bound that was not kept, in words that name the figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Broken {
    text: String,
    figure: Option<String>,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.text;
        match &self.figure {
            Some(figure) => write!(f, "assertion failed: {text} (it is {figure})"),
            None => write!(f, "assertion failed: {text} (too few answers to say)"),
        }
    }
}

impl Assertion {
    /// Nothing if the run kept the bound. A figure that the run does not support keeps none.
    pub fn check(&self, summary: &Summary) -> Result<(), Broken> {
        let figure = self.figure.of(summary);
        let holds = figure.is_some_and(|figure| match self.relation {
            Relation::Less => figure < self.bound,
            Relation::AtMost => figure <= self.bound,
            Relation::Greater => figure > self.bound,
            Relation::AtLeast => figure >= self.bound,
        });
        if holds {
            return Ok(());
        }
        let in_words = |figure: f64| match self.figure.unit() {
            Unit::Percent => format!("{figure:.3}%"),
            Unit::Milliseconds => format!("{figure:.3} ms"),
            Unit::Count => format!("{figure}"),
        };
        Err(Broken {
            text: self.text.clone(),
            figure: figure.map(in_words),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_read_with_their_units() {
        for (text, bound) in [
            ("loss<1%", 1.0),
            ("loss <= 0.5 %", 0.5),
            ("p95<20ms", 20.0),
            ("max<1s", 1000.0),
            ("jitter<250us", 0.25),
            ("received>=10", 10.0),
        ] {
            let parsed = parse(text).unwrap();
            assert!((parsed[0].bound - bound).abs() < 1e-9, "{text}");
        }
        assert_eq!(parse("loss<1%,p95<20ms").unwrap().len(), 2);
    }

    #[test]
    fn what_is_no_bound_is_refused() {
        for text in [
            "",
            "loss",
            "loss<1",
            "p95<20",
            "p42<1ms",
            "loss<-1%",
            "loss<NaN%",
            "p95<20%",
            "loss<1%,",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
