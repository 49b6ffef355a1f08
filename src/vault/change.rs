//! One change: everything that must become true together, written as one synced batch.

use tokenkeeper_protocol::SessionRef;

use super::bindings::Binding;
use super::{Intent, PendingLogin, Vault, VaultError, Versioned};
use crate::audit::{Event, What};
use crate::domain::Session;
use crate::store::{Batch, Table};
use tokenkeeper_protocol::{LoginId, ProviderName, UnixSeconds};

/// A change in the making. Nothing happens until [`Change::commit`].
#[must_use = "a change does nothing until it is committed"]
pub struct Change<'a> {
    vault: &'a Vault,
    batch: Batch,
    now: UnixSeconds,
    tells: bool,
}

impl Vault {
    /// Begins a change that happens at `now`.
    pub fn change(&self, now: UnixSeconds) -> Change<'_> {
        Change { vault: self, batch: Batch::default(), now, tells: false }
    }
}

impl Change<'_> {
    /// Adds a session.
    pub fn insert(&mut self, session: &Session) -> Result<&mut Self, VaultError> {
        self.put(Table::Sessions, session.id.as_bytes(), 0, session)?;
        self.vault.index_new(&mut self.batch, session);
        Ok(self)
    }

    /// Replaces a session that was read as `old`.
    pub fn update(&mut self, old: &Versioned<Session>, new: &Session) -> Result<&mut Self, VaultError> {
        self.put(Table::Sessions, new.id.as_bytes(), old.version, new)?;
        self.vault.index_changed(&mut self.batch, &old.value, new);
        Ok(self)
    }

    /// Removes a session that was read as `old`.
    pub fn remove(&mut self, old: &Versioned<Session>) -> &mut Self {
        self.batch.delete(Table::Sessions, old.value.id.as_bytes(), old.version);
        self.vault.index_removed(&mut self.batch, &old.value);
        self
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

    /// Tells the audit trail, in the same batch.
    pub fn audit(&mut self, what: What) -> Result<&mut Self, VaultError> {
        let key = self.vault.next_in_outbox();
        self.tells = true;
        self.put(Table::Outbox, &key, 0, &Event { at: self.now, what })
    }

    /// Writes it, all or nothing, and returns when it is on disk.
    ///
    /// # Errors
    /// [`VaultError::Conflict`] when one of the records was changed meanwhile; then nothing was written.
    ///
    /// # Cancel safety
    /// A change that was polled once is written even if the future is dropped.
    pub async fn commit(self) -> Result<(), VaultError> {
        self.vault.store.write_if(self.batch).await?;
        if let (true, Some(relay)) = (self.tells, self.vault.relay.get()) {
            relay.wake();
        }
        Ok(())
    }

    fn put<T: serde::Serialize>(
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
