//! Audit events wait here, sealed, until syslog has them. They come in with the change they tell of.

use std::sync::atomic::Ordering;

use tokenkeeper_protocol::UnixSeconds;

use super::{Vault, VaultError};
use crate::audit::{Event, Outbox, OutboxError, What};
use crate::failpoint::failpoint;
use crate::store::{Batch, Row, Table};

/// Events that may wait: some hundred megabytes, and days of a busy host.
const OUTBOX_LIMIT: u64 = 1_000_000;

/// The oldest event is looked for from so far before the one that was found last: from the start, everything that was removed
/// lately would be passed again, one by one.
const STRAGGLERS: u64 = 512;

impl Vault {
    /// Continues the numbering behind the last event that is still waiting. Halves what it may be, for a million may wait.
    pub(super) fn find_end_of_outbox(&self) -> Result<(), VaultError> {
        let first_behind = |after: Option<&[u8]>| -> Result<Option<u64>, VaultError> {
            let rows = self.store.scan(Table::Outbox, &[], after, 1)?;
            Ok(rows.first().and_then(|(key, _)| sequence(key)))
        };
        let (mut next, oldest) = (0, first_behind(None)?);
        if let Some(oldest) = oldest {
            // Of these, `last` is there, and nothing is from `end` on.
            let (mut last, mut end) = (oldest, u64::MAX);
            while last + 1 < end {
                let middle = last + (end - last) / 2;
                match first_behind(Some(&(middle - 1).to_be_bytes()))? {
                    Some(found) => last = found,
                    None => end = middle,
                }
            }
            next = end;
        }
        self.outbox_next.store(next, Ordering::SeqCst);
        self.outbox_read.store(oldest.unwrap_or(next), Ordering::SeqCst);
        Ok(())
    }

    pub(super) fn next_in_outbox(&self) -> [u8; 8] {
        self.outbox_next.fetch_add(1, Ordering::SeqCst).to_be_bytes()
    }

    /// Events that wait, counted one by one up to a thousand.
    #[cfg(test)]
    pub(crate) fn outbox_waiting(&self) -> Result<u64, VaultError> {
        Ok(self.store.scan(Table::Outbox, &[], None, 1000)?.len() as u64)
    }

    /// Events that wait, by the number of the oldest: one read, however many there are, and none if nothing came since the outbox was
    /// last found empty. A straggler counts once it was found.
    pub fn outbox_length(&self) -> Result<u64, VaultError> {
        let (from, next) = (self.outbox_read.load(Ordering::SeqCst), self.outbox_next.load(Ordering::SeqCst));
        if from >= next {
            return Ok(0);
        }
        let oldest = self.events_from(from, 1)?;
        Ok(oldest.first().and_then(|(key, _)| sequence(key)).map_or(0, |oldest| next.saturating_sub(oldest)))
    }

    /// The number that the next event will have.
    pub fn outbox_end(&self) -> u64 {
        self.outbox_next.load(Ordering::SeqCst)
    }

    /// Whether every event with a lower number was delivered.
    pub fn is_told(&self, below: u64) -> Result<bool, VaultError> {
        let oldest = self.store.scan(Table::Outbox, &[], None, 1)?;
        Ok(oldest.first().and_then(|(key, _)| sequence(key)).is_none_or(|oldest| oldest >= below))
    }

    /// Whether so many events wait that only those which belong to a change are still taken. Told in the log when it changes.
    pub fn outbox_is_full(&self) -> Result<bool, VaultError> {
        let waiting = self.outbox_length()?;
        let is_full = waiting >= OUTBOX_LIMIT;
        if self.outbox_full.swap(is_full, Ordering::SeqCst) != is_full {
            if is_full {
                tracing::error!(
                    waiting,
                    "too many audit events wait for syslog; hand-outs and denials are only counted"
                );
            } else {
                tracing::warn!("syslog takes audit events again; hand-outs and denials are recorded again");
            }
        }
        Ok(is_full)
    }

    fn oldest_events(&self, limit: usize) -> Result<Vec<(u64, Event)>, VaultError> {
        let next = self.outbox_next.load(Ordering::SeqCst);
        let mut rows = self.events_from(self.outbox_read.load(Ordering::SeqCst).saturating_sub(STRAGGLERS), limit)?;
        if rows.is_empty() {
            // One that took longer to be written stands before.
            rows = self.events_from(0, limit)?;
        }
        let oldest = rows.first().and_then(|(key, _)| sequence(key));
        self.outbox_read.store(oldest.unwrap_or(next), Ordering::SeqCst);
        let numbered = rows.iter().filter_map(|(key, row)| sequence(key).map(|number| (number, key, row)));
        numbered.map(|(number, key, row)| Ok((number, self.event(number, key, row)?))).collect()
    }

    /// Rows with this number or a higher one.
    fn events_from(&self, first: u64, limit: usize) -> Result<Vec<(Vec<u8>, Row)>, VaultError> {
        let before = first.checked_sub(1).map(u64::to_be_bytes);
        Ok(self.store.scan(Table::Outbox, &[], before.as_ref().map(|key| &key[..]), limit)?)
    }

    /// An event that waits. One that does not open would hold up all behind it for ever: that it is lost is told in its place.
    fn event(&self, number: u64, key: &[u8], row: &Row) -> Result<Event, VaultError> {
        match self.open_row(Table::Outbox, key, row) {
            Err(error @ VaultError::Sealed(_)) => {
                tracing::error!(number, %error, "an audit event that waited for syslog is lost");
                let first = format!("audit event {number}, which waited for syslog, does not open, and is lost");
                Ok(Event { at: UnixSeconds::default(), what: What::StoreDamaged { findings: 1, first } })
            }
            opened => opened.map(|event| event.value),
        }
    }
}

impl Outbox for Vault {
    fn pending(&self, limit: usize) -> Result<Vec<(u64, Event)>, OutboxError> {
        self.oldest_events(limit).map_err(OutboxError::new)
    }

    fn delivered(&self, sequences: &[u64]) -> Result<(), OutboxError> {
        let mut batch = Batch::default();
        for number in sequences {
            batch.unmark(Table::Outbox, number.to_be_bytes());
        }
        failpoint!("outbox.sent");
        let written = futures_executor::block_on(self.store.write_if(batch));
        failpoint!("outbox.removed");
        written.map(drop).map_err(OutboxError::new)
    }
}

fn sequence(key: &[u8]) -> Option<u64> {
    key.try_into().ok().map(u64::from_be_bytes)
}
