//! From lines to the store.

use std::io::{self, BufRead};
use std::time::Duration;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use tokenkeeper_protocol::UnixSeconds;
use tokenkeeper_protocol::json::rfc3339;
use zeroize::Zeroizing;

use super::lines::{BindingLine, End, FORMAT, Header, Line, SessionLine};
use crate::audit::{Event, What};
use crate::store::{Batch, StoreError, Table};
use crate::vault::{Vault, VaultError};

/// Lines that are written in one batch.
const TOGETHER: usize = 64;

/// The row that says that a store is being filled: one that was not filled to its end is not served.
pub(in crate::vault) const RESTORING: &[u8] = b"restoring";

/// Why a backup was not written, or is not restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The bytes cannot be written or read.
    #[error("the backup cannot be read or written: {0}")]
    Stream(#[from] io::Error),
    /// The store does not give or take the data.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// A record does not open, and a backup that lacks one is none.
    #[error("{0}; `tokenkeeper store verify` names the record")]
    Damaged(VaultError),
    /// It is none, or not all of one.
    #[error("this is not a whole backup ({0}); take another copy of the file")]
    NotWhole(String),
    /// A newer version wrote it.
    #[error(
        "the backup has format {found}, and this version knows formats up to {FORMAT}; install the newer tokenkeeperd"
    )]
    Newer {
        /// As it says.
        found: u32,
    },
    /// Only an empty store is filled: nothing is lost, and no session comes twice.
    #[error(
        "there are sessions in this store already, or names that stand for somebody; a backup is restored into an empty one: move the state directory away first"
    )]
    NotEmpty,
}

impl From<StoreError> for BackupError {
    fn from(error: StoreError) -> Self {
        Self::Vault(error.into())
    }
}

/// What a backup says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    /// When it was taken.
    pub at: UnixSeconds,
    /// The generation of the store that it shows.
    pub generation: u64,
    /// Sessions in it.
    pub sessions: u64,
    /// Whether the store was moved out by it: nothing in it was spent there since.
    pub is_move: bool,
    /// Whether the store was in quarantine: what is in it may have been spent before.
    pub is_quarantined: bool,
}

/// A move that takes longer counts as a backup: the file may have been restored before, and its tokens spent there.
const MOVE: Duration = Duration::from_hours(24);

impl Content {
    /// Whether nothing that is in it was spent since, as far as that can be told.
    pub fn is_fresh(&self, now: UnixSeconds) -> bool {
        self.is_move && !self.is_quarantined && now.since(self.at) <= MOVE
    }

    /// Reads a whole backup and checks that it is one, without keeping anything of it.
    pub fn check(lines: impl BufRead) -> Result<Self, BackupError> {
        let mut count = 0;
        let (header, end) = walk(lines, |line| {
            count += u64::from(matches!(line, Line::Session(_)));
            Ok(())
        })?;
        if end.sessions != count {
            return Err(BackupError::NotWhole(format!("it has {count} sessions and speaks of {}", end.sessions)));
        }
        let Header { at, generation, moved_out: is_move, quarantine: is_quarantined, .. } = header;
        Ok(Self { at, generation, sessions: count, is_move, is_quarantined })
    }
}

