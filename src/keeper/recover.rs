//! The first thing after a start: refreshes that a crash interrupted get the outcome they have, which is unknown. The same for
//! one that came to grief by itself.

use tokenkeeper_protocol::SessionRef;

use super::flight::{Outcome, interrupted};
use super::{Keeper, KeeperError};
use crate::audit::What;
use crate::domain::Session;
use crate::failpoint::failpoint;
use crate::vault::{Intent, Versioned};

impl Keeper {
    /// Settles every intent that the last run left behind; returns how many there were. Call it before anything is served.
    pub async fn recover(&self) -> Result<usize, KeeperError> {
        let unsettled = self.vault.unsettled()?;
        failpoint!("recover.found");
        for (id, intent) in &unsettled {
            match self.recover_one(*id, intent).await {
                Ok(()) => {
                    failpoint!("recover.settled", id);
                }
                Err(error) if self.vault.fault().is_some() => return Err(error),
                // One record that is damaged is no reason to serve nobody.
                Err(error) => {
                    tracing::error!(session = %id, %error, "an interrupted refresh cannot be settled; `tokenkeeper store verify` names what is damaged");
                }
            }
        }
        Ok(unsettled.len())
    }

    /// A flight that came to grief leaves what a crash leaves: its refresh token may be spent.
    pub(super) async fn salvage(&self, id: SessionRef) -> Outcome {
        tracing::error!(session = %id, "a refresh failed inside the daemon, and its answer is lost if there was one");
        if let Some(intent) = self.vault.intent(id)? {
            self.recover_one(id, &intent).await?;
            self.publish_renewed(id);
        }
        Err(KeeperError::Internal)
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
            let provider = self.provider(&session.value.provider).ok();
            let grace = provider.map(|provider| self.grace(provider.settings())).unwrap_or_default();
            let new = interrupted(&session.value, intent, grace, self.clock.era(), now);
            let event = What::RefreshFailed {
                session: id,
                provider: new.provider.clone(),
                why: "it was interrupted before the provider's answer was written".to_owned(),
                lost: None,
            };
            change.update(&session, &new)?.audit(event)?;
        }
        failpoint!("recover.before-settling", id);
        change.commit().await?;
        Ok(())
    }
}
