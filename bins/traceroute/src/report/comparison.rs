//! What `--compare` found, in words.

use std::io::{self, Write};
use std::path::Path;

use crate::compare::Comparison;

/// Writes how the path differs from the one in `file`.
pub(super) fn text(out: &mut impl Write, comparison: &Comparison, file: &Path) -> io::Result<()> {
    write!(out, "compared with {}:", file.display())?;
    if comparison.differences.is_empty() {
        write!(out, " no difference")?;
    }
    for difference in &comparison.differences {
        write!(out, "\n{difference}")?;
    }
    writeln!(out)?;
    out.flush()
}
