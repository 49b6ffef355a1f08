//! Revocation of what a session that is over has left: tried until the provider has said something final.

use tokenkeeper_protocol::UnixSeconds;
use tokenkeeper_protocol::reply::Revocation;

use super::attend::{Attempt, Attended, Wish};
use super::{Keeper, timing};
use crate::audit::What;
use crate::domain::Session;
use crate::domain::session::Trouble;
use crate::failpoint::failpoint;
use crate::provider::RevokeOutcome;
use crate::vault::Versioned;

impl Keeper {
    /// Revokes the tokens of a session that is not active any more.
    pub(super) async fn revoke(
        &self,
        session: &Versioned<Session>,
        wish: Wish,
        now: UnixSeconds,
    ) -> Result<Attended, Attempt> {
        let Some(tokens) = &session.value.tokens else { return Ok(Attended::NothingDue) };
        if session.value.trouble.as_ref().is_some_and(|trouble| now < trouble.not_before) {
            return Ok(Attended::Revoked(Revocation::Pending));
        }
        let outcome = match self.providers().get(&session.value.provider) {
            Some(provider) if provider.settings().kind.issuer() == session.value.user.issuer => {
                let Ok(pass) = self.enter(provider, &session.value, wish).await else {
                    return Ok(Attended::Revoked(Revocation::Pending));
                };
                failpoint!("revoke.before-post", session.value.id);
                // That may have taken a while.
                let outcome = self.end_at(provider, session, tokens, self.clock.now()).await?;
                failpoint!("revoke.answered", session.value.id);
                pass.came_back((&outcome).into());
                outcome
            }
            // Nobody is left to ask: these tokens are not for another issuer to see.
            _ => RevokeOutcome::Unsupported,
        };
        let (mut new, now) = (session.value.clone(), self.clock.now());
        let (revocation, said) = match outcome {
            RevokeOutcome::Done => (Revocation::Done, "done".to_owned()),
            RevokeOutcome::Unsupported => (Revocation::Unsupported, "unsupported".to_owned()),
            RevokeOutcome::Refused(fault) => (Revocation::Unsupported, format!("refused: {fault}")),
            RevokeOutcome::TryAgain(fault) => {
                let tries = new.trouble.as_ref().map_or(1, |trouble| trouble.tries.saturating_add(1));
                let not_before = now + timing::backoff(tries, rand::random());
                let what = fault.to_string();
                let said = format!("pending: {what}");
                new.due_at = Some(not_before);
                new.trouble = Some(Trouble { what, tries, not_before, ..Trouble::default() });
                (Revocation::Pending, said)
            }
        };
        if revocation != Revocation::Pending {
            (new.tokens, new.due_at) = (None, None);
            // What could not be done is remembered, for those who ask later.
            let tries = new.trouble.map_or(1, |trouble| trouble.tries.saturating_add(1));
            let undone = Trouble { what: format!("revocation: {said}"), tries, not_before: now, ..Trouble::default() };
            new.trouble = (revocation == Revocation::Unsupported).then_some(undone);
        }
        let event = What::Revoked { session: new.id, provider: new.provider.clone(), outcome: said };
        self.replace(session, &new, event).await?;
        failpoint!("revoke.kept", new.id);
        Ok(Attended::Revoked(revocation))
    }
}
