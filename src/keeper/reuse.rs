//! What each provider does with refresh tokens, learned from its answers: one that changed says that it rotates; many in a row that
//! stayed say that it does not, unless the configuration does. At one that does not, a lost answer has cost nothing, and the same
//! token is sent again at once.
//! And whether it keeps the grace that it is configured with: a few refusals in a row within it say that it does not.
//!
//! Invariant: what is not known counts as rotating, one that rotated does whatever is configured, and what was learned is written
//! with the answer that taught it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokenkeeper_protocol::{ProviderName, UnixSeconds};

use super::Keeper;
use crate::config::ProviderSettings;
use crate::domain::Session;
use crate::provider::RefreshOutcome;
use crate::vault::{Change, Grace, Reuse, VaultError};

/// Refreshes in a row that left the token as it was before a provider counts as one that does not rotate. Some rotate rarely: when
/// they do, what is lost is the rest of one access token's life, for the old refresh token is tried at its end anyway.
const KEPT_IN_A_ROW: u32 = 20;
/// Refusals in a row within the grace after which that is not believed any more. One may have another reason, and believing
/// too little costs a session where the provider would have forgiven.
const REFUSED_IN_A_ROW: u32 = 3;
/// A grace that does not end while anybody waits.
const FOREVER: Duration = Duration::from_hours(24 * 3650);

/// What was learned, as far as it was needed since the start.
#[derive(Default)]
pub(super) struct ReuseKnown(Mutex<HashMap<ProviderName, Seen>>);

#[derive(Default)]
struct Seen {
    known: Option<Reuse>,
    /// Refreshes in a row that left the token as it was.
    kept: u32,
    grace: Option<Grace>,
}

/// What an answer teaches.
#[derive(Default)]
pub(super) struct Lesson {
    /// Whether it left the refresh token as it was, if it could tell.
    kept: Option<bool>,
    rotation: Option<Reuse>,
    grace: Option<Grace>,
}

impl Lesson {
    /// Adds it to the change by which the answer is written.
    pub(super) fn keep(&self, change: &mut Change<'_>, provider: &ProviderName) -> Result<(), VaultError> {
        if let Some(rotation) = &self.rotation {
            change.learn(provider, rotation)?;
        }
        if let Some(grace) = &self.grace {
            change.learn_grace(provider, grace)?;
        }
        Ok(())
    }
}

impl Seen {
    /// Of the registration that is configured: what was learned of another one is forgotten.
    fn of(&mut self, settings: &ProviderSettings) -> &mut Self {
        let is_same = |it: &Reuse| it.issuer == settings.kind.issuer() && it.client_id == settings.client_id;
        if !self.known.as_ref().is_none_or(is_same) {
            *self = Self::default();
        }
        let is_same = |it: &Grace| {
            (it.issuer.as_str(), &it.client_id, it.configured)
                == (settings.kind.issuer(), &settings.client_id, settings.reuse_grace)
        };
        self.grace = self.grace.take().filter(is_same);
        self
    }

    fn rotation(&self, kept: bool, settings: &ProviderSettings) -> Option<Reuse> {
        let rotates = !kept;
        let is_known = self.known.as_ref().is_some_and(|known| known.rotates == rotates);
        if is_known || (kept && self.kept.saturating_add(1) < KEPT_IN_A_ROW) {
            return None;
        }
        let (issuer, client_id) = (settings.kind.issuer().to_owned(), settings.client_id.clone());
        Some(Reuse { issuer, client_id, rotates })
    }

