//! What is kept of a database before it is changed to another schema: a checkpoint beside it, for the way back.
//!
//! A checkpoint is a database of its own whose files are links to those of the other, so it takes room only as the other
//! changes. Its name is there once it is whole: `store-schema-1` beside `store`.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use nix::sys::statvfs::statvfs;
use tokenkeeper_protocol::UnixSeconds;

use super::database::Database;
use super::disk::BLOCK_BYTES;
use super::open::DIRECTORY_MODE;
use crate::store::{SCHEMA, StoreError};

/// The files of a database are written anew while it is changed, and once more when RocksDB tidies up.
const TIMES: u64 = 2;

/// The copies of the database in `dir`.
pub(super) struct Copies<'a> {
    pub(super) dir: &'a Path,
}

impl Copies<'_> {
    /// Where the copy of a schema is, or would be.
    pub(super) fn path(&self, schema: u32) -> PathBuf {
        let mut name = self.dir.file_name().unwrap_or_default().to_owned();
        name.push(format!("-schema-{schema}"));
        self.dir.with_file_name(name)
    }

    /// Keeps `database` as it is now; a copy that is there is of another time.
    pub(super) fn take(&self, database: &Database, schema: u32) -> Result<PathBuf, StoreError> {
        let path = self.path(schema);
        let failed = |why: String| StoreError::NotKept { path: path.clone(), why };
        if path.is_dir() {
            fs::remove_dir_all(&path).map_err(|error| failed(error.to_string()))?;
        }
        let (need, free) = (TIMES * space(self.dir, |_| true), free(self.dir));
        if free < need {
            let told = |bytes: u64| bytes.div_ceil(1_000_000);
            return Err(failed(format!("the disk has {} MB free, and it takes {} MB", told(free), told(need))));
        }
        database.checkpoint(&path).map_err(failed)?;
        let sync = || {
            fs::set_permissions(&path, Permissions::from_mode(DIRECTORY_MODE))?;
            File::open(&path)?.sync_all()?;
            path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
        };
        sync().map_err(|error: io::Error| failed(error.to_string()))?;
        Ok(path)
    }

    /// The newest copy of a schema up to `known`.
    pub(super) fn newest(&self, known: u32) -> Option<PathBuf> {
        (1..=known).rev().map(|schema| self.path(schema)).find(|path| path.is_dir())
    }

    /// Removes every copy there is, whole or not: nothing of a user who is erased may stay in one.
    pub(super) fn remove_all(&self) -> Result<(), StoreError> {
        let mut removed = false;
        for path in (1..SCHEMA).flat_map(|schema| [self.path(schema), self.unfinished(schema)]) {
            match fs::remove_dir_all(&path) {
                Ok(()) => removed = true,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    return Err(StoreError::Unwritable(format!(
                        "what was kept of the store of before in {} cannot be removed: {error}",
                        path.display()
                    )));
                }
            }
            tracing::warn!(path = %path.display(), "removed what was kept of the store of before: a user is erased");
        }
        let parent = self.dir.parent().filter(|_| removed);
        let synced = parent.map_or(Ok(()), |parent| File::open(parent)?.sync_all());
        synced.map_err(|error| StoreError::Unwritable(error.to_string()))
    }

    /// Where RocksDB makes a copy that is not whole yet.
    fn unfinished(&self, schema: u32) -> PathBuf {
        let mut path = self.path(schema).into_os_string();
        path.push(".tmp");
        path.into()
    }

    /// Removes the copies of schemas before `schema` that were taken before `time`.
    pub(super) fn forget(&self, schema: u32, time: UnixSeconds) {
        let time = UNIX_EPOCH + Duration::from_secs(u64::try_from(time.0).unwrap_or(0));
        for path in (1..schema).map(|schema| self.path(schema)) {
            let taken = fs::symlink_metadata(&path).ok().filter(fs::Metadata::is_dir).and_then(|it| it.modified().ok());
            if taken.is_some_and(|taken| taken < time) {
                match fs::remove_dir_all(&path) {
                    Ok(()) => tracing::info!(path = %path.display(), "removed what was kept of the store of before"),
                    Err(error) => tracing::error!(path = %path.display(), %error, "an old copy cannot be removed"),
                }
            }
        }
    }

    /// The room that the copies of schemas before `schema` take by themselves.
    pub(super) fn space(&self, schema: u32) -> u64 {
        (1..schema).map(|schema| space(&self.path(schema), |file| file.nlink() == 1)).sum()
    }
}

/// The disk space of the files in `dir` that count; one that vanishes meanwhile counts nothing.
pub(super) fn space(dir: &Path, counts: impl Fn(&fs::Metadata) -> bool) -> u64 {
    let files = fs::read_dir(dir).into_iter().flatten().flatten().filter_map(|entry| entry.metadata().ok());
    files.filter(counts).map(|file| file.blocks() * BLOCK_BYTES).sum()
}

fn free(dir: &Path) -> u64 {
    statvfs(dir).map_or(u64::MAX, |disk| disk.blocks_available() * disk.fragment_size())
}
