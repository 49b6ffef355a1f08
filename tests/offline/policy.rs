//! Who one is, and what the rules say.

use nix::unistd::Uid;

use crate::support::config::{EVERYTHING, me};
use crate::support::{Config, Daemon, Home, ScriptedProvider};

fn uid() -> u32 {
    Uid::effective().as_raw()
}

fn may_manage(issuer: &str) -> Config {
    Config::corp(issuer).rule(&me(), &["manage"], "*", "all")
}

#[test]
fn whoami_tells_the_user_the_groups_and_the_rules() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer).rule("user:54321", &["token"], "corp", "all"));
    let _daemon = Daemon::start(&home);
    let told = home.cli(["--json", "whoami"]).json();
    assert_eq!(told["uid"], uid());
    assert!(told["gids"].as_array().unwrap().contains(&Uid::effective().as_raw().into()) || uid() != 0);
    let rules = told["rules"].as_array().unwrap();
    assert!(rules.iter().any(|rule| rule["source"].as_str().unwrap().starts_with("corp.toml:")), "{told}");
    assert!(rules.iter().all(|rule| rule["who"] != "user:54321"), "{told}");
    let text = home.cli(["whoami"]).ok();
    assert!(text.contains("corp.toml:") && text.contains("own at corp"), "{text}");
}

#[test]
fn an_explanation_and_the_command_it_is_about_end_the_same() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&may_manage(&provider.issuer));
    let daemon = Daemon::start(&home);
    let session = home.login("alice");
    let explain = |action: &str| home.cli(["policy", "explain", action, "--session", &session]);

    let allowed = explain("token").ok();
    assert!(allowed.starts_with("allowed: ") && allowed.contains("the session is its own"), "{allowed}");
    home.cli(["token", "--session", &session]).ok();

    home.configure(&may_manage(&provider.issuer).without_rules().rule(&me(), &["list", "manage"], "corp", "all"));
    daemon.reload();
    home.cli(["token", "--session", &session]).fails_with(77);
    let refused = explain("token");
    assert_eq!((refused.status, refused.stderr.as_str()), (77, ""), "the answer is no failure: {refused:?}");
    assert!(refused.stdout.starts_with("refused: ") && refused.stdout.contains("does not allow \"token\""));

    // What is advised is pasted as it is.
    let advice = refused.stdout.split_once("and reload:").unwrap().1.to_owned();
    let rules = Config::corp(&provider.issuer).without_rules().more(&advice);
    home.configure(&rules);
    daemon.reload();
    home.cli(["token", "--session", &session]).ok();
}

#[test]
fn about_others_those_who_look_after_the_host_are_told() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&may_manage(&provider.issuer).rule("unit:shop.service", &["token"], "corp", "own"));
    let daemon = Daemon::start(&home);
    let session = home.login("alice");
    let explain =
        |subject: &[&str], on: &[&str]| home.cli([&["--json", "policy", "explain"], subject, &["token"], on].concat());
    let on_session = ["--session", session.as_str()];
    let told = |result: crate::support::CliResult| {
        let answer: serde_json::Value = serde_json::from_str(&result.stdout).unwrap_or_else(|_| panic!("{result:?}"));
        assert_eq!(result.status, if answer["allowed"] == true { 0 } else { 77 });
        answer
    };

    let shop = told(explain(&["--as-unit", "shop"], &["--provider", "corp"]));
    assert_eq!(shop["allowed"], true, "{shop}");
    let shop = told(explain(&["--as-unit", "shop.service"], &on_session));
    assert_eq!(shop["allowed"], false, "alice's session was opened by somebody else: {shop}");
    let backup = told(explain(&["--as-unit", "backup.service", "--as-user", "54321"], &on_session));
    assert!(backup["advice"].as_str().unwrap().contains("who = \"unit:backup.service\""), "{backup}");
    assert!(backup["verdict"].as_str().unwrap().starts_with("backup.service (uid 54321) may not"), "{backup}");
    let rules = backup["rules"].as_array().unwrap();
    assert!(rules.iter().any(|rule| rule["why"] == "is about another service"), "{backup}");

    explain(&["--as-user", "no-such-user"], &[]).fails_with(65);
    explain(&["--as-user", "65534"], &[]).fails_with(65);
    explain(&["--as-unit", "shop"], &["--session", "0000aaaa"]).fails_with(4);
    explain(&["--as-unit", "shop"], &["--account", "nightly"]).fails_with(4);
    home.cli(["policy", "explain", "tokn"]).fails_with(65);

    home.configure(&Config::corp(&provider.issuer).without_rules().rule(&me(), EVERYTHING, "corp", "own"));
    daemon.reload();
    if uid() != 0 {
        explain(&["--as-unit", "shop"], &on_session).fails_with(77);
        home.syslog.wait_for(&["denied", "manage"]);
    }
}

#[test]
fn rules_that_cannot_match_are_warned_about_with_their_place() {
    let provider = ScriptedProvider::start();
    let lines = "[user_map.corp]\nno-such-user = \"alice\"\n\n[[allow]]\nwho = \"group:no-such-group\"\nmay = [\"token\"]\n\
                 account = \"nightly\"\n";
    let home =
        Home::new(&Config::corp(&provider.issuer).rule("unit:job@.service", &["token"], "corp", "own").more(lines));
    let _daemon = Daemon::start(&home);
    let log = home.stderr();
    for what in ["knows no user", "knows no group", "is a template"] {
        let line = log.lines().find(|line| line.contains(what)).unwrap_or_else(|| panic!("{what}: {log}"));
        assert!(line.contains("corp.toml:"), "{line}");
    }
}
