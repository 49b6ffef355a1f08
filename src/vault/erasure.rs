//! What is left to do of erasures, and finding what is to be erased.
//!
//! Invariant: the row of an erasure tells whose it is only until everything is removed, and the files are written anew after that:
//! so nothing is left of this either. Every step is a change of its row; a crash at any point is gone on from.

use serde::{Deserialize, Serialize};
use tokenkeeper_protocol::{ProviderName, SessionRef, UnixSeconds};

use super::change::Change;
use super::index::session_at_end;
use super::{Binding, PendingLogin, Vault, VaultError, Versioned};
use crate::domain::Session;
use crate::store::{Batch, Table};

/// In front of the id of an erasure.
const PREFIX: &[u8] = b"erasure/";
/// Rows read in one go.
const PAGE: usize = 256;

/// A name that is bound, and the key of its row.
pub type Bound = (Vec<u8>, Versioned<Binding>);

/// Names an erasure. Random.
pub type ErasureId = [u8; 8];

/// An erasure that is not over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasure {
    /// Who asked for it.
    pub peer: String,
    /// Where.
    pub provider: ProviderName,
    /// Whether the key of the records is destroyed, too.
    pub forced: bool,
    /// Whether the provider is not waited for.
    pub at_once: bool,
    /// When it was begun.
    pub begun_at: UnixSeconds,
    /// Sessions that were removed so far.
    pub sessions: u64,
    /// Those of them whose tokens live until they expire.
    pub not_revoked: u64,
    /// What is to be done next.
    pub stage: Stage,
}

/// How far an erasure is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// Ending the sessions, having their tokens revoked, and removing everything.
    Ending(Whose),
    /// Everything is removed. Audit events with lower numbers are delivered first; then the files are written anew.
    Rewriting {
        /// The number.
        told_below: u64,
    },
    /// Every key of before has to go.
    Rotating {
        /// The epoch that was begun for it.
        epoch: Option<u32>,
    },
    /// The host has to get another identity.
    Rekeying {
        /// The recipient (`age1...`) of the one it had.
        recipient: String,
    },
}

impl Stage {
    /// Whether everything that can be in the store is gone.
    pub fn is_last(&self) -> bool {
        matches!(self, Self::Rekeying { .. })
    }
}

/// Whose data is erased.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Whose {
    /// That of one session.
    Session(SessionRef),
    /// All of a user.
    User(Person),
}

/// A user, as the provider knows them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// `iss`.
    pub issuer: String,
    /// `sub`.
    pub subject: String,
}

impl Vault {
    /// Every erasure that is not over. One that does not open is left out, with an error in the log.
    pub fn erasures(&self) -> Result<Vec<(ErasureId, Versioned<Erasure>)>, VaultError> {
        let rows = self.store.scan(Table::Meta, PREFIX, None, usize::MAX)?;
        let opened = rows.iter().filter_map(|(key, row)| match self.open_row(Table::Meta, key, row) {
            Ok(erasure) => Some((*key.last_chunk()?, erasure)),
            Err(error) => {
                tracing::error!(%error, "the record of an erasure is damaged; whoever was to be erased has to be again");
                None
            }
        });
        Ok(opened.collect())
    }

    /// One of them.
    pub fn erasure(&self, id: ErasureId) -> Result<Option<Versioned<Erasure>>, VaultError> {
        self.read(Table::Meta, &key_of(id))
    }

    /// The sessions that are to be erased, and those of them whose record does not open.
    pub fn sessions_of(
        &self,
        provider: &ProviderName,
        whose: &Whose,
    ) -> Result<(Vec<Versioned<Session>>, Vec<SessionRef>), VaultError> {
        let person = match whose {
            Whose::Session(id) => return Ok((self.session(*id)?.into_iter().collect(), Vec::new())),
            Whose::User(person) => person,
        };
        let prefix = self.subject_prefix(provider, &person.issuer, &person.subject);
        let (mut sessions, mut damaged) = (Vec::new(), Vec::new());
        for (key, _) in self.store.scan(Table::Subjects, &prefix, None, usize::MAX)? {
            match self.session_through(Table::Subjects, &key) {
                Ok(session) => sessions.extend(session),
                Err(VaultError::Sealed(_) | VaultError::Layout { .. }) => damaged.extend(session_at_end(&key)),
                Err(error) => return Err(error),
            }
        }
        Ok((sessions, damaged))
    }

