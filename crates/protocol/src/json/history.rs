//! What happened to a session.

use serde::Serialize;

use super::rfc3339;
use crate::reply;

/// View of a [`reply::HistoryPage`]: the newest first.
#[derive(Serialize)]
pub struct HistoryPage<'a> {
    entries: Vec<HistoryEntry<'a>>,
    next: Option<u64>,
}

impl<'a> From<&'a reply::HistoryPage> for HistoryPage<'a> {
    fn from(page: &'a reply::HistoryPage) -> Self {
        Self { entries: page.entries.iter().map(HistoryEntry::from).collect(), next: page.next }
    }
}

/// View of a [`reply::HistoryEntry`].
#[derive(Serialize)]
pub struct HistoryEntry<'a> {
    at: String,
    event: &'a str,
    peer: Option<&'a str>,
    detail: &'a str,
}

impl<'a> From<&'a reply::HistoryEntry> for HistoryEntry<'a> {
    fn from(entry: &'a reply::HistoryEntry) -> Self {
        Self { at: rfc3339(entry.at), event: &entry.event, peer: entry.peer.as_deref(), detail: &entry.detail }
    }
}
