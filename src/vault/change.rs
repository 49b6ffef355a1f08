//! One change: everything that must become true together, written as one synced batch.
//!
//! Invariant: an event that is audited with a change of the session it is about also stands in that session's history, and is
//! counted once it is on disk. Whoever makes a change tells it once, and can forget neither.

use std::sync::Arc;

use tokenkeeper_protocol::{LoginId, ProviderName, SessionRef, UnixSeconds};

use super::bindings::Binding;
use super::census::{Move, move_of};
use super::{Intent, PendingLogin, Vault, VaultError, Versioned};
use crate::audit::{Event, What};
use crate::domain::{Peer, Session};
use crate::seal::Keyring;
use crate::store::{Batch, StoreError, Table};

/// What is changed no more once the store was moved out.
const FENCED: [Table; 4] = [Table::Sessions, Table::Intents, Table::Logins, Table::Bindings];

/// A change in the making. Nothing happens until [`Change::commit`].
#[must_use = "a change does nothing until it is committed"]
pub struct Change<'a> {
    pub(super) vault: &'a Vault,
    /// Held until it is written: so the keys that it may be sealed with are not destroyed before.
    _keys: Arc<Keyring>,
    batch: Batch,
    now: UnixSeconds,
    /// Sessions as they will be, and the versions they build on. Sealed last, for events still number themselves in them.
    sessions: Vec<Versioned<Session>>,
    events: Vec<Event>,
    /// Sessions that change their state.
    moves: Vec<Move>,
    /// Whether nobody knows which states they had.
    is_uncounted: bool,
}

impl Vault {
    /// Begins a change that happens at `now`.
    pub fn change(&self, now: UnixSeconds) -> Change<'_> {
        Change {
            vault: self,
            _keys: self.keyring.load_full(),
            batch: Batch::default(),
            now,
            sessions: Vec::new(),
            events: Vec::new(),
            moves: Vec::new(),
            is_uncounted: false,
        }
    }
}

