//! What a power cut leaves behind is made fit to be opened: the torn end of the last write is cut off.
//!
//! Invariant: nothing that was acknowledged is cut off, and no damage is passed over. RocksDB alone does neither: in the strict
//! mode that is set it takes some torn ends for damage, and in every mode it passes over blocks of a log that read as zeros. See
//! docs/decisions/0022. The neighbour below judges one log; whoever calls this holds the lock of the store.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::record::{self, Log};
use crate::store::StoreError;

/// The file that every RocksDB database has: it names the manifest, which is the list of files.
pub(super) const CURRENT: &str = "CURRENT";

/// Looks through the logs of the database in `dir`, and cuts the torn end of the last write off.
pub(super) fn mend(dir: &Path) -> Result<(), StoreError> {
    let mut logs = logs(dir).map_err(unreadable)?;
    let newest = logs.pop();
    for older in &logs {
        // Before the next one was written, this one was closed, or mended by a start.
        match judge(older)? {
            Log::Torn(at) | Log::Damaged(at) => return Err(damaged(older, at)),
            Log::Whole | Log::Unknown(_) => {}
        }
    }
    let manifest = manifest(dir).map_err(unreadable)?;
    if manifest.is_none() && has_rows(dir).map_err(unreadable)? {
        // RocksDB would make a new database in its place, and remove the files of this one.
        let current = dir.join(CURRENT);
        return Err(StoreError::Corrupt(format!(
            "{} is missing, or the list of files that it names",
            current.display()
        )));
    }
    for last in newest.iter().chain(&manifest) {
        match judge(last)? {
            // It was synced before it came into force.
            Log::Torn(0) if manifest.as_ref() == Some(last) => return Err(damaged(last, 0)),
            Log::Torn(whole) => cut(last, whole).map_err(|error| StoreError::Unwritable(error.to_string()))?,
            Log::Damaged(at) => return Err(damaged(last, at)),
            // RocksDB knows, or says that it does not.
            Log::Whole | Log::Unknown(_) => {}
        }
    }
    Ok(())
}

/// The write-ahead logs in which something stands, oldest first.
pub(super) fn logs(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut logs = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".log")?.parse::<u64>().ok());
        if let Some(number) = number.filter(|_| entry.metadata().is_ok_and(|file| file.len() > 0)) {
            logs.push((number, entry.path()));
        }
    }
    logs.sort();
    Ok(logs.into_iter().map(|(_, path)| path).collect())
}

/// The manifest that is in force, if there is a database.
fn manifest(dir: &Path) -> io::Result<Option<PathBuf>> {
    match fs::read_to_string(dir.join(CURRENT)) {
        Ok(name) => Ok(Some(dir.join(name.trim_end())).filter(|path| path.is_file())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether rows stand in files that a new database would not know.
fn has_rows(dir: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(dir)? {
        if entry?.path().extension().is_some_and(|kind| kind == "sst") {
            return Ok(true);
        }
    }
    Ok(!logs(dir)?.is_empty())
}

fn judge(log: &Path) -> Result<Log, StoreError> {
    File::open(log).and_then(record::judge).map_err(unreadable)
}

fn cut(log: &Path, whole: u64) -> io::Result<()> {
    let file = File::options().write(true).open(log)?;
    let bytes = file.metadata()?.len() - whole;
    tracing::warn!(log = %log.display(), bytes, "the last write to the store was cut short, as by a power cut, and is taken back");
    file.set_len(whole)?;
    file.sync_all()
}

fn damaged(log: &Path, at: u64) -> StoreError {
    StoreError::Corrupt(format!("{} was not written like this from byte {at} on", log.display()))
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn unreadable(error: io::Error) -> StoreError {
    StoreError::Unreadable(error.to_string())
}
