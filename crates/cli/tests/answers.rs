//! What the commands print when the daemon answers: for people, and as JSON.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use common::{AT, Daemon, session, user};
use serde_json::json;
use tokenkeeper_protocol::reply::{
    Authentication, Health, LoggedOut, ProviderStatus, Refused, Revocation, SessionCounts, SessionDetail, SessionState,
    SessionsPage, StatusReply, TokenReply,
};
use tokenkeeper_protocol::request::{Selector, TokenRequest};
use tokenkeeper_protocol::{Code, Problem, Reply, Request};

fn token_reply(token: &str) -> Reply {
    Reply::Token(TokenReply {
        session: "7k3vq2mx".parse().unwrap(),
        access_token: token.into(),
        token_type: "Bearer".to_owned(),
        expires_at: AT,
        scope: "openid mail".to_owned(),
    })
}

#[test]
fn the_token_stands_alone_on_standard_output() {
    let done = Daemon::answering(|_| token_reply("secret")).run("token corp");
    assert_eq!((done.status, done.stdout.as_str(), done.stderr.as_str()), (0, "secret\n", ""));
}

#[test]
fn a_token_in_json_comes_with_what_is_known_of_it() {
    let done = Daemon::answering(|_| token_reply("secret")).run("--json token corp");
    let expected = json!({
        "session": "7k3vq2mx", "access_token": "secret", "token_type": "Bearer",
        "expires_at": "2023-11-14T22:13:20Z", "expires_in": 0, "scope": "openid mail",
    });
    assert_eq!((done.status, done.json()), (0, expected));
}

#[test]
fn a_token_that_would_command_a_terminal_is_shown_in_json_only() {
    let daemon = Daemon::answering(|_| token_reply("a\u{1b}[2J"));
    let done = daemon.run("token corp");
    assert_eq!((done.status, done.stdout.as_str()), (76, ""));
    let done = daemon.run("token corp --json");
    assert!(done.stdout.contains("\"a\\u001b[2J\""), "{}", done.stdout);
}

#[test]
fn the_daemon_is_asked_for_what_the_command_line_says() {
    let daemon = Daemon::answering(|request| {
        let Request::Token(TokenRequest { selector, min_valid_seconds, timeout_ms }) = request else { panic!() };
        let selector = match selector {
            Selector::Session(session) => session.to_string(),
            Selector::Only { provider, user } => format!("{provider}/{user:?}"),
        };
        token_reply(&format!("{selector} {min_valid_seconds:?} {timeout_ms:?}"))
    });
    assert_eq!(daemon.run("token corp").stdout, "corp/None None None\n");
    let asked = daemon.run("token corp --user alice --min-valid 5m --timeout 1500ms");
    assert_eq!(asked.stdout, "corp/Some(\"alice\") Some(300) Some(1500)\n");
    assert_eq!(daemon.run("token --session 7K3VQ2MX --min-valid 1ms").stdout, "7k3vq2mx Some(1) None\n");
}

fn sessions() -> Daemon {
    Daemon::answering(|request| {
        let Request::Sessions(asked) = request else { panic!() };
        let since = AT;
        let lost = SessionState::NeedsLogin { reason: "revoked\u{202e}".to_owned(), since };
        let (state, next) = match asked.cursor {
            None => (SessionState::Active, Some("7k3vq2mx".parse().unwrap())),
            Some(_) => (lost, None),
        };
        Reply::Sessions(SessionsPage { sessions: vec![session(state)], next })
    })
}

#[test]
fn sessions_of_all_pages_stand_in_one_table_without_colour() {
    let done = sessions().run("sessions");
    let lines: Vec<&str> = done.stdout.lines().collect();
    assert_eq!(done.status, 0, "{}", done.stderr);
    assert!(lines[0].starts_with("REF       USER   PROVIDER  DEVICE  OPENED BY     STATE"), "{}", lines[0]);
    assert!(lines[1].starts_with("7k3vq2mx  alice  corp      laptop  shop.service  active"), "{}", lines[1]);
    assert!(lines[2].contains("needs login (revoked\\u{202e} 14 Nov)"), "{}", lines[2]);
    assert_eq!(lines.len(), 3);
    assert!(!done.stdout.contains('\u{1b}'));
}

#[test]
fn colour_can_be_forced_and_forbidden() {
    assert!(sessions().run("sessions --color always").stdout.contains("\u{1b}["));
    assert!(!sessions().run("sessions --color never").stdout.contains("\u{1b}["));
}

