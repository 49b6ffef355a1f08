//! Old copies of the store that somebody puts back: what is noticed, what is not, and what becomes of the sessions.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::config::me;
use crate::support::deadline::Deadline;
use crate::support::{Config, Daemon, Home, ScriptedProvider};

/// Where people may accept a rollback.
fn config(provider: &ScriptedProvider) -> Config {
    Config::corp(&provider.issuer).rule(&me(), &["manage"], "*", "all")
}

/// The same, anchored outside of the state directory.
fn anchored(provider: &ScriptedProvider) -> Home {
    let home = Home::new(&config(provider));
    let anchor = home.path("run/anchor");
    home.configure(&config(provider).daemon(&format!("anchor_file = {:?}", anchor.display().to_string())));
    home
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    let done = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(done.success());
}

/// What the status complains of, in one text.
fn complaints(home: &Home) -> String {
    let status: serde_json::Value = serde_json::from_str(&home.cli(["--json", "status"]).stdout).unwrap();
    status["complaints"].to_string()
}

fn is_noticed(home: &Home) -> bool {
    complaints(home).contains("old copy of the store was put back")
}

fn min_valid(home: &Home, session: &str, span: &str) -> crate::support::CliResult {
    home.cli(["token", "--session", session, "--min-valid", span])
}

#[test]
fn the_sessions_of_an_old_copy_are_in_quarantine_until_a_login_or_an_administrator_ends_it() {
    let provider = ScriptedProvider::start();
    provider.access_life(1000).rotate(true);
    let home = anchored(&provider);
    let daemon = Daemon::start(&home);
    let (alice, bob) = (home.login("alice"), home.login("bob"));
    daemon.stop();
    copy(&home.state_dir(), &home.path("copy"));
    let daemon = Daemon::start(&home);
    home.age_token();
    min_valid(&home, &alice, "999s").ok();
    daemon.stop();
    copy(&home.path("copy"), &home.state_dir());

    let _daemon = Daemon::start(&home);
    home.syslog.wait_for(&["rollback_noticed", "found=", "anchored="]);
    let status = home.cli(["status"]);
    assert_eq!(status.status, 1, "{status:?}");
    assert!(status.stdout.contains("tokenkeeper store accept-rollback"), "{status:?}");
    for session in [&alice, &bob] {
        assert!(provider.accepts(&home.cli(["token", "--session", session]).ok()), "live tokens are served");
        let why = min_valid(&home, session, "999s").fails_with(75);
        assert!(why.contains("put back from an older copy") && why.contains("accept-rollback"), "{why}");
    }
    assert_eq!(provider.count("refresh_token"), 1, "no refresh token of the old copy was sent");

    home.login_with("alice", &["--replaces", &alice]);
    home.age_token();
    min_valid(&home, &alice, "999s").ok();
    min_valid(&home, &bob, "999s").fails_with(75);

    home.cli(["store", "accept-rollback"]).ok();
    home.syslog.wait_for(&["rollback_accepted"]);
    min_valid(&home, &bob, "999s").ok();
    assert_eq!(provider.count("refresh_token"), 3);
    assert_eq!(home.cli(["status"]).status, 0);
    home.cli(["store", "accept-rollback"]).fails_with(4);
}

#[test]
fn a_spent_refresh_token_of_an_old_copy_is_tried_once_at_the_end_and_the_user_is_told_why() {
    let provider = ScriptedProvider::start();
    provider.access_life(4).rotate(true);
    let home = anchored(&provider);
    let daemon = Daemon::start(&home);
    let session = home.login("alice");
    daemon.stop();
    copy(&home.state_dir(), &home.path("copy"));
    let before = provider.count("refresh_token");
    let daemon = Daemon::start(&home);
    provider.wait_for("refresh_token", before + 1);
    daemon.stop();
    let sent = provider.count("refresh_token");
    copy(&home.path("copy"), &home.state_dir());

    let _daemon = Daemon::start(&home);
    home.syslog.wait_for(&["refresh_failed", &session, "older copy"]);
    assert_eq!(provider.count("refresh_token"), sent + 1);
    let why = home.cli(["token", "--session", &session]).fails_with(3);
    assert!(why.contains("put back from an older copy"), "{why}");
    assert_eq!(provider.count("refresh_token"), sent + 1);
}

#[test]
fn a_whole_state_directory_that_is_put_back_is_noticed_only_if_it_is_anchored_elsewhere() {
    let provider = ScriptedProvider::start();
    for (home, is_seen) in [(anchored(&provider), true), (Home::new(&config(&provider)), false)] {
        Daemon::start(&home).stop();
        copy(&home.state_dir(), &home.path("copy"));
        let daemon = Daemon::start(&home);
        home.login("alice");
        daemon.stop();
        copy(&home.path("copy"), &home.state_dir());
        let daemon = Daemon::start(&home);
        assert_eq!(is_noticed(&home), is_seen);
        daemon.stop();

        // The database alone is noticed either way.
        copy(&home.path("copy/store"), &home.state_dir().join("store"));
        let daemon = Daemon::start(&home);
        home.login("bob");
        daemon.stop();
        copy(&home.path("copy/store"), &home.state_dir().join("store"));
        let _daemon = Daemon::start(&home);
        assert!(is_noticed(&home));
    }
}

#[test]
fn an_anchor_that_is_taken_away_or_forged_counts_as_a_rollback() {
    let provider = ScriptedProvider::start();
    for forged in [false, true] {
        let home = anchored(&provider);
        let daemon = Daemon::start(&home);
        home.login("alice");
        daemon.stop();
        let anchor = home.path("run/anchor");
        if forged {
            let text = fs::read_to_string(&anchor).unwrap();
            fs::write(&anchor, text.replace("generation ", "generation 1")).unwrap();
        } else {
            fs::remove_file(&anchor).unwrap();
        }
        let daemon = Daemon::start(&home);
        assert!(is_noticed(&home), "forged: {forged}");
        home.cli(["store", "accept-rollback"]).ok();
        daemon.stop();
        let _daemon = Daemon::start(&home);
        assert!(!is_noticed(&home), "it is anchored anew");
    }
}

#[test]
fn an_anchor_that_cannot_be_written_is_complained_of_and_no_alarm() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&config(&provider).daemon("anchor_file = \"/nowhere/anchor\""));
    for _ in 0..2 {
        let daemon = Daemon::start(&home);
        let deadline = Deadline::patient();
        while !complaints(&home).contains("the anchor /nowhere/anchor cannot be written") {
            assert!(deadline.left().is_some(), "nothing is said about the anchor");
        }
        assert!(!is_noticed(&home));
        daemon.stop();
    }
}
