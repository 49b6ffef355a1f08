//! How far an erasure is, and what came of it. Nothing in it tells whose it is.

use serde::{Deserialize, Serialize};

use crate::id::ProviderName;
use crate::time::UnixSeconds;

/// An erasure that is under way, or was since the daemon started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasure {
    /// What to ask for it by.
    pub id: String,
    /// Where the user is, or was.
    pub provider: ProviderName,
    /// What is done at the moment.
    pub stage: ErasureStage,
    /// More of that, such as the table that is written anew.
    pub detail: Option<String>,
    /// Why it does not go on, if so. It is tried again and again.
    pub waiting: Option<String>,
    /// Sessions that were removed.
    pub sessions: u64,
    /// Those of them whose tokens the provider has revoked, or that had none any more.
    pub revoked: u64,
    /// Those whose tokens live until they expire: the provider cannot revoke them, or was not waited for.
    pub not_revoked: u64,
    /// Whether the keys of before are destroyed, too.
    pub forced: bool,
    /// When it was begun.
    pub begun_at: UnixSeconds,
    /// Milliseconds since then, or that it took.
    pub milliseconds: u64,
    /// Directories beside the store with a copy of it as it was before. They are not touched.
    pub copies: Vec<String>,
}

/// What an erasure does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ErasureStage {
    /// It ends the sessions and has their tokens revoked. Nothing is removed yet.
    Revoking,
    /// All is removed. Audit records that name the user go to syslog first.
    Telling,
    /// The files of the store are written anew, without what was removed.
    Rewriting,
    /// Everything is sealed with a new key, and the old one is destroyed. Only if it is forced.
    Rotating,
    /// Nothing is left for the daemon to do. An administrator has to give the host a new identity. Only if it is forced.
    Rekeying,
    /// It is done.
    Done,
}
