//! What a core of the daemon shows to root: the tokens that are in use, and none that were replaced.

use std::path::PathBuf;
use std::time::Duration;

use tokenkeeper_protocol::request::{Selector, TokenRequest};
use tokenkeeper_protocol::{Reply, Request, SessionRef};

use super::run;
use crate::extent;
use crate::support::canary::Needles;
use crate::support::deadline::Deadline;
use crate::support::{Config, Daemon, Home, ScriptedProvider, Wire};

/// Users, whose tokens are renewed every second.
const USERS: usize = 20;
/// Times that is looked before a token is taken to stay.
const LOOKS: u32 = 5;
/// How long the last tokens live, in seconds.
const LONG_LIFE: u32 = 3_600;

#[test]
fn a_core_holds_no_token_that_was_replaced() {
    let refreshes = extent::times(300, 10_000);
    let provider = ScriptedProvider::start();
    provider.rotate(true).access_life(2);
    let home = Home::new(&Config::corp(&provider.issuer));
    let daemon = Daemon::start(&home);
    let sessions: Vec<SessionRef> =
        (0..USERS).map(|user| home.login(&format!("user-{user}")).parse().unwrap()).collect();

    let mut wire = Wire::connect(&home.socket());
    let deadline = Deadline::after(Duration::from_secs(refreshes as u64));
    while provider.count("refresh_token") < refreshes {
        // Somebody is always given them.
        for session in &sessions {
            wire.ask(&token_of(*session, None));
        }
        assert!(deadline.left().is_some(), "the schedule does not keep up");
        crate::kills::pause(200);
    }
    provider.access_life(LONG_LIFE.into());
    let in_use: Vec<_> = sessions.iter().map(|session| long_lived(&mut wire, *session)).collect();

    let retired = provider.retired(&in_use);
    assert!(retired.len() > refreshes, "{} tokens were replaced", retired.len());
    let mut found = Vec::new();
    for _ in 0..LOOKS {
        // The cache lets go of what it replaced a little later, while it is used.
        for _ in 0..100 {
            for session in &sessions {
                wire.ask(&token_of(*session, None));
            }
        }
        let core = take_core(&home, &daemon);
        let shown = Needles::plain(&in_use).within_file(&core);
        assert!(!shown.is_empty(), "the core shows no token at all, not even those in use: it proves nothing");
        found = Needles::plain(&retired).within_file(&core);
        if found.is_empty() {
            break;
        }
        crate::kills::pause(1_000);
    }
    assert!(found.is_empty(), "{} of {} retired tokens are in the core: {found:?}", found.len(), retired.len());
    println!("{} tokens were replaced in {refreshes} refreshes, and none is in the core", retired.len());
}

fn take_core(home: &Home, daemon: &Daemon) -> PathBuf {
    let pid = daemon.pid().to_string();
    run("gcore", &["-o", &home.path("core").display().to_string(), &pid]);
    home.path(&format!("core.{pid}"))
}

/// A token that is not renewed any more for a while.
fn long_lived(wire: &mut Wire, session: SessionRef) -> String {
    let deadline = Deadline::patient();
    loop {
        match wire.ask(&token_of(session, Some(LONG_LIFE / 2))) {
            Reply::Token(token) => return token.access_token.expose().to_owned(),
            other => assert!(deadline.left().is_some(), "no token that lives for long: {other:?}"),
        }
        crate::kills::pause(50);
    }
}

fn token_of(session: SessionRef, min_valid_seconds: Option<u32>) -> Request {
    Request::Token(TokenRequest { selector: Selector::Session(session), min_valid_seconds, timeout_ms: None })
}