    fn grace(
        &self,
        before: &Session,
        sent_at: UnixSeconds,
        outcome: &RefreshOutcome,
        settings: &ProviderSettings,
    ) -> Option<Grace> {
        let configured = settings.reuse_grace;
        let since = before.trouble.as_ref()?.unknown_since.filter(|since| sent_at < *since + configured)?;
        let known = self.grace.as_ref().map_or(0, |grace| grace.refusals);
        let refusals = match outcome {
            RefreshOutcome::Refused { .. } => known.saturating_add(1),
            RefreshOutcome::Renewed(_) => 0,
            _ => known,
        };
        let (issuer, client_id) = (settings.kind.issuer().to_owned(), settings.client_id.clone());
        (refusals != known && since <= sent_at).then_some(Grace { issuer, client_id, configured, refusals })
    }
}

impl Keeper {
    /// How long after a refresh whose answer was lost the same refresh token may be sent again.
    pub(super) fn grace(&self, settings: &ProviderSettings) -> Duration {
        let mut known = self.reuse_known();
        let seen = self.seen(&mut known, settings);
        match (seen.known.as_ref().map(|known| known.rotates), settings.rotates) {
            (Some(false), None) | (Some(false) | None, Some(false)) => FOREVER,
            _ if seen.grace.as_ref().is_some_and(|grace| grace.refusals >= REFUSED_IN_A_ROW) => Duration::ZERO,
            _ => settings.reuse_grace,
        }
    }

    /// What an answer to a refresh of `before` teaches that was not known; to be written with it.
    pub(super) fn lesson(
        &self,
        before: &Session,
        sent_at: UnixSeconds,
        outcome: &RefreshOutcome,
        settings: &ProviderSettings,
    ) -> Lesson {
        let mut known = self.reuse_known();
        let seen = self.seen(&mut known, settings);
        let kept = kept(before, outcome);
        Lesson {
            kept,
            rotation: kept.and_then(|kept| seen.rotation(kept, settings)),
            grace: seen.grace(before, sent_at, outcome, settings),
        }
    }

    /// A lesson is on disk.
    pub(super) fn learned(&self, settings: &ProviderSettings, lesson: Lesson) {
        let mut known = self.reuse_known();
        let seen = self.seen(&mut known, settings);
        // Not before: one answer may take many tries to be written.
        seen.kept = match lesson.kept {
            Some(true) => seen.kept.saturating_add(1),
            Some(false) => 0,
            None => seen.kept,
        };
        if let Some(rotation) = lesson.rotation {
            let words =
                if rotation.rotates { "gives a new refresh token with a refresh" } else { "keeps its refresh tokens" };
            tracing::info!(provider = %settings.name, "the provider {words}");
            seen.known = Some(rotation);
        }
        if let Some(grace) = lesson.grace {
            if grace.refusals == REFUSED_IN_A_ROW {
                tracing::warn!(
                    provider = %settings.name,
                    "the provider refused {REFUSED_IN_A_ROW} refresh tokens within its reuse_grace, which is not believed any more: correct it"
                );
            }
            seen.grace = Some(grace);
        }
    }

    fn reuse_known(&self) -> MutexGuard<'_, HashMap<ProviderName, Seen>> {
        self.reuse.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seen<'a>(&self, known: &'a mut HashMap<ProviderName, Seen>, settings: &ProviderSettings) -> &'a mut Seen {
        let seen = known.entry(settings.name.clone()).or_insert_with(|| {
            let unreadable = |error: VaultError| {
                tracing::error!(provider = %settings.name, %error, "what was learned of a provider cannot be read");
            };
            let known = self.vault.reuse(&settings.name).map_err(unreadable).unwrap_or_default();
            let grace = self.vault.grace(&settings.name).map_err(unreadable).unwrap_or_default();
            Seen { known, kept: 0, grace }
        });
        seen.of(settings)
    }
}

/// Whether an answer left the refresh token as it was, if it can tell.
fn kept(before: &Session, outcome: &RefreshOutcome) -> Option<bool> {
    let RefreshOutcome::Renewed(new) = outcome else { return None };
    let spent = before.tokens.as_ref()?.refresh.as_ref()?;
    Some(new.refresh.as_ref().is_none_or(|new| new == spent))
}
