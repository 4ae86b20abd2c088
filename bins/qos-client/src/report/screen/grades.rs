//! Figures in their classes, for people.

use std::io::{self, Write};

use super::{table, write_table};
use crate::grade::Profile;
use crate::report::row::{Cell, Row};

/// Every figure that was graded, and the verdict of each result.
pub fn grades(out: &mut dyn Write, profile: Option<&Profile>, rows: &[Row]) -> io::Result<()> {
    let Some(profile) = profile else {
        return Ok(());
    };
    writeln!(out, "  graded by {} ({})", profile.title, profile.source)?;
    let mut classes = table(["", "figure", "value", "class"]);
    for (number, row) in (1..).zip(rows) {
        let of = match (row.cell("phase"), rows.len()) {
            (Cell::Text(phase), _) => phase.clone(),
            (_, 1) => String::new(),
            _ => format!("client {number}"),
        };
        for graded in &row.grades {
            classes.add_row([
                of.clone(),
                graded.label.clone(),
                format!("{:.3}", graded.value),
                graded.class.clone(),
            ]);
        }
    }
    write_table(out, &classes)?;
    let all = || rows.iter().flat_map(|row| &row.grades);
    match (all().count(), all().all(|graded| graded.pass)) {
        (0, _) => writeln!(
            out,
            "  verdict: none, no figure of the profile was measured"
        ),
        (_, true) => writeln!(out, "  verdict: pass"),
        (_, false) => writeln!(out, "  verdict: FAIL"),
    }
}
