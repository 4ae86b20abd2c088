//! One representation of a file: its bytes, in memory or on disk, and what is said of them.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use netio::http::file::{FilePart, OpenFile};
use netio::http::response::Piece;
use rustix::io::Errno;

use crate::document::Document;
use crate::files::Identity;

/// A longer file is not held in memory but sent by the kernel from its own cache.
const HELD_BYTES: u64 = 64 * 1024;

/// What can be answered with.
#[derive(Debug)]
pub struct Representation {
    /// What is said of it.
    pub document: Document,
    /// Its bytes.
    pub content: Content,
}

/// Where the bytes are.
#[derive(Clone, Debug)]
pub enum Content {
    /// In memory.
    Held(Bytes),
    /// In a file that was opened, and was found to be in this state.
    OnDisk(Arc<OpenFile>, Identity),
}

impl Content {
    /// Reads `file`, which was found in the state `identity`, or keeps it open if it is long.
    /// `None` if it is being changed: no half of one state is ever joined to a half of another.
    ///
    /// # Errors
    /// The system's own.
    pub fn read(file: OwnedFd, identity: &Identity) -> io::Result<Option<Content>> {
        if identity.length > HELD_BYTES {
            let file = OpenFile::new(file)?;
            let is_the_same = Identity::now(&file)? == *identity;
            return Ok(is_the_same.then(|| Content::OnDisk(Arc::new(file), *identity)));
        }
        Ok(read_whole(&file, identity)?.map(Content::Held))
    }

    /// All of it in memory; `None` if it is a file that has changed.
    ///
    /// # Errors
    /// The system's own.
    pub fn read_whole(&self, identity: &Identity) -> io::Result<Option<Bytes>> {
        match self {
            Content::Held(bytes) => Ok(Some(bytes.clone())),
            Content::OnDisk(file, _) => read_whole(file, identity),
        }
    }

    /// The bytes `start..end` of it.
    pub fn piece(&self, start: u64, end: u64) -> Piece {
        match self {
            Content::Held(bytes) => Piece::Bytes(bytes.slice(start as usize..end as usize)),
            Content::OnDisk(file, _) => Piece::File(FilePart {
                file: Arc::clone(file),
                range: start..end,
            }),
        }
    }

    /// Whether it is still what is said of it. A long file is looked at: it would be sent from the
    /// disk as it is this moment.
    pub fn stands(&self) -> bool {
        match self {
            Content::Held(_) => true,
            Content::OnDisk(file, identity) => {
                Identity::now(file).is_ok_and(|now| now == *identity)
            }
        }
    }
}

/// A file is written to after its time of change is set, and two changes in a row may set the same
/// time. So one that changed a moment ago is read twice: a writer that is at work shows.
fn read_whole(file: impl AsFd, identity: &Identity) -> io::Result<Option<Bytes>> {
    let bytes = read_once(&file, identity)?;
    if bytes.len() as u64 != identity.length || Identity::now(&file)? != *identity {
        return Ok(None);
    }
    if !identity.is_settled(SystemTime::now()) && read_once(&file, identity)? != bytes {
        return Ok(None);
    }
    Ok(Some(bytes.into()))
}

fn read_once(file: impl AsFd, identity: &Identity) -> io::Result<Vec<u8>> {
    // One byte more than there should be, to see a file that grows.
    let mut bytes = vec![0; identity.length as usize + 1];
    let mut filled = 0;
    while filled < bytes.len() {
        match rustix::io::pread(&file, &mut bytes[filled..], filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}
