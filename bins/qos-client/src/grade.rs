//! Grading profiles: which figure is in which class, by limits that somebody published.
//!
//! A profile is a TOML file with its source; three are built in, others are named by their file.
//! A blank figure is not graded.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::assertion;
use crate::report::row::{Cell, Row};

/// Those that need no file.
const BUILT_IN: [&str; 3] = [
    include_str!("../profiles/g1010-voice.toml"),
    include_str!("../profiles/cisco-voip.toml"),
    include_str!("../profiles/tiphon.toml"),
];
/// A profile says little.
const MAX_BYTES: u64 = 64 * 1024;
const MAX_FIGURES: usize = 64;
const MAX_CLASSES: usize = 16;
/// The longest name, label or class, in characters.
const MAX_WORDS: usize = 64;
/// The longest title or source.
const MAX_SENTENCE: usize = 512;

/// Limits of several figures.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// By which it is chosen and told.
    pub name: String,
    /// For people.
    pub title: String,
    /// Who published the limits, where, and as what.
    pub source: String,
    figure: Vec<Limits>,
}

/// The classes of one figure.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    /// A column of the CSV file.
    figure: String,
    /// What it is multiplied by first: 0.5 makes a one-way delay of a round trip.
    #[serde(default = "one")]
    factor: f64,
    /// For people.
    label: String,
    /// In the order in which they are tried.
    classes: Vec<Bound>,
    /// The class of what fits none; it fails.
    otherwise: String,
}

/// One class; exactly one of the two bounds.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bound {
    class: String,
    below: Option<f64>,
    at_most: Option<f64>,
    /// Whether a figure in it passes.
    #[serde(default = "yes")]
    pass: bool,
}

fn one() -> f64 {
    1.0
}

fn yes() -> bool {
    true
}

/// One figure in its class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Graded {
    /// A column of the CSV file.
    pub figure: String,
    /// For people, with its unit.
    pub label: String,
    /// What was graded, in that unit.
    pub value: f64,
    /// Where it belongs.
    pub class: String,
    /// Whether that passes.
    pub pass: bool,
}

impl Profile {
    /// The built-in profile of this name, or the one in the file of this name. The error is one
    /// line.
    pub fn named(name: &str) -> Result<Profile, String> {
        let built_in: Vec<Profile> = BUILT_IN
            .iter()
            .filter_map(|text| Profile::parse(text).ok())
            .collect();
        if let Some(profile) = built_in.iter().find(|profile| profile.name == name) {
            return Ok(profile.clone());
        }
        let names: Vec<&str> = built_in
            .iter()
            .map(|profile| profile.name.as_str())
            .collect();
        let refused = |cause: String| format!("cannot use the profile {name:?}: {cause}");
        let text = read(Path::new(name))
            .map_err(|cause| refused(format!("{cause}; built in are {}", names.join(", "))))?;
        Profile::parse(&text).map_err(refused)
    }

