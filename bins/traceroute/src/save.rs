//! The file that `--save` writes: whole or not at all.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use netio::icmp::open::words;
use tempfile::NamedTempFile;

/// As of any new file: what is left of this by the umask.
const MODE: u32 = 0o666;

/// A file that will be written at the end of a run.
#[derive(Debug)]
pub(crate) struct SaveFile {
    path: PathBuf,
    to: To,
}

#[derive(Debug)]
enum To {
    /// Beside the file, whose place it takes.
    Place(NamedTempFile, PathBuf),
    /// What is no ordinary file (a pipe, a terminal) is written to as it is.
    Through(File),
}

impl SaveFile {
    /// Finds out whether it can be written, before anything was probed.
    ///
    /// # Errors
    /// It cannot; in a line that names it.
    pub(crate) fn open(path: &Path) -> Result<SaveFile> {
        SaveFile::try_open(path).map_err(|error| anyhow!("{}: {}", path.display(), words(&error)))
    }

    fn try_open(path: &Path) -> io::Result<SaveFile> {
        // A link stays one: it is the file behind it that is replaced.
        let place = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let is_special = fs::metadata(&place).is_ok_and(|found| !found.is_file());
        let to = if is_special {
            To::Through(File::options().write(true).open(path)?)
        } else {
            let parent = place.parent().filter(|it| !it.as_os_str().is_empty());
            let beside = tempfile::Builder::new()
                .permissions(Permissions::from_mode(MODE))
                .tempfile_in(parent.unwrap_or(Path::new(".")))?;
            To::Place(beside, place)
        };
        Ok(SaveFile {
            path: path.to_owned(),
            to,
        })
    }

    /// Writes the file.
    ///
    /// # Errors
    /// That failed, and what was there before is still there.
    pub(crate) fn write(self, bytes: &[u8]) -> Result<()> {
        let written = match self.to {
            To::Through(mut file) => file.write_all(bytes),
            To::Place(mut beside, place) => beside
                .write_all(bytes)
                .and_then(|()| beside.persist(place).map_err(|error| error.error))
                .map(|_| ()),
        };
        written.map_err(|error| anyhow!("cannot write {}: {}", self.path.display(), words(&error)))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_is_replaced_at_the_end_a_link_stays_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let [file, link] = ["file", "link"].map(|name| folder.path().join(name));
        fs::write(&file, "before").unwrap();
        symlink(&file, &link).unwrap();
        let saved = SaveFile::open(&link).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "before");
        saved.write(b"now").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "now");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        // One that is given up leaves what was there.
        drop(SaveFile::open(&file).unwrap());
        assert_eq!(fs::read_to_string(&file).unwrap(), "now");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_is_no_ordinary_file_is_written_to_and_not_replaced() {
        SaveFile::open(Path::new("/dev/null"))
            .unwrap()
            .write(b"x")
            .unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named_at_once() {
        let error = SaveFile::open(Path::new("/nowhere/at/all")).unwrap_err();
        assert_eq!(
            format!("{error:#}"),
            "/nowhere/at/all: No such file or directory"
        );
    }
}
