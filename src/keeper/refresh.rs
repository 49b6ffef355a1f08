//! Refresh: intent, POST, synced result, publication, in this order and no other.
//!
//! The intent proves that the disk is writable before the provider is called, and tells the next start what was
//! interrupted. The refresh token is sent once; what follows from the outcome is decided by [`after`] alone.

use std::sync::Arc;
use std::time::Duration;

use tokenkeeper_protocol::UnixSeconds;

use super::attend::{Attempt, Attended, Wish};
use super::unwritten::Answered;
use super::{Keeper, KeeperError, narrowed, timing};
use crate::audit::What;
use crate::config::ProviderSettings;
use crate::domain::session::Trouble;
use crate::domain::{LoginReason, Refusal, Session, State, Tokens};
use crate::provider::{Fault, Provider, RefreshOutcome};
use crate::vault::{Intent, VaultError, Versioned};

impl Keeper {
    /// Refreshes an active session if `wish` and its agenda ask for it.
    pub(super) async fn refresh(
        &self,
        session: Versioned<Session>,
        wish: Wish,
        now: UnixSeconds,
    ) -> Result<Attended, Attempt> {
        let provider = self.provider_of(&session, now).await?;
        let settings = provider.settings();
        let Some(tokens) = session.value.tokens.as_ref() else { return Ok(Attended::NothingDue) };
        if tokens.refresh.is_none() {
            if now < tokens.access.expires_at {
                return Ok(Attended::NothingDue);
            }
            return self.require_login(&session, LoginReason::NoRefreshToken, now).await;
        }
        let is_stale = self.vault.is_quarantined(session.value.id)?;
        if is_stale && now < tokens.access.expires_at {
            return self.spare(&session, tokens.access.expires_at, wish).await;
        }
        self.hold_back(&session, settings, now).await?;
        if wish == Wish::Due && !self.refresh_is_due(&session, settings, now).await? {
            return Ok(Attended::NothingDue);
        }
        let pass = self.enter(&provider, &session.value, wish).await?;
        // That may have taken a while. If the session was changed meanwhile, the intent is not written.
        let now = self.clock.now();
        let intent = Intent { generation: session.value.generation, at: now };
        let mut change = self.vault.change(now);
        change.unchanged(&session).intend(session.value.id, &intent)?;
        change.commit().await?;
        let outcome = provider.refresh(&session.value, now).await;
        pass.came_back((&outcome).into());
        let settings = Arc::clone(settings);
        let answered = Answered { before: session.value, sent_at: now, settings, is_stale, outcome };
        self.settle(answered).await.map_err(Attempt::Failed)
    }

    /// Keeps a refresh token that may be a spent one from being sent while there is something to lose: the provider could end
    /// the whole grant, and the live token with it.
    async fn spare(
        &self,
        session: &Versioned<Session>,
        expires_at: UnixSeconds,
        wish: Wish,
    ) -> Result<Attended, Attempt> {
        self.put_off(session, expires_at).await?;
        match wish {
            Wish::Due => Ok(Attended::NothingDue),
            Wish::NewToken => {
                let wait = expires_at.since(self.clock.now());
                Err(KeeperError::Quarantined { session: session.value.id, wait }.into())
            }
        }
    }

    /// The provider of a session. One whose provider is gone is put off.
    pub(super) async fn provider_of(
        &self,
        session: &Versioned<Session>,
        now: UnixSeconds,
    ) -> Result<Arc<Provider>, Attempt> {
        match self.provider(&session.value.provider) {
            Ok(provider) => Ok(provider),
            Err(removed) => {
                self.put_off(session, now + timing::LONGEST_WAIT).await?;
                Err(removed.into())
            }
        }
    }

    /// Holds a try back that would come too soon after the last one.
    pub(super) async fn hold_back(
        &self,
        session: &Versioned<Session>,
        settings: &ProviderSettings,
        now: UnixSeconds,
    ) -> Result<(), Attempt> {
        let Some(trouble) = &session.value.trouble else { return Ok(()) };
        let not_before = not_before(&session.value, trouble, self.grace(settings), now);
        if now >= not_before {
            return Ok(());
        }
        self.put_off(session, not_before).await?;
        let (provider, why, wait) = (session.value.provider.clone(), trouble.what.clone(), not_before.since(now));
        Err(Attempt::Failed(if trouble.needs_administrator {
            KeeperError::Misconfigured { provider, why }
        } else {
            KeeperError::ProviderDown { provider, why, wait }
        }))
    }

