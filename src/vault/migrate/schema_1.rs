//! Schema 1: sessions without the era of their times and with fewer words on why they were lost; events that did not name a loss.
//!
//! What is written here stays as it was then. The types that are taken from elsewhere have not changed since, which the store in
//! `tests/fixtures/schema-1` proves: whoever changes one of them copies what it was to here.

use serde::Deserialize;
use tokenkeeper_protocol::reply::{Authentication, UserInfo};
use tokenkeeper_protocol::{ProviderName, SessionRef, UnixSeconds};

use super::schema_2::{self, Tokens, Trouble};
use super::{Content, Step};
use crate::audit::{Event, What};
use crate::domain::{self, EndReason, Loss, Owner, Refusal};
use crate::store::Table;
use crate::vault::VaultError;
use crate::vault::record::{from_bytes, to_bytes};

pub(super) const STEP: Step = Step { from: 1, tables: &[Table::Sessions, Table::History, Table::Outbox], change };

/// In the place of what a provider said and nobody wrote down.
const NOT_KEPT: &str = "(what it said was not kept)";

/// Numbers of the kinds of events that have another content now.
const REFRESH_FAILED: u32 = 10;
const EXPIRED: u32 = 13;

#[derive(Deserialize)]
struct Session {
    id: SessionRef,
    provider: ProviderName,
    user: UserInfo,
    device: Option<String>,
    opened_by: Owner,
    scopes: Vec<String>,
    opened_at: UnixSeconds,
    ends_at: UnixSeconds,
    last_used_at: UnixSeconds,
    authentication: Authentication,
    state: State,
    tokens: Option<Tokens>,
    generation: u64,
    refreshes: u64,
    trouble: Option<Trouble>,
    due_at: Option<UnixSeconds>,
    prune_at: UnixSeconds,
    told: u64,
    resource: Vec<String>,
}

#[derive(Deserialize)]
enum State {
    Active,
    NeedsLogin { reason: LoginReason, since: UnixSeconds },
    Ended { reason: EndReason, since: UnixSeconds },
}

#[derive(Deserialize)]
enum LoginReason {
    Refused { error: String, description: Option<String> },
    SessionTooOld,
    NoRefreshToken,
    AnswerLost,
    SignedOut,
}

/// What every event begins with: when it was, and the number of its kind.
type Head = (UnixSeconds, u32);
const HEAD: usize = 12;

#[derive(Deserialize)]
struct RefreshFailed {
    head: Head,
    session: SessionRef,
    provider: ProviderName,
    why: String,
    needs_login: bool,
}

#[derive(Deserialize)]
struct Expired {
    head: Head,
    session: SessionRef,
    provider: ProviderName,
    state: String,
}

fn change(table: Table, old: &[u8]) -> Result<Option<Content>, VaultError> {
    let table = table.name();
    if table == Table::Sessions.name() {
        let session: Session = from_bytes(table, old)?;
        return to_bytes(table, &schema_2::Session::from(session)).map(Some);
    }
    let (_, kind): Head = from_bytes(table, old.get(..HEAD).ok_or(VaultError::Layout { table })?)?;
    let event = match kind {
        REFRESH_FAILED => Event::from(from_bytes::<RefreshFailed>(table, old)?),
        EXPIRED => Event::from(from_bytes::<Expired>(table, old)?),
        _ => return Ok(None),
    };
    to_bytes(table, &event).map(Some)
}

impl From<Session> for schema_2::Session {
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
            state: match old.state {
                State::Active => domain::State::Active,
                State::NeedsLogin { reason, since } => domain::State::NeedsLogin { reason: reason.into(), since },
                State::Ended { reason, since } => domain::State::Ended { reason, since },
            },
            tokens: old.tokens,
            generation: old.generation,
            refreshes: old.refreshes,
            trouble: old.trouble,
            due_at: old.due_at,
            prune_at: old.prune_at,
            told: old.told,
            resource: old.resource,
            // Before the first jump of the clock that was noticed.
            era: 0,
        }
    }
}

impl From<LoginReason> for domain::LoginReason {
    fn from(old: LoginReason) -> Self {
        let refusal = |error, description| Refusal { error, description, correlation: None, tries: 1 };
        match old {
            LoginReason::Refused { error, description } => Self::Refused(refusal(error, description)),
            LoginReason::SessionTooOld => Self::SessionTooOld,
            LoginReason::NoRefreshToken => Self::NoRefreshToken,
            LoginReason::AnswerLost => Self::AnswerLost(refusal(NOT_KEPT.to_owned(), None)),
            LoginReason::SignedOut => Self::SignedOut,
        }
    }
}

impl From<RefreshFailed> for Event {
    fn from(old: RefreshFailed) -> Self {
        let RefreshFailed { head: (at, _), session, provider, why, needs_login } = old;
        Self { at, what: What::RefreshFailed { session, provider, why, lost: needs_login.then_some(Loss::Refused) } }
    }
}

impl From<Expired> for Event {
    fn from(old: Expired) -> Self {
        let Expired { head: (at, _), session, provider, state } = old;
        Self { at, what: What::Expired { session, provider, state, lost: None } }
    }
}
