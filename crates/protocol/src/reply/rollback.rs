//! A store that was put back.

use serde::{Deserialize, Serialize};

use crate::UnixSeconds;

/// What was accepted: an old copy of the store was put back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollbackAccepted {
    /// The generation of the store as it was found. It rises with everything that is written.
    pub found: u64,
    /// The generation that it had reached before, if its anchor could be believed.
    pub anchored: Option<u64>,
    /// What was found, in words.
    pub why: String,
    /// When.
    pub noticed_at: UnixSeconds,
}
