//! What the daemon answers. No reply can hold a refresh token: there is no field for one.

mod erasure;
mod keys;
mod oversight;
mod rollback;
mod store;

use serde::{Deserialize, Serialize};

use crate::id::{LoginId, ProviderName, SessionRef, UserName};
use crate::problem::Problem;
use crate::secret::{self, Secret};
use crate::time::UnixSeconds;

pub use erasure::{Erasure, ErasureStage};
pub use keys::{KeysRecovered, KeysReply, KeysRotation};
pub use oversight::{
    Explanation, HistoryEntry, HistoryPage, Identity, ProviderReport, ProviderStep, ProviderView, ProvidersReply,
    RuleOutcome, RuleView, StepOutcome,
};
pub use rollback::RollbackAccepted;
pub use store::{BackupPart, BackupSummary, Finding, MovedOut, StoreStats, TableStats, VerifyPage};

/// One reply, as it travels in one frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// To a token request.
    Token(TokenReply),
    /// To the begin of a login.
    LoginBegun(LoginBegun),
    /// To the completion of a login.
    LoggedIn(LoggedIn),
    /// To a request for sessions.
    Sessions(SessionsPage),
    /// To a request for one session.
    Session(SessionDetail),
    /// To a logout.
    LoggedOut(LoggedOut),
    /// To a request for the status.
    Status(StatusReply),
    /// To the begin of a device flow.
    DeviceBegun(DeviceBegun),
    /// To a request for the history of a session.
    History(HistoryPage),
    /// To the question who the peer is.
    Identity(Identity),
    /// To the question why something is allowed or not.
    Explanation(Explanation),
    /// To a request for the providers.
    Providers(ProvidersReply),
    /// To the test of a provider.
    ProviderReport(ProviderReport),
    /// To a request for metrics: `OpenMetrics` text.
    Metrics(String),
    /// To a request for the keys.
    Keys(KeysReply),
    /// To a request for a new epoch: its number.
    KeysRotating(u32),
    /// To an identity that opened the keyring.
    KeysRecovered(KeysRecovered),
    /// To the question what the store holds.
    StoreStats(StoreStats),
    /// To a request for a page of the check of the store.
    VerifyPage(VerifyPage),
    /// To a request for a backup: one of many.
    BackupPart(BackupPart),
    /// To the end of a quarantine: what it was about.
    RollbackAccepted(RollbackAccepted),
    /// To a step of moving the store out: how it stands.
    MovedOut(MovedOut),
    /// To the begin of an erasure, and to the question how far one is.
    Erasure(Erasure),
    /// To any request that failed.
    Problem(Problem),
}

/// Type numbers of replies.
pub(crate) mod kind {
    pub(crate) const TOKEN: u16 = 0x8001;
    pub(crate) const LOGIN_BEGUN: u16 = 0x8002;
    pub(crate) const LOGGED_IN: u16 = 0x8003;
    pub(crate) const SESSIONS: u16 = 0x8004;
    pub(crate) const SESSION: u16 = 0x8005;
    pub(crate) const LOGGED_OUT: u16 = 0x8006;
    pub(crate) const STATUS: u16 = 0x8007;
    pub(crate) const DEVICE_BEGUN: u16 = 0x8008;
    pub(crate) const HISTORY: u16 = 0x8009;
    pub(crate) const IDENTITY: u16 = 0x800a;
    pub(crate) const EXPLANATION: u16 = 0x800b;
    pub(crate) const PROVIDERS: u16 = 0x800c;
    pub(crate) const PROVIDER_REPORT: u16 = 0x800d;
    pub(crate) const METRICS: u16 = 0x800e;
    pub(crate) const KEYS: u16 = 0x8011;
    pub(crate) const KEYS_ROTATING: u16 = 0x8012;
    pub(crate) const KEYS_RECOVERED: u16 = 0x8013;
    pub(crate) const STORE_STATS: u16 = 0x8014;
    pub(crate) const VERIFY_PAGE: u16 = 0x8015;
    pub(crate) const BACKUP_PART: u16 = 0x8016;
    pub(crate) const ROLLBACK_ACCEPTED: u16 = 0x8017;
    pub(crate) const MOVED_OUT: u16 = 0x8018;
    pub(crate) const ERASURE: u16 = 0x8019;
    pub(crate) const PROBLEM: u16 = 0xffff;
}

