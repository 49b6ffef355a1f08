//! A part that the daemon is nothing without fails inside: the process ends, and the next one is well.

use std::os::unix::process::ExitStatusExt as _;

use nix::sys::signal::Signal;

use crate::support::{Config, Daemon, Home, ScriptedProvider};

#[test]
fn a_thread_of_the_store_or_of_the_audit_trail_that_panics_ends_the_daemon() {
    for point in ["store.before-answers", "outbox.before-send"] {
        let provider = ScriptedProvider::start();
        let home = Home::new(&Config::corp(&provider.issuer));
        let mut daemon = Daemon::launch(&home, home.failpoint_command(&[format!("panic@{point}:1")]));
        let status = daemon.wait_for_exit();
        let said = home.stderr();
        assert_eq!(status.signal(), Some(Signal::SIGABRT as i32), "{point}: {status}, {said}");
        assert!(said.contains("panicked") && said.contains("it ends, to be started anew"), "{said}");

        let _daemon = Daemon::start(&home);
        home.login("alice");
        home.syslog.wait_for(&["daemon_started"]);
        assert!(provider.accepts(&home.token()));
    }
}
