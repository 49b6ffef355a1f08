//! What the commands print with `--json`, held against the schema that is published for it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::sync::LazyLock;

use common::{AT, Daemon, session, user};
use serde_json::{Map, Value};
use tokenkeeper_protocol::reply::{
    Authentication, DeviceBegun, Erasure, ErasureStage, Explanation, Finding, Health, HistoryEntry, HistoryPage,
    Identity, KeysReply, KeysRotation, LoggedIn, LoggedOut, LoginBegun, MovedOut, ProviderReport, ProviderStatus,
    ProviderStep, ProviderView, ProvidersReply, Refused, Revocation, RollbackAccepted, RuleOutcome, RuleView,
    SessionCounts, SessionDetail, SessionState, SessionsPage, StatusReply, StepOutcome, StoreStats, TableStats,
    TokenReply, VerifyPage,
};
use tokenkeeper_protocol::{Code, LoginId, Problem, Reply, Request, UnixSeconds};

static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let text = include_str!("../../../docs/guide/json.schema.json");
    serde_json::from_str(text).unwrap()
});

/// Every command, against a daemon that knows everything and one that knows as little as it can.
#[test]
fn every_command_prints_what_the_schema_says() {
    for knows_much in [true, false] {
        let daemon = Daemon::answering(move |request| answer(request, knows_much));
        for (name, line) in [
            ("token", "token corp"),
            ("token", "token --account nightly"),
            ("sessions", "sessions"),
            ("session", "session 7k3vq2mx"),
            ("logout", "logout 7k3vq2mx"),
            ("status", "status"),
            ("history", "history 7k3vq2mx"),
            ("metrics", "metrics"),
            ("store-accept-rollback", "store accept-rollback"),
            ("store-move-out", "store move-out --cancel"),
            ("erase", "erase corp --user alice --yes"),
            ("store-stats", "store stats"),
            ("store-verify", "store verify"),
            ("provider-list", "provider list"),
            ("provider-show", "provider show corp"),
            ("provider-test", "provider test corp"),
            ("whoami", "whoami"),
            ("policy-explain", "policy explain token --provider corp"),
            ("keys-show", "keys show"),
            ("keys-rotate", "keys rotate"),
        ] {
            let done = daemon.run(&format!("{line} --json"));
            assert!(done.status <= 2 || line.starts_with("policy"), "{line}: {}", done.stderr);
            hold(&definition(name), &done.json(), name);
        }
        let done = daemon.run_with("login corp --paste --json", "?code=good&state=right\n");
        hold(&definition("login"), &done.json(), "login");
        let done = daemon.run("login corp --code --json");
        hold(&definition("login"), &done.json(), "login --code");
        hold(&definition("login-code"), &serde_json::from_str(&done.stderr).unwrap(), "login --code");
    }
    let dir = tempfile::tempdir().unwrap();
    let line = format!("provider set-secret corp --json --dir {}/secrets", dir.path().display());
    let done = Daemon::answering(|_| panic!("it needs no daemon")).run_with(&line, "s3cr3t\n");
    hold(&definition("provider-set-secret"), &done.json(), "set-secret");
}

#[test]
fn every_failure_prints_what_the_schema_says() {
    let problem = Problem {
        retry_after_ms: Some(5),
        session: Some("7k3vq2mx".parse().unwrap()),
        since: Some(AT),
        audit_reference: Some("r-1".to_owned()),
        ..Problem::new(Code::LoginRequired, "login required at corp: revoked")
    };
    let daemon = Daemon::answering(move |_| Reply::Problem(problem.clone()));
    hold(&definition("error"), &daemon.run("token corp --json").error_json(), "error");
    hold(&definition("error"), &daemon.run("--json nonsense").error_json(), "error");
}

