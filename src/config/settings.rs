//! What the configuration says, once it is known to make sense. Plain values: whoever holds them need not check again.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokenkeeper_protocol::{AccountName, ProviderName, Secret};

use super::custom::{CustomSettings, IdTokenRule, Keys};
use crate::policy::Rules;

/// The whole configuration, as one immutable value.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where things are.
    pub daemon: DaemonSettings,
    /// Every provider by its name.
    pub providers: BTreeMap<ProviderName, Arc<ProviderSettings>>,
    /// Every service account by its name.
    pub accounts: BTreeMap<AccountName, Arc<AccountSettings>>,
    /// Who may do what.
    pub rules: Rules,
    /// When the jobs run.
    pub schedule: ScheduleSettings,
    /// Where audit records go.
    pub audit: AuditTarget,
}

/// `[daemon]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonSettings {
    /// Directory of the store and its keyring; only the daemon may enter it.
    pub state_dir: PathBuf,
    /// The socket, unless systemd hands one over.
    pub socket: PathBuf,
    /// The HTTP socket, unless systemd hands one over; none if it is turned off.
    pub http_socket: Option<PathBuf>,
    /// Where metrics are served over TCP, on loopback; none if nowhere.
    pub metrics_listen: Option<SocketAddr>,
    /// Where the identity is when systemd hands over no credential.
    pub identity_file: PathBuf,
    /// Where the generation of the store is anchored beside the state directory: best on another file system.
    pub anchor_file: Option<PathBuf>,
    /// Age recipients that can open the keyring when the identity is lost.
    pub recovery_recipients: Vec<String>,
    /// Age recipients that backups are encrypted to.
    pub backup_recipients: Vec<String>,
    /// Sessions whose current token is kept in memory.
    pub cache_sessions: u64,
}

/// `[schedule]`: cron lines of six fields (seconds first), in the local time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleSettings {
    /// The safety net behind the due timer.
    pub sweep: String,
    /// Ends and removes sessions that are too old.
    pub prune: String,
    /// Looks at every record of the store.
    pub scrub: String,
    /// How long a session that is over stays visible.
    pub retention: Duration,
    /// Begins a new epoch of the record keys; never by itself, if none.
    pub rotate_keys: Option<String>,
    /// Records that are sealed anew in a second, at most.
    pub reseal_rate: u64,
}

/// `[audit]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditTarget {
    /// The local syslog socket in BSD form (RFC 3164), usually `/dev/log`.
    Local(PathBuf),
    /// A datagram socket that a syslog daemon reads itself, in RFC 5424 form.
    UnixDatagram(PathBuf),
    /// UDP in RFC 5424 form, `host:port`.
    Udp(String),
    /// TCP in RFC 5424 form with octet counting (RFC 6587), `host:port`.
    Tcp(String),
}

/// `[provider.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderSettings {
    /// Its name.
    pub name: ProviderName,
    /// How it is found and spoken to.
    pub kind: ProviderKind,
    /// Our registration.
    pub client_id: String,
    /// Its secret; none for a public client.
    pub client_secret: Option<Secret>,
    /// How the secret is presented.
    pub client_authentication: ClientAuthentication,
    /// Where browsers may be sent back to.
    pub redirect_uris: Vec<RedirectUri>,
    /// What is asked for at login unless the peer says otherwise.
    pub scopes: Vec<String>,
    /// What tokens are to be presented to (RFC 8707); with none, the provider decides.
    pub resource: Vec<String>,
    /// What is sent to the authorization endpoint beside what the standards want. An empty `prompt` says that none is sent.
    pub authorization_parameters: Vec<(String, String)>,
    /// Errors of a refresh that say that the refresh token is worth nothing any more, beside those of the standards.
    pub refused: Vec<String>,
    /// Statuses that say so where there is no error.
    pub refused_status: Vec<u16>,
    /// The claim that names a user; `sub` is used where it is missing.
    pub user_name_claim: String,
    /// The greatest age of a session.
    pub max_age: Duration,
    /// Per cent of a token's life after which it is refreshed.
    pub refresh_at_percent: u8,
    /// Which sessions are refreshed ahead of need; decided by the token's life if not said.
    pub refresh: Option<RefreshMode>,
    /// Whether a refresh brings another refresh token; what is seen decides if not said.
    pub rotates: Option<bool>,
    /// How long the provider accepts a spent refresh token again.
    pub reuse_grace: Duration,
    /// How long a refresh token lives that nobody uses; what the provider tells if not said.
    pub refresh_token_idle: Option<Duration>,
    /// The life of an access token when the provider does not tell.
    pub default_life: Duration,
    /// A certificate authority beside those of the system.
    pub ca_file: Option<PathBuf>,
    /// An HTTP proxy; the environment's are not used.
    pub proxy: Option<String>,
    /// The longest time for one request to the provider.
    pub timeout: Duration,
    /// How much is asked of it at once.
    pub courtesy: Courtesy,
}

