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
    /// What a session's last refresh intended, if its outcome was never written.
    pub fn intent(&self, session: SessionRef) -> Result<Option<Intent>, VaultError> {
        Ok(self.read(Table::Intents, session.as_bytes())?.map(|intent| intent.value))
    }

    /// Every intent whose outcome was never written: those of refreshes that a crash interrupted. One that is damaged is
    /// left out, with an error in the log: it is no reason to serve nobody.
    pub fn unsettled(&self) -> Result<Vec<(SessionRef, Intent)>, VaultError> {
        let rows = self.store.scan(Table::Intents, &[], None, usize::MAX)?;
        let sessions = rows.iter().filter_map(|(key, row)| Some((super::index::session_at_end(key)?, key, row)));
        let opened =
            sessions.filter_map(|(session, key, row)| match self.open_row::<Intent>(Table::Intents, key, row) {
                Ok(intent) => Some((session, intent.value)),
                Err(error) => {
                    tracing::error!(%session, %error, "the record of an interrupted refresh is damaged");
                    None
                }
            });
        Ok(opened.collect())
    }
}
