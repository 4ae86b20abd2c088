//! A file that lines are appended to, and that can be opened again after it was renamed.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::error;

/// How much is gathered before it is written.
const GATHERED_BYTES: usize = 64 * 1024;

/// A file of lines. A clone writes to the same.
#[derive(Clone, Debug)]
pub struct LogFile(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    open: Mutex<BufWriter<File>>,
    failures: AtomicU64,
}

impl LogFile {
    /// Opens the file at `path`, behind what is in it; makes it if it is not there.
    pub fn open(path: PathBuf) -> io::Result<LogFile> {
        let open = Mutex::new(append_to(&path)?);
        Ok(LogFile(Arc::new(Shared {
            path,
            open,
            failures: AtomicU64::new(0),
        })))
    }

    /// Opens the path again: what is written from now on goes to the file that is there now, every
    /// earlier line to the one that was. If that one takes no more, it is counted as every write
    /// that fails: it does not keep the new file from being used.
    ///
    /// # Errors
    /// The path cannot be opened; then lines go to the old file.
    pub fn reopen(&self) -> io::Result<()> {
        let new = append_to(&self.0.path)?;
        let mut old = std::mem::replace(&mut *self.writer(), new);
        let _ = self.note(old.flush());
        // What it did not take is counted, and must not be tried again when it is dropped.
        drop(old.into_parts());
        Ok(())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Tells how many writes failed: a full disk, a quota.
    pub fn failure_counter(&self) -> impl Fn() -> u64 + Send + Sync + 'static {
        let shared = Arc::clone(&self.0);
        move || shared.failures.load(Ordering::Relaxed)
    }

    fn writer(&self) -> MutexGuard<'_, BufWriter<File>> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note<T>(&self, result: io::Result<T>) -> io::Result<T> {
        if let Err(cause) = &result
            && self.0.failures.fetch_add(1, Ordering::Relaxed) == 0
        {
            let path = self.0.path.display();
            error!("cannot write to {path}: {cause}; /metrics counts how often");
        }
        result
    }
}

fn append_to(path: &Path) -> io::Result<BufWriter<File>> {
    let file = OpenOptions::new().append(true).create(true).open(path)?;
    Ok(BufWriter::with_capacity(GATHERED_BYTES, file))
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.writer().write(bytes);
        self.note(written)
    }

    /// A line must not have its end in another file than its beginning.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = self.writer().write_all(bytes);
        self.note(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.writer().flush();
        self.note(flushed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_renamed_gets_no_more_lines_once_it_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        std::fs::write(&path, "old\n").unwrap();
        let renamed = folder.path().join("access.log.1");
        let mut log = LogFile::open(path.clone()).unwrap();
        log.write_all(b"first\n").unwrap();
        std::fs::rename(&path, &renamed).unwrap();
        log.write_all(b"second\n").unwrap();
        log.reopen().unwrap();
        log.write_all(b"third\n").unwrap();
        log.flush().unwrap();
        assert_eq!(
            std::fs::read_to_string(&renamed).unwrap(),
            "old\nfirst\nsecond\n"
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "third\n");
    }

    #[test]
    fn a_path_that_cannot_be_opened_again_leaves_the_old_file_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let logs = folder.path().join("logs");
        std::fs::create_dir(&logs).unwrap();
        let mut log = LogFile::open(logs.join("access.log")).unwrap();
        let moved = folder.path().join("moved");
        std::fs::rename(&logs, &moved).unwrap();
        log.reopen().unwrap_err();
        log.write_all(b"line\n").unwrap();
        log.flush().unwrap();
        assert_eq!(
            std::fs::read_to_string(moved.join("access.log")).unwrap(),
            "line\n"
        );
    }

    #[test]
    fn a_file_that_takes_no_more_does_not_keep_the_new_one_from_being_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        let mut log = LogFile::open(path.clone()).unwrap();
        log.write_all(b"lost\n").unwrap();
        std::fs::remove_file(&path).unwrap();
        log.reopen().unwrap();
        assert_eq!(log.failure_counter()(), 1);
        log.write_all(b"line\n").unwrap();
        log.flush().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "line\n");
        assert_eq!(log.failure_counter()(), 1);
    }

    #[test]
    fn what_a_full_disk_does_not_take_is_counted() {
        let mut log = LogFile::open("/dev/full".into()).unwrap();
        log.write_all(b"line\n").unwrap();
        log.flush().unwrap_err();
        assert_eq!(log.failure_counter()(), 1);
    }
}
