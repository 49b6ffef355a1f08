//! Answers of providers that the store did not take. They wait here, and nobody is served from them: the session's next
//! flight writes them before it does anything else. Few, since no refresh token is spent while the store takes no writes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokenkeeper_protocol::{SessionRef, UnixSeconds};

use crate::config::ProviderSettings;
use crate::domain::Session;
use crate::provider::RefreshOutcome;

/// What came of a refresh.
pub(super) struct Answered {
    /// The session that it was made for, as it was then.
    pub(super) before: Session,
    /// When.
    pub(super) sent_at: UnixSeconds,
    /// By the rules of which provider.
    pub(super) settings: Arc<ProviderSettings>,
    /// Whether the refresh token may be a spent one, from an older copy of the store.
    pub(super) is_stale: bool,
    /// Whether it had to wait before.
    pub(super) waited: bool,
    /// What the provider said.
    pub(super) outcome: RefreshOutcome,
}

/// The answers, by session.
#[derive(Default)]
pub(super) struct Unwritten(Mutex<HashMap<SessionRef, Answered>>);

impl Unwritten {
    pub(super) fn keep(&self, answered: Answered) {
        self.waiting().insert(answered.before.id, answered);
    }

    pub(super) fn take(&self, session: SessionRef) -> Option<Answered> {
        self.waiting().remove(&session)
    }

    pub(super) fn sessions(&self) -> Vec<SessionRef> {
        self.waiting().keys().copied().collect()
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<SessionRef, Answered>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
