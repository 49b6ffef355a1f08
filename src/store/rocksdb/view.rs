//! The database as it stood at one moment.

use rocksdb::{DB, Direction, IteratorMode, PrefixRange, ReadOptions, SnapshotWithThreadMode};

use super::database::{Database, GENERATION_KEY, first_behind, read_error};
use super::row;
use crate::store::{Row, Snapshot, StoreError, Table};

/// One moment of a database.
pub(super) struct View<'a> {
    database: &'a Database,
    moment: SnapshotWithThreadMode<'a, DB>,
}

impl<'a> View<'a> {
    pub(super) fn new(database: &'a Database, moment: SnapshotWithThreadMode<'a, DB>) -> Self {
        Self { database, moment }
    }
}

impl Snapshot for View<'_> {
    fn read(&self, table: Table, key: &[u8]) -> Result<Option<Row>, StoreError> {
        let found = self.moment.get_pinned_cf(self.database.family(table)?, key).map_err(|error| read_error(&error))?;
        found.map(|bytes| row::decode(table, &bytes)).transpose()
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Row)>, StoreError> {
        let mut options = ReadOptions::default();
        options.set_iterate_range(PrefixRange(prefix));
        // Whoever goes through everything does not push out of the cache what others use.
        options.fill_cache(false);
        let start = first_behind(prefix, after);
        let mode = IteratorMode::From(&start, Direction::Forward);
        let rows = self.moment.iterator_cf_opt(self.database.family(table)?, options, mode);
        rows.take(limit)
            .map(|found| {
                let (key, bytes) = found.map_err(|error| read_error(&error))?;
                Ok((key.into_vec(), row::decode(table, &bytes)?))
            })
            .collect()
    }

    fn generation(&self) -> Result<u64, StoreError> {
        let found = self.moment.get(GENERATION_KEY).map_err(|error| read_error(&error))?;
        let malformed = |_| StoreError::Corrupt("the generation has the wrong length".to_owned());
        found.map_or(Ok(0), |bytes| <[u8; 8]>::try_from(&bytes[..]).map(u64::from_le_bytes).map_err(malformed))
    }
}
