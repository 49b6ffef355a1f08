//! What can go wrong between a caller and the disk.

use crate::seal::SealError;
use crate::store::StoreError;

/// Why the vault did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// Somebody else changed the record first: read it again.
    #[error("the record was changed by somebody else meanwhile")]
    Conflict,
    /// The store does not take or give data.
    #[error(transparent)]
    Store(StoreError),
    /// A record does not open: it was damaged, moved, or sealed with other keys.
    #[error("a record of the store does not open: {0}")]
    Sealed(#[from] SealError),
    /// A record opens, but is not of this version's layout.
    #[error("a record of {table} has an unknown layout; was it written by a newer version?")]
    Layout {
        /// The table it stands in.
        table: &'static str,
    },
    /// A restoration was cut short: do it again.
    #[error(
        "a backup was being restored into this store, and not to its end; move the store away and restore it again"
    )]
    HalfRestored,
    /// The store was moved to another host: what is in it must not be changed here.
    #[error("the store was moved out: nothing in it is changed any more")]
    MovedOut,
    /// The keyring is not that of this store.
    #[error("the keyring does not belong to this store; restore the keyring.age that was beside it")]
    ForeignKeyring,
}

impl VaultError {
    /// Whether a record is damaged: others need not be.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Sealed(_) | Self::Layout { .. } | Self::Store(StoreError::Corrupt(_)))
    }
}

impl From<StoreError> for VaultError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict { .. } => Self::Conflict,
            other => Self::Store(other),
        }
    }
}
