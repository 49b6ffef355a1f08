//! Rules as the configuration writes them.

use super::keys;
use super::test_host::Host;
use crate::policy::{Action, On, Reach, Rule, Who};

const CORP: &str = "[provider.corp]\nissuer = 'https://id.corp.example'\nclient_id = 'shop'\n";

fn with(lines: &str) -> Host {
    Host::new().main(CORP).file("conf.d/rule.toml", &format!("[[allow]]\n{lines}\n"))
}

fn rule(lines: &str) -> Rule {
    with(lines).settings().rules.list.remove(0)
}

fn errors(lines: &str) -> String {
    with(lines).errors()
}

#[test]
fn a_rule_means_what_it_says() {
    let rule = rule("who = 'unit:shop.service'\nmay = ['login', 'token', 'login']\nprovider = 'corp'");
    assert_eq!(rule.who, Who::Unit("shop.service".to_owned()));
    assert_eq!(rule.may, [Action::Login, Action::Token]);
    let provider = Some("corp".parse().unwrap());
    assert_eq!(rule.on, On::Sessions { provider, reach: Reach::Own }, "the default is what the peer opened itself");
    assert_eq!(rule.source, "rule.toml:1");
}

#[test]
fn all_providers_and_all_sessions_must_be_asked_for() {
    let rule = rule("who = 'group:0'\nmay = ['list']\nprovider = '*'\nsessions = 'all'");
    assert_eq!((rule.who, rule.on), (Who::Group(0), On::EVERYTHING));
    let expected = "rule.toml:1:1: provider is missing here; write the name of one, or \"*\" for all of them; or account, for a service account";
    assert_eq!(errors("who = 'user:0'\nmay = ['status', 'list']"), expected);
}

#[test]
fn a_rule_about_the_daemon_needs_no_provider() {
    let on = On::Sessions { provider: None, reach: Reach::Own };
    assert_eq!(rule("who = 'user:0'\nmay = ['status']").on, on);
}

#[test]
fn users_and_groups_are_looked_up_by_name() {
    assert_eq!(rule("who = 'user:root'\nmay = ['status']").who, Who::User(0));
    assert_eq!(rule("who = 'group:root'\nmay = ['status']").who, Who::Group(0));
    assert_eq!(rule("who = 'user:4242'\nmay = ['status']").who, Who::User(4242));
    assert!(errors("who = 'user:'\nmay = ['status']").contains("names no user: \"\""));
    assert!(errors("who = 'user:4294967295'\nmay = ['status']").contains("is no number of a user"));
}

#[test]
fn who_is_a_user_a_group_or_a_service() {
    for who in ["shop.service", "usr:root", ""] {
        assert!(errors(&format!("who = '{who}'\nmay = ['status']")).contains("write \"user:NAME\""), "{who}");
    }
    for unit in ["shop", "shop.socket", ".service", "/system.slice/shop.service", "a b.service"] {
        assert!(errors(&format!("who = 'unit:{unit}'\nmay = ['status']")).contains("is no service unit"), "{unit}");
    }
}

#[test]
fn actions_are_known_planned_or_misspelt() {
    assert!(errors("who = 'user:0'\nmay = ['tokn']\nprovider = '*'").ends_with("\"tokn\"; did you mean \"token\"?"));
    for action in keys::ACTIONS_LATER {
        let errors = errors(&format!("who = 'user:0'\nmay = ['{action}']\nprovider = '*'"));
        assert!(errors.ends_with("which is not available in this version"), "{errors}");
    }
    assert!(errors("who = 'user:0'\nmay = []\nprovider = '*'").contains("this rule allows nothing"));
    assert!(errors("who = 'user:0'\nprovider = '*'").contains("may is missing here"));
}

#[test]
fn a_rule_names_a_provider_that_is_there() {
    let expected = "rule.toml:4:12: no provider \"crop\" is configured; did you mean \"corp\"?";
    assert_eq!(errors("who = 'user:0'\nmay = ['list']\nprovider = 'crop'"), expected);
    let alone = Host::new().main("[[allow]]\nwho = 'user:0'\nmay = ['list']\nprovider = 'corp'\n");
    assert!(alone.errors().ends_with("is configured; there is none yet"));
}

#[test]
fn a_broken_file_does_not_make_its_providers_unknown() {
    let host = Host::new()
        .file("conf.d/corp.toml", &format!("{CORP}idle = \n"))
        .file("conf.d/rule.toml", "[[allow]]\nwho = 'user:0'\nmay = ['list']\nprovider = 'corp'\n");
    let errors = host.errors();
    assert!(errors.lines().all(|line| line.starts_with("corp.toml:4:")), "{errors}");
}

