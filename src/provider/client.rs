//! [`Provider`]: what everything else of this module is an operation of.

use std::fs;
use std::sync::{Arc, Mutex, OnceLock};

use openidconnect::core::CoreJsonWebKeySet;
use reqwest::header::HeaderValue;
use sha2::{Digest, Sha256};
use tokenkeeper_protocol::{Secret, UnixSeconds};

use super::answer::HttpAnswer;
use super::cache::{Cached, Renewed};
use super::credentials::Credentials;
use super::dialect::Dialect;
use super::health::Record;
use super::http::{Http, Unanswered};
use super::metadata::{Metadata, Source};
use super::probe::LastProbe;
use super::secrets::Secrets;
use super::url::SafeUrl;
use super::{Closed, Fault, Gate, Health, Place, SetupError};
use crate::clock::{Clock, Witness};
use crate::config::settings::ProviderSettings;
use crate::domain::Flow;

/// One client registration at one provider.
#[derive(Debug)]
pub struct Provider {
    settings: Arc<ProviderSettings>,
    /// What was in the files that they name.
    files: [u8; 32],
    credentials: Credentials,
    /// Those of our registration.
    pub(super) secrets: Secrets,
    pub(super) http: Http,
    pub(super) source: Source,
    pub(super) dialect: Dialect,
    keys: Cached<CoreJsonWebKeySet>,
    pub(super) record: Record,
    pub(super) probed: LastProbe,
    gate: Arc<Gate>,
    in_force_since: OnceLock<UnixSeconds>,
    /// When it was last told that the ID token of a refresh was not kept.
    pub(super) told_of_dropped: Mutex<Option<UnixSeconds>>,
}

impl Provider {
    /// A provider as `settings` describe it. Reads the certificate authorities from disk; asks nothing of the network.
    pub fn new(settings: Arc<ProviderSettings>) -> Result<Self, SetupError> {
        let gate = Arc::new(Gate::new(settings.name.clone(), settings.courtesy));
        Self::behind(gate, settings)
    }

    /// The same, to take the place of `old`. Where nothing but `concurrency` or `rate` has changed, who waits at its gate goes on
    /// waiting there, and what it asked for stays.
    pub fn in_place_of(old: &Self, settings: Arc<ProviderSettings>) -> Result<Self, SetupError> {
        let at_the_old_pace =
            ProviderSettings { courtesy: old.settings.courtesy, ..ProviderSettings::clone(&settings) };
        if old.is_made_from(&at_the_old_pace) {
            return Self::behind(Arc::clone(&old.gate), settings);
        }
        Self::new(settings)
    }

    fn behind(gate: Arc<Gate>, settings: Arc<ProviderSettings>) -> Result<Self, SetupError> {
        Ok(Self {
            files: digest_of_files(&settings),
            credentials: Credentials::new(&settings)?,
            secrets: Secrets::of(&settings),
            http: Http::new(&settings, Arc::clone(&gate))?,
            source: Source::new(&settings.kind)?,
            dialect: Dialect::new(&settings)?,
            keys: Cached::default(),
            record: Record::default(),
            probed: LastProbe::default(),
            gate,
            in_force_since: OnceLock::new(),
            told_of_dropped: Mutex::default(),
            settings,
        })
    }

    /// What it was made from.
    pub fn settings(&self) -> &Arc<ProviderSettings> {
        &self.settings
    }

    /// Whether one that is made from `settings` now would be the same: the files that they name may have changed.
    pub fn is_made_from(&self, settings: &ProviderSettings) -> bool {
        *self.settings == *settings && self.files == digest_of_files(settings)
    }

    /// It is put in force, at its first time or again.
    pub fn comes_into_force(&self, clock: &Clock) {
        self.in_force_since.get_or_init(|| clock.now());
        self.gate.be_courteous(self.settings.courtesy, clock.boot());
    }

    /// Since when it is as it is configured now.
    pub fn in_force_since(&self) -> Option<UnixSeconds> {
        self.in_force_since.get().copied()
    }

    /// Through which every request goes: whoever has something asked here enters it before.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// How it is doing.
    pub fn health(&self) -> Health {
        self.record.health()
    }

