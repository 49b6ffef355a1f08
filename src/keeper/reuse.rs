//! What each provider does with refresh tokens, learned from its answers: one that changed says that it rotates; many in a row that
//! stayed say that it does not. At one that does not, a lost answer has cost nothing, and the same token is sent again at once.
//!
//! Invariant: what is not known counts as rotating, and what was learned is written with the answer that taught it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokenkeeper_protocol::ProviderName;

use super::Keeper;
use crate::config::ProviderSettings;
use crate::domain::Session;
use crate::provider::RefreshOutcome;
use crate::vault::Reuse;

/// Refreshes in a row that left the token as it was before a provider counts as one that does not rotate. Some rotate rarely: when
/// they do, what is lost is the rest of one access token's life, for the old refresh token is tried at its end anyway.
const KEPT_IN_A_ROW: u32 = 20;
/// A grace that does not end while anybody waits.
const FOREVER: Duration = Duration::from_hours(24 * 3650);

/// What was learned, as far as it was needed since the start.
#[derive(Default)]
pub(super) struct ReuseKnown(Mutex<HashMap<ProviderName, Seen>>);

struct Seen {
    known: Option<Reuse>,
    /// Refreshes in a row that left the token as it was.
    kept: u32,
}

impl Seen {
    /// Of the registration that is configured: what was learned of another one is forgotten.
    fn of(&mut self, settings: &ProviderSettings) -> &mut Self {
        let is_same = |it: &Reuse| it.issuer == settings.kind.issuer() && it.client_id == settings.client_id;
        if !self.known.as_ref().is_none_or(is_same) {
            *self = Self { known: None, kept: 0 };
        }
        self
    }
}

impl Keeper {
    /// How long after a refresh whose answer was lost the same refresh token may be sent again.
    pub(super) fn grace(&self, settings: &ProviderSettings) -> Duration {
        let mut known = self.reuse_known();
        let seen = self.seen(&mut known, settings);
        match &seen.known {
            Some(Reuse { rotates: false, .. }) => FOREVER,
            _ => settings.reuse_grace,
        }
    }

    /// What an answer to a refresh of `before` teaches that was not known; to be written with it.
    pub(super) fn lesson(
        &self,
        before: &Session,
        outcome: &RefreshOutcome,
        settings: &ProviderSettings,
    ) -> Option<Reuse> {
        let RefreshOutcome::Renewed(new) = outcome else { return None };
        let spent = before.tokens.as_ref()?.refresh.as_ref()?;
        let rotates = new.refresh.as_ref().is_some_and(|new| new != spent);
        let mut known = self.reuse_known();
        let seen = self.seen(&mut known, settings);
        seen.kept = if rotates { 0 } else { seen.kept.saturating_add(1) };
        let is_known = seen.known.as_ref().is_some_and(|known| known.rotates == rotates);
        if is_known || (!rotates && seen.kept < KEPT_IN_A_ROW) {
            return None;
        }
        let (issuer, client_id) = (settings.kind.issuer().to_owned(), settings.client_id.clone());
        Some(Reuse { issuer, client_id, rotates })
    }

    /// A lesson is on disk.
    pub(super) fn learned(&self, settings: &ProviderSettings, lesson: Reuse) {
        let words =
            if lesson.rotates { "gives a new refresh token with a refresh" } else { "keeps its refresh tokens" };
        tracing::info!(provider = %settings.name, "the provider {words}");
        let mut known = self.reuse_known();
        self.seen(&mut known, settings).known = Some(lesson);
    }

    fn reuse_known(&self) -> MutexGuard<'_, HashMap<ProviderName, Seen>> {
        self.reuse.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen<'a>(&self, known: &'a mut HashMap<ProviderName, Seen>, settings: &ProviderSettings) -> &'a mut Seen {
        let seen = known.entry(settings.name.clone()).or_insert_with(|| {
            let known = self.vault.reuse(&settings.name).unwrap_or_else(|error| {
                tracing::error!(provider = %settings.name, %error, "what was learned of a provider cannot be read");
                None
            });
            Seen { known, kept: 0 }
        });
        seen.of(settings)
    }
}
