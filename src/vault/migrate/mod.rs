//! From the schema that is found to the one that this version writes, step by step, before anything else is read.
//!
//! Invariant: before the first row is changed, the store as it was is kept beside it, and it says that it is of the new schema: an
//! older version takes none for its own that is changed in part. Rows are changed page by page, and how far that is stands in the
//! same batch as the rows: a migration that is cut short goes on where it was, and changes no row twice.

mod schema_1;
mod schema_2;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokenkeeper_protocol::UnixSeconds;
use zeroize::Zeroizing;

use super::{Vault, VaultError};
use crate::audit::{Event, What};
use crate::seal::Place;
use crate::store::{Batch, Row, SCHEMA, Table};

/// How far it is.
const PROGRESS: &[u8] = b"migration";
/// Rows that are changed in one batch.
const PAGE: usize = 256;

/// How long the store of before is kept.
const KEPT: Duration = Duration::from_hours(7 * 24);

/// What stands in a row, unsealed.
type Content = Zeroizing<Vec<u8>>;

/// From one schema to the next: what becomes of the content of each row in these tables.
struct Step {
    from: u32,
    tables: &'static [Table],
    /// The new content; none, if it stays as it is.
    change: fn(Table, &[u8]) -> Result<Option<Content>, VaultError>,
}

/// In the order of their schemas, without a gap.
const STEPS: [Step; 2] = [schema_1::STEP, schema_2::STEP];

/// What is told of a migration while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migrating {
    /// The schema that was found.
    pub from: u32,
    /// The one it is brought to.
    pub to: u32,
    /// Rows looked at in this step.
    pub done: u64,
    /// Rows to look at, by estimate.
    pub total: u64,
}

/// Where a migration is: everything before `after` in this table is done, and so are the tables of the step before it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Progress {
    /// The schema that was found at the beginning.
    found: u32,
    /// The step: the schema it is from.
    from: u32,
    table: u32,
    after: Option<Vec<u8>>,
}

/// Brings the store to [`SCHEMA`], if it is not there.
pub(super) async fn migrate(vault: &Vault, tell: &(dyn Fn(Migrating) + Sync)) -> Result<(), VaultError> {
    let begun = if vault.store.schema() < SCHEMA {
        Some(begin(vault).await?)
    } else {
        vault.read::<Progress>(Table::Meta, PROGRESS)?.map(|row| row.value)
    };
    let Some(begun) = begun else { return Ok(()) };
    for step in STEPS.iter().filter(|step| step.from >= begun.from) {
        let first = Progress { from: step.from, table: 0, after: None, ..begun };
        let here = if step.from == begun.from { begun.clone() } else { first };
        step.run(vault, here, tell).await?;
    }
    tracing::info!("the store has schema {SCHEMA} now");
    Ok(())
}

/// What somebody began who did not come to the end of this does not count: an older version may have had the store since.
async fn begin(vault: &Vault) -> Result<Progress, VaultError> {
    let from = vault.store.schema();
    let kept = vault.store.keep_copy()?.map_or_else(|| "nowhere".to_owned(), |path| path.display().to_string());
    tracing::warn!("the store is changed from schema {from} to {SCHEMA}; as it was, it is kept in {kept}");
    let first = Progress { found: from, from, table: 0, after: None };
    let mut batch = Batch::default();
    batch.set(Table::Meta, PROGRESS, vault.seal(Table::Meta, PROGRESS, 1, &first)?);
    vault.store.write_if(batch).await?;
    vault.store.set_schema(SCHEMA)?;
    Ok(first)
}

impl Vault {
    /// Tells the audit trail that the store was changed to another schema when it was opened, unless that is told.
    pub async fn tell_migration(&self, now: UnixSeconds) -> Result<(), VaultError> {
        let Some(row) = self.read::<Progress>(Table::Meta, PROGRESS)? else { return Ok(()) };
        let what = What::Migrated { from: row.value.found, to: self.schema() };
        let (key, mut batch) = (self.next_in_outbox(), Batch::default());
        batch.put(Table::Outbox, key, 0, self.seal(Table::Outbox, &key, 1, &Event { at: now, what })?);
        batch.delete(Table::Meta, PROGRESS, row.version);
        self.store.write_if(batch).await?;
        Ok(())
    }

    /// Removes what was kept of the store of before a change of its schema, when it was kept long enough.
    pub fn forget_copies(&self, now: UnixSeconds) {
        self.store.forget_copies(now - KEPT);
    }

    /// Disk space that is taken by what was kept.
    pub fn kept_bytes(&self) -> u64 {
        self.store.kept_bytes()
    }
}

impl Step {
    async fn run(
        &self,
        vault: &Vault,
        mut progress: Progress,
        tell: &(dyn Fn(Migrating) + Sync),
    ) -> Result<(), VaultError> {
        let sizes = vault.store.sizes()?;
        let total = sizes.iter().filter(|size| self.tables.contains(&size.table)).map(|size| size.keys).sum();
        let mut done = 0;
        while let Some(table) = self.tables.get(progress.table as usize).copied() {
            tell(Migrating { from: self.from, to: self.from + 1, done, total });
            let rows = vault.store.scan(table, &[], progress.after.as_deref(), PAGE)?;
            let mut batch = Batch::default();
            for (key, row) in &rows {
                if let Some(value) = self.changed(vault, table, key, row)? {
                    batch.rewrite(table, key, row.clone(), value);
                }
            }
            done += rows.len() as u64;
            progress.after = rows.into_iter().last().map(|(last, _)| last);
            if progress.after.is_none() {
                tracing::info!(%table, "every record of the table is changed");
                progress.table += 1;
            }
            batch.set(Table::Meta, PROGRESS, vault.seal(Table::Meta, PROGRESS, 1, &progress)?);
            vault.store.write_if(batch).await?;
        }
        Ok(())
    }

    /// The row sealed anew. One that is damaged stays so: it keeps no other from being served, and the check of the store finds it.
    fn changed(&self, vault: &Vault, table: Table, key: &[u8], row: &Row) -> Result<Option<Vec<u8>>, VaultError> {
        let (place, keyring) = (Place { area: table.name(), key, version: row.version }, vault.keyring());
        let old = match keyring.open(&place, &row.value) {
            Ok(old) => old,
            Err(error) => {
                tracing::error!(%error, "a record is damaged, and stays as it is");
                return Ok(None);
            }
        };
        let new = (self.change)(table, &old)?;
        Ok(new.map(|new| keyring.seal(&place, &new)).transpose()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::OLDEST_SCHEMA;

    #[test]
    fn there_is_a_step_from_every_schema_to_the_next() {
        let steps: Vec<_> = STEPS.iter().map(|step| step.from).collect();
        assert_eq!(steps, (OLDEST_SCHEMA..SCHEMA).collect::<Vec<_>>());
    }
}
