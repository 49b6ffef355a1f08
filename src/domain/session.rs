//! A session: one login of one user at one provider on one device; or a service account, which is a session without a user.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokenkeeper_protocol::reply::{Authentication, UserInfo};
use tokenkeeper_protocol::{AccountName, ProviderName, Secret, SessionRef, UnixSeconds, secret};

use super::{LoginReason, Owner};

/// Everything that is kept of a session. It exists outside of the vault only for as long as it is worked on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// What people call it; also its key in the store.
    pub id: SessionRef,
    /// Where it was opened.
    pub provider: ProviderName,
    /// Whose it is.
    pub user: UserInfo,
    /// On which device, as the user calls it.
    pub device: Option<String>,
    /// The peer that opened it.
    pub opened_by: Owner,
    /// What was asked of the provider; what it granted stands with the token.
    pub scopes: Vec<String>,
    /// When the user logged in.
    pub opened_at: UnixSeconds,
    /// When the user must log in again.
    pub ends_at: UnixSeconds,
    /// When a token was last handed out, to the hour: enough for keep-alive, and no write on the hot path.
    pub last_used_at: UnixSeconds,
    /// How the user was authenticated.
    pub authentication: Authentication,
    /// What may be done with it.
    pub state: State,
    /// The tokens; none once the session is over and its revocation is settled.
    pub tokens: Option<Tokens>,
    /// Rises with every change of the tokens. A reply made for an older generation is not given out.
    pub generation: u64,
    /// Refreshes that succeeded.
    pub refreshes: u64,
    /// What is wrong with its refresh at the moment.
    pub trouble: Option<Trouble>,
    /// When it is refreshed next, or its revocation tried again.
    pub due_at: Option<UnixSeconds>,
    /// When it takes the next step of growing old: needs login, ended, removed.
    pub prune_at: UnixSeconds,
    /// Entries that its history has had so far.
    pub told: u64,
    /// What its tokens were asked for to be presented to (RFC 8707); with none, the provider decides.
    pub resource: Vec<String>,
    /// The era of the clock that the times of its tokens are of.
    pub era: u32,
}

impl Session {
    /// The service account that this session is, if it is one.
    pub fn account(&self) -> Option<&AccountName> {
        match &self.opened_by {
            Owner::Account(name) => Some(name),
            Owner::Uid(_) | Owner::Unit { .. } => None,
        }
    }

    /// Whether a new access token can be had without a person.
    pub fn is_renewable(&self) -> bool {
        self.account().is_some() || self.tokens.as_ref().is_some_and(|tokens| tokens.refresh.is_some())
    }
}

/// A refresh or revocation that does not succeed for now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// What happened last, in words.
    pub what: String,
    /// Tries since the last success.
    pub tries: u32,
    /// No try before this.
    pub not_before: UnixSeconds,
    /// Since when the refresh token may be spent: it was sent, and no answer came.
    pub unknown_since: Option<UnixSeconds>,
    /// Whether waiting does not help: an administrator has to mend something, here or at the provider.
    pub needs_administrator: bool,
    /// When that was found.
    pub noted_at: UnixSeconds,
}

/// What a provider gave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// Presented to resource servers.
    pub access: AccessToken,
    /// Spent for new tokens. Never leaves the daemon.
    #[serde(with = "secret::exposed_option")]
    pub refresh: Option<Secret>,
    /// Tells who the user is.
    #[serde(with = "secret::exposed_option")]
    pub id: Option<Secret>,
    /// How long the refresh token lives unless it is used, from when the access token was obtained; none, if the provider did not
    /// tell with it.
    pub refresh_life: Option<Duration>,
}

impl Tokens {
    /// All of them.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        [&self.access.token].into_iter().chain(&self.refresh).chain(&self.id)
    }
}

/// An access token and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessToken {
    /// The token.
    #[serde(with = "secret::exposed")]
    pub token: Secret,
    /// How to present it; nearly always `Bearer`.
    pub token_type: String,
    /// What it is good for, space separated.
    pub scope: String,
    /// When it was obtained.
    pub obtained_at: UnixSeconds,
    /// When the provider stops accepting it.
    pub expires_at: UnixSeconds,
}

impl AccessToken {
    /// How long such a token lives.
    pub fn life(&self) -> Duration {
        self.expires_at.since(self.obtained_at)
    }

    /// Whether it will still be valid `min_valid` after `now`.
    pub fn is_valid_for(&self, min_valid: Duration, now: UnixSeconds) -> bool {
        self.expires_at > now + min_valid
    }
}

/// The state of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Tokens are served and refreshed.
    Active,
    /// The user must log in again.
    NeedsLogin {
        /// Why.
        reason: LoginReason,
        /// Since when.
        since: UnixSeconds,
    },
    /// Over: a tombstone until the provider has been told and retention is past.
    Ended {
        /// Why.
        reason: EndReason,
        /// Since when.
        since: UnixSeconds,
    },
}

impl State {
    /// Whether tokens may be handed out.
    pub fn is_active(&self) -> bool {
        matches!(self, Self::Active)
    }

    /// Whether the session is a tombstone.
    pub fn is_ended(&self) -> bool {
        matches!(self, Self::Ended { .. })
    }
}

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndReason {
    /// Somebody logged out.
    LoggedOut,
    /// Nobody logged in again after it reached its greatest age.
    TooOld,
    /// A service account that the configuration does not have any more, or has otherwise.
    Unconfigured,
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LoggedOut => "logged out",
            Self::TooOld => "too old",
            Self::Unconfigured => "not in the configuration any more",
        })
    }
}