    /// The same, with what follows from it: whether it is left alone, and until when.
    pub fn condition(&self, clock: &Clock) -> Health {
        let mut health = self.health();
        if let Some(Closed { why, wait }) = self.gate.closed(clock) {
            let (since, failure) = health.failure.unwrap_or_else(|| (clock.now(), why));
            let seconds = wait.as_secs();
            let consequence = if self.gate.is_broken() {
                format!("breaker open, next try in {seconds} s")
            } else {
                format!("it is not asked again for {seconds} s")
            };
            health.failure = Some((since, format!("{failure}; {consequence}")));
        }
        health
    }

    /// What time it was there when it last said so.
    pub fn time_there(&self) -> Option<Witness> {
        self.http.time_there()
    }

    /// Whether there is a harmless question whose answer tells the time.
    pub fn can_tell_time(&self) -> bool {
        self.source.address().is_some_and(|url| url.url().scheme() == "https")
    }

    /// Asks it, for [`Provider::time_there`]. Whatever else comes of that does not matter here.
    pub async fn ask_time(&self, now: UnixSeconds) {
        if let Some(url) = self.source.address() {
            drop(self.http.get(Place::Discovery, url, None, &self.secrets, now).await);
        }
    }

    /// Whether a login begins without a question to the provider: what it says of itself is known.
    pub fn is_known(&self, now: UnixSeconds) -> bool {
        self.source.is_known(now)
    }

    /// Where to send the browser that begins `flow`. It holds `state` and the code challenge: it does not belong in a log.
    pub async fn authorize_url(&self, flow: &Flow, now: UnixSeconds) -> Result<Secret, Fault> {
        let metadata = self.metadata(now).await?;
        Ok(self.login_url(&metadata, flow))
    }

    /// Where to send the browser to end the session that the provider itself has with it (OpenID Connect RP-Initiated Logout).
    /// The ID token, which would spare the user a question there, is not put into it: URLs end up in logs and histories.
    pub async fn end_session_url(&self, now: UnixSeconds) -> Option<String> {
        let metadata = self.metadata(now).await.ok()?;
        let mut url = metadata.end_session.as_ref()?.url().clone();
        url.query_pairs_mut().append_pair("client_id", &self.settings.client_id);
        Some(url.into())
    }

    /// The metadata, at most an hour old if a newer can be had.
    pub(super) async fn metadata(&self, now: UnixSeconds) -> Result<Arc<Metadata>, Fault> {
        self.source.metadata(&self.http, &self.secrets, &self.record, now).await
    }

    /// The keys that ID tokens are signed with.
    pub(super) async fn keys(&self, url: &SafeUrl, now: UnixSeconds) -> Result<Arc<CoreJsonWebKeySet>, Fault> {
        self.keys.obtain(now, self.fetch_keys(url, now)).await
    }

    /// The same where those at hand do not fit: newly fetched, unless they were for that reason within the last minute.
    pub(super) async fn newer_keys(
        &self,
        url: &SafeUrl,
        now: UnixSeconds,
    ) -> Result<Renewed<CoreJsonWebKeySet>, Fault> {
        self.keys.renew(now, self.fetch_keys(url, now)).await
    }

    async fn fetch_keys(&self, url: &SafeUrl, now: UnixSeconds) -> Result<CoreJsonWebKeySet, Fault> {
        self.http.get(Place::Keys, url, None, &self.secrets, now).await?.ok_json()
    }

    /// Posts `fields` with our credentials, once. `sent` are our secrets and those among them, struck out where the
    /// provider quotes them.
    pub(super) async fn post(
        &self,
        place: Place,
        url: &SafeUrl,
        fields: &[(&str, &str)],
        sent: &Secrets,
        now: UnixSeconds,
    ) -> Result<HttpAnswer, Unanswered> {
        self.http.post(place, url, self.credentials.header(), self.credentials.form(fields), sent, now).await
    }

    /// Our registration as a header, if it goes there.
    pub(super) fn basic_header(&self) -> Option<&HeaderValue> {
        self.credentials.header()
    }
}