    /// Whether the agenda still asks for it. A session that nobody used is put off to its keep-alive instead.
    pub(super) async fn refresh_is_due(
        &self,
        session: &Versioned<Session>,
        settings: &ProviderSettings,
        now: UnixSeconds,
    ) -> Result<bool, Attempt> {
        if session.value.due_at.is_none_or(|at| at > now) {
            return Ok(false);
        }
        if session.value.trouble.is_some() {
            return Ok(true);
        }
        let used = Session { last_used_at: self.last_used(&session.value), ..session.value.clone() };
        let told = self.providers().get(&used.provider).and_then(|provider| provider.refresh_life());
        let Some(keep_alive) = timing::put_off(&used, settings, told, now) else { return Ok(true) };
        self.put_off(session, keep_alive).await?;
        Ok(false)
    }

    /// Moves a session that is due to where nothing will be tried before, so that the agenda does not come back to it.
    async fn put_off(&self, session: &Versioned<Session>, until: UnixSeconds) -> Result<(), Attempt> {
        let now = self.clock.now();
        if session.value.due_at.is_none_or(|at| at > now) {
            return Ok(());
        }
        let last_used_at = self.last_used(&session.value);
        let mut change = self.vault.change(now);
        change.update(session, &Session { due_at: Some(until), last_used_at, ..session.value.clone() })?;
        Ok(change.commit().await?)
    }

    /// Writes the outcome, then shows it. What the store does not take is kept until it does.
    pub(super) async fn settle(&self, answered: Answered) -> Result<Attended, KeeperError> {
        let id = answered.before.id;
        loop {
            match self.try_settle(&answered).await {
                Ok(verdict) => return verdict,
                // The session was changed meanwhile: what follows for it as it is now?
                Err(VaultError::Conflict) => {}
                Err(error) => {
                    tracing::error!(session = %id, %error, "the answer to a refresh waits in memory: it cannot be written");
                    self.unwritten.keep(answered);
                    return Err(error.into());
                }
            }
        }
    }

    async fn try_settle(&self, answered: &Answered) -> Result<Result<Attended, KeeperError>, VaultError> {
        let (id, now) = (answered.before.id, self.clock.now());
        let mut change = self.vault.change(now);
        change.settle(id);
        let session = self.vault.session(id)?;
        let Some(session) = session.filter(|session| asked(&session.value) == asked(&answered.before)) else {
            // A new login brought other tokens, or an account asks for other scopes: nothing of this is about them. What came
            // is not revoked either, for that would end the new login's grant at providers that have one for all of a user's
            // logins.
            change.commit().await?;
            return Ok(Ok(Attended::NothingDue));
        };
        let used = Session { last_used_at: self.last_used(&session.value), ..session.value.clone() };
        let lesson = self.lesson(&answered.before, &answered.outcome, &answered.settings);
        if let Some(lesson) = &lesson {
            change.learn(&answered.settings.name, lesson)?;
        }
        let (mut new, verdict) = after(&used, answered, self.grace(&answered.settings), now, rand::random());
        if let Ok(Attended::Renewed) = verdict {
            new.era = self.clock.era();
        }
        change.update(&session, &new)?;
        if let Some(event) = event(&new, &verdict) {
            change.audit(event)?;
        }
        let narrowed = match &answered.before.tokens {
            Some(spent) => narrowed::at_refresh(spent, &new),
            // The first token of a service account.
            None => narrowed::at_login(&new),
        };
        if let (Ok(Attended::Renewed), Some(narrowed)) = (&verdict, narrowed) {
            change.audit(narrowed)?;
        }
        change.commit().await?;
        self.publish(id);
        if let Some(lesson) = lesson {
            self.learned(&answered.settings, lesson);
        }
        Ok(verdict)
    }

    /// When a session was last asked for: the cache knows it to the second, the record as of the last write.
    fn last_used(&self, session: &Session) -> UnixSeconds {
        self.cache.find(session.id).map_or(session.last_used_at, |live| live.used_at().max(session.last_used_at))
    }
}

/// What an answer belongs to: it is no answer to a session that has other tokens now, or asks for something else.
fn asked(session: &Session) -> (Option<&Tokens>, &[String], &[String]) {
    (session.tokens.as_ref(), &session.scopes, &session.resource)
}

