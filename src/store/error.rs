//! What can go wrong with the store. No message holds the value of a row.

use std::io;
use std::path::PathBuf;

use super::Table;

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A row is not in the version that the batch builds on: read again, decide again.
    #[error("a row of {table} was changed by somebody else in the meantime")]
    Conflict {
        /// Where.
        table: Table,
    },
    /// Another process has the store open: stop it, or use another directory.
    #[error("the store {dir} is in use by another process; stop the other tokenkeeperd, or set another state_dir")]
    Locked {
        /// The store.
        dir: PathBuf,
    },
    /// A newer version of this program wrote the store: install that version, or go back to what was kept.
    #[error(
        "the store has schema {found}, written by {writer}, and this is tokenkeeperd {version}, which knows schemas up to {known}; nothing was changed. Install {writer} again, {way_back}"
    )]
    NewerSchema {
        /// As the store says.
        found: u32,
        /// The newest this version knows.
        known: u32,
        /// Who wrote it.
        writer: String,
        /// This version.
        version: &'static str,
        /// What else can be done, step by step.
        way_back: String,
    },
    /// The store has to be changed to another schema, and cannot be kept as it is before that: make room.
    #[error(
        "the store is of an older version, and before it is changed a copy is kept in {path}, which cannot be made: {why}. The store is as it was; make room on its disk and start the daemon again"
    )]
    NotKept {
        /// Where the copy would be.
        path: PathBuf,
        /// What happened.
        why: String,
    },
    /// The directory of the store cannot be made or entered: correct it.
    #[error("the store directory {dir} cannot be created or entered: {source}; check its owner and the free space")]
    Directory {
        /// The store.
        dir: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A write did not reach the disk. Whether a part of it did is not known, so nothing is written any more until the
    /// database was opened anew, which happens by itself once the disk takes writes.
    #[error("the store cannot be written ({0}); check the disk and its free space: it is tried again by itself")]
    Unwritable(String),
    /// The disk does not give the data back.
    #[error("the store cannot be read ({0}); check the disk")]
    Unreadable(String),
    /// The data is not what was written: restore a backup.
    #[error("the store is damaged ({0}); keep a copy of its directory, then restore a backup")]
    Corrupt(String),
    /// The store was closed before the batch was written.
    #[error("the store is closed")]
    Closed,
}
