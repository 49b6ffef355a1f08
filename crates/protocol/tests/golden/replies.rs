//! Replies to those who use sessions.

use tokenkeeper_protocol::reply::{
    Authentication, DeviceBegun, Health, LoggedIn, LoggedOut, LoginBegun, ProviderStatus, Refused, Revocation,
    SessionCounts, SessionDetail, SessionState, SessionSummary, SessionsPage, StatusReply, TokenReply, UserInfo,
};
use tokenkeeper_protocol::{Code, Problem, Reply};

use crate::notation::{AT, EVENING, login_id, pin_reply, session};

#[test]
fn a_token_reply_is_these_bytes() {
    let reply = TokenReply {
        session: session(),
        access_token: "secret".into(),
        token_type: "Bearer".to_owned(),
        expires_at: AT,
        scope: "a b".to_owned(),
    };
    let golden =
        format!(r#""7k3vq2mx" 0600000000000000 "secret" 0600000000000000 "Bearer" {EVENING} 0300000000000000 "a b""#);
    pin_reply(Reply::Token(reply), 0x8001, &golden);
}

#[test]
fn a_login_begun_is_these_bytes() {
    let reply = LoginBegun { login_id: login_id(), authorize_url: "https://i/a".into(), expires_at: AT };
    let golden = format!(r#"000102030405060708090a0b0c0d0e0f 0b00000000000000 "https://i/a" {EVENING}"#);
    pin_reply(Reply::LoginBegun(reply), 0x8002, &golden);
}

#[test]
fn a_logged_in_is_these_bytes() {
    let reply = LoggedIn {
        session: session(),
        provider: "corp".parse().unwrap(),
        user: user(),
        authentication: Authentication {
            acr: Some("mfa".to_owned()),
            amr: vec!["pwd".to_owned(), "otp".to_owned()],
            auth_time: Some(AT),
        },
        ends_at: AT,
    };
    let golden = format!(
        r#""7k3vq2mx" 0400000000000000 "corp" {USER}
        01 0300000000000000 "mfa" 0200000000000000 0300000000000000 "pwd" 0300000000000000 "otp" 01 {EVENING} {EVENING}"#
    );
    pin_reply(Reply::LoggedIn(reply), 0x8003, &golden);
}

#[test]
fn a_page_of_sessions_is_these_bytes() {
    let states = [
        SessionState::Active,
        SessionState::NeedsLogin { reason: "why".to_owned(), since: AT },
        SessionState::Ended { reason: "why".to_owned(), since: AT },
    ];
    let sessions = states.map(summary).to_vec();
    let (active, needs_login, ended) = (summary_bytes("00000000"), why("01000000"), why("02000000"));
    let golden =
        format!(r#"0300000000000000 {active} {} {} 01 "7k3vq2mx""#, summary_bytes(&needs_login), summary_bytes(&ended));
    pin_reply(Reply::Sessions(SessionsPage { sessions, next: Some(session()) }), 0x8004, &golden);
    pin_reply(Reply::Sessions(SessionsPage { sessions: vec![], next: None }), 0x8004, "0000000000000000 00");
}

#[test]
fn a_session_in_detail_is_these_bytes() {
    let reply = SessionDetail {
        summary: summary(SessionState::Active),
        user: user(),
        authentication: Authentication::default(),
        scope: "a".to_owned(),
        opened_at: AT,
        token_obtained_at: Some(AT),
        refresh_due_at: None,
        refreshable: true,
        refreshes: 258,
        last_failure: Some("HTTP 503".to_owned()),
    };
    let golden = format!(
        r#"{} {USER} 00 0000000000000000 00 0100000000000000 "a" {EVENING} 01 {EVENING} 00
        01 0201000000000000 01 0800000000000000 "HTTP 503""#,
        summary_bytes("00000000")
    );
    pin_reply(Reply::Session(reply), 0x8005, &golden);
}

#[test]
fn a_logged_out_is_these_bytes() {
    let outcomes = [(Revocation::Done, "00"), (Revocation::Pending, "01"), (Revocation::Unsupported, "02")];
    for (revoked, number) in outcomes {
        let reply = LoggedOut { session: session(), revoked, end_session_url: Some("https://i/e".to_owned()) };
        let golden = format!(r#""7k3vq2mx" {number}000000 01 0b00000000000000 "https://i/e""#);
        pin_reply(Reply::LoggedOut(reply), 0x8006, &golden);
    }
}

#[test]
fn a_status_is_these_bytes() {
    for (health, number) in [(Health::Ok, "00"), (Health::Degraded, "01"), (Health::NotServing, "02")] {
        let reply = StatusReply {
            version: "0.1.0".to_owned(),
            health,
            complaints: vec!["disk".to_owned()],
            started_at: AT,
            providers: vec![ProviderStatus {
                provider: "corp".parse().unwrap(),
                last_success_at: None,
                failure: Some((AT, "down".to_owned())),
            }],
            sessions: SessionCounts { active: 1, need_login: 2, ended: 3 },
            ending_soon: 4,
            more_ending_soon: true,
            next_refresh_at: Some(AT),
            last_refused: Some(Refused {
                at: AT,
                session: session(),
                provider: "corp".parse().unwrap(),
                why: "no".to_owned(),
            }),
            store_bytes: 4096,
            last_backup_at: Some(AT),
            disk_free_percent: 63,
            identity_source: "file".to_owned(),
            epoch: 3,
            audit_waiting: 5,
            config_loaded_at: AT,
            config_refused: Some("bad".to_owned()),
        };
        let golden = format!(
            r#"0500000000000000 "0.1.0" {number}000000 0100000000000000 0400000000000000 "disk" {EVENING}
            0100000000000000 0400000000000000 "corp" 00 01 {EVENING} 0400000000000000 "down"
            0100000000000000 0200000000000000 0300000000000000
            0400000000000000 01 01 {EVENING} 01 {EVENING} "7k3vq2mx" 0400000000000000 "corp" 0200000000000000 "no"
            0010000000000000 01 {EVENING} 3f 0400000000000000 "file" 03000000 0500000000000000 {EVENING} 01 0300000000000000 "bad""#
        );
        pin_reply(Reply::Status(reply), 0x8007, &golden);
    }
}

#[test]
fn a_problem_is_these_bytes() {
    let plain = Problem::new(Code::Denied, "no");
    pin_reply(Reply::Problem(plain), 0xffff, r#"0700 0200000000000000 "no" 00 00 00 00"#);
    let full = Problem {
        retry_after_ms: Some(40_000),
        session: Some(session()),
        since: Some(AT),
        audit_reference: Some("r-5f2c9".to_owned()),
        ..Problem::new(Code::LoginRequired, "no")
    };
    let golden =
        format!(r#"0100 0200000000000000 "no" 01 409c0000 01 "7k3vq2mx" 01 {EVENING} 01 0700000000000000 "r-5f2c9""#);
    pin_reply(Reply::Problem(full), 0xffff, &golden);
}

#[test]
fn a_device_flow_begun_is_these_bytes() {
    let reply = DeviceBegun {
        login_id: login_id(),
        user_code: "AB-12".into(),
        verification_uri: "https://i/d".to_owned(),
        verification_uri_complete: Some("https://i/d?c".into()),
        expires_at: AT,
    };
    let golden = format!(
        r#"000102030405060708090a0b0c0d0e0f 0500000000000000 "AB-12" 0b00000000000000 "https://i/d"
        01 0d00000000000000 "https://i/d?c" {EVENING}"#
    );
    pin_reply(Reply::DeviceBegun(reply), 0x8008, &golden);
}

const USER: &str =
    r#"0500000000000000 "alice" 0200000000000000 "s1" 0900000000000000 "https://i" 01 0300000000000000 "a@b""#;

fn user() -> UserInfo {
    UserInfo {
        name: "alice".parse().unwrap(),
        subject: "s1".to_owned(),
        issuer: "https://i".to_owned(),
        email: Some("a@b".to_owned()),
    }
}

fn summary(state: SessionState) -> SessionSummary {
    SessionSummary {
        session: session(),
        provider: "corp".parse().unwrap(),
        user: "alice".parse().unwrap(),
        device: Some("laptop".to_owned()),
        opened_by: "uid 7".to_owned(),
        state,
        token_expires_at: Some(AT),
        ends_at: AT,
    }
}

fn summary_bytes(state: &str) -> String {
    format!(
        r#""7k3vq2mx" 0400000000000000 "corp" 0500000000000000 "alice" 01 0600000000000000 "laptop"
        0500000000000000 "uid 7" {state} 01 {EVENING} {EVENING}"#
    )
}

fn why(variant: &str) -> String {
    format!(r#"{variant} 0300000000000000 "why" {EVENING}"#)
}
