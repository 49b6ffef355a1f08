//! Looks at every record of the store while others are served: a page at a time, for a command or by the schedule.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio_util::sync::CancellationToken;

use super::{Keeper, KeeperError};
use crate::audit::What;
use crate::vault::{Care, Cursor, Verified};

/// The pause behind each page of a scheduled check: five thousand records a second at most, which others hardly notice.
const PAUSE: Duration = Duration::from_millis(50);
/// Findings that are told in the log one by one. A disk that loses everything would fill the log, too.
const TOLD: u64 = 100;

/// What is known of the last scheduled check.
#[derive(Debug, Default)]
pub(super) struct Scrubs {
    /// One page at a time.
    turn: Mutex<()>,
    findings: AtomicU64,
    /// One backup at a time.
    backup: Arc<Mutex<()>>,
}

impl Keeper {
    /// The turn of whoever takes a backup, until it is dropped; none while somebody else has it.
    pub fn begin_backup(&self) -> Option<OwnedMutexGuard<()>> {
        Arc::clone(&self.scrubs.backup).try_lock_owned().ok()
    }

    /// Whether nothing more is to be begun.
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// What the last scheduled check found wrong, since the start of the daemon.
    pub fn findings(&self) -> u64 {
        self.scrubs.findings.load(Ordering::Relaxed)
    }

    /// Looks at one page of the store, on a thread that serves nobody.
    ///
    /// # Cancel safety
    /// Safe: a page that was begun is looked at to its end, and its findings are dropped.
    pub async fn verify(&self, cursor: Cursor) -> Result<Verified, KeeperError> {
        let _turn = self.scrubs.turn.lock().await;
        let vault = Arc::clone(&self.vault);
        let page = tokio::task::spawn_blocking(move || vault.verify(&cursor)).await;
        Ok(page.map_err(|_| KeeperError::Internal)??)
    }

    /// Looks at everything, and tells the log and the audit trail what is wrong. Returns how much.
    ///
    /// # Cancel safety
    /// Safe: the next one begins from the beginning.
    pub async fn scrub(&self, stop: &CancellationToken) -> Result<usize, KeeperError> {
        let (mut findings, mut first, mut cursor) = (0, None, Cursor::default());
        loop {
            let page = self.verify(cursor).await?;
            for finding in page.findings {
                if findings < TOLD {
                    tracing::error!("the store is damaged: {finding}");
                }
                findings += 1;
                first.get_or_insert_with(|| finding.to_string());
            }
            let Some(next) = page.next else { break };
            cursor = next;
            if stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await.is_none() {
                return Ok(0);
            }
        }
        self.scrubs.findings.store(findings, Ordering::Relaxed);
        let now = self.clock.now();
        if let Some(first) = first {
            let mut change = self.vault.change(now);
            change.audit(What::StoreDamaged { findings, first })?;
            change.commit().await?;
        }
        self.vault.note(Care::Scrub, now).await?;
        Ok(usize::try_from(findings).unwrap_or(usize::MAX))
    }
}
