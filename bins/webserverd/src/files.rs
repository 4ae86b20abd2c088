//! Files below the root, and nothing else: no path leads out of it, and none to what is no regular
//! file. What is hidden, and symlinks, are shown only if the operator says so.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{
    FileType, Mode, OFlags, RawMode, ResolveFlags, Stat, fstat, open, openat, openat2,
};
use rustix::io::Errno;

/// Opened without waiting for the other end of a pipe, without taking a terminal.
const READ: OFlags = OFlags::RDONLY
    .union(OFlags::CLOEXEC)
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

/// What of the files below the root is shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Visibility {
    /// Also names that begin with a dot.
    pub dotfiles: bool,
    /// Also what symlinks lead to, as long as that is below the root. An absolute symlink leads
    /// out of it, wherever it points.
    pub symlinks: bool,
}

/// What a path names.
#[derive(Debug)]
pub enum Found {
    /// A regular file, open, and what it is.
    File(OwnedFd, Identity),
    /// A folder, open.
    Folder(OwnedFd),
    /// Nothing that is shown: absent, hidden, or no regular file.
    Nothing,
    /// Something that is there but may not be read: a symlink, or for want of permission.
    Refused,
}

/// What tells one state of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The file system that it is on.
    device: u64,
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
            device: stat.st_dev,
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

    /// Whether it has stood so long that another change would show in its times.
    pub fn is_settled(&self, now: SystemTime) -> bool {
        let (seconds, nanoseconds) = self.changed;
        let changed = Duration::new(seconds.max(0).unsigned_abs(), nanoseconds);
        let age = now.duration_since(UNIX_EPOCH + changed);
        age.is_ok_and(|age| age > COARSEST_TIME)
    }
}

/// The times of the coarsest file systems count in steps of this length.
const COARSEST_TIME: Duration = Duration::from_secs(2);

/// Opens what `path` names below `root`. The path is decoded, begins with a slash and has no dot
/// segments left (`netproto::http::target::file_path`).
///
/// # Errors
/// The system's own, such as a lack of descriptors: the request is not to blame.
pub fn find(root: BorrowedFd<'_>, path: &str, visible: Visibility) -> io::Result<Found> {
    if !visible.dotfiles && path.split('/').any(|segment| segment.starts_with('.')) {
        return Ok(Found::Nothing);
    }
    let below = path.trim_matches('/');
    let below = if below.is_empty() { "." } else { below };
    let file = match open_beneath(root, below, visible) {
        Ok(file) => file,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::NXIO | Errno::ILSEQ) => {
            return Ok(Found::Nothing);
        }
        Err(Errno::LOOP | Errno::XDEV | Errno::ACCESS | Errno::PERM) => return Ok(Found::Refused),
        Err(error) => return Err(error.into()),
    };
    let stat = fstat(&file)?;
    Ok(match FileType::from_raw_mode(stat.st_mode as RawMode) {
        FileType::Directory => Found::Folder(file),
        // A file is no folder: `/index.html/` names nothing.
        FileType::RegularFile if !path.ends_with('/') => Found::File(file, Identity::of(&stat)),
        _ => Found::Nothing,
    })
}

fn open_beneath(root: BorrowedFd<'_>, below: &str, visible: Visibility) -> Result<OwnedFd, Errno> {
    let mut resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    if !visible.symlinks {
        resolve |= ResolveFlags::NO_SYMLINKS;
    }
    match openat2(root, below, READ, Mode::empty(), resolve) {
        // A kernel before 5.6, or a sandbox that does not know the call. The walk follows no
        // symlinks: nothing would tell it where they lead.
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
            return openat(&held, segment, READ | OFlags::NOFOLLOW, Mode::empty());
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
            Found::Folder(_) => "folder",
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
            let found = find(root.as_fd(), path, Visibility::default()).unwrap();
            assert_eq!(kind(&found), expected, "{path}");
        }
        drop(dir);
    }

    #[test]
    fn symlinks_and_hidden_files_are_shown_only_below_the_root() {
        let (dir, root) = site();
        symlink(
            dir.path().join("root/a.txt"),
            dir.path().join("root/absolute"),
        )
        .unwrap();
        symlink("loop", dir.path().join("root/loop")).unwrap();
        symlink("sub", dir.path().join("root/folder")).unwrap();
        let all = Visibility {
            dotfiles: true,
            symlinks: true,
        };
        for (path, expected) in [
            ("/.hidden", "file"),
            ("/in", "file"),
            ("/folder", "folder"),
            ("/folder/b.txt", "file"),
            ("/out", "refused"),
            ("/up/secret", "refused"),
            ("/up/root/a.txt", "refused"),
            ("/absolute", "refused"),
            ("/loop", "refused"),
        ] {
            let found = find(root.as_fd(), path, all).unwrap();
            assert_eq!(kind(&found), expected, "{path}");
        }
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
            let by_call = open_beneath(root.as_fd(), path, Visibility::default());
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
