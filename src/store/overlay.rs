//! A store over another one, for tests: some of it they take into their own hands, and the rest is that of the one beneath.

use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::{Batch, Row, Snapshot, Store, StoreError, Table, TableSize, Written};

/// What a test can take into its own hands.
pub(crate) trait Overlay: Send + Sync {
    type Beneath: Store;

    fn beneath(&self) -> &Self::Beneath;

    fn write_if(&self, batch: Batch) -> Written {
        self.beneath().write_if(batch)
    }

    fn set_schema(&self, schema: u32) -> Result<(), StoreError> {
        self.beneath().set_schema(schema)
    }

    fn keep_copy(&self) -> Result<Option<PathBuf>, StoreError> {
        self.beneath().keep_copy()
    }

    fn fault(&self) -> Option<String> {
        self.beneath().fault()
    }

    fn reopened(&self) -> BoxFuture<'_, ()> {
        self.beneath().reopened()
    }
}

impl<T: Overlay> Store for T {
    fn read(&self, table: Table, key: &[u8]) -> Result<Option<Row>, StoreError> {
        self.beneath().read(table, key)
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Row)>, StoreError> {
        self.beneath().scan(table, prefix, after, limit)
    }

    fn write_if(&self, batch: Batch) -> Written {
        Overlay::write_if(self, batch)
    }

    fn generation(&self) -> u64 {
        self.beneath().generation()
    }

    fn lease(&self, name: &[u8], holder: u64, now: Duration, length: Duration) -> Result<bool, StoreError> {
        self.beneath().lease(name, holder, now, length)
    }

    fn release(&self, name: &[u8], holder: u64) -> Result<(), StoreError> {
        self.beneath().release(name, holder)
    }

    fn bytes_on_disk(&self) -> u64 {
        self.beneath().bytes_on_disk()
    }

    fn look(&self, look: &mut dyn FnMut(&dyn Snapshot)) -> Result<(), StoreError> {
        self.beneath().look(look)
    }

    fn purge(&self, go_on: &dyn Fn(Table) -> bool) -> Result<bool, StoreError> {
        self.beneath().purge(go_on)
    }

    fn sizes(&self) -> Result<Vec<TableSize>, StoreError> {
        self.beneath().sizes()
    }

    fn schema(&self) -> u32 {
        self.beneath().schema()
    }

    fn set_schema(&self, schema: u32) -> Result<(), StoreError> {
        Overlay::set_schema(self, schema)
    }

    fn keep_copy(&self) -> Result<Option<PathBuf>, StoreError> {
        Overlay::keep_copy(self)
    }

    fn ballast(&self) -> u64 {
        self.beneath().ballast()
    }

    fn fault(&self) -> Option<String> {
        Overlay::fault(self)
    }

    fn reopened(&self) -> BoxFuture<'_, ()> {
        Overlay::reopened(self)
    }
}