    fn parse(text: &str) -> Result<Profile, String> {
        let profile: Profile = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| {
                let before = text.get(..span.start).unwrap_or_default();
                1 + before.matches('\n').count()
            });
            format!("line {line}: {}", error.message().replace('\n', " "))
        })?;
        profile.check()?;
        Ok(profile)
    }

    fn check(&self) -> Result<(), String> {
        text("name", &self.name, MAX_WORDS)?;
        text("title", &self.title, MAX_SENTENCE)?;
        text("source", &self.source, MAX_SENTENCE)?;
        if !(1..=MAX_FIGURES).contains(&self.figure.len()) {
            return Err(format!(
                "it grades 1 to {MAX_FIGURES} figures, not {}",
                self.figure.len()
            ));
        }
        for limits in &self.figure {
            let figure = &limits.figure;
            if !assertion::is_figure(figure) {
                return Err(format!(
                    "there is no figure {figure:?}; they are named as in the CSV file"
                ));
            }
            if !(limits.factor.is_finite() && limits.factor > 0.0) {
                return Err(format!("{figure}: the factor is a number above 0"));
            }
            text("label", &limits.label, MAX_WORDS)?;
            text("otherwise", &limits.otherwise, MAX_WORDS)?;
            if !(1..=MAX_CLASSES).contains(&limits.classes.len()) {
                return Err(format!("{figure}: it has 1 to {MAX_CLASSES} classes"));
            }
            for class in &limits.classes {
                text("class", &class.class, MAX_WORDS)?;
                match (class.below, class.at_most) {
                    (Some(bound), None) | (None, Some(bound)) if bound.is_finite() => {}
                    _ => {
                        return Err(format!(
                            "{figure}: a class has either `below` or `at_most`, a number"
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    /// The figures of a result that are not blank, each in its class.
    pub fn grade(&self, row: &Row) -> Vec<Graded> {
        let graded = |limits: &Limits| {
            let value = match row.cell(&limits.figure) {
                Cell::Text(_) => None,
                cell => cell.number(),
            }? * limits.factor;
            let fits = |class: &&Bound| {
                class.below.is_some_and(|bound| value < bound)
                    || class.at_most.is_some_and(|bound| value <= bound)
            };
            let (class, pass) = limits
                .classes
                .iter()
                .find(fits)
                .map_or((&limits.otherwise, false), |found| {
                    (&found.class, found.pass)
                });
            Some(Graded {
                figure: limits.figure.clone(),
                label: limits.label.clone(),
                value,
                class: class.clone(),
                pass,
            })
        };
        self.figure.iter().filter_map(graded).collect()
    }
}

fn text(what: &str, words: &str, most: usize) -> Result<(), String> {
    let length = words.chars().count();
    if length == 0 || length > most || words.contains(char::is_control) {
        return Err(format!("a {what} is one line of 1 to {most} characters"));
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    let read = file.take(MAX_BYTES).read_to_string(&mut text);
    let read = read.map_err(|error| error.to_string())?;
    if read as u64 == MAX_BYTES {
        return Err(format!("it is larger than {MAX_BYTES} bytes"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn row(rtt_ms: u64, jitter_ms: Option<u64>, loss_pct: f64) -> Row {
        let mut row = Row::default();
        row.set("rtt_mean_ms", Cell::Ms(Duration::from_millis(rtt_ms)));
        let jitter = jitter_ms.map(|ms| Cell::Ms(Duration::from_millis(ms)));
        for name in ["jitter_rfc3550_ms", "ipdv_abs_mean_ms"] {
            row.set(name, jitter.clone().unwrap_or(Cell::Blank));
        }
        row.set("loss_pct", Cell::Pct(loss_pct));
        row
    }

    #[test]
    fn every_figure_is_in_the_class_that_was_published() {
        // One way is half: 200 → 100, 300 → 150, 700 → 350, 900 → 450, 902 → 451 ms.
        for (name, rtt, jitter, loss, classes) in [
            (
                "cisco-voip",
                300,
                Some(30),
                1.0,
                vec!["kept", "kept", "kept"],
            ),
            ("cisco-voip", 302, Some(31), 1.1, vec!["exceeded"; 3]),
            (
                "g1010-voice",
                200,
                None,
                2.9,
                vec!["preferred", "within the limit"],
            ),
            (
                "g1010-voice",
                700,
                Some(1),
                3.0,
                vec!["within the limit", "beyond the limit", "beyond the limit"],
            ),
            ("tiphon", 200, Some(0), 0.0, vec!["very good"; 3]),
            ("tiphon", 300, Some(75), 3.0, vec!["good"; 3]),
            ("tiphon", 900, Some(125), 15.0, vec!["medium"; 3]),
            ("tiphon", 902, Some(126), 15.1, vec!["poor"; 3]),
        ] {
            let graded = Profile::named(name).unwrap().grade(&row(rtt, jitter, loss));
            let found: Vec<&str> = graded.iter().map(|graded| graded.class.as_str()).collect();
            assert_eq!(found, classes, "{name} {rtt}");
            let failing = ["exceeded", "beyond the limit", "poor"];
            for graded in graded {
                assert_eq!(graded.pass, !failing.contains(&graded.class.as_str()));
            }
        }
    }

    #[test]
    fn what_is_no_profile_is_refused_in_one_line() {
        let begins = "name = \"a\"\ntitle = \"b\"\nsource = \"c\"\n";
        let figure =
            |more: &str| format!("{begins}[[figure]]\nlabel = \"l\"\notherwise = \"o\"\n{more}");
        for (text, cause) in [
            ("\u{0}".to_owned(), "line 1: "),
            (begins.to_owned(), "missing field `figure`"),
            (
                format!("{begins}figure = []\n"),
                "it grades 1 to 64 figures, not 0",
            ),
            (
                format!("{begins}colour = 1\n"),
                "line 4: unknown field `colour`",
            ),
            (
                figure("figure = \"speed\"\nclasses = []\n"),
                "there is no figure \"speed\"",
            ),
            (
                figure("figure = \"loss_pct\"\nclasses = []\n"),
                "it has 1 to 16 classes",
            ),
            (
                figure("figure = \"loss_pct\"\nclasses = [{ class = \"x\" }]\n"),
                "either `below` or `at_most`",
            ),
            (
                figure("figure = \"loss_pct\"\nclasses = [{ class = \"x\", below = nan }]\n"),
                "either `below` or `at_most`",
            ),
            (
                figure(
                    "figure = \"loss_pct\"\nfactor = 0\nclasses = [{ class = \"x\", below = 1 }]\n",
                ),
                "the factor is a number above 0",
            ),
            (
                figure(
                    "figure = \"loss_pct\"\nclasses = [{ class = \"\\u001b[2J\", below = 1 }]\n",
                ),
                "a class is one line",
            ),
            ("a = ".to_owned() + &"[".repeat(60_000), "line 1: "),
        ] {
            let error = Profile::parse(&text).unwrap_err();
            assert!(error.contains(cause), "{error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
        let missing = Profile::named("no-such-profile").unwrap_err();
        assert!(
            missing.contains("built in are g1010-voice, cisco-voip, tiphon"),
            "{missing}"
        );
    }
}
