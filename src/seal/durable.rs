//! Small files that must survive a power cut: written beside their place, synced, put in place in one step.
//!
//! Invariant: whoever opens the path sees one whole content or the other (or none), and after `Ok` the new one stays. What was replaced is
//! overwritten: these files hold keys, and a block that is free again keeps what was written to it.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, lchown};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use nix::fcntl::OFlag;

use super::key::fill_random;
use crate::failpoint::failpoint;

/// Random bytes in the name of a file that is on its way to its place.
const RANDOM: usize = 8;

/// Puts `bytes` at `path` with exactly these permission bits; [`io::ErrorKind::AlreadyExists`] if something is there.
pub fn create_durably(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let staged = stage(path, bytes, mode)?;
    // Unlike a rename, a link never replaces anything.
    let linked = fs::hard_link(&staged, path);
    discard(&staged);
    linked?;
    sync_directory(path)
}

/// Puts `bytes` in the place of the file at `path`, with its permission bits and its owner, and overwrites what was there. On an error the
/// old content stands.
pub fn replace_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let old = fs::symlink_metadata(path)?;
    if !old.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file"));
    }
    let staged = stage(path, bytes, old.mode() & 0o7777)?;
    // Root writes for the user of the daemon, who goes on as its owner.
    let kept = fs::symlink_metadata(&staged).and_then(|new| {
        let is_its_own = (new.uid(), new.gid()) == (old.uid(), old.gid());
        if is_its_own { Ok(()) } else { lchown(&staged, Some(old.uid()), Some(old.gid())) }
    });
    let replaced = open_to_wipe(path);
    failpoint!("file.staged");
    kept.and_then(|()| fs::rename(&staged, path)).inspect_err(|_| discard(&staged))?;
    failpoint!("file.renamed");
    sync_directory(path)?;
    wipe(replaced);
    Ok(())
}

/// Removes a file, and overwrites what was in it.
pub fn remove_wiped(path: &Path) -> io::Result<()> {
    let removed = open_to_wipe(path);
    fs::remove_file(path)?;
    sync_directory(path)?;
    wipe(removed);
    Ok(())
}

/// Removes what was left beside `path` by somebody who was killed on the way to putting something there: it may hold keys. Not while
/// somebody else is on that way.
pub fn remove_leftovers(path: &Path) -> io::Result<()> {
    let Some(name) = path.file_name().and_then(OsStr::to_str) else { return Ok(()) };
    let is_random = |end: &str| end.len() == 2 * RANDOM && end.bytes().all(|byte| byte.is_ascii_hexdigit());
    let directory = match fs::read_dir(directory_of(path)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        directory => directory?,
    };
    for entry in directory {
        let entry = entry?;
        let found = entry.file_name();
        let end = found.to_str().and_then(|found| found.strip_prefix('.')?.strip_prefix(name)?.strip_prefix('.'));
        if end.is_some_and(is_random) && !entry.file_type()?.is_dir() {
            remove_wiped(&entry.path())?;
        }
    }
    Ok(())
}

/// Puts `bytes` at `path`, in the place of what is there. For the one process that writes it: nothing piles up beside it when
/// that is killed, however often.
pub fn put_durably(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut staged = path.as_os_str().to_owned();
    staged.push(".new");
    let staged = PathBuf::from(staged);
    discard(&staged);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&staged)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).inspect_err(|_| discard(&staged))?;
    failpoint!("anchor.staged");
    fs::rename(&staged, path).inspect_err(|_| discard(&staged))?;
    failpoint!("anchor.renamed");
    sync_directory(path)
}

/// A synced file with the content, beside its later place and under a name nobody else uses.
fn stage(path: &Path, bytes: &[u8], mode: u32) -> io::Result<PathBuf> {
    let staged = staging_path(path)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&staged)?;
    let written = file
        .write_all(bytes)
        // The umask may have taken bits away.
        .and_then(|()| file.set_permissions(Permissions::from_mode(mode)))
        .and_then(|()| file.sync_all());
    written.inspect_err(|_| discard(&staged))?;
    Ok(staged)
}

fn staging_path(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut random = [0; RANDOM];
    fill_random(&mut random);
    let mut staged = OsString::from(".");
    staged.push(name);
    staged.push(format!(".{}", HEXLOWER.encode(&random)));
    Ok(path.with_file_name(staged))
}

