//! The vocabulary of the audit trail: one type, whatever form the record takes on its way out.

use serde::{Deserialize, Serialize};
use tokenkeeper_protocol::{AccountName, ProviderName, SessionRef, UnixSeconds};

use crate::domain::Loss;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: UnixSeconds,
    /// What.
    pub what: What,
}

/// What happened. `peer` is the display form of a [`Peer`](crate::domain::Peer).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// The daemon is ready.
    DaemonStarted {
        /// Its version.
        version: String,
    },
    /// The daemon stops in good order.
    DaemonStopped,
    /// A new configuration is in force.
    ConfigReloaded,
    /// A new configuration was not accepted; the old one stays.
    ConfigRefused {
        /// The first thing wrong with it.
        why: String,
    },
    /// A browser is on its way to the provider, or a code waits to be typed there.
    LoginBegun {
        /// Who began it.
        peer: String,
        /// Where.
        provider: ProviderName,
    },
    /// A session was opened.
    LoginCompleted {
        /// Who began it.
        peer: String,
        /// Where.
        provider: ProviderName,
        /// The session.
        session: SessionRef,
        /// Who came.
        user: String,
    },
    /// A login did not succeed.
    LoginFailed {
        /// Who began it.
        peer: String,
        /// Where.
        provider: ProviderName,
        /// What was wrong.
        why: String,
    },
    /// Access tokens were handed out.
    TokenHandedOut {
        /// To whom.
        peer: String,
        /// Of which session.
        session: SessionRef,
        /// The generation of the token.
        generation: u64,
        /// How often, since the last such record.
        count: u64,
    },
    /// Access tokens were handed out, of more sessions within a minute than are counted one by one.
    TokensHandedOutUnlisted {
        /// To whom.
        peer: String,
        /// How often, since the last such record.
        count: u64,
    },
    /// New tokens were obtained and are durable.
    RefreshDone {
        /// Of which session.
        session: SessionRef,
        /// Where.
        provider: ProviderName,
        /// The generation of the new token.
        generation: u64,
    },
    /// A refresh did not succeed.
    RefreshFailed {
        /// Of which session.
        session: SessionRef,
        /// Where.
        provider: ProviderName,
        /// What was wrong.
        why: String,
        /// Why the user must log in again, if that is so.
        lost: Option<Loss>,
    },
    /// A session was ended.
    LoggedOut {
        /// By whom.
        peer: String,
        /// Which.
        session: SessionRef,
        /// Where.
        provider: ProviderName,
    },
    /// The provider was asked to revoke a session's tokens.
    Revoked {
        /// Which session.
        session: SessionRef,
        /// Where.
        provider: ProviderName,
        /// `done`, `pending` or `unsupported`.
        outcome: String,
    },
    /// A session reached its greatest age.
    Expired {
        /// Which.
        session: SessionRef,
        /// Where.
        provider: ProviderName,
        /// `needs_login` or `ended`.
        state: String,
        /// Why the user must log in again, if that is new.
        lost: Option<Loss>,
    },
    /// A session was removed from the store.
    Removed {
        /// Which.
        session: SessionRef,
        /// Where.
        provider: ProviderName,
    },
    /// Something was not allowed.
    Denied {
        /// To whom.
        peer: String,
        /// What.
        action: String,
        /// On which session or provider, as the peer named it.
        target: String,
        /// What the peer was told to quote.
        reference: String,
        /// How often, since the last such record.
        count: u64,
    },
    /// A login or refresh was granted less than was wanted.
    ScopeNarrowed {
        /// Which session.
        session: SessionRef,
        /// Where.
        provider: ProviderName,
        /// The scopes that are missing, space separated.
        missing: String,
    },
    /// A service account of the configuration got its session.
    AccountOpened {
        /// The account.
        account: AccountName,
        /// Its session.
        session: SessionRef,
        /// Where.
        provider: ProviderName,
    },
    /// The session of a service account was closed: the configuration does not have it any more, or has another client for it.
    AccountClosed {
        /// The account.
        account: AccountName,
        /// Its session.
        session: SessionRef,
        /// Where.
        provider: ProviderName,
    },
    /// The wall clock jumped, or what came of that.
    ClockJumped {
        /// By how much; negative if back.
        by_seconds: i64,
        /// `unconfirmed`, `taken_back`, `confirmed_by_provider` or `confirmed_by_stability`.
        state: String,
    },
    /// A new epoch of the record keys began.
    KeysRotating {
        /// Who began it: a peer, or the schedule.
        peer: String,
        /// The new epoch.
        epoch: u32,
    },
    /// Every record is sealed in the current epoch, and the keys of those before are destroyed.
    KeysRotated {
        /// The current epoch.
        epoch: u32,
    },
    /// The keyring was opened with a recovery identity.
    KeysRecovered {
        /// Who brought it.
        peer: String,
    },
    /// Somebody brought an identity that does not open the keyring.
    KeysNotRecovered {
        /// Who.
        peer: String,
        /// What was wrong.
        why: String,
    },
    /// The store is older than its anchor says, or the anchor is gone: somebody put an old copy back.
    RollbackNoticed {
        /// The generation of the store as it was found.
        found: u64,
        /// The generation that was anchored, if the anchor can be believed.
        anchored: Option<u64>,
        /// What was found, in words.
        why: String,
    },
    /// Somebody ended the quarantine that follows a rollback.
    RollbackAccepted {
        /// Who.
        peer: String,
        /// The generation of the store as it was found.
        found: u64,
        /// The generation that was anchored, if the anchor could be believed.
        anchored: Option<u64>,
    },
    /// The check of the store found something wrong; or an event that waited for syslog, in whose place this stands, does not open.
    StoreDamaged {
        /// How much.
        findings: u64,
        /// The first of it.
        first: String,
    },
    /// A backup was taken.
    BackupTaken {
        /// By whom.
        peer: String,
        /// Sessions in it.
        sessions: u64,
    },
    /// The store was filled from a backup.
    Restored {
        /// Sessions in it.
        sessions: u64,
        /// The generation of the store that the backup was taken of.
        generation: u64,
    },
    /// The store was moved to another host, and is not used here any more.
    MovedOut {
        /// By whom.
        peer: String,
        /// Sessions in it.
        sessions: u64,
        /// The generation of the store that was moved.
        generation: u64,
    },
    /// Whoever moved the store says that what left is safe where it should be.
    MoveOutConfirmed {
        /// Who.
        peer: String,
        /// The generation of the store that was moved.
        generation: u64,
    },
    /// A store that was moved out is used here again.
    MoveOutCancelled {
        /// By whom.
        peer: String,
        /// The generation of the store that was moved.
        generation: u64,
    },
    /// The store was changed to the schema of this version.
    Migrated {
        /// The schema that was found.
        from: u32,
        /// The one that it has now.
        to: u32,
    },
    /// Everything that was kept of a user, or of one session, is erased. Whose it was is not told.
    Erased {
        /// Who asked for it.
        peer: String,
        /// Where.
        provider: ProviderName,
        /// Sessions that were removed.
        sessions: u64,
        /// Those of them whose tokens live until they expire.
        not_revoked: u64,
        /// How long it took.
        seconds: u64,
        /// Whether the key of the records was destroyed, too.
        forced: bool,
    },
}