/// A valid access token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenReply {
    /// The session it belongs to.
    pub session: SessionRef,
    /// The token.
    #[serde(with = "secret::exposed")]
    pub access_token: Secret,
    /// How to present it, as the provider spelled it; nearly always `Bearer` (RFC 6749 section 7.1).
    pub token_type: String,
    /// When the provider stops accepting it.
    pub expires_at: UnixSeconds,
    /// What it is good for, space separated (RFC 6749 section 3.3).
    pub scope: String,
}

/// Where to send the browser.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginBegun {
    /// Names the flow; a web backend keeps it in an `HttpOnly`, `SameSite=Lax` cookie.
    pub login_id: LoginId,
    /// The provider's login page. It carries `state` and the code challenge: do not log it.
    #[serde(with = "secret::exposed")]
    pub authorize_url: Secret,
    /// When the flow is forgotten.
    pub expires_at: UnixSeconds,
}

/// Who logged in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedIn {
    /// The new session, or the one that was replaced.
    pub session: SessionRef,
    /// Where.
    pub provider: ProviderName,
    /// Who.
    pub user: UserInfo,
    /// How they were authenticated.
    pub authentication: Authentication,
    /// When they must log in again.
    pub ends_at: UnixSeconds,
}

/// A user as the provider describes them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserInfo {
    /// The name that is bound to them here.
    pub name: UserName,
    /// The issuer's identifier for them (`sub`).
    pub subject: String,
    /// The issuer.
    pub issuer: String,
    /// Their e-mail address, if the provider told it.
    pub email: Option<String>,
}

/// How a user was authenticated (OpenID Connect Core 2). All of it is what the provider says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authentication {
    /// Authentication context class (`acr`).
    pub acr: Option<String>,
    /// Authentication methods (`amr`).
    pub amr: Vec<String>,
    /// When (`auth_time`).
    pub auth_time: Option<UnixSeconds>,
}

/// One page of sessions, in the order of their references.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionsPage {
    /// The sessions.
    pub sessions: Vec<SessionSummary>,
    /// The cursor of the next page, if there is one.
    pub next: Option<SessionRef>,
}

/// One session at a glance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionSummary {
    /// Its reference.
    pub session: SessionRef,
    /// Where it was opened.
    pub provider: ProviderName,
    /// Whose it is.
    pub user: UserName,
    /// On which device.
    pub device: Option<String>,
    /// The local user or service that opened it, such as `alice`, `uid 4242` or `shop.service`.
    pub opened_by: String,
    /// Its state.
    pub state: SessionState,
    /// When its access token expires, if it has one.
    pub token_expires_at: Option<UnixSeconds>,
    /// When the user must log in again.
    pub ends_at: UnixSeconds,
}

/// The state of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SessionState {
    /// Tokens are served and refreshed.
    Active,
    /// The user must log in again.
    NeedsLogin {
        /// Why, in words.
        reason: String,
        /// Since when.
        since: UnixSeconds,
    },
    /// Over.
    Ended {
        /// Why, in words.
        reason: String,
        /// Since when.
        since: UnixSeconds,
    },
}

/// Everything that may be known of one session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionDetail {
    /// The session at a glance.
    pub summary: SessionSummary,
    /// Whose it is.
    pub user: UserInfo,
    /// How they were authenticated.
    pub authentication: Authentication,
    /// What the access token is good for.
    pub scope: String,
    /// When the session was opened.
    pub opened_at: UnixSeconds,
    /// When the access token was obtained.
    pub token_obtained_at: Option<UnixSeconds>,
    /// When it will be refreshed.
    pub refresh_due_at: Option<UnixSeconds>,
    /// Whether there is a refresh token.
    pub refreshable: bool,
    /// Refreshes that succeeded since the session was opened.
    pub refreshes: u64,
    /// The last refresh that failed, in words, unless one has succeeded since.
    pub last_failure: Option<String>,
}

