//! Sessions grow old: at their greatest age they need a login, then they end, then nothing is left of them.

use crate::support::{Config, Daemon, Home, ScriptedProvider};

#[test]
fn a_session_at_its_greatest_age_is_revoked_and_in_the_end_removed() {
    let provider = ScriptedProvider::start();
    let young = Config::corp(&provider.issuer).with("max_age = \"2s\"");
    let config = young.schedule("prune = \"* * * * * *\"").schedule("retention = \"1s\"");
    let home = Home::new(&config);
    let _daemon = Daemon::start(&home);
    let session = home.login("alice");
    let token = home.token();

    home.syslog.wait_for(&["expired", &session, "needs_login"]);
    home.syslog.wait_for(&["revoked", &session, "done"]);
    assert!(!provider.accepts(&token), "its tokens are worth nothing any more");
    home.syslog.wait_for(&["expired", &session, "ended"]);
    home.syslog.wait_for(&["removed", &session]);

    home.cli(["session", &session]).fails_with(4);
    assert_eq!(home.sessions().len(), 0);
    home.login("alice");
}

#[test]
fn a_session_within_its_age_is_left_alone() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer).schedule("prune = \"* * * * * *\""));
    let _daemon = Daemon::start(&home);
    let session = home.login("alice");
    home.age_token();
    assert_eq!(home.sessions()[0]["session"], *session);
    assert!(provider.accepts(&home.token()));
    assert_eq!(provider.count("/revoke"), 0);
}
