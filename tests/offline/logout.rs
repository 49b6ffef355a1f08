//! The end of sessions.

use crate::support::{Config, Daemon, Fault, Home, ScriptedProvider};

#[test]
fn a_logout_revokes_at_the_provider_and_serves_nobody_again() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer));
    let _daemon = Daemon::start(&home);
    let session = home.login("alice");
    let token = home.token();

    let said = home.cli(["--json", "logout", &session]).json();

    assert_eq!(said["sessions"][0]["revoked"], "done");
    assert!(!provider.accepts(&token));
    let failed = home.cli(["token", "--session", &session]);
    assert!([3, 4].contains(&failed.status), "{failed:?}");
    home.syslog.wait_for(&["logged_out", &session]);
    home.syslog.wait_for(&["revoked", &session, "done"]);
}

#[test]
fn a_logout_of_one_session_leaves_the_other_alone() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer));
    let _daemon = Daemon::start(&home);
    let (alice, bob) = (home.login("alice"), home.login("bob"));
    home.cli(["logout", &alice]).ok();
    assert!(provider.accepts(&home.cli(["token", "--session", &bob]).ok()));
    assert!(provider.accepts(&home.token()), "only one session is left that matches");
}

#[test]
fn a_logout_while_the_provider_is_down_is_carried_out_when_it_is_back() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer).with("timeout = \"2s\""));
    let daemon = Daemon::start(&home);
    let session = home.login("alice");
    let token = home.token();
    provider.go_down();

    let said = home.cli(["--json", "logout", &session]).json();
    assert_eq!(said["sessions"][0]["revoked"], "pending");
    assert_ne!(home.cli(["token", "--session", &session]).status, 0, "the session is over here at once");
    daemon.kill();

    provider.come_back();
    let _daemon = Daemon::start(&home);
    home.syslog.wait_for(&["revoked", &session, "done"]);
    assert!(!provider.accepts(&token));
}

#[test]
fn a_provider_that_answers_503_to_a_revocation_is_asked_again() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer));
    let _daemon = Daemon::start(&home);
    let session = home.login("alice");
    let token = home.token();
    provider.fault("/revoke", Fault::Answer(503, String::new()));
    assert_eq!(home.cli(["--json", "logout", &session]).json()["sessions"][0]["revoked"], "pending");
    home.syslog.wait_for(&["revoked", &session, "done"]);
    assert!(!provider.accepts(&token));
}

#[test]
fn a_session_that_is_logged_out_during_its_refresh_stays_logged_out() {
    let provider = ScriptedProvider::start();
    provider.access_life(100);
    let home = Home::new(&Config::corp(&provider.issuer));
    let _daemon = Daemon::start(&home);
    let session = home.login("alice");
    home.age_token();
    provider.access_life(1000).fault("refresh_token", Fault::Hold);
    let mut wire = crate::support::Wire::connect(&home.socket());
    wire.send(&crate::support::wire::token("corp", Some(99)));
    provider.wait_for("refresh_token", 1);

    std::thread::scope(|scope| {
        let logout = scope.spawn(|| home.cli(["logout", &session]).ok());
        home.syslog.wait_for(&["logged_out", &session]);
        provider.release();
        logout.join().unwrap();
    });

    assert!(matches!(wire.receive().1, tokenkeeper_protocol::Reply::Problem(_)), "no token after a logout");
    assert_ne!(home.cli(["token", "--session", &session]).status, 0);
    home.syslog.wait_for(&["revoked", &session]);
}
