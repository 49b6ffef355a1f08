//! What the store holds, and when it was last looked after. When stands in the store itself, so that a restart forgets nothing.

use tokenkeeper_protocol::UnixSeconds;

use super::{Vault, VaultError};
use crate::store::{Batch, Table, TableSize};

/// Something that is done with the whole store now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Care {
    /// A backup was made.
    Backup,
    /// Every record was verified.
    Scrub,
}

impl Care {
    fn key(self) -> &'static [u8] {
        match self {
            Self::Backup => b"last-backup",
            Self::Scrub => b"last-scrub",
        }
    }
}

impl Vault {
    /// What the tables hold, by estimate.
    pub fn table_sizes(&self) -> Result<Vec<TableSize>, VaultError> {
        Ok(self.store.sizes()?)
    }

    /// The layout of the store.
    pub fn schema(&self) -> u32 {
        self.store.schema()
    }

    /// Disk space that is held for the day on which the disk is full.
    pub fn ballast(&self) -> u64 {
        self.store.ballast()
    }

    /// When this was last done, if it ever was. Damage to the note is no reason to know nothing of the rest.
    pub fn last(&self, care: Care) -> Option<UnixSeconds> {
        self.read(Table::Meta, care.key()).ok().flatten().map(|found| found.value)
    }

    /// Notes that it is done.
    pub async fn note(&self, care: Care, now: UnixSeconds) -> Result<(), VaultError> {
        let _held_until_it_is_written = self.keyring();
        let mut batch = Batch::default();
        batch.set(Table::Meta, care.key(), self.seal(Table::Meta, care.key(), 1, &now)?);
        self.store.write_if(batch).await?;
        Ok(())
    }
}
