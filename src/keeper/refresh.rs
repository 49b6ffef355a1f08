//! Refresh: intent, POST, synced result, publication, in this order and no other.
//!
//! The intent proves that the disk is writable before the provider is called, and tells the next start what was
//! interrupted. The refresh token is sent once; what follows from the outcome is decided by [`after`] alone.

use std::time::Duration;

use tokenkeeper_protocol::UnixSeconds;

use super::attend::{Attempt, Attended, Wish};
use super::{Keeper, KeeperError, timing};
use crate::audit::What;
use crate::config::ProviderSettings;
use crate::domain::session::Trouble;
use crate::domain::{LoginReason, Session, State, Tokens};
use crate::provider::RefreshOutcome;
use crate::vault::{Intent, VaultError, Versioned};

impl Keeper {
    /// Refreshes an active session if `wish` and its agenda ask for it.
    pub(super) async fn refresh(
        &self,
        session: Versioned<Session>,
        wish: Wish,
        now: UnixSeconds,
    ) -> Result<Attended, Attempt> {
        let provider = self.provider(&session.value.provider)?;
        let settings = provider.settings();
        let Some(tokens) = session.value.tokens.as_ref() else { return Ok(Attended::NothingDue) };
        if tokens.refresh.is_none() {
            if now < tokens.access.expires_at {
                return Ok(Attended::NothingDue);
            }
            return self.require_login(&session, LoginReason::NoRefreshToken, now).await;
        }
        if let Some(trouble) = session.value.trouble.as_ref().filter(|trouble| now < trouble.not_before) {
            let (why, wait) = (trouble.what.clone(), trouble.not_before.since(now));
            return Err(KeeperError::ProviderDown { provider: session.value.provider.clone(), why, wait }.into());
        }
        if wish == Wish::Due && !self.refresh_is_due(&session, settings, now).await? {
            return Ok(Attended::NothingDue);
        }
        let intent = Intent { generation: session.value.generation, at: now };
        let mut change = self.vault.change(now);
        change.unchanged(&session).intend(session.value.id, &intent)?;
        change.commit().await?;
        let outcome = provider.refresh(&session.value, now).await;
        self.settle(session, &outcome, settings, intent.at).await.map_err(Attempt::Failed)
    }

    /// Whether the agenda still asks for it. A session that nobody used is put off to its keep-alive instead.
    async fn refresh_is_due(
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
        let Some(keep_alive) = timing::put_off(&used, settings, now) else { return Ok(true) };
        let mut change = self.vault.change(now);
        change.update(session, &Session { due_at: Some(keep_alive), ..used })?;
        change.commit().await?;
        Ok(false)
    }

    /// Writes the outcome, then shows it. Whatever else happened to the session meanwhile, the intent is settled.
    pub(super) async fn settle(
        &self,
        mut session: Versioned<Session>,
        outcome: &RefreshOutcome,
        settings: &ProviderSettings,
        sent_at: UnixSeconds,
    ) -> Result<Attended, KeeperError> {
        loop {
            let now = self.clock.now();
            let used = Session { last_used_at: self.last_used(&session.value), ..session.value.clone() };
            let (new, verdict) = after(&used, outcome, settings, sent_at, now, rand::random());
            let mut change = self.vault.change(now);
            change.update(&session, &new)?.settle(new.id).audit(event(&new, &verdict))?;
            match change.commit().await {
                Ok(()) => {
                    self.publish(&new);
                    return verdict;
                }
                Err(VaultError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
            let id = session.value.id;
            session = self.vault.session(id)?.ok_or(KeeperError::NoSuchSession { session: id })?;
        }
    }

    /// When a session was last asked for: the cache knows it to the second, the record as of the last write.
    fn last_used(&self, session: &Session) -> UnixSeconds {
        self.cache.find(session.id).map_or(session.last_used_at, |live| live.used_at().max(session.last_used_at))
    }
}

/// What becomes of a session by the outcome of a refresh, and what those who waited are told. `random` is in 0.0..=1.0.
fn after(
    session: &Session,
    outcome: &RefreshOutcome,
    settings: &ProviderSettings,
    sent_at: UnixSeconds,
    now: UnixSeconds,
    random: f64,
) -> (Session, Result<Attended, KeeperError>) {
    let mut new = session.clone();
    let tries = session.trouble.as_ref().map_or(1, |trouble| trouble.tries.saturating_add(1));
    let unknown_since = session.trouble.as_ref().and_then(|trouble| trouble.unknown_since);
    let backoff = timing::backoff(tries, random);
    let troubled = |new: &mut Session, what: String, not_before: UnixSeconds, unknown_since| {
        new.due_at = Some(not_before);
        new.trouble = Some(Trouble { what: what.clone(), tries, not_before, unknown_since });
        (what, not_before.since(now))
    };
    let down = |(why, wait)| KeeperError::ProviderDown { provider: session.provider.clone(), why, wait };
    let verdict = match outcome {
        RefreshOutcome::Renewed(tokens) => {
            renew(&mut new, tokens, settings, now, random);
            Ok(Attended::Renewed)
        }
        // The session ended meanwhile: whatever the provider said, its tokens are only there to be revoked.
        _ if !session.state.is_active() => Ok(Attended::NothingDue),
        RefreshOutcome::NotSent(fault) => {
            Err(down(troubled(&mut new, fault.to_string(), now + backoff, unknown_since)))
        }
        RefreshOutcome::Transient { fault, retry_after } => {
            let wait = backoff.max(retry_after.unwrap_or_default());
            Err(down(troubled(&mut new, fault.to_string(), now + wait, unknown_since)))
        }
        RefreshOutcome::Misconfigured(fault) => {
            let (why, _) = troubled(&mut new, fault.to_string(), now + backoff, unknown_since);
            Err(KeeperError::Misconfigured { provider: session.provider.clone(), why })
        }
        RefreshOutcome::Unknown(fault) => {
            let since = unknown_since.unwrap_or(sent_at);
            let not_before = retry_of_unknown(session, settings.reuse_grace, since, now, backoff);
            Err(down(troubled(&mut new, fault.to_string(), not_before, Some(since))))
        }
        RefreshOutcome::Refused { error, description } => {
            let reason = match unknown_since {
                Some(_) => LoginReason::AnswerLost,
                None => LoginReason::Refused { error: error.clone(), description: description.clone() },
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

/// When a refresh token that may be spent is tried again: at once while the provider would forgive it, otherwise when
/// the access token has expired and nothing is left to lose.
pub(super) fn retry_of_unknown(
    session: &Session,
    grace: Duration,
    since: UnixSeconds,
    now: UnixSeconds,
    backoff: Duration,
) -> UnixSeconds {
    let expires_at = session.tokens.as_ref().map_or(now, |tokens| tokens.access.expires_at);
    if now + backoff < since + grace { now + backoff } else { expires_at.max(now + backoff) }
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

fn event(session: &Session, verdict: &Result<Attended, KeeperError>) -> What {
    let (id, provider) = (session.id, session.provider.clone());
    match verdict {
        Ok(_) => What::RefreshDone { session: id, provider, generation: session.generation },
        Err(error) => What::RefreshFailed {
            session: id,
            provider,
            why: error.to_string(),
            needs_login: !session.state.is_active(),
        },
    }
}
