//! SIGKILLs at random moments of refreshes at a provider that fails at random, in four ways of treating refresh tokens. The provider
//! remembers every token that it ever gave: no session is lost where none has to be, and nothing is done that must never be.
//!
//! The seed is printed: `TOKENKEEPER_TEST_SEED=N` repeats the choices. `TOKENKEEPER_TEST_KILLS=1000` is for `make test-long`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokenkeeper_protocol::reply::TokenReply;
use tokenkeeper_protocol::request::{Selector, TokenRequest};
use tokenkeeper_protocol::{Code, Reply, Request, SessionRef};

use crate::support::browser::Browser;
use crate::support::deadline::{Deadline, Stopwatch};
use crate::support::wire::{self, CALLBACK, Wire};
use crate::support::{Config, Daemon, Fault, Home, Rotation, ScriptedProvider};

/// Seconds that access tokens live, and how much of that is asked for to make the daemon refresh.
const ACCESS_LIFE: u64 = 8;
const NEARLY_NEW: u32 = 6;
/// Sessions that are opened before the first kill.
const SESSIONS: usize = 12;

#[test]
fn where_refresh_tokens_stay_and_are_named_again_no_session_is_lost() {
    Trial::run(Rotation::Repeated, "");
}

#[test]
fn where_refresh_tokens_stay_and_are_not_spoken_of_no_session_is_lost() {
    Trial::run(Rotation::Silent, "");
}

#[test]
fn where_spent_refresh_tokens_have_a_grace_no_session_is_lost() {
    Trial::run(Rotation::Grace(30), "reuse_grace = \"30s\"");
}

#[test]
fn where_refresh_tokens_rotate_strictly_a_kill_costs_a_session_at_most() {
    Trial::run(Rotation::Strict, "");
}

struct Trial {
    provider: ScriptedProvider,
    home: Home,
    rotation: Rotation,
    sessions: Vec<SessionRef>,
    /// The place of the last token that was handed out, by session.
    places: Mutex<BTreeMap<SessionRef, u64>>,
    lost: Mutex<BTreeSet<SessionRef>>,
    wrong: Mutex<Vec<String>>,
}

impl Trial {
    fn run(rotation: Rotation, line: &str) {
        let of_environment = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let kills = of_environment("TOKENKEEPER_TEST_KILLS").unwrap_or(30);
        let seed = of_environment("TOKENKEEPER_TEST_SEED").unwrap_or_else(rand::random);
        println!("repeat with TOKENKEEPER_TEST_SEED={seed}");
        let mut random = StdRng::seed_from_u64(seed);
        let provider = ScriptedProvider::start();
        provider.access_life(ACCESS_LIFE).rotation(rotation);
        let home = Home::new(&Config::corp(&provider.issuer).with(line));
        let mut trial = Self {
            provider,
            home,
            rotation,
            sessions: vec![],
            places: Mutex::default(),
            lost: Mutex::default(),
            wrong: Mutex::default(),
        };
        let daemon = Daemon::start(&trial.home);
        trial.sessions = (0..SESSIONS).map(|number| trial.log_in(&format!("user-{number}"))).collect();
        daemon.kill();

        let watch = Stopwatch::start();
        for _ in 0..kills {
            trial.provider.client_restarted();
            let daemon = Daemon::start(&trial.home);
            trial.go_wrong(&mut random);
            let span = Duration::from_millis(random.random_range(5..400));
            trial.load_until_killed(daemon, span, random.random());
        }
        trial.provider.client_restarted();
        trial.provider.forget_faults();
        let _daemon = Daemon::start(&trial.home);
        trial.look_at_all();
        let (lost, refreshes) = (trial.lost.lock().unwrap().len(), trial.provider.count("refresh_token"));
        println!("{rotation:?}: {refreshes} refreshes, {kills} kills, {lost} lost, {:?}", watch.elapsed());
        assert_eq!(trial.wrong.lock().unwrap().as_slice(), [] as [String; 0]);
        assert_eq!(trial.provider.violations(), [] as [String; 0]);
        assert!(refreshes as u64 * 3 >= kills, "too few refreshes to prove anything: {refreshes}");
        match rotation {
            Rotation::Strict => assert!(lost as u64 <= kills, "{lost} sessions were lost by {kills} kills"),
            _ => assert_eq!(lost, 0),
        }
    }

