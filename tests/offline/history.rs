//! What people can see of what happened to their sessions.

use serde_json::Value;

use crate::support::canary::places_with;
use crate::support::config::{EVERYTHING, me};
use crate::support::{Config, Daemon, Home, ScriptedProvider};

/// `corp`, where whoever runs the tests may do everything, and look into histories.
fn config(provider: &ScriptedProvider) -> Config {
    let may = [EVERYTHING, &["history"]].concat();
    Config::corp(&provider.issuer).without_rules().rule(&me(), &may, "corp", "own")
}

fn entries(home: &Home, session: &str) -> Vec<Value> {
    home.cli(["history", session, "--json"]).json()["entries"].as_array().unwrap().clone()
}

fn names(entries: &[Value]) -> Vec<&str> {
    entries.iter().map(|entry| entry["event"].as_str().unwrap()).collect()
}

/// Asks for more than is left of a token that lives 100 s, so that there is a new one.
fn renew(home: &Home, provider: &ScriptedProvider) {
    home.age_token();
    provider.access_life(1000);
    home.cli(["token", "corp", "--min-valid", "99s"]).ok();
}

#[test]
fn a_history_tells_logins_hand_outs_refreshes_and_the_logout_over_a_restart() {
    let provider = ScriptedProvider::start();
    provider.access_life(100);
    let home = Home::new(&config(&provider));
    let daemon = Daemon::start(&home);
    let session = home.login("alice");
    home.token();
    renew(&home, &provider);
    daemon.kill();
    let daemon = Daemon::start(&home);
    home.cli(["logout", &session]).ok();

    let told = entries(&home, &session);
    let expected = ["revoked", "logged_out", "token_handed_out", "refresh_done", "token_handed_out", "login_completed"];
    assert_eq!(names(&told), expected);
    let uid = format!("uid {} ", nix::unistd::Uid::effective());
    let by = |position: usize| told[position]["peer"].as_str().unwrap_or("nobody");
    assert!([1, 2, 4, 5].into_iter().all(|position| by(position).starts_with(&uid)), "{told:?}");
    assert_eq!((by(0), by(3)), ("nobody", "nobody"));
    assert_eq!(told[5]["detail"], "user: alice");

    let table = home.cli(["history", &session, "--limit", "2"]).ok();
    let lines: Vec<_> = table.lines().collect();
    assert!(lines[1].contains("logged_out") && lines[2].contains("revoked"), "{table}");
    daemon.stop();
}

#[test]
fn a_login_that_replaces_a_session_goes_on_with_its_history() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&config(&provider));
    let _daemon = Daemon::start(&home);
    let session = home.login("alice");
    let mut wire = crate::support::Wire::connect(&home.socket());
    let again = crate::support::wire::begin("corp");
    let tokenkeeper_protocol::Request::LoginBegin(mut again) = again else { unreachable!() };
    again.replaces = Some(session.parse().unwrap());
    let tokenkeeper_protocol::Reply::LoginBegun(begun) = wire.ask(&tokenkeeper_protocol::Request::LoginBegin(again))
    else {
        panic!("the login did not begin")
    };
    let url = begun.authorize_url.expose();
    let back = crate::support::browser::Browser::default().log_in_until(url, "alice", crate::support::wire::CALLBACK);
    wire.ask(&crate::support::wire::complete(begun.login_id, &back));
    assert_eq!(names(&entries(&home, &session)), ["login_completed", "login_completed"]);
}

#[test]
fn a_history_is_gone_when_its_session_is() {
    let provider = ScriptedProvider::start();
    let quick = config(&provider).schedule("prune = \"* * * * * *\"").schedule("retention = \"1s\"");
    let home = Home::new(&quick);
    let _daemon = Daemon::start(&home);
    let (session, other) = (home.login("alice"), home.login("bob"));
    home.cli(["logout", &session]).ok();
    home.syslog.wait_for(&["removed", &session]);
    home.cli(["history", &session]).fails_with(4);
    assert_eq!(names(&entries(&home, &other)), ["login_completed"]);
}

#[test]
fn a_history_takes_its_own_rule_and_reads_like_none_without_it() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer));
    let _daemon = Daemon::start(&home);
    let session = home.login("alice");
    let told = home.cli(["history", &session]).fails_with(77);
    let none = home.cli(["history", "00000000"]).fails_with(77);
    let shape = |text: &str| text.lines().next().unwrap().replace(&session, "REF").replace("00000000", "REF");
    assert_eq!(shape(&told), shape(&none));
}

#[test]
fn nobody_reads_a_history_off_the_disk() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&config(&provider));
    let daemon = Daemon::start(&home);
    let session = home.login("alice-with-a-name-of-her-own");
    home.token();
    assert!(names(&entries(&home, &session)).contains(&"token_handed_out"));
    daemon.stop();
    let words = ["alice-with-a-name-of-her-own", "shop.example", "token_handed_out"].map(str::to_owned);
    let found = places_with(&home, &words);
    assert!(found.iter().all(|(place, _)| !place.starts_with(home.state_dir())), "{found:?}");
}
