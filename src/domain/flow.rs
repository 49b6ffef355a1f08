//! A login on its way through a browser: what is remembered of it until the browser comes back.

use serde::{Deserialize, Serialize};
use tokenkeeper_protocol::{Secret, UnixSeconds, secret};

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
