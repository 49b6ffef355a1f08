//! What `[provider.NAME]` means, as somebody who writes one would notice.

use std::time::Duration;

use super::test_host::Host;
use super::{ClientAuthentication, ProviderKind, ProviderSettings, RedirectUri, RefreshMode};

const OIDC: &str = "[provider.corp]\nissuer = 'https://id.corp.example'\nclient_id = 'shop'\n";
const OAUTH2: &str = "[provider.corp]\nkind = 'oauth2'\nclient_id = 'shop'\n\
                      authorization_endpoint = 'https://id.corp.example/authorize'\n\
                      token_endpoint = 'https://id.corp.example:8443/token'\n\
                      userinfo_endpoint = 'https://id.corp.example/me'\n";

fn corp(host: &Host) -> ProviderSettings {
    ProviderSettings::clone(&host.settings().providers[&"corp".parse().unwrap()])
}

fn provider(text: &str) -> ProviderSettings {
    corp(&Host::new().main(text))
}

/// The errors that lines behind those of [`OIDC`] cause.
fn errors(lines: &str) -> String {
    Host::new().main(&format!("{OIDC}{lines}")).errors()
}

#[test]
fn two_lines_make_an_openid_connect_provider() {
    let corp = provider(OIDC);
    assert_eq!(
        corp.kind,
        ProviderKind::Oidc { issuer: "https://id.corp.example".to_owned(), revocation: None, device: None }
    );
    assert_eq!(corp.client_id, "shop");
    assert_eq!((corp.client_secret, corp.client_authentication), (None, ClientAuthentication::None));
    assert_eq!(corp.redirect_uris, [RedirectUri::Loopback]);
    assert_eq!(corp.scopes, ["openid", "profile", "email", "offline_access"]);
    assert_eq!(corp.user_name_claim, "preferred_username");
    assert_eq!(corp.max_age, Duration::from_secs(30 * 24 * 3600));
    assert_eq!((corp.refresh, corp.ca_file, corp.proxy), (None, None, None));
    assert_eq!(corp.refresh_at_percent, 70);
    assert_eq!(corp.reuse_grace, Duration::ZERO);
    assert_eq!(corp.default_life, Duration::from_secs(3600));
    assert_eq!(corp.timeout, Duration::from_secs(10));
}

#[test]
fn everything_else_can_be_told() {
    let host = Host::new().file("secrets/corp", "hunter2\n").file("ca.pem", "x").main(&format!(
        "{OIDC}client_secret = {{ file = 'corp' }}\nclient_authentication = 'post'\n\
         redirect_uris = ['https://shop.example/cb', 'loopback']\nscopes = ['openid']\nuser_name_claim = 'email'\n\
         max_age = '12h'\nrefresh_at = '50%'\nrefresh = 'when_used'\nreuse_grace = '30s'\n\
         resource = ['https://api.example/v1', 'urn:x:y']\ndefault_life = '10m'\nca_file = 'ca.pem'\nproxy = 'http://proxy.corp.example:3128'\ntimeout = '5s'\n"
    ));
    let corp = corp(&host);
    assert_eq!(corp.client_secret.unwrap().expose(), "hunter2");
    assert_eq!(corp.client_authentication, ClientAuthentication::Post);
    let exact = RedirectUri::Exact("https://shop.example/cb".to_owned());
    assert_eq!(corp.redirect_uris, [exact, RedirectUri::Loopback]);
    assert_eq!(corp.scopes, ["openid"]);
    assert_eq!(corp.resource, ["https://api.example/v1", "urn:x:y"]);
    assert_eq!(corp.user_name_claim, "email");
    assert_eq!(corp.max_age, Duration::from_secs(43_200));
    assert_eq!((corp.refresh_at_percent, corp.refresh), (50, Some(RefreshMode::WhenUsed)));
    assert_eq!((corp.reuse_grace, corp.default_life), (Duration::from_secs(30), Duration::from_secs(600)));
    assert_eq!(corp.ca_file, Some(host.directory().join("ca.pem")));
    assert_eq!(corp.proxy.as_deref(), Some("http://proxy.corp.example:3128"));
    assert_eq!(corp.timeout, Duration::from_secs(5));
}