#[test]
fn sessions_in_json_keep_every_value_as_it_was() {
    let done = sessions().run("sessions --json");
    let row = |state: &str, reason: serde_json::Value, since: serde_json::Value| {
        json!({
            "session": "7k3vq2mx", "provider": "corp", "user": "alice", "device": "laptop", "opened_by": "shop.service",
            "state": state, "reason": reason, "since": since,
            "token_expires_at": "2023-11-14T22:13:20Z", "ends_at": "2023-11-14T22:13:20Z",
        })
    };
    let lost = row("needs_login", json!("revoked\u{202e}"), json!("2023-11-14T22:13:20Z"));
    assert_eq!(done.json(), json!({ "sessions": [row("active", json!(null), json!(null)), lost] }));
    assert!(done.stdout.contains("revoked\\u202e"), "{}", done.stdout);
}

#[test]
fn without_sessions_standard_output_is_empty_and_json_still_is_an_object() {
    let daemon = Daemon::answering(|_| Reply::Sessions(SessionsPage { sessions: vec![], next: None }));
    let done = daemon.run("sessions");
    assert_eq!((done.status, done.stdout.as_str()), (0, ""));
    assert!(done.stderr.contains("tokenkeeper login"), "{}", done.stderr);
    assert!(daemon.run("sessions --user bob").stderr.starts_with("No such sessions."), "others may be there");
    assert_eq!(daemon.run("sessions --json").json(), json!({ "sessions": [] }));
}

fn detail() -> SessionDetail {
    SessionDetail {
        summary: session(SessionState::Active),
        user: user("alice"),
        authentication: Authentication { acr: None, amr: vec!["pwd".to_owned()], auth_time: Some(AT) },
        scope: "openid".to_owned(),
        opened_at: AT,
        token_obtained_at: Some(AT),
        refresh_due_at: Some(AT),
        refreshable: true,
        refreshes: 12,
        last_failure: Some("HTTP 503\u{1b}".to_owned()),
    }
}

#[test]
fn one_session_is_told_in_full() {
    let done = Daemon::answering(|_| Reply::Session(detail())).run("session 7k3vq2mx");
    let expected = "\
session   7k3vq2mx
provider  corp
user      alice, subject s1 of https://id.example
device    laptop
opened    14 Nov 2023 22:13 by shop.service
login     14 Nov 2023 22:13, by pwd
state     active
token     expired 14 Nov 2023 22:13, obtained 14 Nov 2023 22:13
scope     openid
refresh   due 14 Nov 2023 22:13, 12 done so far
          last try failed: HTTP 503\\u{1b}
ends      14 Nov 2023 22:13
";
    assert_eq!(done.stdout, expected);
}

#[test]
fn a_session_that_is_over_is_not_said_to_have_lacked_a_refresh_token() {
    let state = SessionState::NeedsLogin { reason: "too old".to_owned(), since: AT };
    let over = SessionDetail { summary: session(state), refreshable: false, ..detail() };
    let done = Daemon::answering(move |_| Reply::Session(over.clone())).run("session 7k3vq2mx");
    assert!(done.stdout.contains("\nrefresh   not any more\n"), "{}", done.stdout);
}

#[test]
fn one_session_in_json_has_the_keys_of_the_list_and_more() {
    let done = Daemon::answering(|_| Reply::Session(detail())).run("session 7k3vq2mx --json");
    let at = "2023-11-14T22:13:20Z";
    let expected = json!({
        "session": "7k3vq2mx", "provider": "corp", "user": "alice", "device": "laptop", "opened_by": "shop.service",
        "state": "active", "reason": null, "since": null, "token_expires_at": at, "ends_at": at,
        "subject": "s1", "issuer": "https://id.example", "email": null, "acr": null, "amr": ["pwd"], "auth_time": at,
        "scope": "openid", "opened_at": at, "token_obtained_at": at, "refresh_due_at": at, "refreshable": true,
        "refreshes": 12, "last_failure": "HTTP 503\u{1b}",
    });
    assert_eq!(done.json(), expected);
}

#[test]
fn a_logout_that_fails_does_not_keep_the_others_from_happening() {
    let daemon = Daemon::answering(|request| {
        let Request::Logout(session) = request else { panic!() };
        match session.as_str() {
            "00000000" => Reply::Problem(Problem::new(Code::NotFound, "no such session")),
            "00000001" => Reply::LoggedOut(LoggedOut { session, revoked: Revocation::Done, end_session_url: None }),
            _ => {
                let end_session_url = Some("https://id.example/end".to_owned());
                Reply::LoggedOut(LoggedOut { session, revoked: Revocation::Pending, end_session_url })
            }
        }
    });
    let done = daemon.run("logout 00000001 00000000 00000002");
    assert_eq!((done.status, done.stderr.as_str()), (4, "tokenkeeper: not found: no such session\n"));
    let expected = "\
Logged out of session 00000001: the provider has revoked its tokens.
Logged out of session 00000002: the provider could not be told yet; the daemon goes on trying.
To log out of the provider in the browser as well, open:
  https://id.example/end
";
    assert_eq!(done.stdout, expected);
    let expected = json!({ "sessions": [
        { "session": "00000001", "revoked": "done", "end_session_url": null },
        { "session": "00000002", "revoked": "pending", "end_session_url": "https://id.example/end" },
    ]});
    let done = daemon.run("logout 00000001 00000000 00000002 --json");
    assert_eq!((done.status, done.json()), (4, expected));
    assert_eq!(done.error_json()["error"]["code"], "not_found");
}

