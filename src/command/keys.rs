//! The keys of the store: showing, rotating and recovering them.

#[cfg(test)]
pub(super) mod tests;

use std::sync::Arc;

use nix::unistd::geteuid;
use tokenkeeper_protocol::reply::{KeysRecovered, KeysReply, KeysRotation};
use tokenkeeper_protocol::request::KeysRecover;
use tokenkeeper_protocol::{Code, Problem};

use super::Service;
use crate::audit::What;
use crate::domain::Peer;
use crate::policy::{Action, Target};
use crate::vault::BeginError;

/// What the keys are called where nothing is allowed on them.
const KEYS: &str = "the keys";

impl Service {
    pub(super) async fn show_keys(&self, peer: &Peer) -> Result<KeysReply, Problem> {
        let _permit = self.permit(peer, Action::Keys, Target::Daemon, KEYS).await?;
        let mut old_epochs = self.rotation.epochs();
        let epoch = old_epochs.pop().unwrap_or_default();
        let rotation = self.rotation.progress().map(|progress| KeysRotation {
            resealed: progress.resealed,
            seen: progress.seen,
            table: progress.table.map(str::to_owned),
            damaged: progress.damaged,
            trouble: progress.trouble,
        });
        let identity_source = self.vitals.identity_source.clone();
        Ok(KeysReply { identity_source, recovery_recipients: self.rotation.recovery(), epoch, old_epochs, rotation })
    }

    pub(super) async fn rotate_keys(&self, peer: &Peer) -> Result<u32, Problem> {
        let _permit = self.permit(peer, Action::Keys, Target::Daemon, KEYS).await?;
        let (rotation, whom) = (Arc::clone(&self.rotation), peer.to_string());
        match tokio::task::spawn_blocking(move || rotation.begin_as(&whom)).await {
            Ok(Ok(epoch)) => Ok(epoch),
            Ok(Err(error @ BeginError::UnderWay)) => Err(Problem::new(Code::TryLater, error.to_string())),
            Ok(Err(error @ BeginError::Kept(_))) => Err(Problem::new(Code::Misconfigured, error.to_string())),
            Err(_) => Err(Problem::new(Code::Internal, "the daemon failed inside; its log says more")),
        }
    }

    pub(super) async fn recover_keys(&self, peer: &Peer, request: KeysRecover) -> Result<KeysRecovered, Problem> {
        let _permit = self.permit(peer, Action::Keys, Target::Daemon, KEYS).await?;
        // Whoever is neither can be given the action by a rule, and has no business with identities.
        if peer.uid != 0 && peer.uid != geteuid().as_raw() {
            return Err(Problem::new(Code::Denied, "only root can recover the keys; run it with sudo"));
        }
        let Some(lock) = &self.lock else {
            return Err(Problem::new(Code::BadRequest, "the keys are open: there is nothing to recover"));
        };
        match lock.attempt(request.identity).await {
            Ok(recovered) => {
                self.record(What::KeysRecovered { peer: peer.to_string() }).await;
                Ok(recovered)
            }
            Err(why) => {
                self.record(What::KeysNotRecovered { peer: peer.to_string(), why: why.clone() }).await;
                Err(Problem::new(Code::Misconfigured, format!("the keys stay closed: {why}")))
            }
        }
    }
}
