//! Reading a folder.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, RawMode, statat};

use crate::files::{self, Found, Identity, Visibility};

/// How many entries are shown of a folder; of a larger one, those that the system names first.
pub(super) const MOST_ENTRIES: usize = 10_000;

/// A folder as it was when it was read.
#[derive(Debug)]
pub(super) struct Folder {
    /// Its path below the root, with a slash at both ends.
    pub(super) path: String,
    /// Folders first, then files, each in the order of their names.
    pub(super) entries: Vec<Entry>,
    /// Whether it holds more than [`MOST_ENTRIES`].
    pub(super) is_cut: bool,
}

/// What is in a folder.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its name, in whatever bytes that is.
    pub(super) name: Vec<u8>,
    /// How long a file is, in bytes; `None` for a folder.
    pub(super) length: Option<u64>,
    /// When it last changed, in seconds since 1970.
    pub(super) modified: i64,
}

impl Entry {
    /// Whether it is a folder.
    pub(super) fn is_folder(&self) -> bool {
        self.length.is_none()
    }
}

impl Folder {
    /// What is in `folder`, which is at `path` below `root`.
    ///
    /// # Errors
    /// The system's own.
    pub(super) fn read(
        root: &OwnedFd,
        folder: &OwnedFd,
        path: String,
        visible: Visibility,
    ) -> io::Result<Folder> {
        let mut entries = Vec::new();
        let mut is_cut = false;
        for entry in Dir::read_from(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") || (name.starts_with(b".") && !visible.dotfiles) {
                continue;
            }
            if entries.len() == MOST_ENTRIES {
                is_cut = true;
                break;
            }
            entries.extend(look(root, folder, &path, name, visible));
        }
        entries.sort_by_cached_key(|entry| {
            let name = String::from_utf8_lossy(&entry.name).to_lowercase();
            (!entry.is_folder(), name, entry.name.clone())
        });
        Ok(Folder {
            path,
            entries,
            is_cut,
        })
    }
}

/// What `name` is; nothing if it would not be served either.
fn look(
    root: &OwnedFd,
    folder: &OwnedFd,
    path: &str,
    name: &[u8],
    visible: Visibility,
) -> Option<Entry> {
    let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    let (length, modified) = match FileType::from_raw_mode(stat.st_mode as RawMode) {
        FileType::RegularFile => (Some(stat.st_size.unsigned_abs()), stat.st_mtime),
        FileType::Directory => (None, stat.st_mtime),
        FileType::Symlink if visible.symlinks => {
            let target = format!("{path}{}", str::from_utf8(name).ok()?);
            match files::find(root.as_fd(), &target, visible).ok()? {
                Found::File(_, identity) => (Some(identity.length), identity.modified.0),
                Found::Folder(target) => (None, Identity::now(target).ok()?.modified.0),
                Found::Nothing | Found::Refused => return None,
            }
        }
        _ => return None,
    };
    Some(Entry {
        name: name.to_vec(),
        length,
        modified,
    })
}
