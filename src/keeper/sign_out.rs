//! Providers at which a sign-out ends all sessions of a user, not the one that is logged out.
//!
//! Invariant: it is sent for a logout only, never because a session grew old or was replaced, and never past a newer login.
//! What it ended is not served any more, and says why.

use tokenkeeper_protocol::UnixSeconds;

use super::Keeper;
use super::attend::Attempt;
use super::closing::needing_login;
use crate::audit::What;
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
        let others = self.others_of(&session.value)?;
        if others.iter().any(|other| other.value.opened_at > since) {
            return Ok(RevokeOutcome::Refused(Fault::EndsOthers));
        }
        let outcome = provider.revoke(tokens, now).await;
        if outcome == RevokeOutcome::Done {
            // Before the outcome is kept: if this is interrupted, both are done again.
            for other in others {
                self.note_signed_out(other, now).await?;
            }
        }
        Ok(outcome)
    }

    /// The user's other sessions at the same provider that are served.
    fn others_of(&self, session: &Session) -> Result<Vec<Versioned<Session>>, VaultError> {
        let user = &session.user;
        let scope = Scope::Subject { provider: &session.provider, issuer: &user.issuer, subject: &user.subject };
        let (mut others, mut after) = (Vec::new(), None);
        loop {
            let page = self.vault.page(scope, after, PAGE)?;
            let is_other = |other: &Versioned<Session>| other.value.id != session.id && other.value.state.is_active();
            others.extend(page.sessions.into_iter().filter(is_other));
            after = page.next;
            if after.is_none() {
                return Ok(others);
            }
        }
    }

    /// Its tokens are worth nothing any more, and there is nobody to tell.
    async fn note_signed_out(&self, mut session: Versioned<Session>, now: UnixSeconds) -> Result<(), Attempt> {
        loop {
            let new = needing_login(&session.value, LoginReason::SignedOut, now, self.retention());
            let new = Session { tokens: None, due_at: None, ..new };
            let (id, provider) = (new.id, new.provider.clone());
            let event =
                What::Expired { session: id, provider, state: "needs_login".to_owned(), lost: Some(Loss::SignedOut) };
            match self.replace(&session, &new, event).await {
                // A refresh landed meanwhile: what it brought is as dead.
                Err(Attempt::Changed) => match self.vault.session(id)? {
                    Some(changed) if changed.value.state.is_active() => session = changed,
                    _ => return Ok(()),
                },
                other => return other,
            }
        }
    }
}
