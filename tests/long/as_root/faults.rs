//! The n-th call that writes to the database or syncs it fails, whichever that is, while tokens are renewed: once, or from then on.
//!
//! The provider forgets a refresh token as soon as it has given the next one, and forgives nothing: one answer that is lost, or
//! one token that is spent while its successor could not be kept, ends a session for good.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokenkeeper_protocol::request::{Selector, TokenRequest};
use tokenkeeper_protocol::{Code, Reply, Request, SessionRef};

use super::run;
use crate::extent;
use crate::kills::pause;
use crate::support::deadline::Deadline;
use crate::support::{Config, Daemon, Home, ScriptedProvider, Wire};

/// The calls that RocksDB and we write with.
const WRITES: &str = "write,pwrite64";
const SYNCS: &str = "fdatasync,fsync";

/// Sessions that are renewed one after the other, with no calls between them but theirs.
const USERS: usize = 4;
/// How long tokens live, in seconds. One that is a second old is renewed for who wants all of that.
const LIFE: u32 = 600;
/// Rounds of refreshes in which the call must come.
const ROUNDS: usize = 8;
/// Files that the database makes while calls fail, at most. It numbers them.
const FILES: u32 = 300;

#[test]
fn a_write_or_sync_that_fails_costs_no_session_and_the_store_is_back_by_itself() {
    let (bed, course) = (Bed::make(), extent::course(8, 96));
    let (rounds, mut struck) = (course.len(), 0);
    for (round, _) in course {
        let (calls, error) = [(SYNCS, "EIO"), (WRITES, "ENOSPC"), (SYNCS, "ENOSPC"), (WRITES, "EIO")][round % 4];
        let daemon = Daemon::start(&bed.home);
        struck += usize::from(bed.fail_once(&daemon, calls, error, 1 + round / 4));
        bed.restart_keeps_everything(daemon);
    }
    println!("{struck} of {rounds} calls were struck; no session was lost");
    assert!(struck * 4 >= rounds * 3, "too few calls were struck to prove anything: {struck}");
}

#[test]
fn while_no_write_goes_through_the_provider_is_not_asked_and_the_store_is_back_by_itself() {
    let bed = Bed::make();
    for (round, _) in extent::course(2, 24) {
        let (calls, error) = [(SYNCS, "EIO"), (WRITES, "ENOSPC")][round % 2];
        let daemon = Daemon::start(&bed.home);
        bed.fail_for_long(&daemon, calls, error, 1 + round / 2);
        bed.restart_keeps_everything(daemon);
    }
}

/// A home with sessions at a provider that forgives nothing.
struct Bed {
    provider: ScriptedProvider,
    home: Home,
    sessions: Vec<SessionRef>,
}

impl Bed {
    fn make() -> Self {
        let provider = ScriptedProvider::start();
        provider.access_life(LIFE.into()).rotate(true);
        let home = Home::new(&Config::corp(&provider.issuer));
        let daemon = Daemon::start(&home);
        let sessions = (0..USERS).map(|user| home.login(&format!("user-{user}")).parse().unwrap()).collect();
        daemon.stop();
        Self { provider, home, sessions }
    }

    /// Lets call `number` of each thread fail under refreshes; returns whether it came to that.
    fn fail_once(&self, daemon: &Daemon, calls: &str, error: &str, number: usize) -> bool {
        let strace = Strace::attach(daemon, &self.home, calls, &format!("error={error}:when={number}"));
        for _ in 0..ROUNDS {
            if strace.has_struck() {
                break;
            }
            self.renew_all();
        }
        let struck = strace.has_struck();
        strace.detach();
        // It is not waited for: whoever asks is told to try later until it is back. Now no call fails, so that what is renewed is
        // written, and must outlive whatever comes.
        self.renew_all();
        struck
    }

    /// Lets all calls from `number` on of each thread fail. While only another thread has come that far, the store heals by itself,
    /// and tokens are renewed and kept. Once it is the one that writes, the store cannot heal, and no refresh token may be spent:
    /// every flight has landed, and what it brought is served or not, but does not change any more.
    fn fail_for_long(&self, daemon: &Daemon, calls: &str, error: &str, number: usize) {
        let strace = Strace::attach(daemon, &self.home, calls, &format!("error={error}:when={number}+"));
        let deadline = Deadline::patient();
        let takes_no_writes = || self.home.cli(["--json", "status"]).stdout.contains("the store takes no writes");
        while !(strace.has_struck_the_writer() && takes_no_writes()) {
            assert!(deadline.left().is_some(), "the store does not say that it takes no writes: {}", strace.log());
            for session in &self.sessions {
                self.try_renew(*session);
            }
            pause(100);
        }
        let (asked, served) = (self.provider.count("refresh_token"), self.tokens());
        for _ in 0..3 {
            for session in &self.sessions {
                // One of this very second is new enough as it is.
                let is_old = self.try_renew(*session).is_none_or(|token| token == served[session]);
                assert!(is_old, "a token was renewed that could not be kept: {}\n{}", self.home.stderr(), strace.log());
            }
            pause(300);
        }
        assert_eq!(
            self.provider.count("refresh_token"),
            asked,
            "the provider was asked while nothing could be written"
        );
        strace.detach();
        self.renew_all();
    }

