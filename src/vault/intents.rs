//! What is made durable before a refresh token is spent, so that a crash in between is known at the next start.

use serde::{Deserialize, Serialize};
use tokenkeeper_protocol::{SessionRef, UnixSeconds};

use super::{Vault, VaultError};
use crate::store::Table;

/// A refresh token is about to be spent, or was, and its outcome is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// The generation of the tokens that the refresh starts from.
    pub generation: u64,
    /// When.
    pub at: UnixSeconds,
}

impl Vault {
    /// Every intent whose outcome was never written: those of refreshes that a crash interrupted.
    pub fn unsettled(&self) -> Result<Vec<(SessionRef, Intent)>, VaultError> {
        let rows = self.store.scan(Table::Intents, &[], None, usize::MAX)?;
        let opened = rows.iter().filter_map(|(key, row)| {
            let session = super::index::session_at_end(key)?;
            Some(self.open_row::<Intent>(Table::Intents, key, row).map(|intent| (session, intent.value)))
        });
        opened.collect()
    }
}