fn digest_of_files(settings: &ProviderSettings) -> [u8; 32] {
    let mut digest = Sha256::new();
    for path in settings.ca_file.iter().chain(settings.kind.keys_file()) {
        // One that cannot be read is another one: whoever is to use it will say so.
        digest.update(Sha256::digest(fs::read(path).unwrap_or_default()));
    }
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::settings::ProviderKind;
    use crate::provider::scripted::{NOW, Reply, Server, begin, callback, oidc_settings, refresh, session};

    #[tokio::test]
    async fn the_browser_is_sent_with_everything_the_provider_needs_and_no_secret() {
        let server = Server::oidc().await;
        let provider = server.provider();
        let flow = begin(&provider);
        let url = provider.authorize_url(&flow, NOW).await.expect("a url");
        let url = ::url::Url::parse(url.expose()).expect("a url");
        let query: std::collections::HashMap<_, _> = url.query_pairs().into_owned().collect();
        assert_eq!(url.path(), "/auth");
        assert_eq!(query["response_type"], "code");
        assert_eq!(query["client_id"], "shop");
        assert_eq!(query["redirect_uri"], "https://shop.example/cb");
        assert_eq!(query["scope"], "openid profile");
        assert_eq!(query["state"], flow.state.expose());
        assert_eq!(query["nonce"], flow.nonce.expose());
        assert_eq!(query["code_challenge_method"], "S256");
        assert_eq!(query["code_challenge"].len(), 43);
        assert!(!url.as_str().contains(flow.verifier.expose()));
        assert!(!url.as_str().contains("s3cr3t"));
    }

    #[tokio::test]
    async fn the_time_is_believed_over_tls_alone() {
        let server = Server::oidc().await;
        let good = server.scripted("/.well-known/openid-configuration");
        server.script("/.well-known/openid-configuration", good.with("Date", "Sun, 06 Nov 1994 08:49:37 GMT"));
        let provider = server.provider();
        assert!(!provider.can_tell_time());
        provider.ask_time(NOW).await;
        assert_eq!(server.count("/.well-known/openid-configuration"), 1);
        assert_eq!(provider.time_there(), None, "anybody in between could have said that");
    }

    #[tokio::test]
    async fn discovery_is_asked_once_however_often_it_is_needed() {
        let server = Server::oidc().await;
        let provider = server.provider();
        let flow = begin(&provider);
        let (a, b) = tokio::join!(provider.authorize_url(&flow, NOW), provider.authorize_url(&flow, NOW));
        assert_eq!(a, b);
        assert_eq!(server.count("/.well-known/openid-configuration"), 1);
    }

    #[tokio::test]
    async fn another_issuer_is_refused_and_shows_in_the_health() {
        let server = Server::oidc().await;
        server
            .script("/.well-known/openid-configuration", Reply::json(200, &json!({"issuer": "https://evil.example"})));
        let provider = server.provider();
        let fault = provider.authorize_url(&begin(&provider), NOW).await.expect_err("a fault");
        assert!(matches!(&fault, Fault::IssuerMismatch { found, .. } if found == "https://evil.example"), "{fault}");
        assert_eq!(provider.health().failure, Some((NOW, fault.to_string())));
    }

    #[tokio::test]
    async fn discovery_that_redirects_or_answers_with_a_page_is_refused_in_plain_words() {
        for (reply, words) in [
            (Reply::redirect("/elsewhere"), "the discovery document answered HTTP 302, a redirect"),
            (Reply::text(200, "text/html", "<html>hello</html>"), "text/html instead of JSON"),
            (Reply::text(404, "text/html", "gone"), "the discovery document is not where it is looked for (HTTP 404)"),
            (Reply::text(200, "application/json", "{\"issuer\":"), "JSON that is broken"),
            (Reply::Endless, "more than 262144 bytes"),
            (Reply::json(200, &json!({})).with("Content-Encoding", "gzip"), "compressed by gzip"),
        ] {
            let server = Server::oidc().await;
            server.script("/.well-known/openid-configuration", reply);
            let provider = server.provider();
            let fault = provider.authorize_url(&begin(&provider), NOW).await.expect_err("a fault").to_string();
            assert!(fault.contains(words), "{fault}");
            assert_eq!(server.count("/elsewhere"), 0);
        }
    }

    #[tokio::test]
    async fn a_provider_that_comes_back_is_healthy_again() {
        let server = Server::oidc().await;
        let good = server.scripted("/.well-known/openid-configuration");
        server.script("/.well-known/openid-configuration", Reply::text(503, "text/plain", ""));
        let provider = server.provider();
        assert!(provider.authorize_url(&begin(&provider), NOW).await.is_err());
        assert!(provider.health().failure.is_some());
        server.script("/.well-known/openid-configuration", good);
        let later = NOW + std::time::Duration::from_secs(5);
        assert!(provider.authorize_url(&begin(&provider), later).await.is_ok());
        assert_eq!(provider.health(), Health { last_success_at: Some(later), failure: None });
    }

    #[test]
    fn settings_that_cannot_work_are_refused_before_any_request() {
        let refusal = |change: fn(&mut ProviderSettings)| {
            let mut settings = oidc_settings("https://id.example");
            change(&mut settings);
            Provider::new(Arc::new(settings)).expect_err("a refusal").to_string()
        };
        let issuer = refusal(|it| {
            it.kind = ProviderKind::Oidc { issuer: "http://id.example".to_owned(), revocation: None, device: None }
        });
        assert!(issuer.starts_with("issuer \"http://id.example\" is no https URL"), "{issuer}");
        let missing = refusal(|it| it.ca_file = Some("/nonexistent/ca.pem".into()));
        assert!(missing.starts_with("cannot read ca_file /nonexistent/ca.pem: No such file"), "{missing}");
        let malformed = refusal(|it| it.ca_file = Some("/dev/null".into()));
        assert_eq!(malformed, "ca_file /dev/null holds no certificate in PEM form");
        assert!(refusal(|it| it.proxy = Some("http://".to_owned())).starts_with("proxy is no URL"));
    }

    #[tokio::test]
    async fn the_gate_outlives_a_change_of_its_pace_and_of_nothing_else() {
        let old = Provider::new(Arc::new(oidc_settings("https://id.example"))).expect("a provider");
        let clock = Clock::manual(NOW);
        old.comes_into_force(&clock);
        let pass = old.gate().enter(&clock, crate::provider::Turn::of_person()).await.expect("it is open");
        let wait = std::time::Duration::from_secs(600);
        pass.came_back(crate::provider::Sign::AsksToWait { why: "busy".to_owned(), wait });
        let is_closed = |change: fn(&mut ProviderSettings)| {
            let mut settings = oidc_settings("https://id.example");
            change(&mut settings);
            let new = Provider::in_place_of(&old, Arc::new(settings)).expect("a provider");
            new.comes_into_force(&clock);
            new.gate().closed(&clock).is_some()
        };
        assert!(is_closed(|it| it.courtesy.concurrency += 1));
        assert!(!is_closed(|it| it.client_id.push('2')), "that may be what makes it answer");
    }

    #[test]
    fn operations_can_be_run_on_any_thread_and_show_no_secret() {
        fn is_send<T: Send>(_: &T) {}
        let provider = Provider::new(Arc::new(oidc_settings("https://id.example"))).expect("a provider");
        let (flow, session) = (begin(&provider), session("https://id.example"));
        let (callback, tokens) = (callback(&flow), session.tokens.clone().expect("tokens"));
        is_send(&provider.authorize_url(&flow, NOW));
        is_send(&provider.exchange(&flow, &callback, NOW));
        is_send(&refresh(&provider, &session, NOW));
        is_send(&provider.revoke(&tokens, NOW));
        is_send(&provider.end_session_url(NOW));
        let shown = format!("{provider:?}{flow:?}{callback:?}");
        assert!(!shown.contains("s3cr3t") && !shown.contains("0123456789"), "{shown}");
    }

    #[tokio::test]
    async fn the_end_session_page_is_offered_where_there_is_one_and_carries_no_token() {
        let server = Server::oidc().await;
        let url = server.provider().end_session_url(NOW).await;
        assert_eq!(url, Some(format!("{}/end?client_id=shop", server.url())));
        let oauth2 = Server::oauth2().await;
        assert_eq!(oauth2.provider().end_session_url(NOW).await, None);
    }
}