    fn log_in(&self, user: &str) -> SessionRef {
        let mut wire = Wire::connect(&self.home.socket());
        let (login, url) = wire.begin();
        let back = Browser::default().log_in_until(&url, user, CALLBACK);
        match wire.ask(&wire::complete(login, &back)) {
            Reply::LoggedIn(logged_in) => logged_in.session,
            other => panic!("the login of {user} failed: {other:?}"),
        }
    }

    /// What happens to the next refreshes.
    fn go_wrong(&self, random: &mut StdRng) {
        for _ in 0..random.random_range(0..4) {
            self.provider.fault(
                "refresh_token",
                match random.random_range(0..8) {
                    0 => Fault::DropBefore,
                    1 => Fault::Answer(503, String::new()),
                    2 => Fault::Answer(500, "<h1>oops</h1>".to_owned()),
                    // A lost answer is the end of a session where there is no grace, without any kill.
                    3 if self.rotation != Rotation::Strict => Fault::DropAfter,
                    _ => Fault::Late(random.random_range(1..60)),
                },
            );
        }
    }

    fn load_until_killed(&self, daemon: Daemon, span: Duration, seed: u64) {
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let over = &over;
            // A session belongs to one lane: what it is handed comes in order.
            for lane in 0..2 {
                let mut random = StdRng::seed_from_u64(seed ^ lane);
                scope.spawn(move || {
                    while !over.load(Ordering::Relaxed) {
                        let number = 2 * random.random_range(0..SESSIONS / 2) + usize::from(lane == 1);
                        if self.ask(self.sessions[number], &mut random).is_err() {
                            return;
                        }
                    }
                });
            }
            // Nobody sends: this waits for the moment, and for nothing else.
            let (_nobody, moment) = channel::<()>();
            let _ = moment.recv_timeout(span);
            daemon.kill();
            over.store(true, Ordering::Relaxed);
        });
    }

    /// Asks for a token. An error means that the daemon is gone.
    fn ask(&self, session: SessionRef, random: &mut StdRng) -> std::io::Result<()> {
        let mut wire = Wire::try_connect(&self.home.socket())?;
        let reply = wire.try_ask(&token_of(session, random.random_bool(0.7).then_some(NEARLY_NEW)))?;
        self.judge(session, &reply);
        Ok(())
    }

    fn judge(&self, session: SessionRef, reply: &Reply) {
        match reply {
            Reply::Token(token) => self.judge_token(session, token),
            Reply::Problem(problem) if problem.code == Code::TryLater => {}
            Reply::Problem(problem) if problem.code == Code::LoginRequired => {
                self.lost.lock().unwrap().insert(session);
            }
            other => self.wrong.lock().unwrap().push(format!("{session}: {other:?}")),
        }
    }

    /// A token is one of the provider's, and never older than one that was handed out before.
    fn judge_token(&self, session: SessionRef, token: &TokenReply) {
        let place = self.provider.handed_out(token.access_token.expose());
        let last = self.places.lock().unwrap().insert(session, place.unwrap_or(0));
        if place.is_none() || last > place {
            self.wrong.lock().unwrap().push(format!("{session}: token {place:?} came after {last:?}"));
        }
    }

    /// In the end everybody has a token, or is told to log in again, and that stands in the audit trail.
    fn look_at_all(&self) {
        for session in &self.sessions {
            let reply = self.patient_token(*session);
            self.judge(*session, &reply);
            if let Reply::Problem(problem) = &reply {
                assert_eq!(problem.code, Code::LoginRequired, "{session}: {problem:?}");
                self.home.syslog.wait_for(&["refresh_failed", &session.to_string(), "true"]);
            }
        }
    }

    /// A token of `session`, however often the daemon says to try later.
    fn patient_token(&self, session: SessionRef) -> Reply {
        let deadline = Deadline::after(Duration::from_mins(2));
        let mut wire = Wire::connect(&self.home.socket());
        loop {
            let reply = wire.ask(&token_of(session, None));
            let retry = match &reply {
                Reply::Problem(problem) if problem.code == Code::TryLater => problem.retry_after_ms.unwrap_or(100),
                _ => return reply,
            };
            if deadline.left().is_none() {
                return reply;
            }
            let (_nobody, moment) = channel::<()>();
            let _ = moment.recv_timeout(Duration::from_millis(retry.clamp(20, 2_000).into()));
        }
    }
}

fn token_of(session: SessionRef, min_valid_seconds: Option<u32>) -> Request {
    Request::Token(TokenRequest { selector: Selector::Session(session), min_valid_seconds, timeout_ms: None })
}
