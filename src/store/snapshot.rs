//! The store as it stood at one moment, and how large its tables are.

use super::{Row, StoreError, Table};

/// All tables at one moment.
pub trait Snapshot {
    /// As [`Store::read`](super::Store::read).
    fn read(&self, table: Table, key: &[u8]) -> Result<Option<Row>, StoreError>;

    /// As [`Store::scan`](super::Store::scan).
    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Row)>, StoreError>;

    /// The number of batches that had been written.
    fn generation(&self) -> Result<u64, StoreError>;
}

/// What a table holds; both numbers are estimates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableSize {
    /// Which.
    pub table: Table,
    /// Its rows.
    pub keys: u64,
    /// Its bytes, on disk and in memory.
    pub bytes: u64,
}
