//! Finding sessions: by reference, by name, by owner, by what is due.

use std::collections::BTreeMap;

use tokenkeeper_protocol::{ProviderName, SessionRef, UnixSeconds, UserName};

use super::index::{Agenda, agenda_key, parse_agenda_key, session_at_end};
use super::{Vault, VaultError, Versioned};
use crate::domain::{Owner, Session};
use crate::store::Table;

/// Which sessions a search goes through.
#[derive(Clone, Copy, Debug)]
pub enum Scope<'a> {
    /// All.
    All,
    /// Those at a provider.
    At(&'a ProviderName),
    /// Those of a user at a provider.
    Named(&'a ProviderName, &'a UserName),
    /// Those of a subject at a provider.
    Subject {
        /// Where.
        provider: &'a ProviderName,
        /// `iss`.
        issuer: &'a str,
        /// `sub`.
        subject: &'a str,
    },
    /// Those of an owner, at one provider or at any.
    Owned(&'a Owner, Option<&'a ProviderName>),
    /// Those of service accounts, at one provider or at any.
    Accounts(Option<&'a ProviderName>),
}

/// A session in the agenda, and when it is due.
pub type AgendaItem = (UnixSeconds, SessionRef);

/// Sessions in the order of their references, and where to go on.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The sessions.
    pub sessions: Vec<Versioned<Session>>,
    /// How many are missing among them because their records are damaged.
    pub damaged: usize,
    /// The last reference looked at, when there may be more behind it.
    pub next: Option<SessionRef>,
}

/// Sessions by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StateCounts {
    /// Active.
    pub active: u64,
    /// Waiting for their user.
    pub need_login: u64,
    /// Tombstones.
    pub ended: u64,
}

impl Vault {
    /// Reads a session.
    pub fn session(&self, id: SessionRef) -> Result<Option<Versioned<Session>>, VaultError> {
        self.read(Table::Sessions, id.as_bytes())
    }

    /// Reads a session once more that was read as `before`: opens its record only if it was changed since.
    pub fn session_again(&self, before: &Versioned<Session>) -> Result<Option<Versioned<Session>>, VaultError> {
        let key = before.value.id.as_bytes();
        match self.store.read(Table::Sessions, key)? {
            Some(row) if row.version == before.version => Ok(Some(before.clone())),
            row => row.map(|row| self.open_row(Table::Sessions, key, &row)).transpose(),
        }
    }

    /// The sessions of all service accounts, closed ones included.
    pub fn accounts(&self) -> Result<Vec<SessionRef>, VaultError> {
        let rows = self.store.scan(Table::Owners, &self.prefix(Scope::Accounts(None)), None, usize::MAX)?;
        Ok(rows.iter().filter_map(|(key, _)| session_at_end(key)).collect())
    }

