//! What a peer can ask for. A type number, once given, keeps its meaning and its layout for ever.

use serde::{Deserialize, Serialize};

use crate::id::{AccountName, LoginId, ProviderName, SessionRef, UserName};
use crate::secret::{self, Secret};

/// One request, as it travels in one frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// A valid access token.
    Token(TokenRequest),
    /// The first half of a login: where to send the browser.
    LoginBegin(LoginBegin),
    /// The second half: what the browser brought back.
    LoginComplete(LoginComplete),
    /// One page of sessions.
    Sessions(SessionsRequest),
    /// Everything that may be known of one session.
    Session(SessionRef),
    /// The end of one session, here and at its provider.
    Logout(SessionRef),
    /// How the daemon is doing.
    Status,
    /// A valid access token, of a session or of a service account, that is good for something in particular.
    TokenFor(TokenFor),
    /// Begins a login whose browser is on another device.
    DeviceBegin(DeviceBegin),
    /// Waits until the user of such a login has come, or a while has passed.
    DeviceWait(DeviceWait),
    /// What happened to one session.
    History(HistoryRequest),
    /// Who the peer is to the daemon, and what it may do.
    WhoAmI,
    /// Whether somebody may do something, and why.
    Explain(Explain),
    /// The providers that the peer may know of.
    Providers,
    /// Whether a provider works: every step that can be tried without a user.
    ProviderTest(ProviderName),
    /// Everything that is counted, as `OpenMetrics` text.
    Metrics,
    /// The keys of the store: where the identity came from, which epochs there are, how far a rotation is.
    KeysShow,
    /// A new epoch of the record keys.
    KeysRotate,
    /// Opens a keyring whose own identity is lost.
    KeysRecover(KeysRecover),
    /// What the store holds and how much room it takes.
    StoreStats,
    /// One page of the check of every record and index entry.
    StoreVerify(StoreVerify),
    /// A backup, as a stream.
    StoreBackup,
    /// The end of the quarantine that follows a store that was put back.
    AcceptRollback,
    /// A step of moving the store to another host.
    StoreMoveOut(MoveOut),
    /// Erases somebody, or one session; or asks how far that is.
    Erase(Erase),
}

/// Type numbers of requests.
pub(crate) mod kind {
    pub(crate) const TOKEN: u16 = 0x0001;
    pub(crate) const LOGIN_BEGIN: u16 = 0x0002;
    pub(crate) const LOGIN_COMPLETE: u16 = 0x0003;
    pub(crate) const SESSIONS: u16 = 0x0004;
    pub(crate) const SESSION: u16 = 0x0005;
    pub(crate) const LOGOUT: u16 = 0x0006;
    pub(crate) const STATUS: u16 = 0x0007;
    pub(crate) const TOKEN_FOR: u16 = 0x0008;
    pub(crate) const DEVICE_BEGIN: u16 = 0x0009;
    pub(crate) const DEVICE_WAIT: u16 = 0x000a;
    pub(crate) const HISTORY: u16 = 0x000b;
    pub(crate) const WHO_AM_I: u16 = 0x000c;
    pub(crate) const EXPLAIN: u16 = 0x000d;
    pub(crate) const PROVIDERS: u16 = 0x000e;
    pub(crate) const PROVIDER_TEST: u16 = 0x000f;
    pub(crate) const METRICS: u16 = 0x0010;
    pub(crate) const KEYS_SHOW: u16 = 0x0011;
    pub(crate) const KEYS_ROTATE: u16 = 0x0012;
    pub(crate) const KEYS_RECOVER: u16 = 0x0013;
    pub(crate) const STORE_STATS: u16 = 0x0014;
    pub(crate) const STORE_VERIFY: u16 = 0x0015;
    pub(crate) const STORE_BACKUP: u16 = 0x0016;
    pub(crate) const ACCEPT_ROLLBACK: u16 = 0x0017;
    pub(crate) const STORE_MOVE_OUT: u16 = 0x0018;
    pub(crate) const ERASE: u16 = 0x0019;
}

/// Which session a token is wanted of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Selector {
    /// This one.
    Session(SessionRef),
    /// The only one that matches among those the peer may use; [`Code::Ambiguous`](crate::Code::Ambiguous) if there are more.
    Only {
        /// Sessions at this provider.
        provider: ProviderName,
        /// Sessions of this user.
        user: Option<UserName>,
    },
}

/// Asks for an access token that stays valid for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRequest {
    /// The session whose token is wanted.
    pub selector: Selector,
    /// Seconds the token must still be valid for. Unless given: 60 seconds, or a fifth of the token's life if that is less.
    pub min_valid_seconds: Option<u32>,
    /// Milliseconds the peer is ready to wait for a refresh. Unless given: the daemon's own limit.
    pub timeout_ms: Option<u32>,
}

/// Begins an authorization code flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginBegin {
    /// Where to log in.
    pub provider: ProviderName,
    /// Where the provider sends the browser back to; one of those the configuration lists for the provider.
    pub redirect_uri: String,
    /// Scopes to ask for; those of the configuration if empty.
    pub scopes: Vec<String>,
    /// Whom the provider should suggest (`login_hint` of OpenID Connect Core 3.1.2.1).
    pub login_hint: Option<String>,
    /// What the user calls the device the session is on.
    pub device: Option<String>,
    /// Authentication context classes wanted, best first (`acr_values`).
    pub acr_values: Vec<String>,
    /// A session that this login renews: it keeps its reference, and the login fails if another user comes back.
    pub replaces: Option<SessionRef>,
}

