//! The first half of a login: what is remembered of it until the browser comes back.

use data_encoding::BASE64URL_NOPAD;
use rand::RngCore;
use sha2::{Digest, Sha256};
use tokenkeeper_protocol::request::LoginBegin;
use tokenkeeper_protocol::{Secret, UnixSeconds};
use zeroize::Zeroizing;

use super::url::SafeUrl;
use crate::config::settings::{ProviderKind, ProviderSettings, RedirectUri};
use crate::domain::Flow;

/// Longer than any address that browsers are sent back to.
const REDIRECT_LIMIT: usize = 2048;
/// As much as is kept of the scopes that a provider grants.
const SCOPES_LIMIT: usize = 4096;
/// A person's name or address, or a token that stands for one.
const HINT_LIMIT: usize = 2048;
/// Some dozen classes.
const ACR_LIMIT: usize = 1024;

/// A login cannot begin like this. All of it is in the hands of who asks, and is kept until the browser comes back.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlowRefused {
    /// The browser may not be sent back there.
    #[error("redirect_uri {0:?} is not among the redirect_uris that are configured for this provider")]
    RedirectNotAllowed(String),
    /// Something is too long.
    #[error("{what} is too long; {limit} bytes are allowed")]
    TooLong {
        /// What.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// A scope has characters that RFC 6749 section 3.3 does not know.
    #[error("a scope is made of printable ASCII characters")]
    Scope,
}

impl Flow {
    /// Begins a flow with fresh secrets.
    pub fn begin(settings: &ProviderSettings, begin: &LoginBegin, now: UnixSeconds) -> Result<Self, FlowRefused> {
        check_sizes(begin)?;
        if !settings.redirect_uris.iter().any(|allowed| allows(allowed, &begin.redirect_uri)) {
            return Err(FlowRefused::RedirectNotAllowed(begin.redirect_uri.clone()));
        }
        Ok(Self {
            state: random(),
            nonce: random(),
            verifier: random(),
            redirect_uri: begin.redirect_uri.clone(),
            scopes: scopes(settings, &begin.scopes),
            login_hint: begin.login_hint.clone(),
            acr_values: begin.acr_values.clone(),
            resource: settings.resource.clone(),
            begun_at: now,
        })
    }

    /// The authorization request (RFC 6749 section 4.1.1, RFC 7636 section 4.3, RFC 8707, OpenID Connect Core 3.1.2.1).
    pub(super) fn url(&self, endpoint: &SafeUrl, settings: &ProviderSettings) -> Secret {
        let is_oidc = matches!(settings.kind, ProviderKind::Oidc { .. });
        let mut url = endpoint.url().clone();
        let mut query = url.query_pairs_mut();
        query.append_pair("response_type", "code");
        query.append_pair("client_id", &settings.client_id);
        query.append_pair("redirect_uri", &self.redirect_uri);
        if !self.scopes.is_empty() {
            query.append_pair("scope", &self.scopes.join(" "));
        }
        query.append_pair("state", self.state.expose());
        query.append_pair("code_challenge", &challenge(&self.verifier));
        query.append_pair("code_challenge_method", "S256");
        if is_oidc {
            query.append_pair("nonce", self.nonce.expose());
        }
        query.extend_pairs(parameters(settings, &self.scopes));
        for resource in &self.resource {
            query.append_pair("resource", resource);
        }
        if let Some(hint) = &self.login_hint {
            query.append_pair("login_hint", hint);
        }
        if !self.acr_values.is_empty() {
            query.append_pair("acr_values", &self.acr_values.join(" "));
        }
        drop(query);
        Secret::from(String::from(url))
    }
}

/// What a request for a login holds beside what it asks for: what is configured, and the consent that offline access needs.
pub(super) fn parameters<'a>(
    settings: &'a ProviderSettings,
    scopes: &[String],
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let configured = settings.authorization_parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    // OpenID Connect Core 11: without it, a provider must ignore the request for offline access. Many that are spoken to as
    // plain OAuth 2.0 know this scope from there, and ask for the same.
    let needs_consent = scopes.iter().any(|scope| scope == "offline_access");
    let is_told = settings.authorization_parameters.iter().any(|(name, _)| name == "prompt");
    let consent = (needs_consent && !is_told).then_some(("prompt", "consent"));
    consent.into_iter().chain(configured.filter(|(_, value)| !value.is_empty()))
}

fn check_sizes(begin: &LoginBegin) -> Result<(), FlowRefused> {
    for (what, bytes, limit) in [
        ("redirect_uri", begin.redirect_uri.len(), REDIRECT_LIMIT),
        ("login_hint", begin.login_hint.as_ref().map_or(0, String::len), HINT_LIMIT),
    ] {
        if bytes > limit {
            return Err(FlowRefused::TooLong { what, limit });
        }
    }
    check_words(&begin.scopes, &begin.acr_values)
}

