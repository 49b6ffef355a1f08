//! Doing for a session what it needs now: a refresh, a revocation, the end of its age.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use tokenkeeper_protocol::reply::Revocation;
use tokenkeeper_protocol::{SessionRef, UnixSeconds};

use super::closing::needing_login;
use super::flight::Ticket;
use super::{Keeper, KeeperError};
use crate::audit::What;
use crate::domain::{LoginReason, Session};
use crate::provider::{Pass, Provider, Turn};
use crate::vault::{VaultError, Versioned};

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attended {
    /// There are new tokens.
    Renewed,
    /// Nothing was to be done.
    NothingDue,
    /// The provider was asked to revoke.
    Revoked(Revocation),
}

/// Who wants a session to be attended to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// The schedule: what is due.
    Due,
    /// A peer: a new token, due or not.
    NewToken,
}

impl Keeper {
    /// Joins the flight of a session, or starts it.
    pub fn attend(self: &Arc<Self>, session: SessionRef, wish: Wish) -> Ticket {
        let (ticket, pilot) = self.flights.board(session);
        if let Some(outcome) = pilot {
            let keeper = Arc::clone(self);
            self.spawn(async move {
                let landing = keeper.flights.landing(session, outcome);
                let outcome = match keeper.begin_work() {
                    Ok(_work) => match AssertUnwindSafe(keeper.fly(session, wish)).catch_unwind().await {
                        Ok(outcome) => outcome,
                        Err(_) => keeper.salvage(session).await,
                    },
                    Err(leaving) => Err(leaving),
                };
                landing.land(outcome);
            });
        }
        ticket
    }

    /// Waits until the provider of a session may be asked.
    pub(super) async fn enter<'a>(
        &'a self,
        provider: &'a Provider,
        session: &Session,
        wish: Wish,
    ) -> Result<Pass<'a>, KeeperError> {
        let needed_by = needed_by(session);
        let turn = match wish {
            Wish::Due => Turn::of_schedule(needed_by),
            Wish::NewToken => Turn::of_caller(needed_by),
        };
        self.pass(provider, turn).await
    }

    /// Waits for a turn at the gate of a provider. Once the daemon stops, nobody passes: what would be begun now might be cut off
    /// between its question and the disk.
    pub(super) async fn pass<'a>(&'a self, provider: &'a Provider, turn: Turn) -> Result<Pass<'a>, KeeperError> {
        let entered = self.stop.run_until_cancelled(provider.gate().enter(&self.clock, turn)).await;
        entered.ok_or(KeeperError::Stopping)?.map_err(|closed| KeeperError::ProviderDown {
            provider: provider.settings().name.clone(),
            why: closed.why,
            wait: closed.wait,
        })
    }

    /// Ends what can be done without the user.
    pub(super) async fn require_login(
        &self,
        session: &Versioned<Session>,
        reason: LoginReason,
        now: UnixSeconds,
    ) -> Result<Attended, Attempt> {
        let new = needing_login(&session.value, reason.clone(), now, self.retention());
        let event = What::Expired {
            session: new.id,
            provider: new.provider.clone(),
            state: "needs_login".to_owned(),
            lost: Some((&reason).into()),
        };
        self.replace(session, &new, event).await?;
        Err(Attempt::Failed((&new).into()))
    }

    /// Commits a changed session with its event, then shows it to the cache.
    pub(super) async fn replace(&self, old: &Versioned<Session>, new: &Session, event: What) -> Result<(), Attempt> {
        let mut change = self.vault.change(self.clock.now());
        change.update(old, new)?.audit(event)?;
        change.commit().await?;
        self.publish(new.id);
        Ok(())
    }
}

/// By when a session has to be attended to, so that nobody notices: when its token expires. A service account without one is late
/// already; a revocation that was tried in vain can wait for everybody else.
pub(super) fn needed_by(session: &Session) -> UnixSeconds {
    match &session.tokens {
        Some(_) if !session.state.is_active() && session.trouble.is_some() => UnixSeconds::NEVER,
        Some(tokens) => tokens.access.expires_at,
        None => session.opened_at,
    }
}

/// Why an attempt did not end in what was wanted.
#[derive(Clone, Debug)]
pub(super) enum Attempt {
    /// The session was changed meanwhile: look at it again.
    Changed,
    /// It failed.
    Failed(KeeperError),
}

impl From<VaultError> for Attempt {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::Conflict => Self::Changed,
            other => Self::Failed(other.into()),
        }
    }
}

impl From<KeeperError> for Attempt {
    fn from(error: KeeperError) -> Self {
        Self::Failed(error)
    }
}
