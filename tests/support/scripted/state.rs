//! What the scripted provider knows, and what it was told to do.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Condvar, Mutex};

use data_encoding::HEXLOWER;
use nix::unistd::Pid;

use super::super::http::Received;
use super::oracle::{Oracle, Rotation};

/// Something that goes wrong with one request.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// The connection closes, and nothing was done.
    DropBefore,
    /// Everything was done, and the answer is lost.
    DropAfter,
    /// Waits for [`release`](super::ScriptedProvider::release), then goes on as usual.
    Hold,
    /// The same, and is not even looked at before: as if who should read it had no time.
    Unread,
    /// Nothing was done; this is the answer. An HTML page unless the text is JSON.
    Answer(u16, String),
    /// The same, with a `Retry-After` of so many seconds.
    RetryAfter(u16, u32),
    /// The same, with the time that so many seconds from now will be.
    RetryAt(u16, u32),
    /// Nothing was done; this is the answer, with these headers.
    Reply(u16, &'static [(&'static str, &'static str)], &'static str),
    /// Announces more than it sends, then closes the connection.
    CutShort,
    /// Everything was done, and the answer ends in its middle.
    CutAfter,
    /// Nothing was done, and an answer with this status and body ends in its middle.
    CutError(u16, &'static str),
    /// Nothing was done, and the client is killed.
    KillBefore(Pid),
    /// Everything was done, and the client is killed before it hears of it.
    KillAfter(Pid),
    /// A body without an end.
    Endless,
    /// Everything was done; the answer comes byte by byte, each so many milliseconds after the other.
    Drip(u64),
    /// Everything was done; the answer comes so many milliseconds later.
    Late(u64),
    /// A compressed body of a few kilobytes that is ten megabytes large.
    Bomb,
    /// Nothing was done; an OAuth error that quotes what was sent.
    Quote(u16, &'static str),
    /// Nothing was done; an OAuth error, or a page where there is none, that quotes what was sent in headers and in disguise.
    Parrot(u16, &'static str),
    /// Everything is done, and the JSON of the answer changed.
    Alter(fn(&mut serde_json::Value)),
    /// Everything is done, and the JSON of the answer written in another way, which is called this.
    Rewrite(&'static str, fn(serde_json::Value) -> String),
}

/// Something that the provider says although it is not so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    /// The ID token names another issuer.
    Issuer,
    /// The ID token is for another client.
    Audience,
    /// The signature of the ID token does not fit.
    Signature,
    /// The ID token is not signed at all: `alg` is `none`.
    Unsigned,
    /// The ID token belongs to another login.
    Nonce,
    /// The ID token is long expired.
    Expired,
    /// The ID token is issued tomorrow.
    FromTheFuture,
    /// `at_hash` belongs to another access token.
    AccessTokenHash,
    /// The ID token has a picture that is no text.
    OddClaim,
    /// The ID token of a refresh names another user.
    SubjectOnRefresh,
    /// The browser comes back with another `iss` (RFC 9207).
    CallbackIssuer,
    /// The browser comes back with another `state`.
    State,
    /// The browser comes back with `error=access_denied`.
    AccessDenied,
    /// The browser comes back with `error=invalid_scope`, as from a provider that does not know `offline_access`.
    InvalidScope,
    /// Discovery names another issuer (RFC 8414 section 3.3).
    DiscoveryIssuer,
    /// The discovery document comes with a `Date` that is so many seconds ahead.
    Date(i64),
    /// No ID token at all.
    NoIdToken,
}

/// The state and its bell.
pub(super) struct Shared {
    pub(super) state: Mutex<State>,
    pub(super) changed: Condvar,
}

/// A login that was begun.
pub(super) struct Grant {
    pub(super) user: String,
    pub(super) nonce: Option<String>,
    pub(super) challenge: Option<String>,
    pub(super) redirect_uri: String,
    pub(super) scope: String,
}

/// What the user of a device code has done.
#[derive(Clone)]
pub(super) enum DeviceUser {
    Nothing,
    LoggedIn(String),
    Refused,
}

pub(super) struct State {
    pub(super) issuer: String,
    pub(super) access_life: u64,
    pub(super) rotation: Rotation,
    pub(super) oracle: Oracle,
    /// A refresh kills the access tokens before it.
    pub(super) kills_access: bool,
    /// More claims of every ID token.
    pub(super) claims: BTreeMap<String, String>,
    pub(super) lie: Option<Lie>,
    pub(super) down: bool,
    /// Connections that were accepted and are not done with.
    pub(super) open: usize,
    pub(super) released: bool,
    pub(super) faults: HashMap<String, VecDeque<Fault>>,
    /// Faults that came to pass.
    pub(super) faulted: usize,
    pub(super) requests: Vec<(String, Received)>,
    pub(super) codes: HashMap<String, Grant>,
    /// How long device codes are good, if there are any.
    pub(super) device_life: Option<u64>,
    /// Device codes: what was asked for, and what their user did.
    pub(super) device_codes: BTreeMap<String, (String, DeviceUser)>,
    /// Access tokens and their users.
    pub(super) access_tokens: BTreeMap<String, String>,
    /// Refresh tokens, their users and scopes.
    pub(super) refresh_tokens: BTreeMap<String, (String, String)>,
    pub(super) secrets: Vec<String>,
    /// By user: the access, refresh and ID token that came last.
    pub(super) newest: BTreeMap<String, [String; 3]>,
}

impl Shared {
    pub(super) fn new(issuer: &str) -> Self {
        let state = State {
            issuer: issuer.to_owned(),
            access_life: 3600,
            rotation: Rotation::Silent,
            oracle: Oracle::default(),
            kills_access: false,
            claims: BTreeMap::new(),
            lie: None,
            down: false,
            open: 0,
            released: false,
            faults: HashMap::new(),
            faulted: 0,
            requests: vec![],
            codes: HashMap::new(),
            device_life: None,
            device_codes: BTreeMap::new(),
            access_tokens: BTreeMap::new(),
            refresh_tokens: BTreeMap::new(),
            secrets: vec![],
            newest: BTreeMap::new(),
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }
}

impl State {
    /// A fresh secret, remembered so that a test can look where it went.
    pub(super) fn secret(&mut self, kind: &str) -> String {
        let secret = format!("{kind}-{}", HEXLOWER.encode(&rand::random::<[u8; 16]>()));
        self.secrets.push(secret.clone());
        secret
    }
}
