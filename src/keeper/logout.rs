//! Logout: the tombstone first, and nobody is served again; then the provider is told.

use std::sync::Arc;
use std::time::Duration;

use tokenkeeper_protocol::SessionRef;
use tokenkeeper_protocol::reply::{LoggedOut, Revocation};

use super::attend::{Attended, Wish};
use super::{Keeper, KeeperError, closing};
use crate::audit::What;
use crate::domain::{EndReason, Peer, Session};
use crate::failpoint::failpoint;
use crate::policy::Permit;
use crate::vault::VaultError;

/// How long a logout waits for the provider before it answers that revocation goes on without it.
const PATIENCE: Duration = Duration::from_secs(10);

impl Keeper {
    /// Ends a session. Ending one that is over already reports how its revocation went.
    pub async fn logout(
        self: &Arc<Self>,
        _permit: Permit,
        id: SessionRef,
        peer: &Peer,
    ) -> Result<LoggedOut, KeeperError> {
        let session = self.bury(id, &peer.to_string()).await?;
        let (url, revoked) = tokio::join!(
            tokio::time::timeout(PATIENCE, self.end_session_url(&session)),
            tokio::time::timeout(PATIENCE, self.revoked(&session)),
        );
        let revoked = revoked.unwrap_or(Revocation::Pending);
        Ok(LoggedOut { session: id, revoked, end_session_url: url.unwrap_or_default() })
    }

    async fn end_session_url(&self, session: &Session) -> Option<String> {
        let provider = self.provider(&session.provider).ok()?;
        let now = self.clock.now();
        if provider.is_known(now) {
            return provider.end_session_url(now).await;
        }
        let _pass = self.enter_for_person(&provider).await.ok()?;
        provider.end_session_url(self.clock.now()).await
    }

    /// Writes the tombstone.
    pub(super) async fn bury(&self, id: SessionRef, peer: &str) -> Result<Session, KeeperError> {
        loop {
            let found = self.vault.session(id)?.ok_or(KeeperError::NoSuchSession { session: id })?;
            if found.value.state.is_ended() {
                return Ok(found.value);
            }
            let now = self.clock.now();
            let event = What::LoggedOut { peer: peer.to_owned(), session: id, provider: found.value.provider.clone() };
            let new = self.ended(&found.value, EndReason::LoggedOut);
            let mut change = self.vault.change(now);
            change.update(&found, &new)?.audit(event)?;
            failpoint!("logout.before-tombstone", id);
            match change.commit().await {
                Ok(()) => {
                    failpoint!("logout.buried", id);
                    self.publish(id);
                    return Ok(new);
                }
                Err(VaultError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The tombstone of a session. Its tokens stay until they are revoked.
    pub(super) fn ended(&self, session: &Session, reason: EndReason) -> Session {
        closing::ended(session, reason, self.clock.now(), self.retention())
    }

    /// Waits for a revocation. A refresh that was on its way lands first: its tokens are then revoked too.
    pub(super) async fn revoked(self: &Arc<Self>, session: &Session) -> Revocation {
        if session.tokens.is_none() {
            return settled(session);
        }
        loop {
            match self.attend(session.id, Wish::Due).outcome().await {
                Ok(Attended::Revoked(outcome)) => return outcome,
                Ok(Attended::Renewed) => {}
                Ok(Attended::NothingDue) => match self.vault.session(session.id) {
                    Ok(Some(session)) if session.value.tokens.is_some() => {}
                    Ok(Some(session)) => return settled(&session.value),
                    _ => return Revocation::Done,
                },
                Err(_) => return Revocation::Pending,
            }
        }
    }
}

/// How the revocation of a session went that has no tokens any more.
fn settled(session: &Session) -> Revocation {
    if session.trouble.is_some() { Revocation::Unsupported } else { Revocation::Done }
}
