//! Growing old: needs login at the greatest age, ended after retention, removed after another.

use std::sync::Arc;

use tokenkeeper_protocol::SessionRef;

use super::attend::Attempt;
use super::{Keeper, KeeperError};
use crate::audit::What;
use crate::domain::{EndReason, LoginReason, State};
use crate::vault::VaultError;

/// Sessions read from the agenda in one go.
const AGENDA_PAGE: usize = 256;

impl Keeper {
    /// Lets every session whose time has come take its next step, and forgets expired login flows. Returns how many moved.
    ///
    /// # Errors
    /// When the store cannot be used; what was done until then stays done.
    pub async fn prune(self: &Arc<Self>) -> Result<usize, KeeperError> {
        let now = self.clock.now();
        let mut moved = self.vault.forget_expired_logins(now).await?;
        let mut after = None;
        loop {
            let items = self.vault.to_prune(now, after, AGENDA_PAGE)?;
            let Some(last) = items.last() else { return Ok(moved) };
            after = Some(*last);
            for (_, session) in items {
                moved += usize::from(self.grow_older(session).await?);
            }
        }
    }

    /// One step; returns whether it was taken. A session that changes meanwhile is left to the next run.
    async fn grow_older(&self, id: SessionRef) -> Result<bool, KeeperError> {
        let Some(session) = self.vault.session(id)? else { return Ok(false) };
        let now = self.clock.now();
        if session.value.prune_at > now {
            return Ok(false);
        }
        let provider = session.value.provider.clone();
        let step = match session.value.state {
            State::Active => self.require_login(&session, LoginReason::SessionTooOld, now).await.map(drop),
            State::NeedsLogin { .. } => {
                let event = What::Expired { session: id, provider, state: "ended".to_owned() };
                self.replace(&session, &self.ended(&session, EndReason::TooOld), event).await
            }
            // Not before the provider has been told.
            State::Ended { .. } if session.value.tokens.is_some() => return Ok(false),
            State::Ended { .. } => {
                let mut change = self.vault.change(now);
                change.remove(&session).audit(What::Removed { session: id, provider })?;
                change.commit().await.map_err(Attempt::from)
            }
        };
        match step {
            Ok(()) | Err(Attempt::Failed(KeeperError::LoginRequired { .. })) => Ok(true),
            Err(Attempt::Changed) => Ok(false),
            Err(Attempt::Failed(error)) => Err(error),
        }
    }
}

impl From<Attempt> for KeeperError {
    fn from(attempt: Attempt) -> Self {
        match attempt {
            Attempt::Changed => VaultError::Conflict.into(),
            Attempt::Failed(error) => error,
        }
    }
}
