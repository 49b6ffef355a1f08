//! The login of a person, with a browser that the test plays over TCP, and by pasting.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{AT, Daemon, Finished, user};
use serde_json::json;
use tokenkeeper_protocol::reply::{Authentication, LoggedIn, LoginBegun};
use tokenkeeper_protocol::{Code, LoginId, Problem, Reply, Request, UnixSeconds};

/// Far away, whenever the tests are run.
const NEVER: UnixSeconds = UnixSeconds(10_000_000_000);

/// Begins every login, with the redirect URI in the authorize URL; completes those that bring `code=good`.
fn daemon(expires_at: UnixSeconds) -> Daemon {
    let current = Mutex::new(None);
    Daemon::answering(move |request| match request {
        Request::DeviceBegin(_) => Reply::Problem(Problem::new(Code::Unsupported, "corp offers none")),
        Request::LoginBegin(begin) => {
            let id = LoginId::from_random([7; 16]);
            let url = format!("https://id.example/authorize?redirect_uri={}&state=right", begin.redirect_uri);
            *current.lock().unwrap() = Some(begin);
            Reply::LoginBegun(LoginBegun { login_id: id, authorize_url: url.as_str().into(), expires_at })
        }
        Request::LoginComplete(complete) if complete.callback_query.expose() == "code=good&state=right" => {
            assert_eq!(complete.login_id, LoginId::from_random([7; 16]));
            let begun = current.lock().unwrap().take().expect("completed before it was begun");
            Reply::LoggedIn(LoggedIn {
                session: begun.replaces.unwrap_or("7k3vq2mx".parse().unwrap()),
                provider: begun.provider,
                user: user(&begun.login_hint.unwrap_or("alice".to_owned())),
                authentication: Authentication::default(),
                ends_at: AT,
            })
        }
        Request::LoginComplete(_) => Reply::Problem(Problem::new(Code::LoginFailed, "the provider said <no>")),
        other => panic!("{other:?}"),
    })
}

/// A login that waits for the browser.
struct Waiting {
    child: Child,
    stderr: BufReader<ChildStderr>,
    said: String,
}

impl Waiting {
    fn begin(daemon: &Daemon, arguments: &str) -> Self {
        let mut command = daemon.command(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self { child, stderr, said: String::new() }
    }

    /// The last word of the first line that contains `text`.
    fn word_of_line_with(&mut self, text: &str) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(self.stderr.read_line(&mut line).unwrap(), 0, "it never said {text:?}: {:?}", self.said);
            self.said.push_str(&line);
            if line.contains(text) {
                return line.split_whitespace().next_back().unwrap().to_owned();
            }
        }
    }

    fn finish(mut self) -> Finished {
        self.stderr.read_to_string(&mut self.said).unwrap();
        let output = self.child.wait_with_output().unwrap();
        Finished { stderr: self.said, ..Finished::from(output) }
    }
}