impl Vault {
    /// Fills an empty store from a backup that was checked.
    ///
    /// The refresh tokens in it may have been spent since, and spending one again can end the whole grant. So the sessions are in
    /// quarantine, as in a store that was put back; `is_fresh` tells that nothing was spent since, or that it does no harm.
    pub async fn restore(
        &self,
        content: Content,
        lines: impl BufRead,
        is_fresh: bool,
        now: UnixSeconds,
    ) -> Result<(), BackupError> {
        for table in [Table::Sessions, Table::Bindings] {
            if !self.store.scan(table, &[], None, 1)?.is_empty() {
                return Err(BackupError::NotEmpty);
            }
        }
        let mut batch = Batch::default();
        batch.put(Table::Meta, RESTORING, 0, self.seal(Table::Meta, RESTORING, 1, &now)?);
        self.store.write_if(batch).await?;
        if !is_fresh {
            let why = format!("it was restored from a backup of {}", rfc3339(content.at));
            self.note_rollback(None, why, now).await?;
        }
        let (mut batch, mut waiting) = (Batch::default(), 0);
        walk(lines, |line| {
            match line {
                Line::Session(line) => self.put_session(&mut batch, &line)?,
                Line::Binding(line) => self.put_binding(&mut batch, &line)?,
                Line::Header(_) | Line::End(_) => {}
            }
            waiting += 1;
            if waiting >= TOGETHER {
                waiting = 0;
                futures_executor::block_on(self.store.write_if(std::mem::take(&mut batch)))?;
            }
            Ok(())
        })?;
        batch.delete(Table::Meta, RESTORING, 1);
        let event = What::Restored { sessions: content.sessions, generation: content.generation };
        let key = self.next_in_outbox();
        batch.put(Table::Outbox, key, 0, self.seal(Table::Outbox, &key, 1, &Event { at: now, what: event })?);
        self.store.write_if(batch).await?;
        self.census.forget();
        Ok(())
    }

    fn put_session(&self, batch: &mut Batch, line: &SessionLine) -> Result<(), VaultError> {
        let (session, key) = (&line.session, line.session.id.as_bytes());
        batch.put(Table::Sessions, key, 0, self.seal(Table::Sessions, key, 1, session)?);
        self.index_new(batch, session);
        if let Some(intent) = &line.intent {
            batch.put(Table::Intents, key, 0, self.seal(Table::Intents, key, 1, intent)?);
        }
        for entry in &line.history {
            let peer = entry.peer.as_ref().and_then(|peer| HEXLOWER.decode(peer.as_bytes()).ok()).unwrap_or_default();
            let key = [&key[..], &entry.number.to_be_bytes(), &peer].concat();
            batch.set(Table::History, &key, self.seal(Table::History, &key, 1, &entry.event)?);
        }
        Ok(())
    }

    fn put_binding(&self, batch: &mut Batch, line: &BindingLine) -> Result<(), VaultError> {
        let key = self.name_prefix(&line.provider, &line.binding.name);
        batch.put(Table::Bindings, key, 0, self.seal(Table::Bindings, &key, 1, &line.binding)?);
        Ok(())
    }
}

/// Gives each line to `see`, and makes sure that they are the lines of one whole backup. The first and the last are returned, too.
fn walk(
    mut lines: impl BufRead,
    mut see: impl FnMut(Line) -> Result<(), BackupError>,
) -> Result<(Header, End), BackupError> {
    let not_whole = |why: &str| BackupError::NotWhole(why.to_owned());
    let (mut header, mut hash, mut bytes) = (None, Sha256::new(), Zeroizing::new(Vec::new()));
    loop {
        bytes.clear();
        if lines.read_until(b'\n', &mut bytes)? == 0 {
            return Err(not_whole("its end is missing"));
        }
        // Not repeated what it says: a line holds tokens.
        let line: Line = serde_json::from_slice(&bytes).map_err(|error| {
            let found = (error.line(), error.column());
            BackupError::NotWhole(format!("a line makes no sense at character {}", found.1))
        })?;
        match (&line, &header) {
            (Line::Header(first), None) if first.format > FORMAT => {
                return Err(BackupError::Newer { found: first.format });
            }
            (Line::Header(first), None) => header = Some(first.clone()),
            (Line::Header(_), Some(_)) => return Err(not_whole("it begins twice")),
            (_, None) => return Err(not_whole("its beginning is missing")),
            (Line::End(end), Some(first)) => {
                if end.sha256 != HEXLOWER.encode(&hash.finalize()) {
                    return Err(not_whole("its hash is another"));
                }
                return Ok((first.clone(), end.clone()));
            }
            _ => {}
        }
        hash.update(&*bytes);
        see(line)?;
    }
}
