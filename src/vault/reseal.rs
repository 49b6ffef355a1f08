//! Sealing anew what older epochs sealed, page by page, while everybody else goes on.
//!
//! Invariant: a row is rewritten only while it is the very same, and keeps its version and its content. Whatever is written
//! since the new epoch began is sealed in it: so a row that was changed meanwhile needs nothing.

use std::sync::{Arc, PoisonError};

use super::{Vault, VaultError};
use crate::failpoint::failpoint;
use crate::seal::{Keyring, Place, epoch_of};
use crate::store::{Batch, StoreError, Table};

/// A page of a pass.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Rows that it went through.
    pub(super) seen: usize,
    /// Those that an older epoch had sealed, and that are sealed in the current one now.
    pub(super) renewed: usize,
    /// Those that an older epoch had sealed, and that do not open.
    pub(super) damaged: usize,
    /// The last key of the page; none when the table is at its end.
    pub(super) last: Option<Vec<u8>>,
}

impl Vault {
    /// The keys in force.
    pub(super) fn keyring(&self) -> Arc<Keyring> {
        self.keyring.load_full()
    }

    /// Seals with these keys from now on. What is sealed with the ones before, and not written yet, still will be.
    pub(super) fn replace_keyring(&self, new: Keyring) {
        let old = self.keyring.swap(Arc::new(new));
        self.replaced.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&old));
    }

    /// Whether everything that was sealed with keyrings before this one is on the disk, or never will be. What was only just given
    /// to the store still is on its way: a batch behind it tells.
    pub(super) fn older_keyrings_are_gone(&self) -> bool {
        let mut replaced = self.replaced.lock().unwrap_or_else(PoisonError::into_inner);
        replaced.retain(|keyring| keyring.strong_count() > 0);
        replaced.is_empty()
    }

    /// Waits until every batch that was given to the store before is on the disk.
    pub(super) async fn flush(&self) -> Result<(), VaultError> {
        self.store.write_if(Batch::default()).await?;
        Ok(())
    }

    /// Seals the rows of a page anew that an older epoch sealed. Blocks for the disk.
    pub(super) fn reseal_page(&self, table: Table, after: Option<&[u8]>, limit: usize) -> Result<Outcome, VaultError> {
        loop {
            let (mut page, batch) = self.prepare_page(table, after, limit)?;
            if page.renewed == 0 {
                return Ok(page);
            }
            failpoint!("reseal.before-page");
            match futures_executor::block_on(self.store.write_if(batch)) {
                Ok(_) => {
                    failpoint!("reseal.page-written");
                    return Ok(page);
                }
                // A row was changed meanwhile, and with that sealed in the current epoch: each round there are fewer.
                Err(StoreError::Conflict { .. }) => page.renewed = 0,
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn prepare_page(&self, table: Table, after: Option<&[u8]>, limit: usize) -> Result<(Outcome, Batch), VaultError> {
        let keyring = self.keyring();
        let rows = self.store.scan(table, &[], after, limit)?;
        let mut page = Outcome { seen: rows.len(), ..Outcome::default() };
        page.last = rows.last().map(|(key, _)| key.clone()).filter(|_| rows.len() == limit);
        let mut batch = Batch::default();
        for (key, row) in rows {
            if epoch_of(&row.value).is_none_or(|epoch| epoch == keyring.epoch()) {
                continue;
            }
            let place = Place { area: table.name(), key: &key, version: row.version };
            match keyring.open(&place, &row.value) {
                Ok(plain) => {
                    let sealed = keyring.seal(&place, &plain)?;
                    batch.rewrite(table, &key, row, sealed);
                    page.renewed += 1;
                }
                Err(error) => {
                    tracing::error!(%table, %error, "a record cannot be sealed anew");
                    page.damaged += 1;
                }
            }
        }
        Ok((page, batch))
    }
}
