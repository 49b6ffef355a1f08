//! After the store was put back: the refresh tokens in it may be spent, and spending one again can end the whole grant.
//!
//! Invariant: from the batch on in which the rollback was noted, every session is in quarantine but those that got new tokens
//! since then: a change that brings them releases the session in the same batch. Those who refresh ask here before they do.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};
use tokenkeeper_protocol::{SessionRef, UnixSeconds};

use super::anchor::LINEAGE;
use super::{Vault, VaultError};
use crate::audit::{Event, What};
use crate::domain::Session;
use crate::store::{Batch, Table};

/// The row about the rollback that nobody has accepted yet.
const ROLLBACK: &[u8] = b"rollback";
/// Before the number of a rollback and the reference of a session that has new tokens since.
const RELEASED: &[u8] = b"released/";
/// Rows that are removed in one batch.
const PAGE: usize = 1024;

/// The store was put back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollback {
    /// Names this rollback. Random, so that it means nothing in any other copy of the store.
    pub(super) number: u64,
    /// The generation of the store as it was found.
    pub found: u64,
    /// The generation that was anchored; none if the anchor is missing or cannot be believed.
    pub anchored: Option<u64>,
    /// What was found, in words.
    pub why: String,
    /// When it was noticed.
    pub noticed_at: UnixSeconds,
}

impl Vault {
    /// The rollback that nobody has accepted yet, if there was one.
    pub fn rollback(&self) -> Option<Rollback> {
        self.rollback.load().as_deref().cloned()
    }

    /// Puts every session into quarantine that is in the store now. The store counts on above what was anchored.
    ///
    /// # Errors
    /// When the store does not take it; nothing may be refreshed then.
    pub async fn note_rollback(&self, anchored: Option<u64>, why: String, now: UnixSeconds) -> Result<(), VaultError> {
        let _held_until_it_is_written = self.keyring();
        let found = self.generation();
        let (mut lineage, version) = self.lineage()?;
        // Strictly above, so that the next anchor differs from the one that gave it away.
        lineage.lift += anchored.map_or(0, |anchored| (anchored + 1).saturating_sub(found));
        let rollback = Rollback { number: rand::random(), found, anchored, why: why.clone(), noticed_at: now };
        let before = self.store.read(Table::Meta, ROLLBACK)?.map_or(0, |row| row.version);
        let mut batch = Batch::default();
        batch.put(Table::Meta, LINEAGE, version, self.seal(Table::Meta, LINEAGE, version + 1, &lineage)?);
        batch.put(Table::Meta, ROLLBACK, before, self.seal(Table::Meta, ROLLBACK, before + 1, &rollback)?);
        let event = Event { at: now, what: What::RollbackNoticed { found, anchored, why } };
        let key = self.next_in_outbox();
        batch.put(Table::Outbox, key, 0, self.seal(Table::Outbox, &key, 1, &event)?);
        self.store.write_if(batch).await?;
        self.lift.store(lineage.lift, Ordering::SeqCst);
        self.rollback.store(Some(Arc::new(rollback)));
        Ok(())
    }

    /// Ends the quarantine of every session, for `peer`. Nothing, if there was no rollback.
    pub async fn accept_rollback(&self, peer: String, now: UnixSeconds) -> Result<Option<Rollback>, VaultError> {
        let _held_until_it_is_written = self.keyring();
        let Some(row) = self.read::<Rollback>(Table::Meta, ROLLBACK)? else { return Ok(None) };
        let Rollback { found, anchored, .. } = row.value;
        let mut batch = Batch::default();
        batch.delete(Table::Meta, ROLLBACK, row.version);
        let event = Event { at: now, what: What::RollbackAccepted { peer, found, anchored } };
        let key = self.next_in_outbox();
        batch.put(Table::Outbox, key, 0, self.seal(Table::Outbox, &key, 1, &event)?);
        self.store.write_if(batch).await?;
        self.rollback.store(None);
        if let Some(relay) = self.relay.get() {
            relay.wake();
        }
        self.forget_released().await?;
        Ok(Some(row.value))
    }

    /// Whether the refresh token of a session may be a spent one. Costs nothing while there was no rollback.
    pub fn is_quarantined(&self, session: SessionRef) -> Result<bool, VaultError> {
        let Some(rollback) = self.rollback.load_full() else { return Ok(false) };
        // A mark that does not open was not made by us.
        match self.read::<u64>(Table::Meta, &released_key(rollback.number, session)) {
            Ok(released) => Ok(released.is_none()),
            Err(VaultError::Sealed(_)) => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Whether a change of a session brings tokens that no old copy of the store has.
    pub(super) fn releases(old: &Session, new: &Session) -> bool {
        new.tokens.is_some() && old.tokens != new.tokens
    }

    /// Ends the quarantine of a session in the batch that brings its new tokens.
    pub(super) fn release(&self, batch: &mut Batch, session: SessionRef) -> Result<(), VaultError> {
        if let Some(rollback) = self.rollback.load_full() {
            let key = released_key(rollback.number, session);
            batch.set(Table::Meta, &key, self.seal(Table::Meta, &key, 1, &rollback.number)?);
        }
        Ok(())
    }

    /// Forgets that a session was released, because it is gone.
    pub(super) fn forget_release(&self, batch: &mut Batch, session: SessionRef) {
        if let Some(rollback) = self.rollback.load_full() {
            batch.unmark(Table::Meta, released_key(rollback.number, session));
        }
    }

    /// Takes up what the last run left: a rollback that is not accepted, and how far the store counts above its batches.
    pub(super) fn find_rollback(&self) -> Result<(), VaultError> {
        self.lift.store(self.lineage()?.0.lift, Ordering::SeqCst);
        let rollback = self.read::<Rollback>(Table::Meta, ROLLBACK)?;
        self.rollback.store(rollback.map(|row| Arc::new(row.value)));
        Ok(())
    }

    /// Marks of a rollback that is over mean nothing, since its number does not come again; they only take room.
    async fn forget_released(&self) -> Result<(), VaultError> {
        loop {
            let rows = self.store.scan(Table::Meta, RELEASED, None, PAGE)?;
            if rows.is_empty() {
                return Ok(());
            }
            let mut batch = Batch::default();
            for (key, _) in rows {
                batch.unmark(Table::Meta, key);
            }
            self.store.write_if(batch).await?;
        }
    }
}

fn released_key(rollback: u64, session: SessionRef) -> Vec<u8> {
    [RELEASED, &rollback.to_be_bytes(), session.as_bytes()].concat()
}
