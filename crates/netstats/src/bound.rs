//! Bounds that the figures of a run must keep, as a user writes them: `loss<1%,p95<20ms`.

use std::fmt;

/// What a figure is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Of a hundred; written `1%`.
    Percent,
    /// Written `20ms`, `250us` or `1s`.
    Milliseconds,
    /// A plain number.
    Count,
}

/// One bound, such as `loss<1%`, of a figure that `F` names.
#[derive(Debug, Clone, PartialEq)]
pub struct Bound<F> {
    figure: F,
    unit: Unit,
    relation: Relation,
    /// In the unit of the figure.
    limit: f64,
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

/// Longer signs first, for `<` begins `<=`.
const RELATIONS: [(&str, Relation); 4] = [
    ("<=", Relation::AtMost),
    (">=", Relation::AtLeast),
    ("<", Relation::Less),
    (">", Relation::Greater),
];

/// Reads bounds with commas between them, of the figures that there are: what each is called,
/// which it is, and its unit.
///
/// # Errors
/// A line that says what is wrong and the cure.
pub fn parse<F: Copy>(text: &str, figures: &[(&str, F, Unit)]) -> Result<Vec<Bound<F>>, String> {
    text.split(',')
        .map(|one| parse_one(one.trim(), figures))
        .collect()
}

fn parse_one<F: Copy>(text: &str, figures: &[(&str, F, Unit)]) -> Result<Bound<F>, String> {
    let (name, relation, value) = RELATIONS
        .iter()
        .find_map(|(sign, relation)| {
            let (name, value) = text.split_once(sign)?;
            Some((name.trim(), *relation, value.trim()))
        })
        .ok_or_else(|| format!("'{text}' compares nothing: write it as loss<1%"))?;
    let &(_, figure, unit) = figures
        .iter()
        .find(|(known, ..)| *known == name)
        .ok_or_else(|| {
            let known: Vec<&str> = figures.iter().map(|(name, ..)| *name).collect();
            format!("no figure '{name}'; there are {}", known.join(", "))
        })?;
    let scale = |suffixes: &[(&str, f64)]| {
        suffixes.iter().find_map(|(suffix, factor)| {
            let number = value.strip_suffix(suffix)?.trim_end().parse::<f64>().ok()?;
            (number.is_finite() && number >= 0.0).then_some(number * factor)
        })
    };
    let (limit, example) = match unit {
        Unit::Percent => (scale(&[("%", 1.0)]), "1%"),
        Unit::Milliseconds => (scale(&[("ms", 1.0), ("us", 1e-3), ("s", 1e3)]), "20ms"),
        Unit::Count => (scale(&[("", 1.0)]), "5"),
    };
    Ok(Bound {
        figure,
        unit,
        relation,
        limit: limit
            .ok_or_else(|| format!("'{value}' is no bound for {name}: {example} is one"))?,
        text: text.to_owned(),
    })
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

impl<F: Copy> Bound<F> {
    /// What is bounded.
    pub fn figure(&self) -> F {
        self.figure
    }

    /// Nothing if the figure, in its unit, keeps the bound. One that the run does not support
    /// keeps none.
    ///
    /// # Errors
    /// What was not kept.
    pub fn check(&self, figure: Option<f64>) -> Result<(), Broken> {
        let holds = figure.is_some_and(|figure| match self.relation {
            Relation::Less => figure < self.limit,
            Relation::AtMost => figure <= self.limit,
            Relation::Greater => figure > self.limit,
            Relation::AtLeast => figure >= self.limit,
        });
        if holds {
            return Ok(());
        }
        let in_words = |figure: f64| match self.unit {
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

    const FIGURES: [(&str, char, Unit); 3] = [
        ("loss", 'l', Unit::Percent),
        ("p95", 'p', Unit::Milliseconds),
        ("received", 'r', Unit::Count),
    ];

    #[test]
    fn bounds_are_read_with_their_units() {
        for (text, figure, limit) in [
            ("loss<1%", 'l', 1.0),
            ("loss <= 0.5 %", 'l', 0.5),
            ("p95<20ms", 'p', 20.0),
            ("p95<1s", 'p', 1000.0),
            ("p95<250us", 'p', 0.25),
            ("received>=10", 'r', 10.0),
        ] {
            let parsed = parse(text, &FIGURES).unwrap();
            assert_eq!(parsed[0].figure(), figure, "{text}");
            assert!((parsed[0].limit - limit).abs() < 1e-9, "{text}");
        }
        assert_eq!(parse("loss<1%,p95<20ms", &FIGURES).unwrap().len(), 2);
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
            assert!(parse(text, &FIGURES).is_err(), "{text}");
        }
    }

    #[test]
    fn a_bound_that_is_not_kept_names_the_figure() {
        for (text, figure, said) in [
            ("loss<1%", Some(0.5), None),
            ("loss<1%", Some(1.0), Some("loss<1% (it is 1.000%)")),
            ("loss<=1%", Some(1.0), None),
            ("p95<20ms", None, Some("p95<20ms (too few answers to say)")),
            ("p95>20ms", Some(2.5), Some("p95>20ms (it is 2.500 ms)")),
            ("received>=10", Some(9.0), Some("received>=10 (it is 9)")),
        ] {
            let checked = parse(text, &FIGURES).unwrap()[0].check(figure);
            let told = checked.err().map(|broken| broken.to_string());
            let expected = said.map(|said| format!("assertion failed: {said}"));
            assert_eq!(told, expected, "{text}");
        }
    }
}
