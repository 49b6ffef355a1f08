//! The open database: rows, and the two numbers the store keeps about itself.
//!
//! Invariant: values leave RocksDB only with their checksums verified, and its errors hold no values.

use std::fs::File;
use std::path::Path;

use rocksdb::checkpoint::Checkpoint;
use rocksdb::{ColumnFamily, DB, Direction, ErrorKind, IteratorMode, PrefixRange, ReadOptions, WriteBatch, properties};

use super::view::View;
use super::{options, row};
use crate::failpoint::failpoint;
use crate::store::batch::Change;
use crate::store::{Row, StoreError, Table, TableSize};

/// The column family every RocksDB database has; here the store's own numbers stand, apart from the tables.
pub(super) const OWN: &str = "default";

/// Under this key: the schema, u32 little-endian.
const SCHEMA_KEY: &[u8] = b"schema";

/// Under this key: which version of this program wrote it last, as text.
const WRITER_KEY: &[u8] = b"writer";

/// Under this key: the generation, u64 little-endian.
pub(super) const GENERATION_KEY: &[u8] = b"generation";

/// As it is told to whoever cannot read what it wrote.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// An open database.
pub(super) struct Database(
    DB,
    #[allow(dead_code, reason = "a lock, which is given up once the database is closed")] File,
);

impl Database {
    /// Takes a database in which every table is open, and the lock that it was opened under.
    pub(super) fn new(db: DB, lock: File) -> Self {
        Self(db, lock)
    }

    /// As [`Store::read`](crate::store::Store::read).
    pub(super) fn read(&self, table: Table, key: &[u8]) -> Result<Option<Row>, StoreError> {
        let found = self.0.get_pinned_cf(self.family(table)?, key).map_err(|error| read_error(&error))?;
        found.map(|bytes| row::decode(table, &bytes)).transpose()
    }

    /// The version of a row, 0 if there is none.
    pub(super) fn version(&self, table: Table, key: &[u8]) -> Result<u64, StoreError> {
        let found = self.0.get_pinned_cf(self.family(table)?, key).map_err(|error| read_error(&error))?;
        found.map_or(Ok(0), |bytes| row::version(table, &bytes))
    }

