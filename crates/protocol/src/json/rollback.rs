//! A store that was put back.

use serde::Serialize;

use super::time::rfc3339;
use crate::reply;

/// View of a [`reply::RollbackAccepted`].
#[derive(Serialize)]
pub struct RollbackAccepted<'a> {
    found: u64,
    anchored: Option<u64>,
    why: &'a str,
    noticed_at: String,
}

impl<'a> From<&'a reply::RollbackAccepted> for RollbackAccepted<'a> {
    fn from(accepted: &'a reply::RollbackAccepted) -> Self {
        let reply::RollbackAccepted { found, anchored, why, noticed_at } = accepted;
        Self { found: *found, anchored: *anchored, why, noticed_at: rfc3339(*noticed_at) }
    }
}
