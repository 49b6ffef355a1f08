//! Opening a vault: the keyring is believed only when it opens the sentinel that the store was made with.

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, OnceLock};

use arc_swap::{ArcSwap, ArcSwapOption};

use super::backup::RESTORING;
use super::migrate::migrate;
use super::{Migrating, Vault, VaultError};
use crate::audit::Counters;
use crate::seal::{Keyring, Place};
use crate::store::{Batch, Store, Table};

/// A sealed row of a known value.
const SENTINEL: &[u8] = b"sentinel";

impl Vault {
    /// A vault over `store`. An empty store is given the sentinel of this keyring.
    ///
    /// # Errors
    /// [`VaultError::ForeignKeyring`] when the store was made with another keyring.
    pub async fn open(store: Arc<dyn Store>, keyring: impl Into<Arc<Keyring>>) -> Result<Self, VaultError> {
        Self::open_telling(store, keyring, &|_| {}).await
    }

    /// The same; a store of an older schema is changed to that of this version, which may take a while and is told.
    pub async fn open_telling(
        store: Arc<dyn Store>,
        keyring: impl Into<Arc<Keyring>>,
        tell: &(dyn Fn(Migrating) + Sync),
    ) -> Result<Self, VaultError> {
        let vault = Self {
            store,
            keyring: ArcSwap::new(keyring.into()),
            replaced: Mutex::default(),
            outbox_next: AtomicU64::new(0),
            outbox_read: AtomicU64::new(0),
            outbox_full: AtomicBool::new(false),
            counts: Counters::default(),
            lift: AtomicU64::new(0),
            rollback: ArcSwapOption::empty(),
            moved_out: ArcSwapOption::empty(),
            anchor_fault: Mutex::default(),
            disagreements: AtomicU64::new(0),
            census: super::census::Census::default(),
            relay: OnceLock::new(),
        };
        let expected = vault.keyring.load().store_id();
        match vault.read::<[u8; 16]>(Table::Meta, SENTINEL) {
            Ok(Some(sentinel)) if sentinel.value == expected => {}
            Ok(None) => vault.write_sentinel(expected).await?,
            Ok(Some(_)) | Err(VaultError::Sealed(_)) => return Err(VaultError::ForeignKeyring),
            Err(other) => return Err(other),
        }
        if vault.store.read(Table::Meta, RESTORING)?.is_some() {
            return Err(VaultError::HalfRestored);
        }
        migrate(&vault, tell).await?;
        vault.find_end_of_outbox()?;
        vault.find_rollback()?;
        vault.find_moved_out()?;
        Ok(vault)
    }

    /// Whether the keyring opens so many records as well, picked at random: for a keyring whose sentinel somebody may have forged.
    ///
    /// # Errors
    /// [`VaultError::ForeignKeyring`] when one does not open.
    pub fn prove(&self, records: usize) -> Result<(), VaultError> {
        let keyring = self.keyring.load();
        let mut proved = 0;
        for table in [Table::Sessions, Table::Bindings, Table::History] {
            while proved < records {
                let from = rand::random::<[u8; 8]>();
                let mut rows = self.store.scan(table, &[], Some(&from), 1)?;
                if rows.is_empty() {
                    rows = self.store.scan(table, &[], None, 1)?;
                }
                let Some((key, row)) = rows.first() else { break };
                let place = Place { area: table.name(), key, version: row.version };
                keyring.open(&place, &row.value).map_err(|_| VaultError::ForeignKeyring)?;
                proved += 1;
            }
        }
        Ok(())
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
