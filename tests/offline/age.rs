//! Sessions grow old: at their greatest age they need a login, then they end, then nothing is left of them.

use serde_json::json;

use crate::support::config::{EVERYTHING, me};
use crate::support::{Config, Daemon, Home, ScriptedProvider, Wire};

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

#[test]
fn the_status_tells_how_many_sessions_end_soon_and_when_the_first_is_due() {
    let provider = ScriptedProvider::start();
    let config = Config::corp(&provider.issuer).with("max_age = \"2d\"");
    let config = config.provider("lasting", &provider.issuer).with("max_age = \"4d\"");
    let home = Home::new(&config.rule(&me(), EVERYTHING, "lasting", "own"));
    let _daemon = Daemon::start(&home);
    let status = || home.cli(["status", "--json"]).json();
    assert_eq!((&status()["ending_soon"], &status()["next_refresh_at"]), (&json!(0), &json!(null)));
    let session = home.login("alice");
    Wire::connect(&home.socket()).log_in("lasting", "bob");
    let due = home.cli(["session", &session, "--json"]).json()["refresh_due_at"].clone();
    assert!(due.is_string());
    let told = status();
    assert_eq!(
        (&told["sessions"]["active"], &told["ending_soon"], &told["more_ending_soon"]),
        (&json!(2), &json!(1), &json!(false))
    );
    assert!(told["next_refresh_at"].as_str() <= due.as_str(), "{told}");
    assert!(
        home.cli(["status"]).stdout.contains("2 active (1 end within 3d), 0 need login, 0 ended\nrefresh   next due ")
    );
}
