//! 100 SIGKILLs at random moments of logins and refreshes, at a provider whose refresh tokens stay: no login is ever needed again.
//!
//! In each round one thread logs somebody in and others force refreshes, until the daemon is killed under their hands. What a
//! client was told was done must still be so at the end. The seed is printed: `TOKENKEEPER_TEST_SEED=N` repeats the moments.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokenkeeper_protocol::request::{Selector, TokenRequest};
use tokenkeeper_protocol::{Code, Reply, Request, SessionRef};

use crate::support::browser::Browser;
use crate::support::deadline::{Deadline, Stopwatch};
use crate::support::wire::{CALLBACK, Wire, complete};
use crate::support::{Config, Daemon, Home, RealProvider};

const KILLS: usize = 100;
/// Seconds; long enough that a token does not expire within a round.
const ACCESS_LIFE: u32 = 30;

#[test]
fn after_a_hundred_sigkills_no_login_is_needed_again() {
    let seed =
        std::env::var("TOKENKEEPER_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(rand::random);
    println!("repeat with TOKENKEEPER_TEST_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let watch = Stopwatch::start();
    let provider = RealProvider::start(ACCESS_LIFE, &[]);
    let home = Home::new(&Config::corp(&provider.issuer));
    let load = Load { home: &home, opened: Mutex::default(), refused: Mutex::default() };

    for round in 0..KILLS {
        let daemon = Daemon::start(&home);
        let life = Duration::from_millis(random.random_range(5..500));
        load.run_until_killed(daemon, round, life, random.random());
    }

    let (opened, refreshed) = (load.opened.into_inner().unwrap(), provider.count("refresh_token"));
    println!("{} sessions, {refreshed} refreshes, {:?}", opened.len(), watch.elapsed());
    assert_eq!(load.refused.into_inner().unwrap(), Vec::<String>::new(), "a session was lost on the way");
    assert!(opened.len() >= KILLS / 4, "too few logins got through to prove anything: {}", opened.len());
    assert!(refreshed >= KILLS as u64 / 4, "too few refreshes got through to prove anything: {refreshed}");

    let _daemon = Daemon::start(&home);
    for session in opened {
        let reply = patient_token(&home.socket(), session);
        let Reply::Token(token) = reply else { panic!("session {session} is lost: {reply:?}") };
        assert!(
            provider.userinfo(token.access_token.expose()).is_some(),
            "a dead token of session {session} was served"
        );
    }
    assert_eq!(home.cli(["status"]).status, 0, "{}", home.stderr());
}

struct Load<'a> {
    home: &'a Home,
    /// Sessions that a client was told of.
    opened: Mutex<BTreeSet<SessionRef>>,
    /// What a client was told about one of them that must never be.
    refused: Mutex<Vec<String>>,
}

impl Load<'_> {
    fn run_until_killed(&self, daemon: Daemon, round: usize, life: Duration, seed: u64) {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let over = &over;
            scope
                .spawn(move || while !over.load(Ordering::Relaxed) && self.log_in(&format!("user-{round}")).is_ok() {});
            for lane in 0..2 {
                let mut random = StdRng::seed_from_u64(seed ^ lane);
                scope.spawn(move || while !over.load(Ordering::Relaxed) && self.refresh(&mut random).is_ok() {});
            }
            // Nobody sends: this waits for the moment, and for nothing else.
            let (_nobody, moment) = channel::<()>();
            let _ = moment.recv_timeout(life);
            daemon.kill();
            over.store(true, Ordering::Relaxed);
        });
    }

    /// One login. An error means that the daemon is gone.
    fn log_in(&self, user: &str) -> std::io::Result<()> {
        let mut wire = Wire::try_connect(&self.home.socket())?;
        let Reply::LoginBegun(begun) = wire.try_ask(&crate::support::wire::begin("corp"))? else { return Ok(()) };
        let back = Browser::default().log_in_until(begun.authorize_url.expose(), user, CALLBACK);
        if let Reply::LoggedIn(logged_in) = wire.try_ask(&complete(begun.login_id, &back))? {
            self.opened.lock().unwrap().insert(logged_in.session);
        }
        Ok(())
    }

    /// Asks for a token that must be nearly new.
    fn refresh(&self, random: &mut StdRng) -> std::io::Result<()> {
        let mut wire = Wire::try_connect(&self.home.socket())?;
        let opened: Vec<_> = self.opened.lock().unwrap().iter().copied().collect();
        if opened.is_empty() {
            return Ok(());
        }
        let session = opened[random.random_range(0..opened.len())];
        match wire.try_ask(&token_of(session, Some(ACCESS_LIFE - 2)))? {
            Reply::Token(_) => {}
            // Back-off after a refresh whose answer was lost in an earlier life.
            Reply::Problem(problem) if problem.code == Code::TryLater => {}
            other => self.refused.lock().unwrap().push(format!("{session}: {other:?}")),
        }
        Ok(())
    }
}

fn token_of(session: SessionRef, min_valid_seconds: Option<u32>) -> Request {
    Request::Token(TokenRequest { selector: Selector::Session(session), min_valid_seconds, timeout_ms: None })
}

/// A token of `session`, however often the daemon says to try later.
fn patient_token(socket: &Path, session: SessionRef) -> Reply {
    let deadline = Deadline::after(Duration::from_mins(1));
    let mut wire = Wire::connect(socket);
    loop {
        let reply = wire.ask(&token_of(session, None));
        let retry = match &reply {
            Reply::Problem(problem) if problem.code == Code::TryLater => problem.retry_after_ms.unwrap_or(100),
            _ => return reply,
        };
        if deadline.left().is_none() {
            return reply;
        }
        // The daemon says how long; waiting less would only be more requests.
        let (_nobody, moment) = channel::<()>();
        let _ = moment.recv_timeout(Duration::from_millis(retry.clamp(20, 2_000).into()));
    }
}
