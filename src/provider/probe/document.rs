//! The discovery document: what is used of it, and what it says beyond that.

use serde::Deserialize;

use super::super::answer::HttpAnswer;
use super::super::loose::Loose;
use super::super::metadata::{Document, Metadata};
use super::super::url::SafeUrl;
use super::super::{Fault, Place};
use super::{Found, failed, passed, warned};
use crate::config::settings::{ClientAuthentication, ProviderSettings};

/// What is only told to people. A list that is not there says nothing.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Said {
    code_challenge_methods_supported: Loose,
    grant_types_supported: Loose,
    token_endpoint_auth_methods_supported: Loose,
    scopes_supported: Loose,
    device_authorization_endpoint: Loose,
}

/// Reads the document of `issuer`.
pub(super) fn read(answer: &HttpAnswer, issuer: &str) -> Result<(Metadata, Said), Fault> {
    let metadata = answer.ok_json::<Document>()?.check(issuer, &answer.secrets)?;
    Ok((metadata, answer.json()?))
}

/// Whether the document is the right one, and an endpoint in it is missing or unfit.
pub(super) fn is_about_endpoints(fault: &Fault) -> bool {
    matches!(fault, Fault::Missing { place: Place::Discovery, member } if *member != "issuer")
        || matches!(fault, Fault::Insecure { .. })
}

/// The fault, and what to do about it.
pub(super) fn mend(fault: &Fault, url: &SafeUrl) -> String {
    match fault {
        Fault::IssuerMismatch { found, .. } => {
            format!("{fault}; if it is the provider you mean, write issuer = {found:?}")
        }
        Fault::Status { status: 500.., .. } => format!("{fault}; try again later"),
        _ => format!("{fault}; it is looked for at {}: check issuer", url.url()),
    }
}

/// Which endpoints there are, and what cannot be done for want of one. `said` is there if the provider was asked.
pub(super) fn endpoints(metadata: &Metadata, said: Option<&Said>) -> Found {
    let mut there = vec!["authorization", "token"];
    let mut missing = Vec::new();
    let mut look = |is_there: bool, name: &'static str, without: &str| {
        if is_there { there.push(name) } else { missing.push(format!("no {name} endpoint: {without}")) }
    };
    let lives_on =
        "after a logout tokens live on there until they expire; if there is one, name it as revocation_endpoint";
    look(metadata.revocation.is_some(), "revocation", lives_on);
    look(metadata.userinfo.is_some(), "userinfo", "names and addresses come from ID tokens alone");
    if let Some(said) = said {
        look(
            metadata.end_session.is_some(),
            "end_session",
            "a logout cannot end the provider's own session in the browser",
        );
        let device = !matches!(said.device_authorization_endpoint, Loose::Other);
        look(device, "device_authorization", "users need a browser that can come back here");
    }
    if missing.is_empty() {
        passed(there.join(", "))
    } else {
        warned(format!("{}; {}", there.join(", "), missing.join("; ")))
    }
}

impl Said {
    /// What a login and a refresh will need, as far as the provider tells.
    pub(super) fn features(&self, settings: &ProviderSettings) -> Found {
        if self.grant_types_supported.lacks("authorization_code") {
            return failed("the provider has no authorization code flow (grant_types_supported): nobody can log in");
        }
        let mut complaints = Vec::new();
        match &self.code_challenge_methods_supported {
            Loose::Other => complaints.push("PKCE is not advertised; it is used all the same".to_owned()),
            methods if methods.lacks("S256") => {
                complaints.push(
                    "PKCE with S256 is not among what the provider advertises, and a login may fail for it".to_owned(),
                );
            }
            _ => {}
        }
        if self.grant_types_supported.lacks("refresh_token") {
            complaints.push(
                "refresh tokens are not advertised; without one users log in again whenever a token expires".to_owned(),
            );
        }
        let (method, alternative) = match settings.client_authentication {
            ClientAuthentication::Basic => ("client_secret_basic", Some(("client_secret_post", "post"))),
            ClientAuthentication::Post => ("client_secret_post", Some(("client_secret_basic", "basic"))),
            ClientAuthentication::None => ("none", None),
        };
        // Public clients are often served and not advertised.
        if let Some((other, word)) = alternative
            && self.token_endpoint_auth_methods_supported.lacks(method)
        {
            let next = if self.token_endpoint_auth_methods_supported.lacks(other) { "" } else { word };
            let next = Some(next)
                .filter(|word| !word.is_empty())
                .map(|word| format!("; write client_authentication = {word:?}"));
            complaints.push(format!("{method} is not advertised{}", next.unwrap_or_default()));
        }
        let unknown: Vec<_> =
            settings.scopes.iter().filter(|scope| self.scopes_supported.lacks(scope)).map(String::as_str).collect();
        if !unknown.is_empty() {
            let next = "take it out of scopes if a login fails with invalid_scope";
            complaints.push(format!("scope {} is not advertised; {next}", unknown.join(", ")));
        }
        if complaints.is_empty() {
            passed("PKCE with S256; grants, client authentication and scopes as configured")
        } else {
            warned(complaints.join("; "))
        }
    }
}
