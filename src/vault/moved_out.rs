//! After the store was moved to another host: what is in it belongs there now.
//!
//! Invariant: from the batch on in which that is written, no session, intent, login or binding is changed any more. So no refresh
//! token is spent here, for an intent goes before that. A move that is cancelled leaves the store as one that was put back: what
//! left may have been used.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokenkeeper_protocol::UnixSeconds;
use tokenkeeper_protocol::json::rfc3339;

use super::{Vault, VaultError};
use crate::audit::{Event, What};
use crate::store::{Batch, Table};

/// The row that says so.
const MOVED_OUT: &[u8] = b"moved-out";

/// The store was moved to another host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MovedOut {
    /// When it was fenced.
    pub at: UnixSeconds,
    /// Who moved it.
    pub peer: String,
    /// Sessions in it.
    pub sessions: u64,
    /// The generation of the store that was moved.
    pub generation: u64,
    /// Whether what left is known to be safe.
    pub confirmed: bool,
}

impl Vault {
    /// How the store was moved out, if it was.
    pub fn moved_out(&self) -> Option<Arc<MovedOut>> {
        self.moved_out.load_full()
    }

    /// Fences the store. Nobody may be at work on a session any more. A move that was not confirmed is done again by another one.
    ///
    /// # Errors
    /// When the store does not take it; whether it is fenced shows when it has healed.
    pub async fn move_out(&self, moved: MovedOut) -> Result<(), VaultError> {
        let event = What::MovedOut { peer: moved.peer.clone(), sessions: moved.sessions, generation: moved.generation };
        self.write_moved_out(Some(&moved), Event { at: moved.at, what: event }).await?;
        self.moved_out.store(Some(Arc::new(moved)));
        Ok(())
    }

    /// Takes down that what left at `generation` is safe. Nothing, if something else left, or nothing.
    pub async fn confirm_move_out(
        &self,
        generation: u64,
        peer: String,
        now: UnixSeconds,
    ) -> Result<Option<Arc<MovedOut>>, VaultError> {
        let Some(moved) = self.moved_out().filter(|moved| moved.generation == generation) else { return Ok(None) };
        let confirmed = Arc::new(MovedOut { confirmed: true, ..MovedOut::clone(&moved) });
        let event = Event { at: now, what: What::MoveOutConfirmed { peer, generation } };
        self.write_moved_out(Some(&confirmed), event).await?;
        self.moved_out.store(Some(Arc::clone(&confirmed)));
        Ok(Some(confirmed))
    }

    /// Has the store used here again; its refresh tokens may be spent ones. Nothing, if it was not moved out.
    pub async fn cancel_move_out(&self, peer: String, now: UnixSeconds) -> Result<Option<Arc<MovedOut>>, VaultError> {
        let Some(moved) = self.moved_out() else { return Ok(None) };
        let why = format!("it was moved out at {}, which was cancelled", rfc3339(moved.at));
        self.note_rollback(None, why, now).await?;
        let event = What::MoveOutCancelled { peer, generation: moved.generation };
        self.write_moved_out(None, Event { at: now, what: event }).await?;
        self.moved_out.store(None);
        Ok(Some(moved))
    }

    /// Takes up what the last run left.
    pub(super) fn find_moved_out(&self) -> Result<(), VaultError> {
        let found = self.read::<MovedOut>(Table::Meta, MOVED_OUT)?;
        self.moved_out.store(found.map(|row| Arc::new(row.value)));
        Ok(())
    }

    async fn write_moved_out(&self, moved: Option<&MovedOut>, event: Event) -> Result<(), VaultError> {
        let _held_until_it_is_written = self.keyring();
        let version = self.store.read(Table::Meta, MOVED_OUT)?.map_or(0, |row| row.version);
        let mut batch = Batch::default();
        match moved {
            Some(moved) => {
                let sealed = self.seal(Table::Meta, MOVED_OUT, version + 1, moved)?;
                batch.put(Table::Meta, MOVED_OUT, version, sealed)
            }
            None => batch.delete(Table::Meta, MOVED_OUT, version),
        };
        let key = self.next_in_outbox();
        batch.put(Table::Outbox, key, 0, self.seal(Table::Outbox, &key, 1, &event)?);
        self.store.write_if(batch).await?;
        if let Some(relay) = self.relay.get() {
            relay.wake();
        }
        Ok(())
    }
}
