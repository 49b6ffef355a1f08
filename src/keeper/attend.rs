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
        let expires_at = session.tokens.as_ref().map_or(session.ends_at, |tokens| tokens.access.expires_at);
        let turn = match wish {
            Wish::Due => Turn::of_schedule(expires_at),
            Wish::NewToken => Turn::of_caller(expires_at),
        };
        provider.gate().enter(&self.clock, turn).await.map_err(|closed| KeeperError::ProviderDown {
            provider: session.provider.clone(),
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
        Err(Attempt::Failed(KeeperError::LoginRequired { session: new.id, reason, since: now }))
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
