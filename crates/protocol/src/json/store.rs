//! What the store holds, what is wrong with it, and a copy of it.

use serde::Serialize;

use super::{SessionCounts, rfc3339};
use crate::reply;

/// View of a [`reply::StoreStats`].
#[derive(Serialize)]
pub struct StoreStats<'a> {
    sessions: SessionCounts,
    bytes: u64,
    ballast_bytes: u64,
    kept_bytes: u64,
    disk_free_bytes: u64,
    disk_bytes: u64,
    generation: u64,
    schema: u32,
    epoch: u32,
    tables: Vec<TableStats<'a>>,
    last_backup_at: Option<String>,
    last_verified_at: Option<String>,
}

#[derive(Serialize)]
struct TableStats<'a> {
    name: &'a str,
    keys: u64,
    bytes: u64,
}

impl<'a> From<&'a reply::StoreStats> for StoreStats<'a> {
    fn from(stats: &'a reply::StoreStats) -> Self {
        let table =
            |table: &'a reply::TableStats| TableStats { name: &table.name, keys: table.keys, bytes: table.bytes };
        Self {
            sessions: SessionCounts::from(&stats.sessions),
            bytes: stats.bytes,
            ballast_bytes: stats.ballast_bytes,
            kept_bytes: stats.kept_bytes,
            disk_free_bytes: stats.disk_free_bytes,
            disk_bytes: stats.disk_bytes,
            generation: stats.generation,
            schema: stats.schema,
            epoch: stats.epoch,
            tables: stats.tables.iter().map(table).collect(),
            last_backup_at: stats.last_backup_at.map(rfc3339),
            last_verified_at: stats.last_verified_at.map(rfc3339),
        }
    }
}

/// View of a [`reply::Finding`].
#[derive(Serialize)]
pub struct Finding<'a> {
    table: &'a str,
    key: &'a str,
    session: Option<String>,
    what: &'a str,
}

impl<'a> From<&'a reply::Finding> for Finding<'a> {
    fn from(finding: &'a reply::Finding) -> Self {
        let session = finding.session.map(|session| session.to_string());
        Self { table: &finding.table, key: &finding.key, session, what: &finding.what }
    }
}

/// View of a [`reply::MovedOut`], with the file that it is in.
#[derive(Serialize)]
pub struct MovedOut<'a> {
    fenced_at: String,
    sessions: u64,
    generation: u64,
    file: Option<&'a str>,
    cancelled: bool,
}

impl<'a> MovedOut<'a> {
    /// With the file, if that is known.
    pub fn new(moved: &reply::MovedOut, file: Option<&'a str>) -> Self {
        let reply::MovedOut { at, sessions, generation, cancelled } = *moved;
        Self { fenced_at: rfc3339(at), sessions, generation, file, cancelled }
    }
}
