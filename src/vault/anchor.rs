//! The generation of the store as it is written down outside of it, so that a store that was put back is noticed.
//!
//! Invariant: the generation that is anchored never falls. A store that was found to be older than its anchor counts on above
//! it, so that no other old copy of it can pass for newer. What an anchor says counts only with its seal; the neighbour that
//! reads and writes the files is the daemon.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use super::{Vault, VaultError};
use crate::store::{Batch, Table};

/// The row about the anchors of the store.
pub(super) const LINEAGE: &[u8] = b"lineage";
/// The first line of every anchor.
const HEAD: &str = "tokenkeeper anchor 1";

/// What the store knows of its anchors.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Lineage {
    /// What is added to the count of batches. It rises when the store was put back.
    pub(super) lift: u64,
    /// Where anchors were written: one that is missing there was taken away.
    pub(super) anchors: Vec<String>,
}

/// An anchor cannot be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it was not written by this store with the keyring it has")]
pub struct NotGenuine;

impl Vault {
    /// A number that rises with every batch, also over a store that was put back.
    pub fn generation(&self) -> u64 {
        self.store.generation().saturating_add(self.lift.load(Ordering::SeqCst))
    }

    /// The content of an anchor that says `generation`. It holds no secret, and cannot be made without the keyring.
    pub fn write_anchor(&self, generation: u64) -> String {
        let seal = HEXLOWER.encode(&self.seal_of_anchor(generation));
        format!("{HEAD}\ngeneration {generation}\nseal {seal}\n")
    }

    /// The generation that an anchor says.
    ///
    /// # Errors
    /// [`NotGenuine`] when it is damaged, forged, or that of another store.
    pub fn read_anchor(&self, text: &str) -> Result<u64, NotGenuine> {
        let mut lines = text.lines();
        if lines.next() != Some(HEAD) {
            return Err(NotGenuine);
        }
        let generation =
            lines.next().and_then(|line| line.strip_prefix("generation ")?.parse().ok()).ok_or(NotGenuine)?;
        // Not in constant time: who can try seals one by one here can write the state directory.
        if self.write_anchor(generation) == text { Ok(generation) } else { Err(NotGenuine) }
    }

    /// Where anchors were written, as far as the store knows.
    pub fn known_anchors(&self) -> Result<Vec<String>, VaultError> {
        Ok(self.lineage()?.0.anchors)
    }

    /// Makes durable where anchors are written. Call it when they are there: one that is missing from then on is a sign.
    pub async fn know_anchors(&self, anchors: Vec<String>) -> Result<(), VaultError> {
        let _held_until_it_is_written = self.keyring();
        let (known, version) = self.lineage()?;
        let mut batch = Batch::default();
        let lineage = Lineage { anchors, ..known };
        batch.put(Table::Meta, LINEAGE, version, self.seal(Table::Meta, LINEAGE, version + 1, &lineage)?);
        self.store.write_if(batch).await?;
        Ok(())
    }

    /// Whether there is anything to lose.
    pub fn has_sessions(&self) -> Result<bool, VaultError> {
        Ok(!self.store.scan(Table::Sessions, &[], None, 1)?.is_empty())
    }

    /// Takes down why nothing can be anchored at the moment, or that it can.
    pub fn note_anchor(&self, trouble: Option<String>) {
        let mut fault = self.anchor_fault.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(why), None) = (&trouble, &*fault) {
            tracing::error!("{why}; until it can, an old copy of the store that is put back may go unnoticed");
        }
        *fault = trouble;
    }

    /// Why nothing is anchored at the moment, if so.
    pub fn anchor_fault(&self) -> Option<String> {
        self.anchor_fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is known of the anchors, and the version of the row that says so.
    pub(super) fn lineage(&self) -> Result<(Lineage, u64), VaultError> {
        let row = self.read::<Lineage>(Table::Meta, LINEAGE)?;
        Ok(row.map_or_else(Default::default, |row| (row.value, row.version)))
    }

    fn seal_of_anchor(&self, generation: u64) -> [u8; 16] {
        // The key of the indexes: it outlives the epochs, so that an anchor does not become worthless with one of them.
        let keyring = self.keyring();
        keyring.blind("anchor", &[&keyring.store_id(), &generation.to_le_bytes()])
    }
}
