//! Files that are sent as they are, as long as they are what they were.

use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{Stat, fstat};

/// A file as it was when it was found.
#[derive(Debug)]
pub struct OpenFile {
    descriptor: OwnedFd,
    length: u64,
    modified: (i64, u32),
}

impl OpenFile {
    /// The file behind `descriptor`, which is open for reading, as it is now.
    ///
    /// # Errors
    /// The system does not tell what it is.
    pub fn new(descriptor: OwnedFd) -> io::Result<OpenFile> {
        let stat = fstat(&descriptor)?;
        Ok(OpenFile {
            length: stat.st_size.unsigned_abs(),
            modified: modified(&stat),
            descriptor,
        })
    }

    /// Whether nobody has written to it. One that is longer now may have been appended to or written
    /// anew, and nothing tells which.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn stands(&self) -> io::Result<bool> {
        let stat = fstat(&self.descriptor)?;
        Ok(stat.st_size.unsigned_abs() == self.length && modified(&stat) == self.modified)
    }
}

fn modified(stat: &Stat) -> (i64, u32) {
    (stat.st_mtime, stat.st_mtime_nsec as u32)
}

impl AsFd for OpenFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// Some bytes of a file.
#[derive(Clone, Debug)]
pub struct FilePart {
    /// The file.
    pub file: Arc<OpenFile>,
    /// Which bytes of it.
    pub range: Range<u64>,
}

impl FilePart {
    /// How many bytes.
    pub fn length(&self) -> u64 {
        self.range.end - self.range.start
    }
}
