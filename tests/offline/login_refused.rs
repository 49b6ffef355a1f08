//! Logins that must not succeed. Each says why in a sentence, opens no session, and leaves the daemon ready for the next one.

use tokenkeeper_protocol::Code;

use super::login::browse;
use crate::support::browser::Browser;
use crate::support::wire::{Wire, complete};
use crate::support::{Config, Daemon, Fault, Home, Lie, ScriptedProvider};

/// A login with a provider that lies fails, and the same login with an honest one succeeds.
fn a_lie_is_noticed(lie: Lie, words: &[&str]) {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer));
    let _daemon = Daemon::start(&home);
    provider.lie(lie);

    let login = home.begin_login(&[]);
    Browser::default().log_in(&login.url, "alice");
    let why = login.finish().fails_with(6);

    assert!(words.iter().all(|word| why.contains(word)), "{lie:?} is not explained: {why}");
    assert_eq!(home.sessions(), [] as [serde_json::Value; 0]);
    home.syslog.wait_for(&["login_failed", "corp"]);
    provider.tell_the_truth();
    home.login("alice");
}

#[test]
fn an_id_token_of_another_issuer_opens_no_session() {
    a_lie_is_noticed(Lie::Issuer, &["issuer"]);
}

#[test]
fn an_id_token_for_another_client_opens_no_session() {
    a_lie_is_noticed(Lie::Audience, &["aud"]);
}

#[test]
fn an_id_token_with_a_wrong_signature_opens_no_session() {
    a_lie_is_noticed(Lie::Signature, &["signature"]);
}

#[test]
fn an_id_token_without_a_signature_opens_no_session() {
    a_lie_is_noticed(Lie::Unsigned, &["sign"]);
}

#[test]
fn an_id_token_of_another_login_opens_no_session() {
    a_lie_is_noticed(Lie::Nonce, &["nonce"]);
}

#[test]
fn an_expired_id_token_opens_no_session() {
    a_lie_is_noticed(Lie::Expired, &["expired"]);
}

#[test]
fn an_id_token_that_belongs_to_another_access_token_opens_no_session() {
    a_lie_is_noticed(Lie::AccessTokenHash, &["at_hash"]);
}

#[test]
fn a_provider_that_gives_no_id_token_opens_no_session() {
    a_lie_is_noticed(Lie::NoIdToken, &["ID token"]);
}

#[test]
fn a_browser_that_comes_back_from_another_issuer_opens_no_session() {
    a_lie_is_noticed(Lie::CallbackIssuer, &["iss"]);
}

#[test]
fn a_user_who_says_no_is_told_so() {
    a_lie_is_noticed(Lie::AccessDenied, &["access_denied"]);
}

#[test]
fn a_scope_that_the_provider_does_not_know_is_for_an_administrator() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer));
    let _daemon = Daemon::start(&home);
    provider.lie(Lie::InvalidScope);

    let login = home.begin_login(&[]);
    Browser::default().log_in(&login.url, "alice");
    let why = login.finish().fails_with(78);

    assert!(why.contains("invalid_scope; check scopes; asked for were") && why.contains("offline_access"), "{why}");
    assert!(why.contains("administrator"), "{why}");
}

#[test]
fn a_provider_that_calls_itself_something_else_is_not_used() {
    let provider = ScriptedProvider::start();
    provider.lie(Lie::DiscoveryIssuer);
    let home = Home::new(&Config::corp(&provider.issuer));
    let _daemon = Daemon::start(&home);
    let failed = home.cli(["login", "corp", "--no-browser"]);
    assert_eq!(failed.status, 78, "{failed:?}");
    assert!(failed.stderr.contains("issuer"), "{failed:?}");
}

#[test]
fn a_callback_with_a_foreign_state_does_not_end_the_wait_of_the_command_line() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer));
    let _daemon = Daemon::start(&home);
    let login = home.begin_login(&[]);

    provider.lie(Lie::State);
    Browser::default().log_in(&login.url, "mallory");
    provider.tell_the_truth();
    Browser::default().log_in(&login.url, "alice");

    let answer = login.finish().json();
    assert_eq!(home.sessions()[0]["session"], answer["session"]);
    assert_eq!(home.sessions()[0]["user"], "alice");
}

