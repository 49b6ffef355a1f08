//! SIGHUP: a good configuration comes into force at once, a bad one changes nothing and is talked about everywhere.

use std::fs;

use crate::support::{Config, Daemon, Home, ScriptedProvider};

#[test]
fn a_reload_brings_a_new_provider_into_force() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::empty());
    let daemon = Daemon::start(&home);
    home.cli(["token", "corp"]).fails_with(77);

    home.configure(&Config::corp(&provider.issuer));
    daemon.reload();

    home.login("alice");
    assert!(provider.accepts(&home.token()));
    home.syslog.wait_for(&["config_reloaded"]);
}

#[test]
fn a_reload_with_a_broken_configuration_keeps_the_old_one() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer));
    let daemon = Daemon::start(&home);
    home.login("alice");
    let token = home.token();

    home.configure(&Config::corp(&provider.issuer).with("clientid = \"x\""));
    daemon.reload();

    assert_eq!(home.token(), token);
    let refused = home.syslog.wait_for(&["config_refused"]);
    assert!(refused.contains("clientid"), "{refused}");
    assert!(home.stderr().contains("clientid"), "{}", home.stderr());
    assert!(daemon.notify.heard().iter().any(|line| line.starts_with("STATUS=") && line.contains("REFUSED")));
    let status = home.cli(["status"]);
    assert_eq!(status.status, 1, "degraded: {status:?}");
    assert!(status.stdout.contains("did you mean \"client_id\"?"), "{status:?}");

    home.configure(&Config::corp(&provider.issuer));
    daemon.reload();
    home.cli(["status"]).ok();
}

#[test]
fn a_reload_takes_a_rule_away_from_a_peer_that_is_already_connected() {
    use crate::support::wire::{self, Wire};
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer));
    let daemon = Daemon::start(&home);
    home.login("alice");
    let mut wire = Wire::connect(&home.socket());
    assert!(matches!(wire.ask(&wire::token("corp", None)), tokenkeeper_protocol::Reply::Token(_)));

    home.configure(&Config::corp(&provider.issuer).without_rules());
    daemon.reload();

    assert_eq!(wire.problem(&wire::token("corp", None)).code, tokenkeeper_protocol::Code::Denied);
}

#[test]
fn a_reload_reads_secrets_again() {
    let provider = ScriptedProvider::start();
    let home = Home::new(&Config::corp(&provider.issuer));
    let secret = home.path("config/secret");
    let right = fs::read(&secret).unwrap();
    fs::write(&secret, "an old secret").unwrap();
    let daemon = Daemon::start(&home);
    let login = home.begin_login(&[]);
    crate::support::browser::Browser::default().log_in(&login.url, "alice");
    let failed = login.finish();
    assert_ne!(failed.status, 0);
    assert!(failed.stderr.contains("invalid_client"), "{failed:?}");

    fs::write(&secret, right).unwrap();
    daemon.reload();
    home.login("alice");
}
