//! Who may do what, tried as other users. Only root can become them: the Makefile leaves these out for everyone else, and says so.

mod disk;

use nix::unistd::Uid;

use crate::support::config::EVERYTHING;
use crate::support::{Config, Daemon, Home, ScriptedProvider};

/// Stands for every user who has no number here.
const OVERFLOW_UID: u32 = 65_534;
/// Some other user. It needs no entry in the user database.
const STRANGER: u32 = 54_321;

fn must_be_root() {
    assert!(Uid::effective().is_root(), "only root can act as other users: run `sudo make test-offline`");
}

#[test]
fn another_user_reads_the_same_for_a_session_of_yours_and_one_that_does_not_exist() {
    must_be_root();
    let provider = ScriptedProvider::start();
    let config = Config::corp(&provider.issuer).rule(&format!("user:{STRANGER}"), EVERYTHING, "corp", "own");
    let home = Home::new(&config);
    let _daemon = Daemon::start(&home);
    let session = home.login("alice");

    for command in [["token", "--session"].as_slice(), &["session"], &["logout"]] {
        let words = |reference: &str| {
            let arguments: Vec<_> = command.iter().copied().chain([reference]).collect();
            let result = home.cli_as(STRANGER, &arguments);
            assert_eq!(result.stdout, "");
            // What was asked for, and what to quote, differ; nothing else may.
            let words = result.stderr.split_whitespace().filter(|word| !word.starts_with("r-")).collect::<Vec<_>>();
            (result.status, words.join(" ").replace(reference, "REF"))
        };
        let (yours, nobodys) = (words(&session), words("0000aaaa"));
        assert_eq!(yours, nobodys, "{command:?}");
        assert!([4, 77].contains(&yours.0), "{yours:?}");
    }
    assert!(home.cli_as(STRANGER, &["--json", "sessions"]).json()["sessions"].as_array().unwrap().is_empty());
    assert!(provider.accepts(&home.token()), "the session is untouched");
}

#[test]
fn a_user_without_any_rule_learns_nothing() {
    must_be_root();
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer));
    let _daemon = Daemon::start(&home);
    home.login("alice");
    let known = home.cli_as(STRANGER, &["token", "corp"]);
    let unknown = home.cli_as(STRANGER, &["token", "crop"]);
    assert_eq!((known.status, unknown.status), (77, 77), "{known:?} {unknown:?}");
    assert!(!known.stderr.contains("alice"));
    home.cli_as(STRANGER, &["login", "corp", "--no-browser"]).fails_with(77);
    home.cli_as(STRANGER, &["status"]).fails_with(77);
}

#[test]
fn the_user_who_stands_for_nobody_is_refused_whatever_the_rules_say() {
    must_be_root();
    let provider = ScriptedProvider::start();
    let config = Config::corp(&provider.issuer).rule(&format!("user:{OVERFLOW_UID}"), EVERYTHING, "corp", "all");
    let home = Home::new(&config);
    let _daemon = Daemon::start(&home);
    home.login("alice");
    let refused = home.cli_as(OVERFLOW_UID, &["token", "corp"]);
    assert!([69, 77].contains(&refused.status), "{refused:?}");
    assert_eq!(refused.stdout, "");
}

#[test]
fn a_rule_for_all_sessions_reaches_those_of_others() {
    must_be_root();
    let provider = ScriptedProvider::start();
    let config = Config::corp(&provider.issuer).rule(&format!("user:{STRANGER}"), &["list", "token"], "corp", "all");
    let home = Home::new(&config);
    let _daemon = Daemon::start(&home);
    let session = home.login("alice");
    let listed = home.cli_as(STRANGER, &["--json", "sessions"]).json();
    assert_eq!(listed["sessions"][0]["session"], *session);
    assert!(provider.accepts(&home.cli_as(STRANGER, &["token", "corp"]).ok()));
    home.cli_as(STRANGER, &["logout", &session]).fails_with(77);
}
