//! The login with a code, as its person sees it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};

use common::{AT, Daemon, user};
use serde_json::{Value, json};
use tokenkeeper_protocol::reply::{Authentication, DeviceBegun, LoggedIn};
use tokenkeeper_protocol::request::DeviceBegin;
use tokenkeeper_protocol::{Code, LoginId, Problem, Reply, Request, UnixSeconds};

/// Far away, whenever the tests are run.
const NEVER: UnixSeconds = UnixSeconds(10_000_000_000);

/// Begins every login; answers the first wait with "try later", and the others with `outcome`.
fn daemon(outcome: impl Fn() -> Reply + Send + Sync + 'static) -> Daemon {
    let waits = AtomicUsize::new(0);
    Daemon::answering(move |request| match request {
        Request::DeviceBegin(begin) => {
            assert_eq!(begin.provider.as_str(), "corp");
            Reply::DeviceBegun(DeviceBegun {
                login_id: LoginId::from_random([7; 16]),
                user_code: "WDJB\u{1b}[2J-MJHT".into(),
                verification_uri: "https://id.example/device".to_owned(),
                verification_uri_complete: Some("https://id.example/device?user_code=x".into()),
                expires_at: NEVER,
            })
        }
        Request::DeviceWait(wait) => {
            assert_eq!(wait.login_id, LoginId::from_random([7; 16]));
            match waits.fetch_add(1, Ordering::SeqCst) {
                0 => Reply::Problem(Problem::new(Code::TryLater, "nobody yet")),
                _ => outcome(),
            }
        }
        other => panic!("{other:?}"),
    })
}

fn logged_in() -> Reply {
    Reply::LoggedIn(LoggedIn {
        session: "7k3vq2mx".parse().unwrap(),
        provider: "corp".parse().unwrap(),
        user: user("alice"),
        authentication: Authentication::default(),
        ends_at: AT,
    })
}

#[test]
fn without_a_browser_here_a_code_is_shown_and_waited_for() {
    for arguments in ["login corp", "login corp --code"] {
        let done = daemon(logged_in).run(arguments);
        assert_eq!(done.stdout, "Logged in to corp as alice (session 7k3vq2mx, ends 14 Nov 2023).\n");
        assert!(done.stderr.contains("\n  https://id.example/device\n  WDJB\\u{1b}[2J-MJHT\n"), "{}", done.stderr);
        assert!(done.stderr.contains("You may press Ctrl-C: the login goes on"), "{}", done.stderr);
        assert!(!done.stderr.contains('█'), "no QR code where there is no terminal: {}", done.stderr);
    }
}

#[test]
fn a_program_gets_what_the_person_has_to_do_on_standard_error_and_the_answer_on_standard_output() {
    let done = daemon(logged_in).run("login corp --json");
    let note: Value = serde_json::from_str(&done.stderr).unwrap();
    assert_eq!(note["verification_uri_complete"], json!("https://id.example/device?user_code=x"));
    assert_eq!(note["user_code"], json!("WDJB\u{1b}[2J-MJHT"));
    assert_eq!(done.json()["session"], json!("7k3vq2mx"));
}

#[test]
fn a_login_that_the_user_refused_failed() {
    let refused = || Reply::Problem(Problem::new(Code::LoginFailed, "login failed: they said no; begin a new login"));
    let done = daemon(refused).run("login corp --code");
    assert_eq!((done.status, done.stdout.as_str()), (6, ""));
    assert!(done.stderr.ends_with("tokenkeeper: login failed: they said no; begin a new login\n"), "{}", done.stderr);
}

#[test]
fn what_was_asked_for_reaches_the_daemon_and_a_provider_without_codes_is_named() {
    let daemon = Daemon::answering(|request| match request {
        Request::DeviceBegin(DeviceBegin { scopes, device, replaces, .. }) => {
            assert_eq!((scopes, device.as_deref()), (vec!["a".to_owned(), "b".to_owned()], Some("laptop")));
            assert_eq!(replaces, Some("0000000z".parse().unwrap()));
            Reply::Problem(Problem::new(Code::Unsupported, "corp offers no login with a code"))
        }
        other => panic!("{other:?}"),
    });
    let done = daemon.run("login corp --code --scope a --scope b --device laptop --replaces 0000000z");
    assert_eq!(done.status, 70);
    assert!(done.stderr.ends_with("corp offers no login with a code\n"), "{}", done.stderr);
}

#[test]
fn a_code_does_not_go_with_what_is_about_a_browser_here() {
    let daemon = daemon(logged_in);
    for other in ["--paste", "--port 8123", "--no-browser", "--login-hint x"] {
        assert_eq!(daemon.run(&format!("login corp --code {other}")).status, 64, "{other}");
    }
}
