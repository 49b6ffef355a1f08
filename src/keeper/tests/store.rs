//! A store in memory that takes writes when it is in the mood.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::Notify;

use crate::store::{Batch, MemoryStore, Row, Store, StoreError, Table, Written};

pub(crate) struct Moody {
    inner: MemoryStore,
    /// Writes that it will still take.
    writes_left: AtomicUsize,
    healed: Notify,
}

impl Default for Moody {
    fn default() -> Self {
        Self { inner: MemoryStore::new(), writes_left: AtomicUsize::new(usize::MAX), healed: Notify::new() }
    }
}

impl Moody {
    /// From now on only so many writes are taken.
    pub(crate) fn take_only(&self, writes: usize) {
        self.writes_left.store(writes, Ordering::SeqCst);
    }

    pub(crate) fn recover(&self) {
        self.take_only(usize::MAX);
        self.healed.notify_one();
    }
}

impl Store for Moody {
    fn read(&self, table: Table, key: &[u8]) -> Result<Option<Row>, StoreError> {
        self.inner.read(table, key)
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Row)>, StoreError> {
        self.inner.scan(table, prefix, after, limit)
    }

    fn write_if(&self, batch: Batch) -> Written {
        let one_less = |left: usize| left.checked_sub(1);
        match self.writes_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less) {
            Ok(_) => self.inner.write_if(batch),
            Err(_) => Box::pin(std::future::ready(Err(StoreError::Unwritable("no space left".to_owned())))),
        }
    }

    fn generation(&self) -> u64 {
        self.inner.generation()
    }

    fn lease(&self, name: &[u8], holder: u64, now: Duration, length: Duration) -> Result<bool, StoreError> {
        self.inner.lease(name, holder, now, length)
    }

    fn release(&self, name: &[u8], holder: u64) -> Result<(), StoreError> {
        self.inner.release(name, holder)
    }

    fn bytes_on_disk(&self) -> u64 {
        0
    }

    fn look(&self, look: &mut dyn FnMut(&dyn crate::store::Snapshot)) -> Result<(), StoreError> {
        self.inner.look(look)
    }

    fn sizes(&self) -> Result<Vec<crate::store::TableSize>, StoreError> {
        self.inner.sizes()
    }

    fn schema(&self) -> u32 {
        self.inner.schema()
    }

    fn ballast(&self) -> u64 {
        self.inner.ballast()
    }

    fn fault(&self) -> Option<String> {
        (self.writes_left.load(Ordering::SeqCst) == 0).then(|| "no space left".to_owned())
    }

    fn reopened(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.healed.notified())
    }
}