#[test]
fn a_foreign_state_completes_no_login_and_the_right_one_still_does() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer));
    let _daemon = Daemon::start(&home);
    let mut wire = Wire::connect(&home.socket());
    let (first, first_url) = wire.begin();
    let (_, second_url) = wire.begin();
    let (back_of_first, back_of_second) = (browse(&first_url, "alice"), browse(&second_url, "bob"));

    let problem = wire.problem(&complete(first, &back_of_second));
    assert_eq!(problem.code, Code::LoginFailed);
    assert!(problem.message.contains("state"), "{problem}");
    assert_eq!(provider.count("authorization_code"), 0, "a code is not sent before the state fits");
    assert_eq!(home.sessions().len(), 0);

    wire.ask(&complete(first, &back_of_first));
    assert_eq!(home.sessions()[0]["user"], "alice");
}

#[test]
fn a_login_that_was_never_begun_cannot_be_completed() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer));
    let _daemon = Daemon::start(&home);
    let mut wire = Wire::connect(&home.socket());
    let (_, url) = wire.begin();
    let stranger = tokenkeeper_protocol::LoginId::from_random([7; 16]);
    let problem = wire.problem(&complete(stranger, &browse(&url, "alice")));
    assert!([Code::LoginFailed, Code::NotFound].contains(&problem.code), "{problem:?}");
    assert_eq!(provider.count("authorization_code"), 0);
}

#[test]
fn a_login_cannot_be_begun_while_the_provider_is_down_and_can_when_it_is_back() {
    let provider = ScriptedProvider::start();
    provider.go_down();
    let home = Home::new(&Config::corp(&provider.issuer));
    let _daemon = Daemon::start(&home);

    let why = home.cli(["login", "corp", "--no-browser"]).fails_with(75);
    assert!(why.contains("corp"), "{why}");

    provider.come_back();
    home.age_token();
    home.login("alice");
}

#[test]
fn a_token_endpoint_that_fails_during_a_login_costs_only_that_login() {
    for fault in [
        Fault::DropBefore,
        Fault::DropAfter,
        Fault::Answer(503, "<h1>busy</h1>".to_owned()),
        Fault::Answer(400, r#"{"error":"invalid_grant"}"#.to_owned()),
        Fault::Answer(200, "{\"access_token\": 7}".to_owned()),
        Fault::Answer(200, format!("{{\"x\":\"{}\"}}", "x".repeat(300_000))),
    ] {
        let provider = ScriptedProvider::start();
        let home = Home::new(&Config::corp(&provider.issuer));
        let _daemon = Daemon::start(&home);
        provider.fault("authorization_code", fault.clone());

        let login = home.begin_login(&["--timeout", "0s"]);
        Browser::default().log_in(&login.url, "alice");
        let failed = login.finish();

        assert!([6, 75].contains(&failed.status), "{fault:?}: {failed:?}");
        assert_eq!(provider.count("authorization_code"), 1, "a code is sent once");
        assert_eq!(home.sessions().len(), 0);
        home.login("alice");
    }
}

#[test]
fn a_token_endpoint_that_is_busy_for_a_moment_sends_nobody_back_to_the_login_page() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer));
    let _daemon = Daemon::start(&home);
    provider.fault("authorization_code", Fault::Answer(503, "<h1>busy</h1>".to_owned()));

    let login = home.begin_login(&[]);
    Browser::default().log_in(&login.url, "alice");
    let done = login.finish();

    assert!(done.stderr.contains("HTTP 503") && done.stderr.contains("tried again until"), "{done:?}");
    assert_eq!(done.json()["user"]["name"], "alice");
    assert_eq!(home.sessions().len(), 1);
}

#[test]
fn a_redirect_uri_that_is_not_configured_is_refused() {
    use tokenkeeper_protocol::Request;
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer));
    let _daemon = Daemon::start(&home);
    let Request::LoginBegin(mut begin) = crate::support::wire::begin("corp") else { unreachable!() };
    begin.redirect_uri = "https://evil.example/callback".to_owned();
    let problem = Wire::connect(&home.socket()).problem(&Request::LoginBegin(begin));
    assert_eq!(problem.code, Code::BadRequest);
    assert!(problem.message.contains("redirect"), "{problem}");
}

#[test]
fn a_name_that_belongs_to_somebody_else_is_not_given_away() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer).with("user_name_claim = \"nickname\""));
    let _daemon = Daemon::start(&home);
    // Whatever a user may choose freely, two users can choose alike.
    provider.claim("nickname", "ally");
    home.login("alice");

    let login = home.begin_login(&[]);
    Browser::default().log_in(&login.url, "mallory");
    let why = login.finish().fails_with(6);

    assert!(why.contains("ally"), "{why}");
    assert_eq!(home.sessions().len(), 1);
}
