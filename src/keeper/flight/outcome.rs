//! What the answer to a refresh makes of a session, and what those who waited for it are told. Pure.

use std::time::Duration;

use tokenkeeper_protocol::UnixSeconds;

use super::Outcome;
use super::unwritten::Answered;
use crate::config::ProviderSettings;
use crate::domain::session::Trouble;
use crate::domain::{LoginReason, Refusal, Session, State, Tokens};
use crate::keeper::attend::Attended;
use crate::keeper::{KeeperError, timing};
use crate::provider::{Fault, RefreshOutcome};
use crate::vault::{Intent, Versioned};

/// What must be known to take an answer in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) now: UnixSeconds,
    /// How long after a lost answer the provider takes the same refresh token again.
    pub(super) grace: Duration,
    /// The era of the clock.
    pub(super) era: u32,
    /// In 0.0..=1.0: spreads those who would come back together.
    pub(super) random: f64,
}

/// A session that is changed.
#[derive(Clone)]
pub(super) struct Changed {
    pub(super) old: Versioned<Session>,
    pub(super) new: Session,
}

/// What follows from an answer for the session as it is now. Nothing, if the answer is not about it any more: a new login
/// brought other tokens, or an account asks for other scopes. What came is not revoked either, for that would end the new
/// login's grant at providers that have one for all of a user's logins.
pub(super) fn settled(
    session: Option<Versioned<Session>>,
    answered: &Answered,
    known: Known,
) -> (Option<Box<Changed>>, Outcome) {
    let Some(old) = session.filter(|session| answered.is_about(&session.value)) else {
        return (None, Ok(Attended::NothingDue));
    };
    let (new, verdict) = after(&old.value, answered, known);
    (Some(Box::new(Changed { old, new })), verdict)
}

/// What becomes of a session by the outcome of a refresh.
pub(super) fn after(session: &Session, answered: &Answered, known: Known) -> (Session, Outcome) {
    let Known { now, grace, era, random } = known;
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
        let not_before = now + wait;
        let trouble = Trouble { what, tries, not_before, unknown_since, needs_administrator, noted_at: now };
        let not_before = self::not_before(session, &trouble, grace, era, not_before);
        let why = trouble.what.clone();
        new.due_at = Some(not_before);
        new.trouble = Some(Trouble { not_before, ..trouble });
        KeeperError::ProviderDown { provider: session.provider.clone(), why, wait: not_before.since(now) }
    };
    let verdict = match outcome {
        RefreshOutcome::Renewed(tokens) => {
            renew(&mut new, tokens, settings, known);
            Ok(Attended::Renewed)
        }
        // The session ended meanwhile: whatever the provider said, its tokens are only there to be revoked.
        _ if !session.state.is_active() => Ok(Attended::NothingDue),
        RefreshOutcome::NotSent(fault) => {
            let wait = backoff.max(fault.retry_after().unwrap_or_default());
            let later = troubled(fault.to_string(), wait, unknown_since);
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
        RefreshOutcome::Unknown(Fault::AnotherLogin(whose)) if is_last_try(session, answered, known) => {
            let error = format!("the refresh brought an ID token of {whose}");
            let reason = LoginReason::Unusable(Refusal { error, tries, ..Refusal::default() });
            lose(&mut new, reason, now)
        }
        RefreshOutcome::Unknown(fault) => {
            let since = unknown_since.unwrap_or(*sent_at);
            // The first time, the provider forgives it at once: whoever waits for a token goes on waiting.
            let at_once = tries == 1 && is_forgiven(since, grace, now);
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
            lose(&mut new, reason, now)
        }
    };
    (new, verdict)
}

/// The session needs a login. Its tokens are of no more use, which is why nobody revokes them.
fn lose(new: &mut Session, reason: LoginReason, now: UnixSeconds) -> Outcome {
    new.state = State::NeedsLogin { reason, since: now };
    new.tokens = None;
    new.generation += 1;
    (new.trouble, new.due_at) = (None, None);
    Err((&*new).into())
}

/// Whether an answer that cannot be used is the second, and comes when nothing is left to lose: another try would bring nothing
/// else. Of the answer itself, which may be taken in twice, the session that it was sent for knows nothing.
fn is_last_try(session: &Session, answered: &Answered, known: Known) -> bool {
    let before = answered.before.value.trouble.as_ref();
    before.is_some_and(|trouble| trouble.unknown_since.is_some()) && live(session, known.era, known.now).is_none()
}

/// The tokens of a session that are good at `now`. Those from before the clock was set back, to another `era`, count as expired.
fn live(session: &Session, era: u32, now: UnixSeconds) -> Option<&Tokens> {
    session.tokens.as_ref().filter(|tokens| session.era == era && tokens.access.expires_at > now)
}

fn misconfigured(session: &Session, fault: &Fault) -> KeeperError {
    KeeperError::Misconfigured { provider: session.provider.clone(), why: fault.to_string() }
}

/// When the next try is, at `now` or later. A refresh token that may be spent is only sent while the provider would forgive
/// it, and otherwise when the access token has expired and nothing is left to lose.
pub(super) fn not_before(
    session: &Session,
    trouble: &Trouble,
    grace: Duration,
    era: u32,
    now: UnixSeconds,
) -> UnixSeconds {
    let is_risky = trouble.unknown_since.is_some_and(|since| !is_forgiven(since, grace, now));
    let live = live(session, era, now).filter(|_| is_risky);
    live.map_or(trouble.not_before, |tokens| trouble.not_before.max(tokens.access.expires_at))
}

/// Whether the provider still takes a refresh token that may be spent `since` then. A clock that was set back since does not
/// make it good again.
fn is_forgiven(since: UnixSeconds, grace: Duration, now: UnixSeconds) -> bool {
    now.since(since).max(since.since(now)) < grace
}

/// Takes new tokens in. A refresh or ID token that did not come stays as it was (RFC 6749 section 6).
fn renew(new: &mut Session, tokens: &Tokens, settings: &ProviderSettings, known: Known) {
    let old = new.tokens.take();
    let (old_refresh, old_id) = old.map_or((None, None), |old| (old.refresh, old.id));
    new.tokens = Some(Tokens {
        access: tokens.access.clone(),
        refresh: tokens.refresh.clone().or(old_refresh),
        id: tokens.id.clone().or(old_id),
        refresh_life: tokens.refresh_life,
    });
    new.generation += 1;
    new.refreshes += 1;
    new.era = known.era;
    new.trouble = None;
    new.due_at = match new.state {
        State::Active => timing::refresh_due(new, settings, 2.0 * known.random - 1.0),
        // It ended while the refresh was on its way: what came is there to be revoked.
        _ => Some(known.now),
    };
}

/// A session whose refresh was interrupted: what the provider did is not known.
pub(in crate::keeper) fn interrupted(
    session: &Session,
    intent: &Intent,
    grace: Duration,
    era: u32,
    now: UnixSeconds,
) -> Session {
    let earlier = session.trouble.as_ref().and_then(|trouble| trouble.unknown_since);
    let at_once = now + timing::backoff(1, 0.0);
    let trouble = Trouble {
        what: "a refresh was interrupted, and its answer is not known".to_owned(),
        tries: 1,
        not_before: at_once,
        unknown_since: Some(earlier.unwrap_or(intent.at)),
        needs_administrator: false,
        noted_at: now,
    };
    let not_before = not_before(session, &trouble, grace, era, at_once);
    Session { due_at: Some(not_before), trouble: Some(Trouble { not_before, ..trouble }), ..session.clone() }
}