/// How much is asked of a provider at once, by the schedule and by callers together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Courtesy {
    /// Requests on their way at the same time; at least one.
    pub concurrency: usize,
    /// Requests in a minute, evenly spread; any number if not said.
    pub per_minute: Option<u32>,
}

impl Courtesy {
    /// The time between two requests.
    pub fn gap(&self) -> Duration {
        self.per_minute.map_or(Duration::ZERO, |number| Duration::from_mins(1) / number.max(1))
    }
}

/// `[service_account.NAME]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountSettings {
    /// Its name.
    pub name: AccountName,
    /// Where its tokens come from, and whose client it is.
    pub provider: ProviderName,
    /// What is asked for; with none, the provider decides.
    pub scopes: Vec<String>,
    /// What its tokens are to be presented to (RFC 8707).
    pub resource: Vec<String>,
}

/// How a provider is found and spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProviderKind {
    /// OpenID Connect: everything is discovered from the issuer.
    Oidc {
        /// Byte for byte as the provider writes it (RFC 8414 section 3.3).
        issuer: String,
        /// RFC 7009, where discovery does not tell it.
        revocation: Option<String>,
        /// RFC 8628 section 3.1, where discovery does not tell it.
        device: Option<String>,
    },
    /// OAuth 2.0 without discovery.
    Oauth2(Endpoints),
    /// By no standard: every request is described.
    Custom(Box<CustomSettings>),
}

impl ProviderKind {
    /// Whether a sign-out at the provider ends all sessions that the user has there.
    pub fn sign_out_ends_user(&self) -> bool {
        matches!(self, Self::Custom(custom) if custom.sign_out_ends_user)
    }

    /// A file with the keys that ID tokens are verified with.
    pub fn keys_file(&self) -> Option<&PathBuf> {
        match self {
            Self::Custom(custom) => match &custom.id_token {
                IdTokenRule::Verified(Keys::File(path)) => Some(path),
                _ => None,
            },
            Self::Oidc { .. } | Self::Oauth2(_) => None,
        }
    }

    /// What stands for `iss` in the identity of a user.
    pub fn issuer(&self) -> &str {
        match self {
            Self::Oidc { issuer, .. } => issuer,
            Self::Oauth2(endpoints) => &endpoints.issuer,
            Self::Custom(custom) => &custom.issuer,
        }
    }
}

/// The endpoints of an OAuth 2.0 provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// RFC 6749 section 3.1.
    pub authorization: String,
    /// RFC 6749 section 3.2.
    pub token: String,
    /// Tells who the user is: a JSON object.
    pub userinfo: String,
    /// The member of that object that never changes for a user.
    pub subject_claim: String,
    /// RFC 7009, if there is one.
    pub revocation: Option<String>,
    /// RFC 8628 section 3.1, if there is one.
    pub device: Option<String>,
    /// What stands for `iss` in a user's identity; checked against `iss` of the callback where that comes (RFC 9207).
    pub issuer: String,
}

/// How the client secret is presented (RFC 6749 section 2.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuthentication {
    /// `client_secret_basic`.
    Basic,
    /// `client_secret_post`.
    Post,
    /// A public client.
    None,
}

/// Where a browser may be sent back to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedirectUri {
    /// This, byte for byte.
    Exact(String),
    /// Any port and path on a loopback IP literal (RFC 8252 section 7.3).
    Loopback,
}

/// Which sessions are refreshed ahead of need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshMode {
    /// All.
    Always,
    /// Those that were asked for in the last 24 hours.
    WhenUsed,
}