/// What becomes of a session by the outcome of a refresh, and what those who waited are told. `random` is in 0.0..=1.0.
fn after(
    session: &Session,
    answered: &Answered,
    reuse_grace: Duration,
    now: UnixSeconds,
    random: f64,
) -> (Session, Result<Attended, KeeperError>) {
    let Answered { settings, outcome, sent_at, .. } = answered;
    let mut new = session.clone();
    let tries = session.trouble.as_ref().map_or(1, |trouble| trouble.tries.saturating_add(1));
    let unknown_since = session.trouble.as_ref().and_then(|trouble| trouble.unknown_since);
    let backoff = timing::backoff(tries, random);
    let needs_administrator = match outcome {
        RefreshOutcome::Misconfigured(_) => true,
        RefreshOutcome::NotSent(fault) | RefreshOutcome::Transient { fault, .. } => fault.needs_administrator(),
        _ => false,
    };
    let mut troubled = |what: String, wait: Duration, unknown_since| {
        let trouble = Trouble { what, tries, not_before: now + wait, unknown_since, needs_administrator };
        let not_before = not_before(session, &trouble, reuse_grace, now + wait);
        let why = trouble.what.clone();
        new.due_at = Some(not_before);
        new.trouble = Some(Trouble { not_before, ..trouble });
        KeeperError::ProviderDown { provider: session.provider.clone(), why, wait: not_before.since(now) }
    };
    let verdict = match outcome {
        RefreshOutcome::Renewed(tokens) => {
            renew(&mut new, tokens, settings, now, random);
            Ok(Attended::Renewed)
        }
        // The session ended meanwhile: whatever the provider said, its tokens are only there to be revoked.
        _ if !session.state.is_active() => Ok(Attended::NothingDue),
        RefreshOutcome::NotSent(fault) => {
            let later = troubled(fault.to_string(), backoff, unknown_since);
            Err(if fault.needs_administrator() { misconfigured(session, fault) } else { later })
        }
        RefreshOutcome::Transient { fault, retry_after } => {
            let wait = backoff.max(retry_after.unwrap_or_default());
            let later = troubled(fault.to_string(), wait, unknown_since);
            Err(if fault.needs_administrator() { misconfigured(session, fault) } else { later })
        }
        RefreshOutcome::Misconfigured(fault) => {
            // An account has no user who might try again, and no session to lose by waiting.
            let wait = if session.account().is_some() { timing::LONGEST_WAIT } else { backoff };
            troubled(fault.to_string(), wait, unknown_since);
            Err(misconfigured(session, fault))
        }
        RefreshOutcome::Unknown(fault) => {
            let since = unknown_since.unwrap_or(*sent_at);
            // The first time, the provider forgives it at once: whoever waits for a token goes on waiting.
            let at_once = tries == 1 && now < since + reuse_grace;
            Err(troubled(fault.to_string(), if at_once { Duration::ZERO } else { backoff }, Some(since)))
        }
        RefreshOutcome::Refused { error, description, correlation } => {
            let (error, description, correlation) = (error.clone(), description.clone(), correlation.clone());
            let refusal = Refusal { error, description, correlation, tries };
            let reason = match unknown_since {
                _ if answered.is_stale => LoginReason::RolledBack(refusal),
                Some(_) => LoginReason::AnswerLost(refusal),
                None => LoginReason::Refused(refusal),
            };
            new.state = State::NeedsLogin { reason: reason.clone(), since: now };
            new.tokens = None;
            new.generation += 1;
            (new.trouble, new.due_at) = (None, None);
            Err(KeeperError::LoginRequired { session: session.id, reason, since: now })
        }
    };
    (new, verdict)
}

fn misconfigured(session: &Session, fault: &Fault) -> KeeperError {
    KeeperError::Misconfigured { provider: session.provider.clone(), why: fault.to_string() }
}

/// When the next try is, at `now` or later. A refresh token that may be spent is only sent while the provider would forgive
/// it, and otherwise when the access token has expired and nothing is left to lose.
pub(super) fn not_before(session: &Session, trouble: &Trouble, reuse_grace: Duration, now: UnixSeconds) -> UnixSeconds {
    let is_risky = trouble.unknown_since.is_some_and(|since| now >= since + reuse_grace);
    let expires_at = session.tokens.as_ref().map(|tokens| tokens.access.expires_at).filter(|_| is_risky);
    trouble.not_before.max(expires_at.unwrap_or(trouble.not_before))
}

/// Takes new tokens in. A refresh or ID token that did not come stays as it was (RFC 6749 section 6).
fn renew(new: &mut Session, tokens: &Tokens, settings: &ProviderSettings, now: UnixSeconds, random: f64) {
    let old = new.tokens.take();
    let (old_refresh, old_id) = old.map_or((None, None), |old| (old.refresh, old.id));
    new.tokens = Some(Tokens {
        access: tokens.access.clone(),
        refresh: tokens.refresh.clone().or(old_refresh),
        id: tokens.id.clone().or(old_id),
    });
    new.generation += 1;
    new.refreshes += 1;
    new.trouble = None;
    new.due_at = match new.state {
        State::Active => timing::refresh_due(new, settings, 2.0 * random - 1.0),
        // It ended while the refresh was on its way: what came is there to be revoked.
        _ => Some(now),
    };
}

fn event(session: &Session, verdict: &Result<Attended, KeeperError>) -> Option<What> {
    let (id, provider) = (session.id, session.provider.clone());
    match verdict {
        Ok(Attended::Renewed) => Some(What::RefreshDone { session: id, provider, generation: session.generation }),
        Ok(_) => None,
        Err(error) => Some(What::RefreshFailed {
            session: id,
            provider,
            why: error.to_string(),
            lost: match &session.state {
                State::NeedsLogin { reason, .. } => Some(reason.into()),
                _ => None,
            },
        }),
    }
}
