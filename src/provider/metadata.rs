//! What a provider says of itself: its endpoints, from discovery (OpenID Connect Discovery 4, RFC 8414) or the configuration.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use openidconnect::core::CoreJsonWebKeySet;
use serde::Deserialize;
use tokenkeeper_protocol::{Secret, UnixSeconds};

use super::cache::Cached;
use super::health::Record;
use super::http::Http;
use super::loose::{Loose, Truth};
use super::secrets::Secrets;
use super::url::SafeUrl;
use super::{Fault, Place, SetupError};
use crate::config::custom::{CustomSettings, IdTokenRule, Keys, Operation};
use crate::config::settings::{Endpoints, ProviderKind};

/// The endpoints of a provider, each one fit to be spoken to.
#[derive(Debug)]
pub(super) struct Metadata {
    pub(super) issuer: String,
    pub(super) authorization: SafeUrl,
    pub(super) token: SafeUrl,
    /// What ID tokens are proven by; there is nothing exactly if they are of no use here.
    pub(super) proof: Option<Proof>,
    pub(super) userinfo: Option<SafeUrl>,
    pub(super) revocation: Option<SafeUrl>,
    pub(super) device: Option<SafeUrl>,
    pub(super) end_session: Option<SafeUrl>,
    /// The provider puts `iss` into every callback (RFC 9207 section 3): one without is not from it.
    pub(super) callback_has_issuer: bool,
}

/// What shows that an ID token is the provider's.
#[derive(Debug)]
pub(super) enum Proof {
    /// The keys that it publishes there.
    Published(SafeUrl),
    /// Keys that the configuration names.
    Given(Arc<CoreJsonWebKeySet>),
    /// That it came straight from the provider over TLS (OpenID Connect Core 3.1.3.7, item 6).
    Tls,
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

impl Untold {
    /// What was said, and the rest as configured.
    pub(super) fn complete(&self, said: Metadata) -> Metadata {
        let revocation = said.revocation.or_else(|| self.revocation.clone());
        let device = said.device.or_else(|| self.device.clone());
        Metadata { revocation, device, ..said }
    }
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
            ProviderKind::Custom(custom) => Self::Fixed(Arc::new(described(custom)?)),
        })
    }

    /// Where it is asked for, if anywhere.
    pub(super) fn address(&self) -> Option<&SafeUrl> {
        match self {
            Self::Discovered { url, .. } => Some(url),
            Self::Fixed(_) => None,
        }
    }

    /// Whether the metadata is at hand.
    pub(super) fn is_known(&self, now: UnixSeconds) -> bool {
        match self {
            Self::Fixed(_) => true,
            Self::Discovered { document, .. } => document.is_fresh(now),
        }
    }

    /// The metadata, fetched through `http` when none is at hand; how that went is put on `record`.
    pub(super) async fn metadata(
        &self,
        http: &Http,
        secrets: &Secrets,
        record: &Record,
        now: UnixSeconds,
    ) -> Result<Arc<Metadata>, Fault> {
        match self {
            Self::Fixed(metadata) => Ok(Arc::clone(metadata)),
            Self::Discovered { issuer, url, untold, document } => {
                let fetch = async {
                    let answer = http.get(Place::Discovery, url, None, secrets, now).await?;
                    let said = answer.ok_json::<Document>()?.check(issuer, secrets)?;
                    Ok(untold.complete(said))
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
        proof: None,
        userinfo: Some(safe("userinfo endpoint", &endpoints.userinfo)?),
        revocation: endpoints.revocation.as_ref().map(|url| safe("revocation endpoint", url)).transpose()?,
        device: endpoints.device.as_ref().map(|url| safe("device authorization endpoint", url)).transpose()?,
        end_session: None,
        callback_has_issuer: false,
    })
}

/// That of a dialect: the addresses stand in for the endpoints that its operations are.
fn described(custom: &CustomSettings) -> Result<Metadata, SetupError> {
    let url = |key, operation: &Option<Operation>| operation.as_ref().map(|it| safe(key, &it.url)).transpose();
    let link = custom.code_link.fill(|_| "x");
    Ok(Metadata {
        issuer: custom.issuer.clone(),
        authorization: safe("code_link", &link)?,
        token: safe("exchange.url", &custom.exchange.url)?,
        proof: match &custom.id_token {
            IdTokenRule::Ignored => None,
            IdTokenRule::TrustedFromTls => Some(Proof::Tls),
            IdTokenRule::Verified(Keys::Url(url)) => Some(Proof::Published(safe("jwks_uri", url)?)),
            IdTokenRule::Verified(Keys::File(path)) => Some(Proof::Given(Arc::new(keys_of(path)?))),
        },
        userinfo: url("user_info.url", &custom.user_info)?,
        revocation: url("sign_out.url", &custom.sign_out)?,
        device: None,
        end_session: None,
        callback_has_issuer: false,
    })
}

fn keys_of(path: &Path) -> Result<CoreJsonWebKeySet, SetupError> {
    let json = fs::read(path).map_err(|source| SetupError::KeysUnreadable { path: path.to_owned(), source })?;
    serde_json::from_slice(&json).map_err(|_| SetupError::KeysMalformed { path: path.to_owned() })
}

fn safe(key: &'static str, value: &str) -> Result<SafeUrl, SetupError> {
    SafeUrl::parse(value).ok_or_else(|| SetupError::Insecure { key, value: value.to_owned() })
}

/// The discovery document: what is used of it.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Document {
    issuer: Loose,
    authorization_endpoint: Loose,
    token_endpoint: Loose,
    jwks_uri: Loose,
    userinfo_endpoint: Loose,
    revocation_endpoint: Loose,
    device_authorization_endpoint: Loose,
    end_session_endpoint: Loose,
    authorization_response_iss_parameter_supported: Truth,
}

