//! The last steps of an erasure: what was removed is told, is gone from the files, and, if it is forced, opens with no key any more.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::eraser::{Eraser, Row, Step, changed};
use crate::audit::What;
use crate::failpoint::failpoint;
use crate::keeper::KeeperError;
use crate::store::Table;
use crate::vault::{BeginError, Change, Erasure, ErasureId, Stage, VaultError};

/// How often syslog is looked at while it takes the records; it mostly has them by then.
const MOMENT: Duration = Duration::from_millis(50);
/// Looks, before the erasure is said to wait.
const LOOKS: usize = 20;

impl Eraser {
    /// Lets the audit records out that may name the user, then writes every file anew.
    pub(super) async fn rewrite(
        self: &Arc<Self>,
        id: ErasureId,
        row: &Row,
        told_below: u64,
        stop: &CancellationToken,
    ) -> Result<Step, KeeperError> {
        if !self.is_told(told_below).await? {
            return Ok(Step::Waits(
                "everything is removed, but audit records that name the user wait for syslog, and stay in the store until it takes them"
                    .to_owned(),
            ));
        }
        let (this, stop) = (Arc::clone(self), stop.clone());
        self.detail(id, "as soon as no backup and no check looks at it".to_owned());
        let purged = tokio::task::spawn_blocking(move || {
            let go_on = |table: Table| {
                this.detail(id, table.to_string());
                !stop.is_cancelled() && !this.keeper.is_leaving()
            };
            this.keeper.vault.purge(&go_on)
        });
        if !purged.await.map_err(|_| KeeperError::Internal)?? {
            let stops = || Step::Waits("the daemon stops; the next start goes on".to_owned());
            return Ok(self.give_way().unwrap_or_else(stops));
        }
        failpoint!("erase.rewritten");
        if row.value.forced {
            let next = Erasure { stage: Stage::Rotating { epoch: None }, ..row.value.clone() };
            self.write(id, row.version, &next, |_| Ok(())).await?;
            return Ok(Step::Taken);
        }
        let mut change = self.keeper.vault.change(self.keeper.clock.now());
        self.tell(id, &row.value, &mut change)?;
        change.forget_erasure(id, row.version);
        change.commit().await.map_err(changed)?;
        Ok(self.over(id))
    }

    async fn is_told(&self, below: u64) -> Result<bool, KeeperError> {
        for _ in 0..LOOKS {
            if self.keeper.vault.is_told(below)? {
                return Ok(true);
            }
            tokio::time::sleep(MOMENT).await;
        }
        Ok(false)
    }

    /// Has everything sealed with a key that was made after the removal, and the others destroyed.
    pub(super) async fn rotate(
        self: &Arc<Self>,
        id: ErasureId,
        row: &Row,
        epoch: Option<u32>,
    ) -> Result<Step, KeeperError> {
        self.rotation.hurry(true);
        let Some(epoch) = epoch else {
            let (rotation, peer) = (Arc::clone(&self.rotation), row.value.peer.clone());
            let begun = tokio::task::spawn_blocking(move || rotation.begin_as(&peer)).await;
            return match begun.map_err(|_| KeeperError::Internal)? {
                Ok(epoch) => {
                    let next = Erasure { stage: Stage::Rotating { epoch: Some(epoch) }, ..row.value.clone() };
                    self.write(id, row.version, &next, |_| Ok(())).await?;
                    Ok(Step::Taken)
                }
                Err(BeginError::UnderWay) => {
                    Ok(Step::Waits("a rotation that began before has to end first".to_owned()))
                }
                Err(BeginError::Kept(error)) => Ok(Step::Waits(error.to_string())),
            };
        };
        if let Some(progress) = self.rotation.progress() {
            if progress.damaged > 0 {
                return Ok(Step::Waits(format!(
                    "{} records of an old epoch do not open, so its key is kept; `tokenkeeper store verify` names them",
                    progress.damaged
                )));
            }
            if let Some(trouble) = progress.trouble {
                return Ok(Step::Waits(trouble));
            }
            self.detail(id, format!("{} records", progress.resealed));
            tokio::time::sleep(MOMENT).await;
            return Ok(Step::Taken);
        }
        self.rotation.hurry(false);
        if self.keeper.vault.epoch() < epoch {
            // The store was put back together with its keyring, or so: begin anew.
            let next = Erasure { stage: Stage::Rotating { epoch: None }, ..row.value.clone() };
            self.write(id, row.version, &next, |_| Ok(())).await?;
            return Ok(Step::Taken);
        }
        // Whatever the next start finds would pass for another one.
        let Some(recipient) = self.identity.clone() else {
            return Ok(Step::Waits(
                "the keyring could not be written when the daemon started, so nobody knows who can open it: restart the daemon"
                    .to_owned(),
            ));
        };
        let next = Erasure { stage: Stage::Rekeying { recipient }, ..row.value.clone() };
        self.write(id, row.version, &next, |change| self.tell(id, &row.value, change)).await?;
        failpoint!("erase.rotated");
        tracing::warn!(
            "a forced erasure is done but for one step: run `tokenkeeperd setup --rekey` as root, then restart the daemon"
        );
        Ok(Step::Over)
    }

    /// The host has another identity, and the keyring is encrypted to that.
    pub(super) async fn rekeyed(&self, id: ErasureId, row: &Row, before: &str) -> Result<Step, KeeperError> {
        if !self.is_rekeyed(before) {
            return Ok(Step::Over);
        }
        let mut change = self.keeper.vault.change(self.keeper.clock.now());
        change.forget_erasure(id, row.version);
        change.commit().await.map_err(changed)?;
        tracing::info!("a forced erasure is done: the host has a new identity");
        Ok(self.over(id))
    }

    /// Tells the audit trail that all is gone.
    fn tell(&self, id: ErasureId, erasure: &Erasure, change: &mut Change<'_>) -> Result<(), VaultError> {
        let Erasure { peer, provider, sessions, not_revoked, forced, .. } = erasure.clone();
        let seconds = self.progress(id).map_or(0, |progress| progress.milliseconds / 1000);
        change.audit(What::Erased { peer, provider, sessions, not_revoked, seconds, forced })?;
        Ok(())
    }
}
