//! A login on its way through a browser: what is remembered of it until its user has come.

use serde::{Deserialize, Serialize};
use tokenkeeper_protocol::{LoginId, Secret, UnixSeconds, secret};

use super::Peer;

/// How the user of a login comes back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Way {
    /// With the browser, which brings a code (RFC 6749 section 4.1): a login that an older version began, which kept no issuer.
    Code(Flow),
    /// Not at all: the provider is asked until it knows who came (RFC 8628).
    Device(DeviceFlow),
    /// With the browser, which brings a code of this issuer (RFC 6749 section 4.1): no other gets to see it.
    CodeOf(String, Flow),
}

impl Way {
    /// What is asked for.
    pub fn scopes(&self) -> &[String] {
        match self {
            Self::Code(flow) | Self::CodeOf(_, flow) => &flow.scopes,
            Self::Device(flow) => &flow.scopes,
        }
    }

    /// What the tokens are to be presented to (RFC 8707).
    pub fn resource(&self) -> &[String] {
        match self {
            Self::Code(flow) | Self::CodeOf(_, flow) => &flow.resource,
            Self::Device(flow) => &flow.resource,
        }
    }

    /// The device flow, if it is one.
    pub fn device(&self) -> Option<&DeviceFlow> {
        match self {
            Self::Code(_) | Self::CodeOf(..) => None,
            Self::Device(flow) => Some(flow),
        }
    }

    /// The login through a browser, if it is one, and the issuer that it was begun at, as far as that is known.
    pub fn code(&self) -> Option<(&Flow, Option<&str>)> {
        match self {
            Self::Code(flow) => Some((flow, None)),
            Self::CodeOf(issuer, flow) => Some((flow, Some(issuer))),
            Self::Device(_) => None,
        }
    }
}

/// A login whose browser is on another device. It is kept sealed, so that a restart goes on asking for it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeviceFlow {
    /// Its id: the store knows it by a hash alone, and a restart has to find it.
    pub id: LoginId,
    /// Spent for tokens once the user has come. Never leaves the daemon but to the provider.
    #[serde(with = "secret::exposed")]
    pub device_code: Secret,
    /// The issuer that gave it: no other gets to see it.
    pub issuer: String,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// What the tokens are to be presented to (RFC 8707).
    pub resource: Vec<String>,
    /// Who began it. The process may be gone when the user comes, and the rules are asked about it all the same.
    pub peer: Peer,
    /// Seconds between two questions. The provider may make them more.
    pub interval: u32,
    /// Why no session came of it, for whoever waits for one.
    pub failure: Option<DeviceFailure>,
}

/// Why a device flow ended without a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceFailure {
    /// It did not succeed: another one may.
    Failed(String),
    /// An administrator must act first.
    Misconfigured(String),
}

impl DeviceFailure {
    /// Whether these words are in it.
    pub fn says(&self, words: &str) -> bool {
        let (Self::Failed(why) | Self::Misconfigured(why)) = self;
        why.contains(words)
    }
}

/// A login under way. It is kept sealed, so that a restart loses none.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Flow {
    /// Comes back with the browser: shows that the callback belongs to this flow (RFC 6749 section 10.12).
    #[serde(with = "secret::exposed")]
    pub state: Secret,
    /// Comes back in the ID token: shows that it was made for this flow.
    #[serde(with = "secret::exposed")]
    pub nonce: Secret,
    /// Sent with the code: shows that it is spent by who began the flow (RFC 7636).
    #[serde(with = "secret::exposed")]
    pub verifier: Secret,
    /// Where the browser comes back to.
    pub redirect_uri: String,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// Whom the provider should suggest.
    pub login_hint: Option<String>,
    /// Authentication context classes wanted, best first.
    pub acr_values: Vec<String>,
    /// What the tokens are to be presented to (RFC 8707).
    pub resource: Vec<String>,
    /// When it began.
    pub begun_at: UnixSeconds,
}

impl Flow {
    /// What nobody may see of it.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        [&self.state, &self.nonce, &self.verifier].into_iter()
    }
}
