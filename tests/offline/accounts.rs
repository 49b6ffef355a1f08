//! Service accounts: a token without a user, kept fresh, and asked for by name.

use serde_json::Value;
use tokenkeeper_protocol::Reply;

use crate::support::config::me;
use crate::support::wire::{self, Wire};
use crate::support::{CliResult, Config, Daemon, Fault, Home, ScriptedProvider};

const NIGHTLY: &str = "[service_account.nightly]\nprovider = \"corp\"\nscopes = [\"reports\"]\n";

/// The grant, as the scripted provider counts requests.
const GRANT: &str = "client_credentials";

/// `corp` with an account, which whoever runs the tests may use, see and even try to end.
fn config(provider: &ScriptedProvider, account: &str) -> Config {
    let rule = format!(
        "[[allow]]\nwho = {:?}\nmay = [\"token\", \"list\", \"logout\", \"manage\", \"status\"]\naccount = \"nightly\"\n",
        me()
    );
    Config::empty().provider("corp", &provider.issuer).more(account).more(&rule)
}

fn ask(home: &Home, more: &[&str]) -> CliResult {
    home.cli(["token", "--account", "nightly"].iter().chain(more))
}

fn listed(home: &Home) -> Value {
    let sessions = home.sessions();
    let [only] = sessions.as_slice() else { panic!("not one session: {sessions:?}") };
    only.clone()
}

#[test]
fn an_account_has_a_token_without_anybody_logging_in() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&config(&provider, NIGHTLY));
    let _daemon = Daemon::start(&home);

    let token = ask(&home, &[]).ok();
    assert!(provider.accepts(&token));
    assert_eq!(ask(&home, &[]).ok(), token);
    let requests = provider.requests(GRANT);
    assert_eq!(requests.len(), 1, "one token serves everybody until it has to be replaced");
    assert_eq!(requests[0].parameter("scope").as_deref(), Some("reports"));
    assert_eq!(requests[0].parameter("refresh_token"), None);

    let session = listed(&home);
    assert_eq!((&session["user"], &session["opened_by"]), (&"@nightly".into(), &"config".into()));
    assert_eq!((&session["device"], &session["ends_at"]), (&Value::Null, &Value::Null));
    let reference = session["session"].as_str().unwrap();
    home.syslog.wait_for(&["account_opened", "account=\"nightly\"", reference]);
    home.syslog.wait_for(&["refresh_done", reference]);
    home.syslog.wait_for(&["token_handed_out", reference]);
    let table = home.cli(["sessions"]).ok();
    assert!(table.lines().any(|line| line.contains("@nightly") && line.trim_end().ends_with('-')), "{table}");
}

#[test]
fn a_token_is_replaced_before_it_expires() {
    let provider = ScriptedProvider::start();
    provider.access_life(6);
    let home = Home::new(&config(&provider, NIGHTLY));
    let _daemon = Daemon::start(&home);
    let first = ask(&home, &[]).ok();
    provider.wait_for(GRANT, 2);
    home.syslog.wait_for(&["refresh_done", "generation=\"2\""]);
    let second = ask(&home, &[]).ok();
    assert_ne!(first, second);
    assert!(provider.accepts(&second));
}

#[test]
fn everyone_who_wants_a_token_waits_for_the_same_post_and_is_then_served_from_memory() {
    let provider = ScriptedProvider::start();
    provider.fault(GRANT, Fault::Hold);
    let home = Home::new(&config(&provider, NIGHTLY));
    let _daemon = Daemon::start(&home);
    let mut all: Vec<_> = (0..10).map(|_| Wire::connect(&home.socket())).collect();
    for wire in &mut all {
        wire.send(&wire::account_token("nightly", None, None));
    }
    provider.wait_for(GRANT, 1);
    provider.release();
    let tokens: Vec<_> = all.iter_mut().map(|wire| wire.receive().1).collect();
    assert!(matches!(&tokens[0], Reply::Token(token) if provider.accepts(token.access_token.expose())));
    assert!(tokens.iter().all(|token| *token == tokens[0]));
    provider.go_down();
    for _ in 0..100 {
        assert_eq!(all[0].ask(&wire::account_token("nightly", Some(60), Some("reports"))), tokens[0]);
    }
    assert_eq!(provider.count(GRANT), 1);
}

