//! Opening a vault: the keyring is believed only when it opens the sentinel that the store was made with.

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, OnceLock};

use super::{Vault, VaultError};
use crate::audit::Counters;
use crate::seal::Keyring;
use crate::store::{Batch, Store, Table};

/// A sealed row of a known value.
const SENTINEL: &[u8] = b"sentinel";

impl Vault {
    /// A vault over `store`. An empty store is given the sentinel of this keyring.
    ///
    /// # Errors
    /// [`VaultError::ForeignKeyring`] when the store was made with another keyring.
    pub async fn open(store: Arc<dyn Store>, keyring: Keyring) -> Result<Self, VaultError> {
        let vault = Self {
            store,
            keyring,
            outbox_next: AtomicU64::new(0),
            outbox_full: AtomicBool::new(false),
            counts: Counters::default(),
            census: super::census::Census::default(),
            relay: OnceLock::new(),
        };
        let expected = vault.keyring.store_id();
        match vault.read::<[u8; 16]>(Table::Meta, SENTINEL) {
            Ok(Some(sentinel)) if sentinel.value == expected => {}
            Ok(None) => vault.write_sentinel(expected).await?,
            Ok(Some(_)) | Err(VaultError::Sealed(_)) => return Err(VaultError::ForeignKeyring),
            Err(other) => return Err(other),
        }
        vault.find_end_of_outbox()?;
        Ok(vault)
    }

    async fn write_sentinel(&self, store_id: [u8; 16]) -> Result<(), VaultError> {
        if !self.store.scan(Table::Sessions, &[], None, 1)?.is_empty() {
            return Err(VaultError::ForeignKeyring);
        }
        let mut batch = Batch::default();
        batch.put(Table::Meta, SENTINEL, 0, self.seal(Table::Meta, SENTINEL, 1, &store_id)?);
        self.store.write_if(batch).await?;
        Ok(())
    }
}
