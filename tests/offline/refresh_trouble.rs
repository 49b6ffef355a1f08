//! Refreshes that do not succeed: what is still served, what is tried again, and what needs a person.

use crate::support::deadline::Deadline;
use crate::support::wire::{self, Wire};
use crate::support::{Config, Daemon, Fault, Home, Lie, ScriptedProvider};

/// A daemon with one session of alice's whose token has lost a second of its life: a request for all but one is a refresh.
fn with_short_token(provider: &ScriptedProvider) -> (Home, Daemon, String) {
    provider.access_life(100);
    let home = Home::new(&Config::corp(&provider.issuer));
    let daemon = Daemon::start(&home);
    let session = home.login("alice");
    home.age_token();
    provider.access_life(1000);
    (home, daemon, session)
}

const LONGER: [&str; 4] = ["token", "corp", "--min-valid", "99s"];

#[test]
fn a_live_token_is_served_while_the_provider_is_down() {
    let provider = ScriptedProvider::start();
    let (home, _daemon, session) = with_short_token(&provider);
    let token = home.token();
    provider.go_down();

    let why = home.cli(LONGER).fails_with(75);
    assert!(why.contains("corp"), "{why}");
    assert_eq!(home.token(), token);
    home.syslog.wait_for(&["refresh_failed", &session]);
    let status = home.cli(["status"]);
    assert_eq!(status.status, 1, "degraded: {status:?}");
    assert!(status.stdout.contains("corp"), "{status:?}");

    provider.come_back();
    // The back-off is the daemon's; its end is seen by the refresh itself.
    home.syslog.wait_for(&["refresh_done", &session]);
    assert!(provider.accepts(&home.token()));
}

#[test]
fn a_provider_that_asks_to_wait_is_not_asked_again_at_once() {
    let provider = ScriptedProvider::start();
    let (home, _daemon, _) = with_short_token(&provider);
    provider.fault("refresh_token", Fault::RetryAfter(503, 3600));
    home.cli(LONGER).fails_with(75);
    home.cli(LONGER).fails_with(75);
    assert_eq!(provider.count("refresh_token"), 1);
    assert!(provider.accepts(&home.token()));
}

