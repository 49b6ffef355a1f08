//! What the commands say and how they exit when something is wrong.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::os::unix::net::UnixListener;

use common::{AT, Daemon, Finished, tokenkeeper};
use serde_json::json;
use tokenkeeper_protocol::frame::Version;
use tokenkeeper_protocol::{Code, Problem, Reply};

#[test]
fn every_problem_has_its_exit_status_its_word_and_its_code() {
    for code in Code::ALL.iter().copied() {
        let daemon = Daemon::answering(move |_| Reply::Problem(Problem::new(code, "it is so")));
        let done = daemon.run("token corp");
        assert_eq!((done.status, done.stdout.as_str()), (i32::from(code.exit_status()), ""), "{code}");
        assert!(done.stderr.starts_with("tokenkeeper: ") && done.stderr.contains(": it is so\n"), "{}", done.stderr);
        let done = daemon.run("token corp --json");
        assert_eq!(done.status, i32::from(code.exit_status()), "{code}");
        assert_eq!(done.error_json()["error"]["code"], code.name());
    }
}

#[test]
fn a_refusal_reads_as_the_documentation_shows_it() {
    let told = "backup (uid 34) has no rule for \"token\" on this session, or it does not exist.";
    let problem = Problem { audit_reference: Some("r-5f2c9".to_owned()), ..Problem::new(Code::Denied, told) };
    let done = Daemon::answering(move |_| Reply::Problem(problem.clone())).run("token --session 7k3vq2mx");
    assert_eq!(done.status, 77);
    assert_eq!(done.stderr, format!("tokenkeeper: refused: {told}\naudit reference: r-5f2c9\n"));
}

#[test]
fn a_problem_in_json_tells_all_that_the_daemon_told() {
    let problem = Problem {
        retry_after_ms: Some(5),
        session: Some("7k3vq2mx".parse().unwrap()),
        since: Some(AT),
        audit_reference: Some("r-1".to_owned()),
        ..Problem::new(Code::LoginRequired, "log in")
    };
    let done = Daemon::answering(move |_| Reply::Problem(problem.clone())).run("--json token corp");
    let expected = json!({ "error": {
        "code": "login_required", "message": "log in", "exit_status": 3, "retry_after_ms": 5, "session": "7k3vq2mx",
        "reason": "log in", "since": "2023-11-14T22:13:20Z", "replaces": "7k3vq2mx", "audit_reference": "r-1",
    }});
    assert_eq!((done.stdout.as_str(), done.error_json()), ("", expected));
}

#[test]
fn a_daemon_that_is_not_there_is_69_and_comes_with_the_command_to_run() {
    for arguments in ["token corp", "status", "sessions"] {
        let done = Finished::from(tokenkeeper(arguments).args(["--socket", "/nonexistent/s"]).output().unwrap());
        assert_eq!(done.status, 69);
        assert!(done.stderr.starts_with("tokenkeeper: cannot reach the daemon at /nonexistent/s: "), "{}", done.stderr);
        assert!(
            done.stderr.ends_with("systemctl status tokenkeeperd, or start your own: tokenkeeperd --user\n"),
            "{}",
            done.stderr
        );
    }
    let done = Finished::from(tokenkeeper("status --json --socket /nonexistent/s").output().unwrap());
    assert_eq!(done.error_json()["error"]["code"], "unreachable");
}

#[test]
fn an_identity_that_cannot_be_read_is_told_so() {
    let done = Finished::from(tokenkeeper("keys recover --identity-file /nonexistent/key").output().unwrap());
    assert_eq!(done.status, 74);
    assert_eq!(done.stderr, "tokenkeeper: cannot read /nonexistent/key: No such file or directory (os error 2)\n");
}

#[test]
fn wrong_usage_is_64_and_help_is_0() {
    let run = |arguments: &str| Finished::from(tokenkeeper(arguments).output().unwrap());
    for wrong in [
        "",
        "tokn corp",
        "token",
        "token Corp!",
        "token corp --session 7k3vq2mx",
        "token corp --min-valid soon",
        "logout",
    ] {
        let done = run(wrong);
        assert_eq!((done.status, done.stdout.as_str()), (64, ""), "{wrong}");
    }
    assert!(run("token corp --session 7k3vq2mx").stderr.starts_with("tokenkeeper: the argument "));
    let said = run("token --json").error_json();
    let told = "the following required arguments were not provided: <PROVIDER>";
    assert_eq!((&said["error"]["code"], &said["error"]["message"]), (&json!("usage"), &json!(told)));
    assert!(run("").stderr.starts_with("Log in once, "), "help is no complaint");
    for help in ["--help", "-h", "token --help", "login --help", "--version"] {
        let done = run(help);
        assert_eq!((done.status, done.stderr.as_str()), (0, ""), "{help}");
    }
    assert!(run("--help").stdout.contains("tokenkeeper login corp"));
}

#[test]
fn a_daemon_of_another_generation_or_none_at_all_is_76() {
    for greeting in [Version { major: 2, minor: 0 }.hello().as_slice(), b"HTTP/1.1 400 Bad Request\r\n"] {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("s")).unwrap();
        let greeting = greeting.to_vec();
        let thread = std::thread::spawn(move || {
            std::io::Write::write_all(&mut listener.accept().unwrap().0, &greeting).unwrap();
        });
        let done = Finished::from(tokenkeeper("status").arg("--socket").arg(dir.path().join("s")).output().unwrap());
        assert_eq!(done.status, 76, "{}", done.stderr);
        thread.join().unwrap();
    }
}

#[test]
fn what_a_provider_said_cannot_command_the_terminal() {
    let nasty = || Reply::Problem(Problem::new(Code::LoginFailed, "\u{1b}]0;owned\u{7}\n\u{202e}"));
    let daemon = Daemon::answering(move |_| nasty());
    for arguments in ["token corp", "token corp --json"] {
        let stderr = daemon.run(arguments).stderr;
        let line = stderr.strip_suffix('\n').unwrap();
        assert!(!line.chars().any(|c| c.is_control() || c == '\u{202e}'), "{line:?}");
    }
}
