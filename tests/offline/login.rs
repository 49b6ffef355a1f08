//! Logins that succeed: through the command line, by paste, and in two halves by a service.

use tokenkeeper_protocol::Reply;
use tokenkeeper_protocol::reply::LoggedIn;

use crate::support::browser::Browser;
use crate::support::wire::{CALLBACK, Wire, complete};
use crate::support::{Config, Daemon, Fault, Home, ScriptedProvider};

/// Logs `user` in at the provider and returns the address that the browser is sent back to.
pub(crate) fn browse(authorize_url: &str, user: &str) -> String {
    Browser::default().log_in_until(authorize_url, user, CALLBACK)
}

fn logged_in(reply: Reply) -> LoggedIn {
    match reply {
        Reply::LoggedIn(logged_in) => logged_in,
        other => panic!("the login did not succeed: {other:?}"),
    }
}

#[test]
fn a_login_opens_a_session_whose_token_the_provider_accepts() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer));
    let _daemon = Daemon::start(&home);

    let session = home.login_with("alice", &["--device", "laptop"]);
    let token = home.token();

    assert!(provider.accepts(&token));
    let listed = home.sessions();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["session"], *session);
    assert_eq!(listed[0]["user"], "alice");
    assert_eq!(listed[0]["provider"], "corp");
    assert_eq!(listed[0]["device"], "laptop");
    let shown = home.cli(["session", &session]).ok();
    assert!(shown.contains("alice") && shown.contains("alice@corp.example"), "{shown}");
    home.syslog.wait_for(&["login_begun", "corp"]);
    home.syslog.wait_for(&["login_completed", &session, "alice"]);
}

#[test]
fn a_key_that_the_provider_published_only_after_its_keys_were_fetched_costs_no_login() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer));
    let _daemon = Daemon::start(&home);
    provider.fault("/jwks", Fault::Alter(|it| it["keys"] = serde_json::json!([])));
    home.login("alice");
    assert!(provider.accepts(&home.token()));
    assert_eq!(provider.count("/jwks"), 2);
}

#[test]
fn the_login_asks_for_what_the_standards_want() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer));
    let _daemon = Daemon::start(&home);
    home.login("alice");

    let [asked] = &provider.requests("/authorize")[..] else { panic!("one request was expected") };
    assert_eq!(asked.parameter("response_type").as_deref(), Some("code"));
    assert_eq!(asked.parameter("code_challenge_method").as_deref(), Some("S256"));
    assert!(asked.parameter("state").is_some_and(|state| state.len() >= 16));
    assert!(asked.parameter("nonce").is_some_and(|nonce| nonce.len() >= 16));
    assert_eq!(asked.parameter("scope").as_deref(), Some("openid profile email offline_access"));
    let redirect_uri = asked.parameter("redirect_uri").unwrap();
    assert!(redirect_uri.starts_with("http://127.0.0.1:"), "an IP literal (RFC 8252 section 7.3), not {redirect_uri}");
    let [exchange] = &provider.requests("authorization_code")[..] else { panic!("one exchange was expected") };
    assert!(exchange.parameter("code_verifier").is_some_and(|verifier| verifier.len() >= 43));
    assert_eq!(
        exchange.parameter("client_secret"),
        None,
        "the secret goes into the header unless configured otherwise"
    );
}

#[test]
fn a_login_can_be_pasted_where_there_is_no_browser() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer));
    let _daemon = Daemon::start(&home);

    let mut login = home.begin_login(&["--paste"]);
    let back = Browser::default().log_in_until(&login.url, "alice", "http://127.0.0.1:4/");
    login.paste(&back);
    let answer = login.finish().json();

    assert_eq!(home.sessions()[0]["session"], answer["session"]);
    assert!(provider.accepts(&home.token()));
}

#[test]
fn a_login_that_one_life_of_the_daemon_began_is_completed_in_the_next() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer));
    let daemon = Daemon::start(&home);
    let (login_id, url) = Wire::connect(&home.socket()).begin();
    daemon.kill();

    let back = browse(&url, "alice");
    let _daemon = Daemon::start(&home);
    let logged_in = logged_in(Wire::connect(&home.socket()).ask(&complete(login_id, &back)));

    assert_eq!(logged_in.user.name.as_str(), "alice");
    assert!(provider.accepts(&home.token()));
}

#[test]
fn completing_a_login_twice_gives_the_same_session_and_spends_the_code_once() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer));
    let _daemon = Daemon::start(&home);
    let mut wire = Wire::connect(&home.socket());
    let (login_id, url) = wire.begin();
    let back = browse(&url, "alice");

    let first = logged_in(wire.ask(&complete(login_id, &back)));
    let again = logged_in(Wire::connect(&home.socket()).ask(&complete(login_id, &back)));

    assert_eq!(first, again);
    assert_eq!(provider.count("authorization_code"), 1);
    assert_eq!(home.sessions().len(), 1);
}

#[test]
fn two_halves_that_arrive_at_once_make_one_session() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer));
    let _daemon = Daemon::start(&home);
    let (login_id, url) = Wire::connect(&home.socket()).begin();
    let request = complete(login_id, &browse(&url, "alice"));

    let sessions: Vec<_> = std::thread::scope(|scope| {
        let ask = || logged_in(Wire::connect(&home.socket()).ask(&request)).session;
        let all: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
        all.into_iter().map(|thread| thread.join().unwrap()).collect()
    });

    assert!(sessions.iter().all(|session| *session == sessions[0]), "{sessions:?}");
    assert_eq!(provider.count("authorization_code"), 1);
    assert_eq!(home.sessions().len(), 1);
}

#[test]
fn a_user_without_a_name_claim_is_called_by_the_subject() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer).with("user_name_claim = \"nickname\""));
    let _daemon = Daemon::start(&home);
    home.login("alice");
    assert_eq!(home.sessions()[0]["user"], "sub-alice");
}

#[test]
fn what_else_the_provider_wants_to_be_told_is_in_the_address_of_the_login() {
    let provider = ScriptedProvider::start();
    let line = "authorization_parameters = { audience = \"https://api.example\", prompt = \"\" }";
    let home = Home::new(&Config::corp(&provider.issuer).with(line));
    let _daemon = Daemon::start(&home);
    let pending = home.begin_login(&["--paste"]);
    assert!(pending.url.contains("&audience=https%3A%2F%2Fapi.example"), "{}", pending.url);
    assert!(!pending.url.contains("prompt"), "{}", pending.url);
}