    /// Every name that is bound to a person, and its row. Goes through all names, for their keys only tell them to who knows them.
    pub fn bindings_of(&self, provider: &ProviderName, person: &Person) -> Result<Vec<Bound>, VaultError> {
        let mut found = Vec::new();
        self.each_row(Table::Bindings, |key, binding: Versioned<Binding>| {
            let Binding { name, issuer, subject } = &binding.value;
            let is_theirs = (issuer, subject) == (&person.issuer, &person.subject);
            if is_theirs && self.name_prefix(provider, name) == key {
                found.push((key.to_vec(), binding));
            }
        })?;
        Ok(found)
    }

    /// The rows of logins that `is_about` finds to be about somebody, and their versions.
    pub fn logins_about(&self, is_about: impl Fn(&PendingLogin) -> bool) -> Result<Vec<(Vec<u8>, u64)>, VaultError> {
        let mut found = Vec::new();
        self.each_row(Table::Logins, |key, login: Versioned<PendingLogin>| {
            if is_about(&login.value) {
                found.push((key.to_vec(), login.version));
            }
        })?;
        Ok(found)
    }

    /// Sees to it that nothing that was removed or replaced before is left in any file of the store; see [`Store::purge`](crate::store::Store::purge).
    pub fn purge(&self, go_on: &dyn Fn(Table) -> bool) -> Result<bool, VaultError> {
        Ok(self.store.purge(go_on)?)
    }

    /// Removes every index entry that leads to a session. Goes through all of them: its record, which tells where they are, does not open.
    pub(super) fn drop_entries_of(&self, batch: &mut Batch, id: SessionRef) -> Result<(), VaultError> {
        for table in Table::INDEXES {
            let mut after = None::<Vec<u8>>;
            loop {
                let rows = self.store.scan(table, &[], after.as_deref(), PAGE)?;
                let Some((last, _)) = rows.last() else { break };
                after = Some(last.clone());
                for (key, _) in rows.iter().filter(|(key, _)| session_at_end(key) == Some(id)) {
                    batch.unmark(table, key);
                }
            }
        }
        Ok(())
    }

    /// Opens every row of a table. One that does not open is nobody's: whose it is cannot be told.
    fn each_row<T: serde::de::DeserializeOwned>(
        &self,
        table: Table,
        mut look: impl FnMut(&[u8], Versioned<T>),
    ) -> Result<(), VaultError> {
        let mut after = None::<Vec<u8>>;
        loop {
            let rows = self.store.scan(table, &[], after.as_deref(), PAGE)?;
            let Some((last, _)) = rows.last() else { return Ok(()) };
            after = Some(last.clone());
            for (key, row) in &rows {
                if let Ok(opened) = self.open_row(table, key, row) {
                    look(key, opened);
                }
            }
        }
    }
}

impl Change<'_> {
    /// Keeps how far an erasure is; in version 0, a new one.
    pub fn keep_erasure(&mut self, id: ErasureId, version: u64, erasure: &Erasure) -> Result<&mut Self, VaultError> {
        self.put(Table::Meta, &key_of(id), version, erasure)
    }

    /// It is over.
    pub fn forget_erasure(&mut self, id: ErasureId, version: u64) -> &mut Self {
        self.drop_row(Table::Meta, &key_of(id), version)
    }

    /// Removes the row of a name that [`Vault::bindings_of`] has found.
    pub fn unbind(&mut self, key: &[u8], version: u64) -> &mut Self {
        self.drop_row(Table::Bindings, key, version)
    }

    /// Removes the row of a login that [`Vault::logins_about`] has found.
    pub fn drop_login(&mut self, key: &[u8], version: u64) -> &mut Self {
        self.drop_row(Table::Logins, key, version)
    }
}

fn key_of(id: ErasureId) -> Vec<u8> {
    [PREFIX, &id].concat()
}
