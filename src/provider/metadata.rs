//! What a provider says of itself: its endpoints, from discovery (OpenID Connect Discovery 4, RFC 8414) or the configuration.

use std::sync::Arc;

use serde::Deserialize;
use tokenkeeper_protocol::UnixSeconds;

use super::cache::Cached;
use super::health::Record;
use super::http::Http;
use super::url::SafeUrl;
use super::words::harmless;
use super::{Fault, Place, SetupError};
use crate::config::settings::{Endpoints, ProviderKind};

/// The endpoints of a provider, each one fit to be spoken to.
#[derive(Debug)]
pub(super) struct Metadata {
    pub(super) issuer: String,
    pub(super) authorization: SafeUrl,
    pub(super) token: SafeUrl,
    /// The key set; there is one exactly if the provider speaks OpenID Connect.
    pub(super) keys: Option<SafeUrl>,
    pub(super) userinfo: Option<SafeUrl>,
    pub(super) revocation: Option<SafeUrl>,
    pub(super) device: Option<SafeUrl>,
    pub(super) end_session: Option<SafeUrl>,
    /// The provider puts `iss` into every callback (RFC 9207 section 3): one without is not from it.
    pub(super) callback_has_issuer: bool,
}

/// Where the metadata comes from.
#[derive(Debug)]
pub(super) enum Source {
    /// From the provider itself.
    Discovered {
        /// As configured.
        issuer: String,
        /// Of the document.
        url: SafeUrl,
        /// What it has and does not tell.
        untold: Box<Untold>,
        /// What it said last.
        document: Box<Cached<Metadata>>,
    },
    /// From the configuration.
    Fixed(Arc<Metadata>),
}

/// The endpoints of a provider that has them and does not say so.
#[derive(Debug)]
pub(super) struct Untold {
    revocation: Option<SafeUrl>,
    device: Option<SafeUrl>,
}

impl Source {
    /// The source for `kind`.
    pub(super) fn new(kind: &ProviderKind) -> Result<Self, SetupError> {
        Ok(match kind {
            ProviderKind::Oidc { issuer, revocation, device } => Self::Discovered {
                issuer: issuer.clone(),
                url: well_known(issuer)?,
                untold: Box::new(Untold {
                    revocation: revocation.as_ref().map(|url| safe("revocation endpoint", url)).transpose()?,
                    device: device.as_ref().map(|url| safe("device authorization endpoint", url)).transpose()?,
                }),
                document: Box::default(),
            },
            ProviderKind::Oauth2(endpoints) => Self::Fixed(Arc::new(configured(endpoints)?)),
        })
    }

    /// The metadata, fetched through `http` when none is at hand; how that went is put on `record`.
    pub(super) async fn metadata(
        &self,
        http: &Http,
        record: &Record,
        now: UnixSeconds,
    ) -> Result<Arc<Metadata>, Fault> {
        match self {
            Self::Fixed(metadata) => Ok(Arc::clone(metadata)),
            Self::Discovered { issuer, url, untold, document } => {
                let fetch = async {
                    let answer = http.get(Place::Discovery, url, None, now).await?;
                    let said = answer.ok_json::<Document>()?.check(issuer)?;
                    let revocation = said.revocation.or_else(|| untold.revocation.clone());
                    let device = said.device.or_else(|| untold.device.clone());
                    Ok(Metadata { revocation, device, ..said })
                };
                let recorded = async {
                    let outcome = fetch.await;
                    match &outcome {
                        Ok(_) => record.succeeded(now),
                        Err(fault) => record.failed(now, fault),
                    }
                    outcome
                };
                document.obtain(now, recorded).await
            }
        }
    }
}

/// OpenID Connect Discovery 4: a slash that ends the issuer is dropped before the path is added.
fn well_known(issuer: &str) -> Result<SafeUrl, SetupError> {
    let base = issuer.strip_suffix('/').unwrap_or(issuer);
    let url = SafeUrl::parse(&format!("{base}/.well-known/openid-configuration"));
    let plain = !issuer.contains(['?', '#']);
    url.filter(|_| plain).ok_or_else(|| SetupError::Insecure { key: "issuer", value: issuer.to_owned() })
}

fn configured(endpoints: &Endpoints) -> Result<Metadata, SetupError> {
    Ok(Metadata {
        issuer: endpoints.issuer.clone(),
        authorization: safe("authorization endpoint", &endpoints.authorization)?,
        token: safe("token endpoint", &endpoints.token)?,
        keys: None,
        userinfo: Some(safe("userinfo endpoint", &endpoints.userinfo)?),
        revocation: endpoints.revocation.as_ref().map(|url| safe("revocation endpoint", url)).transpose()?,
        device: endpoints.device.as_ref().map(|url| safe("device authorization endpoint", url)).transpose()?,
        end_session: None,
        callback_has_issuer: false,
    })
}