    /// Up to `limit` sessions of a scope, behind `after`.
    pub fn page(&self, scope: Scope<'_>, after: Option<SessionRef>, limit: usize) -> Result<Page, VaultError> {
        let prefix = self.prefix(scope);
        let after = after.map(|id| [&prefix[..], id.as_bytes()].concat());
        let table = match scope {
            Scope::All => Table::Sessions,
            Scope::At(_) | Scope::Owned(..) | Scope::Accounts(_) => Table::Owners,
            Scope::Named(..) => Table::Names,
            Scope::Subject { .. } => Table::Subjects,
        };
        let rows = self.store.scan(table, &prefix, after.as_deref(), limit)?;
        let ids: Vec<_> = rows.iter().filter_map(|(key, _)| session_at_end(key)).collect();
        let next = ids.last().copied().filter(|_| rows.len() == limit);
        let (mut sessions, mut damaged) = (Vec::with_capacity(rows.len()), 0);
        for (key, _) in &rows {
            match self.session_through(table, key) {
                Ok(found) => sessions.extend(found),
                Err(error) if error.is_damage() => {
                    tracing::error!(%error, "a session is damaged, and left out where it is looked for");
                    damaged += 1;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Page { sessions, damaged, next })
    }

    /// The same for several scopes together; a session that is in more than one comes once.
    pub fn page_of_all(
        &self,
        scopes: &[Scope<'_>],
        after: Option<SessionRef>,
        limit: usize,
    ) -> Result<Page, VaultError> {
        let (mut sessions, mut damaged, mut next) = (BTreeMap::new(), 0, None::<SessionRef>);
        for scope in scopes {
            let page = self.page(*scope, after, limit)?;
            next = next.into_iter().chain(page.next).min();
            damaged += page.damaged;
            sessions.extend(page.sessions.into_iter().map(|session| (session.value.id, session)));
        }
        // Behind the end of the shortest page there may be sessions that were not read.
        sessions.retain(|id, _| next.is_none_or(|next| *id <= next));
        Ok(Page { sessions: sessions.into_values().collect(), damaged, next })
    }

    /// Sessions to attend to by `now`, the most urgent first, behind `after`, at most `limit`.
    pub fn due(
        &self,
        now: UnixSeconds,
        after: Option<AgendaItem>,
        limit: usize,
    ) -> Result<Vec<AgendaItem>, VaultError> {
        self.agenda(Agenda::Attend, now, after, limit)
    }

    /// Sessions that should have grown older by `now`, behind `after`, at most `limit`.
    pub fn to_prune(
        &self,
        now: UnixSeconds,
        after: Option<AgendaItem>,
        limit: usize,
    ) -> Result<Vec<AgendaItem>, VaultError> {
        self.agenda(Agenda::Prune, now, after, limit)
    }

    /// When the next session is due after `now`, if any is.
    pub fn next_due(&self, now: UnixSeconds) -> Result<Option<UnixSeconds>, VaultError> {
        let mut after = vec![Agenda::Attend as u8];
        after.extend(u64::try_from(now.0).unwrap_or(0).to_be_bytes());
        after.extend([0xff; 8]);
        let rows = self.store.scan(Table::Due, &[Agenda::Attend as u8], Some(&after), 1)?;
        Ok(rows.first().and_then(|(key, _)| parse_agenda_key(key)).map(|(at, _)| at))
    }

    /// Counts sessions by state. Goes through the index of states the first time, and again after a write that failed.
    pub fn count_states(&self) -> Result<StateCounts, VaultError> {
        self.census.counts(|| {
            let [active, need_login, ended] = [0, 1, 2].map(|state| self.count(&[state]));
            Ok(StateCounts { active: active?, need_login: need_login?, ended: ended? })
        })
    }

    fn count(&self, state: &[u8]) -> Result<u64, VaultError> {
        const BATCH: usize = 4096;
        let (mut count, mut after) = (0, None::<Vec<u8>>);
        loop {
            let rows = self.store.scan(Table::States, state, after.as_deref(), BATCH)?;
            count += rows.len() as u64;
            match rows.into_iter().last() {
                Some((key, _)) => after = Some(key),
                None => return Ok(count),
            }
        }
    }

    pub(super) fn agenda(
        &self,
        agenda: Agenda,
        now: UnixSeconds,
        after: Option<AgendaItem>,
        limit: usize,
    ) -> Result<Vec<AgendaItem>, VaultError> {
        let after = after.map(|(at, session)| agenda_key(agenda, at, session));
        let rows = self.store.scan(Table::Due, &[agenda as u8], after.as_deref(), limit)?;
        let items = rows.iter().filter_map(|(key, _)| parse_agenda_key(key));
        Ok(items.take_while(|(at, _)| *at <= now).collect())
    }

    fn prefix(&self, scope: Scope<'_>) -> Vec<u8> {
        match scope {
            Scope::All => Vec::new(),
            Scope::At(provider) => self.provider_prefix(provider).to_vec(),
            Scope::Named(provider, name) => self.name_prefix(provider, name).to_vec(),
            Scope::Subject { provider, issuer, subject } => self.subject_prefix(provider, issuer, subject).to_vec(),
            Scope::Owned(owner, provider) => self.owner_prefix(&owner.to_string(), provider).to_vec(),
            Scope::Accounts(provider) => self.owner_prefix(Owner::CONFIGURATION, provider).to_vec(),
        }
    }
}
