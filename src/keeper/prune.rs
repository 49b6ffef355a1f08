//! Growing old: needs login at the greatest age, ended after retention, removed after another.

use std::sync::Arc;
use std::time::Duration;

use tokenkeeper_protocol::SessionRef;
use tokio_util::sync::CancellationToken;

use super::attend::Attempt;
use super::{Keeper, KeeperError};
use crate::audit::What;
use crate::domain::{EndReason, LoginReason, State};
use crate::vault::VaultError;

/// A login that was begun in time may take this long to be completed: it needs its flow until then.
const COMPLETION: Duration = Duration::from_mins(2);
/// A session that is over is not removed before its provider has been told, unless that fails for so long. Most refresh
/// tokens are worth nothing by then.
const REVOCATION: Duration = Duration::from_hours(30 * 24);
/// Sessions read from the agenda in one go.
const AGENDA_PAGE: usize = 256;

impl Keeper {
    /// The safety net: forgets expired login flows, sets up service accounts that could not be, and attends to what the timer should have. Returns how many there were.
    ///
    /// # Cancel safety
    /// Safe: as [`Keeper::attend_to_all_due`].
    pub async fn sweep(self: &Arc<Self>) -> Result<usize, KeeperError> {
        let now = self.clock.now();
        if let Err(error) = self.catch_up_with_accounts().await {
            tracing::error!(%error, "not every service account could be set up");
        }
        let forgotten = self.vault.forget_expired_logins(now - COMPLETION).await;
        Ok(self.attend_to_all_due(now).await? + forgotten?)
    }

    /// Lets every session whose time has come take its next step, until `stop`. Returns how many did.
    ///
    /// # Errors
    /// When the store cannot be used; what was done until then stays done.
    pub async fn prune(&self, stop: &CancellationToken) -> Result<usize, KeeperError> {
        let now = self.clock.now();
        let (mut moved, mut after) = (0, None);
        loop {
            let items = self.vault.to_prune(now, after, AGENDA_PAGE)?;
            let Some(last) = items.last() else { return Ok(moved) };
            after = Some(*last);
            for (_, session) in items {
                if stop.is_cancelled() {
                    return Ok(moved);
                }
                match self.grow_older(session).await {
                    Ok(grown) => moved += usize::from(grown),
                    Err(error) if self.vault.fault().is_some() => return Err(error),
                    // One record that is damaged does not keep the others from growing old.
                    Err(error) => tracing::error!(%session, %error, "a session cannot be pruned"),
                }
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
                let event = What::Expired { session: id, provider, state: "ended".to_owned(), lost: None };
                self.replace(&session, &self.ended(&session.value, EndReason::TooOld), event).await
            }
            State::Ended { since, .. } if session.value.tokens.is_some() && now < since + REVOCATION => {
                return Ok(false);
            }
            State::Ended { .. } => {
                let mut change = self.vault.change(now);
                change.remove(&session)?.audit(What::Removed { session: id, provider })?;
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
