//! From the store to lines.

use std::collections::BTreeSet;
use std::io::{self, Write};

use data_encoding::HEXLOWER;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};
use tokenkeeper_protocol::{ProviderName, UnixSeconds};

use super::lines::{BindingLine, End, Entry, FORMAT, Header, Line, SessionLine};
use super::read::BackupError;
use crate::audit::Event;
use crate::domain::Session;
use crate::seal::Keyring;
use crate::store::{Row, Snapshot, StoreError, Table};
use crate::vault::record::open_in;
use crate::vault::{Binding, Intent, Vault, VaultError};

/// Rows read in one go.
const PAGE: usize = 128;
/// Bytes of a history's key that name the session and the entry; behind them stands the peer of a hand-out.
const ENTRY_KEY: usize = 16;

/// What was backed up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackedUp {
    /// Sessions.
    pub sessions: u64,
    /// The generation of the store at that moment.
    pub generation: u64,
}

impl Vault {
    /// Writes everything as it stands now. Blocks for the disk and for `out`; others go on meanwhile.
    ///
    /// A name stands bound at a provider that only its key tells, as a keyed hash: those of `providers` and of all sessions are
    /// tried. A name that is bound at none of them is of a provider that nobody can log in to, and is left out. `is_move`: nothing is
    /// changed in the store from now on.
    ///
    /// # Errors
    /// When a record does not open, too: a backup that lacks something is none.
    pub fn back_up(
        &self,
        providers: &BTreeSet<ProviderName>,
        now: UnixSeconds,
        is_move: bool,
        out: &mut dyn Write,
    ) -> Result<BackedUp, BackupError> {
        let mut done = Err(BackupError::Vault(VaultError::Store(StoreError::Closed)));
        self.store.look(&mut |snapshot| {
            // Held to the end: a key whose records were all sealed anew meanwhile still opens those of this moment.
            let keyring = self.keyring();
            let out = Hashed { out: &mut *out, hash: Sha256::new() };
            let mut writing = Writing { vault: self, keyring: &keyring, snapshot, out, providers: providers.clone() };
            done = writing.everything(now, is_move);
        })?;
        done
    }
}

struct Writing<'a> {
    vault: &'a Vault,
    keyring: &'a Keyring,
    snapshot: &'a dyn Snapshot,
    out: Hashed<'a>,
    /// Those at which a name may be bound.
    providers: BTreeSet<ProviderName>,
}

impl Writing<'_> {
    fn everything(&mut self, now: UnixSeconds, is_move: bool) -> Result<BackedUp, BackupError> {
        let generation = self.snapshot.generation()?;
        let header = Header {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            store: HEXLOWER.encode(&self.keyring.store_id()),
            generation,
            at: now,
            moved_out: is_move,
            quarantine: self.vault.rollback().is_some(),
        };
        self.line(&Line::Header(header))?;
        let sessions = self.each(Table::Sessions, Self::session)?;
        let bindings = self.each(Table::Bindings, Self::binding)?;
        let sha256 = HEXLOWER.encode(&self.out.hash.clone().finalize());
        self.line(&Line::End(End { sessions, bindings, sha256 }))?;
        Ok(BackedUp { sessions, generation })
    }

    /// Goes through a table; returns how many rows `write` wrote.
    fn each(
        &mut self,
        table: Table,
        write: fn(&mut Self, &[u8], &Row) -> Result<bool, BackupError>,
    ) -> Result<u64, BackupError> {
        let (mut count, mut after) = (0, None::<Vec<u8>>);
        loop {
            // The store heals once nobody looks at it: that goes before.
            if let Some(why) = self.vault.fault() {
                return Err(VaultError::Store(StoreError::Unwritable(why)).into());
            }
            let rows = self.snapshot.scan(table, &[], after.as_deref(), PAGE)?;
            let Some((last, _)) = rows.last() else { return Ok(count) };
            after = Some(last.clone());
            for (key, row) in &rows {
                count += u64::from(write(self, key, row)?);
            }
        }
    }

    fn session(&mut self, key: &[u8], row: &Row) -> Result<bool, BackupError> {
        let session: Session = self.open(Table::Sessions, key, row)?;
        let intent = match self.snapshot.read(Table::Intents, key)? {
            Some(row) => Some(self.open::<Intent>(Table::Intents, key, &row)?),
            None => None,
        };
        let rows = self.snapshot.scan(Table::History, key, None, usize::MAX)?;
        let history = rows.iter().map(|(key, row)| self.entry(key, row)).collect::<Result<_, _>>()?;
        self.providers.insert(session.provider.clone());
        self.line(&Line::Session(Box::new(SessionLine { session, intent, history })))?;
        Ok(true)
    }

    fn entry(&self, key: &[u8], row: &Row) -> Result<Entry, BackupError> {
        let event: Event = self.open(Table::History, key, row)?;
        let number = key.get(8..ENTRY_KEY).and_then(|number| number.try_into().ok()).map_or(0, u64::from_be_bytes);
        let peer = key.get(ENTRY_KEY..).filter(|peer| !peer.is_empty()).map(|peer| HEXLOWER.encode(peer));
        Ok(Entry { number, peer, event })
    }

    fn binding(&mut self, key: &[u8], row: &Row) -> Result<bool, BackupError> {
        let binding: Binding = self.open(Table::Bindings, key, row)?;
        let is_at = |provider: &&ProviderName| self.vault.name_prefix(provider, &binding.name) == key;
        let Some(provider) = self.providers.iter().find(is_at).cloned() else { return Ok(false) };
        self.line(&Line::Binding(BindingLine { provider, binding }))?;
        Ok(true)
    }

    fn open<T: DeserializeOwned>(&self, table: Table, key: &[u8], row: &Row) -> Result<T, BackupError> {
        open_in(self.keyring, table, key, row).map(|opened| opened.value).map_err(BackupError::Damaged)
    }

    fn line(&mut self, line: &Line) -> Result<(), BackupError> {
        serde_json::to_writer(&mut self.out, line).map_err(io::Error::from)?;
        Ok(self.out.write_all(b"\n")?)
    }
}

/// A writer that knows the hash of what went through.
struct Hashed<'a> {
    out: &'a mut dyn Write,
    hash: Sha256,
}

impl Write for Hashed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.hash.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
