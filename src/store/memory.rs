//! A store that forgets everything: for tests of what stands above it.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{self, BoxFuture};

use super::batch::{Before, Change};
use super::lease::Leases;
use super::{Batch, Row, SCHEMA, Snapshot, Store, StoreError, Table, TableSize, Written};

/// A store in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    state: Mutex<State>,
    leases: Leases,
}

#[derive(Clone, Debug, Default)]
struct State {
    rows: BTreeMap<(Table, Vec<u8>), Row>,
    generation: u64,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn write_if(&mut self, batch: Batch) -> Result<u64, StoreError> {
        for change in batch.judge(self)? {
            match change {
                Change::Put { table, key, row } => self.rows.insert((table, key), row),
                Change::Remove { table, key } => self.rows.remove(&(table, key)),
            };
        }
        self.generation += 1;
        Ok(self.generation)
    }
}

impl Before for State {
    fn version(&self, table: Table, key: &[u8]) -> Result<u64, StoreError> {
        Ok(self.rows.get(&(table, key.to_vec())).map_or(0, |row| row.version))
    }

    fn is(&self, table: Table, key: &[u8], row: &Row) -> Result<bool, StoreError> {
        Ok(self.rows.get(&(table, key.to_vec())) == Some(row))
    }
}

impl Snapshot for State {
    fn read(&self, table: Table, key: &[u8]) -> Result<Option<Row>, StoreError> {
        Ok(self.rows.get(&(table, key.to_vec())).cloned())
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Row)>, StoreError> {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded((table, after.to_vec())),
            _ => Bound::Included((table, prefix.to_vec())),
        };
        let rows = self.rows.range((start, Bound::Unbounded));
        let within = rows.take_while(|((found, key), _)| *found == table && key.starts_with(prefix));
        Ok(within.take(limit).map(|((_, key), row)| (key.clone(), row.clone())).collect())
    }

    fn generation(&self) -> Result<u64, StoreError> {
        Ok(self.generation)
    }
}

impl Store for MemoryStore {
    fn read(&self, table: Table, key: &[u8]) -> Result<Option<Row>, StoreError> {
        Ok(self.state().rows.get(&(table, key.to_vec())).cloned())
    }

    fn scan(
        &self,
        table: Table,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Row)>, StoreError> {
        Snapshot::scan(&*self.state(), table, prefix, after, limit)
    }

    fn write_if(&self, batch: Batch) -> Written {
        future::ready(self.state().write_if(batch)).boxed()
    }

    fn generation(&self) -> u64 {
        self.state().generation
    }

    fn lease(&self, name: &[u8], holder: u64, now: Duration, length: Duration) -> Result<bool, StoreError> {
        Ok(self.leases.take(name, holder, now, length))
    }

    fn release(&self, name: &[u8], holder: u64) -> Result<(), StoreError> {
        self.leases.release(name, holder);
        Ok(())
    }

    fn bytes_on_disk(&self) -> u64 {
        0
    }

    fn look(&self, look: &mut dyn FnMut(&dyn Snapshot)) -> Result<(), StoreError> {
        let state = self.state().clone();
        look(&state);
        Ok(())
    }

    fn purge(&self, go_on: &dyn Fn(Table) -> bool) -> Result<bool, StoreError> {
        // There are no files.
        Ok(Table::ALL.into_iter().all(go_on))
    }

    fn sizes(&self) -> Result<Vec<TableSize>, StoreError> {
        let state = self.state();
        let size = |table| {
            let rows = state.rows.range((table, Vec::new())..).take_while(move |((found, _), _)| *found == table);
            let bytes = rows.clone().map(|((_, key), row)| key.len() + row.value.len()).sum::<usize>();
            TableSize { table, keys: rows.count() as u64, bytes: bytes as u64 }
        };
        Ok(Table::ALL.into_iter().map(size).collect())
    }

    fn schema(&self) -> u32 {
        SCHEMA
    }

    fn set_schema(&self, _schema: u32) -> Result<(), StoreError> {
        Ok(())
    }

    fn ballast(&self) -> u64 {
        0
    }

    fn fault(&self) -> Option<String> {
        None
    }

    fn reopened(&self) -> BoxFuture<'_, ()> {
        future::pending().boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Overlay;
    use crate::store::conformance::conformance;
    use crate::store::conformance::failure::{Failure, conformance_in_failure};

    conformance!((MemoryStore::new(), ()));
    conformance_in_failure!(|failure| (Failing { inner: MemoryStore::new(), failure }, ()));

    /// One of which a write fails, and which is well again at once.
    struct Failing {
        inner: MemoryStore,
        failure: Failure,
    }

    impl Overlay for Failing {
        type Beneath = MemoryStore;

        fn beneath(&self) -> &MemoryStore {
            &self.inner
        }

        fn write_if(&self, batch: Batch) -> Written {
            future::ready(self.failure.strike(|| self.inner.state().write_if(batch))).boxed()
        }
    }
}
