//! Growing old: needs login at the greatest age, ended after retention, removed after another.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use tokenkeeper_protocol::SessionRef;
use tokio_util::sync::CancellationToken;

use super::attend::Attempt;
use super::{Keeper, KeeperError};
use crate::audit::What;
use crate::domain::{EndReason, LoginReason, Session, State};
use crate::failpoint::failpoint;
use crate::vault::{VaultError, Versioned};

/// A login that was begun in time may take this long to be completed: it needs its flow until then.
const COMPLETION: Duration = Duration::from_mins(2);
/// A session that is over is not removed before its provider has been told, unless that fails for so long. Most refresh
/// tokens are worth nothing by then.
const REVOCATION: Duration = Duration::from_hours(30 * 24);
/// Sessions read from the agenda in one go.
const AGENDA_PAGE: usize = 4096;
/// Sessions that one task lets grow older. Those that are removed are so in one change.
const TOGETHER: usize = 256;
/// Of these, so many are opened or sealed before somebody else has the thread: some hundred microseconds.
const IN_ONE_GO: usize = 16;
/// Tasks at a time: enough to seal on every core while others wait for the disk.
const TASKS: usize = 4;

impl Keeper {
    /// The safety net: forgets expired login flows, sets up service accounts that could not be, and lines up what the timer should
    /// have. Returns how many there were. It waits for no provider: one that hangs would keep it from its next round.
    ///
    /// # Cancel safety
    /// Safe: what was begun goes on.
    pub async fn sweep(self: &Arc<Self>) -> Result<usize, KeeperError> {
        let keeper = Arc::clone(self);
        self.spawn(async move { keeper.sweep_up().await }).await.map_err(|_| KeeperError::Internal)?
    }

    async fn sweep_up(self: &Arc<Self>) -> Result<usize, KeeperError> {
        if self.is_leaving() {
            return Ok(0);
        }
        let now = self.clock.now();
        if let Err(error) = self.catch_up_with_accounts().await {
            tracing::error!(%error, "not every service account could be set up");
        }
        let forgotten = self.vault.forget_expired_logins(now - COMPLETION).await;
        let lined_up = self.line_all_up(now).await?;
        self.mend_agenda(now).await?;
        Ok(lined_up + forgotten?)
    }

    /// Lets every session whose time has come take its next step, until `stop`. Returns how many did.
    ///
    /// # Errors
    /// When the store cannot be used; what was done until then stays done.
    pub async fn prune(self: &Arc<Self>, stop: &CancellationToken) -> Result<usize, KeeperError> {
        let now = self.clock.now();
        self.vault.forget_copies(now);
        let (mut moved, mut after) = (0, None);
        loop {
            let items = self.vault.to_prune(now, after, AGENDA_PAGE)?;
            let Some(last) = items.last() else { return Ok(moved) };
            let from = after.replace(*last);
            let parts: Vec<Vec<SessionRef>> =
                items.chunks(TOGETHER).map(|part| part.iter().map(|(_, session)| *session).collect()).collect();
            let tasks = parts.into_iter().map(|part| {
                let (keeper, stop) = (Arc::clone(self), stop.clone());
                self.spawn(async move { keeper.grow_older_together(&part, &stop).await })
            });
            let mut done = stream::iter(tasks).buffer_unordered(TASKS);
            while let Some(part) = done.next().await {
                moved += part.map_err(|_| KeeperError::Internal)??;
            }
            if stop.is_cancelled() || self.is_leaving() {
                return Ok(moved);
            }
            if let Err(error) = self.vault.mend_to_prune(from, &items).await {
                tracing::error!(%error, "the agenda cannot be checked");
            }
        }
    }

    /// One step for each of them, until `stop`; returns how many were taken.
    async fn grow_older_together(
        &self,
        sessions: &[SessionRef],
        stop: &CancellationToken,
    ) -> Result<usize, KeeperError> {
        let Ok(_work) = self.begin_work() else { return Ok(0) };
        let (mut moved, mut over) = (0, Vec::new());
        for (number, id) in sessions.iter().enumerate() {
            if stop.is_cancelled() {
                return Ok(moved);
            }
            let_others_go(number).await;
            match self.grow_older(*id, Some(&mut over)).await {
                Ok(grown) => moved += usize::from(grown),
                Err(error) if self.vault.fault().is_some() => return Err(error),
                // One record that is damaged does not keep the others from growing old.
                Err(error) => tracing::error!(session = %id, %error, "a session cannot be pruned"),
            }
        }
        match self.remove(&over).await {
            Ok(()) => return Ok(moved + over.len()),
            Err(Attempt::Failed(error)) if self.vault.fault().is_some() => return Err(error),
            // One of them was changed, or is damaged: each by itself then.
            Err(_) => {}
        }
        for session in over {
            match self.grow_older(session.value.id, None).await {
                Ok(grown) => moved += usize::from(grown),
                Err(error) if self.vault.fault().is_some() => return Err(error),
                Err(error) => tracing::error!(session = %session.value.id, %error, "a session cannot be pruned"),
            }
        }
        Ok(moved)
    }

    /// Removes sessions, all or none.
    async fn remove(&self, over: &[Versioned<Session>]) -> Result<(), Attempt> {
        let mut change = self.vault.change(self.clock.now());
        for (number, session) in over.iter().enumerate() {
            let_others_go(number).await;
            let (id, provider) = (session.value.id, session.value.provider.clone());
            change.remove(session)?.audit(What::Removed { session: id, provider })?;
        }
        if !over.is_empty() {
            failpoint!("prune.before-removal");
            change.commit().await?;
            failpoint!("prune.removed");
        }
        Ok(())
    }

    /// One step; returns whether it was taken. A session that changes meanwhile is left to the next run. One that is to be
    /// removed goes to `over` instead, if that is given.
    async fn grow_older(
        &self,
        id: SessionRef,
        over: Option<&mut Vec<Versioned<Session>>>,
    ) -> Result<bool, KeeperError> {
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
                if let Some(over) = over {
                    over.push(session);
                    return Ok(false);
                }
                self.remove(std::slice::from_ref(&session)).await
            }
        };
        match step {
            Ok(()) | Err(Attempt::Failed(KeeperError::LoginRequired { .. })) => Ok(true),
            Err(Attempt::Changed) => Ok(false),
            Err(Attempt::Failed(error)) => Err(error),
        }
    }
}

/// Opening and sealing takes a while, and somebody may wait for a token.
async fn let_others_go(number: usize) {
    if number % IN_ONE_GO == IN_ONE_GO - 1 {
        tokio::task::yield_now().await;
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
