//! Looks at every row: whether it opens, and whether sessions and the index entries that lead to them agree, both ways.
//!
//! Invariant: a page is looked at as it stands at one moment, so a change that is on its way is never a finding. Nothing is
//! mended here: what is wrong is told, by table and key, and never with what a record holds.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use serde::de::DeserializeOwned;
use tokenkeeper_protocol::SessionRef;
use zeroize::Zeroizing;

use super::index::session_at_end;
use super::{Binding, Intent, PendingLogin, Vault, VaultError};
use crate::audit::Event;
use crate::domain::Session;
use crate::seal::Place;
use crate::store::{Row, Snapshot, StoreError, Table};

/// Rows of a page, at most: a few milliseconds of one core.
const PAGE: usize = 256;
/// Findings of a page; one that would have more ends early. So it fits into a frame.
const FINDINGS: usize = 64;

/// Where to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    table: Table,
    after: Option<Vec<u8>>,
}

/// A page of the check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The table that it is of.
    pub table: Table,
    /// Rows that were looked at.
    pub checked: usize,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// Where the next page begins; none behind the last one.
    pub next: Option<Cursor>,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The table of the row.
    pub table: Table,
    /// The key of the row.
    pub key: Vec<u8>,
    /// The session that it belongs to, if that can be told.
    pub session: Option<SessionRef>,
    /// What, in words.
    pub what: String,
}

impl Default for Cursor {
    /// The beginning.
    fn default() -> Self {
        Self { table: Table::ALL[0], after: None }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.table, HEXLOWER.encode(self.after.as_deref().unwrap_or_default()))
    }
}

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (name, after) = text.split_once(':').ok_or(())?;
        let table = Table::ALL.into_iter().find(|table| table.name() == name).ok_or(())?;
        let after = HEXLOWER.decode(after.as_bytes()).map_err(drop)?;
        Ok(Self { table, after: Some(after).filter(|after| !after.is_empty()) })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.table, HEXLOWER.encode(&self.key))?;
        if let Some(session) = self.session {
            write!(f, " (session {session})")?;
        }
        write!(f, ": {}", self.what)
    }
}

impl Vault {
    /// Looks at the page that begins at `cursor`. Blocks for the disk.
    ///
    /// # Errors
    /// When nothing can be read at all; what is damaged is a finding.
    pub fn verify(&self, cursor: &Cursor) -> Result<Verified, VaultError> {
        let mut page = None;
        self.store.look(&mut |snapshot| page = Some(Inspection::new(self, snapshot, cursor.table).page(cursor)))?;
        page.ok_or(VaultError::Store(StoreError::Closed))
    }
}

struct Inspection<'a> {
    vault: &'a Vault,
    snapshot: &'a dyn Snapshot,
    table: Table,
    findings: Vec<Finding>,
}

impl<'a> Inspection<'a> {
    fn new(vault: &'a Vault, snapshot: &'a dyn Snapshot, table: Table) -> Self {
        Self { vault, snapshot, table, findings: Vec::new() }
    }

    fn page(mut self, cursor: &Cursor) -> Verified {
        let (mut checked, mut last) = (0, None);
        let is_end = match self.snapshot.scan(self.table, &[], cursor.after.as_deref(), PAGE) {
            Ok(rows) => {
                for (key, row) in &rows {
                    self.row(key, row);
                    (checked, last) = (checked + 1, Some(key.clone()));
                    if self.findings.len() >= FINDINGS {
                        break;
                    }
                }
                rows.len() < PAGE && checked == rows.len()
            }
            Err(error) => {
                let after = cursor.after.clone().unwrap_or_default();
                self.find(&after, None, format!("the rows behind this key cannot be read: {error}"));
                true
            }
        };
        let behind = || Table::ALL.into_iter().skip_while(|table| *table != self.table).nth(1);
        let next = match last {
            Some(last) if !is_end => Some(Cursor { table: self.table, after: Some(last) }),
            _ => behind().map(|table| Cursor { table, after: None }),
        };
        Verified { table: self.table, checked, findings: self.findings, next }
    }