    /// Renews every session, however often the daemon says to try later.
    fn renew_all(&self) {
        let deadline = Deadline::patient();
        let before = self.tokens();
        for session in &self.sessions {
            while self.try_renew(*session).is_none_or(|token| token == before[session]) {
                assert!(deadline.left().is_some(), "it does not come back: {}", self.home.stderr());
                pause(50);
            }
        }
    }

    /// Asks for a token that is nearly new.
    fn try_renew(&self, session: SessionRef) -> Option<String> {
        match Wire::connect(&self.home.socket()).ask(&token_of(session, Some(LIFE - 1))) {
            Reply::Token(token) => Some(token.access_token.expose().to_owned()),
            // The second is one that the token had been given to the daemon in.
            Reply::Problem(problem) if [Code::TryLater, Code::LifetimeTooShort].contains(&problem.code) => None,
            other => panic!("session {session} is lost: {other:?}\n{}", self.home.stderr()),
        }
    }

    /// The tokens that are served, which are good.
    fn tokens(&self) -> BTreeMap<SessionRef, String> {
        let mut wire = Wire::connect(&self.home.socket());
        let token = |session: &SessionRef| match wire.ask(&token_of(*session, None)) {
            Reply::Token(token) => (*session, token.access_token.expose().to_owned()),
            other => panic!("session {session} is not served: {other:?}\n{}", self.home.stderr()),
        };
        let tokens: BTreeMap<_, _> = self.sessions.iter().map(token).collect();
        assert!(tokens.values().all(|token| self.provider.accepts(token)));
        tokens
    }

    /// What was served before a crash is served after it.
    fn restart_keeps_everything(&self, daemon: Daemon) {
        let before = self.tokens();
        daemon.kill();
        let daemon = Daemon::start(&self.home);
        assert_eq!(self.tokens(), before);
        daemon.stop();
    }
}

fn token_of(session: SessionRef, min_valid_seconds: Option<u32>) -> Request {
    Request::Token(TokenRequest { selector: Selector::Session(session), min_valid_seconds, timeout_ms: None })
}

/// The number of a thread, by its name.
fn thread_of(daemon: &Daemon, name: &str) -> String {
    let threads = fs::read_dir(format!("/proc/{}/task", daemon.pid())).unwrap().map(Result::unwrap);
    let is_it =
        |thread: &fs::DirEntry| fs::read_to_string(thread.path().join("comm")).is_ok_and(|it| it.trim() == name);
    let found = threads.into_iter().find(is_it).unwrap_or_else(|| panic!("there is no thread {name}"));
    found.file_name().into_string().unwrap()
}

/// Makes calls of the daemon fail, as long as they are about files of the database.
struct Strace {
    child: Child,
    log: PathBuf,
    /// The thread of the daemon that all writes go through.
    writer: String,
}

impl Strace {
    fn attach(daemon: &Daemon, home: &Home, calls: &str, how: &str) -> Self {
        run("strace", &["-V"]);
        let (log, store) = (home.path("strace"), home.state_dir().join("store"));
        fs::write(&log, "").unwrap();
        let mut command = Command::new("strace");
        command.args(["-f", "-e", &format!("trace={calls}"), "-e", &format!("inject={calls}:{how}"), "-o"]);
        command.arg(&log).args(["-p", &daemon.pid().to_string()]);
        let files = fs::read_dir(&store).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let numbers = files.filter_map(|name| name.strip_suffix(".log")?.parse::<u32>().ok());
        let newest = numbers.max().expect("an open database has a log");
        for number in newest..newest + FILES {
            for name in [format!("{number:06}.log"), format!("{number:06}.sst"), format!("MANIFEST-{number:06}")] {
                command.arg("-P").arg(store.join(name));
            }
        }
        command.arg("-P").arg(&store).arg("-P").arg(home.state_dir().join("probe"));
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        let mut output = BufReader::new(child.stderr.take().unwrap());
        while !said.contains("attached") {
            assert!(output.read_line(&mut said).unwrap() > 0, "strace cannot attach: {said}");
        }
        std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        Self { child, log, writer: thread_of(daemon, "store-writer") }
    }

    fn has_struck(&self) -> bool {
        self.log().contains("(INJECTED)")
    }

    fn has_struck_the_writer(&self) -> bool {
        // Every line begins with the thread that it is about.
        self.log().lines().any(|line| line.contains("(INJECTED)") && line.split(' ').next() == Some(&self.writer))
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Leaves the daemon alone.
    fn detach(mut self) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), Signal::SIGINT).unwrap();
        self.child.wait().unwrap();
    }
}
