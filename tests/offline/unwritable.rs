//! A log that takes nothing, and a store that takes nothing at the same moment, as on a full disk: neither costs a token.

use std::fs::OpenOptions;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use crate::support::deadline::Deadline;
use crate::support::wire::{self, Wire};
use crate::support::{Config, Daemon, Fault, Home, ScriptedProvider};

const LONGER: [&str; 4] = ["token", "corp", "--min-valid", "99s"];

#[test]
fn a_log_that_cannot_be_written_stops_nothing() {
    let full = || Stdio::from(OpenOptions::new().write(true).open("/dev/full").unwrap());
    // Nobody reads it.
    let broken_pipe = || Stdio::from(std::io::pipe().unwrap().1);
    for log in [full(), broken_pipe()] {
        let provider = ScriptedProvider::start();
        provider.access_life(100);
        let home = Home::new(&Config::corp(&provider.issuer));
        let mut daemon = Daemon::launch_with_log(&home, home.daemon_command(), log);
        assert!(daemon.becomes_ready());
        home.login("alice");
        home.age_token();
        provider.access_life(1000);
        let token = home.cli(LONGER).ok();
        // An error, which is logged.
        home.configure(&Config::corp(&provider.issuer).with("max_age = \"soon\""));
        daemon.reload();
        assert_eq!(home.token(), token);
        assert!(daemon.stop().success());
    }
}

#[test]
fn a_command_that_cannot_print_has_done_its_work_all_the_same() {
    let home = Home::new(&Config::corp("https://id.corp.example"));
    let check = || {
        let full = || OpenOptions::new().write(true).open("/dev/full").unwrap();
        home.daemon_command().arg("--check-config").stdout(full()).stderr(full()).status().unwrap().code()
    };
    assert_eq!(check(), Some(0));
    home.configure(&Config::corp("https://id.corp.example").with("max_age = \"soon\""));
    assert_eq!(check(), Some(78));
}

/// A daemon with one session, and with an answer on its way to it from the provider that no file will take. The log is one of them.
struct Outage {
    provider: ScriptedProvider,
    home: Home,
    daemon: Daemon,
    wire: Wire,
}

impl Outage {
    fn begin() -> Self {
        let provider = ScriptedProvider::start();
        provider.access_life(100).rotate(true);
        let home = Home::new(&Config::corp(&provider.issuer));
        let daemon = Daemon::start_command(&home, ignoring_limits(&home.daemon_command()));
        home.login("alice");
        home.age_token();
        provider.access_life(1000).fault("refresh_token", Fault::Hold);
        let mut wire = Wire::connect(&home.socket());
        wire.send(&wire::token("corp", Some(99)));
        provider.wait_for("refresh_token", 1);
        limit_files(&daemon, "100");
        provider.release();
        Self { provider, home, daemon, wire }
    }

    /// The answer, which is kept in memory alone.
    fn token(&mut self) -> String {
        wire::access_token(self.wire.receive().1)
    }

    fn end(&self) {
        limit_files(&self.daemon, "unlimited");
    }
}

#[test]
fn an_answer_that_comes_while_neither_store_nor_log_can_be_written_is_served_and_kept() {
    let mut outage = Outage::begin();
    let token = outage.token();
    assert!(outage.provider.accepts(&token));
    assert_eq!(outage.home.token(), token);
    let status = outage.home.cli(["status"]);
    assert!(status.status == 2 && status.stdout.contains("the store takes no writes"), "{status:?}");

    outage.end();
    let deadline = Deadline::patient();
    while outage.home.cli(["status"]).status != 0 {
        assert!(deadline.left().is_some(), "the store is not back: {}", outage.home.stderr());
        std::thread::park_timeout(std::time::Duration::from_millis(100));
    }
    outage.home.syslog.wait_for(&["refresh_done"]);
    let said = outage.home.stderr();
    assert!(said.contains("lines before this one could not be logged"), "{said}");
    outage.daemon.kill();
    let _daemon = Daemon::start(&outage.home);
    assert_eq!(outage.home.token(), token, "it outlived the daemon");
    assert_eq!(outage.provider.count("refresh_token"), 1);
}

#[test]
fn a_stop_waits_for_the_store_to_take_an_answer_that_is_in_memory_only() {
    let mut outage = Outage::begin();
    let token = outage.token();
    outage.daemon.signal(Signal::SIGTERM);
    assert!(outage.daemon.notify.wait_for("STOPPING=1", Deadline::patient(), || false));
    outage.end();
    assert!(outage.daemon.wait_for_exit().success(), "{}", outage.home.stderr());

    let _daemon = Daemon::start(&outage.home);
    assert_eq!(outage.home.token(), token);
    assert_eq!(outage.provider.count("refresh_token"), 1);
}

/// The daemon as it is on a full disk: a write fails. Without this, one beyond a limit ends the process.
fn ignoring_limits(daemon: &Command) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell
        .env_clear()
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(daemon.get_program())
        .args(daemon.get_args());
    shell
}

/// From now on no file of the daemon grows beyond so many bytes.
fn limit_files(daemon: &Daemon, bytes: &str) {
    let arguments = [format!("--pid={}", daemon.pid()), format!("--fsize={bytes}:unlimited")];
    assert!(Command::new("/usr/bin/prlimit").args(arguments).status().unwrap().success());
}