#[test]
fn what_the_standards_leave_open_can_be_told() {
    let corp = provider(&format!(
        "{OIDC}refused = ['invalid_request']\nrefused_status = [400]\nauthorization_parameters = {{ access_type = 'offline', prompt = '' }}\n"
    ));
    assert_eq!((corp.refused, corp.refused_status), (vec!["invalid_request".to_owned()], vec![400]));
    let told = corp.authorization_parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    assert_eq!(told.collect::<Vec<_>>(), [("access_type", "offline"), ("prompt", "")]);
    assert_eq!(
        errors("authorization_parameters = { state = 'x', max_age = 60 }\n"),
        "tokenkeeper.toml:4:30: state of authorization_parameters is set by the daemon itself: remove it\n\
         tokenkeeper.toml:4:43: max_age of authorization_parameters must be a string, in quotes"
    );
}

#[test]
fn an_oauth2_provider_is_told_by_its_endpoints() {
    let corp = provider(OAUTH2);
    assert!(corp.scopes.is_empty());
    let ProviderKind::Oauth2(endpoints) = corp.kind else { panic!("{:?}", corp.kind) };
    assert_eq!(endpoints.token, "https://id.corp.example:8443/token");
    assert_eq!(endpoints.issuer, "https://id.corp.example:8443", "the origin of the token endpoint");
    assert_eq!((endpoints.subject_claim.as_str(), endpoints.revocation), ("sub", None));

    let corp = provider(&format!(
        "{OAUTH2}issuer = 'https://id.corp.example/'\nsubject_claim = 'id'\n\
         revocation_endpoint = 'https://id.corp.example/revoke'\n"
    ));
    let ProviderKind::Oauth2(endpoints) = corp.kind else { panic!("{:?}", corp.kind) };
    assert_eq!((endpoints.issuer.as_str(), endpoints.subject_claim.as_str()), ("https://id.corp.example/", "id"));
    assert_eq!(endpoints.revocation.as_deref(), Some("https://id.corp.example/revoke"));
}

#[test]
fn what_a_provider_cannot_do_without_is_named() {
    let oidc = Host::new().main("[provider.corp]\n").errors();
    let expected = "tokenkeeper.toml:1:1: client_id is missing here; write for example: client_id = \"shop\"\n\
                    tokenkeeper.toml:1:1: issuer is missing here; write for example: issuer = \"https://id.corp.example\"";
    assert_eq!(oidc, expected);
    let oauth2 = Host::new().main("[provider.corp]\nkind = 'oauth2'\nclient_id = 'shop'\n").errors();
    for key in ["authorization_endpoint", "token_endpoint", "userinfo_endpoint"] {
        assert!(oauth2.contains(&format!("{key} is missing here")), "{oauth2}");
    }
}

#[test]
fn a_provider_with_discovery_may_be_told_the_endpoints_that_it_leaves_out() {
    let corp = provider(&format!("{OIDC}revocation_endpoint = 'https://id.corp.example/revoke'\n"));
    let ProviderKind::Oidc { revocation, .. } = corp.kind else { panic!("{:?}", corp.kind) };
    assert_eq!(revocation.as_deref(), Some("https://id.corp.example/revoke"));
    let corp = provider(&format!("{OIDC}device_authorization_endpoint = 'https://id.corp.example/device'\n"));
    let ProviderKind::Oidc { device, .. } = corp.kind else { panic!("{:?}", corp.kind) };
    assert_eq!(device.as_deref(), Some("https://id.corp.example/device"));
}

#[test]
fn endpoints_of_a_provider_with_discovery_are_a_mistake() {
    let errors = errors("token_endpoint = 'https://id.corp.example/token'\n");
    assert!(errors.starts_with("tokenkeeper.toml:4:1: token_endpoint is for kind = \"oauth2\""), "{errors}");
}

#[test]
fn kinds_and_keys_that_are_planned_are_named_as_such() {
    assert_eq!(errors("idle = 'x'\n"), "tokenkeeper.toml:4:1: \"idle\" is not available in this version");
    assert!(errors("kind = 'oidcc'\n").ends_with("kind \"oidcc\" is not known; did you mean \"oidc\"?"));
}

#[test]
fn a_secret_in_the_configuration_is_refused_and_not_repeated() {
    for line in [
        "client_secret = 'hunter2'",
        "client_secret = ['hunter2']",
        "client_secret = 2222",
        "client_secret = { file = 'a', value = 'hunter2' }",
        "client_secrt = 'hunter2'",
        "proxy = 'http://me:hunter2@proxy.example'",
    ] {
        let errors = errors(line);
        assert!(errors.starts_with("tokenkeeper.toml:4:"), "{errors}");
        assert!(!errors.contains("hunter2") && !errors.contains("2222"), "{errors}");
    }
    assert!(errors("client_secret = 'hunter2'").contains("client_secret = { file = \"corp\" }"));
}