/// Completes an authorization code flow. Repeating it within 60 seconds gives the same answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginComplete {
    /// The flow, as its begin answered.
    pub login_id: LoginId,
    /// The whole query with which the browser came back, without `?`: errors and `iss` are in it as well as `code`.
    #[serde(with = "secret::exposed")]
    pub callback_query: Secret,
}

/// Asks for a page of the sessions that the peer may see.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionsRequest {
    /// Only those at this provider.
    pub provider: Option<ProviderName>,
    /// Only those of this user.
    pub user: Option<UserName>,
    /// Continue behind this session: the `next` of the page before.
    pub cursor: Option<SessionRef>,
}

/// Asks for an access token that stays valid for a while, and that is good for something in particular.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenFor {
    /// Whose token is wanted.
    pub of: Holder,
    /// As in [`TokenRequest`].
    pub min_valid_seconds: Option<u32>,
    /// As in [`TokenRequest`].
    pub timeout_ms: Option<u32>,
    /// Scopes that the token must have, space separated (RFC 6749 section 3.3). It may have more.
    pub scope: Option<String>,
    /// The resource that the token must be for: one of those the configuration names for the provider (RFC 8707).
    pub resource: Option<String>,
}

/// What holds the token that is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Holder {
    /// A session.
    Session(Selector),
    /// A service account.
    Account(AccountName),
}

/// Begins a device flow (RFC 8628).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceBegin {
    /// Where to log in.
    pub provider: ProviderName,
    /// Scopes to ask for; those of the configuration if empty.
    pub scopes: Vec<String>,
    /// What the user calls the device the session is on.
    pub device: Option<String>,
    /// Authentication context classes wanted, best first (`acr_values`).
    pub acr_values: Vec<String>,
    /// A session that this login renews, as in [`LoginBegin`].
    pub replaces: Option<SessionRef>,
}

/// Waits for the user of a device flow. The daemon goes on polling whether anybody waits or not; repeating it within 60
/// seconds of the end gives the same answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceWait {
    /// The flow, as its begin answered.
    pub login_id: LoginId,
    /// Milliseconds to wait before [`Code::TryLater`](crate::Code::TryLater); the daemon's own limit if not given.
    pub timeout_ms: Option<u32>,
}

/// Asks for a page of what happened to a session, the newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryRequest {
    /// The session.
    pub session: SessionRef,
    /// Continue behind this entry: the `next` of the page before.
    pub cursor: Option<u64>,
}

/// Brings an identity that opens the keyring: of a recovery recipient, or a copy of the lost one. For root, and the daemon's own user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeysRecover {
    /// The age identity, as `age-keygen` writes it.
    #[serde(with = "secret::exposed")]
    pub identity: Secret,
}

/// Asks for the next page of the check of the store.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreVerify {
    /// Where the page before said to go on; from the beginning if it is not given.
    pub cursor: Option<String>,
}

/// Moves the store to another host, step by step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MoveOut {
    /// A backup, as a stream. Before its last part leaves, the store is fenced: nothing is served or refreshed from it any more.
    Begin,
    /// That backup is safe where it is to be.
    Confirm {
        /// Which one: the generation in its end.
        generation: u64,
    },
    /// That backup is used nowhere, and the store is used here again.
    Cancel,
}

/// Erases what is kept of somebody. It goes on when nobody asks any more, and over restarts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Erase {
    /// Begins it, or joins the one that is under way for the same.
    Begin(EraseBegin),
    /// How far it is, by its id.
    Progress(String),
}

/// Whom to erase, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EraseBegin {
    /// Whom.
    pub whom: Erased,
    /// Destroy the key of the records as well, so that nothing of before opens.
    pub forced: bool,
    /// Do not wait until the provider has revoked the tokens.
    pub at_once: bool,
}

/// Whom or what to erase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Erased {
    /// One session.
    Session(SessionRef),
    /// Everything of the user who is called so at a provider.
    User {
        /// Where.
        provider: ProviderName,
        /// The name.
        user: UserName,
    },
    /// Everything of a subject at a provider.
    Subject {
        /// Where.
        provider: ProviderName,
        /// `iss`; that of the provider's configuration if not given.
        issuer: Option<String>,
        /// `sub`.
        subject: String,
    },
}

/// Asks whether somebody may do something. About others it takes the `manage` action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explain {
    /// Who; the peer itself if not given.
    pub subject: Option<Subject>,
    /// The word of an action, as in `may` of a rule.
    pub action: String,
    /// On what.
    pub on: ExplainOn,
}

/// Somebody as rules see them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// The user; none, if only the unit matters.
    pub uid: Option<u32>,
    /// All groups.
    pub gids: Vec<u32>,
    /// The system service.
    pub unit: Option<String>,
}

/// What a judgement is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExplainOn {
    /// The daemon as a whole.
    Daemon,
    /// A provider.
    Provider(ProviderName),
    /// A session.
    Session(SessionRef),
    /// A service account.
    Account(AccountName),
}
