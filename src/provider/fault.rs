//! Everything that can go wrong between this machine and a provider, one sentence each.
//!
//! A fault is plain data that can be kept and compared: it is remembered by health and by the caches. It never holds a
//! secret: no URL with a query, no body, and what the provider says has had what was sent struck out.

use std::fmt;
use std::time::Duration;

use super::Handshake;

/// What a request was made to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// `/.well-known/openid-configuration`.
    Discovery,
    /// `jwks_uri`.
    Keys,
    /// RFC 6749 section 3.2.
    Token,
    /// Tells who the user is.
    Userinfo,
    /// RFC 7009.
    Revocation,
    /// RFC 8628 section 3.1.
    Device,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Discovery => "the discovery document",
            Self::Keys => "the key set",
            Self::Token => "the token endpoint",
            Self::Userinfo => "the userinfo endpoint",
            Self::Revocation => "the revocation endpoint",
            Self::Device => "the device authorization endpoint",
        })
    }
}

/// Something went wrong with a provider.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Its name has no address.
    #[error("cannot find {host}: {cause}; check the name, and the DNS of this machine")]
    Dns {
        /// Which.
        host: String,
        /// In the resolver's words.
        cause: String,
    },
    /// Nothing answers there.
    #[error("cannot connect to {host}: {cause}; check that it runs, and that no firewall is in between")]
    Connect {
        /// Where.
        host: String,
        /// In the system's words.
        cause: String,
    },
    /// It is not who it should be, or speaks no TLS that we do.
    #[error("no secure connection to {host}: {cause}")]
    Tls {
        /// Who.
        host: String,
        /// What went wrong.
        cause: Handshake,
    },
    /// The request was sent, and no complete answer came in time.
    #[error("no complete answer from {host} within {seconds} s")]
    Timeout {
        /// From whom.
        host: String,
        /// The configured limit.
        seconds: u64,
    },
    /// The connection broke after the request may have been sent.
    #[error("the connection to {host} broke before its answer was complete: {cause}")]
    Broken {
        /// Which.
        host: String,
        /// In the library's words.
        cause: String,
    },
    /// It has too much to do, and says so.
    #[error("{place} asks to wait{} (HTTP {status})", span(*retry_after))]
    Busy {
        /// Who answered.
        place: Place,
        /// What.
        status: u16,
        /// For how long, if it said so.
        retry_after: Option<Duration>,
    },
    /// There is nothing at the address of an endpoint.
    #[error("{place} is not where it is looked for (HTTP {status}); correct {}", whereabouts(*place))]
    NotThere {
        /// What was looked for.
        place: Place,
        /// What was answered.
        status: u16,
    },
    /// An HTTP status that says no, without an OAuth error that says why.
    #[error("{place} answered HTTP {status} without saying why{}", hint(*place, *status))]
    Status {
        /// Who answered.
        place: Place,
        /// What.
        status: u16,
    },
    /// An HTTP status that says no, and no telling why.
    #[error("{place} answered HTTP {status}, and its reason could not be read: {why}")]
    Unread {
        /// Who answered.
        place: Place,
        /// What.
        status: u16,
        /// What went wrong with the rest of the answer.
        why: Box<Fault>,
    },
    /// A redirect. None is followed: credentials go where the configuration says, and nowhere else.
    #[error("{place} answered HTTP {status}, a redirect, which is not followed; correct its address")]
    Redirect {
        /// Who answered.
        place: Place,
        /// What.
        status: u16,
    },
    /// An OAuth error (RFC 6749 section 5.2).
    #[error("{place} answered {}", said(error, description.as_deref()))]
    Said {
        /// Who answered.
        place: Place,
        /// `error`.
        error: String,
        /// `error_description`.
        description: Option<String>,
    },
    /// An error at a refresh of which no standard says that the refresh token is no good.
    #[error("{} answered {}; if it means that a login is needed, name it in refused", Place::Token, words(error, description.as_deref()))]
    Unfamiliar {
        /// `error`.
        error: String,
        /// `error_description`.
        description: Option<String>,
    },
    /// A bad request, at a refresh, and not a word about what was bad.
    #[error(
        "{} answered HTTP 400 without saying why; if it means that a login is needed, name it in refused_status",
        Place::Token
    )]
    Unexplained,
    /// A compressed body, though none was asked for.
    #[error(
        "{place} answered with a body compressed by {encoding}, which was not asked for; look for a proxy in between"
    )]
    Compressed {
        /// Who answered.
        place: Place,
        /// `Content-Encoding`.
        encoding: String,
    },
    /// A body of another type than JSON.
    #[error("{place} answered with {content_type} instead of JSON; check its address, and look for a proxy in between")]
    ContentType {
        /// Who answered.
        place: Place,
        /// `Content-Type`, or what stands for it.
        content_type: String,
    },
    /// No body at all.
    #[error("{place} gave an empty answer")]
    Empty {
        /// Who answered.
        place: Place,
    },
    /// A body that claims to be JSON and is not what it should be.
    #[error("{place} answered with JSON that is broken or of the wrong shape")]
    NotJson {
        /// Who answered.
        place: Place,
    },
    /// A body over the limit.
    #[error("{place} answered with more than {limit} bytes")]
    BodyTooLarge {
        /// Who answered.
        place: Place,
        /// The limit.
        limit: usize,
    },
    /// A member that must be there is not, or is of no use.
    #[error("{place} gave no usable {member}")]
    Missing {
        /// Who answered.
        place: Place,
        /// What.
        member: &'static str,
    },
    /// Another issuer than the configured one (RFC 8414 section 3.3).
    #[error(
        "the discovery document is of issuer {found:?}, but {expected:?} is configured; they must be the same to the letter"
    )]
    IssuerMismatch {
        /// The configured one.
        expected: String,
        /// The one that answered.
        found: String,
    },
    /// An endpoint that credentials may not be sent to.
    #[error("{member} of the discovery document is no https URL")]
    Insecure {
        /// Which.
        member: &'static str,
    },
    /// A token that is too large to be kept.
    #[error("{which} of {bytes} bytes is too large; {limit} are accepted")]
    TokenTooLarge {
        /// Which.
        which: &'static str,
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// An ID token that is not what it should be, in words.
    #[error("{0}")]
    IdToken(String),
    /// The ID token of a refresh is of this, and not of the session's login: only a login helps if it stays so.
    #[error("the refresh brought an ID token of {0}; its tokens are not used")]
    AnotherLogin(&'static str),
    /// The userinfo endpoint speaks of another user than the ID token (OpenID Connect Core 5.3.2).
    #[error("the userinfo endpoint speaks of another user than the ID token")]
    AnotherUser,
    /// The session is of another issuer than the provider has now: its refresh token is not for this one to see.
    #[error(
        "the session was opened at {opened_at}, but {configured} is configured now; its refresh token is not sent there"
    )]
    AnotherIssuer {
        /// That of the session.
        opened_at: String,
        /// That of the provider.
        configured: String,
    },
    /// Nothing in the configuration says how this is asked of the provider.
    #[error("this provider has no {operation} in the configuration")]
    NoOperation {
        /// What is not described.
        operation: &'static str,
    },
    /// A value does not fit into the header that the configuration wants it in.
    #[error("a value for {place} cannot stand in an HTTP header, where the configuration puts it")]
    Unsendable {
        /// To whom it was to go.
        place: Place,
    },
    /// The provider ends sessions by a valid access token, and there is none any more.
    #[error(
        "the access token expired before the provider could be told with it; the refresh token lives on there until it expires"
    )]
    SignOutTooLate,
    /// The provider can only end all sessions of a user, and nobody asked for that.
    #[error("the provider was not told: a sign-out there would end the user's other sessions too")]
    EndsOthers,
    /// A try that was safe when it was begun is not any more.
    #[error("the request could not be sent before the time was over in which a lost answer is forgiven")]
    TooLate,
    /// There is no refresh token to spend.
    #[error("the session has no refresh token")]
    NoRefreshToken,
}

