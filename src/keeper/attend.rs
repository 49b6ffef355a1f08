//! Doing for a session what it needs now: a refresh, a revocation, the end of its age.

use std::sync::Arc;
use std::time::Duration;

use tokenkeeper_protocol::reply::Revocation;
use tokenkeeper_protocol::{SessionRef, UnixSeconds};

use super::flight::{Outcome, Ticket};
use super::{Keeper, KeeperError};
use crate::audit::What;
use crate::domain::{LoginReason, Session, State};
use crate::provider::{Pass, Provider, Turn};
use crate::vault::{VaultError, Versioned};

/// Times that a record may change under our hands before we leave it to the next try.
const PATIENCE: usize = 5;

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
            self.tasks.spawn(async move {
                let landing = keeper.flights.landing(session, outcome);
                let outcome = match keeper.begin_work() {
                    Ok(_work) => keeper.attend_now(session, wish).await,
                    Err(leaving) => Err(leaving),
                };
                landing.land(outcome);
            });
        }
        ticket
    }

    async fn attend_now(&self, id: SessionRef, wish: Wish) -> Outcome {
        if let Some(answered) = self.unwritten.take(id) {
            return self.settle(answered).await;
        }
        for _ in 0..PATIENCE {
            let Some(session) = self.vault.session(id)? else { return Err(KeeperError::NoSuchSession { session: id }) };
            let now = self.clock.now();
            let attended = match &session.value.state {
                State::Active if session.value.account().is_some() => self.obtain(session, wish, now).await,
                State::Active if now >= session.value.ends_at => {
                    self.require_login(&session, LoginReason::SessionTooOld, now).await
                }
                State::Active => self.refresh(session, wish, now).await,
                _ if session.value.tokens.is_some() => self.revoke(session, wish, now).await,
                State::NeedsLogin { .. } | State::Ended { .. } => return Ok(Attended::NothingDue),
            };
            match attended {
                // Changed, or in a trouble that may be tried again at once.
                Err(Attempt::Changed | Attempt::Failed(KeeperError::ProviderDown { wait: Duration::ZERO, .. })) => {}
                Err(Attempt::Failed(error)) => return Err(error),
                Ok(done) => return Ok(done),
            }
        }
        Ok(Attended::NothingDue)
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
        let mut new = session.value.clone();
        new.state = State::NeedsLogin { reason: reason.clone(), since: now };
        new.generation += 1;
        new.trouble = None;
        // What is left of the tokens is revoked, not kept.
        new.due_at = new.tokens.is_some().then_some(now);
        new.prune_at = now.max(new.ends_at) + self.retention();
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
#[derive(Debug)]
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