fn status(health: Health, complaints: &[&str]) -> StatusReply {
    StatusReply {
        version: "0.1.0".to_owned(),
        health,
        complaints: complaints.iter().map(|text| (*text).to_owned()).collect(),
        started_at: AT,
        providers: vec![
            ProviderStatus {
                provider: "corp".parse().unwrap(),
                last_success_at: None,
                failure: Some((AT, "HTTP 503".to_owned())),
            },
            ProviderStatus { provider: "github".parse().unwrap(), last_success_at: Some(AT), failure: None },
        ],
        sessions: SessionCounts { active: 1204, need_login: 3, ended: 7 },
        ending_soon: 12,
        more_ending_soon: health == Health::Degraded,
        next_refresh_at: Some(AT),
        last_refused: Some(Refused {
            at: AT,
            session: "b91xw0tz".parse().unwrap(),
            provider: "corp".parse().unwrap(),
            why: "login required: invalid_grant".to_owned(),
        }),
        last_backup_at: None,
        store_bytes: 41_000_000,
        disk_free_percent: 63,
        identity_source: "systemd credential".to_owned(),
        epoch: 3,
        audit_waiting: 0,
        config_loaded_at: AT,
        config_refused: Some("corp.toml:3:1: unknown key".to_owned()),
    }
}

#[test]
fn the_status_is_told_in_words_and_in_the_exit_status() {
    let cases = [(Health::Ok, 0, "ok"), (Health::Degraded, 1, "degraded"), (Health::NotServing, 2, "not_serving")];
    for (health, exit, word) in cases {
        let daemon = Daemon::answering(move |_| Reply::Status(status(health, &[])));
        let done = daemon.run("status");
        assert_eq!(done.status, exit);
        assert!(
            done.stdout.starts_with(&format!("tokenkeeper 0.1.0: {}\n", word.replace('_', " "))),
            "{}",
            done.stdout
        );
        let done = daemon.run("status --json");
        assert_eq!((done.status, done.json()["health"].clone()), (exit, json!(word)));
    }
}

#[test]
fn the_status_looks_as_the_documentation_shows_it() {
    let complaints = [
        "provider corp fails: HTTP 503",
        "the last reload was refused: corp.toml:3:1: unknown key",
        "audit records wait: no such file",
    ];
    let done = Daemon::answering(move |_| Reply::Status(status(Health::Degraded, &complaints))).run("status");
    let (down, rest) = done.stdout.split_once("DOWN ").unwrap();
    let summary = "1 provider down, the last reload was refused, audit records wait";
    assert_eq!(down, format!("tokenkeeper 0.1.0: degraded ({summary})\nprovider  corp    "));
    let rest = rest.split_once(": ").unwrap().1;
    let expected = "\
HTTP 503
          github  ok, last answer 14 Nov
sessions  1204 active (at least 12 end within 3d), 3 need login, 7 ended
refresh   due since 14 Nov
refused   14 Nov b91xw0tz at corp: login required: invalid_grant
store     ok, 41 MB, disk 63% free, no backup yet
keys      systemd credential, epoch 3
audit     ok, 0 waiting
config    read 14 Nov
          reload REFUSED: corp.toml:3:1: unknown key
running   since 14 Nov 2023 22:13
trouble   audit records wait: no such file
";
    assert_eq!(rest, expected);
}

#[test]
fn the_status_in_json_has_every_figure() {
    let done =
        Daemon::answering(|_| Reply::Status(status(Health::Degraded, &["1 provider down"]))).run("status --json");
    let at = "2023-11-14T22:13:20Z";
    let expected = json!({
        "version": "0.1.0", "health": "degraded", "complaints": ["1 provider down"], "started_at": at,
        "providers": [
            { "provider": "corp", "last_success_at": null, "failed_at": at, "failure": "HTTP 503" },
            { "provider": "github", "last_success_at": at, "failed_at": null, "failure": null },
        ],
        "sessions": { "active": 1204, "need_login": 3, "ended": 7 },
        "ending_soon": 12, "more_ending_soon": true, "next_refresh_at": at,
        "last_refused": { "at": at, "session": "b91xw0tz", "provider": "corp", "why": "login required: invalid_grant" },
        "store_bytes": 41_000_000, "last_backup_at": null, "disk_free_percent": 63, "identity_source": "systemd credential", "epoch": 3,
        "audit_waiting": 0, "config_loaded_at": at, "config_refused": "corp.toml:3:1: unknown key",
    });
    assert_eq!(done.json(), expected);
}
