//! SIGTERM: nothing that was begun is lost.

use nix::sys::signal::Signal;

use crate::support::wire::{self, Wire};
use crate::support::{Config, Daemon, Fault, Home, ScriptedProvider};

#[test]
fn a_stop_ends_well_and_says_so() {
    let home = Home::new(&Config::empty());
    let mut daemon = Daemon::start(&home);
    daemon.signal(Signal::SIGTERM);
    let status = daemon.wait_for_exit();
    assert!(status.success(), "{status}: {}", home.stderr());
    assert!(daemon.notify.heard().iter().any(|line| line == "STOPPING=1"));
    home.syslog.wait_for(&["daemon_stopped"]);
    assert!(Wire::silent(&home.socket()).is_err(), "nobody listens any more");
}

#[test]
fn a_stop_during_a_refresh_waits_for_the_answer_and_keeps_it() {
    let provider = ScriptedProvider::start();
    provider.access_life(100).rotate(true);
    let home = Home::new(&Config::corp(&provider.issuer));
    let mut daemon = Daemon::start(&home);
    home.login("alice");
    home.age_token();
    provider.access_life(1000).fault("refresh_token", Fault::Hold);
    let mut wire = Wire::connect(&home.socket());
    wire.send(&wire::token("corp", Some(99)));
    provider.wait_for("refresh_token", 1);

    daemon.signal(Signal::SIGTERM);
    assert!(daemon.notify.wait_for("STOPPING=1", crate::support::deadline::Deadline::patient(), || false));
    provider.release();
    assert!(daemon.wait_for_exit().success(), "{}", home.stderr());

    // The refresh token of before is spent: only a daemon that kept the answer can go on.
    let _daemon = Daemon::start(&home);
    let token = home.cli(["token", "corp", "--min-valid", "99s"]).ok();
    assert!(provider.accepts(&token));
    assert_eq!(provider.count("refresh_token"), 1);
}

#[test]
fn a_request_that_waits_is_answered_before_the_daemon_goes() {
    let provider = ScriptedProvider::start();
    provider.access_life(100);
    let home = Home::new(&Config::corp(&provider.issuer));
    let mut daemon = Daemon::start(&home);
    home.login("alice");
    home.age_token();
    provider.access_life(1000).fault("refresh_token", Fault::Hold);
    let mut wire = Wire::connect(&home.socket());
    wire.send(&wire::token("corp", Some(99)));
    provider.wait_for("refresh_token", 1);

    daemon.signal(Signal::SIGTERM);
    assert!(daemon.notify.wait_for("STOPPING=1", crate::support::deadline::Deadline::patient(), || false));
    provider.release();

    let (_, reply) = wire.receive();
    assert!(matches!(reply, tokenkeeper_protocol::Reply::Token(_)), "{reply:?}");
    assert!(daemon.wait_for_exit().success());
}

#[test]
fn an_idle_connection_does_not_hold_up_a_stop() {
    let home = Home::new(&Config::empty());
    let daemon = Daemon::start(&home);
    let _idle = Wire::connect(&home.socket());
    let _silent = Wire::silent(&home.socket()).unwrap();
    let watch = crate::support::deadline::Stopwatch::start();
    assert!(daemon.stop().success());
    assert!(watch.elapsed().as_secs() < 10, "took {:?}", watch.elapsed());
}
