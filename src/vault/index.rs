//! Keys of rows and index entries. Names, subjects and owners stand in them as keyed hashes.

use tokenkeeper_protocol::{ProviderName, SessionRef, UnixSeconds, UserName};

use super::Vault;
use crate::domain::Session;
use crate::store::{Batch, Table};

/// What an entry of [`Table::Due`] is for; the first byte of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Agenda {
    /// A refresh, or another try at a revocation.
    Attend = 0,
    /// The next step of growing old.
    Prune = 1,
}

/// The place of a session in the agenda at `at`.
pub(super) fn agenda_key(agenda: Agenda, at: UnixSeconds, session: SessionRef) -> Vec<u8> {
    let mut key = vec![agenda as u8];
    key.extend(u64::try_from(at.0).unwrap_or(0).to_be_bytes());
    key.extend(session.as_bytes());
    key
}

/// The time and session that an agenda key stands for.
pub(super) fn parse_agenda_key(key: &[u8]) -> Option<(UnixSeconds, SessionRef)> {
    let at = u64::from_be_bytes(key.get(1..9)?.try_into().ok()?);
    Some((UnixSeconds(i64::try_from(at).ok()?), session_at_end(key)?))
}

/// The session at the end of an index key.
pub(super) fn session_at_end(key: &[u8]) -> Option<SessionRef> {
    let (_, id) = key.split_last_chunk::<8>()?;
    SessionRef::try_from(*id).ok()
}

/// The first byte of a key of [`Table::States`] for an active session.
pub(super) const ACTIVE: u8 = 0;

/// The place of a session in [`Table::States`].
pub(super) fn state_key(state: u8, session: SessionRef) -> Vec<u8> {
    [&[state], &session.as_bytes()[..]].concat()
}

/// The first byte of a key of [`Table::States`].
pub(super) fn state_byte(session: &Session) -> u8 {
    use crate::domain::State;
    match session.state {
        State::Active => ACTIVE,
        State::NeedsLogin { .. } => 1,
        State::Ended { .. } => 2,
    }
}

impl Vault {
    pub(super) fn name_prefix(&self, provider: &ProviderName, name: &UserName) -> [u8; 16] {
        self.keyring.load().blind("name", &[provider.as_str().as_bytes(), name.as_str().as_bytes()])
    }

    pub(super) fn subject_prefix(&self, provider: &ProviderName, issuer: &str, subject: &str) -> [u8; 16] {
        self.keyring.load().blind("subject", &[provider.as_str().as_bytes(), issuer.as_bytes(), subject.as_bytes()])
    }

    /// Of all sessions of an owner, by what it is called, at one provider or at any.
    pub(super) fn owner_prefix(&self, owner: &str, provider: Option<&ProviderName>) -> [u8; 16] {
        match provider {
            Some(provider) => self.keyring.load().blind("owner-at", &[owner.as_bytes(), provider.as_str().as_bytes()]),
            None => self.keyring.load().blind("owner", &[owner.as_bytes()]),
        }
    }

    /// Of all sessions at a provider.
    pub(super) fn provider_prefix(&self, provider: &ProviderName) -> [u8; 16] {
        self.keyring.load().blind("provider", &[provider.as_str().as_bytes()])
    }

    /// The entries that stay the same for the life of a session.
    fn lasting_entries(&self, session: &Session) -> [(Table, Vec<u8>); 5] {
        let (user, owner) = (&session.user, session.opened_by.to_string());
        let entry = |table, prefix: [u8; 16]| (table, [&prefix[..], session.id.as_bytes()].concat());
        [
            entry(Table::Names, self.name_prefix(&session.provider, &user.name)),
            entry(Table::Subjects, self.subject_prefix(&session.provider, &user.issuer, &user.subject)),
            entry(Table::Owners, self.owner_prefix(&owner, None)),
            entry(Table::Owners, self.owner_prefix(&owner, Some(&session.provider))),
            entry(Table::Owners, self.provider_prefix(&session.provider)),
        ]
    }

    /// The entries that follow a session's state.
    fn passing_entries(session: &Session) -> Vec<(Table, Vec<u8>)> {
        let mut entries = vec![
            (Table::States, state_key(state_byte(session), session.id)),
            (Table::Due, agenda_key(Agenda::Prune, session.prune_at, session.id)),
        ];
        entries.extend(session.due_at.map(|at| (Table::Due, agenda_key(Agenda::Attend, at, session.id))));
        entries
    }

    /// Every entry of a session.
    pub(super) fn entries_of(&self, session: &Session) -> Vec<(Table, Vec<u8>)> {
        self.lasting_entries(session).into_iter().chain(Self::passing_entries(session)).collect()
    }

    pub(super) fn index_new(&self, batch: &mut Batch, session: &Session) {
        for (table, key) in self.entries_of(session) {
            batch.mark(table, &key);
        }
    }

    pub(super) fn index_changed(&self, batch: &mut Batch, old: &Session, new: &Session) {
        let (old_entries, new_entries) = (Self::passing_entries(old), Self::passing_entries(new));
        for (table, key) in old_entries.iter().filter(|entry| !new_entries.contains(entry)) {
            batch.unmark(*table, key);
        }
        for (table, key) in &new_entries {
            batch.mark(*table, key);
        }
        if old.provider == new.provider && old.user == new.user && old.opened_by == new.opened_by {
            return;
        }
        let (old_entries, new_entries) = (self.lasting_entries(old), self.lasting_entries(new));
        for (old, new) in old_entries.iter().zip(&new_entries).filter(|(old, new)| old != new) {
            batch.unmark(old.0, &old.1);
            batch.mark(new.0, &new.1);
        }
    }

    pub(super) fn index_removed(&self, batch: &mut Batch, session: &Session) {
        for (table, key) in self.entries_of(session) {
            batch.unmark(table, &key);
        }
    }
}
