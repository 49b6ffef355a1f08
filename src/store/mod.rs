//! Rows of sealed bytes under clear index keys. Knows no keys, no sessions.
//!
//! Invariant: a batch changes everything it names or nothing, only if every row it builds on is still the one it was
//! built on, and is on the disk before its future resolves. Every backend passes the one conformance suite. The
//! neighbour above is the vault; a backend shared by many hosts can take the place of the embedded one.

mod batch;
#[cfg(test)]
mod conformance;
mod error;
mod lease;
mod memory;
#[cfg(test)]
mod overlay;
mod rocksdb;
mod snapshot;
mod table;

use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokenkeeper_protocol::UnixSeconds;

pub use batch::{Batch, Row};
pub use error::StoreError;
pub use memory::MemoryStore;
#[cfg(test)]
pub(crate) use overlay::Overlay;
pub use rocksdb::RocksStore;
pub use snapshot::{Snapshot, TableSize};
pub use table::Table;

/// The layout of tables and rows that this version writes, and the newest it reads. Whoever changes the layout of anything that is
/// sealed makes it the next number, and adds a step to `vault/migrate`.
pub const SCHEMA: u32 = 3;

/// The oldest that can be changed to that.
pub const OLDEST_SCHEMA: u32 = 1;

/// The outcome of a write: the generation of the store after the batch.
pub type Written = BoxFuture<'static, Result<u64, StoreError>>;

/// A store of rows. Reads block for as long as the disk does; writes are queued.
pub trait Store: Send + Sync {
    /// The row under a key.
    fn read(&self, table: Table, key: &[u8]) -> Result<Option<Row>, StoreError>;

    /// At most `limit` rows whose keys begin with `prefix`, in byte order, strictly behind `after`. Its cost depends on
    /// what it returns and not on what else is stored.
    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Row)>, StoreError>;

    /// Writes the batch if all its preconditions hold, else changes nothing and answers [`StoreError::Conflict`].
    ///
    /// The batch takes its place in the queue when this is called; while the queue is full, the call waits for room.
    ///
    /// A batch that fails otherwise has happened wholly or not at all, and so have those that were written with it: what is read
    /// once the store has healed tells, and a batch that names the versions it builds on can be repeated without being made twice.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels nothing: the batch is written all the same.
    fn write_if(&self, batch: Batch) -> Written;

    /// The number of batches that were ever written.
    fn generation(&self) -> u64;

    /// How often the disk was waited for since the store was opened, where batches that come together share one sync.
    fn syncs(&self) -> u64 {
        self.generation()
    }

    /// Takes or renews the lease `name` for `length` from `now`, which is boot time: true if `holder` has it now.
    fn lease(&self, name: &[u8], holder: u64, now: Duration, length: Duration) -> Result<bool, StoreError>;

    /// Gives the lease back, if `holder` has it.
    fn release(&self, name: &[u8], holder: u64) -> Result<(), StoreError>;

    /// Disk space in use.
    fn bytes_on_disk(&self) -> u64;

    /// Lets `look` see all tables as they stand at one moment, for as long as it takes; others go on writing meanwhile. A store that
    /// has to heal waits for its end: whoever takes long looks at [`Store::fault`] now and then, and gives up if there is one.
    fn look(&self, look: &mut dyn FnMut(&dyn Snapshot)) -> Result<(), StoreError>;

    /// Sees to it that nothing that was removed or replaced before this call is left in any file of the store, neither as a row nor as
    /// a key; what was kept of it before a change of its layout is removed as a whole. Blocks for as long as it takes to write
    /// everything anew; others go on meanwhile. `go_on` is asked before each table: if it says no, this ends with false, and nothing
    /// is promised.
    fn purge(&self, go_on: &dyn Fn(Table) -> bool) -> Result<bool, StoreError>;

    /// What the tables hold, as far as that can be told without reading them.
    fn sizes(&self) -> Result<Vec<TableSize>, StoreError>;

    /// The layout of tables and rows that was found: [`SCHEMA`], or an older one until it was changed.
    fn schema(&self) -> u32;

    /// Notes that the rows are of this layout now.
    fn set_schema(&self, schema: u32) -> Result<(), StoreError>;

    /// Before the layout is changed: keeps everything as it is, where it can be found again, if there is such a place. It takes the
    /// place of what was kept of another time.
    fn keep_copy(&self) -> Result<Option<PathBuf>, StoreError> {
        Ok(None)
    }

    /// Removes what was kept before this time.
    fn forget_copies(&self, _before: UnixSeconds) {}

    /// Disk space that what was kept takes by itself.
    fn kept_bytes(&self) -> u64 {
        0
    }

    /// Disk space that is held for the day on which the disk is full.
    fn ballast(&self) -> u64;

    /// Why no writes are taken at the moment, if so. Reads go on, and the store heals itself once the disk takes writes.
    fn fault(&self) -> Option<String>;

    /// Resolves when the store has healed. A write that failed may have reached the disk: what was read before is old.
    fn reopened(&self) -> BoxFuture<'_, ()>;
}
