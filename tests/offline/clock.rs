//! The real daemon under a wall clock that a test moves (libfaketime): no session is lost, no provider is overrun, and the
//! jobs of the schedule go on. Boot time is not faked, as nothing can set it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use nix::sys::signal::Signal;

use crate::support::config::{EVERYTHING, me};
use crate::support::{Config, Daemon, Home, Lie, ScriptedProvider, Tls, TlsServer, Wire};

const DAY: i64 = 86_400;
const TEN_YEARS: i64 = 3650 * DAY;
/// Where Debian and Ubuntu put it.
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

/// A home whose daemon sees the wall clock that this says.
struct Faked {
    home: Home,
    offset: PathBuf,
}

impl Faked {
    fn new(provider: &ScriptedProvider) -> Self {
        Self::with(&Config::corp(&provider.issuer))
    }

    /// Its jobs ring every second.
    fn with(config: &Config) -> Self {
        let home = Home::new(&Self::every_second(config));
        let offset = home.path("run/offset");
        let this = Self { home, offset };
        this.set_clock(0);
        this
    }

    fn every_second(config: &Config) -> Config {
        let every_second = |job| format!("{job} = \"* * * * * *\"");
        config.clone().schedule(&every_second("prune")).schedule(&every_second("sweep"))
    }

    /// Puts the wall clock of the daemon so many seconds ahead of the true one.
    fn set_clock(&self, seconds: i64) {
        let new = self.offset.with_extension("new");
        fs::write(&new, format!("{seconds:+}s\n")).unwrap();
        // At once: the daemon reads it all the time.
        fs::rename(new, &self.offset).unwrap();
    }

    fn start(&self) -> Daemon {
        Daemon::start_command(&self.home, self.command())
    }

    fn command(&self) -> Command {
        let mut command = self.home.daemon_command();
        command
            .env("LD_PRELOAD", library())
            .env("FAKETIME_TIMESTAMP_FILE", &self.offset)
            .env("FAKETIME_NO_CACHE", "1")
            // Waiting is not faked, and neither is the clock that nobody sets.
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        command
    }

    /// Asks for a token of the session, so that the daemon looks at its clock.
    fn token(&self) -> String {
        self.home.token()
    }

    fn is_active(&self) -> bool {
        let sessions = self.home.sessions();
        sessions.len() == 1 && sessions[0]["state"] == "active"
    }

    fn events(&self, needle: &str) -> usize {
        self.home.syslog.records().iter().filter(|record| record.contains(needle)).count()
    }
}

fn library() -> PathBuf {
    let found = fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path().join(LIBRARY));
    let found = found.chain([PathBuf::from("/usr/lib").join(LIBRARY)]).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("libfaketime is not installed: run scripts/prerequisites clock"))
}

#[test]
fn a_clock_that_jumps_and_comes_back_costs_no_session_and_no_storm() {
    for by in [DAY, -DAY, TEN_YEARS, -TEN_YEARS] {
        let provider = ScriptedProvider::start();
        let faked = Faked::new(&provider);
        let _daemon = faked.start();
        faked.home.login("alice");
        let first = faked.token();

        faked.set_clock(by);
        let during = faked.token();
        assert!(provider.accepts(&during));
        faked.home.syslog.wait_for(&["clock_jumped", "unconfirmed"]);
        let again = faked.token();
        assert_eq!(during, again, "{by}: one refresh at most");
        let status = faked.home.cli(["status"]).stdout;
        assert!(status.contains("the clock jumped by"), "{status}");
        assert!(faked.is_active());

        faked.set_clock(0);
        assert!(provider.accepts(&faked.token()));
        faked.home.syslog.wait_for(&["clock_jumped", "taken_back"]);
        assert!(faked.is_active());
        assert!(provider.accepts(&faked.token()));
        assert_eq!(first == during, by < 0, "{by}: a jump back lets no token expire, one forward may have");
        assert!(provider.count("refresh_token") <= 1, "{by}: {} refreshes", provider.count("refresh_token"));
        assert_eq!(faked.events("\"expired\""), 0);
    }
}

