//! What programs rely on.

use serde_json::{Value, json, to_value};

use super::*;
use crate::reply::{HistoryEntry, HistoryPage, RuleOutcome, RuleView, TokenReply};
use crate::{Code, Problem, UnixSeconds};

/// 2023-11-14T22:13:20Z.
const AT: UnixSeconds = UnixSeconds(1_700_000_000);

#[test]
fn times_are_rfc_3339_in_utc() {
    assert_eq!(rfc3339(AT), "2023-11-14T22:13:20Z");
    assert_eq!(rfc3339(UnixSeconds(i64::MAX)), "@9223372036854775807");
}

#[test]
fn a_token_says_how_long_it_lives_both_ways() {
    let reply = TokenReply {
        session: "7k3vq2mx".parse().unwrap(),
        access_token: "at-1".into(),
        token_type: "Bearer".to_owned(),
        expires_at: AT,
        scope: "openid".to_owned(),
    };
    let expected = json!({
        "session": "7k3vq2mx", "access_token": "at-1", "token_type": "Bearer", "expires_at": "2023-11-14T22:13:20Z",
        "expires_in": 90, "scope": "openid",
    });
    assert_eq!(to_value(Token::new(&reply, UnixSeconds(AT.0 - 90))).unwrap(), expected);
    assert_eq!(to_value(Token::new(&reply, UnixSeconds(AT.0 + 1))).unwrap()["expires_in"], 0);
}

#[test]
fn a_login_with_a_code_says_what_to_type_where() {
    let reply = crate::reply::DeviceBegun {
        login_id: crate::LoginId::from_random([0; 16]),
        user_code: "WDJB-MJHT".into(),
        verification_uri: "https://id.example/device".to_owned(),
        verification_uri_complete: None,
        expires_at: AT,
    };
    let expected = json!({
        "login_id": "0".repeat(26), "user_code": "WDJB-MJHT", "verification_uri": "https://id.example/device",
        "verification_uri_complete": null, "expires_at": "2023-11-14T22:13:20Z",
    });
    assert_eq!(to_value(DeviceBegun::from(&reply)).unwrap(), expected);
}

#[test]
fn a_lost_login_says_why_and_what_to_replace() {
    let problem = Problem {
        session: Some("7k3vq2mx".parse().unwrap()),
        since: Some(AT),
        ..Problem::new(Code::LoginRequired, "login required at corp: revoked at the provider")
    };
    let expected = json!({
        "retry_after_ms": null, "session": "7k3vq2mx", "reason": "revoked at the provider",
        "since": "2023-11-14T22:13:20Z", "replaces": "7k3vq2mx", "audit_reference": null,
    });
    assert_eq!(to_value(ProblemDetails::from(&problem)).unwrap(), expected);
    let other = to_value(ProblemDetails::from(&Problem { code: Code::TryLater, ..problem })).unwrap();
    assert_eq!((&other["reason"], &other["replaces"]), (&Value::Null, &Value::Null));
}

#[test]
fn a_rule_is_about_sessions_or_about_an_account() {
    let rule = |sessions: &str, provider: Option<&str>| RuleView {
        source: "corp.toml:5".to_owned(),
        who: "unit:shop.service".to_owned(),
        may: vec!["token".to_owned()],
        provider: provider.map(|name| name.parse().unwrap()),
        sessions: sessions.to_owned(),
    };
    let view = |rule: &RuleView| {
        let outcome = RuleOutcome { rule: rule.clone(), allows: false, why: "is about another service".to_owned() };
        to_value(super::RuleOutcome::from(&outcome)).unwrap()
    };
    let expected = json!({
        "source": "corp.toml:5", "who": "unit:shop.service", "may": ["token"], "provider": "corp", "sessions": "own",
        "account": null, "allows": false, "why": "is about another service",
    });
    assert_eq!(view(&rule("own", Some("corp"))), expected);
    let account = view(&rule("account nightly", None));
    assert_eq!((&account["sessions"], &account["account"]), (&Value::Null, &json!("nightly")));
}

#[test]
fn a_history_tells_what_by_whom_and_where_to_go_on() {
    let entry =
        |peer| HistoryEntry { at: AT, event: "refresh_done".to_owned(), peer, detail: "generation: 2".to_owned() };
    let page = HistoryPage { entries: vec![entry(Some("uid 7 (pid 1)".to_owned())), entry(None)], next: Some(3) };
    let expected = |peer: Option<&str>| json!({ "at": "2023-11-14T22:13:20Z", "event": "refresh_done", "peer": peer, "detail": "generation: 2" });
    let entries = [expected(Some("uid 7 (pid 1)")), expected(None)];
    assert_eq!(to_value(super::HistoryPage::from(&page)).unwrap(), json!({ "entries": entries, "next": 3 }));
}
