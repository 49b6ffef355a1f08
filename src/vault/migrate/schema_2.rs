//! Schema 2: sessions without what the provider told of how long their refresh tokens live, and without when a trouble was noted.
//!
//! As in `schema_1.rs`, what is written here stays as it was, and the store in `tests/fixtures/schema-2` proves the rest.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokenkeeper_protocol::reply::{Authentication, UserInfo};
use tokenkeeper_protocol::{ProviderName, Secret, SessionRef, UnixSeconds, secret};

use super::{Content, Step};
use crate::domain::session::{self, AccessToken};
use crate::domain::{self, Owner, State};
use crate::store::Table;
use crate::vault::VaultError;
use crate::vault::record::{from_bytes, to_bytes};

pub(super) const STEP: Step = Step { from: 2, tables: &[Table::Sessions], change };

/// Nobody knows how long such a refresh token lives. It is used when the session is due, and not later: the answer tells.
const NOT_KEPT: Option<Duration> = Some(Duration::ZERO);

#[derive(Serialize, Deserialize)]
pub(super) struct Session {
    pub(super) id: SessionRef,
    pub(super) provider: ProviderName,
    pub(super) user: UserInfo,
    pub(super) device: Option<String>,
    pub(super) opened_by: Owner,
    pub(super) scopes: Vec<String>,
    pub(super) opened_at: UnixSeconds,
    pub(super) ends_at: UnixSeconds,
    pub(super) last_used_at: UnixSeconds,
    pub(super) authentication: Authentication,
    pub(super) state: State,
    pub(super) tokens: Option<Tokens>,
    pub(super) generation: u64,
    pub(super) refreshes: u64,
    pub(super) trouble: Option<Trouble>,
    pub(super) due_at: Option<UnixSeconds>,
    pub(super) prune_at: UnixSeconds,
    pub(super) told: u64,
    pub(super) resource: Vec<String>,
    pub(super) era: u32,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Tokens {
    access: AccessToken,
    #[serde(with = "secret::exposed_option")]
    refresh: Option<Secret>,
    #[serde(with = "secret::exposed_option")]
    id: Option<Secret>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Trouble {
    what: String,
    tries: u32,
    not_before: UnixSeconds,
    unknown_since: Option<UnixSeconds>,
    needs_administrator: bool,
}

fn change(table: Table, old: &[u8]) -> Result<Option<Content>, VaultError> {
    let session: Session = from_bytes(table.name(), old)?;
    to_bytes(table.name(), &domain::Session::from(session)).map(Some)
}

impl From<Session> for domain::Session {
    fn from(old: Session) -> Self {
        Self {
            id: old.id,
            provider: old.provider,
            user: old.user,
            device: old.device,
            opened_by: old.opened_by,
            scopes: old.scopes,
            opened_at: old.opened_at,
            ends_at: old.ends_at,
            last_used_at: old.last_used_at,
            authentication: old.authentication,
            state: old.state,
            tokens: old.tokens.map(domain::Tokens::from),
            generation: old.generation,
            refreshes: old.refreshes,
            trouble: old.trouble.map(session::Trouble::from),
            due_at: old.due_at,
            prune_at: old.prune_at,
            told: old.told,
            resource: old.resource,
            era: old.era,
        }
    }
}

impl From<Tokens> for domain::Tokens {
    fn from(old: Tokens) -> Self {
        Self { access: old.access, refresh: old.refresh, id: old.id, refresh_life: NOT_KEPT }
    }
}

impl From<Trouble> for session::Trouble {
    fn from(old: Trouble) -> Self {
        Self {
            what: old.what,
            tries: old.tries,
            not_before: old.not_before,
            unknown_since: old.unknown_since,
            needs_administrator: old.needs_administrator,
            // Before whatever was mended since.
            noted_at: UnixSeconds::default(),
        }
    }
}
