//! Replies about the store as a whole: what it holds, what is wrong with it, and a copy of it. No record is in any of them in the clear.

use serde::{Deserialize, Serialize};

use super::SessionCounts;
use crate::id::SessionRef;
use crate::time::UnixSeconds;

/// What the store holds and how much room it takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreStats {
    /// Sessions by state.
    pub sessions: SessionCounts,
    /// Bytes of the store on disk.
    pub bytes: u64,
    /// Bytes held for the day on which the disk is full.
    pub ballast_bytes: u64,
    /// Bytes of what is kept of the store as it was before it was migrated.
    pub kept_bytes: u64,
    /// Bytes that are free on the file system of the store.
    pub disk_free_bytes: u64,
    /// Bytes of that file system.
    pub disk_bytes: u64,
    /// The number of changes that were ever written.
    pub generation: u64,
    /// The layout of tables and records.
    pub schema: u32,
    /// The epoch that records are sealed in.
    pub epoch: u32,
    /// One line for each table.
    pub tables: Vec<TableStats>,
    /// When the last backup was made.
    pub last_backup_at: Option<UnixSeconds>,
    /// When the store was last verified from end to end, by the schedule or by a command.
    pub last_verified_at: Option<UnixSeconds>,
}

/// What a table holds. The database estimates both numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableStats {
    /// Its name.
    pub name: String,
    /// Rows.
    pub keys: u64,
    /// Bytes on disk and in memory.
    pub bytes: u64,
}

/// A page of the check of the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifyPage {
    /// The table that it went through.
    pub table: String,
    /// Rows that it looked at.
    pub checked: u64,
    /// Rows of the whole store, as the database estimates them.
    pub total: u64,
    /// What is wrong in it.
    pub findings: Vec<Finding>,
    /// The cursor of the next page; none behind the last.
    pub next: Option<String>,
}

/// Something that is wrong with the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The table.
    pub table: String,
    /// The key of the row, in hexadecimal digits.
    pub key: String,
    /// The session that it belongs to, if that can be told.
    pub session: Option<SessionRef>,
    /// What is wrong, in words.
    pub what: String,
}

/// A part of a backup. All frames but the last have the flag `MORE`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupPart {
    /// Bytes of the age file, behind those of the parts before.
    pub bytes: Vec<u8>,
    /// What was backed up; in the last part.
    pub end: Option<BackupSummary>,
}

/// What was backed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupSummary {
    /// Sessions in it.
    pub sessions: u64,
    /// The generation of the store that it shows.
    pub generation: u64,
}

/// How moving the store to another host stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovedOut {
    /// When it was fenced.
    pub at: UnixSeconds,
    /// Sessions in it.
    pub sessions: u64,
    /// The generation of the store that was moved.
    pub generation: u64,
    /// Whether it is used here again.
    pub cancelled: bool,
}
