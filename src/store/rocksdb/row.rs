//! A row as bytes: its version, little-endian, and the value behind it.

use crate::store::{Row, StoreError, Table};

/// Bytes of the version.
const VERSION_BYTES: usize = 8;

/// The row as it is stored.
pub(super) fn encode(row: &Row) -> Vec<u8> {
    [&row.version.to_le_bytes()[..], &row.value].concat()
}

/// The row that was stored.
pub(super) fn decode(table: Table, bytes: &[u8]) -> Result<Row, StoreError> {
    let (version, value) = split(table, bytes)?;
    Ok(Row { version, value: value.to_vec() })
}

/// The version of the row that was stored.
pub(super) fn version(table: Table, bytes: &[u8]) -> Result<u64, StoreError> {
    split(table, bytes).map(|(version, _)| version)
}

fn split(table: Table, bytes: &[u8]) -> Result<(u64, &[u8]), StoreError> {
    match bytes.split_first_chunk::<VERSION_BYTES>() {
        Some((version, value)) if *version != [0; VERSION_BYTES] => Ok((u64::from_le_bytes(*version), value)),
        _ => Err(StoreError::Corrupt(format!("a row of {table} has no version"))),
    }
}
