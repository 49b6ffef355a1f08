//! Disk space that is held for the day on which the disk is full: given up then, it lets the store be opened and written again,
//! so that people can still log out and the audit trail is told why.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nix::fcntl::posix_fallocate;
use nix::sys::statvfs::statvfs;

/// What is held. Opening the store takes less than a tenth of it.
const BYTES: u64 = 16 * 1024 * 1024;

/// Nothing is held on a disk that would not have so many times more.
const SHARE: u64 = 8;

/// The file that takes the space.
pub(super) struct Ballast {
    path: PathBuf,
}

impl Ballast {
    /// The ballast in a directory.
    pub(super) fn in_directory(dir: &Path) -> Self {
        Self { path: dir.join("ballast") }
    }

    /// Takes the space, if it is not taken yet and there is plenty.
    pub(super) fn take(&self) {
        let dir = self.path.parent().unwrap_or(Path::new("/"));
        let free = statvfs(dir).map_or(0, |disk| disk.blocks_available() * disk.fragment_size());
        // A crash may have left a part of it.
        if free < BYTES * SHARE || self.space() >= BYTES {
            return;
        }
        if let Err(error) = self.write() {
            let _ = fs::remove_file(&self.path);
            tracing::warn!(%error, "no disk space can be held for the day on which the disk is full");
        }
    }

    /// The space that is held.
    pub(super) fn space(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |file| file.len())
    }

    /// Gives the space up; whether there was any.
    pub(super) fn drop_it(&self) -> bool {
        fs::remove_file(&self.path).is_ok()
    }

    fn write(&self) -> io::Result<()> {
        let file: File = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&self.path)?;
        let bytes = i64::try_from(BYTES).map_err(io::Error::other)?;
        posix_fallocate(file.as_fd(), 0, bytes)?;
        file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn space_is_taken_once_and_given_up_once() {
        let dir = tempfile::tempdir().unwrap();
        let ballast = Ballast::in_directory(dir.path());
        fs::write(dir.path().join("ballast"), "a part of it").unwrap();
        ballast.take();
        ballast.take();
        assert!(fs::metadata(dir.path().join("ballast")).unwrap().blocks() * 512 >= BYTES);
        assert_eq!(ballast.space(), BYTES);
        assert!(ballast.drop_it());
        assert_eq!(ballast.space(), 0);
        assert!(!ballast.drop_it());
    }
}