impl Change<'_> {
    /// Adds a session.
    pub fn insert(&mut self, session: &Session) -> Result<&mut Self, VaultError> {
        self.sessions.push(Versioned { value: session.clone(), version: 0 });
        self.vault.index_new(&mut self.batch, session);
        self.vault.release(&mut self.batch, session.id)?;
        self.moves.extend(move_of(None, Some(session)));
        Ok(self)
    }

    /// Replaces a session that was read as `old`.
    pub fn update(&mut self, old: &Versioned<Session>, new: &Session) -> Result<&mut Self, VaultError> {
        self.sessions.push(Versioned { value: new.clone(), version: old.version });
        self.vault.index_changed(&mut self.batch, &old.value, new);
        if Vault::releases(&old.value, new) {
            self.vault.release(&mut self.batch, new.id)?;
        }
        self.moves.extend(move_of(Some(&old.value), Some(new)));
        Ok(self)
    }

    /// Removes a session that was read as `old`, and its history with it.
    pub fn remove(&mut self, old: &Versioned<Session>) -> Result<&mut Self, VaultError> {
        self.batch.delete(Table::Sessions, old.value.id.as_bytes(), old.version);
        self.vault.index_removed(&mut self.batch, &old.value);
        self.vault.forget_release(&mut self.batch, old.value.id);
        self.moves.extend(move_of(Some(&old.value), None));
        self.vault.drop_history(&mut self.batch, old.value.id)?;
        Ok(self)
    }

    /// Removes a session whose record does not open, and all that leads to it.
    pub fn remove_damaged(&mut self, id: SessionRef) -> Result<&mut Self, VaultError> {
        self.batch.unmark(Table::Sessions, id.as_bytes());
        self.vault.drop_entries_of(&mut self.batch, id)?;
        self.vault.forget_release(&mut self.batch, id);
        self.vault.drop_history(&mut self.batch, id)?;
        self.is_uncounted = true;
        Ok(self)
    }

    /// Demands that a session still is as it was read.
    pub fn unchanged(&mut self, session: &Versioned<Session>) -> &mut Self {
        self.batch.expect(Table::Sessions, session.value.id.as_bytes(), session.version);
        self
    }

    /// Makes durable that a refresh token is about to be spent. One that a failed write left behind is overwritten.
    pub fn intend(&mut self, session: SessionRef, intent: &Intent) -> Result<&mut Self, VaultError> {
        let key = session.as_bytes();
        let version = self.vault.store.read(Table::Intents, key)?.map_or(0, |row| row.version);
        self.put(Table::Intents, key, version, intent)
    }

    /// The outcome of what was intended is known, and part of this change. Settling twice does no harm.
    pub fn settle(&mut self, session: SessionRef) -> &mut Self {
        self.batch.unmark(Table::Intents, session.as_bytes());
        self
    }

    /// Keeps a login flow, new or changed.
    pub fn keep_login(&mut self, id: LoginId, version: u64, login: &PendingLogin) -> Result<&mut Self, VaultError> {
        let key = self.vault.login_key(id);
        self.put(Table::Logins, &key, version, login)
    }

    /// Forgets a login flow.
    pub fn forget_login(&mut self, id: LoginId, version: u64) -> &mut Self {
        let key = self.vault.login_key(id);
        self.batch.delete(Table::Logins, key, version);
        self
    }

    /// Binds a name at a provider to a subject.
    pub fn bind(&mut self, provider: &ProviderName, binding: &Binding) -> Result<&mut Self, VaultError> {
        let key = self.vault.name_prefix(provider, &binding.name);
        self.put(Table::Bindings, &key, 0, binding)
    }

    /// Demands that a name still is bound as it was read.
    pub fn still_bound(&mut self, provider: &ProviderName, binding: &Versioned<Binding>) -> &mut Self {
        let key = self.vault.name_prefix(provider, &binding.value.name);
        self.batch.expect(Table::Bindings, key, binding.version);
        self
    }

    /// Tells the audit trail, and the history of the session that it is about if this change is one of that session.
    pub fn audit(&mut self, what: What) -> Result<&mut Self, VaultError> {
        let (key, event) = (self.vault.next_in_outbox(), Event { at: self.now, what });
        self.put(Table::Outbox, &key, 0, &event)?;
        self.events.push(event);
        Ok(self)
    }

    /// Tells the audit trail and the history that `peer` is given a token for the first time: that of a session whose history
    /// had `told` entries when it was served. The session itself is not touched, so no hand-out waits for another.
    pub fn hand_out(
        &mut self,
        peer: &Peer,
        session: SessionRef,
        told: u64,
        generation: u64,
    ) -> Result<&mut Self, VaultError> {
        self.audit(What::TokenHandedOut { peer: peer.to_string(), session, generation, count: 1 })?;
        if let Some(event) = self.events.last() {
            self.vault.tell_hand_out(&mut self.batch, (session, told), peer, event)?;
        }
        Ok(self)
    }

    /// Writes it, all or nothing, and returns when it is on disk.
    ///
    /// # Errors
    /// [`VaultError::Conflict`] when one of the records was changed meanwhile; then nothing was written.
    ///
    /// # Cancel safety
    /// A change that was polled once is written even if the future is dropped.
    pub async fn commit(mut self) -> Result<(), VaultError> {
        if self.vault.moved_out().is_some() && FENCED.into_iter().any(|table| self.changes(table)) {
            return Err(VaultError::MovedOut);
        }
        self.seal_sessions()?;
        let counts = !self.moves.is_empty() || self.is_uncounted;
        let under_way = counts.then(|| self.vault.census.begin());
        let written = self.vault.store.write_if(self.batch).await;
        match (under_way, &written) {
            (Some(change), Ok(_)) if !self.is_uncounted => change.written(&self.moves),
            // Nothing of it was written.
            (Some(change), Err(StoreError::Conflict { .. })) => change.written(&[]),
            (Some(change), _) => change.failed(),
            (None, _) => {}
        }
        written?;
        if !self.events.is_empty() {
            self.vault.counts.note(&self.events);
            if let Some(relay) = self.vault.relay.get() {
                relay.wake();
            }
        }
        Ok(())
    }

    fn changes(&self, table: Table) -> bool {
        self.batch.touches(table) || (table == Table::Sessions && !self.sessions.is_empty())
    }

    /// Writes what happened into the histories, then the sessions, which now know how long theirs is.
    fn seal_sessions(&mut self) -> Result<(), VaultError> {
        for Versioned { value: mut session, version } in std::mem::take(&mut self.sessions) {
            let id = session.id;
            for event in self.events.iter().filter(|event| event.what.session() == Some(id)) {
                self.vault.tell(&mut self.batch, &mut session, event)?;
            }
            self.put(Table::Sessions, id.as_bytes(), version, &session)?;
        }
        Ok(())
    }

    pub(super) fn drop_row(&mut self, table: Table, key: &[u8], version: u64) -> &mut Self {
        self.batch.delete(table, key, version);
        self
    }

    pub(super) fn put<T: serde::Serialize>(
        &mut self,
        table: Table,
        key: &[u8],
        version: u64,
        value: &T,
    ) -> Result<&mut Self, VaultError> {
        self.batch.put(table, key, version, self.vault.seal(table, key, version + 1, value)?);
        Ok(self)
    }
}
