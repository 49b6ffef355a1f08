//! Between a value and its sealed record.

use bincode::Options;
use serde::{Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use super::{Vault, VaultError};
use crate::seal::{Keyring, Place};
use crate::store::{Row, Table};

/// A value and the version of the row it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned<T> {
    /// The value.
    pub value: T,
    /// What a change must expect.
    pub version: u64,
}

fn layout() -> impl Options {
    bincode::DefaultOptions::new().with_fixint_encoding().with_little_endian()
}

/// Opens a row with these keys.
pub(super) fn open_in<T: DeserializeOwned>(
    keyring: &Keyring,
    table: Table,
    key: &[u8],
    row: &Row,
) -> Result<Versioned<T>, VaultError> {
    let plain = keyring.open(&Place { area: table.name(), key, version: row.version }, &row.value)?;
    Ok(Versioned { value: from_bytes(table.name(), &plain)?, version: row.version })
}

/// The value that stands in a record of `table`.
pub(super) fn from_bytes<T: DeserializeOwned>(table: &'static str, plain: &[u8]) -> Result<T, VaultError> {
    layout().deserialize(plain).map_err(|_| VaultError::Layout { table })
}

/// The content of a record of `table`.
pub(super) fn to_bytes<T: Serialize>(table: &'static str, value: &T) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    let unknown_layout = |_| VaultError::Layout { table };
    let size = layout().serialized_size(value).map_err(unknown_layout)?;
    let mut plain = Zeroizing::new(Vec::with_capacity(usize::try_from(size).unwrap_or_default()));
    layout().serialize_into(&mut *plain, value).map_err(unknown_layout)?;
    Ok(plain)
}

impl Vault {
    /// Seals `value` for the row that will have `version`.
    pub(super) fn seal<T: Serialize>(
        &self,
        table: Table,
        key: &[u8],
        version: u64,
        value: &T,
    ) -> Result<Vec<u8>, VaultError> {
        let plain = to_bytes(table.name(), value)?;
        Ok(self.keyring.load().seal(&Place { area: table.name(), key, version }, &plain)?)
    }

    /// Opens a row.
    pub(super) fn open_row<T: DeserializeOwned>(
        &self,
        table: Table,
        key: &[u8],
        row: &Row,
    ) -> Result<Versioned<T>, VaultError> {
        open_in(&self.keyring.load(), table, key, row)
    }

    /// Reads and opens the row at `key`, if there is one.
    pub(super) fn read<T: DeserializeOwned>(
        &self,
        table: Table,
        key: &[u8],
    ) -> Result<Option<Versioned<T>>, VaultError> {
        let row = self.store.read(table, key)?;
        row.map(|row| self.open_row(table, key, &row)).transpose()
    }
}
