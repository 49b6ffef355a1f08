//! Batches that share one sync: each is judged on what is on the disk and on the batches before it.

use std::collections::HashMap;

use super::writer::Target;
use crate::store::batch::{Before, Change};
use crate::store::{Batch, Row, StoreError, Table};

/// Batches that will be written together.
pub(super) struct Group<'a, T> {
    target: &'a T,
    /// Batches in it that met their preconditions.
    accepted: u64,
    generation: u64,
    changes: Vec<Change>,
    /// The versions that rows have once the changes are made, the last batch's not: most groups have one.
    versions: HashMap<Table, HashMap<Vec<u8>, u64>>,
    /// Changes that are among them.
    noted: usize,
}

impl<'a, T: Target> Group<'a, T> {
    pub(super) fn new(target: &'a T, generation: u64) -> Self {
        Self { target, accepted: 0, generation, changes: Vec::new(), versions: HashMap::new(), noted: 0 }
    }

    /// Adds a batch if its preconditions hold behind the ones before it; the generation it leads to.
    pub(super) fn add(&mut self, batch: Batch) -> Result<u64, StoreError> {
        for change in &self.changes[self.noted..] {
            let (table, key) = change.row();
            self.versions.entry(table).or_default().insert(key.to_vec(), change.version());
        }
        self.noted = self.changes.len();
        self.changes.extend(batch.judge(self)?);
        self.accepted += 1;
        Ok(self.generation + self.accepted)
    }

    /// Writes what was accepted, if anything was; the generation on the disk.
    pub(super) fn commit(self) -> Result<u64, StoreError> {
        let reached = self.generation + self.accepted;
        if self.accepted > 0 {
            self.target.commit(&self.changes, reached)?;
        }
        Ok(reached)
    }

    /// The version that this group gives a row, if it does.
    fn written(&self, table: Table, key: &[u8]) -> Option<u64> {
        self.versions.get(&table)?.get(key).copied()
    }
}

impl<T: Target> Before for Group<'_, T> {
    fn version(&self, table: Table, key: &[u8]) -> Result<u64, StoreError> {
        match self.written(table, key) {
            Some(version) => Ok(version),
            None => self.target.version(table, key),
        }
    }

    fn is(&self, table: Table, key: &[u8], row: &Row) -> Result<bool, StoreError> {
        // What this group writes to a row is not compared: it was written, and that is enough.
        Ok(self.written(table, key).is_none() && self.target.is(table, key, row)?)
    }
}