#[test]
fn the_schema_asks_for_every_key_that_it_describes() {
    fn look(schema: &Value, at: &str) {
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            let required: Vec<_> =
                schema["required"].as_array().unwrap().iter().map(|key| key.as_str().unwrap()).collect();
            let (mut required, described) = (required, properties.keys().map(String::as_str));
            required.sort_unstable();
            assert!(required.into_iter().eq(described), "{at}");
        }
        match schema {
            Value::Object(members) => members.iter().for_each(|(key, it)| look(it, &format!("{at}/{key}"))),
            Value::Array(items) => items.iter().for_each(|it| look(it, at)),
            _ => {}
        }
    }
    look(&SCHEMA, "");
}

#[test]
fn what_does_not_fit_the_schema_is_found() {
    let wrong =
        |value: Value| std::panic::catch_unwind(move || hold(&definition("provider-test"), &value, "")).is_err();
    let good = serde_json::json!({ "provider": "corp", "works": true, "steps": [] });
    assert!(!wrong(good.clone()));
    for (key, value) in [("works", Value::Null), ("steps", Value::Bool(true)), ("undocumented", Value::Null)] {
        let mut bad = good.clone();
        bad[key] = value;
        assert!(wrong(bad), "{key}");
    }
    assert!(wrong(serde_json::json!({ "provider": "corp", "works": true })));
}

fn definition(name: &str) -> Value {
    SCHEMA["$defs"].get(name).unwrap_or_else(|| panic!("the schema has no {name}")).clone()
}

/// The part of JSON Schema that ours uses. Objects are taken as closed: what is printed must be described.
#[track_caller]
fn hold(schema: &Value, value: &Value, at: &str) {
    for (keyword, wanted) in schema.as_object().unwrap() {
        match keyword.as_str() {
            "description" | "required" => {}
            "$ref" => hold(&definition(wanted.as_str().unwrap().strip_prefix("#/$defs/").unwrap()), value, at),
            "anyOf" => {
                let fits =
                    |it: &Value| it["type"] == "null" && value.is_null() || it["type"] != "null" && !value.is_null();
                hold(wanted.as_array().unwrap().iter().find(|it| fits(it)).unwrap(), value, at);
            }
            "enum" => assert!(wanted.as_array().unwrap().contains(value), "{at}: {value} is none of {wanted}"),
            "type" => {
                let found = match value {
                    Value::Null => "null",
                    Value::Bool(_) => "boolean",
                    Value::Number(number) if number.is_i64() || number.is_u64() => "integer",
                    Value::Number(_) => "number",
                    Value::String(_) => "string",
                    Value::Array(_) => "array",
                    Value::Object(_) => "object",
                };
                let fits = wanted.as_array().map_or(wanted == found, |kinds| kinds.iter().any(|kind| kind == found));
                assert!(fits, "{at}: {value} is no {wanted}");
            }
            "minimum" => assert!(value.is_null() || value.as_i64() >= wanted.as_i64(), "{at}: {value}"),
            "format" => {
                assert_eq!(wanted, "date-time");
                let text = value.as_str().unwrap();
                assert!(text.ends_with('Z') && text.len() == 20 && text.as_bytes()[10] == b'T', "{at}: {text}");
            }
            "pattern" => {
                assert_eq!(wanted, "^[0-9a-z]{8}$");
                let text = value.as_str().unwrap();
                let fits = |byte: u8| byte.is_ascii_digit() || byte.is_ascii_lowercase();
                assert!(text.len() == 8 && text.bytes().all(fits), "{at}: {text}");
            }
            "items" => value.as_array().unwrap().iter().for_each(|item| hold(wanted, item, &format!("{at}[]"))),
            "properties" => {
                let sorted = |object: &Map<String, Value>| {
                    let mut keys: Vec<_> = object.keys().cloned().collect();
                    keys.sort();
                    keys
                };
                let (wanted, value) = (wanted.as_object().unwrap(), value.as_object().unwrap());
                assert_eq!(sorted(wanted), sorted(value), "{at}");
                wanted.iter().for_each(|(key, schema)| hold(schema, &value[key], &format!("{at}.{key}")));
            }
            other => panic!("{at}: this test does not know the keyword {other}"),
        }
    }
}