#[test]
fn somebody_the_host_does_not_know_yet_keeps_no_daemon_from_starting() {
    for (who, kind) in [("user:no-such-user", "user"), ("group:no-such-user", "group")] {
        let host = with(&format!("who = '{who}'\nmay = ['status']"));
        let expected = format!(
            "rule.toml:2:1: this rule matches nobody: this host knows no {kind} \"no-such-user\"; once it does, reload"
        );
        assert!(host.warnings().ends_with(&expected), "{}", host.warnings());
        assert_eq!(host.settings().rules.list[0].who, Who::Unknown(who.to_owned()));
    }
}

#[test]
fn whose_sessions_is_one_of_three_words() {
    let with = |word| with(&format!("who = 'user:0'\nmay = ['list']\nprovider = 'corp'\nsessions = '{word}'"));
    assert!(with("al").errors().ends_with("did you mean \"all\"?"));
    let host = with("user");
    assert!(host.warnings().contains("rule.toml:5:1: this rule reaches no session: there is no [user_map.corp]"));
    assert_eq!(
        host.file("conf.d/map.toml", "[user_map.corp]\nroot = 'alice'\n").settings().rules.list[0].on,
        On::Sessions { provider: Some("corp".parse().unwrap()), reach: Reach::User }
    );
}

#[test]
fn a_rule_is_about_sessions_or_about_a_service_account() {
    let account = |name: &str| rule(&format!("who = 'user:0'\nmay = ['token']\naccount = '{name}'")).on;
    assert_eq!(account("nightly"), On::Account(Some("nightly".parse().unwrap())));
    assert_eq!(account("*"), On::Account(None));
    let both = errors("who = 'user:0'\nmay = ['token']\naccount = 'x'\nprovider = 'corp'\nsessions = 'all'");
    assert!(both.starts_with("rule.toml:5:1: provider and account do not go together"), "{both}");
    assert!(both.contains("rule.toml:6:1: sessions and account do not go together"), "{both}");
    let wrong = errors("who = 'user:0'\nmay = ['token']\naccount = 'Night Job'");
    assert!(wrong.starts_with("rule.toml:4:11: account \"Night Job\" is wrong: "), "{wrong}");
    assert!(errors("who = 'user:0'\nmay = ['token']\naccount = 7").contains("account must be a string"));
    let login = with("who = 'user:0'\nmay = ['login', 'token']\naccount = 'nightly'").warnings();
    assert!(login.contains("rule.toml:3:1: \"login\" never matches here"), "{login}");
}

#[test]
fn the_same_rule_twice_is_worth_a_warning() {
    let rule = |may| format!("[[allow]]\nwho = 'user:7'\nmay = {may}\nprovider = 'corp'\n");
    let (first, again) = (rule("['login', 'token']"), rule("['token', 'login']"));
    let host = Host::new().main(CORP).file("conf.d/rule.toml", &format!("{first}{again}{}", rule("['token']")));
    assert_eq!(host.warnings(), "rule.toml:5:1: this rule says the same as the one at rule.toml:1; remove one");
}

#[test]
fn a_rule_that_never_matches_is_worth_a_warning() {
    let warnings = |who| with(&format!("who = '{who}'\nmay = ['login']\nprovider = '*'")).warnings();
    assert!(warnings("user:65534").starts_with("rule.toml:2:1: this rule never matches"));
    assert!(warnings("group:65534").starts_with("rule.toml:2:1: this rule never matches"));
    assert!(warnings("unit:shop@.service").contains("is a template"));
    assert!(warnings("unit:cron.service").contains("timer unit"));
    assert_eq!(warnings("unit:shop@1.service"), "");
}

#[test]
fn an_action_that_goes_further_than_its_rule_says_is_worth_a_warning() {
    let warnings = |lines: &str| with(&format!("who = 'user:7'\n{lines}")).warnings();
    let backup = warnings("may = ['login', 'backup']\nprovider = 'corp'");
    let told = "rule.toml:3:1: \"backup\" is about all sessions, whatever else this rule says";
    assert!(backup.starts_with(told), "{backup}");
    assert!(warnings("may = ['list', 'keys']\nprovider = '*'").contains("\"keys\" is about all sessions"));
    for lines in [
        "may = ['backup', 'keys']",
        "may = ['list', 'backup']\nprovider = '*'\nsessions = 'all'",
        // It tells nothing of sessions.
        "may = ['token', 'status']\nprovider = 'corp'",
    ] {
        assert!(!warnings(lines).contains("about all sessions"), "{lines}");
    }
}

#[test]
fn a_single_bracket_is_explained() {
    let host = Host::new().main("[allow]\nwho = 'user:0'\n");
    assert_eq!(host.errors(), "tokenkeeper.toml:1:1: allow is written in double brackets: [[allow]]");
}