impl Fault {
    /// Whether it stays until somebody changes the configuration, here or at the provider.
    pub fn needs_administrator(&self) -> bool {
        matches!(
            self,
            Self::IssuerMismatch { .. }
                | Self::Insecure { .. }
                | Self::Redirect { .. }
                | Self::NotThere { .. }
                | Self::NoOperation { .. }
                | Self::Unsendable { .. }
                | Self::Missing { place: Place::Discovery, .. }
        ) || matches!(self, Self::Tls { cause, .. } if cause.is_lasting())
    }

    /// Whether it was found here, and nothing was asked of the provider.
    pub(super) fn is_of_this_side(&self) -> bool {
        matches!(
            self,
            Self::AnotherIssuer { .. } | Self::NoOperation { .. } | Self::Unsendable { .. } | Self::NoRefreshToken
        )
    }

    /// Whether it says that the provider does not know us, whatever we ask.
    pub(super) fn rejects_client(&self) -> bool {
        matches!(self, Self::Said { error, .. } if matches!(error.as_str(), "invalid_client" | "incorrect_client_credentials"))
    }

    /// The same when some of the wait is over.
    pub(super) fn later(&self, waited: Duration) -> Self {
        match *self {
            Self::Busy { place, status, retry_after: Some(wait) } => {
                Self::Busy { place, status, retry_after: Some(wait.saturating_sub(waited)) }
            }
            _ => self.clone(),
        }
    }

    /// How long to wait before another try, if the provider said so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// How the secret is presented is a matter of the registration at some providers, and of taste at others.
const CHECK_CLIENT: &str = "; check client_id, client_secret and client_authentication";

/// What to look at where nothing but a status came.
fn hint(place: Place, status: u16) -> &'static str {
    let is_about_us = status == 401 && matches!(place, Place::Token | Place::Revocation | Place::Device);
    if is_about_us { CHECK_CLIENT } else { "" }
}

/// An OAuth error in words, with what to look at where the error tells.
pub(super) fn said(error: &str, description: Option<&str>) -> String {
    let advice = match error {
        // The second is GitHub's name for it.
        "invalid_client" | "incorrect_client_credentials" => CHECK_CLIENT,
        "unauthorized_client" => "; this client is not registered for this kind of login, or its secret is wrong",
        "invalid_scope" => "; check scopes",
        _ => "",
    };
    format!("{}{advice}", words(error, description))
}

/// The same without advice.
pub(super) fn words(error: &str, description: Option<&str>) -> String {
    let description = description.map_or_else(String::new, |description| format!(" ({description})"));
    format!("{error}{description}")
}

fn span(wait: Option<Duration>) -> String {
    wait.map_or_else(String::new, |wait| format!(" {} s", wait.as_secs()))
}

/// The keys of the configuration that say where something is.
fn whereabouts(place: Place) -> &'static str {
    match place {
        Place::Discovery => "issuer, or configure the endpoints with kind = \"oauth2\"",
        Place::Device | Place::Keys | Place::Token | Place::Userinfo | Place::Revocation => {
            "the provider's address for it"
        }
    }
}