    fn row(&mut self, key: &[u8], row: &Row) {
        let session = match self.table {
            Table::History => key.first_chunk::<8>().and_then(|id| SessionRef::try_from(*id).ok()),
            Table::Bindings | Table::Logins | Table::Outbox | Table::Meta => None,
            _ => session_at_end(key),
        };
        let opened = match self.table {
            Table::Sessions => self.open::<Session>(key, row).map(|session| self.session(key, &session)),
            Table::Due | Table::Names | Table::Subjects | Table::Owners | Table::States => {
                self.entry(key, session);
                Ok(())
            }
            Table::Bindings => self.open::<Binding>(key, row).map(drop),
            Table::Intents => self.open::<Intent>(key, row).map(drop),
            Table::Logins => self.open::<PendingLogin>(key, row).map(drop),
            Table::History | Table::Outbox => self.open::<Event>(key, row).map(drop),
            Table::Meta => self.plain(key, row).map(drop),
        };
        if let Err(error) = opened {
            self.find(key, session, error.to_string());
        }
        if matches!(self.table, Table::History | Table::Intents) {
            self.belongs(key, session);
        }
    }

    /// A session, and every index entry that should lead to it.
    fn session(&mut self, key: &[u8], session: &Session) {
        if session.id.as_bytes() != key {
            self.find(key, None, format!("the record of session {} stands under another key", session.id));
        }
        for (table, entry) in self.vault.entries_of(session) {
            match self.snapshot.read(table, &entry) {
                Ok(Some(_)) => {}
                Ok(None) => self.find(key, Some(session.id), format!("it has no entry in the index {table}")),
                Err(error) => self.find(key, Some(session.id), format!("its entry in the index {table}: {error}")),
            }
        }
    }

    /// An index entry, and the session that it leads to.
    fn entry(&mut self, key: &[u8], session: Option<SessionRef>) {
        let Some(id) = session else {
            return self.find(key, None, "an index entry of no session".to_owned());
        };
        match self.snapshot.read(Table::Sessions, id.as_bytes()) {
            Ok(Some(row)) => {
                let place = (Table::Sessions, id.as_bytes());
                // One that does not open is found where it stands.
                let Ok(session) = self.vault.open_row::<Session>(place.0, place.1, &row) else { return };
                let here = (self.table, key.to_vec());
                if !self.vault.entries_of(&session.value).contains(&here) {
                    self.find(key, Some(id), "an index entry that does not agree with its session".to_owned());
                }
            }
            Ok(None) => self.find(key, Some(id), "an index entry of a session that does not exist".to_owned()),
            Err(error) => self.find(key, Some(id), format!("its session cannot be read: {error}")),
        }
    }

    /// A record that only makes sense beside its session.
    fn belongs(&mut self, key: &[u8], session: Option<SessionRef>) {
        let exists = session.is_some_and(|id| {
            // What cannot be read is found where it stands.
            self.snapshot.read(Table::Sessions, id.as_bytes()).map_or(true, |row| row.is_some())
        });
        if !exists {
            self.find(key, session, "it belongs to a session that does not exist".to_owned());
        }
    }

    fn open<T: DeserializeOwned>(&self, key: &[u8], row: &Row) -> Result<T, VaultError> {
        Ok(self.vault.open_row::<T>(self.table, key, row)?.value)
    }

    fn plain(&self, key: &[u8], row: &Row) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let place = Place { area: self.table.name(), key, version: row.version };
        Ok(self.vault.keyring().open(&place, &row.value)?)
    }

    fn find(&mut self, key: &[u8], session: Option<SessionRef>, what: String) {
        self.findings.push(Finding { table: self.table, key: key.to_vec(), session, what });
    }
}
