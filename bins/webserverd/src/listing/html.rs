//! A folder as a page.

use std::fmt::Write;

use jiff::Timestamp;

use super::read::{Entry, Folder, MOST_ENTRIES};
use super::{address, shown};
use crate::page::STYLE;

pub(super) fn write(folder: &Folder) -> String {
    let mut page = String::with_capacity(2 * 1024 + 256 * folder.entries.len());
    // Writing to a String cannot fail.
    let _ = render(folder, &mut page);
    page
}

fn render(folder: &Folder, page: &mut String) -> std::fmt::Result {
    let title = escaped(&shown(folder.path.as_bytes()));
    write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>"
    )?;
    crumbs(&folder.path, page)?;
    page.push_str("</h1>\n");
    table(folder, page)?;
    page.push_str("</main>\n</body>\n</html>\n");
    Ok(())
}

/// The path, each folder of it a link.
fn crumbs(path: &str, page: &mut String) -> std::fmt::Result {
    let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
    let up = |folders: usize| match folders {
        0 => "./".to_owned(),
        folders => "../".repeat(folders),
    };
    write!(page, "<a href=\"{}\">root</a>", up(names.len()))?;
    for (at, name) in names.iter().enumerate() {
        let name = escaped(&shown(name.as_bytes()));
        let address = up(names.len() - 1 - at);
        write!(
            page,
            " <span class=\"soft\">/</span> <a href=\"{address}\"><bdi>{name}</bdi></a>"
        )?;
    }
    Ok(())
}

fn table(folder: &Folder, page: &mut String) -> std::fmt::Result {
    if folder.entries.is_empty() {
        page.push_str("<p class=\"soft\">There is nothing in this folder.</p>\n");
        return Ok(());
    }
    page.push_str(
        "<table>\n<thead><tr><th>Name</th><th class=\"number\">Size</th>\
         <th class=\"time\">Changed (UTC)</th></tr></thead>\n<tbody>\n",
    );
    for entry in &folder.entries {
        row(entry, page)?;
    }
    page.push_str("</tbody>\n</table>\n");
    if folder.is_cut {
        writeln!(
            page,
            "<p class=\"soft\">This folder holds more; {MOST_ENTRIES} entries are shown.</p>"
        )?;
    }
    Ok(())
}

fn row(entry: &Entry, page: &mut String) -> std::fmt::Result {
    let slash = if entry.is_folder() { "/" } else { "" };
    // Isolated, so that a name in another direction of writing does not turn what is around it.
    let name = format!("<bdi>{}</bdi>{slash}", escaped(&shown(&entry.name)));
    page.push_str("<tr><td>");
    match address(entry) {
        Some(address) => write!(page, "<a href=\"{address}\">{name}</a>")?,
        None => write!(
            page,
            "<span title=\"no address leads to this name\">{name}</span>"
        )?,
    }
    match entry.length {
        Some(length) => write!(
            page,
            "</td><td class=\"number\" title=\"{length} bytes\">{}</td>",
            size(length)
        )?,
        None => page.push_str("</td><td class=\"number\"></td>"),
    }
    let time = Timestamp::from_second(entry.modified)
        .map(|time| time.strftime("%Y-%m-%d %H:%M").to_string())
        .unwrap_or_default();
    writeln!(page, "<td class=\"time\">{time}</td></tr>")
}

/// A length as people read it, in units of 1024.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut value = bytes as f64;
    let mut unit = "B";
    for next in UNITS {
        if value < 1000.0 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    if unit == "B" || value >= 99.95 {
        format!("{value:.0} {unit}")
    } else {
        format!("{value:.1} {unit}")
    }
}

/// Text with everything escaped that means something in HTML, in an attribute too.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            char => safe.push(char),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_as_people_read_them() {
        for (bytes, told) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (102_400, "100 KiB"),
            (1_048_576, "1.0 MiB"),
            (5_368_709_120, "5.0 GiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(size(bytes), told, "{bytes}");
        }
    }
}
