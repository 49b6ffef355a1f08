//! Why the keeper did not do what it was asked to, named for what its caller does next.

use std::time::Duration;

use tokenkeeper_protocol::{Code, Problem, ProviderName, SessionRef, UnixSeconds};

use crate::domain::{EndReason, LoginReason};
use crate::vault::VaultError;

/// A failure. It is shared by all who waited for the same flight, so it can be cloned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeeperError {
    /// The user must log in again.
    #[error("login required at {provider}: {reason}")]
    LoginRequired {
        /// Of which session.
        session: SessionRef,
        /// Where. In a box, so that errors stay small.
        provider: Box<ProviderName>,
        /// Why.
        reason: LoginReason,
        /// Since when.
        since: UnixSeconds,
    },
    /// The session is over.
    #[error("login required at {provider}: session {session} is over: {reason}; log in again")]
    Ended {
        /// Which.
        session: SessionRef,
        /// Where it was opened.
        provider: ProviderName,
        /// Why.
        reason: EndReason,
        /// Since when.
        since: UnixSeconds,
    },
    /// There is no such session.
    #[error("there is no session {session}")]
    NoSuchSession {
        /// Which.
        session: SessionRef,
    },
    /// There is nothing to erase.
    #[error(
        "nothing is kept of that user at {provider}; `tokenkeeper sessions --provider {provider}` lists who has sessions there"
    )]
    NothingKept {
        /// Where.
        provider: ProviderName,
    },
    /// It may be removed already, and still be in the files.
    #[error(
        "nothing is found of that user at {provider}, but an erasure there is not finished: what it removed may still be in the files of the store. Ask again when it is; `tokenkeeper status` tells if it does not go on"
    )]
    StillErasing {
        /// Where.
        provider: ProviderName,
    },
    /// Somebody else changed it first.
    #[error("it was changed by somebody else meanwhile; try again")]
    Conflict,
    /// Tokens of this session never live that long.
    #[error("access tokens of {provider} live {life} s; ask for fewer seconds of validity than that")]
    LifetimeTooShort {
        /// Whose tokens.
        provider: ProviderName,
        /// How long they live.
        life: u64,
    },
    /// The provider does not answer as it should; it is tried again.
    #[error("{provider} cannot be used at the moment: {why}; try again in {} s", wait.as_secs().max(1))]
    ProviderDown {
        /// Which.
        provider: ProviderName,
        /// What happened.
        why: String,
        /// When another try can succeed.
        wait: Duration,
    },
    /// The refresh token may be a spent one, and is only tried when the live access token has expired.
    #[error(
        "the store was put back from an older copy, so session {session} gets no new token before this one expires, in {} s; log in again, or an administrator runs `tokenkeeper store accept-rollback`",
        wait.as_secs().max(1)
    )]
    Quarantined {
        /// Which.
        session: SessionRef,
        /// Until the access token expires.
        wait: Duration,
    },
    /// The caller began, or failed, more logins than anybody needs.
    #[error("too many logins were begun or failed; try again in {} s", wait.as_secs().max(1))]
    TooManyLogins {
        /// When there is room again.
        wait: Duration,
    },
    /// The caller was not ready to wait for as long as it takes.
    #[error("the refresh takes longer than the time you gave it; it goes on, so ask again")]
    StillWorking,
    /// What is under way at a provider did not end while the store was to leave.
    #[error(
        "the store was not moved out, and everything goes on here: what was begun at a provider before has not ended yet; try again in a moment, and if that does not help, look for a provider that is slow with `tokenkeeper status`"
    )]
    NotLeft,
    /// Nobody has logged in with the code yet.
    #[error("nobody has logged in with the code yet; the daemon goes on asking the provider, so wait again")]
    UserNotThere,
    /// The provider offers no login with a code.
    #[error(
        "{provider} offers no login with a code (RFC 8628): log in with a browser, or with --paste. If it has one and does not tell, an administrator sets device_authorization_endpoint"
    )]
    NoDeviceFlow {
        /// Which.
        provider: ProviderName,
    },
    /// The login did not succeed.
    #[error("login failed: {why}; begin a new login")]
    LoginFailed {
        /// What was wrong.
        why: String,
    },
    /// The callback is not that of this login, which can still be completed with the right one.
    #[error("{why}")]
    ForeignCallback {
        /// What is wrong.
        why: String,
    },
    /// The request cannot be what the caller meant.
    #[error("{why}")]
    BadRequest {
        /// What is wrong, and what is allowed.
        why: String,
    },
    /// The provider and its configuration do not fit.
    #[error("{provider} does not work as it is configured: {why}; an administrator has to correct that")]
    Misconfigured {
        /// Which.
        provider: ProviderName,
        /// What does not fit.
        why: String,
    },
    /// The provider of a session is gone from the configuration.
    #[error(
        "provider {provider} is not in the configuration any more; an administrator has to restore it, or end the session"
    )]
    ProviderRemoved {
        /// Which.
        provider: ProviderName,
    },
    /// The daemon was told to stop: what it would ask a provider now, nobody may be there to hear the answer of.
    #[error("the daemon is stopping and begins nothing new; try again when it is back")]
    Stopping,
    /// The store is on its way to another host.
    #[error("the store is being moved to another host, and nothing is served meanwhile; try again in a moment")]
    MovingOut,
    /// The store is at another host.
    #[error("{why}")]
    MovedOut {
        /// Since when, and what an administrator can do about it.
        why: String,
    },
    /// The store does not take writes.
    #[error("the store cannot be used: {why}; an administrator has to look at `systemctl status tokenkeeperd`")]
    StoreDown {
        /// What happened.
        why: String,
    },
    /// A task of the daemon ended without an answer.
    #[error("the daemon failed inside; its log says more")]
    Internal,
}