fn safe(key: &'static str, value: &str) -> Result<SafeUrl, SetupError> {
    SafeUrl::parse(value).ok_or_else(|| SetupError::Insecure { key, value: value.to_owned() })
}

/// The discovery document: what is used of it.
#[derive(Deserialize)]
struct Document {
    issuer: Option<String>,
    authorization_endpoint: Option<String>,
    token_endpoint: Option<String>,
    jwks_uri: Option<String>,
    userinfo_endpoint: Option<String>,
    revocation_endpoint: Option<String>,
    device_authorization_endpoint: Option<String>,
    end_session_endpoint: Option<String>,
    authorization_response_iss_parameter_supported: Option<bool>,
}

impl Document {
    fn check(self, expected: &str) -> Result<Metadata, Fault> {
        let issuer = self.issuer.ok_or(missing("issuer"))?;
        if issuer != expected {
            return Err(Fault::IssuerMismatch { expected: expected.to_owned(), found: harmless(&issuer, &[]) });
        }
        Ok(Metadata {
            issuer,
            authorization: required("authorization_endpoint", self.authorization_endpoint)?,
            token: required("token_endpoint", self.token_endpoint)?,
            keys: Some(required("jwks_uri", self.jwks_uri)?),
            userinfo: optional("userinfo_endpoint", self.userinfo_endpoint)?,
            revocation: optional("revocation_endpoint", self.revocation_endpoint)?,
            device: optional("device_authorization_endpoint", self.device_authorization_endpoint)?,
            end_session: optional("end_session_endpoint", self.end_session_endpoint)?,
            callback_has_issuer: self.authorization_response_iss_parameter_supported.unwrap_or(false),
        })
    }
}

fn missing(member: &'static str) -> Fault {
    Fault::Missing { place: Place::Discovery, member }
}

fn required(member: &'static str, url: Option<String>) -> Result<SafeUrl, Fault> {
    optional(member, url)?.ok_or(missing(member))
}

/// An endpoint that is there but not safe is a fault, not a missing endpoint: it should be told, not worked around.
fn optional(member: &'static str, url: Option<String>) -> Result<Option<SafeUrl>, Fault> {
    url.map(|url| SafeUrl::parse(&url).ok_or(Fault::Insecure { member })).transpose()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(changes: &[(&str, serde_json::Value)]) -> Result<Metadata, Fault> {
        let mut document = json!({
            "issuer": "https://id.example",
            "authorization_endpoint": "https://id.example/auth",
            "token_endpoint": "https://id.example/token",
            "jwks_uri": "https://id.example/jwks",
        });
        for (member, value) in changes {
            document[member] = value.clone();
        }
        serde_json::from_value::<Document>(document).expect("a document").check("https://id.example")
    }

    #[test]
    fn a_document_needs_little() {
        let metadata = check(&[]).expect("metadata");
        assert_eq!(metadata.revocation, None);
        assert!(!metadata.callback_has_issuer);
    }

    #[test]
    fn the_issuer_must_be_the_same_to_the_letter() {
        for other in ["https://id.example/", "https://ID.example", "https://evil.example"] {
            let expected = "https://id.example".to_owned();
            let fault = check(&[("issuer", other.into())]).expect_err("a fault");
            assert_eq!(fault, Fault::IssuerMismatch { expected, found: other.to_owned() });
        }
        assert_eq!(check(&[("issuer", json!(null))]).expect_err("a fault"), missing("issuer"));
    }

    #[test]
    fn endpoints_in_the_clear_are_refused_even_where_they_are_optional() {
        for member in ["token_endpoint", "jwks_uri", "revocation_endpoint", "device_authorization_endpoint"] {
            let fault = check(&[(member, "http://id.example/x".into())]).expect_err("a fault");
            assert_eq!(fault.to_string(), format!("{member} of the discovery document is no https URL"));
        }
        assert_eq!(check(&[("token_endpoint", json!(null))]).expect_err("a fault"), missing("token_endpoint"));
    }

    #[test]
    fn the_document_is_looked_for_below_the_issuer() {
        let url = |issuer| well_known(issuer).map(|url| url.url().to_string()).map_err(|error| error.to_string());
        assert_eq!(url("https://a.example/t/").as_deref(), Ok("https://a.example/t/.well-known/openid-configuration"));
        assert_eq!(url("https://a.example/t").as_deref(), Ok("https://a.example/t/.well-known/openid-configuration"));
        assert!(url("http://a.example").is_err());
        assert!(url("https://a.example/?x").is_err());
    }
}
