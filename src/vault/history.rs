//! What happened to a session, for those it concerns: the audit events that tell of it, kept beside it for a while.
//!
//! Invariant: an entry is written in the batch of the change that it tells of, under the number that this change gives the
//! session; so entries have no gaps and need no counter of their own. A hand-out changes no session: it stands behind the
//! entry of the last change before it, once for each peer. The oldest entry goes, with its hand-outs, when a new one comes.

use tokenkeeper_protocol::SessionRef;

use super::{Vault, VaultError};
use crate::audit::Event;
use crate::domain::{Peer, Session};
use crate::store::{Batch, Table};

/// Changes that are remembered of a session: four days of hourly refreshes, and all the life of a session that is
/// refreshed once a day.
const KEPT: u64 = 100;
/// Peers that are remembered for each of them. The audit trail knows them all.
const PEERS: usize = 8;

/// A part of a history, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// What happened.
    pub events: Vec<Event>,
    /// Where older entries go on, if there are any.
    pub next: Option<u64>,
}

impl Vault {
    /// What happened to a session before entry number `before`: `limit` entries or a few more, for a change and its
    /// hand-outs stay together. An entry that is damaged is left out, with an error in the log.
    pub fn history(&self, session: &Session, before: Option<u64>, limit: usize) -> Result<History, VaultError> {
        let end = session.told.max(1);
        let oldest = end.saturating_sub(KEPT);
        let mut number = before.unwrap_or(end).min(end);
        let mut events = Vec::new();
        while number > oldest && events.len() < limit {
            number -= 1;
            events.extend(self.events_at(session.id, number)?);
        }
        Ok(History { events, next: (number > oldest).then_some(number) })
    }

    /// A change and what was handed out after it, the newest first.
    fn events_at(&self, session: SessionRef, number: u64) -> Result<Vec<Event>, VaultError> {
        let rows = self.store.scan(Table::History, &entry_key(session, number), None, usize::MAX)?;
        let mut events = Vec::with_capacity(rows.len());
        for (key, row) in rows {
            match self.open_row::<Event>(Table::History, &key, &row) {
                Ok(event) => events.push(event.value),
                Err(error) => tracing::error!(%session, number, %error, "an entry of a history is damaged"),
            }
        }
        // Within a second, the change comes before the hand-outs that it made possible, as its key does.
        events.sort_by_key(|event| event.at);
        events.reverse();
        Ok(events)
    }

    /// Adds an entry about a change of `session`, and drops what is too old.
    pub(super) fn tell(&self, batch: &mut Batch, session: &mut Session, event: &Event) -> Result<(), VaultError> {
        self.write_entry(batch, &entry_key(session.id, session.told), event)?;
        if let Some(oldest) = session.told.checked_sub(KEPT) {
            self.drop_entries(batch, &entry_key(session.id, oldest))?;
        }
        session.told += 1;
        Ok(())
    }

    /// Adds an entry about a hand-out after `told` changes, unless this peer, or enough others, were told of already.
    pub(super) fn tell_hand_out(
        &self,
        batch: &mut Batch,
        (session, told): (SessionRef, u64),
        peer: &Peer,
        event: &Event,
    ) -> Result<(), VaultError> {
        let change = entry_key(session, told.saturating_sub(1));
        let key = [&change[..], &self.keyring.load().blind("peer", &[peer.name().as_bytes()])].concat();
        let known = self.store.scan(Table::History, &change, None, PEERS + 1)?;
        if known.len() <= PEERS && known.iter().all(|(known, _)| *known != key) {
            self.write_entry(batch, &key, event)?;
        }
        Ok(())
    }

    /// Drops the history of a session that is removed.
    pub(super) fn drop_history(&self, batch: &mut Batch, session: SessionRef) -> Result<(), VaultError> {
        self.drop_entries(batch, session.as_bytes())
    }

    fn write_entry(&self, batch: &mut Batch, key: &[u8], event: &Event) -> Result<(), VaultError> {
        batch.set(Table::History, key, self.seal(Table::History, key, 1, event)?);
        Ok(())
    }

    fn drop_entries(&self, batch: &mut Batch, prefix: &[u8]) -> Result<(), VaultError> {
        for (key, _) in self.store.scan(Table::History, prefix, None, usize::MAX)? {
            batch.unmark(Table::History, key);
        }
        Ok(())
    }
}

fn entry_key(session: SessionRef, number: u64) -> Vec<u8> {
    [&session.as_bytes()[..], &number.to_be_bytes()].concat()
}