#[test]
fn a_restart_keeps_the_token_without_another_post() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&config(&provider, NIGHTLY));
    let daemon = Daemon::start(&home);
    let token = ask(&home, &[]).ok();
    let session = listed(&home)["session"].clone();
    daemon.kill();
    let _daemon = Daemon::start(&home);
    assert_eq!(ask(&home, &[]).ok(), token);
    assert_eq!(listed(&home)["session"], session);
    assert_eq!(provider.count(GRANT), 1);
}

#[test]
fn a_provider_that_is_down_at_the_start_is_asked_again() {
    let provider = ScriptedProvider::start();
    provider.go_down();
    let home = Home::new(&config(&provider, NIGHTLY));
    let _daemon = Daemon::start(&home);
    let why = ask(&home, &[]).fails_with(75);
    assert!(why.contains("corp") && why.contains("cannot connect"), "{why}");
    assert_eq!(listed(&home)["token_expires_at"], Value::Null);
    home.syslog.wait_for(&["refresh_failed", "cannot connect"]);

    provider.come_back();
    home.syslog.wait_for(&["refresh_done"]);
    assert!(provider.accepts(&ask(&home, &[]).ok()));
}

#[test]
fn a_client_that_the_provider_does_not_accept_is_for_an_administrator_until_a_reload_mends_it() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&config(&provider, NIGHTLY));
    let secret = home.path("config/secret");
    let right = std::fs::read(&secret).unwrap();
    std::fs::write(&secret, "an old secret").unwrap();
    let daemon = Daemon::start(&home);
    for _ in 0..3 {
        let why = ask(&home, &[]).fails_with(78);
        assert!(why.contains("invalid_client") && why.contains("administrator"), "{why}");
    }
    assert_eq!(provider.count(GRANT), 1, "what an administrator has to mend is not tried for every call");

    std::fs::write(&secret, right).unwrap();
    daemon.reload();
    assert!(provider.accepts(&ask(&home, &[]).ok()));
}

#[test]
fn a_scope_that_the_provider_refuses_is_named() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&config(&provider, &NIGHTLY.replace("reports", "forbidden")));
    let _daemon = Daemon::start(&home);
    let why = ask(&home, &[]).fails_with(78);
    assert!(why.contains("invalid_scope (this client may not have it)"), "{why}");
}

#[test]
fn a_reload_adds_changes_and_removes_accounts() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&config(&provider, ""));
    let daemon = Daemon::start(&home);
    ask(&home, &[]).fails_with(4);

    home.configure(&config(&provider, NIGHTLY));
    daemon.reload();
    let first = ask(&home, &[]).ok();
    let session = listed(&home)["session"].clone();

    home.configure(&config(&provider, &NIGHTLY.replace("\"reports\"", "\"reports\", \"mail\"")));
    daemon.reload();
    let second = ask(&home, &["--scope", "mail"]).ok();
    assert_ne!(first, second);
    assert!(provider.accepts(&first), "a job that has the token of before may finish with it");
    assert_eq!(listed(&home)["session"], session);

    home.configure(&config(&provider, ""));
    daemon.reload();
    ask(&home, &[]).fails_with(4);
    let reference = session.as_str().unwrap();
    home.syslog.wait_for(&["account_closed", "nightly", reference]);
    home.syslog.wait_for(&["revoked", reference, "done"]);
    assert!(!provider.accepts(&second));
    assert_eq!(home.sessions(), [Value::Null; 0]);
}

