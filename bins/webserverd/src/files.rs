//! Files below the root, and nothing else: no path leads out of it, through no symlink, and none
//! to what is hidden or is not a regular file.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    FileType, Mode, OFlags, RawMode, ResolveFlags, Stat, fstat, open, openat, openat2,
};
use rustix::io::Errno;

/// Opened without following a symlink, without waiting for the other end of a pipe, without taking
/// a terminal.
const READ: OFlags = OFlags::RDONLY
    .union(OFlags::CLOEXEC)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY);

/// Opens the folder that is to be served.
pub fn open_root(path: &Path) -> io::Result<OwnedFd> {
    let root = open(
        path,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    Ok(root)
}

/// What a path names.
#[derive(Debug)]
pub enum Found {
    /// A regular file, open, and what it is.
    File(OwnedFd, Identity),
    /// A folder.
    Folder,
    /// Nothing that is shown: absent, hidden, or no regular file.
    Nothing,
    /// Something that is there but may not be read: a symlink, or for want of permission.
    Refused,
}

/// What tells one state of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The file system's number for it.
    pub inode: u64,
    /// Its length in bytes.
    pub length: u64,
    /// When its content changed: seconds since 1970, and nanoseconds within the second.
    pub modified: (i64, u32),
    /// When anything about it changed.
    changed: (i64, u32),
}

impl Identity {
    fn of(stat: &Stat) -> Identity {
        Identity {
            inode: stat.st_ino,
            length: stat.st_size.unsigned_abs(),
            modified: (stat.st_mtime, stat.st_mtime_nsec as u32),
            changed: (stat.st_ctime, stat.st_ctime_nsec as u32),
        }
    }

    /// As `file` is now.
    pub fn now(file: impl AsFd) -> io::Result<Identity> {
        Ok(Identity::of(&fstat(file)?))
    }
}

/// Opens what `path` names below `root`. The path is decoded, begins with a slash and has no dot
/// segments left (`netproto::http::target::file_path`).
///
/// # Errors
/// The system's own, such as a lack of descriptors: the request is not to blame.
pub fn find(root: BorrowedFd<'_>, path: &str) -> io::Result<Found> {
    if path.split('/').any(|segment| segment.starts_with('.')) {
        return Ok(Found::Nothing);
    }
    let below = path.trim_matches('/');
    let below = if below.is_empty() { "." } else { below };
    let file = match open_beneath(root, below) {
        Ok(file) => file,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::NXIO | Errno::ILSEQ) => {
            return Ok(Found::Nothing);
        }
        Err(Errno::LOOP | Errno::XDEV | Errno::ACCESS | Errno::PERM) => return Ok(Found::Refused),
        Err(error) => return Err(error.into()),
    };
    let stat = fstat(&file)?;
    Ok(match FileType::from_raw_mode(stat.st_mode as RawMode) {
        FileType::Directory => Found::Folder,
        // A file is no folder: `/index.html/` names nothing.
        FileType::RegularFile if !path.ends_with('/') => Found::File(file, Identity::of(&stat)),
        _ => Found::Nothing,
    })
}

fn open_beneath(root: BorrowedFd<'_>, below: &str) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match openat2(root, below, READ, Mode::empty(), resolve) {
        // A kernel before 5.6, or a sandbox that does not know the call.
        Err(Errno::NOSYS | Errno::PERM) => walk(root, below),
        result => result,
    }
}

/// The same, one segment at a time.
fn walk(root: BorrowedFd<'_>, below: &str) -> Result<OwnedFd, Errno> {
    let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut held = openat(root, ".", folder, Mode::empty())?;
    let mut segments = below
        .split('/')
        .filter(|segment| !segment.is_empty())
        .peekable();
    while let Some(segment) = segments.next() {
        if segment == ".." {
            return Err(Errno::XDEV);
        }
        if segments.peek().is_none() {
            return openat(&held, segment, READ, Mode::empty());
        }
        held = openat(&held, segment, folder, Mode::empty())?;
    }
    openat(root, ".", READ, Mode::empty())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    fn site() -> (TempDir, OwnedFd) {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("sub")).unwrap();
        fs::write(root.join("a.txt"), "inside").unwrap();
        fs::write(root.join("sub/b.txt"), "below").unwrap();
        fs::write(root.join(".hidden"), "hidden").unwrap();
        fs::write(dir.path().join("secret"), "outside").unwrap();
        symlink("../secret", root.join("out")).unwrap();
        symlink("a.txt", root.join("in")).unwrap();
        symlink("..", root.join("up")).unwrap();
        let fd = open_root(&root).unwrap();
        (dir, fd)
    }

    fn kind(found: &Found) -> &'static str {
        match found {
            Found::File(..) => "file",
            Found::Folder => "folder",
            Found::Nothing => "nothing",
            Found::Refused => "refused",
        }
    }

    #[test]
    fn only_regular_files_below_the_root_are_found() {
        let (dir, root) = site();
        rustix::fs::mknodat(&root, "pipe", FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        for (path, expected) in [
            ("/", "folder"),
            ("/a.txt", "file"),
            ("/a.txt/", "nothing"),
            ("/sub", "folder"),
            ("/sub/", "folder"),
            ("/sub/b.txt", "file"),
            ("/sub//b.txt", "file"),
            ("/absent", "nothing"),
            ("/a.txt/b", "nothing"),
            ("/.hidden", "nothing"),
            ("/../secret", "nothing"),
            ("/sub/../../secret", "nothing"),
            ("/out", "refused"),
            ("/in", "refused"),
            ("/up/secret", "refused"),
            ("/pipe", "nothing"),
        ] {
            let found = find(root.as_fd(), path).unwrap();
            assert_eq!(kind(&found), expected, "{path}");
        }
        drop(dir);
    }

    #[test]
    fn the_walk_refuses_what_openat2_refuses() {
        let (_dir, root) = site();
        for path in [
            ".",
            "a.txt",
            "sub",
            "sub/b.txt",
            "absent",
            "a.txt/b",
            "out",
            "in",
            "up/secret",
        ] {
            let by_call = open_beneath(root.as_fd(), path);
            let by_walk = walk(root.as_fd(), path);
            assert_eq!(
                by_call.is_ok(),
                by_walk.is_ok(),
                "{path}: {by_call:?} {by_walk:?}"
            );
        }
        assert!(walk(root.as_fd(), "../secret").is_err());
        assert!(walk(root.as_fd(), "sub/../../secret").is_err());
    }
}