/// What every login may ask for.
pub(super) fn check_words(scopes: &[String], acr_values: &[String]) -> Result<(), FlowRefused> {
    for (what, words, limit) in
        [("the list of scopes", scopes, SCOPES_LIMIT), ("the list of acr_values", acr_values, ACR_LIMIT)]
    {
        if words.iter().map(|word| word.len() + 1).sum::<usize>() > limit {
            return Err(FlowRefused::TooLong { what, limit });
        }
    }
    let is_scope = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    if scopes.iter().flat_map(|scope| scope.bytes()).all(is_scope) { Ok(()) } else { Err(FlowRefused::Scope) }
}

/// 256 random bits in 43 characters, as RFC 7636 section 4.1 recommends for the verifier.
fn random() -> Secret {
    let mut bits = Zeroizing::new([0; 32]);
    rand::rng().fill_bytes(bits.as_mut());
    Secret::from(BASE64URL_NOPAD.encode(bits.as_ref()))
}

/// RFC 7636 section 4.2.
pub(super) fn challenge(verifier: &Secret) -> String {
    BASE64URL_NOPAD.encode(&Sha256::digest(verifier.expose()))
}

/// Those asked for, or else the configured ones; with `openid` at an OpenID provider, which gives no ID token without it.
pub(super) fn scopes(settings: &ProviderSettings, asked: &[String]) -> Vec<String> {
    let chosen = if asked.is_empty() { &settings.scopes } else { asked };
    let mut scopes: Vec<_> = chosen.iter().flat_map(|scope| scope.split_whitespace()).map(str::to_owned).collect();
    let is_oidc = matches!(settings.kind, ProviderKind::Oidc { .. });
    if is_oidc && !scopes.iter().any(|scope| scope == "openid") {
        scopes.insert(0, "openid".to_owned());
    }
    scopes
}

fn allows(allowed: &RedirectUri, uri: &str) -> bool {
    match allowed {
        RedirectUri::Exact(exact) => exact == uri,
        RedirectUri::Loopback => is_loopback(uri),
    }
}