#[test]
fn a_token_is_only_given_for_what_it_is_good_for() {
    let provider = ScriptedProvider::start();
    let account = format!("{NIGHTLY}resource = [\"https://api.example\"]\n");
    let home = Home::new(&config(&provider, &account));
    let _daemon = Daemon::start(&home);
    let token = ask(&home, &["--scope", "reports", "--resource", "https://api.example"]).ok();
    assert!(provider.accepts(&token));
    assert_eq!(provider.requests(GRANT)[0].parameter("resource").as_deref(), Some("https://api.example"));
    let why = ask(&home, &["--scope", "reports mail"]).fails_with(65);
    assert!(why.contains("no scope \"mail\"") && why.contains("service account nightly"), "{why}");
    let why = ask(&home, &["--resource", "https://other.example"]).fails_with(65);
    assert!(why.contains("it is for https://api.example"), "{why}");
    assert_eq!(provider.count(GRANT), 1, "an assertion, and no exchange");
}

#[test]
fn the_same_is_asserted_of_the_token_of_a_user() {
    let provider = ScriptedProvider::start();
    let corp = Config::corp(&provider.issuer).with("resource = [\"https://api.example\"]");
    let home = Home::new(&corp);
    let _daemon = Daemon::start(&home);
    home.login("alice");
    let with = |more: &[&str]| home.cli(["token", "corp"].iter().chain(more));
    assert_eq!(with(&["--scope", "email openid", "--resource", "https://api.example"]).ok(), home.token());
    assert!(with(&["--scope", "mail"]).fails_with(65).contains("log in again"));
    assert!(with(&["--resource", "urn:x"]).fails_with(65).contains("is not for the resource"));
    let sent = |on: &str| provider.requests(on)[0].parameter("resource");
    assert_eq!(sent("/authorize").as_deref(), Some("https://api.example"));
    assert_eq!(sent("authorization_code").as_deref(), Some("https://api.example"));
}

#[test]
fn more_validity_than_such_tokens_have_is_refused_without_asking_the_provider() {
    let provider = ScriptedProvider::start();
    provider.access_life(100);
    let home = Home::new(&config(&provider, NIGHTLY));
    let _daemon = Daemon::start(&home);
    ask(&home, &[]).ok();
    assert!(ask(&home, &["--min-valid", "2h"]).fails_with(7).contains("100"));
    assert_eq!(provider.count(GRANT), 1);
}

#[test]
fn an_account_and_none_read_the_same_without_a_rule() {
    let provider = ScriptedProvider::start();
    let words = |config: &Config| {
        let home = Home::new(config);
        let _daemon = Daemon::start(&home);
        ["nightly", "weekly"].map(|name| {
            let result = home.cli(["token", "--account", name]);
            let words = result.stderr.split_whitespace().filter(|word| !word.starts_with("r-")).collect::<Vec<_>>();
            (result.status, words.join(" ").replace(name, "NAME"))
        })
    };
    let none = Config::empty().provider("corp", &provider.issuer).more(NIGHTLY);
    let [there, not_there] = words(&none);
    assert_eq!((there.0, &there), (77, &not_there));
    // A rule for one's own sessions, or for another account, reaches no account either.
    let other = format!("[[allow]]\nwho = {:?}\nmay = [\"token\"]\naccount = \"other\"\n", me());
    let [there, not_there] = words(&none.clone().rule(&me(), &["token"], "corp", "own").more(&other));
    assert_eq!((there.0, &there), (4, &not_there));
}

#[test]
fn nobody_who_wants_a_user_gets_an_account_and_nobody_logs_out_of_one() {
    let provider = ScriptedProvider::start();
    let everything = ["login", "token", "list", "logout", "manage"];
    let config = config(&provider, NIGHTLY).rule(&me(), &everything, "corp", "all");
    let home = Home::new(&config);
    let _daemon = Daemon::start(&home);
    let token = ask(&home, &[]).ok();
    home.cli(["token", "corp"]).fails_with(4);
    home.cli(["token", "corp", "--user", "@nightly"]).fails_with(4);
    home.login("alice");
    assert_ne!(home.token(), token);
    let sessions = home.sessions();
    let account = sessions.iter().find(|session| session["user"] == "@nightly").unwrap();
    let why = home.cli(["logout", account["session"].as_str().unwrap()]).fails_with(65);
    assert!(why.contains("remove [service_account.nightly] from the configuration"), "{why}");
    assert_eq!(ask(&home, &[]).ok(), token);
}