#[test]
fn a_secret_comes_from_one_place() {
    assert!(errors("client_secret = {}").contains("must say where the secret is"));
    assert!(errors("client_secret = { file = 'a', credential = 'b' }").contains("one place only"));
    assert!(errors("client_secret = { fil = 'a' }").contains("unknown key \"fil\"; did you mean \"file\"?"));
}

#[test]
fn a_missing_secret_is_reported_with_its_whole_path() {
    let host = Host::new().main(&format!("{OIDC}client_secret = {{ file = 'corp' }}\n"));
    let path = host.directory().join("secrets/corp");
    let expected = format!("tokenkeeper.toml:4:26: {} does not exist; create it with: install", path.display());
    assert!(host.errors().starts_with(&expected), "{}", host.errors());
}

#[test]
fn a_credential_out_of_sight_is_a_warning_for_a_check_and_an_error_for_the_daemon() {
    let text = format!("{OIDC}client_secret = {{ credential = 'corp' }}\n");
    let said = "tokenkeeper.toml:4:32: this credential was not checked: only the running service sees it";
    let mut host = Host::new().main(&text).only_checked();
    assert!(host.warnings().contains(said), "{}", host.warnings());
    assert!(Host::new().main(&text).errors().contains("no credentials here"));

    host.environment.credentials_directory = Some(host.directory().into());
    assert!(host.errors().contains("no credential \"corp\""), "what is in sight is checked: {}", host.errors());
}

#[test]
fn a_secret_can_be_a_systemd_credential() {
    let mut host =
        Host::new().file("run/corp", "hunter2").main(&format!("{OIDC}client_secret = {{ credential = 'corp' }}\n"));
    assert!(host.errors().contains("LoadCredential=corp:"));
    host.environment.credentials_directory = Some(host.directory().join("run").into());
    let corp = corp(&host);
    assert_eq!(corp.client_secret.unwrap().expose(), "hunter2");
    assert_eq!(corp.client_authentication, ClientAuthentication::Basic, "usual where there is a secret");
}

#[test]
fn authentication_and_secret_must_fit() {
    let without = errors("client_authentication = 'basic'\n");
    assert_eq!(
        without,
        "tokenkeeper.toml:4:1: client_authentication needs a client_secret, such as { file = \"corp\" }"
    );
    let host = Host::new()
        .file("secrets/corp", "x")
        .main(&format!("{OIDC}client_secret = {{ file = 'corp' }}\nclient_authentication = 'none'\n"));
    assert!(host.errors().contains("yet there is a client_secret"), "{}", host.errors());
}

#[test]
fn an_openid_connect_login_needs_its_scope_and_a_way_back() {
    assert!(errors("scopes = ['email']\n").contains("scopes must hold \"openid\""));
    assert!(errors("redirect_uris = []\n").contains("nobody could log in"));
    assert!(errors("redirect_uris = ['http://shop.example/cb']\n").contains("plain http is for loopback"));
}

#[test]
fn plain_http_is_for_loopback_only() {
    assert!(
        provider("[provider.corp]\nissuer = 'http://127.0.0.1:9000'\nclient_id = 'x'\n").kind
            == ProviderKind::Oidc { issuer: "http://127.0.0.1:9000".to_owned(), revocation: None, device: None }
    );
    let errors = Host::new().main("[provider.corp]\nissuer = 'http://id.corp.example'\nclient_id = 'x'\n").errors();
    assert!(errors.starts_with("tokenkeeper.toml:2:10: issuer must begin with https://"), "{errors}");
}

#[test]
fn a_missing_certificate_authority_is_reported() {
    assert!(errors("ca_file = 'nowhere.pem'\n").contains("ca_file cannot be read: /"));
}

#[test]
fn a_provider_name_is_checked_like_everything_else() {
    let errors = Host::new().main("[provider.Corp]\nisuer = 'x'\n").errors();
    assert!(
        errors.contains("tokenkeeper.toml:1:11: provider \"Corp\" is wrong: a provider name is 1 to 64"),
        "{errors}"
    );
    assert!(errors.contains("2:1: unknown key \"isuer\"; did you mean \"issuer\"?"), "{errors}");
}
