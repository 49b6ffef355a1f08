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

#[test]
fn the_sessions_of_a_unix_user_are_those_that_the_configuration_maps_to_it() {
    must_be_root();
    let provider = ScriptedProvider::start();
    let map = format!("[user_map.corp]\n{STRANGER} = [\"bob\", \"bobby\"]\n");
    let rule = (&*format!("user:{STRANGER}"), EVERYTHING, "corp", "user");
    let config = Config::corp(&provider.issuer).rule(rule.0, rule.1, rule.2, rule.3).more(&map);
    let home = Home::new(&config);
    let _daemon = Daemon::start(&home);
    let (alices, bobs) = (home.login("alice"), home.login("bob"));

    let listed = home.cli_as(STRANGER, &["--json", "sessions"]).json();
    let listed: Vec<_> = listed["sessions"].as_array().unwrap().iter().map(|row| row["session"].clone()).collect();
    assert_eq!(listed, [bobs.as_str()]);
    assert!(provider.accepts(&home.cli_as(STRANGER, &["token", "corp"]).ok()), "the only one that it may use");
    home.cli_as(STRANGER, &["token", "--session", &bobs]).ok();
    home.cli_as(STRANGER, &["token", "--session", &alices]).fails_with(4);
    home.cli_as(STRANGER, &["token", "corp", "--user", "alice"]).fails_with(4);
    home.cli_as(STRANGER, &["session", &alices]).fails_with(4);
    home.cli_as(STRANGER, &["logout", &alices]).fails_with(4);
    home.cli_as(STRANGER, &["policy", "explain", "token", "--session", &alices]).fails_with(4);
    home.cli_as(STRANGER, &["policy", "explain", "token", "--session", &bobs]).ok();
    home.cli_as(STRANGER, &["logout", &bobs]).ok();
}

#[test]
fn what_others_may_do_is_nothing_for_users_without_the_right_to_manage() {
    must_be_root();
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer).rule("unit:shop.service", EVERYTHING, "corp", "own"));
    let _daemon = Daemon::start(&home);
    let session = home.login("alice");
    let refused = home.cli_as(STRANGER, &["token", "--session", &session]).fails_with(77);
    // The command that the refusal names is the one that root runs.
    let command = refused.lines().find_map(|line| line.trim().strip_prefix("sudo tokenkeeper ")).unwrap().to_owned();
    let explained = home.cli(command.split(' '));
    assert_eq!(explained.status, 77, "{explained:?}");
    assert!(explained.stdout.contains(&format!("who = \"user:{STRANGER}\"")), "{explained:?}");
    assert!(refused.contains("\naudit reference: r-"), "{refused}");

    let arguments: Vec<_> = command.split(' ').collect();
    let denied = home.cli_as(STRANGER, &arguments).fails_with(77);
    assert!(!denied.contains("shop.service"), "{denied}");
    home.syslog.wait_for(&["denied", "manage", &session]);
    let about_itself = home.cli_as(STRANGER, &["policy", "explain", "token", "--provider", "corp"]);
    assert_eq!(about_itself.status, 77);
    assert!(!about_itself.stdout.contains("shop.service"), "rules about others are not shown: {about_itself:?}");
    assert!(home.cli_as(STRANGER, &["whoami"]).ok().contains("No rule is about you"));
}
