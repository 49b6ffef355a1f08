//! Rotating refresh tokens at a provider without any grace: reuse revokes everything, so no token may ever be sent twice.

use serde_json::json;

use crate::support::{Config, Daemon, Home, RealProvider};

#[test]
fn refreshes_in_a_row_never_send_a_refresh_token_twice() {
    let provider = RealProvider::start(4, &["--rotate"]);
    let home = Home::new(&Config::corp(&provider.issuer));
    let _daemon = Daemon::start(&home);
    let session = home.login("alice");
    let mut mark = 0;
    for _ in 0..4 {
        home.syslog.wait_for_after(mark, &["refresh_done", &session]);
        mark = home.syslog.mark();
        assert!(provider.userinfo(&home.token()).is_some());
    }
    assert_eq!(provider.count("authorization_code"), 1);
}

#[test]
fn a_refresh_that_never_reached_the_provider_ends_no_session() {
    let provider = RealProvider::start(8, &["--rotate"]);
    let home = Home::new(&Config::corp(&provider.issuer));
    let _daemon = Daemon::start(&home);
    let session = home.login("alice");
    provider.fault(&json!({ "on": "refresh_token", "do": "drop_before" }));
    home.syslog.wait_for(&["refresh_failed", &session]);
    assert!(provider.userinfo(&home.token()).is_some(), "the token lives on");
    home.syslog.wait_for(&["refresh_done", &session]);
    assert!(provider.userinfo(&home.token()).is_some());
}

#[test]
fn an_answer_that_was_lost_ends_the_session_only_when_its_token_has_expired() {
    let provider = RealProvider::start(8, &["--rotate"]);
    let home = Home::new(&Config::corp(&provider.issuer));
    let _daemon = Daemon::start(&home);
    let session = home.login("alice");
    let token = home.token();
    provider.fault(&json!({ "on": "refresh_token", "do": "drop_after" }));
    home.syslog.wait_for(&["refresh_failed", &session, "false"]);
    assert_eq!(home.token(), token, "the token lives on, and is served");
    assert!(provider.userinfo(&token).is_some(), "the refresh token was not tried again, so nothing was revoked");
    home.syslog.wait_for(&["refresh_failed", &session, "true"]);
    home.cli(["token", "corp"]).fails_with(3);
    assert_eq!(provider.count("refresh_token"), 2);
}

#[test]
fn errors_of_a_gateway_in_front_of_the_provider_pass() {
    let provider = RealProvider::start(8, &["--rotate"]);
    let home = Home::new(&Config::corp(&provider.issuer));
    let _daemon = Daemon::start(&home);
    let session = home.login("alice");
    provider.fault(&json!({ "on": "refresh_token", "do": "answer", "status": 503, "headers": { "retry-after": "1" } }));
    home.syslog.wait_for(&["refresh_failed", &session]);
    home.syslog.wait_for(&["refresh_done", &session]);
    assert!(provider.userinfo(&home.token()).is_some());
}
