//! What a session needs now. Pure.

use std::sync::Arc;
use std::time::Duration;

use tokenkeeper_protocol::UnixSeconds;

use super::Outcome;
use super::course::{Errand, State, answered};
use super::outcome::{Known, not_before};
use crate::domain::{LoginReason, Session};
use crate::keeper::attend::{Attended, Wish};
use crate::keeper::{KeeperError, timing};
use crate::provider::{Fault, Provider, RefreshOutcome};
use crate::vault::Versioned;

/// A session as it was found, and what else decides.
pub(super) struct Found {
    pub(super) session: Versioned<Session>,
    pub(super) now: UnixSeconds,
    /// Its provider, unless that is gone from the configuration.
    pub(super) provider: Option<Arc<Provider>>,
    /// How long after a lost answer the provider takes the same refresh token again.
    pub(super) grace: Duration,
    /// Whether the refresh token may be a spent one, from an older copy of the store.
    pub(super) is_stale: bool,
    /// The era of the clock.
    pub(super) era: u32,
}

/// What is done first for a session as it was found.
pub(super) fn needed(found: Found, wish: Wish) -> State {
    let Found { session, now, provider, grace, is_stale, era } = found;
    let it = &session.value;
    if !it.state.is_active() {
        let is_done = it.tokens.is_none();
        return if is_done { State::Landed(Ok(Attended::NothingDue)) } else { State::Revoking { session, now } };
    }
    if it.account().is_none() && now >= it.ends_at {
        return State::Closing { session, reason: LoginReason::SessionTooOld, now };
    }
    let Some(provider) = provider else {
        let removed = KeeperError::ProviderRemoved { provider: it.provider.clone() };
        return put_off(session, now, now + timing::LONGEST_WAIT, Err(removed));
    };
    let settings = provider.settings();
    if it.account().is_some() {
        if (it.user.issuer.as_str(), &it.user.subject) != (settings.kind.issuer(), &settings.client_id) {
            // A reload has come as far as the providers. Another client's tokens are not for this session.
            let (why, wait) = ("its configuration is being changed".to_owned(), Duration::from_secs(1));
            let provider = settings.name.clone();
            return put_off(session, now, now + wait, Err(KeeperError::ProviderDown { provider, why, wait }));
        }
    } else {
        let Some(tokens) = &it.tokens else { return State::Landed(Ok(Attended::NothingDue)) };
        // One from before the clock was set back is served to nobody any more.
        let expires_at = if it.era == era { tokens.access.expires_at } else { now };
        if tokens.refresh.is_none() {
            return if now < expires_at {
                State::Landed(Ok(Attended::NothingDue))
            } else {
                State::Closing { session, reason: LoginReason::NoRefreshToken, now }
            };
        }
        if is_stale && now < expires_at {
            // The provider could end the whole grant, and the live token with it.
            let then = match wish {
                Wish::Due => Ok(Attended::NothingDue),
                Wish::NewToken => Err(KeeperError::Quarantined { session: it.id, wait: expires_at.since(now) }),
            };
            return put_off(session, now, expires_at, then);
        }
    }
    if let Some((until, why)) = held_back(it, &provider, grace, era, now) {
        return put_off(session, now, until, Err(why));
    }
    if wish == Wish::Due {
        if it.due_at.is_none_or(|at| at > now) {
            return State::Landed(Ok(Attended::NothingDue));
        }
        if it.trouble.is_none()
            && let Some(keep_alive) = timing::put_off(it, settings, now)
        {
            return put_off(session, now, keep_alive, Ok(Attended::NothingDue));
        }
    }
    State::Queueing(Errand { session, provider, is_stale })
}

/// What is done once the gate was passed, and all is ready. That may have taken longer than a grace.
pub(super) fn admitted(errand: Errand, known: Known) -> State {
    let Known { now, grace, era, .. } = known;
    if let Some((until, why)) = held_back(&errand.session.value, &errand.provider, grace, era, now) {
        return put_off(errand.session, now, until, Err(why));
    }
    if errand.session.value.account().is_some() {
        // Nothing is spent.
        return State::Asking(errand, now);
    }
    State::Intending(errand, now)
}

/// What is done once the intent is on the disk: the last look at the time before the refresh token is sent. Where that took longer
/// than a grace, it is not sent, and the intent is settled with what becomes of the session.
pub(super) fn intended(errand: Errand, known: Known) -> State {
    let Known { now, grace, era, .. } = known;
    match held_back(&errand.session.value, &errand.provider, grace, era, now) {
        Some(_) => answered(errand, now, RefreshOutcome::NotSent(Fault::TooLate)),
        None => State::Asking(errand, now),
    }
}

/// Until when a try is held back that would come too soon after the last one, and what is told of that.
fn held_back(
    session: &Session,
    by: &Provider,
    grace: Duration,
    era: u32,
    now: UnixSeconds,
) -> Option<(UnixSeconds, KeeperError)> {
    let trouble = session.trouble.as_ref()?;
    // Of another configuration than the one in force, which may mend it.
    let may_be_mended = by.in_force_since().is_some_and(|since| trouble.noted_at < since);
    if trouble.needs_administrator && may_be_mended && trouble.unknown_since.is_none() {
        return None;
    }
    let until = not_before(session, trouble, grace, era, now);
    let (provider, why, wait) = (session.provider.clone(), trouble.what.clone(), until.since(now));
    // By the clock of before it was set back, it could be held back for years.
    let is_of_before = session.era != era && wait > timing::LONGEST_WAIT;
    (now < until && !is_of_before).then_some(if trouble.needs_administrator {
        (until, KeeperError::Misconfigured { provider, why })
    } else {
        (until, KeeperError::ProviderDown { provider, why, wait })
    })
}

/// Moves a session that is due to where nothing will be tried before, so that the agenda does not come back to it.
fn put_off(session: Versioned<Session>, now: UnixSeconds, until: UnixSeconds, then: Outcome) -> State {
    match session.value.due_at {
        Some(at) if at <= now => State::PuttingOff { session, until, then },
        _ => State::Landed(then),
    }
}
