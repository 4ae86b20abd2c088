//! One test as a page: a single HTML file that asks no network for anything.
//!
//! `recording` reads what `--json` wrote, `plots` draws it as SVG, `table` lays out
//! its figures, `html` puts both together. Here the file is written, and only over a page that this program made.

mod html;
mod plots;
pub mod recording;
mod table;

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::PathBuf;

use recording::{Recording, RecordingError};

/// The events that are read when no file is named.
pub const DEFAULT_EVENTS: &str = "qos_events.ndjson";
/// The page that is written when no file is named.
pub const DEFAULT_OUTPUT: &str = "report.html";

/// What every page begins with, and by which an older one is known.
const MARK: &str = "<!doctype html>\n<!-- written by qos-client report -->\n";

/// A page to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The events of one test, as `--json` writes them.
    pub events: PathBuf,
    /// The page.
    pub output: PathBuf,
}

impl Default for Order {
    fn default() -> Order {
        Order {
            events: DEFAULT_EVENTS.into(),
            output: DEFAULT_OUTPUT.into(),
        }
    }
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// The input is not the events of one test.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// The output is a file that this program did not make.
    #[error("{} exists and is no report of qos-client; name another file with --output", .0.display())]
    NotOurs(PathBuf),
    /// The page could not be drawn or written.
    #[error("cannot write {}: {source}", .path.display())]
    NotWritten {
        /// The page.
        path: PathBuf,
        /// The operating system's words.
        source: io::Error,
    },
}

/// Reads the events, writes the page, and gives what was read.
pub fn make(order: &Order) -> Result<Recording, PageError> {
    let not_written = |source| PageError::NotWritten {
        path: order.output.clone(),
        source,
    };
    let recording = Recording::read(&order.events)?;
    let page = html::page(&recording).map_err(|error| not_written(io::Error::other(error)))?;
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&order.output)
        .map_err(not_written)?;
    if !is_free(&mut file).map_err(not_written)? {
        return Err(PageError::NotOurs(order.output.clone()));
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| file.write_all(MARK.as_bytes()))
        .and_then(|()| file.write_all(page.as_bytes()))
        .map_err(not_written)?;
    Ok(recording)
}

/// Whether the file is empty or an older page.
fn is_free(file: &mut File) -> io::Result<bool> {
    let mut beginning = Vec::new();
    file.take(MARK.len() as u64).read_to_end(&mut beginning)?;
    Ok(beginning.is_empty() || beginning == MARK.as_bytes())
}