#[test]
fn errors_of_every_shape_leave_the_live_token_alone() {
    for (status, body) in [
        (500, ""),
        (502, "<html><h1>Bad Gateway</h1></html>"),
        (429, r#"{"error":"slow_down"}"#),
        (403, "<html>WAF</html>"),
        (200, "<html>a captive portal</html>"),
        (200, r#"{"token_type":"Bearer"}"#),
    ] {
        let provider = ScriptedProvider::start();
        let (home, _daemon, _) = with_short_token(&provider);
        let token = home.token();
        provider.fault("refresh_token", Fault::Answer(status, body.to_owned()));
        let failed = home.cli(LONGER);
        assert_eq!(failed.status, 75, "{status} {body}: {failed:?}");
        assert_eq!(home.token(), token, "{status} {body}");
    }
}

#[test]
fn a_refused_refresh_needs_a_login_and_says_how() {
    let provider = ScriptedProvider::start();
    let (home, _daemon, session) = with_short_token(&provider);
    provider.revoke_everything();

    let why = home.cli(LONGER).fails_with(3);
    assert!(why.contains("tokenkeeper login corp"), "{why}");
    home.syslog.wait_for(&["refresh_failed", &session, "true"]);
    let listed = home.cli(["sessions"]).ok();
    assert!(listed.contains("needs login"), "{listed}");
    home.cli(["token", "corp"]).fails_with(3);
    assert_eq!(provider.count("refresh_token"), 1, "a dead refresh token is not sent again");
}

#[test]
fn a_refresh_that_names_another_user_is_not_believed() {
    let provider = ScriptedProvider::start();
    let (home, _daemon, _) = with_short_token(&provider);
    let token = home.token();
    provider.lie(Lie::SubjectOnRefresh);
    let failed = home.cli(LONGER);
    assert_ne!(failed.status, 0, "{failed:?}");
    assert_eq!(failed.stdout, "");
    let now = home.cli(["token", "corp"]);
    assert!(now.status != 0 || now.stdout.trim_end() == token, "a token of mallory's was served: {now:?}");
}

#[test]
fn a_refresh_that_names_another_user_each_time_ends_with_a_login() {
    let provider = ScriptedProvider::start();
    provider.access_life(6);
    let home = Home::new(&Config::corp(&provider.issuer));
    let _daemon = Daemon::start(&home);
    let session = home.login("alice");
    provider.lie(Lie::SubjectOnRefresh);

    home.syslog.wait_for(&["refresh_failed", &session, "needs_login=\"false\""]);
    home.syslog.wait_for(&["refresh_failed", &session, "needs_login=\"true\"", "reason=\"answer_lost\""]);
    let why = home.cli(["token", "corp"]).fails_with(3);
    let words = "answers to refreshes could not be used: the refresh brought an ID token of another user";
    assert!(why.contains(words) && why.contains("tokenkeeper login corp"), "{why}");

    provider.tell_the_truth();
    home.login("alice");
    assert!(provider.accepts(&home.token()));
}

#[test]
fn a_lost_answer_costs_nothing_where_refresh_tokens_stay() {
    let provider = ScriptedProvider::start();
    provider.access_life(8);
    let home = Home::new(&Config::corp(&provider.issuer));
    let _daemon = Daemon::start(&home);
    let session = home.login("alice");
    provider.fault("refresh_token", Fault::DropAfter);

    home.syslog.wait_for(&["refresh_failed", &session]);
    let failed = provider.count("refresh_token");
    home.syslog.wait_for(&["refresh_done", &session]);

    assert!(provider.accepts(&home.token()));
    assert!(failed <= 2, "a refresh token that may be spent is not hammered with: {failed}");
    assert_eq!(provider.count("authorization_code"), 1, "nobody logged in again");
}

#[test]
fn a_lost_answer_is_tried_again_at_once_where_the_provider_grants_grace() {
    let provider = ScriptedProvider::start();
    provider.access_life(100);
    let home = Home::new(&Config::corp(&provider.issuer).with("reuse_grace = \"30s\""));
    let _daemon = Daemon::start(&home);
    home.login("alice");
    home.age_token();
    provider.access_life(1000).fault("refresh_token", Fault::DropAfter);
    assert!(provider.accepts(&home.cli(LONGER).ok()));
    assert_eq!(provider.count("refresh_token"), 2);
}

#[test]
fn a_refresh_whose_request_never_arrived_is_not_the_end_of_a_rotating_session() {
    let provider = ScriptedProvider::start();
    provider.access_life(8).rotate(true);
    let home = Home::new(&Config::corp(&provider.issuer));
    let _daemon = Daemon::start(&home);
    let session = home.login("alice");
    provider.fault("refresh_token", Fault::DropBefore);
    home.syslog.wait_for(&["refresh_failed", &session]);
    // The old refresh token is tried once, when the access token has expired and nothing is left to lose.
    home.syslog.wait_for(&["refresh_done", &session]);
    assert!(provider.accepts(&home.token()));
}

#[test]
fn a_token_with_less_left_than_the_usual_is_not_refused_while_it_lives() {
    let provider = ScriptedProvider::start();
    let (home, _daemon, _) = with_short_token(&provider);
    provider.go_down();
    let mut wire = Wire::connect(&home.socket());
    let reply = wire.ask(&wire::token("corp", Some(0)));
    assert!(matches!(reply, tokenkeeper_protocol::Reply::Token(_)), "{reply:?}");
}

#[test]
fn an_answer_that_drips_or_would_burst_is_given_up_and_the_live_token_served() {
    for fault in [Fault::Drip(50), Fault::Bomb] {
        let provider = ScriptedProvider::start();
        provider.access_life(100);
        let home = Home::new(&Config::corp(&provider.issuer).with("timeout = \"2s\""));
        let _daemon = Daemon::start(&home);
        home.login("alice");
        home.age_token();
        provider.access_life(1000).fault("refresh_token", fault.clone());
        let token = home.token();
        home.cli(LONGER).fails_with(75);
        assert_eq!(home.token(), token, "{fault:?}");
    }
}

#[test]
fn an_access_token_that_the_provider_kills_with_a_refresh_is_not_handed_out_after_it() {
    let provider = ScriptedProvider::start();
    provider.kill_old_access_tokens();
    let (home, _daemon, _) = with_short_token(&provider);
    let old = home.token();
    let new = home.cli(LONGER).ok();
    assert!(!provider.accepts(&old) && provider.accepts(&new));
    assert_eq!(home.token(), new);
}

#[test]
fn a_provider_that_is_down_is_left_alone_and_that_is_told() {
    let provider = ScriptedProvider::start();
    let (home, _daemon, _) = with_short_token(&provider);
    let token = home.token();
    for _ in 0..12 {
        provider.fault("refresh_token", Fault::Answer(503, String::new()));
    }
    home.cli(LONGER).fails_with(75);
    let deadline = Deadline::after(std::time::Duration::from_mins(1));
    while !home.cli(["status"]).stdout.contains("breaker open, next try in") {
        assert!(deadline.left().is_some(), "{}", home.stderr());
    }
    assert_eq!(home.token(), token, "live tokens are served throughout");
    let why = home.cli(LONGER).fails_with(75);
    assert!(why.contains("try again in"), "{why}");
    let metrics = home.cli(["metrics"]).ok();
    assert!(metrics.contains("tokenkeeper_provider_breaker_open{provider=\"corp\"} 1"), "{metrics}");
}
