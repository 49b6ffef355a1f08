//! The time as the last run knew it.

use serde::Serialize;

use super::{Vault, VaultError};
use crate::clock::Mark;
use crate::store::{Batch, Table};

/// Sealed rows.
const CLOCK: &[u8] = b"clock";
const CALLED_UP: &[u8] = b"called-up";

impl Vault {
    /// The mark, if one was ever kept.
    pub fn clock_mark(&self) -> Result<Option<Mark>, VaultError> {
        Ok(self.read(Table::Meta, CLOCK)?.map(|mark| mark.value))
    }

    /// Keeps the mark for the next run.
    pub async fn keep_clock_mark(&self, mark: &Mark) -> Result<(), VaultError> {
        self.keep_of_time(CLOCK, mark).await
    }

    /// The era for which every session was called up whose times are of one before; the first one, if none ever was.
    pub fn called_up(&self) -> Result<u32, VaultError> {
        Ok(self.read(Table::Meta, CALLED_UP)?.map_or(0, |era| era.value))
    }

    /// Keeps that for the next run.
    pub async fn keep_called_up(&self, era: u32) -> Result<(), VaultError> {
        self.keep_of_time(CALLED_UP, &era).await
    }

    async fn keep_of_time<T: Serialize + Sync>(&self, key: &[u8], value: &T) -> Result<(), VaultError> {
        let _held_until_it_is_written = self.keyring();
        let version = self.store.read(Table::Meta, key)?.map_or(0, |row| row.version);
        let mut batch = Batch::default();
        batch.put(Table::Meta, key, version, self.seal(Table::Meta, key, version + 1, value)?);
        self.store.write_if(batch).await?;
        Ok(())
    }
}
