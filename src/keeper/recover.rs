//! The first thing after a start: refreshes that a crash interrupted get the outcome they have, which is unknown.

use tokenkeeper_protocol::SessionRef;

use super::{Keeper, KeeperError, refresh, timing};
use crate::audit::What;
use crate::domain::Session;
use crate::domain::session::Trouble;
use crate::failpoint::failpoint;
use crate::vault::{Intent, Versioned};

impl Keeper {
    /// Settles every intent that the last run left behind; returns how many there were. Call it before anything is served.
    pub async fn recover(&self) -> Result<usize, KeeperError> {
        let unsettled = self.vault.unsettled()?;
        failpoint!("recover.found");
        for (id, intent) in &unsettled {
            self.recover_one(*id, intent).await?;
            failpoint!("recover.settled", id);
        }
        Ok(unsettled.len())
    }

    async fn recover_one(&self, id: SessionRef, intent: &Intent) -> Result<(), KeeperError> {
        let now = self.clock.now();
        let mut change = self.vault.change(now);
        change.settle(id);
        // A session that ended or was opened anew since then has no part in it.
        let spent = |session: &Versioned<Session>| {
            session.value.state.is_active() && session.value.generation == intent.generation
        };
        if let Some(session) = self.vault.session(id)?.filter(spent) {
            let new = self.with_unknown_outcome(&session, intent);
            let event = What::RefreshFailed {
                session: id,
                provider: new.provider.clone(),
                why: "the daemon was stopped before the provider's answer was written".to_owned(),
                lost: None,
            };
            change.update(&session, &new)?.audit(event)?;
        }
        failpoint!("recover.before-settling", id);
        change.commit().await?;
        Ok(())
    }

    fn with_unknown_outcome(&self, session: &Versioned<Session>, intent: &Intent) -> Session {
        let now = self.clock.now();
        let earlier = session.value.trouble.as_ref().and_then(|trouble| trouble.unknown_since);
        let grace = self
            .providers()
            .get(&session.value.provider)
            .map_or_else(Default::default, |provider| self.grace(provider.settings()));
        let at_once = now + timing::backoff(1, 0.0);
        let trouble = Trouble {
            what: "a refresh was interrupted by a restart, and its answer is not known".to_owned(),
            tries: 1,
            not_before: at_once,
            unknown_since: Some(earlier.unwrap_or(intent.at)),
            needs_administrator: false,
        };
        let not_before = refresh::not_before(&session.value, &trouble, grace, at_once);
        let trouble = Some(Trouble { not_before, ..trouble });
        Session { due_at: Some(not_before), trouble, ..session.value.clone() }
    }
}