#[expect(clippy::too_many_lines, reason = "one answer for each request")]
fn answer(request: Request, knows_much: bool) -> Reply {
    let told = |text: &str| knows_much.then(|| text.to_owned());
    let at = knows_much.then_some(AT);
    let lost = SessionState::NeedsLogin { reason: "revoked".to_owned(), since: AT };
    let mut summary = session(if knows_much { lost } else { SessionState::Active });
    (summary.device, summary.token_expires_at) = (told("laptop"), at);
    if !knows_much {
        // As for a service account.
        summary.ends_at = UnixSeconds::NEVER;
    }
    let authentication = Authentication { acr: told("2"), amr: told("pwd").into_iter().collect(), auth_time: at };
    let failure = knows_much.then(|| (AT, "HTTP 503".to_owned()));
    let status = ProviderStatus { provider: "corp".parse().unwrap(), last_success_at: at, failure };
    match request {
        Request::Token(_) | Request::TokenFor(_) => Reply::Token(TokenReply {
            session: summary.session,
            access_token: "secret".into(),
            token_type: "Bearer".to_owned(),
            expires_at: AT,
            scope: String::new(),
        }),
        Request::LoginBegin(_) => Reply::LoginBegun(LoginBegun {
            login_id: LoginId::from_random([7; 16]),
            authorize_url: "https://id.example/authorize?state=right".into(),
            expires_at: UnixSeconds(10_000_000_000),
        }),
        Request::DeviceBegin(_) => Reply::DeviceBegun(DeviceBegun {
            login_id: LoginId::from_random([7; 16]),
            user_code: "WDJB-MJHT".into(),
            verification_uri: "https://id.example/device".to_owned(),
            verification_uri_complete: told("https://id.example/device?user_code=x").map(Into::into),
            expires_at: UnixSeconds(10_000_000_000),
        }),
        Request::LoginComplete(_) | Request::DeviceWait(_) => Reply::LoggedIn(LoggedIn {
            session: summary.session,
            provider: summary.provider,
            user: user("alice"),
            authentication,
            ends_at: AT,
        }),
        Request::Sessions(_) => Reply::Sessions(SessionsPage { sessions: vec![summary], next: None }),
        Request::Session(_) => Reply::Session(SessionDetail {
            summary,
            user: user("alice"),
            authentication,
            scope: String::new(),
            opened_at: AT,
            token_obtained_at: at,
            refresh_due_at: at,
            refreshable: true,
            refreshes: 7,
            last_failure: told("HTTP 503"),
        }),
        Request::Logout(session) => Reply::LoggedOut(LoggedOut {
            session,
            revoked: Revocation::Done,
            end_session_url: told("https://id.example/end"),
        }),
        Request::Status => Reply::Status(StatusReply {
            version: "0.1.0".to_owned(),
            health: if knows_much { Health::Degraded } else { Health::Ok },
            complaints: told("it is so").into_iter().collect(),
            started_at: AT,
            providers: vec![status],
            sessions: SessionCounts::default(),
            ending_soon: 0,
            more_ending_soon: knows_much,
            next_refresh_at: at,
            last_refused: knows_much.then(|| Refused {
                at: AT,
                session: "7k3vq2mx".parse().unwrap(),
                provider: "corp".parse().unwrap(),
                why: "invalid_grant".to_owned(),
            }),
            last_backup_at: at,
            store_bytes: 1,
            disk_free_percent: 50,
            identity_source: "a test".to_owned(),
            epoch: 1,
            audit_waiting: 0,
            config_loaded_at: AT,
            config_refused: told("corp.toml:3:1: unknown key"),
        }),
        Request::History(_) => {
            let (event, peer) = ("login_completed".to_owned(), told("uid 1000 (pid 1)"));
            let entry = HistoryEntry { at: AT, event, peer, detail: "by a browser".to_owned() };
            Reply::History(HistoryPage { entries: vec![entry], next: None })
        }
        Request::WhoAmI => Reply::Identity(Identity {
            uid: 1000,
            gids: vec![1000],
            pid: 7,
            unit: told("shop.service"),
            owner: "uid 1000".to_owned(),
            rules: vec![rule(knows_much)],
        }),
        Request::Explain(_) => Reply::Explanation(Explanation {
            allowed: knows_much,
            verdict: "so".to_owned(),
            rules: vec![RuleOutcome { rule: rule(knows_much), allows: knows_much, why: "so".to_owned() }],
            advice: told("[[allow]]"),
        }),
        Request::Metrics => Reply::Metrics("# EOF\n".to_owned()),
        Request::Providers => Reply::Providers(ProvidersReply {
            providers: vec![ProviderView {
                status,
                kind: "oidc".to_owned(),
                issuer: "https://id.example".to_owned(),
                client_id: "shop".to_owned(),
                client_authentication: "basic".to_owned(),
                redirect_uris: vec!["loopback".to_owned()],
                scopes: vec!["openid".to_owned()],
                max_age_seconds: 86_400,
                accounts: knows_much.then(|| "nightly".parse().unwrap()).into_iter().collect(),
            }],
        }),
        Request::ProviderTest(provider) => {
            let outcome = if knows_much { StepOutcome::Failed } else { StepOutcome::Passed };
            let step = ProviderStep { name: "keys".to_owned(), outcome, detail: "so".to_owned(), milliseconds: 3 };
            Reply::ProviderReport(ProviderReport { provider, works: !knows_much, steps: vec![step] })
        }
        Request::KeysShow => Reply::Keys(KeysReply {
            identity_source: "a test".to_owned(),
            recovery_recipients: told("age1recovery").into_iter().collect(),
            epoch: 2,
            old_epochs: vec![1],
            rotation: knows_much.then(|| KeysRotation {
                resealed: 1,
                seen: 2,
                table: told("sessions"),
                damaged: 0,
                trouble: None,
            }),
        }),
        Request::KeysRotate => Reply::KeysRotating(3),
        Request::AcceptRollback => Reply::RollbackAccepted(RollbackAccepted {
            found: 412,
            anchored: knows_much.then_some(977),
            why: "the store is older than its anchor".to_owned(),
            noticed_at: AT,
        }),
        Request::StoreMoveOut(_) => {
            Reply::MovedOut(MovedOut { at: AT, sessions: 3, generation: 412, cancelled: knows_much })
        }
        Request::Erase(_) => Reply::Erasure(Erasure {
            id: "0a1b2c3d4e5f6071".to_owned(),
            provider: "corp".parse().unwrap(),
            stage: if knows_much { ErasureStage::Rekeying } else { ErasureStage::Done },
            detail: told("sessions"),
            waiting: told("syslog"),
            sessions: 2,
            revoked: 1,
            not_revoked: 1,
            forced: knows_much,
            begun_at: AT,
            milliseconds: 3250,
            copies: told("/var/lib/tokenkeeper/store.before-2").into_iter().collect(),
        }),
        Request::StoreStats => Reply::StoreStats(StoreStats {
            sessions: SessionCounts::default(),
            bytes: 4096,
            ballast_bytes: 0,
            kept_bytes: 0,
            disk_free_bytes: 1 << 30,
            disk_bytes: 1 << 40,
            generation: 412,
            schema: 2,
            epoch: 1,
            tables: vec![TableStats { name: "sessions".to_owned(), keys: 3, bytes: 4096 }],
            last_backup_at: at,
            last_verified_at: at,
        }),
        Request::StoreVerify(_) => {
            let (table, key) = ("sessions".to_owned(), "376b".to_owned());
            let finding =
                Finding { table: table.clone(), key, session: at.map(|_| summary.session), what: "so".to_owned() };
            Reply::VerifyPage(VerifyPage { table, checked: 3, total: 3, findings: vec![finding], next: None })
        }
        other => panic!("{other:?}"),
    }
}

/// About sessions or an account.
fn rule(on_sessions: bool) -> RuleView {
    RuleView {
        source: "corp.toml:12".to_owned(),
        who: "user:alice".to_owned(),
        may: vec!["token".to_owned()],
        provider: on_sessions.then(|| "corp".parse().unwrap()),
        sessions: if on_sessions { "own" } else { "account nightly" }.to_owned(),
    }
}
