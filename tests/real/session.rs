//! The main job, end to end, with a provider that nobody here wrote.

use serde_json::json;

use crate::support::deadline::Deadline;
use crate::support::{Config, Daemon, Home, RealProvider};

#[test]
fn a_session_lives_from_login_over_refresh_and_sigkill_to_logout() {
    let provider = RealProvider::start(10, &["--rotate"]);
    let home = Home::new(&Config::corp(&provider.issuer));
    let daemon = Daemon::start(&home);

    let session = home.login("alice");
    let first = home.token();
    assert_eq!(provider.userinfo(&first).unwrap()["preferred_username"], "alice");

    home.syslog.wait_for(&["refresh_done", &session]);
    let second = home.token();
    assert_ne!(first, second);
    assert_eq!(provider.userinfo(&second).unwrap()["sub"], "alice");

    daemon.kill();
    let _daemon = Daemon::start(&home);
    let third = home.token();
    assert_eq!(provider.userinfo(&third).unwrap()["sub"], "alice");
    assert_eq!(provider.count("authorization_code"), 1, "nobody logged in again");

    assert_eq!(home.cli(["--json", "logout", &session]).json()["sessions"][0]["revoked"], "done");
    assert!(!provider.is_active(&third));
}

#[test]
fn a_public_client_needs_no_secret() {
    let provider = RealProvider::start(60, &[]);
    let mut config = Config::corp(&provider.issuer);
    config.providers[0].client_id = "shop-public".to_owned();
    let home = Home::new(&config);
    let _daemon = Daemon::start(&home);
    home.login("alice");
    assert!(provider.userinfo(&home.token()).is_some());
}

#[test]
fn a_client_can_send_its_secret_in_the_form() {
    let provider = RealProvider::start(60, &[]);
    let mut config = Config::corp(&provider.issuer).with("client_authentication = \"post\"");
    config.providers[0].client_id = "shop-post".to_owned();
    let home = Home::new(&config);
    let _daemon = Daemon::start(&home);
    home.login("alice");
    assert!(provider.userinfo(&home.token()).is_some());
}

#[test]
fn a_name_that_only_userinfo_knows_is_asked_for_there() {
    let provider = RealProvider::start(60, &["--claims-from", "userinfo"]);
    let home = Home::new(&Config::corp(&provider.issuer));
    let _daemon = Daemon::start(&home);
    home.login("sub-alice");
    assert_eq!(home.sessions()[0]["user"], "alice");
}

#[test]
fn a_user_who_refuses_at_the_provider_opens_no_session() {
    let provider = RealProvider::start(60, &[]);
    let home = Home::new(&Config::corp(&provider.issuer));
    let _daemon = Daemon::start(&home);
    let login = home.begin_login(&[]);
    let mut browser = crate::support::browser::Browser::default();
    browser.refuse = true;
    browser.log_in(&login.url, "alice");
    let why = login.finish().fails_with(6);
    assert!(why.contains("access_denied"), "{why}");
    assert_eq!(home.sessions().len(), 0);
}

#[test]
fn a_stop_during_a_refresh_keeps_what_the_provider_gave() {
    let provider = RealProvider::start(10, &["--rotate"]);
    let home = Home::new(&Config::corp(&provider.issuer));
    let mut daemon = Daemon::start(&home);
    home.login("alice");
    provider.fault(&json!({ "on": "refresh_token", "do": "hold" }));
    provider.wait_until_held();
    daemon.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(daemon.notify.wait_for("STOPPING=1", Deadline::patient(), || false));
    provider.release();
    assert!(daemon.wait_for_exit().success(), "{}", home.stderr());

    let _daemon = Daemon::start(&home);
    assert!(provider.userinfo(&home.token()).is_some());
    assert_eq!(provider.count("authorization_code"), 1);
}