/// Opens an `http://127.0.0.1:PORT/...` address as a browser does.
fn visit(url: &str) -> String {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Where the start page leads to, and where that page would send the browser back to.
fn follow(start_url: &str) -> (String, String) {
    let answer = visit(start_url);
    let location = answer.lines().find_map(|line| line.strip_prefix("Location: ")).expect(&answer).to_owned();
    (location.clone(), redirect_uri_in(&location))
}

fn redirect_uri_in(authorize_url: &str) -> String {
    authorize_url.split_once("redirect_uri=").unwrap().1.split_once('&').unwrap().0.to_owned()
}

#[test]
fn a_person_logs_in_with_the_browser() {
    let daemon = daemon(NEVER);
    let mut login = Waiting::begin(&daemon, "login corp");
    let start_url = login.word_of_line_with("/start/");
    assert!(login.said.starts_with("No login with a code: corp offers none\n"), "{}", login.said);
    assert!(login.said.contains("tokenkeeper login corp --paste"), "no display: {}", login.said);
    assert!(!login.said.contains("state="), "{}", login.said);
    let (location, callback) = follow(&start_url);
    assert!(location.starts_with("https://id.example/authorize?"), "{location}");
    assert!(visit(&start_url).starts_with("HTTP/1.1 410"), "the start page is good for one visit");
    assert!(visit(&format!("{callback}?code=good&state=wrong")).starts_with("HTTP/1.1 400"));
    let silent = TcpStream::connect(callback.strip_prefix("http://").unwrap().split('/').next().unwrap()).unwrap();
    let page = visit(&format!("{callback}?code=good&state=right"));
    assert!(
        page.starts_with("HTTP/1.1 200") && page.contains("You are logged in.</h1><p>You may close this window."),
        "{page}"
    );
    let done = login.finish();
    assert_eq!(
        (done.status, done.stdout.as_str()),
        (0, "Logged in to corp as alice (session 7k3vq2mx, ends 14 Nov 2023).\n")
    );
    drop(silent);
}

#[test]
fn with_no_browser_the_address_of_the_provider_itself_is_shown() {
    let daemon = daemon(NEVER);
    let mut login = Waiting::begin(&daemon, "login corp --no-browser --json --login-hint bob --replaces 0000000z");
    let authorize_url = login.word_of_line_with("https://id.example/authorize");
    visit(&format!("{}?code=good&state=right", redirect_uri_in(&authorize_url)));
    let done = login.finish();
    let expected = json!({
        "session": "0000000z", "provider": "corp",
        "user": { "name": "bob", "subject": "s1", "issuer": "https://id.example", "email": null },
        "acr": null, "amr": [], "auth_time": null, "ends_at": "2023-11-14T22:13:20Z",
    });
    assert_eq!((done.status, done.json()), (0, expected));
}

#[test]
fn a_browser_that_was_chosen_is_opened_with_the_start_page_alone() {
    let daemon = daemon(NEVER);
    let dir = tempfile::tempdir().unwrap();
    let (seen, script) = (dir.path().join("seen"), dir.path().join("browser"));
    std::process::Command::new("mkfifo").arg(&seen).status().unwrap();
    std::fs::write(&script, format!("#!/bin/sh\nprintf '%s\\n' \"$*\" > {}\n", seen.display())).unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut command = daemon.command("login corp");
    let mut child = command.env("BROWSER", &script).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let opened = std::fs::read_to_string(&seen).unwrap();
    let (_, callback) = follow(opened.trim());
    visit(&format!("{callback}?code=good&state=right"));
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_login_that_the_provider_refused_is_told_in_the_browser_and_by_the_exit_status() {
    let daemon = daemon(NEVER);
    let mut login = Waiting::begin(&daemon, "login corp --no-browser");
    let authorize_url = login.word_of_line_with("https://id.example/authorize");
    let page = visit(&format!("{}?error=access_denied&state=right", redirect_uri_in(&authorize_url)));
    assert!(page.starts_with("HTTP/1.1 400") && page.contains("the provider said &lt;no&gt;"), "{page}");
    let done = login.finish();
    assert_eq!((done.status, done.stdout.as_str()), (6, ""));
    assert!(done.stderr.ends_with("tokenkeeper: login failed: the provider said <no>\n"), "{}", done.stderr);
}

/// Begins a login, and completes it when it has said "try later" so many times.
fn busy_daemon(times: usize) -> Daemon {
    let said = AtomicUsize::new(0);
    Daemon::answering(move |request| match request {
        Request::LoginBegin(_) => Reply::LoginBegun(LoginBegun {
            login_id: LoginId::from_random([7; 16]),
            authorize_url: "https://id.example/authorize?state=right".into(),
            expires_at: NEVER,
        }),
        Request::LoginComplete(complete) => {
            assert_eq!(complete.callback_query.expose(), "code=good&state=right");
            if said.fetch_add(1, Ordering::SeqCst) < times {
                return Reply::Problem(Problem::new(Code::TryLater, "corp cannot be used at the moment: HTTP 503"));
            }
            Reply::LoggedIn(LoggedIn {
                session: "7k3vq2mx".parse().unwrap(),
                provider: "corp".parse().unwrap(),
                user: user("alice"),
                authentication: Authentication::default(),
                ends_at: AT,
            })
        }
        other => panic!("{other:?}"),
    })
}

#[test]
fn who_has_logged_in_at_the_provider_need_not_do_so_again_because_it_is_busy() {
    let done = busy_daemon(1).run_with("login corp --paste", "?code=good&state=right");
    assert_eq!((done.status, done.stdout.starts_with("Logged in to corp as alice")), (0, true), "{}", done.stderr);
    let told =
        "tokenkeeper: try later: corp cannot be used at the moment: HTTP 503\nYou are logged in there, so this is";
    assert!(done.stderr.contains(told) && done.stderr.ends_with("Ctrl-C gives up.\n"), "{}", done.stderr);
}

#[test]
fn who_does_not_want_to_wait_for_a_busy_provider_is_told_at_once() {
    let done = busy_daemon(1).run_with("login corp --paste --timeout 0s", "?code=good&state=right");
    assert_eq!((done.status, done.stdout.as_str()), (75, ""));
    let told = "tokenkeeper: try later: corp cannot be used at the moment: HTTP 503\n";
    assert!(done.stderr.ends_with(told), "{}", done.stderr);
}

#[test]
fn a_login_ends_when_its_flow_expires() {
    let done = daemon(AT).run("login corp --no-browser");
    assert_eq!(done.status, 6);
    assert!(
        done.stderr.ends_with("tokenkeeper: nobody came back from the browser in time; begin again\n"),
        "{}",
        done.stderr
    );
}

#[test]
fn a_fixed_port_is_used_and_a_taken_one_is_named() {
    // Below the ports that the system gives to the listeners of other tests.
    let taken = (20_000..30_000).find_map(|port| std::net::TcpListener::bind(("127.0.0.1", port)).ok()).unwrap();
    let port = taken.local_addr().unwrap().port();
    let done = daemon(NEVER).run(&format!("login corp --no-browser --port {port}"));
    assert_eq!(done.status, 74);
    assert!(done.stderr.contains(&format!("port {port}")) && done.stderr.contains("--paste"), "{}", done.stderr);
    drop(taken);
    let daemon = daemon(NEVER);
    let mut login = Waiting::begin(&daemon, &format!("login corp --no-browser --port {port}"));
    let authorize_url = login.word_of_line_with("https://id.example/authorize");
    assert_eq!(redirect_uri_in(&authorize_url), format!("http://127.0.0.1:{port}/callback"));
    visit(&format!("http://127.0.0.1:{port}/callback?code=good&state=right"));
    assert_eq!(login.finish().status, 0);
}

#[test]
fn an_address_is_pasted_where_there_is_no_browser() {
    for pasted in ["http://127.0.0.1:4/callback?code=good&state=right\n", "?code=good&state=right"] {
        let done = daemon(NEVER).run_with("login corp --paste", pasted);
        assert_eq!(
            (done.status, done.stdout.as_str()),
            (0, "Logged in to corp as alice (session 7k3vq2mx, ends 14 Nov 2023).\n")
        );
        assert!(
            done.stderr.contains("https://id.example/authorize?redirect_uri=http://127.0.0.1:4/callback"),
            "{}",
            done.stderr
        );
        assert!(!done.stderr.contains("code=good"), "{}", done.stderr);
    }
}

#[test]
fn something_else_than_the_address_is_not_sent_to_the_daemon() {
    for pasted in [
        "",
        "https://id.example/authorize?redirect_uri=http://127.0.0.1:4/callback&state=right\n",
        "hello\n",
        "https://id.example/authorize?client_id=x\n",
        "http://127.0.0.1:4/callback?code=good&state=wrong\n",
    ] {
        let done = daemon(NEVER).run_with("login corp --paste", pasted);
        assert_eq!((done.status, done.stdout.as_str()), (65, ""), "{pasted}");
        assert!(done.stderr.contains("begin again and paste the whole address"), "{}", done.stderr);
    }
}

#[test]
fn an_answer_of_the_daemon_that_is_no_login_page_is_not_opened() {
    let daemon = Daemon::answering(|_| {
        let url = "file:///etc/passwd?state=x".into();
        Reply::LoginBegun(LoginBegun { login_id: LoginId::from_random([7; 16]), authorize_url: url, expires_at: NEVER })
    });
    assert_eq!(daemon.run("login corp --no-browser").status, 76);
    assert_eq!(daemon.run_with("login corp --paste", "x").status, 76);
}
