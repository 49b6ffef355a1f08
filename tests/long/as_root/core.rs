//! What a core of the daemon shows to root: the tokens that are in use, and none that were replaced.

use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;
use tokenkeeper_protocol::request::{Selector, TokenRequest};
use tokenkeeper_protocol::{Reply, Request, SessionRef};

use super::run;
use crate::extent;
use crate::support::canary::Needles;
use crate::support::deadline::Deadline;
use crate::support::{Backend, Config, Daemon, Home, ScriptedProvider, Wire};

/// How long the last tokens live, in seconds.
const LONG_LIFE: u32 = 3_600;

/// A service that asks over both sockets and stays connected.
struct Service {
    native: Wire,
    http: Backend,
}

#[test]
fn a_core_holds_no_token_that_was_replaced() {
    let refreshes = extent::times(300, 10_000);
    let provider = ScriptedProvider::start();
    // Each is renewed every second.
    provider.rotate(true).access_life(2);
    let home = Home::new(&Config::corp(&provider.issuer));
    let daemon = Daemon::start(&home);
    let users = 0..extent::times(20, 60);
    let sessions: Vec<SessionRef> = users.map(|user| home.login(&format!("user-{user}")).parse().unwrap()).collect();

    // One is given every token; the other some of the first, and then it says nothing any more.
    let (mut busy, mut silent) = (Service::connect(&home), Service::connect(&home));
    silent.ask_for_all(&sessions);
    let deadline = Deadline::after(Duration::from_secs(refreshes as u64));
    while provider.count("refresh_token") < refreshes {
        busy.ask_for_all(&sessions);
        assert!(deadline.left().is_some(), "the schedule does not keep up");
        crate::kills::pause(200);
    }
    provider.access_life(LONG_LIFE.into());
    for session in &sessions {
        busy.wait_for_long_life(*session);
    }

    // Nothing more is asked for, and there is no time to tidy up.
    let core = take_core(&home, &daemon);
    let in_use = provider.newest();
    let shown = Needles::plain(&in_use).within_file(&core);
    assert!(!shown.is_empty(), "the core shows no token at all, not even those in use: it proves nothing");
    // Codes and verifiers, access, refresh and ID tokens.
    let retired: Vec<String> = provider.secrets().into_iter().filter(|secret| !in_use.contains(secret)).collect();
    assert!(retired.len() > 3 * refreshes, "{} secrets were replaced", retired.len());
    let mut found = Needles::plain(&retired).within_file(&core);
    // All ID tokens begin alike.
    found.retain(|(_, piece)| !in_use.iter().any(|token| token.contains(piece)));
    assert!(found.is_empty(), "{} of {} retired secrets are in the core: {found:?}", found.len(), retired.len());
    println!("{} secrets were replaced in {refreshes} refreshes, and none is in the core", retired.len());
}

/// Non-dumpable: which is also what keeps other processes of the same user from reading its memory.
#[test]
fn a_daemon_that_crashes_leaves_no_core() {
    let crash = |command: &mut Command| command.args(["-c", "ulimit -c unlimited; kill -ABRT $$"]).status().unwrap();
    let home = Home::new(&Config::empty());
    let proves_something = crash(Command::new("sh").current_dir(home.path("run"))).core_dumped();
    assert!(proves_something, "no program leaves a core here: write `core` into /proc/sys/kernel/core_pattern");

    let mut command = Command::new("sh");
    command.env_clear().env("PATH", "/usr/bin:/bin").current_dir(home.path("run"));
    command.args(["-c", "ulimit -c unlimited; exec \"$0\" \"$@\""]);
    let plain = home.daemon_command();
    command.arg(plain.get_program()).args(plain.get_args());
    let mut daemon = Daemon::start_command(&home, command);
    daemon.signal(Signal::SIGABRT);
    let ended = daemon.wait_for_exit();
    assert_eq!((ended.signal(), ended.core_dumped()), (Some(Signal::SIGABRT as i32), false));
}

fn take_core(home: &Home, daemon: &Daemon) -> PathBuf {
    let pid = daemon.pid().to_string();
    run("gcore", &["-o", &home.path("core").display().to_string(), &pid]);
    home.path(&format!("core.{pid}"))
}

impl Service {
    fn connect(home: &Home) -> Self {
        Self { native: Wire::connect(&home.socket()), http: Backend::connect(&home.http_socket()) }
    }

    /// Takes what it is given: a refresh may be on its way.
    fn ask_for_all(&mut self, sessions: &[SessionRef]) {
        for session in sessions {
            self.native.ask(&token_of(*session, None));
            self.http.post(&format!("/v1/sessions/{session}/token"), &json!({}));
        }
    }

    /// Until it has a token that is not renewed any more for a while.
    fn wait_for_long_life(&mut self, session: SessionRef) {
        let deadline = Deadline::patient();
        loop {
            match self.native.ask(&token_of(session, Some(LONG_LIFE / 2))) {
                Reply::Token(_) => return,
                other => assert!(deadline.left().is_some(), "no token that lives for long: {other:?}"),
            }
            crate::kills::pause(50);
        }
    }
}

fn token_of(session: SessionRef, min_valid_seconds: Option<u32>) -> Request {
    Request::Token(TokenRequest { selector: Selector::Session(session), min_valid_seconds, timeout_ms: None })
}
