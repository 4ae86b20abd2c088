//! `--assert 'loss_pct<1,rtt_p95_ms<20'`: figures held against limits, for scripts.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::grade::Graded;
use crate::report::row::{COLUMNS, Cell, Row};

/// One comparison of a figure with a number.
#[derive(Debug, Clone, PartialEq)]
pub struct Assertion {
    /// A column of the CSV file.
    pub figure: String,
    /// How they are compared.
    pub comparison: Comparison,
    /// In the unit that the figure's name says.
    pub limit: f64,
}

/// How a figure is compared with its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    More,
    /// `>=`
    AtLeast,
    /// `=` or `==`
    Equal,
}

/// Spellings, longest first: `<=` is not `<` and a number that begins with `=`.
const COMPARISONS: [(&str, Comparison); 6] = [
    ("<=", Comparison::AtMost),
    (">=", Comparison::AtLeast),
    ("==", Comparison::Equal),
    ("<", Comparison::Less),
    (">", Comparison::More),
    ("=", Comparison::Equal),
];

/// Columns that are words and not figures.
const WORDS: [&str; 11] = [
    "timestamp_utc",
    "run_id",
    "target",
    "via",
    "pattern",
    "measurement_limited",
    "phase",
    "bufferbloat_grade",
    "cache_status",
    "verdict",
    "tool_version",
];

/// Whether a name is that of a figure, and not of words.
pub(crate) fn is_figure(name: &str) -> bool {
    COLUMNS.contains(&name) && !WORDS.contains(&name)
}

/// Why a text is no assertion.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AssertionError {
    /// No `<`, `<=`, `>`, `>=` or `=`.
    #[error("{0:?} is no comparison; write it like loss_pct<1")]
    NoComparison(String),
    /// Not a figure of this program.
    #[error("there is no figure {name:?}; there are {known}")]
    UnknownFigure {
        /// What was written.
        name: String,
        /// Those that may have been meant.
        known: String,
    },
    /// What follows the comparison is not a number.
    #[error("{0:?} is no number; the unit stands in the figure's name")]
    NoNumber(String),
}

impl FromStr for Assertion {
    type Err = AssertionError;

    fn from_str(text: &str) -> Result<Assertion, AssertionError> {
        let (figure, comparison, limit) = COMPARISONS
            .iter()
            .find_map(|(spelling, comparison)| {
                let (figure, limit) = text.split_once(spelling)?;
                Some((figure.trim(), *comparison, limit.trim()))
            })
            .ok_or_else(|| AssertionError::NoComparison(text.trim().to_owned()))?;
        let mut figures = COLUMNS.iter().filter(|name| !WORDS.contains(name));
        if !figures.clone().any(|name| *name == figure) {
            // Those that begin alike, else all.
            let stem = figure.split('_').next().unwrap_or_default();
            let mut known: Vec<_> = figures.clone().filter(|n| n.starts_with(stem)).collect();
            if stem.is_empty() || known.is_empty() {
                known = figures.by_ref().collect();
            }
            let known = known.into_iter().copied().collect::<Vec<_>>().join(", ");
            let name = figure.to_owned();
            return Err(AssertionError::UnknownFigure { name, known });
        }
        let limit = limit
            .parse()
            .ok()
            .filter(|limit: &f64| limit.is_finite())
            .ok_or_else(|| AssertionError::NoNumber(limit.to_owned()))?;
        Ok(Assertion {
            figure: figure.to_owned(),
            comparison,
            limit,
        })
    }
}

impl fmt::Display for Assertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spelling = match self.comparison {
            Comparison::Less => "<",
            Comparison::AtMost => "<=",
            Comparison::More => ">",
            Comparison::AtLeast => ">=",
            Comparison::Equal => "=",
        };
        write!(f, "{}{spelling}{}", self.figure, self.limit)
    }
}

/// An assertion and what it was held against.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Checked {
    /// What was asserted.
    #[serde(serialize_with = "as_text")]
    pub assertion: Assertion,
    /// The figure, if there is one.
    pub measured: Option<f64>,
    /// Whether it holds. A blank figure never does: it was not shown.
    pub holds: bool,
}

fn as_text<S: Serializer>(assertion: &Assertion, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(assertion)
}

impl Assertion {
    /// Holds it against one result.
    pub fn check(&self, row: &Row) -> Checked {
        let measured = match row.cell(&self.figure) {
            Cell::Text(_) => None,
            cell => cell.number(),
        };
        let holds = measured.is_some_and(|measured| match self.comparison {
            Comparison::Less => measured < self.limit,
            Comparison::AtMost => measured <= self.limit,
            Comparison::More => measured > self.limit,
            Comparison::AtLeast => measured >= self.limit,
            // What is compared was printed with at most six decimals.
            Comparison::Equal => (measured - self.limit).abs() < 5e-7,
        });
        Checked {
            assertion: self.clone(),
            measured,
            holds,
        }
    }
}

