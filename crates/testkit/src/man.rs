//! Man pages: what clap knows of a program, then sections that a person wrote.
//!
//! The page is committed in `docs/man/`, and each program's test holds it against what would be
//! made now. `REWRITE_MAN=1 cargo test -p PROGRAM --test man` writes it anew.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use clap::Command;
use clap_mangen::Man;

/// The environment variable with which pages are written instead of compared.
const REWRITE: &str = "REWRITE_MAN";

/// Compares `docs/man/NAME.1` with the page of `command`: its name, synopsis and options as clap
/// knows them, between them the `description`, behind them further `sections` (both roff, each
/// section from its `.SH` on).
pub fn check(command: Command, description: &str, sections: &str) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let path = root.join(format!("docs/man/{}.1", command.get_name()));
    let page = page(command, description, sections)?;
    if std::env::var_os(REWRITE).is_some() {
        fs::create_dir_all(root.join("docs/man"))?;
        return fs::write(&path, page).with_context(|| format!("{}", path.display()));
    }
    let committed = fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
    let differs = committed.lines().zip(page.lines()).find(|(a, b)| a != b);
    ensure!(
        committed == page,
        "{} is not the page of today ({differs:?}): {REWRITE}=1 cargo test --test man writes it",
        path.display()
    );
    Ok(())
}

fn page(mut command: Command, description: &str, sections: &str) -> Result<String> {
    let usage = command.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").replace('-', "\\-");
    let name = command.get_name().to_uppercase();
    let man = Man::new(command).title(name).manual("Wirelab");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    writeln!(page, ".SH SYNOPSIS\n{usage}\n{}", description.trim_end())?;
    man.render_options_section(&mut page)?;
    let mut page = String::from_utf8(page)?;
    page.push_str(sections);
    Ok(page)
}
