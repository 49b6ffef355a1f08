//! A provider that kills the old access token with every refresh: django-oauth-toolkit.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::OnceLock;

use tokenkeeper_protocol::Reply;

use crate::support::browser::Browser;
use crate::support::config::{EVERYTHING, me};
use crate::support::wire::{Wire, access_token, token};
use crate::support::{Config, Daemon, Django, Home, Proxy};

/// How long access tokens live, in seconds.
const LIFE: u32 = 3600;
/// So much validity only a token has that is not a second old.
const NEARLY_ALL: Option<u32> = Some(LIFE - 1);

/// The lines that make it an OpenID provider.
fn oidc(provider: &Django) -> String {
    format!("issuer = {:?}", provider.issuer)
}

/// `corp` by this client of the provider, with these lines more.
fn config(provider: &Django, client: &str, scopes: &str, more: &str) -> Config {
    let issuer = &provider.issuer;
    // It has a revocation endpoint and does not tell, and refuses offline_access, which it does not know.
    let provider = format!(
        "[provider.corp]\nclient_id = {client:?}\nclient_secret = {{ file = \"secret\" }}\nredirect_uris = [\"loopback\"]\n\
         scopes = {scopes}\nrevocation_endpoint = \"{issuer}/revoke_token/\"\n{more}\n\n"
    );
    Config::empty().rule(&me(), EVERYTHING, "corp", "own").more(&provider)
}

fn home(config: &Config) -> Home {
    let home = Home::new(&Config::empty());
    let secret = home.path("config/secret").display().to_string();
    let more = config.more.replace("\"secret\"", &format!("{secret:?}"));
    home.configure(&Config { more, ..config.clone() });
    home
}

fn ask(home: &Home, min_valid: Option<u32>) -> String {
    access_token(home.token_reply(min_valid))
}

const USER: &str = r#"["openid", "profile"]"#;

#[test]
fn a_user_logs_in_is_refreshed_over_a_kill_of_the_daemon_and_logs_out() {
    let provider = Django::start(LIFE);
    let home = home(&config(&provider, "shop", USER, &oidc(&provider)));
    let daemon = Daemon::start(&home);
    let session = home.login("alice");
    let first = ask(&home, None);
    assert_eq!(provider.userinfo(&first).unwrap()["preferred_username"], "alice");

    home.age_token();
    let second = ask(&home, NEARLY_ALL);
    assert!(provider.accepts(&second) && !provider.accepts(&first), "the old one died with the refresh");
    daemon.kill();
    let _daemon = Daemon::start(&home);
    home.age_token();
    let third = ask(&home, NEARLY_ALL);
    assert!(provider.accepts(&third), "the refresh token that came with the last refresh was kept");

    let said = home.cli(["--json", "logout", &session]).json();
    assert_eq!(said["sessions"][0]["revoked"], "done");
    assert!(!provider.accepts(&third));
}

#[test]
fn a_token_that_a_refresh_has_killed_is_handed_out_to_nobody() {
    let provider = Django::start(LIFE);
    let home = home(&config(&provider, "shop", USER, &oidc(&provider)));
    let _daemon = Daemon::start(&home);
    home.login("alice");
    let old = ask(&home, None);
    home.age_token();
    let refreshed = OnceLock::new();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut wire = Wire::connect(&home.socket());
                let mut since = 0;
                while since < 100 {
                    let expected: Option<&String> = refreshed.get();
                    let Reply::Token(got) = wire.ask(&token("corp", None)) else { panic!("no token") };
                    if let Some(expected) = expected {
                        assert_eq!(got.access_token.expose(), expected);
                        since += 1;
                    }
                }
            });
        }
        let new = ask(&home, NEARLY_ALL);
        assert_ne!(new, old);
        refreshed.set(new).unwrap();
    });
    assert!(!provider.accepts(&old));
}

#[test]
fn an_answer_that_is_lost_is_given_again_within_the_grace() {
    let (network, directory) = (Proxy::start(), tempfile::tempdir().unwrap());
    let directory = directory.path().to_str().unwrap();
    let mut provider =
        Django::start_with(LIFE, &["--grace", "120", "--directory", directory, "--issuer", &network.url]);
    network.lead_to(&provider.issuer);
    provider.issuer.clone_from(&network.url);
    let grace = format!("{}\nreuse_grace = \"120s\"", oidc(&provider));
    let home = home(&config(&provider, "shop", USER, &grace));
    let _daemon = Daemon::start(&home);
    home.login("alice");
    home.age_token();
    network.lose_answers(1);
    let new = ask(&home, NEARLY_ALL);
    assert!(provider.accepts(&new));
    home.age_token();
    assert!(provider.accepts(&ask(&home, NEARLY_ALL)), "and its refresh token is as good");
}

#[test]
fn a_login_with_a_code_opens_a_session_that_is_refreshed() {
    let provider = Django::start(LIFE);
    // It gives no ID token for a code, so that it is no OpenID provider here.
    let issuer = &provider.issuer;
    let endpoints = format!(
        "kind = \"oauth2\"\nauthorization_endpoint = \"{issuer}/authorize/\"\ntoken_endpoint = \"{issuer}/token/\"\n\
         userinfo_endpoint = \"{issuer}/userinfo/\"\ndevice_authorization_endpoint = \"{issuer}/device-authorization/\"\n"
    );
    let home = home(&config(&provider, "phone", USER, &endpoints));
    let _daemon = Daemon::start(&home);
    let mut command = home.cli_command();
    command.args(["--json", "login", "corp", "--code"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.as_mut().unwrap()).read_line(&mut line).unwrap();
    let shown: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let address = shown["verification_uri_complete"].as_str().unwrap_or_else(|| panic!("no address: {line}"));
    let page = Browser::default().log_in(address, "alice");
    assert_eq!(page.status, 200, "{page:?}");
    assert_eq!(crate::support::CliResult::from(child.wait_with_output().unwrap()).json()["user"]["name"], "alice");
    home.age_token();
    assert!(provider.accepts(&ask(&home, NEARLY_ALL)));
}

#[test]
fn a_service_account_gets_a_token_of_its_own_client() {
    let provider = Django::start(LIFE);
    let account = format!(
        "[service_account.nightly]\nprovider = \"corp\"\nscopes = [\"reports\"]\n\n\
         [[allow]]\nwho = {:?}\nmay = [\"token\"]\naccount = \"nightly\"\n",
        me()
    );
    let home = home(&config(&provider, "jobs", r#"["openid"]"#, &oidc(&provider)).more(&account));
    let _daemon = Daemon::start(&home);
    let token = home.cli(["token", "--account", "nightly", "--scope", "reports"]).ok();
    assert!(provider.accepts(&token));
    home.age_token();
    let anew = home.cli(["token", "--account", "nightly", "--min-valid", &format!("{}s", LIFE - 1)]).ok();
    assert!(anew != token && provider.accepts(&anew));
}
