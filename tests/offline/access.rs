//! Who may do what: nobody anything without a rule, root included.

use crate::support::config::me;
use crate::support::{Config, Daemon, Home, ScriptedProvider};

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