/// RFC 8252 section 7.3: `http`, a loopback literal spelled in full, any port, any path. What follows the literal is looked at
/// as it is written, since the URL that a lenient parser reads may not be the one that a browser goes to.
fn is_loopback(uri: &str) -> bool {
    let literals = ["http://127.0.0.1", "http://[::1]"];
    let Some(rest) = literals.iter().find_map(|literal| uri.strip_prefix(literal)) else { return false };
    let (port, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let port_is_fine = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
    port_is_fine && path.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'#' | b'\\'))
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::scripted;

    fn begin(redirect_uri: &str, scopes: &[&str]) -> Result<Flow, FlowRefused> {
        let mut settings = scripted::oidc_settings("https://id.example");
        settings.redirect_uris = vec![RedirectUri::Exact("https://shop.example/cb".to_owned()), RedirectUri::Loopback];
        let mut begin = scripted::login_begin(redirect_uri);
        begin.scopes = scopes.iter().map(ToString::to_string).collect();
        Flow::begin(&settings, &begin, UnixSeconds(7))
    }

    #[test]
    fn browsers_return_only_to_where_the_configuration_allows() {
        for fine in
            ["https://shop.example/cb", "http://127.0.0.1:4321/callback?x=1", "http://127.0.0.1/", "http://[::1]:65535"]
        {
            assert!(begin(fine, &[]).is_ok(), "{fine}");
        }
        for wrong in [
            "https://shop.example/cb/",
            "https://shop.example/CB",
            "https://127.0.0.1:4321/",
            "http://localhost:4321/",
            "http://127.0.0.2/",
            "http://127.0.0.1.evil.example/",
            "http://127.0.0.1:80@evil.example/",
            "http://127.0.0.1:0/",
            "http://127.0.0.1:65536/",
            "http://127.0.0.1:+80/",
            "http://127.0.0.1\\@evil.example/",
            "http://127.0.0.1/#fragment",
            "http://127.0.0.1/a\nb",
            "HTTP://127.0.0.1/",
            "",
        ] {
            assert_eq!(
                begin(wrong, &[]).map(|_| ()),
                Err(FlowRefused::RedirectNotAllowed(wrong.to_owned())),
                "{wrong:?}"
            );
        }
    }

    #[test]
    fn what_a_peer_asks_for_is_bounded_before_it_is_kept() {
        let loopback = "http://127.0.0.1/";
        let too_long = |what, limit| Err(FlowRefused::TooLong { what, limit });
        let begun = |redirect_uri: &str, scopes: &[&str]| begin(redirect_uri, scopes).map(drop);
        assert_eq!(begun(&format!("{loopback}{}", "x".repeat(2048)), &[]), too_long("redirect_uri", 2048));
        assert_eq!(begun(loopback, &vec!["x"; 2048]), Ok(()));
        assert_eq!(begun(loopback, &vec!["x"; 2049]), too_long("the list of scopes", 4096));
        assert_eq!(begun(loopback, &["a\u{1b}[31m"]), Err(FlowRefused::Scope));
        let settings = scripted::oidc_settings("https://id.example");
        let with = |change: fn(&mut LoginBegin)| {
            let mut asked = scripted::login_begin(loopback);
            change(&mut asked);
            Flow::begin(&settings, &asked, UnixSeconds(7)).map(drop)
        };
        assert_eq!(with(|it| it.login_hint = Some("x".repeat(2049))), too_long("login_hint", 2048));
        assert_eq!(with(|it| it.acr_values = vec!["x".repeat(1024)]), too_long("the list of acr_values", 1024));
    }

    #[test]
    fn every_flow_has_secrets_of_its_own_and_does_not_show_them() {
        let (a, b) =
            (begin("http://127.0.0.1/", &[]).expect("a flow"), begin("http://127.0.0.1/", &[]).expect("a flow"));
        let secrets = [&a.state, &a.nonce, &a.verifier, &b.state, &b.nonce, &b.verifier];
        let different: std::collections::HashSet<_> = secrets.iter().map(|secret| secret.expose()).collect();
        assert_eq!(different.len(), 6);
        assert!(secrets.iter().all(|secret| secret.len() == 43));
        assert!(secrets.iter().all(|secret| !format!("{a:?}{b:?}").contains(secret.expose())));
        assert_eq!(a.begun_at, UnixSeconds(7));
    }

    #[test]
    fn scopes_are_the_asked_ones_or_the_configured_and_include_openid() {
        let scopes = |asked: &[&str]| begin("http://127.0.0.1/", asked).expect("a flow").scopes.join(" ");
        assert_eq!(scopes(&[]), "openid profile");
        assert_eq!(scopes(&["email"]), "openid email");
        assert_eq!(scopes(&["a b", "openid"]), "a b openid");
    }

    #[test]
    fn offline_access_is_asked_for_with_the_consent_it_needs() {
        let base = "https://id.example";
        let endpoint = SafeUrl::parse("https://id.example/auth?tenant=7").expect("a url");
        for settings in [scripted::oidc_settings(base), scripted::oauth2_settings(base)] {
            let flow = begin("http://127.0.0.1/", &["offline_access"]).expect("a flow");
            let url = flow.url(&endpoint, &settings);
            assert!(url.expose().starts_with("https://id.example/auth?tenant=7&response_type=code&"), "{url:?}");
            assert!(url.expose().contains("&prompt=consent"));
            let flow = begin("http://127.0.0.1/", &["email"]).expect("a flow");
            assert!(!flow.url(&endpoint, &settings).expose().contains("prompt"));
        }
    }

    #[test]
    fn what_else_a_provider_wants_to_be_told_is_sent_along_and_an_empty_prompt_is_none() {
        let endpoint = SafeUrl::parse("https://id.example/auth").expect("a url");
        let flow = begin("http://127.0.0.1/", &["offline_access"]).expect("a flow");
        let url = |parameters: &[(&str, &str)]| {
            let mut settings = scripted::oidc_settings("https://id.example");
            let owned = parameters.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
            settings.authorization_parameters = owned.collect();
            flow.url(&endpoint, &settings).expose().to_owned()
        };
        let google = url(&[("access_type", "offline"), ("audience", "https://api.example/?x=1")]);
        assert!(google.contains("&access_type=offline&audience=https%3A%2F%2Fapi.example%2F%3Fx%3D1"), "{google}");
        assert!(google.contains("&prompt=consent"), "{google}");
        assert!(!url(&[("prompt", "")]).contains("prompt"));
        let told = url(&[("prompt", "select_account")]);
        assert!(told.contains("&prompt=select_account") && !told.contains("consent"), "{told}");
    }

    #[test]
    fn the_challenge_is_that_of_the_standard() {
        // RFC 7636 appendix B.
        let verifier = Secret::from("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(challenge(&verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn a_flow_survives_being_kept() {
        let flow = begin("http://127.0.0.1/", &[]).expect("a flow");
        let kept = serde_json::to_string(&flow).expect("json");
        let back: Flow = serde_json::from_str(&kept).expect("a flow");
        assert_eq!((back.state, back.verifier), (flow.state, flow.verifier));
    }
}
