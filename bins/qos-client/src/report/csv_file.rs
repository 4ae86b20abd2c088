//! `qos_result.csv`: one row a test, appended so that nothing that is there is ever harmed.
//!
//! RFC 4180. A row is one `write` to a file opened for appending, under an advisory lock, so that
//! several clients may share a file. A file that begins with another header is somebody else's and
//! is left alone: the row goes to the next free name instead.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use super::row::{COLUMNS, Cell, Row};

/// The file in the current folder that is used when none is named.
pub const DEFAULT_NAME: &str = "qos_result.csv";
/// How many names are tried before giving up.
const NAMES_TRIED: u32 = 100;
/// How long to wait for another client's lock, and how often to ask.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
const LOCK_RETRY: Duration = Duration::from_millis(5);

/// Why no row was written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {step} {}: {source}; the result was not saved", .path.display())]
pub struct CsvError {
    step: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// Where the rows went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The file that has them now.
    pub path: PathBuf,
    /// The file that was asked for but holds something else, if that was so.
    pub instead_of: Option<PathBuf>,
}

/// Appends the rows to `path`, or beside it when it holds something else.
pub fn append(path: &Path, rows: &[Row]) -> Result<Appended, CsvError> {
    let error = |step, path: &Path| {
        let path = path.to_owned();
        move |source| CsvError { step, path, source }
    };
    let header = header().map_err(error("format a row for", path))?;
    for name in (1..=NAMES_TRIED).map(|n| numbered(path, n)) {
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(&name)
            .map_err(error("open", &name))?;
        lock(&file).map_err(error("lock", &name))?;
        let Some(prefix) = what_precedes(&mut file, &header).map_err(error("read", &name))? else {
            continue;
        };
        let mut text = prefix;
        for row in rows {
            text.extend(line(row).map_err(error("format a row for", &name))?);
        }
        append_whole(&mut file, &text).map_err(error("write to", &name))?;
        return Ok(Appended {
            instead_of: (name != path).then(|| path.to_owned()),
            path: name,
        });
    }
    Err(error("use", path)(io::Error::other(
        "it and every numbered name beside it hold something else",
    )))
}

/// `a.csv`, then `a-2.csv`, `a-3.csv`, …
fn numbered(path: &Path, n: u32) -> PathBuf {
    if n == 1 {
        return path.to_owned();
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    let dot = if extension.is_empty() { "" } else { "." };
    path.with_file_name(format!("{stem}-{n}{dot}{extension}"))
}

/// Takes the lock for as long as the file is open.
fn lock(file: &File) -> io::Result<()> {
    let mut waited = Duration::ZERO;
    loop {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR)
                if waited < LOCK_PATIENCE =>
            {
                std::thread::sleep(LOCK_RETRY);
                waited += LOCK_RETRY;
            }
            result => return result.map_err(io::Error::from),
        }
    }
}

/// What must be written before a row: the header into an empty file, the end of a row that was cut
/// short, nothing otherwise. `None` when the file is not one of ours.
fn what_precedes(file: &mut File, header: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let length = file.metadata()?.len();
    if length == 0 {
        return Ok(Some(header.to_vec()));
    }
    let mut beginning = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    (&*file)
        .take(header.len() as u64)
        .read_to_end(&mut beginning)?;
    if !same_header(&beginning, header) {
        return Ok(None);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(Some(if last == *b"\n" {
        Vec::new()
    } else if is_within_quotes(file)? {
        b"\"\r\n".to_vec()
    } else {
        b"\r\n".to_vec()
    }))
}

/// Whether the file ends within a quoted field, where an end of line ends no row: quotes come in
/// pairs, those that stand for a quote among them (RFC 4180 §2).
fn is_within_quotes(file: &mut File) -> io::Result<bool> {
    file.seek(SeekFrom::Start(0))?;
    let mut reader = BufReader::new(file);
    let mut within = false;
    loop {
        let piece = reader.fill_buf()?;
        if piece.is_empty() {
            return Ok(within);
        }
        within = piece
            .iter()
            .fold(within, |within, byte| within ^ (*byte == b'"'));
        let length = piece.len();
        reader.consume(length);
    }
}

/// Whether it is our header, also with the line end that an editor may have left.
fn same_header(beginning: &[u8], header: &[u8]) -> bool {
    let names = header.strip_suffix(b"\r\n").unwrap_or(header);
    beginning
        .strip_prefix(names)
        .is_some_and(|rest| rest.starts_with(b"\r\n") || rest.starts_with(b"\n"))
}

/// One `write`; where the disk takes only a part, the part is taken back.
fn append_whole(file: &mut File, text: &[u8]) -> io::Result<()> {
    let length = file.metadata()?.len();
    let written = loop {
        match file.write(text) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => break result,
        }
    };
    match written {
        Ok(written) if written == text.len() => Ok(()),
        result => {
            // What went wrong first is what the user must know.
            let _ = file.set_len(length);
            // A write that was cut short says no reason; this is the only one that a file has.
            Err(result.err().unwrap_or(rustix::io::Errno::NOSPC.into()))
        }
    }
}

fn header() -> io::Result<Vec<u8>> {
    record(COLUMNS.iter().map(|name| (*name).to_owned()))
}

fn line(row: &Row) -> io::Result<Vec<u8>> {
    record(row.in_columns().map(|cell| match cell {
        Cell::Text(text) => inert(text),
        cell => cell.field(),
    }))
}

fn record(fields: impl Iterator<Item = String>) -> io::Result<Vec<u8>> {
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .from_writer(Vec::new());
    writer.write_record(fields)?;
    writer
        .into_inner()
        .map_err(|error| io::Error::other(error.to_string()))
}

/// Text that a spreadsheet will not take for a formula: names and fields come from the network.
fn inert(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests;
