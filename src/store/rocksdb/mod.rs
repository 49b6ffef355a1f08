//! The embedded store: RocksDB, one column family per table.
//!
//! Invariant: one thread owns all writes (`writer`); everybody may read. After a write that failed nothing is written before
//! the database was opened anew (`disk`): what reached the disk is not known, and a failed fsync must not be tried again.

mod ballast;
mod copies;
mod database;
mod disk;
mod group;
mod mend;
mod open;
mod options;
mod purge;
mod record;
mod row;
mod view;
mod writer;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokenkeeper_protocol::UnixSeconds;

use self::copies::Copies;
use self::disk::Disk;
use self::writer::Writer;
use super::lease::Leases;
use super::{Batch, Row, Snapshot, Store, StoreError, Table, TableSize, Written};

/// A store in a directory of its own.
pub struct RocksStore {
    dir: PathBuf,
    // Before the disk: it drains its queue when it is dropped.
    writer: Writer,
    disk: Arc<Disk>,
    leases: Leases,
    /// The schema that was found, or made since.
    schema: AtomicU32,
}

impl RocksStore {
    /// Opens the store in `dir`, which is created with mode 0700 if it is missing.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let (disk, schema) = Disk::open(dir)?;
        let disk = Arc::new(disk);
        let generation = disk.generation()?;
        let writer = Writer::start(Arc::clone(&disk), generation)
            .map_err(|source| StoreError::Directory { dir: dir.to_owned(), source })?;
        Ok(Self { dir: dir.to_owned(), writer, disk, leases: Leases::default(), schema: AtomicU32::new(schema) })
    }
}

impl Store for RocksStore {
    fn read(&self, table: Table, key: &[u8]) -> Result<Option<Row>, StoreError> {
        self.disk.read(table, key)
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Row)>, StoreError> {
        self.disk.scan(table, prefix, after, limit)
    }

    fn write_if(&self, batch: Batch) -> Written {
        self.writer.write_if(batch)
    }

    fn generation(&self) -> u64 {
        self.writer.generation()
    }

    fn syncs(&self) -> u64 {
        self.writer.syncs()
    }

    fn lease(&self, name: &[u8], holder: u64, now: Duration, length: Duration) -> Result<bool, StoreError> {
        Ok(self.leases.take(name, holder, now, length))
    }

    fn release(&self, name: &[u8], holder: u64) -> Result<(), StoreError> {
        self.leases.release(name, holder);
        Ok(())
    }

    fn bytes_on_disk(&self) -> u64 {
        self.disk.space()
    }

    fn look(&self, look: &mut dyn FnMut(&dyn Snapshot)) -> Result<(), StoreError> {
        self.disk.look(look)
    }

    fn purge(&self, go_on: &dyn Fn(Table) -> bool) -> Result<bool, StoreError> {
        self.disk.purge(go_on)
    }

    fn sizes(&self) -> Result<Vec<TableSize>, StoreError> {
        self.disk.sizes()
    }

    fn schema(&self) -> u32 {
        self.schema.load(Ordering::Acquire)
    }

    fn set_schema(&self, schema: u32) -> Result<(), StoreError> {
        self.disk.set_schema(schema)?;
        self.schema.store(schema, Ordering::Release);
        Ok(())
    }

    fn keep_copy(&self) -> Result<Option<PathBuf>, StoreError> {
        self.disk.keep_copy(self.schema()).map(Some)
    }

    fn forget_copies(&self, before: UnixSeconds) {
        Copies { dir: &self.dir }.forget(self.schema(), before);
    }

    fn kept_bytes(&self) -> u64 {
        Copies { dir: &self.dir }.space(self.schema())
    }

    fn ballast(&self) -> u64 {
        self.disk.ballast()
    }

    fn fault(&self) -> Option<String> {
        self.writer.fault()
    }

    fn reopened(&self) -> BoxFuture<'_, ()> {
        self.writer.revived().boxed()
    }
}