#[test]
fn a_jump_that_a_provider_confirms_over_tls_is_followed_at_once() {
    let (provider, witness) = (ScriptedProvider::start(), TlsServer::start(Tls::Ahead(DAY)));
    let config = Config::corp(&provider.issuer).with("max_age = \"1h\"").provider("witness", &witness.issuer);
    let faked = Faked::with(&config);
    let authority = faked.home.path("config/authority.pem");
    fs::write(&authority, &witness.authority).unwrap();
    faked.home.configure(&Faked::every_second(&config.with(&format!("ca_file = {authority:?}"))));
    let _daemon = faked.start();
    let session = faked.home.login("alice");
    faked.set_clock(DAY);
    faked.home.cli(["token", "corp"]);
    faked.home.syslog.wait_for(&["clock_jumped", "confirmed_by_provider"]);
    faked.home.syslog.wait_for(&["\"expired\"", &session, "too_old"]);
}

#[test]
fn what_a_provider_says_of_the_time_in_the_clear_confirms_no_jump() {
    let provider = ScriptedProvider::start();
    provider.lie(Lie::Date(DAY));
    let config = Config::corp(&provider.issuer).with("max_age = \"1h\"");
    let config = config.provider("brief", &provider.issuer).with("max_age = \"10s\"");
    let config = config.rule(&me(), EVERYTHING, "brief", "own");
    let faked = Faked::with(&config);
    let _daemon = faked.start();
    faked.home.login("alice");
    let brief = Wire::connect(&faked.home.socket()).log_in("brief", "bob").session.to_string();
    faked.set_clock(DAY);
    faked.home.cli(["token", "corp"]);
    faked.home.syslog.wait_for(&["clock_jumped", "unconfirmed"]);
    // The jobs have run since, and seen what has nothing to do with the jump.
    faked.home.syslog.wait_for(&["\"expired\"", &brief, "too_old"]);
    let sessions = faked.home.sessions();
    assert!(sessions.iter().any(|session| session["user"] == "alice" && session["state"] == "active"), "{sessions:?}");
    assert_eq!(faked.events("confirmed_by_provider"), 0);
}

#[test]
fn the_jobs_of_the_schedule_go_on_after_a_jump() {
    for by in [DAY, -TEN_YEARS] {
        let provider = ScriptedProvider::start();
        let config = Config::corp(&provider.issuer).with("max_age = \"3s\"").schedule("retention = \"1s\"");
        let faked = Faked::with(&config);
        let _daemon = faked.start();
        let session = faked.home.login("alice");
        faked.set_clock(by);
        faked.home.cli(["token", "corp"]);
        faked.home.syslog.wait_for(&["clock_jumped", "unconfirmed"]);
        // The timer sees to the first, and only the jobs to the others.
        faked.home.syslog.wait_for(&["\"expired\"", &session, "needs_login"]);
        faked.home.syslog.wait_for(&["\"expired\"", &session, "ended"]);
        faked.home.syslog.wait_for(&["\"removed\"", &session]);
    }
}

#[test]
fn a_daemon_that_was_halted_for_a_night_hands_out_no_token_of_the_evening() {
    let provider = ScriptedProvider::start();
    let faked = Faked::new(&provider);
    let daemon = faked.start();
    faked.home.login("alice");
    let evening = faked.token();
    daemon.signal(Signal::SIGSTOP);
    faked.set_clock(DAY / 3);
    daemon.signal(Signal::SIGCONT);
    let morning = faked.token();
    assert_ne!(evening, morning);
    assert!(provider.accepts(&morning));
    assert_eq!(faked.token(), morning);
    assert_eq!(provider.count("refresh_token"), 1);
    assert!(faked.is_active());
}

#[test]
fn a_start_with_a_clock_that_lost_its_battery_is_noticed_and_costs_nothing() {
    for by in [-20 * 3650 * DAY / 10, TEN_YEARS] {
        let provider = ScriptedProvider::start();
        let faked = Faked::new(&provider);
        let daemon = faked.start();
        faked.home.login("alice");
        daemon.stop();

        faked.set_clock(by);
        let daemon = faked.start();
        faked.home.syslog.wait_for(&["clock_jumped", "unconfirmed"]);
        assert!(provider.accepts(&faked.token()));
        assert!(faked.is_active());
        daemon.stop();

        faked.set_clock(0);
        let _daemon = faked.start();
        assert!(provider.accepts(&faked.token()));
        assert!(faked.is_active());
        assert!(provider.count("refresh_token") <= 1, "{} refreshes", provider.count("refresh_token"));
        assert_eq!(faked.events("\"expired\""), 0);
    }
}