impl What {
    /// The session that it is about, if it is about one.
    pub fn session(&self) -> Option<SessionRef> {
        match self {
            Self::LoginCompleted { session, .. }
            | Self::TokenHandedOut { session, .. }
            | Self::RefreshDone { session, .. }
            | Self::RefreshFailed { session, .. }
            | Self::LoggedOut { session, .. }
            | Self::Revoked { session, .. }
            | Self::Expired { session, .. }
            | Self::Removed { session, .. }
            | Self::ScopeNarrowed { session, .. }
            | Self::AccountOpened { session, .. }
            | Self::AccountClosed { session, .. } => Some(*session),
            Self::DaemonStarted { .. }
            | Self::ClockJumped { .. }
            | Self::DaemonStopped
            | Self::ConfigReloaded
            | Self::ConfigRefused { .. }
            | Self::LoginBegun { .. }
            | Self::LoginFailed { .. }
            | Self::TokensHandedOutUnlisted { .. }
            | Self::Denied { .. }
            | Self::KeysRotating { .. }
            | Self::KeysRotated { .. }
            | Self::KeysRecovered { .. }
            | Self::KeysNotRecovered { .. }
            | Self::RollbackNoticed { .. }
            | Self::RollbackAccepted { .. }
            | Self::StoreDamaged { .. }
            | Self::BackupTaken { .. }
            | Self::Restored { .. }
            | Self::MovedOut { .. }
            | Self::MoveOutConfirmed { .. }
            | Self::MoveOutCancelled { .. }
            | Self::Migrated { .. }
            | Self::Erased { .. } => None,
        }
    }
}