/// For whoever removes its name next. In the directory of somebody else it may be anything: not waited for, and not followed.
fn open_to_wipe(path: &Path) -> io::Result<File> {
    File::options().read(true).custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits()).open(path)
}

/// Overwrites a file that has no name any more. Where that does not work, its blocks are as those of any file that was removed.
fn wipe(file: io::Result<File>) {
    let _ = file.and_then(|file| {
        let found = file.metadata()?;
        // Somebody has linked it elsewhere, to keep it.
        if found.nlink() > 0 || !found.is_file() {
            return Ok(());
        }
        // It may be one that not even its owner may write.
        file.set_permissions(Permissions::from_mode(0o600))?;
        let mut file = OpenOptions::new().write(true).open(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
        io::copy(&mut io::repeat(0).take(found.len()), &mut file)?;
        file.sync_all()
    });
}

/// Removes what is of no use any more. If that fails, the error that led here is the one to tell.
fn discard(staged: &Path) {
    let _ = fs::remove_file(staged);
}

/// A name is durable only when its directory is.
fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(directory_of(path))?.sync_all()
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dir: &Path) -> Vec<OsString> {
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_file_that_exists_is_not_created_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity");
        create_durably(&path, b"first", 0o400).unwrap();
        assert_eq!(create_durably(&path, b"second", 0o400).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(mode(&path), 0o400);
        assert_eq!(names(dir.path()), ["identity"]);
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_stays_as_closed_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keyring.age");
        assert_eq!(replace_durably(&path, b"new").unwrap_err().kind(), io::ErrorKind::NotFound);
        create_durably(&path, b"old", 0o600).unwrap();
        replace_durably(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(mode(&path), 0o600);
        assert_eq!(names(dir.path()), ["keyring.age"]);
    }

    #[test]
    fn what_was_replaced_or_removed_is_overwritten_unless_it_is_kept_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        let (path, link) = (dir.path().join("identity"), dir.path().join("link"));
        let content = |mut file: File| {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).map(|_| bytes).unwrap()
        };
        create_durably(&path, b"first", 0o400).unwrap();
        let first = File::open(&path).unwrap();
        replace_durably(&path, b"second").unwrap();
        assert_eq!((content(first), mode(&path)), (vec![0; 5], 0o400));

        fs::hard_link(&path, &link).unwrap();
        replace_durably(&path, b"third").unwrap();
        assert_eq!(fs::read(&link).unwrap(), b"second");

        let third = File::open(&path).unwrap();
        remove_wiped(&path).unwrap();
        assert_eq!((content(third), path.exists()), (vec![0; 5], false));
    }

    #[test]
    fn what_somebody_left_who_was_killed_is_removed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keyring.age");
        create_durably(&path, b"current", 0o600).unwrap();
        let left = stage(&path, b"of before", 0o600).unwrap();
        let kept = File::open(&left).unwrap();
        // Killed between the link and the removal: the same file by two names.
        fs::hard_link(&path, staging_path(&path).unwrap()).unwrap();
        let others = [".keyring.age.old", ".identity.0123456789abcdef", ".keyring.age.0123456789abcdeg"];
        for name in others {
            fs::write(dir.path().join(name), b"of somebody else").unwrap();
        }
        remove_leftovers(&path).unwrap();
        let mut expected: Vec<_> = others.into_iter().chain(["keyring.age"]).map(OsString::from).collect();
        let mut found = names(dir.path());
        expected.sort();
        found.sort();
        assert_eq!(found, expected);
        assert_eq!(fs::read(&path).unwrap(), b"current");
        let mut bytes = Vec::new();
        { kept }.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, [0; 9]);
        remove_leftovers(&dir.path().join("nowhere/identity")).unwrap();
    }

    #[test]
    fn what_is_put_replaces_what_was_there_and_what_a_crash_left() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("anchor");
        fs::write(dir.path().join("anchor.new"), b"half").unwrap();
        for content in [&b"first"[..], b"second"] {
            put_durably(&path, content, 0o600).unwrap();
            assert_eq!(fs::read(&path).unwrap(), content);
        }
        assert_eq!((mode(&path), names(dir.path())), (0o600, vec!["anchor".into()]));
    }

    #[test]
    fn a_write_that_fails_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("taken");
        fs::create_dir(&path).unwrap();
        assert!(create_durably(&path, b"new", 0o600).is_err());
        assert_eq!(names(dir.path()), ["taken"]);
        assert!(create_durably(&dir.path().join("missing/keyring.age"), b"new", 0o600).is_err());
    }
}
