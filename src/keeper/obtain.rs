//! The tokens of a service account. Everybody who wants one waits for the same POST, and the schedule asks ahead of the expiry,
//! as with a refresh; but no refresh token is spent, so that a lost answer costs nothing and no intent is written.

use std::sync::Arc;
use std::time::Duration;

use tokenkeeper_protocol::UnixSeconds;

use super::attend::{Attempt, Attended, Wish};
use super::unwritten::Answered;
use super::{Keeper, KeeperError};
use crate::domain::Session;
use crate::vault::Versioned;

impl Keeper {
    /// Obtains the tokens of an active account if `wish` and its agenda ask for it.
    pub(super) async fn obtain(
        &self,
        session: Versioned<Session>,
        wish: Wish,
        now: UnixSeconds,
    ) -> Result<Attended, Attempt> {
        let provider = self.provider_of(&session, now).await?;
        let (settings, user) = (provider.settings(), &session.value.user);
        if (user.issuer.as_str(), &user.subject) != (settings.kind.issuer(), &settings.client_id) {
            // A reload has come as far as the providers. Another client's tokens are not for this session.
            let why = "its configuration is being changed".to_owned();
            let wait = Duration::from_secs(1);
            return Err(KeeperError::ProviderDown { provider: settings.name.clone(), why, wait }.into());
        }
        self.hold_back(&session, settings, now).await?;
        if wish == Wish::Due && !self.refresh_is_due(&session, settings, now).await? {
            return Ok(Attended::NothingDue);
        }
        let pass = self.enter(&provider, &session.value, wish).await?;
        let now = self.clock.now();
        let outcome = provider.client_credentials(&session.value.scopes, &session.value.resource, now).await;
        pass.came_back((&outcome).into());
        let settings = Arc::clone(settings);
        let answered =
            Answered { before: session.value, sent_at: now, settings, is_stale: false, waited: false, outcome };
        self.settle(answered).await.map_err(Attempt::Failed)
    }
}
