//! What comes next, by the agenda: no record is opened for it.
//!
//! Invariant: an answer costs no more than [`ENOUGH`] entries, however many sessions there are, and says so if it stops there.

use std::time::Duration;

use tokenkeeper_protocol::{SessionRef, UnixSeconds};

use super::index::{ACTIVE, Agenda, agenda_key, parse_agenda_key, state_key};
use super::{Vault, VaultError};
use crate::store::Table;

/// Entries of the agenda that are looked at for one answer.
const ENOUGH: usize = 10_000;
/// Those that are read in one go while the first one is looked for.
const PAGE: usize = 100;
/// Sessions that end within this time are soon over.
const SOON: Duration = Duration::from_hours(3 * 24);

/// What comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outlook {
    /// When the first of the active sessions is due: for its refresh, or to end with a token that cannot be refreshed.
    /// Nothing, too, while very many revocations are due before that.
    pub next_refresh_at: Option<UnixSeconds>,
    /// Active sessions that reach their greatest age within three days.
    pub ending_soon: u64,
    /// Whether there may be more of them.
    pub more_ending_soon: bool,
}

impl Vault {
    /// What comes after `now`.
    pub fn outlook(&self, now: UnixSeconds) -> Result<Outlook, VaultError> {
        // What was to be pruned before is on its way, or waits until its provider has been told.
        let last = agenda_key(Agenda::Prune, now, SessionRef::from_random([0xff; 5]));
        let rows = self.store.scan(Table::Due, &[Agenda::Prune as u8], Some(&last), ENOUGH)?;
        let soon = rows.iter().filter_map(|(key, _)| parse_agenda_key(key)).take_while(|(at, _)| *at <= now + SOON);
        let (mut seen, mut ending_soon) = (0, 0);
        for (_, session) in soon {
            seen += 1;
            // A session that is not active is there to be ended or removed.
            ending_soon += u64::from(self.is_active(session)?);
        }
        Ok(Outlook { next_refresh_at: self.next_refresh()?, ending_soon, more_ending_soon: seen == ENOUGH })
    }

    fn next_refresh(&self) -> Result<Option<UnixSeconds>, VaultError> {
        let mut after = None::<Vec<u8>>;
        for _ in 0..ENOUGH / PAGE {
            let rows = self.store.scan(Table::Due, &[Agenda::Attend as u8], after.as_deref(), PAGE)?;
            for (at, session) in rows.iter().filter_map(|(key, _)| parse_agenda_key(key)) {
                // A session that is not active waits for its revocation.
                if self.is_active(session)? {
                    return Ok(Some(at));
                }
            }
            let Some((key, _)) = rows.into_iter().last() else { break };
            after = Some(key);
        }
        Ok(None)
    }

    fn is_active(&self, session: SessionRef) -> Result<bool, VaultError> {
        Ok(self.store.read(Table::States, &state_key(ACTIVE, session))?.is_some())
    }
}
