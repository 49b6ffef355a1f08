//! The first thing after a start: refreshes that a crash interrupted get the outcome they have, which is unknown.

use tokenkeeper_protocol::SessionRef;

use super::{Keeper, KeeperError, refresh, timing};
use crate::audit::What;
use crate::domain::Session;
use crate::domain::session::Trouble;
use crate::vault::{Intent, Versioned};

impl Keeper {
    /// Settles every intent that the last run left behind; returns how many there were. Call it before anything is served.
    pub async fn recover(&self) -> Result<usize, KeeperError> {
        let unsettled = self.vault.unsettled()?;
        for (id, intent) in &unsettled {
            self.recover_one(*id, intent).await?;
        }
        Ok(unsettled.len())
    }

    async fn recover_one(&self, id: SessionRef, intent: &Intent) -> Result<(), KeeperError> {
        let now = self.clock.now();
        let mut change = self.vault.change(now);
        change.settle(id);
        if let Some(session) = self.vault.session(id)?.filter(|session| session.value.state.is_active()) {
            let new = self.with_unknown_outcome(&session, intent);
            let event = What::RefreshFailed {
                session: id,
                provider: new.provider.clone(),
                why: "the daemon was stopped before the provider's answer was written".to_owned(),
                needs_login: false,
            };
            change.update(&session, &new)?.audit(event)?;
        }
        change.commit().await?;
        Ok(())
    }

    fn with_unknown_outcome(&self, session: &Versioned<Session>, intent: &Intent) -> Session {
        let now = self.clock.now();
        let grace = self
            .providers()
            .get(&session.value.provider)
            .map_or_else(Default::default, |provider| provider.settings().reuse_grace);
        let backoff = timing::backoff(1, 0.0);
        let not_before = refresh::retry_of_unknown(&session.value, grace, intent.at, now, backoff);
        let trouble = Trouble {
            what: "a refresh was interrupted by a restart, and its answer is not known".to_owned(),
            tries: 1,
            not_before,
            unknown_since: Some(intent.at),
        };
        Session { due_at: Some(not_before), trouble: Some(trouble), ..session.value.clone() }
    }
}
