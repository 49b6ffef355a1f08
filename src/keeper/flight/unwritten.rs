//! Answers of providers that the store did not take. They wait here, and sessions are served as they will be once these are
//! written, which the session's next flight does before anything else. Few: nothing is spent while the store takes no writes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokenkeeper_protocol::{SessionRef, UnixSeconds};

use super::course::Errand;
use crate::config::ProviderSettings;
use crate::domain::{Session, Tokens};
use crate::keeper::{Keeper, Wish};
use crate::provider::RefreshOutcome;
use crate::vault::Versioned;

/// The longest pause between two looks at what still waits.
const PAUSE: Duration = Duration::from_secs(1);

/// What came of a refresh.
pub(in crate::keeper) struct Answered {
    /// The session that it was made for, as it was then.
    pub(super) before: Versioned<Session>,
    /// When.
    pub(super) sent_at: UnixSeconds,
    /// By the rules of which provider.
    pub(super) settings: Arc<ProviderSettings>,
    /// Whether the refresh token may be a spent one, from an older copy of the store.
    pub(super) is_stale: bool,
    /// What the provider said.
    pub(super) outcome: RefreshOutcome,
}

impl Answered {
    pub(super) fn to(errand: Errand, sent_at: UnixSeconds, outcome: RefreshOutcome) -> Self {
        let Errand { session, provider, is_stale, .. } = errand;
        Self { before: session, sent_at, settings: Arc::clone(provider.settings()), is_stale, outcome }
    }

    /// The session that it is about.
    pub(super) fn session(&self) -> SessionRef {
        self.before.value.id
    }

    /// It is no answer to a session that has other tokens now, or asks for something else.
    pub(super) fn is_about(&self, session: &Session) -> bool {
        fn asked(session: &Session) -> (Option<&Tokens>, &[String], &[String]) {
            (session.tokens.as_ref(), &session.scopes, &session.resource)
        }
        asked(session) == asked(&self.before.value)
    }
}

/// The answers, by session.
#[derive(Default)]
pub(in crate::keeper) struct Unwritten(Mutex<HashMap<SessionRef, Arc<Answered>>>);

impl Unwritten {
    pub(super) fn keep(&self, answered: Arc<Answered>) {
        self.waiting().insert(answered.session(), answered);
    }

    pub(super) fn find(&self, session: SessionRef) -> Option<Arc<Answered>> {
        self.waiting().get(&session).cloned()
    }

    pub(in crate::keeper) fn forget(&self, session: SessionRef) {
        self.waiting().remove(&session);
    }

    pub(in crate::keeper) fn sessions(&self) -> Vec<SessionRef> {
        self.waiting().keys().copied().collect()
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<SessionRef, Arc<Answered>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keeper {
    /// Sessions whose newest answer is in memory only.
    pub fn unwritten(&self) -> Vec<SessionRef> {
        self.unwritten.sessions()
    }

    /// Writes what waits, as soon as the store takes it; returns when nothing waits.
    ///
    /// # Cancel safety
    /// Safe: what is not written goes on waiting.
    pub async fn write_what_waits(self: &Arc<Self>) {
        while let waiting @ [_, ..] = self.unwritten().as_slice() {
            if self.vault.fault().is_none() {
                join_all(waiting.iter().map(|session| self.attend(*session, Wish::Due).outcome())).await;
            }
            if !self.unwritten().is_empty() {
                // It may have healed before anybody waited for that.
                let _ = tokio::time::timeout(PAUSE, self.vault.reopened()).await;
            }
        }
    }
}
