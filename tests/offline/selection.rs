//! Which session a command means, and what it says when that is not clear.

use crate::support::{Config, Daemon, Home, ScriptedProvider};

#[test]
fn two_sessions_that_match_are_named_with_the_way_to_choose() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer));
    let _daemon = Daemon::start(&home);
    let (first, second) = (home.login("alice"), home.login("alice"));

    let why = home.cli(["token", "corp"]).fails_with(5);
    assert!(why.contains(&first) && why.contains(&second), "which sessions match: {why}");
    assert!(why.contains("--session"), "how to choose: {why}");

    let (one, other) = (home.cli(["token", "--session", &first]).ok(), home.cli(["token", "--session", &second]).ok());
    assert!(provider.accepts(&one) && provider.accepts(&other));
    assert_ne!(one, other);
}

#[test]
fn the_user_tells_two_sessions_apart() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer));
    let _daemon = Daemon::start(&home);
    home.login("alice");
    home.login("bob");
    let answer = home.cli(["--json", "token", "corp", "--user", "bob"]).json();
    assert_eq!(home.cli(["--json", "session", answer["session"].as_str().unwrap()]).json()["user"], "bob");
    let why = home.cli(["token", "corp"]).fails_with(5);
    assert!(why.contains("alice") && why.contains("bob") && why.contains("--user"), "{why}");
}

#[test]
fn what_does_not_exist_is_not_found() {
    let provider = ScriptedProvider::start();
    let everywhere =
        Config::corp(&provider.issuer).rule(&crate::support::config::me(), &["login", "token"], "*", "own");
    let home = Home::new(&everywhere);
    let _daemon = Daemon::start(&home);
    home.login("alice");

    let why = home.cli(["login", "crop", "--no-browser"]).fails_with(4);
    assert!(why.contains("crop"), "{why}");
    let why = home.cli(["token", "crop"]).fails_with(4);
    assert!(why.contains("crop"), "{why}");
    let why = home.cli(["token", "corp", "--user", "nobody-here"]).fails_with(4);
    assert!(why.contains("nobody-here"), "{why}");
    assert!(provider.accepts(&home.token()), "nothing was lost");
}

#[test]
fn a_session_that_does_not_exist_reads_like_one_that_is_not_yours() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer));
    let _daemon = Daemon::start(&home);
    for command in [["token", "--session"].as_slice(), &["session"], &["logout"]] {
        let failed = home.cli(command.iter().copied().chain(["0000aaaa"]));
        assert!([4, 77].contains(&failed.status), "{failed:?}");
        assert!(failed.stderr.contains("0000aaaa") || failed.stderr.contains("exist"), "{failed:?}");
    }
}

#[test]
fn nobody_logged_in_yet_says_how_to() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer));
    let _daemon = Daemon::start(&home);
    let failed = home.cli(["token", "corp"]);
    assert!([3, 4].contains(&failed.status), "{failed:?}");
    assert!(failed.stderr.contains("tokenkeeper login corp"), "{failed:?}");
    assert_eq!(home.sessions().len(), 0);
}

#[test]
fn wrong_arguments_are_a_matter_of_usage() {
    let home = Home::new(&Config::empty());
    let _daemon = Daemon::start(&home);
    home.cli(["tokn"]).fails_with(64);
    home.cli(["token", "corp", "--min-valid", "soon"]).fails_with(64);
    let failed = home.cli(["token", "Not A Provider"]);
    assert!([64, 65].contains(&failed.status), "{failed:?}");
    let failed = home.cli(["session", "short"]);
    assert!([64, 65].contains(&failed.status), "{failed:?}");
}

#[test]
fn a_token_is_alone_on_stdout_and_json_tells_the_rest() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer));
    let _daemon = Daemon::start(&home);
    let session = home.login("alice");

    let printed = home.cli(["token", "corp"]);
    assert_eq!(printed.stdout.split_whitespace().count(), 1, "{printed:?}");
    assert_eq!(printed.stderr, "");
    let told = home.cli(["--json", "token", "corp"]).json();
    assert_eq!(told["access_token"], *printed.stdout.trim_end());
    assert_eq!(told["session"], *session);
    assert_eq!(told["token_type"], "Bearer");
    assert!(told["scope"].as_str().unwrap().contains("openid"));
    assert!(told.get("expires_at").is_some());
}
