//! Refreshes that succeed: ahead of time, on demand, once for everyone, and over a crash.

use tokenkeeper_protocol::Reply;

use crate::support::wire::{self, Wire};
use crate::support::{Config, Daemon, Fault, Home, ScriptedProvider};

#[test]
fn the_schedule_replaces_a_token_before_it_expires() {
    let provider = ScriptedProvider::start();
    provider.access_life(6).rotate(true);
    let home = Home::new(&Config::corp(&provider.issuer));
    let _daemon = Daemon::start(&home);
    let session = home.login("alice");
    let first = home.token();

    home.syslog.wait_for(&["refresh_done", &session]);
    let second = home.token();

    assert_ne!(first, second);
    assert!(provider.accepts(&second));
    assert_eq!(provider.count("authorization_code"), 1, "nobody logged in again");
}

#[test]
fn a_token_that_is_too_short_for_the_caller_is_refreshed_at_once() {
    let provider = ScriptedProvider::start();
    provider.access_life(100);
    let home = Home::new(&Config::corp(&provider.issuer));
    let _daemon = Daemon::start(&home);
    home.login("alice");
    let first = home.token();
    home.age_token();
    provider.access_life(1000);
    let second = home.cli(["token", "corp", "--min-valid", "99s"]).ok();
    assert_ne!(first, second);
    assert_eq!(home.token(), second);
    assert_eq!(provider.count("refresh_token"), 1);
}

#[test]
fn a_life_longer_than_such_tokens_have_is_never_worth_a_refresh_for_each_call() {
    let provider = ScriptedProvider::start();
    provider.access_life(100);
    let home = Home::new(&Config::corp(&provider.issuer));
    let _daemon = Daemon::start(&home);
    home.login("alice");
    for _ in 0..3 {
        let why = home.cli(["token", "corp", "--min-valid", "1h"]).fails_with(7);
        assert!(why.contains("100"), "how long they live: {why}");
    }
    assert!(provider.count("refresh_token") <= 1, "{} refreshes", provider.count("refresh_token"));
    assert!(provider.accepts(&home.token()));
}

#[test]
fn everyone_who_wants_a_refresh_waits_for_the_same_one() {
    let provider = ScriptedProvider::start();
    provider.access_life(100).rotate(true);
    let home = Home::new(&Config::corp(&provider.issuer));
    let _daemon = Daemon::start(&home);
    home.login("alice");
    home.age_token();
    provider.access_life(1000).fault("refresh_token", Fault::Hold);

    let tokens: Vec<_> = std::thread::scope(|scope| {
        let mut all: Vec<_> = (0..20).map(|_| Wire::connect(&home.socket())).collect();
        for wire in &mut all {
            wire.send(&wire::token("corp", Some(99)));
        }
        provider.wait_for("refresh_token", 1);
        let waiting: Vec<_> = all.into_iter().map(|mut wire| scope.spawn(move || wire.receive().1)).collect();
        provider.release();
        waiting.into_iter().map(|thread| thread.join().unwrap()).collect()
    });

    let Reply::Token(first) = &tokens[0] else { panic!("{:?}", tokens[0]) };
    assert!(provider.accepts(first.access_token.expose()));
    assert!(tokens.iter().all(|token| *token == tokens[0]));
    assert_eq!(provider.count("refresh_token"), 1);
}

#[test]
fn a_caller_who_hangs_up_does_not_cancel_the_refresh() {
    let provider = ScriptedProvider::start();
    provider.access_life(100).rotate(true);
    let home = Home::new(&Config::corp(&provider.issuer));
    let _daemon = Daemon::start(&home);
    let session = home.login("alice");
    home.age_token();
    provider.access_life(1000).fault("refresh_token", Fault::Hold);

    let mut wire = Wire::connect(&home.socket());
    wire.send(&wire::token("corp", Some(99)));
    provider.wait_for("refresh_token", 1);
    drop(wire);
    provider.release();

    home.syslog.wait_for(&["refresh_done", &session]);
    assert!(provider.accepts(&home.cli(["token", "corp", "--min-valid", "99s"]).ok()));
    assert_eq!(provider.count("refresh_token"), 1);
}

#[test]
fn a_sigkill_and_a_restart_need_no_login() {
    let provider = ScriptedProvider::start();
    provider.rotate(true);
    let home = Home::new(&Config::corp(&provider.issuer));
    let daemon = Daemon::start(&home);
    let session = home.login("alice");
    let token = home.token();
    daemon.kill();

    let _daemon = Daemon::start(&home);
    assert_eq!(home.token(), token);
    assert_eq!(home.sessions()[0]["session"], *session);
    assert_eq!(provider.count("refresh_token"), 0, "the token was still good");
}

#[test]
fn a_sigkill_during_a_refresh_needs_no_login_where_refresh_tokens_stay() {
    let provider = ScriptedProvider::start();
    provider.access_life(100);
    let home = Home::new(&Config::corp(&provider.issuer));
    let daemon = Daemon::start(&home);
    home.login("alice");
    home.age_token();
    provider.access_life(1000).fault("refresh_token", Fault::Hold);
    let mut wire = Wire::connect(&home.socket());
    wire.send(&wire::token("corp", Some(99)));
    provider.wait_for("refresh_token", 1);
    daemon.kill();
    provider.release();

    let _daemon = Daemon::start(&home);
    assert!(provider.accepts(&home.token()));
}

#[test]
fn an_answer_without_a_refresh_token_keeps_the_old_one_and_one_with_a_new_one_drops_it() {
    let provider = ScriptedProvider::start();
    provider.access_life(100);
    let home = Home::new(&Config::corp(&provider.issuer));
    let _daemon = Daemon::start(&home);
    home.login("alice");
    for rotate in [false, true, true] {
        home.age_token();
        provider.rotate(rotate);
        assert!(provider.accepts(&home.cli(["token", "corp", "--min-valid", "99s"]).ok()));
    }
    let sent: Vec<_> =
        provider.requests("refresh_token").iter().map(|it| it.parameter("refresh_token").unwrap()).collect();
    assert_eq!(sent.len(), 3);
    assert_eq!(sent[0], sent[1], "no new one came");
    assert_ne!(sent[1], sent[2], "a new one came");
}
