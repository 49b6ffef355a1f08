//! Rows, and batches of changes to them with what they build on.
//!
//! Invariant: all preconditions are judged on the store as it was before the batch; then the changes apply in order.

use super::{StoreError, Table};

/// The version of a row that does not exist.
const ABSENT: u64 = 0;

/// The version of a row that is written for the first time, and of every row that is written whatever was there.
const FIRST: u64 = 1;

/// A row as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Rises with every change; 1 at first.
    pub version: u64,
    /// Sealed bytes; empty for an index entry.
    pub value: Vec<u8>,
}

/// Changes that are made together or not at all.
#[derive(Debug, Default)]
pub struct Batch {
    expectations: Vec<Expectation>,
    changes: Vec<Change>,
}

#[derive(Debug)]
struct Expectation {
    table: Table,
    key: Vec<u8>,
    state: Expected,
}

#[derive(Debug)]
enum Expected {
    Version(u64),
    /// The very same bytes: where a row was removed and written anew meanwhile, its version tells nothing.
    Row(Row),
}

/// The rows as they are before a batch.
pub(super) trait Before {
    /// The version of a row, 0 if there is none.
    fn version(&self, table: Table, key: &[u8]) -> Result<u64, StoreError>;

    /// Whether a row is exactly this one.
    fn is(&self, table: Table, key: &[u8], row: &Row) -> Result<bool, StoreError>;
}

/// One change, its preconditions already met.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    Put { table: Table, key: Vec<u8>, row: Row },
    Remove { table: Table, key: Vec<u8> },
}

impl Batch {
    /// Builds on the row being in this version; 0: on there being none.
    pub fn expect(&mut self, table: Table, key: impl AsRef<[u8]>, version: u64) -> &mut Self {
        self.expectations.push(Expectation { table, key: key.as_ref().to_vec(), state: Expected::Version(version) });
        self
    }

    /// Writes a row that must be in version `expected` (0: must not exist). It then has version `expected + 1`.
    pub fn put(&mut self, table: Table, key: impl AsRef<[u8]>, expected: u64, value: impl Into<Vec<u8>>) -> &mut Self {
        let row = Row { version: expected.saturating_add(1), value: value.into() };
        self.changes.push(Change::Put { table, key: key.as_ref().to_vec(), row });
        self.expect(table, key, expected)
    }

    /// Writes other bytes into a row that must still be exactly `row`. It keeps its version: whoever has read it need not read it again.
    pub fn rewrite(&mut self, table: Table, key: impl AsRef<[u8]>, row: Row, value: impl Into<Vec<u8>>) -> &mut Self {
        let (key, new) = (key.as_ref().to_vec(), Row { version: row.version, value: value.into() });
        self.changes.push(Change::Put { table, key: key.clone(), row: new });
        self.expectations.push(Expectation { table, key, state: Expected::Row(row) });
        self
    }

    /// Removes a row that must be in version `expected`.
    pub fn delete(&mut self, table: Table, key: impl AsRef<[u8]>, expected: u64) -> &mut Self {
        self.unmark(table, key.as_ref()).expect(table, key, expected)
    }

    /// Writes an index entry: an empty row, whether or not it is there already.
    pub fn mark(&mut self, table: Table, key: impl AsRef<[u8]>) -> &mut Self {
        self.set(table, key, Vec::new())
    }

    /// Writes a row in version 1, whether or not there is one already.
    pub fn set(&mut self, table: Table, key: impl AsRef<[u8]>, value: impl Into<Vec<u8>>) -> &mut Self {
        let row = Row { version: FIRST, value: value.into() };
        self.changes.push(Change::Put { table, key: key.as_ref().to_vec(), row });
        self
    }

    /// Removes an index entry, whether or not it is there.
    pub fn unmark(&mut self, table: Table, key: impl AsRef<[u8]>) -> &mut Self {
        self.changes.push(Change::Remove { table, key: key.as_ref().to_vec() });
        self
    }

    /// Whether it changes a row of `table`.
    pub(crate) fn touches(&self, table: Table) -> bool {
        self.changes.iter().any(|change| change.row().0 == table)
    }

    /// Whether it neither changes nor expects anything.
    pub fn is_empty(&self) -> bool {
        self.expectations.is_empty() && self.changes.is_empty()
    }

    /// The changes, if every precondition holds.
    pub(super) fn judge(self, before: &impl Before) -> Result<Vec<Change>, StoreError> {
        for Expectation { table, key, state } in &self.expectations {
            let holds = match state {
                Expected::Version(version) => before.version(*table, key)? == *version,
                Expected::Row(row) => before.is(*table, key, row)?,
            };
            if !holds {
                return Err(StoreError::Conflict { table: *table });
            }
        }
        Ok(self.changes)
    }
}

impl Change {
    /// Which row it changes.
    pub(super) fn row(&self) -> (Table, &[u8]) {
        match self {
            Self::Put { table, key, .. } | Self::Remove { table, key } => (*table, key),
        }
    }

    /// The version the row has afterwards.
    pub(super) fn version(&self) -> u64 {
        match self {
            Self::Put { row, .. } => row.version,
            Self::Remove { .. } => ABSENT,
        }
    }
}