impl Document {
    /// The metadata, if this is the document of the issuer that is configured.
    pub(super) fn check(self, expected: &str, secrets: &Secrets) -> Result<Metadata, Fault> {
        let issuer = self.issuer.text().ok_or(missing("issuer"))?.expose().to_owned();
        if issuer != expected {
            return Err(Fault::IssuerMismatch { expected: expected.to_owned(), found: secrets.show(&issuer) });
        }
        // A provider elsewhere has no business with what listens on this machine in the clear.
        let is_here = issuer.starts_with("http:");
        // An endpoint that is there but not safe is a fault, not a missing endpoint: it should be told, not worked around.
        let optional = |member, url: Loose| {
            let safe =
                |url: Secret| SafeUrl::parse(url.expose()).filter(|url| is_here || url.url().scheme() == "https");
            url.text().map(|url| safe(url).ok_or(Fault::Insecure { member })).transpose()
        };
        let required = |member, url| optional(member, url)?.ok_or(missing(member));
        Ok(Metadata {
            authorization: required("authorization_endpoint", self.authorization_endpoint)?,
            token: required("token_endpoint", self.token_endpoint)?,
            proof: Some(Proof::Published(required("jwks_uri", self.jwks_uri)?)),
            userinfo: optional("userinfo_endpoint", self.userinfo_endpoint)?,
            revocation: optional("revocation_endpoint", self.revocation_endpoint)?,
            device: optional("device_authorization_endpoint", self.device_authorization_endpoint)?,
            end_session: optional("end_session_endpoint", self.end_session_endpoint)?,
            issuer,
            callback_has_issuer: self.authorization_response_iss_parameter_supported.0,
        })
    }
}

fn missing(member: &'static str) -> Fault {
    Fault::Missing { place: Place::Discovery, member }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::provider::scripted::oidc_settings;

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
        let secrets = Secrets::of(&oidc_settings("https://id.example"));
        let document = serde_json::from_str::<Document>(&document.to_string()).expect("a document");
        document.check("https://id.example", &secrets)
    }

    #[test]
    fn a_document_needs_little() {
        let metadata = check(&[]).expect("metadata");
        assert_eq!(metadata.revocation, None);
        assert!(!metadata.callback_has_issuer);
    }

    #[test]
    fn what_is_left_empty_is_not_there_and_words_may_stand_for_truth() {
        let metadata = check(&[
            ("revocation_endpoint", "".into()),
            ("end_session_endpoint", json!(null)),
            ("authorization_response_iss_parameter_supported", "true".into()),
        ]);
        let metadata = metadata.expect("metadata");
        assert_eq!((metadata.revocation, metadata.end_session, metadata.callback_has_issuer), (None, None, true));
        assert_eq!(check(&[("token_endpoint", "".into())]).expect_err("a fault"), missing("token_endpoint"));
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
            for url in ["http://id.example/x", "http://127.0.0.1:8080/x", "http://localhost/x"] {
                let fault = check(&[(member, url.into())]).expect_err("a fault");
                assert_eq!(fault.to_string(), format!("{member} of the discovery document is no https URL"));
            }
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