impl From<VaultError> for KeeperError {
    fn from(error: VaultError) -> Self {
        Self::StoreDown { why: error.to_string() }
    }
}

impl KeeperError {
    /// The same, for the peer.
    pub fn to_problem(&self) -> Problem {
        let mut problem = Problem::new(self.code(), self.to_string());
        match self {
            Self::LoginRequired { session, since, .. } | Self::Ended { session, since, .. } => {
                problem.session = Some(*session);
                problem.since = Some(*since);
            }
            Self::ProviderDown { wait, .. } | Self::Quarantined { wait, .. } | Self::TooManyLogins { wait } => {
                problem.retry_after_ms = Some(u32::try_from(wait.as_millis()).unwrap_or(u32::MAX));
            }
            // The store looks for itself whether it can write again, ever more rarely.
            Self::StoreDown { .. } => problem.retry_after_ms = Some(10_000),
            // Nobody knows for how long.
            _ if problem.code == Code::TryLater => problem.retry_after_ms = Some(1000),
            _ => {}
        }
        problem
    }

    /// What happened, for a record that names the provider beside it.
    pub fn cause(&self) -> String {
        match self {
            Self::LoginRequired { reason, .. } => reason.to_string(),
            Self::ProviderDown { why, .. } => why.clone(),
            other => other.to_string(),
        }
    }

    fn code(&self) -> Code {
        match self {
            Self::LoginRequired { .. } | Self::Ended { .. } => Code::LoginRequired,
            Self::NoSuchSession { .. } | Self::NothingKept { .. } => Code::NotFound,
            Self::LifetimeTooShort { .. } => Code::LifetimeTooShort,
            Self::ProviderDown { .. }
            | Self::Quarantined { .. }
            | Self::TooManyLogins { .. }
            | Self::StillWorking
            | Self::StillErasing { .. }
            | Self::NotLeft
            | Self::UserNotThere
            | Self::Stopping
            | Self::MovingOut
            | Self::Conflict
            | Self::StoreDown { .. } => Code::TryLater,
            Self::NoDeviceFlow { .. } => Code::Unsupported,
            Self::LoginFailed { .. } | Self::ForeignCallback { .. } => Code::LoginFailed,
            Self::BadRequest { .. } => Code::BadRequest,
            Self::Misconfigured { .. } | Self::ProviderRemoved { .. } | Self::MovedOut { .. } => Code::Misconfigured,
            Self::Internal => Code::Internal,
        }
    }
}