    /// All tables as they stand now.
    pub(super) fn view(&self) -> View<'_> {
        View::new(self, self.0.snapshot())
    }

    /// What a table holds, by the database's own estimates.
    pub(super) fn size(&self, table: Table) -> Result<TableSize, StoreError> {
        let family = self.family(table)?;
        let number = |name| match self.0.property_int_value_cf(family, name) {
            Ok(number) => Ok(number.unwrap_or(0)),
            Err(error) => Err(read_error(&error)),
        };
        let bytes = number(properties::LIVE_SST_FILES_SIZE)? + number(properties::SIZE_ALL_MEM_TABLES)?;
        Ok(TableSize { table, keys: number(properties::ESTIMATE_NUM_KEYS)?, bytes })
    }

    /// Makes all changes and the generation durable, or fails.
    pub(super) fn commit(&self, changes: &[Change], generation: u64) -> Result<(), StoreError> {
        let mut batch = WriteBatch::default();
        for change in changes {
            match change {
                Change::Put { table, key, row } => batch.put_cf(self.family(*table)?, key, row::encode(row)),
                Change::Remove { table, key } => batch.delete_cf(self.family(*table)?, key),
            }
        }
        batch.put(GENERATION_KEY, generation.to_le_bytes());
        self.write(batch)
    }

    /// As [`Store::scan`](crate::store::Store::scan).
    pub(super) fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Row)>, StoreError> {
        let mut bounds = ReadOptions::default();
        bounds.set_iterate_range(PrefixRange(prefix));
        let start = first_behind(prefix, after);
        let rows = self.0.iterator_cf_opt(self.family(table)?, bounds, IteratorMode::From(&start, Direction::Forward));
        rows.take(limit)
            .map(|found| {
                let (key, bytes) = found.map_err(|error| read_error(&error))?;
                Ok((key.into_vec(), row::decode(table, &bytes)?))
            })
            .collect()
    }

    /// The generation, 0 before the first batch.
    pub(super) fn generation(&self) -> Result<u64, StoreError> {
        self.number(GENERATION_KEY).map(|number| number.map_or(0, u64::from_le_bytes))
    }

    /// The schema, if it was written.
    pub(super) fn schema(&self) -> Result<Option<u32>, StoreError> {
        self.number(SCHEMA_KEY).map(|number| number.map(u32::from_le_bytes))
    }

    /// Writes the schema, and that this version did.
    pub(super) fn set_schema(&self, schema: u32) -> Result<(), StoreError> {
        let mut batch = WriteBatch::default();
        batch.put(SCHEMA_KEY, schema.to_le_bytes());
        batch.put(WRITER_KEY, VERSION);
        self.write(batch)
    }

    /// The version that wrote last, if that was noted.
    pub(super) fn writer(&self) -> Result<Option<String>, StoreError> {
        let found = self.0.get_pinned(WRITER_KEY).map_err(|error| read_error(&error))?;
        Ok(found.map(|text| String::from_utf8_lossy(&text).into_owned()))
    }

    /// Notes that this version is the one that writes from now on.
    pub(super) fn note_writer(&self) -> Result<(), StoreError> {
        if self.writer()?.as_deref() == Some(VERSION) {
            return Ok(());
        }
        let mut batch = WriteBatch::default();
        batch.put(WRITER_KEY, VERSION);
        self.write(batch)
    }

    /// Makes a database at `path` that is as this one is now, of links to its files.
    pub(super) fn checkpoint(&self, path: &Path) -> Result<(), String> {
        let made = Checkpoint::new(&self.0).and_then(|checkpoint| checkpoint.create_checkpoint(path));
        made.map_err(rocksdb::Error::into_string)
    }

    fn number<const N: usize>(&self, key: &[u8]) -> Result<Option<[u8; N]>, StoreError> {
        let found = self.0.get_pinned(key).map_err(|error| read_error(&error))?;
        let malformed = |_| StoreError::Corrupt("a number of the store itself has the wrong length".to_owned());
        found.map(|bytes| <[u8; N]>::try_from(&bytes[..]).map_err(malformed)).transpose()
    }

    fn write(&self, batch: WriteBatch) -> Result<(), StoreError> {
        failpoint!("store.before-write" => StoreError::Unwritable("a failpoint".to_owned()));
        // RocksDB writes and syncs in one call. What is between is made by hand, if it is wanted.
        failpoint!("store.unsynced", after self.write_unsynced(&batch) => StoreError::Unwritable("a failpoint".to_owned()));
        self.0.write_opt(batch, &options::write()).map_err(|error| StoreError::Unwritable(error.into_string()))?;
        failpoint!("store.synced" => StoreError::Unwritable("a failpoint".to_owned()));
        Ok(())
    }

    #[cfg(feature = "failpoints")]
    fn write_unsynced(&self, batch: &WriteBatch) {
        let copy = WriteBatch::from_data(batch.data());
        self.0
            .write_opt(copy, &rocksdb::WriteOptions::default())
            .expect("a test that stops here has a disk that takes writes");
    }

    /// RocksDB's own.
    pub(super) fn db(&self) -> &DB {
        &self.0
    }

    /// All of them, that of the store's own numbers included.
    pub(super) fn families(&self) -> Result<Vec<&ColumnFamily>, StoreError> {
        let missing = || StoreError::Corrupt("the store's own numbers are missing".to_owned());
        let own = self.0.cf_handle(OWN).ok_or_else(missing);
        Table::ALL.into_iter().map(|table| self.family(table)).chain([own]).collect()
    }

    pub(super) fn family(&self, table: Table) -> Result<&ColumnFamily, StoreError> {
        let missing = || StoreError::Corrupt(format!("the table {table} is missing"));
        self.0.cf_handle(table.name()).ok_or_else(missing)
    }
}

/// The first key with `prefix` that is behind `after`: its bytes and a zero.
pub(super) fn first_behind(prefix: &[u8], after: Option<&[u8]>) -> Vec<u8> {
    after.map_or_else(|| prefix.to_vec(), |after| [after, &[0]].concat()).max(prefix.to_vec())
}

pub(super) fn read_error(error: &rocksdb::Error) -> StoreError {
    match error.kind() {
        ErrorKind::Corruption => StoreError::Corrupt(error.to_string()),
        _ => StoreError::Unreadable(error.to_string()),
    }
}
