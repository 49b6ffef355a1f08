//! The time as the last run knew it.

use super::{Vault, VaultError};
use crate::clock::Mark;
use crate::store::{Batch, Table};

/// A sealed row.
const CLOCK: &[u8] = b"clock";

impl Vault {
    /// The mark, if one was ever kept.
    pub fn clock_mark(&self) -> Result<Option<Mark>, VaultError> {
        Ok(self.read(Table::Meta, CLOCK)?.map(|mark| mark.value))
    }

    /// Keeps the mark for the next run.
    pub async fn keep_clock_mark(&self, mark: &Mark) -> Result<(), VaultError> {
        let _held_until_it_is_written = self.keyring();
        let version = self.store.read(Table::Meta, CLOCK)?.map_or(0, |row| row.version);
        let mut batch = Batch::default();
        batch.put(Table::Meta, CLOCK, version, self.seal(Table::Meta, CLOCK, version + 1, mark)?);
        self.store.write_if(batch).await?;
        Ok(())
    }
}