/// How a logout went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedOut {
    /// The session that is over.
    pub session: SessionRef,
    /// Whether the provider revoked its tokens.
    pub revoked: Revocation,
    /// Where to send the browser to end the provider's own session, if the provider has such a page.
    pub end_session_url: Option<String>,
}

/// What became of a session's tokens at the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Revocation {
    /// The provider confirmed it.
    Done,
    /// The provider could not be asked yet; the daemon goes on trying.
    Pending,
    /// The provider offers no revocation: its tokens live until they expire.
    Unsupported,
}

/// How the daemon is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusReply {
    /// The daemon's version.
    pub version: String,
    /// Whether it can do its job.
    pub health: Health,
    /// What is wrong, one sentence each; empty when healthy.
    pub complaints: Vec<String>,
    /// Since when it has been running.
    pub started_at: UnixSeconds,
    /// One line for each provider.
    pub providers: Vec<ProviderStatus>,
    /// Sessions by state.
    pub sessions: SessionCounts,
    /// Active sessions whose user must log in again within three days, by their greatest age.
    pub ending_soon: u64,
    /// Whether there may be more of them: not all were counted.
    pub more_ending_soon: bool,
    /// When the first of the active sessions is due: for its refresh, or to end with a token that cannot be refreshed. Past, if it waits.
    pub next_refresh_at: Option<UnixSeconds>,
    /// The last session since the start whose refresh the provider refused for good.
    pub last_refused: Option<Refused>,
    /// Bytes the store takes on disk.
    pub store_bytes: u64,
    /// When the last backup was taken.
    pub last_backup_at: Option<UnixSeconds>,
    /// Per cent of the store's file system that is free.
    pub disk_free_percent: u8,
    /// Where the identity that opens the keyring came from, such as `systemd credential` or a path.
    pub identity_source: String,
    /// The epoch that new records are sealed under.
    pub epoch: u32,
    /// Audit events not yet handed to syslog.
    pub audit_waiting: u64,
    /// When the configuration in force was read.
    pub config_loaded_at: UnixSeconds,
    /// Why the last reload was refused, if it was.
    pub config_refused: Option<String>,
}

/// Whether the daemon can do its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Health {
    /// It can.
    Ok,
    /// It serves, and something is wrong.
    Degraded,
    /// It does not serve.
    NotServing,
}

/// How one provider is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProviderStatus {
    /// Its name.
    pub provider: ProviderName,
    /// When it last answered a request well.
    pub last_success_at: Option<UnixSeconds>,
    /// What went wrong last, and when, unless something has gone well since.
    pub failure: Option<(UnixSeconds, String)>,
}

/// A session whose user must log in again because a refresh was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// When.
    pub at: UnixSeconds,
    /// Which.
    pub session: SessionRef,
    /// Where.
    pub provider: ProviderName,
    /// What the provider said.
    pub why: String,
}

/// Sessions by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionCounts {
    /// Being served.
    pub active: u64,
    /// Waiting for their user.
    pub need_login: u64,
    /// Over, and not yet removed.
    pub ended: u64,
}

/// What the user of a device flow has to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceBegun {
    /// Names the flow.
    pub login_id: LoginId,
    /// What the user types at the provider (RFC 8628 section 3.2).
    #[serde(with = "secret::exposed")]
    pub user_code: Secret,
    /// Where.
    pub verification_uri: String,
    /// The same with the code in it, for a QR code.
    #[serde(with = "secret::exposed_option")]
    pub verification_uri_complete: Option<Secret>,
    /// When the code is worth nothing any more.
    pub expires_at: UnixSeconds,
}
