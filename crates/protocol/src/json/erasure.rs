//! How far an erasure is.

use serde::Serialize;

use super::time::rfc3339;
use crate::reply::{self, ErasureStage};

/// View of a [`reply::Erasure`].
#[derive(Serialize)]
pub struct Erasure<'a> {
    id: &'a str,
    provider: &'a str,
    stage: &'static str,
    detail: Option<&'a str>,
    waiting: Option<&'a str>,
    sessions: u64,
    revoked: u64,
    not_revoked: u64,
    forced: bool,
    begun_at: String,
    milliseconds: u64,
    copies: &'a [String],
}

impl<'a> From<&'a reply::Erasure> for Erasure<'a> {
    fn from(erasure: &'a reply::Erasure) -> Self {
        Self {
            id: &erasure.id,
            provider: erasure.provider.as_str(),
            stage: match erasure.stage {
                ErasureStage::Revoking => "revoking",
                ErasureStage::Telling => "telling",
                ErasureStage::Rewriting => "rewriting",
                ErasureStage::Rotating => "rotating",
                ErasureStage::Rekeying => "rekeying",
                ErasureStage::Done => "done",
            },
            detail: erasure.detail.as_deref(),
            waiting: erasure.waiting.as_deref(),
            sessions: erasure.sessions,
            revoked: erasure.revoked,
            not_revoked: erasure.not_revoked,
            forced: erasure.forced,
            begun_at: rfc3339(erasure.begun_at),
            milliseconds: erasure.milliseconds,
            copies: &erasure.copies,
        }
    }
}