/// `pass` or `fail`, or blank when nothing was asserted and nothing graded.
pub fn verdict(checked: &[Checked], grades: &[Graded]) -> Cell {
    let word = if checked.is_empty() && grades.is_empty() {
        return Cell::Blank;
    } else if checked.iter().all(|checked| checked.holds) && grades.iter().all(|g| g.pass) {
        "pass"
    } else {
        "fail"
    };
    Cell::Text(word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_compared() {
        for (text, figure, comparison, limit) in [
            ("loss_pct<1", "loss_pct", Comparison::Less, 1.0),
            (
                " rtt_p95_ms <= 20.5 ",
                "rtt_p95_ms",
                Comparison::AtMost,
                20.5,
            ),
            (
                "packets_sent>=20",
                "packets_sent",
                Comparison::AtLeast,
                20.0,
            ),
            (
                "throughput_bps>1e6",
                "throughput_bps",
                Comparison::More,
                1e6,
            ),
            ("http_status=200", "http_status", Comparison::Equal, 200.0),
            ("http_status==200", "http_status", Comparison::Equal, 200.0),
        ] {
            let assertion: Assertion = text.parse().unwrap();
            assert_eq!(assertion.figure, figure);
            assert_eq!(assertion.comparison, comparison);
            assert!((assertion.limit - limit).abs() < f64::EPSILON);
        }
    }

    #[test]
    fn what_is_no_assertion_is_refused_with_the_reason() {
        for (text, reason) in [
            ("loss_pct", "\"loss_pct\" is no comparison"),
            ("", "\"\" is no comparison"),
            (
                "lost_pct<1",
                "there is no figure \"lost_pct\"; there are packets_sent, loss_pct",
            ),
            (
                "loss<1",
                "there is no figure \"loss\"; there are loss_pct, loss_deadline_ms, loss_n, loss_ci_low_pct",
            ),
            ("target<1", "there is no figure \"target\""),
            ("loss_pct<1%", "\"1%\" is no number"),
            ("loss_pct<inf", "\"inf\" is no number"),
        ] {
            let error = text.parse::<Assertion>().unwrap_err().to_string();
            assert!(error.starts_with(reason), "{error}");
        }
    }

    #[test]
    fn a_blank_figure_never_holds() {
        let mut row = Row::default();
        row.set("loss_pct", Cell::Pct(0.5));
        let check = |text: &str| text.parse::<Assertion>().unwrap().check(&row).holds;
        assert!(check("loss_pct<1"));
        for bound in ["<1000", "<=1000", ">0", ">=0", "=0"] {
            assert!(!check(&format!("rtt_p99_ms{bound}")), "{bound}");
        }
    }

    #[test]
    fn each_comparison_holds_on_its_side_of_the_limit_and_as_it_says_at_it() {
        let mut row = Row::default();
        row.set("loss_pct", Cell::Pct(0.5));
        // Below, at and above the figure; = is of what is printed, six decimals.
        for (comparison, [below, at, above]) in [
            ("<", [false, false, true]),
            ("<=", [false, true, true]),
            (">", [true, false, false]),
            (">=", [true, true, false]),
            ("=", [false, true, false]),
            ("==", [false, true, false]),
        ] {
            for (limit, holds) in [("0.4", below), ("0.5", at), ("0.6", above)] {
                let text = format!("loss_pct{comparison}{limit}");
                let checked = text.parse::<Assertion>().unwrap().check(&row);
                assert_eq!(checked.holds, holds, "{text}");
                let shown = checked.assertion.to_string().replace("==", "=");
                assert_eq!(shown, text.replace("==", "="));
            }
        }
        let third: Assertion = "loss_pct=0.333333".parse().unwrap();
        row.set("loss_pct", Cell::Pct(1.0 / 3.0));
        assert!(third.check(&row).holds);
    }

    #[test]
    fn nothing_asserted_and_nothing_graded_is_no_verdict() {
        let mut row = Row::default();
        row.set("loss_pct", Cell::Pct(0.5));
        let check = |text: &str| text.parse::<Assertion>().unwrap().check(&row);
        let graded = |pass| Graded {
            figure: "loss_pct".to_owned(),
            label: String::new(),
            value: 0.5,
            class: String::new(),
            pass,
        };
        for (checked, grades, expected) in [
            (vec![], vec![], Cell::Blank),
            (vec![check("loss_pct<1")], vec![], Cell::Text("pass".into())),
            (
                vec![check("loss_pct<1"), check("loss_pct<0")],
                vec![],
                Cell::Text("fail".into()),
            ),
            (vec![], vec![graded(true)], Cell::Text("pass".into())),
            (
                vec![check("loss_pct<1")],
                vec![graded(true), graded(false)],
                Cell::Text("fail".into()),
            ),
        ] {
            assert_eq!(verdict(&checked, &grades), expected);
        }
    }
}
