//! What a peer can ask for. A type number, once given, keeps its meaning and its layout for ever.

use serde::{Deserialize, Serialize};

use crate::id::{LoginId, ProviderName, SessionRef, UserName};
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
