//! A file that appears all at once: whoever looks sees the old one or the new one, and never a part.
//!
//! Invariant: a command that is interrupted leaves nothing behind. Until it is whole, the file has no name, wherever the file
//! system can do that.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::libc::O_TMPFILE;
use nix::unistd::linkat;

use crate::failure::Failure;

/// Where a file without a name can be named by its descriptor.
const DESCRIPTORS: &str = "/proc/self/fd";

/// Has a file filled, and puts it into the place of `path` once all of it is on the disk.
pub(crate) fn replace<T>(
    path: &Path,
    mode: u32,
    fill: impl FnOnce(&mut File) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let failed = |source| Failure::File { path: path.to_owned(), source };
    let mut fresh = Fresh::beside(path, mode).map_err(failed)?;
    let done = fill(&mut fresh.file)?;
    fresh.move_to(path, mode).map_err(failed)?;
    Ok(done)
}

/// The same with something that is there already.
pub(crate) fn replace_with(path: &Path, mode: u32, bytes: &[u8]) -> Result<(), Failure> {
    replace(path, mode, |file| file.write_all(bytes).map_err(|source| Failure::File { path: path.to_owned(), source }))
}

/// A file that is not in its place yet. Dropped before that, it is gone.
struct Fresh {
    file: File,
    /// What it is called meanwhile, and whether it has that name already.
    beside: PathBuf,
    is_named: bool,
}

impl Fresh {
    fn beside(path: &Path, mode: u32) -> io::Result<Self> {
        let wrong = |words| io::Error::new(ErrorKind::InvalidInput, words);
        let name = path.file_name().ok_or_else(|| wrong("this is no name of a file"))?;
        if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
            return Err(wrong("what is there is no ordinary file"));
        }
        // Collectors of text files leave out what does not end in .prom.
        let mut hidden = OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}", std::process::id()));
        let beside = path.with_file_name(hidden);
        let mut nameless = OpenOptions::new();
        nameless.write(true).mode(mode).custom_flags(O_TMPFILE);
        // Without that directory it could not be named in the end.
        if Path::new(DESCRIPTORS).is_dir()
            && let Ok(file) = nameless.open(directory_of(path))
        {
            return Ok(Self { file, beside, is_named: false });
        }
        // A file that is there already, or a link that somebody has laid there, is not written to.
        let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
        Ok(Self { file, beside, is_named: true })
    }

    fn move_to(mut self, path: &Path, mode: u32) -> io::Result<()> {
        self.file.set_permissions(Permissions::from_mode(mode))?;
        self.file.sync_all()?;
        if !self.is_named {
            let nameless = format!("{DESCRIPTORS}/{}", self.file.as_raw_fd());
            linkat(AT_FDCWD, nameless.as_str(), AT_FDCWD, self.beside.as_path(), AtFlags::AT_SYMLINK_FOLLOW)?;
            self.is_named = true;
        }
        fs::rename(&self.beside, path)?;
        self.is_named = false;
        File::open(directory_of(path))?.sync_all()
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if self.is_named {
            // What is wrong is told; a file that cannot be removed either changes nothing about it.
            let _ = fs::remove_file(&self.beside);
        }
    }
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<OsString> {
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_gets_the_mode_it_should_have() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokenkeeper.prom");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        replace_with(&path, 0o644, b"new\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(names(dir.path()), ["tokenkeeper.prom"]);
    }

    #[test]
    fn while_it_is_written_the_old_one_is_there_and_nothing_beside_it() {
        // In memory, where files need no name.
        let dir = tempfile::tempdir_in("/dev/shm").unwrap();
        let path = dir.path().join("x.age");
        fs::write(&path, "old").unwrap();
        let broken = replace(&path, 0o600, |file| -> Result<(), Failure> {
            file.write_all(b"half").unwrap();
            assert_eq!(names(dir.path()), ["x.age"], "whoever kills the command now leaves nothing");
            Err(Failure::Interrupted)
        });
        assert!(broken.is_err());
        assert_eq!((names(dir.path()), fs::read_to_string(&path).unwrap()), (vec!["x.age".into()], "old".to_owned()));
    }

    #[test]
    fn what_cannot_be_put_in_place_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let taken = dir.path().join("taken");
        fs::create_dir(&taken).unwrap();
        for wrong in [taken.as_path(), Path::new("/"), Path::new("/dev/null")] {
            assert!(replace_with(wrong, 0o644, b"new\n").is_err(), "{wrong:?}");
        }
        assert_eq!(names(dir.path()), ["taken"]);
    }
}
