//! The disk under the store: the database that is open on it, and how it is opened anew after a write failed.
//!
//! Invariant: a database that failed to write is never written again. It is read from until the disk takes writes again, then
//! closed and opened anew: the log says what had reached the disk, and whatever had is written once more.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use super::ballast::Ballast;
use super::copies::{self, Copies};
use super::database::Database;
use super::open;
use super::writer::Target;
use crate::failpoint::failpoint;
use crate::store::batch::{Before, Change};
use crate::store::{Row, Snapshot, StoreError, Table, TableSize};

/// Written beside the database to see whether the disk takes writes.
const PROBE: &str = "probe";

/// Bytes of it: as much as opening the database may write.
const PROBE_BYTES: usize = 1024 * 1024;

/// The unit of `st_blocks`, whatever the file system (stat(2)).
pub(super) const BLOCK_BYTES: u64 = 512;

/// The disk, with a database that is open unless the last try to open it failed.
pub(super) struct Disk {
    dir: PathBuf,
    ballast: Ballast,
    database: RwLock<Option<Arc<Database>>>,
    /// Held by everyone who looks at the database as it stands at one moment.
    onlookers: RwLock<()>,
}

impl Disk {
    /// Opens the database in `dir`, or makes one there; also returns the schema that it has.
    pub(super) fn open(dir: &Path) -> Result<(Self, u32), StoreError> {
        let (database, schema) = open::open(dir)?;
        let database = RwLock::new(Some(Arc::new(database)));
        let ballast = Ballast::in_directory(surroundings(dir));
        let this = Self { dir: dir.to_owned(), ballast, database, onlookers: RwLock::default() };
        this.ballast.take();
        Ok((this, schema))
    }

    /// As [`Store::read`](crate::store::Store::read).
    pub(super) fn read(&self, table: Table, key: &[u8]) -> Result<Option<Row>, StoreError> {
        self.with(|database| database.read(table, key))
    }

    /// As [`Store::scan`](crate::store::Store::scan).
    pub(super) fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Row)>, StoreError> {
        self.with(|database| database.scan(table, prefix, after, limit))
    }

    /// As [`Store::look`](crate::store::Store::look).
    pub(super) fn look(&self, look: &mut dyn FnMut(&dyn Snapshot)) -> Result<(), StoreError> {
        let _onlooker = self.onlookers.read().unwrap_or_else(PoisonError::into_inner);
        // Not under its lock: who waits for it to open the database anew would have all readers wait.
        let database = self.with(|database| Ok(Arc::clone(database)))?;
        look(&database.view());
        Ok(())
    }

    /// As [`Store::sizes`](crate::store::Store::sizes).
    pub(super) fn sizes(&self) -> Result<Vec<TableSize>, StoreError> {
        self.with(|database| Table::ALL.into_iter().map(|table| database.size(table)).collect())
    }

    /// The disk space that the ballast takes.
    pub(super) fn ballast(&self) -> u64 {
        self.ballast.space()
    }

    /// The generation, 0 before the first batch.
    pub(super) fn generation(&self) -> Result<u64, StoreError> {
        self.with(|database| database.generation())
    }

    /// The disk space of the database; a file that vanishes meanwhile counts nothing.
    pub(super) fn space(&self) -> u64 {
        copies::space(&self.dir, |_| true)
    }

    /// Makes durable which schema the database has.
    pub(super) fn set_schema(&self, schema: u32) -> Result<(), StoreError> {
        self.with(|database| database.set_schema(schema))
    }

    /// As [`Store::keep_copy`](crate::store::Store::keep_copy).
    pub(super) fn keep_copy(&self, schema: u32) -> Result<PathBuf, StoreError> {
        self.with(|database| Copies { dir: &self.dir }.take(database, schema))
    }

    /// Its directory.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn with<T>(&self, read: impl FnOnce(&Arc<Database>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let closed = || StoreError::Unreadable("it could not be opened again after a write failed".to_owned());
        read(database.as_ref().ok_or_else(closed)?)
    }

    /// Returns when everyone who looks at the database now has looked enough.
    pub(super) fn wait_for_onlookers(&self) {
        drop(self.onlookers.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// Closes the database, which is well, and opens it anew. If that fails, the writer notices, and revives it.
    pub(super) fn open_anew(&self) -> Result<(), StoreError> {
        let _nobody_looks = self.onlookers.write().unwrap_or_else(PoisonError::into_inner);
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        // Two at a time cannot be open.
        if database.as_ref().is_some_and(|database| Arc::strong_count(database) > 1) {
            return Err(StoreError::Unwritable("somebody still looks at the store".to_owned()));
        }
        *database = None;
        let (opened, _) = open::open(&self.dir)?;
        *database = Some(Arc::new(opened));
        Ok(())
    }

    /// Whether the disk takes a file and keeps it.
    fn probe(&self) -> io::Result<()> {
        let parent = surroundings(&self.dir);
        let path = parent.join(PROBE);
        let written =
            OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&path).and_then(|mut file| {
                file.write_all(&vec![0; PROBE_BYTES])?;
                file.sync_all()
            });
        let removed = fs::remove_file(&path);
        written.and(removed).and_then(|()| File::open(parent)?.sync_all())
    }
}

impl Before for Disk {
    fn version(&self, table: Table, key: &[u8]) -> Result<u64, StoreError> {
        self.with(|database| database.version(table, key))
    }

    fn is(&self, table: Table, key: &[u8], row: &Row) -> Result<bool, StoreError> {
        Ok(self.read(table, key)?.as_ref() == Some(row))
    }
}

impl Target for Disk {
    fn commit(&self, changes: &[Change], generation: u64) -> Result<(), StoreError> {
        self.with(|database| database.commit(changes, generation))
    }

    fn revive(&self) -> Result<u64, StoreError> {
        if let Err(error) = self.probe() {
            if error.kind() != io::ErrorKind::StorageFull || !self.ballast.drop_it() {
                return Err(StoreError::Unwritable(error.to_string()));
            }
            tracing::warn!("the disk is full: the space that was held for this day is given up; make room now");
            self.probe().map_err(|error| StoreError::Unwritable(error.to_string()))?;
        }
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        // Two at a time cannot be open.
        if database.as_ref().is_some_and(|database| Arc::strong_count(database) > 1) {
            return Err(StoreError::Unwritable("a backup or a check of the store has yet to end".to_owned()));
        }
        *database = None;
        failpoint!("store.before-reopening" => StoreError::Unwritable("a failpoint".to_owned()));
        let (opened, _) = open::open(&self.dir)?;
        failpoint!("store.reopened");
        let generation = opened.generation()?;
        *database = Some(Arc::new(opened));
        Ok(generation)
    }

    fn is_open(&self) -> bool {
        self.with(|_| Ok(())).is_ok()
    }

    fn tend(&self) {
        self.ballast.take();
    }
}

/// The directory that the store's stands in: what is there is no business of RocksDB.
fn surroundings(dir: &Path) -> &Path {
    dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(dir)
}
