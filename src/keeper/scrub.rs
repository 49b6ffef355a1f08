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

/// What is known of the last check.
#[derive(Debug, Default)]
pub(super) struct Scrubs {
    /// One page at a time.
    turn: Mutex<Pass>,
    findings: AtomicU64,
    /// One backup at a time.
    backup: Arc<Mutex<()>>,
}

/// A check that commands make, page by page.
#[derive(Debug, Default)]
struct Pass {
    /// Where it goes on.
    next: Option<Cursor>,
    findings: u64,
}

impl Pass {
    /// Takes a page into account; what was found in all, if that was the last of a check from the beginning to the end.
    fn take(&mut self, cursor: &Cursor, page: &Verified) -> Option<u64> {
        if *cursor == Cursor::default() {
            self.findings = 0;
        } else if self.next.as_ref() != Some(cursor) {
            return None;
        }
        self.findings += page.findings.len() as u64;
        self.next.clone_from(&page.next);
        self.next.is_none().then_some(self.findings)
    }
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

    /// What the last check found wrong, since the start of the daemon.
    pub fn findings(&self) -> u64 {
        self.scrubs.findings.load(Ordering::Relaxed)
    }

    /// Looks at one page of the store for a command, on a thread that serves nobody. Who goes from the first page to the last has
    /// checked the store as the schedule does.
    ///
    /// # Cancel safety
    /// Safe: a page that was begun is looked at to its end, and its findings are dropped.
    pub async fn verify(&self, cursor: Cursor) -> Result<Verified, KeeperError> {
        let mut pass = self.scrubs.turn.lock().await;
        let page = self.look_through(cursor.clone()).await?;
        if let Some(findings) = pass.take(&cursor, &page) {
            self.scrubs.findings.store(findings, Ordering::Relaxed);
            // Whoever is told of damage must not have to wait for a database that is busy with it.
            if findings == 0
                && let Err(error) = self.vault.note(Care::Scrub, self.clock.now()).await
            {
                tracing::warn!(%error, "the store was verified, and that cannot be noted");
            }
        }
        Ok(page)
    }

    async fn look_through(&self, cursor: Cursor) -> Result<Verified, KeeperError> {
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
            let turn = self.scrubs.turn.lock().await;
            let page = self.look_through(cursor).await?;
            drop(turn);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Table;

    #[test]
    fn only_a_pass_from_the_first_page_to_the_last_says_how_the_store_is() {
        let page = |next: Option<&str>, findings| Verified {
            table: Table::ALL[0],
            checked: 1,
            findings,
            next: next.map(|next| next.parse().unwrap()),
        };
        let damage =
            || crate::vault::Finding { table: Table::ALL[0], key: vec![], session: None, what: "x".to_owned() };
        let (first, second): (_, Cursor) = (Cursor::default(), "due:".parse().unwrap());
        let mut pass = Pass::default();
        assert_eq!(pass.take(&second, &page(None, vec![])), None, "the end alone");
        assert_eq!(pass.take(&first, &page(Some("due:"), vec![damage()])), None);
        assert_eq!(pass.take(&"names:".parse().unwrap(), &page(None, vec![])), None, "another place");
        assert_eq!(pass.take(&second, &page(None, vec![damage()])), Some(2));
        assert_eq!(pass.take(&first, &page(None, vec![])), Some(0), "the next one counts anew");
    }
}
