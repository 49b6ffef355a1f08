//! Who may do what: nobody anything without a rule, root included.

use nix::unistd::Uid;

use crate::support::config::{EVERYTHING, me};
use crate::support::{Config, Daemon, Home, ScriptedProvider};

/// Stands for every user who has no number here.
const OVERFLOW_UID: u32 = 65_534;
/// Some other user. It needs no entry in the user database.
const STRANGER: u32 = 54_321;

#[test]
fn without_a_rule_nobody_gets_a_token_not_even_root() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer));
    let daemon = Daemon::start(&home);
    let session = home.login("alice");
    let token = home.token();

    home.configure(&Config::corp(&provider.issuer).without_rules().rule(&me(), &["list", "status"], "corp", "own"));
    daemon.reload();

    let why = home.cli(["token", "--session", &session]).fails_with(77);
    assert!(!why.contains(&token));
    assert!(why.contains("token"), "which rule is missing: {why}");
    home.cli(["login", "corp", "--no-browser"]).fails_with(77);
    assert_eq!(home.sessions().len(), 1, "the rule for lists is still there");
    home.syslog.wait_for(&["denied", "token", &session]);
}

#[test]
fn a_denial_can_be_found_in_the_audit_trail_by_its_reference() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer).without_rules());
    let _daemon = Daemon::start(&home);
    let why = home.cli(["token", "corp"]).fails_with(77);
    let reference =
        why.split_whitespace().find(|word| word.starts_with("r-")).unwrap_or_else(|| panic!("no reference: {why}"));
    home.syslog.wait_for(&["denied", reference.trim_end_matches('.')]);
}

#[test]
fn another_user_reads_the_same_for_a_session_of_yours_and_one_that_does_not_exist() {
    if !Uid::effective().is_root() {
        return eprintln!("not root: only the command line of root can be run as another user");
    }
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
    if !Uid::effective().is_root() {
        return eprintln!("not root: only the command line of root can be run as another user");
    }
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
    if !Uid::effective().is_root() {
        return eprintln!("not root: only the command line of root can be run as another user");
    }
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
    if !Uid::effective().is_root() {
        return eprintln!("not root: only the command line of root can be run as another user");
    }
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
