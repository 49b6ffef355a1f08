//! Providers at which a sign-out ends all sessions of a user, not the one that is logged out.
//!
//! Invariant: it is sent for a logout only, never because a session grew old or was replaced, and never past a newer login.
//! What it ended is not served any more, and says why.

use std::time::Duration;

use tokenkeeper_protocol::reply::UserInfo;
use tokenkeeper_protocol::{ProviderName, UnixSeconds};

use super::Keeper;
use super::attend::Attempt;
use super::closing::needing_login;
use crate::audit::What;
use crate::config::ProviderSettings;
use crate::domain::{EndReason, LoginReason, Loss, Session, State, Tokens};
use crate::provider::{Fault, Provider, RevokeOutcome};
use crate::vault::{Scope, VaultError, Versioned};

/// Sessions of one user that are read in one go.
const PAGE: usize = 64;

impl Keeper {
    /// Revokes `tokens` of `session`, in the way that its provider has.
    pub(super) async fn end_at(
        &self,
        provider: &Provider,
        session: &Versioned<Session>,
        tokens: &Tokens,
        now: UnixSeconds,
    ) -> Result<RevokeOutcome, Attempt> {
        if !provider.settings().kind.sign_out_ends_user() {
            return Ok(provider.revoke(tokens, now).await);
        }
        let State::Ended { reason: EndReason::LoggedOut, since } = session.value.state else {
            return Ok(RevokeOutcome::Refused(Fault::EndsOthers));
        };
        let is_other = |other: &Session| other.id != session.value.id && other.state.is_active();
        let others = self.sessions_of(&session.value.provider, &session.value.user, is_other)?;
        if others.iter().any(|other| other.value.opened_at > since) {
            return Ok(RevokeOutcome::Refused(Fault::EndsOthers));
        }
        let outcome = provider.revoke(tokens, now).await;
        if outcome == RevokeOutcome::Done {
            // Before the outcome is kept: if this is interrupted, both are done again.
            for other in others {
                self.note_signed_out(other, since, now).await?;
            }
        }
        Ok(outcome)
    }

    /// When a session is opened that `user` opens `now`. It is later than each of their logouts that the provider has still to be
    /// told of, also where the clock, which tells seconds, says otherwise: none of them ends it.
    pub(super) fn opening_time(
        &self,
        settings: &ProviderSettings,
        user: &UserInfo,
        now: UnixSeconds,
    ) -> Result<UnixSeconds, VaultError> {
        if !settings.kind.sign_out_ends_user() {
            return Ok(now);
        }
        let logged_out = |session: &Session| match session.state {
            State::Ended { reason: EndReason::LoggedOut, since } if session.tokens.is_some() => Some(since),
            _ => None,
        };
        let untold = self.sessions_of(&settings.name, user, |session| logged_out(session).is_some())?;
        let logouts = untold.iter().filter_map(|session| logged_out(&session.value));
        Ok(logouts.map(|since| since + Duration::from_secs(1)).fold(now, UnixSeconds::max))
    }

    /// Those sessions of a user at a provider that are `wanted`.
    fn sessions_of(
        &self,
        provider: &ProviderName,
        user: &UserInfo,
        wanted: impl Fn(&Session) -> bool,
    ) -> Result<Vec<Versioned<Session>>, VaultError> {
        let scope = Scope::Subject { provider, issuer: &user.issuer, subject: &user.subject };
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = self.vault.page(scope, after, PAGE)?;
            found.extend(page.sessions.into_iter().filter(|session| wanted(&session.value)));
            after = page.next;
            if after.is_none() {
                return Ok(found);
            }
        }
    }

    /// Its tokens are worth nothing any more since the logout at `since`, and there is nobody to tell.
    async fn note_signed_out(
        &self,
        mut session: Versioned<Session>,
        since: UnixSeconds,
        now: UnixSeconds,
    ) -> Result<(), Attempt> {
        loop {
            let new = needing_login(&session.value, LoginReason::SignedOut, now, self.retention());
            let new = Session { tokens: None, due_at: None, ..new };
            let (id, provider) = (new.id, new.provider.clone());
            let event =
                What::Expired { session: id, provider, state: "needs_login".to_owned(), lost: Some(Loss::SignedOut) };
            match self.replace(&session, &new, event).await {
                // A refresh landed meanwhile: what it brought is as dead. A login is not.
                Err(Attempt::Changed) => match self.vault.session(id)? {
                    Some(changed) if changed.value.state.is_active() && changed.value.opened_at <= since => {
                        session = changed;
                    }
                    _ => return Ok(()),
                },
                other => return other,
            }
        }
    }
}