impl fmt::Debug for RocksStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RocksStore").field("dir", &self.dir).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::writer::Target;
    use super::*;
    use crate::store::batch::{Before, Change};
    use crate::store::conformance::conformance;
    use crate::store::conformance::failure::{Failure, conformance_in_failure};

    fn fresh() -> (RocksStore, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        (RocksStore::open(&dir.path().join("store")).unwrap(), dir)
    }

    conformance!(fresh());
    conformance_in_failure!(failing);

    /// A store on a disk of which one write fails. It heals as it does on any other: the database is closed and opened anew.
    fn failing(failure: Failure) -> (RocksStore, tempfile::TempDir) {
        let (store, dir) = fresh();
        let disk = Arc::clone(&store.disk);
        let writer = Writer::start(Arc::new(Failing { disk, failure }), store.generation()).unwrap();
        (RocksStore { writer, ..store }, dir)
    }

    struct Failing {
        disk: Arc<Disk>,
        failure: Failure,
    }

    impl Before for Failing {
        fn version(&self, table: Table, key: &[u8]) -> Result<u64, StoreError> {
            self.disk.version(table, key)
        }

        fn is(&self, table: Table, key: &[u8], row: &Row) -> Result<bool, StoreError> {
            self.disk.is(table, key, row)
        }
    }

    impl Target for Failing {
        fn commit(&self, changes: &[Change], generation: u64) -> Result<(), StoreError> {
            self.failure.strike(|| self.disk.commit(changes, generation))
        }

        fn revive(&self) -> Result<u64, StoreError> {
            self.disk.revive()
        }

        fn is_open(&self) -> bool {
            self.disk.is_open()
        }
    }

    #[test]
    fn a_store_that_could_not_be_opened_anew_says_so_and_is_back_by_itself() {
        let (store, dir) = fresh();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let put = |key: &str| {
            let mut batch = Batch::default();
            batch.put(Table::Sessions, key, 0, "sealed");
            runtime.block_on(store.write_if(batch))
        };
        put("a").unwrap();
        let (current, aside) = (dir.path().join("store/CURRENT"), dir.path().join("aside"));
        std::fs::rename(&current, &aside).unwrap();
        store.disk.open_anew().unwrap_err();
        std::fs::rename(&aside, &current).unwrap();

        let error = put("b").unwrap_err();
        assert!(matches!(error, StoreError::Unwritable(_)), "{error}");
        assert!(store.fault().is_some());
        runtime.block_on(store.reopened());
        assert_eq!((store.fault(), put("b").unwrap()), (None, 2));
        assert_eq!(store.scan(Table::Sessions, b"", None, 9).unwrap().len(), 2);
    }

    #[test]
    fn everything_is_still_there_after_the_store_was_closed_and_opened_again() {
        let dir = tempfile::tempdir().unwrap();
        let store = RocksStore::open(dir.path()).unwrap();
        for table in Table::ALL {
            let mut batch = Batch::default();
            batch.put(table, b"row", 0, table.name()).mark(table, b"mark");
            // Not waited for: closing the store does.
            drop(store.write_if(batch));
        }
        drop(store);

        let store = RocksStore::open(dir.path()).unwrap();
        assert_eq!(store.generation(), Table::ALL.len() as u64);
        for table in Table::ALL {
            let row = Row { version: 1, value: table.name().as_bytes().to_vec() };
            assert_eq!(store.read(table, b"row").unwrap(), Some(row), "{table}");
            assert_eq!(store.scan(table, b"", None, 10).unwrap().len(), 2, "{table}");
        }
        assert_eq!(store.fault(), None);
    }

    #[test]
    fn the_store_tells_how_much_disk_it_takes() {
        let (store, _dir) = fresh();
        let before = store.bytes_on_disk();
        let mut batch = Batch::default();
        batch.put(Table::Sessions, b"a", 0, vec![0x5a; 3_000_000]);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(store.write_if(batch)).unwrap();
        assert!(store.bytes_on_disk() >= before + 1_000_000);
    }
}
