//! Whether indexes and records agree. Index entries are not sealed, so the record has the last word.
//!
//! Invariant: a session that is found through an index is only given out if its record says that it belongs there. An entry
//! that does not fit is told in the log and counted; a record never follows its index.

use std::sync::atomic::Ordering;

use tokenkeeper_protocol::SessionRef;

use super::index::{Agenda, agenda_key, session_at_end};
use super::{AgendaItem, Vault, VaultError, Versioned};
use crate::domain::Session;
use crate::store::{Batch, Table};

/// An entry of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The index.
    pub table: Table,
    /// Its key, which ends with the reference of a session.
    pub key: Vec<u8>,
}

/// Where an index and a record do not agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disagreement {
    /// A session is not in an index in which it belongs: it is not found there.
    Missing(SessionRef, Entry),
    /// An entry leads to a session that does not belong there, or that does not exist.
    Stray(SessionRef, Entry),
    /// An entry leads nowhere.
    Unreadable(Entry),
}

impl Disagreement {
    /// The entry that it is about.
    pub fn entry(&self) -> &Entry {
        match self {
            Self::Missing(_, entry) | Self::Stray(_, entry) | Self::Unreadable(entry) => entry,
        }
    }
}

impl Vault {
    /// The entries that a session lacks.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn check_session(&self, session: &Session) -> Result<Vec<Disagreement>, VaultError> {
        let mut missing = Vec::new();
        for (table, key) in self.entries_of(session) {
            if self.store.read(table, &key)?.is_none() {
                missing.push(Disagreement::Missing(session.id, Entry { table, key }));
            }
        }
        Ok(missing)
    }

    /// What is wrong with an entry of one of [`Table::INDEXES`], if something is. One whose record does not open is not judged.
    ///
    /// # Errors
    /// When the store or the record cannot be read.
    pub fn check_entry(&self, table: Table, key: &[u8]) -> Result<Option<Disagreement>, VaultError> {
        let entry = || Entry { table, key: key.to_vec() };
        let Some(id) = session_at_end(key) else { return Ok(Some(Disagreement::Unreadable(entry()))) };
        let fits = self.session(id)?.is_some_and(|session| self.belongs(table, key, &session.value));
        // A change may have come between the reading of the entry and that of the record; then the entry is gone.
        let is_stray = !fits && self.store.read(table, key)?.is_some();
        Ok(is_stray.then(|| Disagreement::Stray(id, entry())))
    }

    /// Makes an index say what the record says. Nothing happens, if they agree by now.
    ///
    /// # Errors
    /// When the store does not take it, or the record does not open.
    pub async fn mend(&self, disagreement: &Disagreement) -> Result<bool, VaultError> {
        let Entry { table, key } = disagreement.entry();
        let mut batch = Batch::default();
        match disagreement {
            Disagreement::Unreadable(_) => drop(batch.unmark(*table, key)),
            Disagreement::Missing(id, _) | Disagreement::Stray(id, _) => {
                let session = self.session(*id)?;
                let belongs = session.as_ref().is_some_and(|session| self.belongs(*table, key, &session.value));
                batch.expect(Table::Sessions, id.as_bytes(), session.map_or(0, |session| session.version));
                if belongs {
                    batch.mark(*table, key)
                } else {
                    batch.unmark(*table, key)
                };
            }
        }
        let written = self.store.write_if(batch).await.map_err(VaultError::from);
        // The index of states may be another now.
        self.census.forget();
        match written {
            Ok(_) => Ok(true),
            Err(VaultError::Conflict) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes from the agenda what is still there after it was attended to, and does not fit its session: of what was read of it
    /// behind `after`.
    pub async fn mend_due(&self, after: Option<AgendaItem>, attended: &[AgendaItem]) -> Result<(), VaultError> {
        self.mend_agenda(Agenda::Attend, after, attended).await
    }

    /// The same for what was to grow older.
    pub async fn mend_to_prune(&self, after: Option<AgendaItem>, attended: &[AgendaItem]) -> Result<(), VaultError> {
        self.mend_agenda(Agenda::Prune, after, attended).await
    }

    /// Entries that were found not to fit their records, since the start.
    pub fn disagreements(&self) -> u64 {
        self.disagreements.load(Ordering::Relaxed)
    }

    /// The session that an index entry leads to, if it belongs there.
    pub(super) fn session_through(&self, table: Table, key: &[u8]) -> Result<Option<Versioned<Session>>, VaultError> {
        let Some(id) = session_at_end(key) else { return Ok(None) };
        let Some(session) = self.session(id)? else { return Ok(None) };
        if table == Table::Sessions || self.belongs(table, key, &session.value) {
            return Ok(Some(session));
        }
        if let Some(disagreement) = self.check_entry(table, key)? {
            self.note_disagreement(&disagreement);
        }
        Ok(None)
    }

    async fn mend_agenda(
        &self,
        agenda: Agenda,
        mut after: Option<AgendaItem>,
        attended: &[AgendaItem],
    ) -> Result<(), VaultError> {
        // Few are still there: what is behind the last one is not read for nothing.
        const PAGE: usize = 64;
        let Some(last) = attended.last() else { return Ok(()) };
        loop {
            let left = self.agenda(agenda, last.0, after, PAGE)?;
            for (at, session) in left.iter().filter(|item| attended.binary_search(item).is_ok()) {
                self.mend_entry(&agenda_key(agenda, *at, *session)).await?;
            }
            match left.last() {
                Some(item) if item < last => after = Some(*item),
                _ => return Ok(()),
            }
        }
    }

    async fn mend_entry(&self, key: &[u8]) -> Result<(), VaultError> {
        match self.check_entry(Table::Due, key) {
            Ok(Some(stray)) => {
                self.note_disagreement(&stray);
                self.mend(&stray).await.map(drop)
            }
            // A record that does not open is told of by those who wanted to attend to it.
            Ok(None) | Err(VaultError::Sealed(_) | VaultError::Layout { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn belongs(&self, table: Table, key: &[u8], session: &Session) -> bool {
        self.entries_of(session).iter().any(|entry| entry.0 == table && entry.1 == key)
    }

    fn note_disagreement(&self, disagreement: &Disagreement) {
        self.disagreements.fetch_add(1, Ordering::Relaxed);
        let table = disagreement.entry().table;
        match disagreement {
            Disagreement::Missing(session, _) => tracing::error!(%session, %table, "a session is missing in an index"),
            Disagreement::Stray(session, _) => {
                tracing::error!(%session, %table, "an index leads to a session that does not belong there; it is ignored");
            }
            Disagreement::Unreadable(_) => tracing::error!(%table, "an entry of an index leads nowhere"),
        }
    }
}
